//! The port through which a record becomes a document: in the built-in store, or on an ERPNext site.
//!
//! The chunk worker is the caller. A record is a [`Work`]: whatever is lost on the way, one document is made for it.

mod built_in;
mod site;
#[cfg(test)]
mod tests;

pub use built_in::BuiltInMaker;
pub use site::SiteMaker;

use std::collections::HashMap;

use async_trait::async_trait;

use super::Record;
use crate::{
    Error, ErrorCode, Result,
    documents::{Commit, Committed, DocType, DocumentKey, DocumentStore, Filters, Stored, Work},
};

/// What the records of a chunk have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The job: with the source it tells what was made before.
    pub job: String,
    /// The DocType of the sources.
    pub from: DocType,
    /// The DocType that is made.
    pub to: DocType,
    /// In whose name.
    pub user: String,
}

/// Sources that were read together, by name. What is not there is read one by one.
pub type Sources = HashMap<String, Option<Stored>>;

/// Makes documents of sources, each once for a job.
#[async_trait]
pub trait Maker: Send + Sync {
    /// How many records of a chunk are worked on at a time.
    fn at_once(&self) -> usize;

    /// Reads the sources of `records`, where that is cheaper together.
    async fn sources(&self, order: &Order, records: &[Record]) -> Result<Sources>;

    /// The name of the document that is made of `record`, now or before: for one job there is one, whatever breaks.
    async fn make(&self, order: &Order, record: &Record, sources: &Sources) -> Result<String>;

    /// The name of the document that was made of `record` for this job; `None` if none was.
    async fn made(&self, order: &Order, record: &Record, sources: &Sources) -> Result<Option<String>>;
}

/// What the record is, for stores: the same in each attempt.
fn work(order: &Order, record: &Record) -> Work {
    Work { id: format!("{}.{}", order.job, record.index), noted: None, among: Filters::default() }
}

/// The document that the record names.
fn source_key(order: &Order, record: &Record) -> Result<DocumentKey> {
    DocumentKey::new(order.from.as_str(), record.name.as_str())
}

/// Commits a new document, the first that `commit` writes, with all else it writes; the name that it has.
async fn commit_new(documents: &dyn DocumentStore, commit: Commit) -> Result<String> {
    match documents.commit(commit).await? {
        Committed::Now(made) => made
            .into_iter()
            .next()
            .flatten()
            .map(|document| document.key.name.to_string())
            .ok_or_else(|| Error::internal("a document that was made is none")),
        other => Err(Error::internal(format!("a commit that answers nothing was {other:?}"))),
    }
}

/// The error of a pair that nobody knows.
fn unknown_pair(order: &Order) -> Error {
    let detail = format!("no {} is made of a {} here", order.to, order.from);
    Error::new(ErrorCode::StoreUnsupported, detail)
}
