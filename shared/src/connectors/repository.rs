//! Where connector settings are read and written: records of DocType "Integration Settings".

use std::sync::Arc;

use crate::{
    Result,
    auth::{Directory, Permission, Principal, permit},
    connectors::ConnectorSettings,
    documents::{DocumentStore, Expect, Page, Record, Recorded, Records, Saved},
    error::Faults,
};

/// The most connectors that a search of all of them looks at.
const MAX_NAMES: usize = 500;

impl Record for ConnectorSettings {
    const DOCTYPE: &'static str = "Integration Settings";

    fn name(&self) -> &str {
        &self.name
    }

    fn check_name(name: &str) -> Result<()> {
        super::check_name(name)
    }

    fn validate(&self) -> Result<()> {
        Self::validate(self)
    }
}

/// Connector settings in the built-in store.
#[derive(Clone)]
pub struct ConnectorRepository {
    records: Records<ConnectorSettings>,
}

impl ConnectorRepository {
    /// Settings kept in `store`.
    pub fn new(store: Arc<dyn DocumentStore>) -> Self {
        Self { records: Records::new(store) }
    }

    /// The settings of `name`; `None` if there is no such connector.
    pub async fn get(&self, name: &str) -> Result<Option<Recorded<ConnectorSettings>>> {
        self.records.get(name).await
    }

    /// A page of settings, those changed longest ago first.
    pub async fn list(
        &self,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Page<Recorded<ConnectorSettings>>> {
        self.records.list(limit, cursor).await
    }

    /// Every connector's name, at most 500.
    pub async fn names(&self) -> Result<Vec<String>> {
        let page = self.list(MAX_NAMES, None).await?;
        Ok(page.items.into_iter().map(|record| record.value.name).collect())
    }

    /// Creates or replaces settings, which must be valid, of a user in `directory` who may do no more than `by` may: a
    /// connector acts as its user. `expect` as for [`Records::put`].
    pub async fn put(
        &self,
        settings: &ConnectorSettings,
        by: &Principal,
        directory: &Directory,
        expect: Option<Expect>,
    ) -> Result<Saved<ConnectorSettings>> {
        permit(by, Permission::ManageConnectors)?;
        let account = directory.stored_account(&settings.user).await?;
        let mut faults = Faults::default();
        faults.check(account.is_some(), "/user", "unknown", "there is no such user");
        if let Err(error) = settings.validate() {
            faults.extend(error.field_errors().iter().cloned());
        }
        faults.into_result()?;
        by.check_covers(account.iter().flat_map(|account| account.roles.iter().map(Arc::as_ref)))?;
        self.records.put(settings, expect, &by.user).await
    }
}
