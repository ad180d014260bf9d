//! A commit: whether it happened before, its effect in the site, and then what is ours of it in one transaction.

use super::{
    super::{Change, Commit, Committed, Document, Expect, MAX_WRITES, Write},
    Effect, ErpnextDocuments, conflict,
    create::doctype,
    dynamo::{Entry, Guard, NewEntry, Outcome, Standing},
    lookup::merged,
    token::Token,
    unsupported,
};
use crate::{Error, Result};

/// How often what is ours of a commit is written anew, since something of it had changed.
const MAX_COMPLETIONS: usize = 5;

impl ErpnextDocuments {
    /// Does it, unless it was done before.
    pub(super) async fn commit_all(&self, commit: Commit) -> Result<Committed> {
        check(&commit)?;
        if let Some(event) = &commit.event {
            match self.ledger.standing(&event.facts.id).await? {
                Standing::Ended => return Ok(Committed::Before),
                Standing::Parked if !event.release_parked => return Ok(Committed::Parked),
                _ => {}
            }
        }
        if let Some(receipt) = &commit.receipt
            && let Some(found) = self.ledger.answer(receipt, self.clock.now()).await?
        {
            return found.answer(self).await.map(Committed::Answered);
        }
        let token = Token::of(&commit, self.clock.now())?;
        let effects = self.effects(&commit.writes, &token).await?;
        self.complete(commit, effects).await
    }

    async fn effects(&self, writes: &[Write], token: &Token) -> Result<Vec<Effect>> {
        if writes.iter().all(Write::creates) && !writes.is_empty() {
            return self.create(writes, token).await;
        }
        let [write] = writes else {
            return if writes.is_empty() {
                Ok(Vec::new())
            } else {
                Err(unsupported(
                    "ERPNext creates several documents at once, and changes or deletes one at a time",
                ))
            };
        };
        Ok(vec![match (&write.change, write.replaces.as_deref()) {
            (Change::Put { .. }, Some(old)) => self.update(write, old, token).await?,
            (Change::Delete, Some(old)) => self.delete(write, old).await?,
            (Change::Delete, None) => self.delete_nothing(write),
            (Change::Put { .. }, None) => return Err(Error::internal("a creation is no change")),
        }])
    }

    /// Writes down what happened. From here on nothing but the writing may fail: the effect is there, and a repeat of the
    /// commit recognises it.
    async fn complete(&self, commit: Commit, effects: Vec<Effect>) -> Result<Committed> {
        let Commit { mut event, receipt, .. } = commit;
        let mut entries: Vec<NewEntry> = Vec::new();
        let mut documents: Vec<Option<Document>> = Vec::with_capacity(effects.len());
        for effect in effects {
            entries.extend(effect.entries);
            documents.push(effect.document);
        }
        if let (Some(event), Some(Some(document))) = (&mut event, documents.first()) {
            event.document = Some(document.key.clone());
        }
        for _ in 0..MAX_COMPLETIONS {
            let answer = receipt.as_ref().map(|receipt| (receipt, documents.as_slice()));
            match self.ledger.complete(event.as_ref(), &entries, answer, self.clock.now()).await? {
                Outcome::Now => return Ok(Committed::Now(documents)),
                Outcome::Before => return Ok(Committed::Before),
                Outcome::Answered(found) => return found.answer(self).await.map(Committed::Answered),
                // Another attempt at it failed meanwhile, and put it aside.
                Outcome::Parked => {
                    if let Some(event) = &mut event {
                        event.release_parked = true;
                    }
                }
                Outcome::Refused(place) => self.reconcile(&mut entries, place).await?,
            }
        }
        Err(Error::unavailable("DynamoDB", "what is known of the document changes all the time"))
    }

    /// Fits the entry at `place` to what the ledger says by now.
    async fn reconcile(&self, entries: &mut Vec<NewEntry>, place: usize) -> Result<()> {
        let Some(new) = entries.get_mut(place) else { return Err(Error::internal("there is no such entry")) };
        let (Guard::Seen(_), Entry::Live { applied, .. }) = (&new.guard, &mut new.entry) else {
            // Someone else has taken the document, or the name.
            return Err(conflict(Expect::Revision(0)));
        };
        match self.ledger.entry(&new.key, self.clock.now()).await? {
            Some(Entry::Live { applied: known, .. }) => {
                *applied = merged(applied, &known);
                new.guard = Guard::Seen(known);
            }
            // Deleted since: that is newer.
            Some(_) => drop(entries.remove(place)),
            None => {}
        }
        Ok(())
    }
}

/// Refuses what is none of a site's business.
fn check(commit: &Commit) -> Result<()> {
    if commit.writes.len() > MAX_WRITES {
        return Err(Error::internal(format!("a commit has at most {MAX_WRITES} writes")));
    }
    match commit.writes.iter().find(|write| doctype(write).is_system()) {
        Some(write) => Err(unsupported(&format!("{} is kept by Causeway itself", doctype(write)))),
        None => Ok(()),
    }
}
