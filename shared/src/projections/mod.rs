//! Projections: read models that follow the documents, for the questions that DynamoDB cannot answer from them.
//!
//! Each change of a document reaches the `document-events` function on the table's stream ([`batch`]); the
//! [`Projector`] asks the [`Projection`]s of its DocType, which are pure functions, for what the document
//! contributes ([`contribution`]), and writes the difference to what it contributed before. [`items`] and
//! [`sales`] read what is there.
//!
//! Guaranteed, whatever the stream repeats or reorders, and wherever a process dies: a read model shows each
//! document exactly once, in the newest revision that was applied, because one transaction writes the rows and
//! the item that says which revision they are of. It follows by a second or so. A document that cannot be
//! projected is parked as dead with the reason, can be replayed, and holds up no other.

pub mod batch;
pub mod contribution;
pub mod dynamo;
mod fields;
pub mod items;
mod key;
mod projector;
pub mod sales;
#[cfg(test)]
mod tests;

pub use projector::{Outcome, Projector};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::contribution::{Mark, Operation, Piece, RowKey};
use crate::{
    Result,
    documents::{DocType, Document, DocumentKey},
};

/// How one DocType's documents become rows: a pure function of the document.
pub struct Projection {
    /// Its name, in keys and parked items.
    pub name: &'static str,
    /// The DocType it reads.
    pub doctype: &'static str,
    /// Raise it when the function changes: then a document is written anew although its revision is not.
    pub version: u32,
    /// What a document contributes; an error with the code `projection_failed` if it cannot be read.
    pub pieces: fn(&Document) -> Result<Vec<Piece>>,
    /// Documents with the same lane add to the same sums: within a batch they are applied one after the other,
    /// so that their transactions do not meet. By default each document has its own.
    pub lane: Option<fn(&Document) -> String>,
}

/// Every projection; at most one for a DocType.
pub static PROJECTIONS: [Projection; 5] =
    [items::ITEMS, items::PRICES, items::STOCK, items::GROUPS, sales::INVOICES];

/// The projection called `name`.
pub fn projection(name: &str) -> Option<&'static Projection> {
    PROJECTIONS.iter().find(|projection| projection.name == name)
}

/// The projection that reads `doctype`.
pub fn projection_of(doctype: &DocType) -> Option<&'static Projection> {
    PROJECTIONS.iter().find(|projection| projection.doctype == doctype.as_str())
}

/// The DocTypes that cached results are computed from: those of the projections, and what searches read besides.
pub fn derived_from() -> impl Iterator<Item = &'static str> {
    PROJECTIONS.iter().map(|projection| projection.doctype).chain([items::PROFILES])
}

/// A change of a document that a projection could not follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentChange {
    /// The projection's name.
    pub projection: String,
    /// The document.
    pub document: DocumentKey,
    /// The revision that could not be projected; a replay takes the one that is there then.
    pub revision: u64,
}

/// What was applied of a document last.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The document's revision.
    pub revision: u64,
    /// The version of the projection that made the rows.
    pub version: u32,
    /// What the document contributes since.
    pub marks: Vec<Mark>,
    /// Whether a later revision is parked, because it could not be projected.
    pub parked: bool,
}

/// The step from what was applied to what is to be: all of it is written, or nothing.
#[derive(Debug, Clone)]
pub struct Step {
    /// The projection's name.
    pub projection: &'static str,
    /// The document.
    pub document: DocumentKey,
    /// The revision that was applied when the step was decided; `None` if none was. The step fails if that changed.
    pub seen: Option<u64>,
    /// What is applied with it.
    pub applied: Applied,
    /// The changes to the read models.
    pub operations: Vec<Operation>,
    /// The parked item that the step settles.
    pub releases: Option<String>,
    /// From when nobody needs to know what was applied, in seconds since 1970: for deleted documents.
    pub expires: Option<i64>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// It is written.
    Done,
    /// Another one was applied meanwhile: decide anew.
    Overtaken,
    /// Other transactions were in the way: try it again.
    Busy,
}

/// A range of rows.
#[derive(Debug, Clone)]
pub struct Range {
    /// The partition.
    pub partition: String,
    /// The lowest place, inclusive; not empty.
    pub low: String,
    /// The highest place, inclusive.
    pub high: String,
    /// Only places after this one.
    pub after: Option<String>,
    /// At most this many rows; there may be more even if fewer come.
    pub limit: usize,
}

/// A row as it was read, its values as text.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// Where it is.
    pub key: RowKey,
    /// Its values by name.
    pub values: std::collections::BTreeMap<String, String>,
}

/// Rows of a range, and whether there may be more.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The rows, in the order of their places.
    pub rows: Vec<StoredRow>,
    /// Whether the range may have more.
    pub more: bool,
}

/// Where read models are kept.
#[async_trait]
pub trait ReadModels: Send + Sync {
    /// What was applied of `document` last, read consistently; `None` if nothing was, or nobody needs to know.
    async fn applied(&self, projection: &str, document: &DocumentKey) -> Result<Option<Applied>>;

    /// Writes `step`, all of it or nothing.
    async fn step(&self, step: &Step) -> Result<Stepped>;

    /// Notes that a revision of `document` is parked, so that the next step settles it.
    async fn note_parked(&self, projection: &str, document: &DocumentKey) -> Result<()>;

    /// Rows of one partition, read consistently: what is computed from them is cached, and dropped once they were
    /// written.
    async fn rows(&self, range: &Range) -> Result<Rows>;

    /// The rows under `keys` that exist, read consistently, in any order.
    async fn get(&self, keys: Vec<RowKey>) -> Result<Vec<StoredRow>>;
}
