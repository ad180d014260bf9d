//! Results that are costly to compute, kept for a while: in an instance's memory and, for all, in the State table.
//!
//! The API's handlers call [`Cache::get_or_compute`] with what the result depends on besides its arguments: the
//! caller's permissions, which are part of the key, and DocTypes, whose versions are kept with it. The
//! `document-events` function calls [`Invalidation::changed`] when documents of a DocType changed; from then on
//! no result that depends on it is found.
//!
//! Guaranteed: a result is at most its policy's time to live old, and was computed after the last change that
//! [`Invalidation::changed`] was told of, or, from an instance's own memory, after the last but those of the past
//! [`TRUSTED`]. A result is cached whatever it is: `null`, `false`, `[]` and `0` are results; a failure is none.
//! Within an instance one caller computes a key and the others wait for it; across instances so do those of a
//! policy with `single_flight`, for at most a second. Where State cannot be reached, every call computes.
//!
//! What it costs, in calls to DynamoDB: a hit in memory none, or after [`TRUSTED`] one that reads the versions only;
//! a hit in State one; a miss two, with `single_flight` three.

pub mod dynamo;
mod shared;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use self::shared::{Entry, Invalidation, SharedCache, Snapshot, Versions};
use crate::{
    Error, Result, bounded::Bounded, clock::Clock, documents::DocType, etag::ETag, id::digest, outage::Outage,
};

/// How long a result in an instance's memory is used without asking whether it still holds.
pub const TRUSTED: SignedDuration = SignedDuration::from_secs(5);
/// The time to live where a policy has no reason for another.
pub const DEFAULT_TTL: SignedDuration = SignedDuration::from_secs(300);
/// The time to live of reports, which cost more and are looked at by people.
pub const REPORT_TTL: SignedDuration = SignedDuration::from_secs(600);
/// The most DocTypes a result may depend on: they are read with it, in one call.
pub const MAX_DEPENDENCIES: usize = 20;
/// The most bytes of results that an instance keeps: a function has 256 MB.
const MAX_MEMORY_BYTES: usize = 8 * 1024 * 1024;
/// The most results that an instance keeps.
const MAX_MEMORY_ENTRIES: usize = 1_000;
/// How long State is not asked after a call to it failed.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// How long others take a computation that was begun to be going on.
const CLAIM: SignedDuration = SignedDuration::from_secs(10);
/// When an instance that waits for another's computation looks for it: 0.9 s in all, then it computes itself.
const WAITS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(500)];

/// How the results of one operation are cached.
#[derive(Debug, Clone, Copy)]
pub struct CachePolicy<'a> {
    /// The operation. Part of the key: change it when the same arguments are to give another kind of result.
    pub name: &'a str,
    /// How long a result may be used.
    pub ttl: SignedDuration,
    /// The DocTypes whose documents the result is computed from; at most [`MAX_DEPENDENCIES`].
    pub depends_on: &'a [DocType],
    /// Whether instances wait for one another on a miss: worth its write where computing is much work and many
    /// ask for the same at once (a report), not where each asks for something else (a search).
    pub single_flight: bool,
}

/// Where a result came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was computed for this call.
    Computed,
    /// This instance had it.
    Memory,
    /// Another instance had left it in State.
    Shared,
}

impl Source {
    /// The source as the log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Memory => "memory",
            Self::Shared => "shared",
        }
    }
}

/// A result.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The result as JSON text.
    pub body: Arc<str>,
    /// The body's strong tag.
    pub etag: ETag,
    /// When it was computed.
    pub computed_at: Timestamp,
    /// Until when it may be used.
    pub fresh_until: Timestamp,
    /// When it was last known to show every change.
    pub validated_at: Timestamp,
    /// Where it came from.
    pub source: Source,
}

impl Cached {
    /// The result as JSON.
    pub fn value(&self) -> Result<Value> {
        serde_json::from_str(&self.body).map_err(Error::internal)
    }

    /// The value of `Age`: the seconds since it was last validated, as RFC 9111 counts.
    pub fn age_seconds(&self, now: Timestamp) -> u64 {
        seconds(now.duration_since(self.validated_at))
    }

