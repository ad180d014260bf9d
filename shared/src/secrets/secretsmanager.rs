//! Secrets in AWS Secrets Manager: one secret holds a JSON object, so one call brings every reference.

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;

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
        let texts: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&self.text(id).await?)
                .map_err(|_| Error::internal(format!("the secret {id} is not a JSON object of texts")))?;
        Ok(texts.into_iter().map(|(name, text)| (name, Secret::new(text))).collect())
    }

    async fn secret(&self, id: &str) -> Result<Secret> {
        self.text(id).await.map(Secret::new)
    }
}
