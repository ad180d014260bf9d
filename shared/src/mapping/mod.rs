//! Mapping: one JSON document becomes another by rules that are data.

use serde::{Deserialize, Serialize};

/// placeholder
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mapping {}
/// placeholder
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// placeholder
    Path(String),
}