    /// The value of `Cache-Control`. A client may use the answer as long as an instance may without asking:
    /// longer would hide changes that the cache itself has seen. After that it asks, and gets a 304 if it can.
    pub fn cache_control(&self) -> String {
        let left = self.fresh_until.duration_since(self.validated_at).min(TRUSTED);
        format!("private, max-age={}", seconds(left))
    }
}

fn seconds(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_secs()).unwrap_or_default()
}

/// What an instance remembers of a result.
#[derive(Clone)]
struct Held {
    cached: Cached,
    versions: Versions,
}

/// The cache.
pub struct Cache {
    shared: Arc<dyn SharedCache>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Bounded<Held>>,
    flights: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    outage: Outage,
}

/// What a look into memory and State found.
enum Look {
    /// A result that holds.
    Hit(Cached),
    /// None; the versions that a result computed now shows at least, as of then.
    Miss(Versions, Timestamp),
}

impl Cache {
    /// A cache over `shared`.
    pub fn new(shared: Arc<dyn SharedCache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared,
            clock,
            memory: Mutex::new(Bounded::new(MAX_MEMORY_ENTRIES, MAX_MEMORY_BYTES)),
            flights: Mutex::default(),
            outage: Outage::none("the cache's table", PAUSE),
        }
    }

    /// The result of `policy`'s operation on `arguments` for whoever has `permissions` (a fingerprint of what
    /// they may see), from the cache or by `compute`. An error of `compute` is returned and not cached.
    ///
    /// `compute` has to see what was written before [`Invalidation::changed`] was called: let it read
    /// consistently, or from what is written before that call.
    pub async fn get_or_compute<F, R>(
        &self,
        policy: &CachePolicy<'_>,
        arguments: &[&str],
        permissions: &str,
        compute: F,
    ) -> Result<Cached>
    where
        F: FnOnce() -> R + Send,
        R: Future<Output = Result<Value>> + Send,
    {
        if policy.depends_on.len() > MAX_DEPENDENCIES {
            return Err(Error::internal(format!("{} depends on too many DocTypes", policy.name)));
        }
        let key = key(policy, arguments, permissions);
        if let Some(cached) = self.trusted(&key) {
            return Ok(cached);
        }
        let flight = self.flight(&key);
        let _computing = flight.lock().await;
        if let Some(cached) = self.trusted(&key) {
            return Ok(cached);
        }
        match self.look_or_wait(policy, &key).await {
            Some(Look::Hit(cached)) => Ok(cached),
            Some(Look::Miss(versions, at)) => {
                let cached = computed(policy, &compute().await?, at);
                self.keep(&key, &cached, versions).await;
                Ok(cached)
            }
            None => Ok(computed(policy, &compute().await?, self.clock.now())),
        }
    }

    /// What memory and State have; none if State cannot be reached.
    async fn look_or_wait(&self, policy: &CachePolicy<'_>, key: &str) -> Option<Look> {
        let now = self.clock.now();
        if self.outage.is_on(now) {
            return None;
        }
        let found = match self.look(policy, key).await {
            Ok(Look::Miss(versions, at)) if policy.single_flight => {
                self.wait_for_others(policy, key, versions, at).await
            }
            found => found,
        };
        match found {
            Ok(look) => {
                self.outage.answered();
                Some(look)
            }
            Err(error) => {
                self.outage.failed(now, &error);
                None
            }
        }
    }

    async fn look(&self, policy: &CachePolicy<'_>, key: &str) -> Result<Look> {
        let now = self.clock.now();
        let held = lock(&self.memory).get(key, now).cloned();
        if let Some(held) = held
            && self.shared.versions(policy.depends_on).await? == held.versions
        {
            return Ok(Look::Hit(self.remember(key, held, now, Source::Memory)));
        }
        self.look_in_state(policy, key).await
    }

    async fn look_in_state(&self, policy: &CachePolicy<'_>, key: &str) -> Result<Look> {
        let now = self.clock.now();
        let Snapshot { entry, versions } = self.shared.read(key, policy.depends_on).await?;
        // DynamoDB deletes late, so what is over may still be there.
        match entry.filter(|entry| now < entry.fresh_until && entry.versions == versions) {
            None => Ok(Look::Miss(versions, now)),
            Some(entry) => {
                let cached = Cached {
                    etag: ETag::of(entry.body.as_bytes()),
                    body: entry.body.into(),
                    computed_at: entry.computed_at,
                    fresh_until: entry.fresh_until,
                    validated_at: now,
                    source: Source::Shared,
                };
                let held = Held { cached, versions };
                Ok(Look::Hit(self.remember(key, held, now, Source::Shared)))
            }
        }
    }

    /// Claims the computation of `key`; if another instance did, waits a little for its result.
    async fn wait_for_others(
        &self,
        policy: &CachePolicy<'_>,
        key: &str,
        versions: Versions,
        at: Timestamp,
    ) -> Result<Look> {
        let until = at.saturating_add(CLAIM.min(policy.ttl)).unwrap_or(at);
        if self.shared.claim(key, &versions, at, until).await? {
            return Ok(Look::Miss(versions, at));
        }
        let mut look = Look::Miss(versions, at);
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            look = self.look_in_state(policy, key).await?;
            if matches!(look, Look::Hit(_)) {
                break;
            }
        }
        Ok(look)
    }

    /// The result in memory, if it needs no question.
    fn trusted(&self, key: &str) -> Option<Cached> {
        let now = self.clock.now();
        let mut memory = lock(&self.memory);
        let held = memory.get(key, now)?;
        let trusted = now.duration_since(held.cached.validated_at) < TRUSTED;
        trusted.then(|| Cached { source: Source::Memory, ..held.cached.clone() })
    }

    /// Keeps a result that was computed, here and for the others.
    async fn keep(&self, key: &str, cached: &Cached, versions: Versions) {
        let entry = Entry {
            body: cached.body.to_string(),
            computed_at: cached.computed_at,
            fresh_until: cached.fresh_until,
            versions: versions.clone(),
        };
        if let Err(error) = self.shared.put(key, &entry).await {
            self.outage.failed(self.clock.now(), &error);
        }
        let held = Held { cached: cached.clone(), versions };
        self.remember(key, held, cached.validated_at, Source::Computed);
    }

    /// Keeps a result that held at `now` in memory.
    fn remember(&self, key: &str, mut held: Held, now: Timestamp, source: Source) -> Cached {
        held.cached.validated_at = now;
        held.cached.source = source;
        let (cached, weight) = (held.cached.clone(), held.cached.body.len());
        lock(&self.memory).insert(key.to_owned(), held, weight, cached.fresh_until, now);
        cached
    }

    /// What callers for `key` in this instance take turns by.
    fn flight(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = lock(&self.flights);
        // Those that nobody holds any more, also where a caller gave up.
        flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        Arc::clone(flights.entry(key.to_owned()).or_default())
    }
}

/// A result that was computed from what there was at `at`.
fn computed(policy: &CachePolicy<'_>, result: &Value, at: Timestamp) -> Cached {
    let body = result.to_string();
    Cached {
        etag: ETag::of(body.as_bytes()),
        body: body.into(),
        computed_at: at,
        fresh_until: at.saturating_add(policy.ttl).unwrap_or(at),
        validated_at: at,
        source: Source::Computed,
    }
}

/// The key of a result: who may not see the same gets another, and so does who asks for something else.
fn key(policy: &CachePolicy<'_>, arguments: &[&str], permissions: &str) -> String {
    let mut depends_on: Vec<&str> = policy.depends_on.iter().map(DocType::as_str).collect();
    depends_on.sort_unstable();
    let counts = [depends_on.len(), arguments.len()].map(|count| count.to_string());
    let texts = [policy.name, permissions].into_iter().chain(counts.iter().map(String::as_str));
    let parts: Vec<&[u8]> =
        texts.chain(depends_on).chain(arguments.iter().copied()).map(str::as_bytes).collect();
    BASE64_URL_SAFE_NO_PAD.encode(digest(&parts))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
