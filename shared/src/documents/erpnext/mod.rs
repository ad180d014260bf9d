//! The document store in an ERPNext site, over its REST API.
//!
//! Business documents are the site's: it names them, checks them, computes their fields and decides what may be done.
//! What is ours stays small. A document of a *prepared* DocType (it has the two Custom Fields that the set-up adds)
//! carries a [mark](document::Mark) in a field of its own, so that its effect and what tells a repeat from it are one
//! transaction of the site; creation is recognised by a unique field. For all other DocTypes DynamoDB keeps it beside
//! them (the [`Ledger`]), with the windows that `docs/erpnext.md` names.
//!
//! [`commit`] looks whether the event has ended or the request was answered, has the effect made ([`create`],
//! [`update`], [`delete`], where a lost answer is looked up before anything is done again), and then writes the log
//! entry, the ledger and the receipt in one transaction. Whoever dies in between leaves an effect that its repeat
//! recognises. [`lookup`] finds documents, [`list`] has lists and counts.
//!
//! Causeway's own DocTypes are not here.

mod commit;
mod create;
mod delete;
mod document;
mod dynamo;
mod list;
mod lookup;
#[cfg(test)]
pub(crate) mod tests;
mod token;
mod unprepared;
mod update;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;

use self::dynamo::{Ledger, NewEntry};
use super::{
    Commit, Committed, Count, DocType, Document, DocumentKey, DocumentPlace, DocumentStore, Expect, Filters,
    ListQuery, Page, Stored, Work,
};
use crate::{Error, ErrorCode, Result, clock::Clock, config::Tables, erpnext::Site};

/// The document store in an ERPNext site.
pub struct ErpnextDocuments {
    site: Arc<Site>,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
}

/// What a write came to.
struct Effect {
    /// The document as it is then; `None` if it was deleted.
    document: Option<Document>,
    /// What the ledger is to say of it.
    entries: Vec<NewEntry>,
}

impl ErpnextDocuments {
    /// The store in `site`, with what is ours in `tables`.
    pub fn new(site: Arc<Site>, client: Client, tables: Tables, clock: Arc<dyn Clock>) -> Self {
        Self { site, ledger: Ledger::new(client, tables), clock }
    }
}

#[async_trait]
impl DocumentStore for ErpnextDocuments {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        if key.doctype.is_system() {
            return Ok(None);
        }
        self.find(key).await
    }

    async fn made(&self, doctype: &DocType, work: &Work) -> Result<Option<Document>> {
        self.made_for(doctype, work).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.documents(query).await
    }

    async fn list_places(&self, query: &ListQuery) -> Result<Page<DocumentPlace>> {
        self.places(query).await
    }

    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.count_of(doctype, filters).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.commit_all(commit).await
    }
}

/// What it means that a write found the document otherwise than it was expected to be.
fn conflict(expect: Expect) -> Error {
    match expect {
        Expect::Absent => Error::new(ErrorCode::DocumentExists, "a document of that name exists"),
        Expect::Revision(_) => Error::new(ErrorCode::RevisionConflict, "the document changed meanwhile"),
    }
}

fn unsupported(detail: &str) -> Error {
    Error::new(ErrorCode::StoreUnsupported, detail)
}
