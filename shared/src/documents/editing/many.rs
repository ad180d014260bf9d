//! Creating several documents at once: all of them, or none.

use std::collections::{BTreeMap, BTreeSet};

use super::{Editor, MAX_COMMITS, NewDocument, gave_up, uncalled_for};
use crate::{
    Error, ErrorCode, Result,
    auth::{Permission, Principal, permit},
    documents::{
        Change, Commit, Committed, DocStatus, Document, DocumentKey, MAX_WRITES, Receipt, Stored, Write,
    },
};

impl Editor {
    /// Creates all of `new`, at most [`MAX_WRITES`], in one transaction, and returns them in order. The names of
    /// two of them must differ. With a receipt, a repeat gets them as they were created; of answers too large to be
    /// kept, those that are still there, as they are.
    pub async fn create_all(
        &self,
        who: &Principal,
        new: &[NewDocument],
        receipt: Option<Receipt>,
    ) -> Result<Vec<Document>> {
        check(who, new)?;
        let mut deleted: BTreeMap<DocumentKey, Stored> = BTreeMap::new();
        let mut obstacle = None;
        for _ in 0..MAX_COMMITS {
            let mut writes = Vec::with_capacity(new.len());
            for new in new {
                let target = new.target()?;
                let stored = target.key().and_then(|key| deleted.get(key));
                let change = Change::Put { fields: new.fields.clone(), docstatus: new.docstatus };
                writes.push(Write::over(target, stored, change, self.applied(stored), &who.user));
            }
            let error = match self
                .documents
                .commit(Commit { writes, event: None, receipt: receipt.clone(), work: None })
                .await
            {
                Ok(Committed::Now(documents)) => return Ok(documents.into_iter().flatten().collect()),
                Ok(Committed::Answered(answer)) => {
                    return Ok(answer.documents.into_iter().flatten().collect());
                }
                Ok(_) => return Err(uncalled_for()),
                Err(error) => error,
            };
            if !matches!(error.code(), ErrorCode::DocumentExists | ErrorCode::RevisionConflict) {
                return Err(error);
            }
            for key in new.iter().filter_map(NewDocument::key) {
                match self.documents.read(&key).await? {
                    Some(Stored::Live(_)) => {
                        let detail = format!("{key} exists: none was created");
                        return Err(Error::new(ErrorCode::DocumentExists, detail));
                    }
                    Some(tombstone) => drop(deleted.insert(key, tombstone)),
                    None => drop(deleted.remove(&key)),
                }
            }
            obstacle = Some(error);
        }
        Err(gave_up(obstacle))
    }
}

fn check(who: &Principal, new: &[NewDocument]) -> Result<()> {
    if !(1..=MAX_WRITES).contains(&new.len()) {
        let detail = format!("there must be 1 to {MAX_WRITES} documents");
        return Err(Error::field("/docs", "invalid", detail));
    }
    let mut names = BTreeSet::new();
    for new in new {
        permit(who, Permission::Create(&new.doctype))?;
        if new.docstatus != DocStatus::Draft {
            permit(who, Permission::Submit(&new.doctype))?;
        }
        if let Some(key) = new.key()
            && let Some(twice) = names.replace(key)
        {
            return Err(Error::new(ErrorCode::DocumentExists, format!("{twice} is there twice")));
        }
    }
    Ok(())
}
