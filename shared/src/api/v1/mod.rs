//! Version 1: Frappe's own dialect, so that its clients work unchanged. Deprecated, and it says so.
//!
//! Methods and resources are lines of the route table like any other; what is Frappe's about them is here: how
//! they are addressed ([`address`]), their arguments ([`args`]), their envelopes ([`envelope`]), how documents
//! look ([`shown`]) and how failures are said ([`dialect`]).

pub mod args;
pub mod auth;
pub mod bulk_transaction;
pub mod client;
pub mod dialect;
pub mod envelope;
mod list;
pub mod notice;
pub mod point_of_sale;
pub mod resource;
pub mod service;
mod shown;
#[cfg(test)]
mod tests;
mod writing;

use std::borrow::Cow;

use crate::trigger::http::Request;

/// The path of the route that a request is for. `/api/v1/…` is `/api/…`, a slash at the end says nothing, and a
/// form sent to the site itself names a method in `cmd`.
pub fn address(request: &Request) -> Cow<'_, str> {
    let path = request.path.as_str();
    if request.method == "POST" && matches!(path, "" | "/") {
        return match args::command(request) {
            Some(method) => format!("/api/method/{method}").into(),
            None => "/".into(),
        };
    }
    let Some(below) = path.strip_prefix("/api/") else { return path.into() };
    let below = below.trim_end_matches('/');
    match below.strip_prefix("v1/") {
        Some(rest) => format!("/api/{rest}").into(),
        None if below.is_empty() || below == "v1" => "/api".into(),
        None => path.trim_end_matches('/').into(),
    }
}

/// Whether what `path` leads to speaks Frappe's dialect.
pub fn speaks(path: &str) -> bool {
    path == "/" || path == "/api" || path.starts_with("/api/")
}
