//! What needs no key: whether the API answers, the document that describes it, and the pages to read.
//!
//! Pages are files of this directory, part of the binary: no other host is asked for anything, and the page may
//! not ask one either (`Content-Security-Policy`). Every link in them is relative, since the API may live below a
//! path. `guides/` is written from the Markdown in `docs/` by a test, see [`guides`].

mod guides;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Call,
    answer::{Asset, One},
};
use crate::{Error, ErrorCode, Result};

pub use guides::GUIDES;

/// Whether the API answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    /// The version of Causeway.
    version: &'static str,
}

/// `GET /health`: the function runs. It asks nothing of any other service, so that a monitor costs nothing.
pub async fn health(_: &Call<'_>) -> Result<One<Health>> {
    Ok(One::of(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// `GET /openapi.json`: generated from the code and committed; a test compares.
pub async fn openapi(_: &Call<'_>) -> Result<Asset> {
    Ok(Asset { content_type: "application/json", text: include_str!("../../../../docs/openapi.json") })
}

/// `GET /docs`: the page that shows `/openapi.json` and lets its reader try it.
pub async fn docs(_: &Call<'_>) -> Result<Asset> {
    Ok(Asset { content_type: "text/html; charset=utf-8", text: include_str!("docs.html") })
}

/// `GET /docs/app.js`: the page's script.
pub async fn script(_: &Call<'_>) -> Result<Asset> {
    Ok(Asset { content_type: "text/javascript; charset=utf-8", text: include_str!("app.js") })
}

/// `GET /docs/app.css`: the pages' style.
pub async fn style(_: &Call<'_>) -> Result<Asset> {
    Ok(Asset { content_type: "text/css; charset=utf-8", text: include_str!("app.css") })
}

/// `GET /docs/{guide}`: a guide of `docs/`, as a page. The `type` of every problem points at `/docs/errors`.
pub async fn guide(call: &Call<'_>) -> Result<Asset> {
    let name = call.param("guide")?;
    let found = GUIDES.iter().find(|guide| guide.name == name);
    let missing = || Error::new(ErrorCode::RouteNotFound, format!("there is no guide {name:?}"));
    found
        .map(|guide| Asset { content_type: "text/html; charset=utf-8", text: guide.html })
        .ok_or_else(missing)
}
