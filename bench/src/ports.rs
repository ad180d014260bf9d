//! Ports that answer at once, so that what is left is our own time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use causeway::{
    Error, Result,
    clock::SystemClock,
    connectors::{ConnectorCache, ConnectorRepository, ConnectorSettings},
    documents::{
        Applied, Commit, Committed, Count, DocStatus, DocType, Document, DocumentKey, DocumentStore, Fields,
        Filters, ListQuery, Page, Stored,
    },
    queue::{Message, Queue, Travels},
    secrets::{Secret, SecretBundle, SecretStore},
    webhook::Ingest,
};
use jiff::Timestamp;
use serde_json::Value;

/// A store with the settings of one connector in it.
pub struct OneConnector(Fields);

#[async_trait]
impl DocumentStore for OneConnector {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        Ok(Some(Stored::Live(Document {
            key: key.clone(),
            docstatus: DocStatus::Draft,
            modified: Timestamp::UNIX_EPOCH,
            modified_by: "bench".to_owned(),
            creation: Timestamp::UNIX_EPOCH,
            owner: "bench".to_owned(),
            revision: 1,
            fields: self.0.clone(),
            applied: Applied::new(),
            events: Vec::new(),
        })))
    }

    async fn list(&self, _query: &ListQuery) -> Result<Page<Document>> {
        Ok(Page { items: Vec::new(), next: None, partial: false })
    }

    async fn count(&self, _doctype: &DocType, _filters: &Filters) -> Result<Count> {
        Ok(Count { count: 0, approximate: false })
    }

    async fn commit(&self, _commit: Commit) -> Result<Committed> {
        Err(Error::internal("settings are not written here"))
    }
}

/// Secrets in memory.
pub struct Secrets(pub SecretBundle);

#[async_trait]
impl SecretStore for Secrets {
    async fn bundle(&self, _id: &str) -> Result<SecretBundle> {
        Ok(self.0.clone())
    }

    async fn secret(&self, id: &str) -> Result<Secret> {
        self.0.get(id).cloned().ok_or_else(|| Error::internal(format!("there is no secret {id:?}")))
    }
}

/// A queue that encodes what is sent, as the real one does, and forgets it.
pub struct Sink;

#[async_trait]
impl Queue for Sink {
    async fn send(&self, message: &Message) -> Result<()> {
        message.encode().map(std::hint::black_box).map(drop)
    }

    async fn send_all(&self, messages: &[Message]) -> Result<()> {
        messages.iter().try_for_each(|message| message.encode().map(drop))
    }

    async fn hide(&self, _receipt: &str, _wait: Duration) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _receipts: &[String]) -> Result<()> {
        Ok(())
    }
}

/// The settings that `json` describes: what the API would store.
pub fn settings(json: Value) -> Result<ConnectorSettings> {
    let settings: ConnectorSettings = serde_json::from_value(json).map_err(Error::internal)?;
    settings.validate()?;
    Ok(settings)
}

/// An ingest for one connector, whose every secret is `secret`, with nothing behind it.
pub fn ingest(settings: &ConnectorSettings, secret: &[u8]) -> Result<Ingest> {
    let secrets =
        settings.secrets.iter().map(|reference| (reference.reference.clone(), Secret::new(secret))).collect();
    let fields = causeway::dynamo::object(serde_json::to_value(settings).map_err(Error::internal)?)?;
    let repository = ConnectorRepository::new(Arc::new(OneConnector(fields)));
    let clock = Arc::new(SystemClock);
    let cache =
        ConnectorCache::new(repository, Arc::new(Secrets(secrets)), "webhooks".to_owned(), clock.clone());
    Ok(Ingest::new(cache, Arc::new(Sink), clock))
}
