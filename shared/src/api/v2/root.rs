//! What this version of the API is.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Result,
    api::{Call, answer::One, version::Version},
};

/// What this version of the API is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApiVersion {
    /// The version.
    version: &'static str,
    /// What it can do.
    features: &'static [&'static str],
    /// Where it is described.
    documentation: &'static str,
}

/// What version 2 can do that version 1 cannot.
pub const FEATURES: &[&str] = &["pagination", "filtering", "sorting"];

/// `GET /v2`.
pub async fn get(_: &Call<'_>) -> Result<One<ApiVersion>> {
    Ok(One::of(ApiVersion { version: Version::V2.number(), features: FEATURES, documentation: "/docs" }))
}
