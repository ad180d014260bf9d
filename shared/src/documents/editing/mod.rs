//! Reading and changing documents on behalf of a user: what v2's and v1's routes have in common.
//!
//! A route reads its input into a [`NewDocument`] or [`Changes`] and calls the [`Editor`], which asks for the
//! permission, keeps ERPNext's rules of docstatus, and holds what the caller has seen against what is stored.
//! Whoever creates also frees what waited for the document ([`Release`](crate::parking::Release)), after
//! [`Editor::create`] and on its repeats too: the first may have died in between.
//!
//! Docstatus: a draft is edited, deleted, or submitted with the same change; a submitted document is only
//! cancelled; a cancelled one is only deleted. What changes nothing writes nothing and succeeds, so that a submit may
//! be repeated (ERPNext moves `modified` there; here it stays).

mod changes;
mod many;
mod new;
#[cfg(test)]
mod tests;

pub(super) use changes::same;
pub use changes::{Changes, Expected};
pub use new::NewDocument;

use std::sync::Arc;

use serde_json::Value;

use self::changes::Planned;
use super::{
    Applied, Change, Commit, Committed, Count, DocStatus, DocType, Document, DocumentKey, DocumentStore,
    Filters, ListQuery, Page, Receipt, Selection, Stored, Target, Write, not_found,
};
use crate::{
    Error, ErrorCode, Result,
    auth::{Permission, Principal, permit},
    clock::Clock,
};

/// How often a commit is tried that another one was in the way of, or whose generated name was taken.
const MAX_COMMITS: usize = 5;

/// The source, among those a document shows versions of, that stands for the API.
const SOURCE: &str = "api";

/// How input is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// What the store sets itself is refused.
    Strict,
    /// As Frappe's clients send documents: whole, as they got them. What the store sets itself and what begins with
    /// `__` is ignored, and `modified` says which version was seen.
    Frappe,
}

/// Documents, for users.
#[derive(Clone)]
pub struct Editor {
    documents: Arc<dyn DocumentStore>,
    clock: Arc<dyn Clock>,
}

/// A document that was created.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// It, as it was then.
    pub document: Document,
    /// Whether an earlier request with the same receipt created it.
    pub repeat: bool,
}

impl Editor {
    /// An editor of what is in `documents`.
    pub fn new(documents: Arc<dyn DocumentStore>, clock: Arc<dyn Clock>) -> Self {
        Self { documents, clock }
    }

    /// The document under `key`.
    pub async fn get(&self, who: &Principal, key: &DocumentKey) -> Result<Document> {
        permit(who, Permission::Read(&key.doctype))?;
        self.documents.get(key).await?.ok_or_else(|| not_found(key))
    }

    /// A page of what `query` asks for, of each document what `selection` shows.
    pub async fn list(
        &self,
        who: &Principal,
        query: &ListQuery,
        selection: &Selection,
    ) -> Result<Page<Value>> {
        permit(who, Permission::Read(&query.doctype))?;
        if selection.needs_documents() {
            let page = self.documents.list(query).await?;
            return Ok(page.map(|document| selection.of(&document)));
        }
        let page = self.documents.list_places(query).await?;
        Ok(page.map(|place| selection.of_place(&place)))
    }

    /// How many documents of `doctype` the filters ask for.
    pub async fn count(&self, who: &Principal, doctype: &DocType, filters: &Filters) -> Result<Count> {
        permit(who, Permission::Read(doctype))?;
        self.documents.count(doctype, filters).await
    }

    /// Creates `new`, named by its name, by its series or at random. With a receipt, a repeat gets the document as
    /// it was created.
    pub async fn create(
        &self,
        who: &Principal,
        new: &NewDocument,
        receipt: Option<Receipt>,
    ) -> Result<Created> {
        permit(who, Permission::Create(&new.doctype))?;
        if new.docstatus != DocStatus::Draft {
            permit(who, Permission::Submit(&new.doctype))?;
        }
        let mut deleted: Option<Stored> = None;
        let mut obstacle = None;
        for _ in 0..MAX_COMMITS {
            let target = new.target()?;
            let key = new.name.is_some().then(|| target.key().cloned()).flatten();
            let change = Change::Put { fields: new.fields.clone(), docstatus: new.docstatus };
            let write =
                Write::over(target, deleted.as_ref(), change, self.applied(deleted.as_ref()), &who.user);
            let error =
                match self.documents.commit(Commit { receipt: receipt.clone(), ..Commit::of(write) }).await {
                    Ok(Committed::Now(documents)) => return created(documents, false),
                    Ok(Committed::Answered(answer)) => return created(answer.documents, true),
                    Ok(_) => return Err(uncalled_for()),
                    Err(error) => error,
                };
            if !matches!(error.code(), ErrorCode::DocumentExists | ErrorCode::RevisionConflict) {
                return Err(error);
            }
            if let Some(key) = key {
                // A tombstone may be replaced, and keeps its versions, so that late events of its source are still late.
                match self.documents.read(&key).await? {
                    Some(Stored::Live(_)) => {
                        let detail = "a document of that name exists";
                        return Err(Error::new(ErrorCode::DocumentExists, detail));
                    }
                    stored => deleted = stored,
                }
            }
            obstacle = Some(error);
        }
        Err(gave_up(obstacle))
    }

