//! Secrets in AWS Secrets Manager: one secret holds a JSON object, so one call brings every reference.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use serde_json::Value;
use tracing::warn;

use super::{Secret, SecretBundle, SecretStore};
use crate::{Error, Result};

/// Secrets Manager.
#[derive(Debug, Clone)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// Secrets behind `client`.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    async fn text(&self, id: &str) -> Result<String> {
        let answer = self
            .0
            .get_secret_value()
            .secret_id(id)
            .send()
            .await
            .map_err(|e| Error::unavailable("Secrets Manager", e))?;
        answer.secret_string.ok_or_else(|| Error::internal(format!("the secret {id} has no text value")))
    }
}

#[async_trait]
impl SecretStore for SecretsManager {
    async fn bundle(&self, id: &str) -> Result<SecretBundle> {
        // The parse error may quote the text, so it is not passed on.
        let values: BTreeMap<String, Value> = serde_json::from_str(&self.text(id).await?).map_err(|_| {
            Error::unavailable("Secrets Manager", format!("the secret {id} is not a JSON object"))
        })?;
        let texts = values.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, Secret::new(text))),
            _ => {
                warn!(reference = name, "is no text in the secrets bundle, and passed over");
                None
            }
        });
        Ok(texts.collect())
    }

    async fn secret(&self, id: &str) -> Result<Secret> {
        self.text(id).await.map(Secret::new)
    }
}
