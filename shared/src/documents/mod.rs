//! Documents: ERPNext's unit of data, and the one trait behind which they live.
//!
//! A [`DocumentStore`] is, for now, the built-in one on DynamoDB ([`dynamo`]). Callers (the
//! event worker, the API) read a document, decide on [`Write`]s and [`commit`](DocumentStore::commit) them
//! together with the record of the event they answer: both happen, or neither.

#[cfg(test)]
mod contract;
pub mod dynamo;
mod key;
mod records;
mod series;

pub use key::{DocName, DocType, DocumentKey};
pub use records::{Record, Recorded, Records, Saved};
pub use series::Series;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, ErrorCode, Result, integration_log::EventCompletion};

/// A document's fields, flat, without the ones every document has (see [`Document`]).
pub type Fields = Map<String, Value>;

/// ERPNext's document status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum DocStatus {
    /// May be edited and deleted.
    #[default]
    Draft,
    /// Final; may only be cancelled (or updated by the system it is mirrored from).
    Submitted,
    /// Void; may be deleted.
    Cancelled,
}

impl TryFrom<u8> for DocStatus {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        match value {
            0 => Ok(Self::Draft),
            1 => Ok(Self::Submitted),
            2 => Ok(Self::Cancelled),
            other => Err(format!("docstatus is 0, 1 or 2, not {other}")),
        }
    }
}

impl From<DocStatus> for u8 {
    fn from(value: DocStatus) -> Self {
        value as Self
    }
}

/// The version of its source that a document shows, by source (a connector's name). It is what makes a late
/// event recognisable.
pub type Applied = BTreeMap<String, Timestamp>;

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// DocType and name.
    pub key: DocumentKey,
    /// Draft, submitted or cancelled.
    pub docstatus: DocStatus,
    /// When the store changed it last, UTC, microseconds; strictly increasing per document.
    pub modified: Timestamp,
    /// Who changed it last.
    pub modified_by: String,
    /// When the store first had it.
    pub creation: Timestamp,
    /// Who created it.
    pub owner: String,
    /// Counts the changes from 1; the optimistic lock.
    pub revision: u64,
    /// The fields that are its own.
    pub fields: Fields,
    /// Which version of each source it shows.
    pub applied: Applied,
}

/// What is left of a deleted document, so that a late event cannot bring it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// DocType and name.
    pub key: DocumentKey,
    /// The revision of the deletion.
    pub revision: u64,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Which version of each source it had.
    pub applied: Applied,
}

/// What the store has under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// A document.
    Live(Document),
    /// It was deleted.
    Deleted(Tombstone),
}

impl Stored {
    /// The revision of the document or of its deletion.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Live(document) => document.revision,
            Self::Deleted(tombstone) => tombstone.revision,
        }
    }

    /// The source versions it shows.
    pub fn applied(&self) -> &Applied {
        match self {
            Self::Live(document) => &document.applied,
            Self::Deleted(tombstone) => &tombstone.applied,
        }
    }
}

/// Which document a write is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The one of this name.
    Named(DocumentKey),
    /// A new one, named by the store from a series as ERPNext does (`SAL-ORD-.YYYY.-`).
    Series {
        /// Its DocType.
        doctype: DocType,
        /// The series.
        series: Series,
        /// Numbers are taken in blocks of this size, which a crash leaves as a gap; 1: without gaps.
        block: u32,
    },
}

impl Target {
    /// The key, if it is known before the commit.
    pub fn key(&self) -> Option<&DocumentKey> {
        match self {
            Self::Named(key) => Some(key),
            Self::Series { .. } => None,
        }
    }
}

/// What the writer knows of the document's present state; the commit fails when it is no longer so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is nothing under the key.
    Absent,
    /// It has this revision (of the document or of its tombstone).
    Revision(u64),
}

/// The new state of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// All its fields and its status.
    Put {
        /// Every field of the document after the write.
        fields: Fields,
        /// Its status after the write.
        docstatus: DocStatus,
    },
    /// It is deleted; a tombstone stays for 90 days.
    Delete,
}

/// One write to one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Which document.
    pub target: Target,
    /// What the writer saw. [`Target::Series`] goes with [`Expect::Absent`].
    pub expect: Expect,
    /// What becomes of it.
    pub change: Change,
    /// The source versions the document shows after the write.
    pub applied: Applied,
    /// Creation time and owner of the document that is replaced; `None` for a new one.
    pub created: Option<(Timestamp, String)>,
    /// The `modified` of the document that is replaced, so that the new one is later.
    pub previous_modified: Option<Timestamp>,
    /// Who writes.
    pub actor: String,
}

