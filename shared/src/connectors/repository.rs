//! Where connector settings are read and written: documents of DocType "Integration Settings".

use std::sync::Arc;

use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    connectors::ConnectorSettings,
    documents::{
        Applied, Change, Commit, Committed, DocStatus, DocumentKey, DocumentStore, ListQuery, Order, Page,
        Target, Write,
    },
};

/// The DocType of connector settings.
pub const SETTINGS_DOCTYPE: &str = "Integration Settings";

/// Connector settings in the built-in store.
#[derive(Clone)]
pub struct ConnectorRepository {
    store: Arc<dyn DocumentStore>,
}

/// The key of a connector's settings; an error if `name` cannot be a connector's name.
pub fn settings_key(name: &str) -> Result<DocumentKey> {
    super::check_name(name)?;
    DocumentKey::new(SETTINGS_DOCTYPE, name)
}

impl ConnectorRepository {
    /// Settings kept in `store`.
    pub fn new(store: Arc<dyn DocumentStore>) -> Self {
        Self { store }
    }

    /// The settings of `name`; `None` if there is no such connector.
    pub async fn get(&self, name: &str) -> Result<Option<ConnectorSettings>> {
        let Ok(key) = settings_key(name) else { return Ok(None) };
        let Some(document) = self.store.get(&key).await? else { return Ok(None) };
        parse(document.fields).map(Some)
    }

    /// A page of settings.
    pub async fn list(&self, limit: usize, cursor: Option<String>) -> Result<Page<ConnectorSettings>> {
        let doctype = settings_key("any")?.doctype;
        let page = self
            .store
            .list(&ListQuery { cursor, order: Order::OLDEST_FIRST, ..ListQuery::new(doctype, limit) })
            .await?;
        let items = page.items.into_iter().map(|document| parse(document.fields)).collect::<Result<_>>()?;
        Ok(Page { items, next: page.next, partial: page.partial })
    }

    /// Every connector's name, at most 500.
    pub async fn names(&self) -> Result<Vec<String>> {
        let page = self.list(500, None).await?;
        Ok(page.items.into_iter().map(|settings| settings.name).collect())
    }

    /// Creates or replaces settings, which must be valid. Returns whether they are new.
    pub async fn put(&self, settings: &ConnectorSettings, actor: &str, clock: &dyn Clock) -> Result<bool> {
        settings.validate()?;
        let key = settings_key(&settings.name)?;
        let stored = self.store.read(&key).await?;
        let fields = crate::dynamo::object(serde_json::to_value(settings).map_err(Error::internal)?)?;
        let change = Change::Put { fields, docstatus: DocStatus::Draft };
        let applied = Applied::from([("api".to_owned(), clock.now())]);
        let write = Write::over(Target::Named(key), stored.as_ref(), change, applied, actor);
        let created = write.creates();
        match self.store.commit(Commit::of(write)).await? {
            Committed::Now(_) => Ok(created),
            _ => Err(Error::internal("a commit without an event was taken for a repeat")),
        }
    }
}

fn parse(fields: crate::documents::Fields) -> Result<ConnectorSettings> {
    serde_json::from_value(serde_json::Value::Object(fields)).map_err(|e| {
        Error::new(ErrorCode::InternalError, "the connector's stored settings cannot be read").because(e)
    })
}
