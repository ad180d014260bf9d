//! Connector settings and secrets in an instance's memory.
//!
//! The ingest and the worker ask here. A warm instance answers from memory for [`TTL`]; before a signature is
//! refused the ingest asks for fresh ones, at most every [`REFRESH_EVERY`] a connector, so that a rotated
//! secret works at once and a forger cannot make us read for each try.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::{ConnectorSettings, repository::ConnectorRepository};
use crate::{
    Result,
    clock::Clock,
    secrets::{SecretBundle, SecretStore},
    webhook::signature::NamedSecret,
};

/// How long settings and secrets are used without asking again.
pub const TTL: SignedDuration = SignedDuration::from_secs(60);
/// How long it is remembered that there is no such connector.
const UNKNOWN_TTL: SignedDuration = SignedDuration::from_secs(10);
/// The least time between two extra reads of one connector.
pub const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(10);
/// The most connectors remembered, known or not: a scan of random names must not fill the memory.
const MAX_ENTRIES: usize = 1_000;

/// A connector, ready to verify and to map.
#[derive(Debug)]
pub struct Connector {
    /// Its settings.
    pub settings: ConnectorSettings,
    /// Its secrets, each with the event it is for, if it is for one only. References without a value are left out.
    pub secrets: Vec<(NamedSecret, Option<String>)>,
}

struct Entry {
    connector: Option<Arc<Connector>>,
    read_at: Timestamp,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    bundle: Option<(Arc<SecretBundle>, Timestamp)>,
}

/// Settings and secrets, remembered.
pub struct ConnectorCache {
    repository: ConnectorRepository,
    secrets: Option<(Arc<dyn SecretStore>, String)>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl ConnectorCache {
    /// Settings from `repository` without secrets: what the worker needs.
    pub fn settings_only(repository: ConnectorRepository, clock: Arc<dyn Clock>) -> Self {
        Self { repository, secrets: None, clock, state: Mutex::default() }
    }

    /// Settings from `repository`, secrets from the bundle `bundle_id` in `secrets`.
    pub fn new(
        repository: ConnectorRepository,
        secrets: Arc<dyn SecretStore>,
        bundle_id: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { repository, secrets: Some((secrets, bundle_id)), clock, state: Mutex::default() }
    }

    /// Reads the secrets before the first request needs them.
    pub async fn prefetch_secrets(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        state.bundle = self.bundle(None, self.clock.now()).await?;
        Ok(())
    }

    /// The connector `name`, at most [`TTL`] old; `None` if there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Arc<Connector>>> {
        self.younger_than(TTL, name).await
    }

    /// The connector as it is stored now: for an event that may be replayed because its settings were changed.
    pub async fn get_stored(&self, name: &str) -> Result<Option<Arc<Connector>>> {
        self.younger_than(SignedDuration::ZERO, name).await
    }

    async fn younger_than(&self, age: SignedDuration, name: &str) -> Result<Option<Arc<Connector>>> {
        let now = self.clock.now();
        let mut state = self.state.lock().await;
        if let Some(entry) = state.entries.get(name) {
            let age = if entry.connector.is_some() { age } else { age.min(UNKNOWN_TTL) };
            if now.duration_since(entry.read_at) < age {
                return Ok(entry.connector.clone());
            }
        }
        self.load(&mut state, name, now, false).await
    }

    /// The connector read anew, secrets too; `None` if that was done less than [`REFRESH_EVERY`] ago (what
    /// [`get`](Self::get) gave is then fresh enough) or there is none.
    pub async fn refresh(&self, name: &str) -> Result<Option<Arc<Connector>>> {
        let now = self.clock.now();
        let mut state = self.state.lock().await;
        let fresh = |read_at: Timestamp| now.duration_since(read_at) < REFRESH_EVERY;
        let settings_fresh = state.entries.get(name).is_some_and(|entry| fresh(entry.read_at));
        let secrets_fresh = state.bundle.as_ref().is_none_or(|(_, read_at)| fresh(*read_at));
        if settings_fresh && secrets_fresh {
            return Ok(None);
        }
        self.load(&mut state, name, now, true).await
    }

    async fn load(
        &self,
        state: &mut State,
        name: &str,
        now: Timestamp,
        fresh: bool,
    ) -> Result<Option<Arc<Connector>>> {
        let bundle_age = if fresh { SignedDuration::ZERO } else { TTL };
        let known = state.bundle.as_ref().filter(|(_, at)| now.duration_since(*at) < bundle_age).cloned();
        // Side by side: a cold instance pays one round trip for both.
        let (settings, bundle) = tokio::join!(self.repository.get(name), self.bundle(known, now));
        let (settings, bundle) = (settings?, bundle?);
        let connector =
            settings.map(|record| Arc::new(resolve(record.value, bundle.as_ref().map(|(b, _)| &**b))));
        state.bundle = bundle;
        if state.entries.len() >= MAX_ENTRIES {
            state.entries.retain(|_, entry| entry.connector.is_some());
        }
        if state.entries.len() < MAX_ENTRIES {
            state.entries.insert(name.to_owned(), Entry { connector: connector.clone(), read_at: now });
        }
        Ok(connector)
    }

    async fn bundle(
        &self,
        known: Option<(Arc<SecretBundle>, Timestamp)>,
        now: Timestamp,
    ) -> Result<Option<(Arc<SecretBundle>, Timestamp)>> {
        match (&self.secrets, known) {
            (None, _) => Ok(None),
            (_, Some(known)) => Ok(Some(known)),
            (Some((store, id)), None) => Ok(Some((Arc::new(store.bundle(id).await?), now))),
        }
    }
}

fn resolve(settings: ConnectorSettings, bundle: Option<&SecretBundle>) -> Connector {
    let secrets = settings
        .secrets
        .iter()
        .filter_map(|reference| {
            let secret = bundle?.get(&reference.reference)?.clone();
            Some((NamedSecret { name: reference.name.clone(), secret }, reference.event.clone()))
        })
        .collect();
    Connector { settings, secrets }
}
