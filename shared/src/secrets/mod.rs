//! Secrets: values that never print, fetched by reference.

pub mod secretsmanager;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;

use crate::Result;

/// Bytes that appear in no log, no error and no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps `bytes`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one place that computes with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A bundle of secrets by reference, e.g. `erpnext/current`.
pub type SecretBundle = BTreeMap<String, Secret>;

/// Where secrets are kept.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The whole bundle under `id` (an ARN or name), in one call.
    async fn bundle(&self, id: &str) -> Result<SecretBundle>;

    /// The one value under `id` (an ARN or name).
    async fn secret(&self, id: &str) -> Result<Secret>;
}
