//! What needs no key: whether the API answers, and what describes it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Call,
    answer::{Asset, One},
};
use crate::Result;

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
    Ok(Asset { content_type: "application/json", text: include_str!("../../../docs/openapi.json") })
}