    /// Makes `changes` to the document under `key`, and returns it as it is then. Without an expectation of the
    /// caller's, what others change at the same time in other fields is kept.
    pub async fn update(&self, who: &Principal, key: &DocumentKey, changes: &Changes) -> Result<Document> {
        permit(who, changes.permission(&key.doctype))?;
        let mut conflict = None;
        for _ in 0..MAX_COMMITS {
            let stored = self.stored(key).await?;
            let Stored::Live(document) = &stored else { return Err(not_found(key)) };
            let change = match changes.plan(document)? {
                Planned::Nothing => return Ok(document.clone()),
                Planned::Put { fields, docstatus } => {
                    if docstatus != document.docstatus {
                        permit(who, Permission::Submit(&key.doctype))?;
                    }
                    Change::Put { fields, docstatus }
                }
            };
            match self.write(who, key, &stored, change).await {
                Ok(changed) => {
                    return changed.ok_or_else(|| Error::internal("a change left no document"));
                }
                Err(error) if error.code() == ErrorCode::RevisionConflict => conflict = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(gave_up(conflict))
    }

    /// Submits the document under `key`. One that is submitted stays as it is.
    pub async fn submit(
        &self,
        who: &Principal,
        key: &DocumentKey,
        expected: Option<Expected>,
    ) -> Result<Document> {
        self.update(who, key, &Changes::to_status(DocStatus::Submitted).expecting(expected)).await
    }

    /// Cancels the document under `key`, which must be submitted. One that is cancelled stays as it is.
    pub async fn cancel(
        &self,
        who: &Principal,
        key: &DocumentKey,
        expected: Option<Expected>,
    ) -> Result<Document> {
        self.update(who, key, &Changes::to_status(DocStatus::Cancelled).expecting(expected)).await
    }

    /// Deletes the document under `key`, unless it is submitted.
    pub async fn delete(&self, who: &Principal, key: &DocumentKey, expected: Option<Expected>) -> Result<()> {
        permit(who, Permission::Delete(&key.doctype))?;
        let mut conflict = None;
        for _ in 0..MAX_COMMITS {
            let stored = self.stored(key).await?;
            let Stored::Live(document) = &stored else { return Err(not_found(key)) };
            if let Some(expected) = &expected {
                expected.check(document)?;
            }
            if document.docstatus == DocStatus::Submitted {
                let detail = format!("{key} is submitted: cancel it before you delete it");
                return Err(Error::new(ErrorCode::DocstatusForbids, detail));
            }
            match self.write(who, key, &stored, Change::Delete).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code() == ErrorCode::RevisionConflict => conflict = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(gave_up(conflict))
    }

    async fn stored(&self, key: &DocumentKey) -> Result<Stored> {
        self.documents.read(key).await?.ok_or_else(|| not_found(key))
    }

    async fn write(
        &self,
        who: &Principal,
        key: &DocumentKey,
        stored: &Stored,
        change: Change,
    ) -> Result<Option<Document>> {
        let target = Target::Named(key.clone());
        let write = Write::over(target, Some(stored), change, self.applied(Some(stored)), &who.user);
        match self.documents.commit(Commit::of(write)).await? {
            Committed::Now(mut documents) => Ok(documents.pop().flatten()),
            _ => Err(uncalled_for()),
        }
    }

    /// The versions of sources that a document shows after a write over what is `stored`.
    fn applied(&self, stored: Option<&Stored>) -> Applied {
        let mut applied = stored.map(|stored| stored.applied().clone()).unwrap_or_default();
        applied.insert(SOURCE.to_owned(), self.clock.now());
        applied
    }
}

fn created(documents: Vec<Option<Document>>, repeat: bool) -> Result<Created> {
    match documents.into_iter().next().flatten() {
        Some(document) => Ok(Created { document, repeat }),
        // Its answer was too large to be kept, and it is gone.
        None if repeat => {
            Err(Error::new(ErrorCode::DocumentNotFound, "the document was created and deleted since"))
        }
        None => Err(Error::internal("nothing was created")),
    }
}

fn uncalled_for() -> Error {
    Error::internal("a user's write was taken for an event or a repeat")
}

fn gave_up(conflict: Option<Error>) -> Error {
    conflict.unwrap_or_else(|| Error::internal("nothing was tried"))
}