impl Write {
    /// A write over what is `stored` under the target: it expects that, and keeps its creation and order in time.
    pub fn over(
        target: Target,
        stored: Option<&Stored>,
        change: Change,
        applied: Applied,
        actor: &str,
    ) -> Self {
        let live = match stored {
            Some(Stored::Live(document)) => Some(document),
            _ => None,
        };
        Self {
            target,
            expect: stored.map_or(Expect::Absent, |stored| Expect::Revision(stored.revision())),
            change,
            applied,
            created: live.map(|document| (document.creation, document.owner.clone())),
            previous_modified: live.map(|document| document.modified),
            actor: actor.to_owned(),
        }
    }

    /// Whether the write makes a document exist that did not.
    pub fn creates(&self) -> bool {
        self.created.is_none() && matches!(self.change, Change::Put { .. })
    }
}

/// Writes and the event they answer: all of it happens, or none.
#[derive(Debug, Clone)]
pub struct Commit {
    /// At most [`MAX_WRITES`], each to another document.
    pub writes: Vec<Write>,
    /// The event that is done with these writes, if they answer one.
    pub event: Option<EventCompletion>,
}

/// The largest document, in bytes of JSON: an answer of the API holds it whole (Lambda's limit is 6 MB, and its
/// answer escapes the JSON once more).
pub const MAX_DOCUMENT_BYTES: usize = 5 * 512 * 1024;

/// A page ends early, with a cursor, when its documents together are larger than this, in bytes.
pub const MAX_PAGE_BYTES: usize = 5 * 512 * 1024;

/// The most documents one commit may write.
pub const MAX_WRITES: usize = 50;

/// What became of a commit that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// It happened now. The documents as they are after it, in the order of the writes; `None` where deleted.
    Now(Vec<Option<Document>>),
    /// The event had ended before; nothing was written.
    Before,
    /// The event is parked; nothing was written. Commit again with `release_parked` set on the completion.
    Parked,
}

/// Which documents, in which direction.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The DocType.
    pub doctype: DocType,
    /// At most this many, 1 to 500.
    pub limit: usize,
    /// Newest `modified` first, or oldest first.
    pub newest_first: bool,
    /// Where the last page ended, as it said itself.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The things.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// Where documents live. Every implementation passes the same contract (`documents::contract`).
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// What is under `key`, read consistently; `None` if nothing ever was.
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>>;

    /// Documents of one DocType in the order of `modified`, ties in the order of their names. A document that
    /// changes while pages are read may be seen twice or at its new place, never lost from both.
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>>;

    /// All of `commit`, or nothing.
    ///
    /// Fails with `revision_conflict` when an expectation no longer holds or another write was in the way:
    /// read again and decide anew. Fails with `document_exists` when [`Expect::Absent`] finds something.
    async fn commit(&self, commit: Commit) -> Result<Committed>;

    /// The document under `key`; `None` if it does not exist or was deleted.
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>> {
        Ok(match self.read(key).await? {
            Some(Stored::Live(document)) => Some(document),
            _ => None,
        })
    }
}

impl Document {
    /// The document as the API and mappings see it: its fields, flat, with the ones every document has.
    pub fn to_json(&self) -> Value {
        let mut flat = Map::with_capacity(self.fields.len() + SYSTEM_FIELDS.len());
        flat.insert("doctype".into(), self.key.doctype.as_str().into());
        flat.insert("name".into(), self.key.name.as_str().into());
        flat.extend(self.fields.clone());
        flat.insert("docstatus".into(), u8::from(self.docstatus).into());
        flat.insert("creation".into(), crate::clock::rfc3339(self.creation).into());
        flat.insert("owner".into(), self.owner.as_str().into());
        flat.insert("modified".into(), crate::clock::rfc3339(self.modified).into());
        flat.insert("modified_by".into(), self.modified_by.as_str().into());
        flat.insert("revision".into(), self.revision.into());
        Value::Object(flat)
    }
}

/// The names of the fields every document has; they are set by the store alone.
pub const SYSTEM_FIELDS: [&str; 8] =
    ["doctype", "name", "docstatus", "creation", "owner", "modified", "modified_by", "revision"];

/// The error of a write to a document that is not there.
pub fn not_found(key: &DocumentKey) -> Error {
    Error::new(ErrorCode::DocumentNotFound, format!("{key} does not exist"))
}
