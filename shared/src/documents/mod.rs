//! Documents: ERPNext's unit of data, and the one trait behind which they live.
//!
//! A [`DocumentStore`] is the built-in one on DynamoDB ([`dynamo`]) or an ERPNext site ([`erpnext`]). Callers read a
//! document, decide on [`Write`]s and [`commit`](DocumentStore::commit) them together with the record of what they
//! answer, an event or a request ([`receipt`]): both happen, or neither. Routes do so through the [`Editor`], the event
//! worker by itself.

mod column;
#[cfg(test)]
mod contract;
pub mod dynamo;
mod editing;
pub mod erpnext;
mod filter;
mod key;
mod list;
pub mod receipt;
mod records;
mod selection;
mod series;
mod work;

pub use editing::{Changes, Created, Dialect, Editor, Expected, NewDocument};
pub use filter::{Filter, Filters, MAX_FILTERS, MAX_VALUES, Operand, Operator};
pub use key::{DocName, DocType, DocumentKey};
pub use list::{Count, DocumentPlace, ListQuery, MAX_COUNT, MAX_OFFSET, MAX_PAGE, Order, OrderBy, Page};
pub use receipt::{Answer, IdempotencyKey, Receipt};
pub use records::{Record, Recorded, Records, Saved};
pub use selection::Selection;
pub use series::Series;
pub use work::Work;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::future::try_join_all;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Another one after each change; the optimistic lock.
    pub revision: u64,
    /// The fields that are its own.
    pub fields: Fields,
    /// Which version of each source it shows.
    pub applied: Applied,
    /// What it shows the effect of, oldest first, where its store keeps that with the document: events and requests, if it
    /// cannot write it and the Integration Log in one transaction; works that are noted here; as many as it keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
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
    /// The document that is replaced: what stays of it (creation, owner), what the new one must be later than, and
    /// for a store that is told changes, what changed. `None` for a new one.
    pub replaces: Option<Box<Document>>,
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
        let replaces = match stored {
            Some(Stored::Live(document)) => Some(Box::new(document.clone())),
            _ => None,
        };
        Self {
            target,
            expect: stored.map_or(Expect::Absent, |stored| Expect::Revision(stored.revision())),
            change,
            applied,
            replaces,
            actor: actor.to_owned(),
        }
    }

    /// Whether the write makes a document exist that did not.
    pub fn creates(&self) -> bool {
        self.replaces.is_none() && matches!(self.change, Change::Put { .. })
    }
}

/// Writes and the event they answer: all of it happens, or none.
#[derive(Debug, Clone)]
pub struct Commit {
    /// At most [`MAX_WRITES`], each to another document.
    pub writes: Vec<Write>,
    /// The event that is done with these writes, if they answer one.
    pub event: Option<EventCompletion>,
    /// What a repeat of the request is recognised by and answered with, if it may be repeated.
    pub receipt: Option<Receipt>,
    /// The work that is done by creating the first write's document, if it is one that is done once.
    pub work: Option<Work>,
}

impl Commit {
    /// One write that answers no event.
    pub fn of(write: Write) -> Self {
        Self { writes: vec![write], event: None, receipt: None, work: None }
    }
}

/// The largest document, in bytes of JSON: an answer of the API holds it whole (Lambda's limit is 6 MB, and its
/// answer escapes the JSON once more).
pub const MAX_DOCUMENT_BYTES: usize = 5 * 512 * 1024;

/// A page ends early, with a cursor, when its documents together are larger than this, in bytes.
pub const MAX_PAGE_BYTES: usize = 5 * 512 * 1024;

/// Documents that are read side by side where a store cannot read them together.
const READ_AT_ONCE: usize = 8;

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
    /// The same request happened before; nothing was written. Its answer.
    Answered(Answer),
}

/// Where documents live. Every implementation passes the same contract (`documents::contract`).
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// What is under `key`, read consistently; `None` if nothing ever was.
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>>;

    /// What is under each of `keys`, in their order, read consistently; cheaper than one by one where a store can.
    async fn read_many(&self, keys: &[DocumentKey]) -> Result<Vec<Option<Stored>>> {
        let mut found = Vec::with_capacity(keys.len());
        for some in keys.chunks(READ_AT_ONCE) {
            let reads: Vec<_> = some.iter().map(|key| self.read(key)).collect();
            found.extend(try_join_all(reads).await?);
        }
        Ok(found)
    }

    /// The document of `doctype` that a commit of `work` created, as far as the store itself recognises works by their
    /// ids: where another document notes them, that one is to be read.
    ///
    /// Fails with `outcome_unknown` while an attempt at it may be under way.
    async fn made(&self, _doctype: &DocType, _work: &Work) -> Result<Option<Document>> {
        Ok(None)
    }

    /// Documents of one DocType in the order asked for, ties of `modified` in the order of their names. A document
    /// that changes while pages are read may be seen twice or at its new place, never lost from both.
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>>;

    /// The same list where names and `modified` are all that is wanted: cheaper where a store can tell them without
    /// reading the documents.
    async fn list_places(&self, query: &ListQuery) -> Result<Page<DocumentPlace>> {
        Ok(self.list(query).await?.map(|document| document.place()))
    }

    /// How many documents of `doctype` there are that `filters` ask for.
    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count>;

    /// All of `commit`, or nothing.
    ///
    /// Fails with `revision_conflict` when an expectation no longer holds or another write was in the way:
    /// read again and decide anew. Fails with `document_exists` when [`Expect::Absent`] finds something. With a
    /// receipt, fails with `idempotency_in_flight` when another commit of the same request is under way, and with
    /// `idempotency_key_reused` when its key was another request's.
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
    /// Where it stands in a list.
    pub fn place(&self) -> DocumentPlace {
        DocumentPlace { key: self.key.clone(), modified: self.modified }
    }

    /// Its `field`, as [`to_json`](Self::to_json) has it; null if it has none.
    pub fn value(&self, field: &str) -> Value {
        match field {
            "doctype" => self.key.doctype.as_str().into(),
            "name" => self.key.name.as_str().into(),
            "docstatus" => u8::from(self.docstatus).into(),
            "creation" => crate::clock::rfc3339(self.creation).into(),
            "owner" => self.owner.as_str().into(),
            "modified" => crate::clock::rfc3339(self.modified).into(),
            "modified_by" => self.modified_by.as_str().into(),
            "revision" => self.revision.into(),
            field => self.fields.get(field).cloned().unwrap_or_default(),
        }
    }

    /// The document as the API and mappings see it: its fields, flat, with the ones every document has.
    pub fn to_json(&self) -> Value {
        let mut flat = Map::with_capacity(self.fields.len() + SYSTEM_FIELDS.len());
        let (first, last) = SYSTEM_FIELDS.split_at(2);
        flat.extend(first.iter().map(|field| ((*field).to_owned(), self.value(field))));
        flat.extend(self.fields.clone());
        flat.extend(last.iter().map(|field| ((*field).to_owned(), self.value(field))));
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
