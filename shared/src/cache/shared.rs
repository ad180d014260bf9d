//! The ports of the cache: what all instances share, and what tells it of changes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Result, documents::DocType};

/// How often each of some DocTypes changed, as one text; equal if none of them changed in between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions(pub(super) String);

/// A result as all instances see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The result, JSON.
    pub body: String,
    /// When it was computed.
    pub computed_at: Timestamp,
    /// Until when it may be used.
    pub fresh_until: Timestamp,
    /// The versions that were read before it was computed.
    pub versions: Versions,
}

/// An entry, and what it has to be compared with, read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What is there; it may be stale.
    pub entry: Option<Entry>,
    /// The versions now.
    pub versions: Versions,
}

/// Results that all instances share.
#[async_trait]
pub trait SharedCache: Send + Sync {
    /// The entry under `key` with the versions of `doctypes`, read consistently.
    async fn read(&self, key: &str, doctypes: &[DocType]) -> Result<Snapshot>;

    /// The versions of `doctypes`, read consistently. No call where there are none.
    async fn versions(&self, doctypes: &[DocType]) -> Result<Versions>;

    /// Claims the computation of `key` as of `versions` until `until`; false while someone else has that claim.
    /// It is not given back: whoever comes finds the result, other versions, or after `until` no claim.
    async fn claim(&self, key: &str, versions: &Versions, now: Timestamp, until: Timestamp) -> Result<bool>;

    /// Stores `entry` under `key`, unless it is too large, which is no failure.
    async fn put(&self, key: &str, entry: &Entry) -> Result<()>;
}

/// Who is told that documents changed.
#[async_trait]
pub trait Invalidation: Send + Sync {
    /// Documents of `doctypes` were changed. Call it after whatever results are computed from shows the change,
    /// or a result computed in between is found until it expires. If it fails, call it again: twice does no harm.
    async fn changed(&self, doctypes: &BTreeSet<DocType>) -> Result<()>;
}
