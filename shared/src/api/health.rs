//! Whether the API answers.

use http::StatusCode;
use serde_json::json;

use super::Call;
use crate::{Result, trigger::http::Response};

/// `GET /health`: the function runs. It asks nothing of any other service, so that a monitor costs nothing.
pub async fn get(_: &Call<'_>) -> Result<Response> {
    Ok(Response::data(StatusCode::OK, json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })))
}
