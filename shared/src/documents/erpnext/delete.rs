//! Deletions.
//!
//! A site deletes without asking which version is meant, so the document is looked at just before: what changes it in
//! the moment between goes with it. What is left of it, for late events, the ledger keeps.

use super::{
    super::{Document, DocumentKey, Expect, Tombstone, Write},
    Effect, ErpnextDocuments, conflict,
    dynamo::{Entry, Guard, NewEntry},
    update::modified_of,
};
use crate::{
    Result,
    erpnext::{Exception, SiteError, time::revision},
    outbound::CallFailure,
};

impl ErpnextDocuments {
    /// Deletes the document that `write` replaces.
    pub(super) async fn delete(&self, write: &Write, old: &Document) -> Result<Effect> {
        let (doctype, name) = (old.key.doctype.as_str(), old.key.name.as_str());
        let mut again = true;
        loop {
            let Some(map) = self.site.get(doctype, name).await? else {
                // The second time, what was deleted may have been by us.
                return if again { Err(conflict(write.expect)) } else { Ok(self.gone(write, Some(old))) };
            };
            if revision(modified_of(&map)).map(Expect::Revision) != Some(write.expect) {
                return Err(conflict(write.expect));
            }
            let lost = match self.site.delete(doctype, name).await {
                Ok(()) => return Ok(self.gone(write, Some(old))),
                Err(error) if error.is(&Exception::DoesNotExist) => return Ok(self.gone(write, Some(old))),
                Err(SiteError::Call(CallFailure::Unknown(error))) => error,
                Err(error) => return Err(error.into()),
            };
            match self.site.get(doctype, name).await {
                Ok(None) => return Ok(self.gone(write, Some(old))),
                Ok(Some(_)) if again => again = false,
                _ => return Err(lost),
            }
        }
    }

    /// Remembers that there is none: what is late finds out.
    pub(super) fn delete_nothing(&self, write: &Write) -> Effect {
        match write.expect {
            Expect::Absent => self.gone(write, None),
            // It was deleted before, and that is remembered.
            Expect::Revision(_) => Effect { document: None, entries: Vec::new() },
        }
    }

    fn gone(&self, write: &Write, old: Option<&Document>) -> Effect {
        let mut keys: Vec<DocumentKey> = write.target.key().cloned().into_iter().collect();
        keys.extend(old.map(|old| old.key.clone()).filter(|own| Some(own) != write.target.key()));
        let guard = if old.is_some() { Guard::None } else { Guard::Absent };
        let entry = |key: DocumentKey| {
            let tombstone = Tombstone {
                key: key.clone(),
                revision: old.map_or(1, |old| old.revision + 1),
                deleted_at: self.clock.now(),
                applied: write.applied.clone(),
            };
            NewEntry { key, entry: Entry::Deleted(tombstone), guard: guard.clone() }
        };
        Effect { document: None, entries: keys.into_iter().map(entry).collect() }
    }
}
