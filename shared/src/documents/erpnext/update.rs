//! Changes of documents: what differs is sent, under the site's own optimistic lock.
//!
//! The lock makes a change safe to send again. Whether one whose answer was lost happened, the document's mark says;
//! where there is none, that it was last changed by our user and holds what was sent.

use serde_json::json;

use super::{
    super::{Change, DocStatus, Document, Expect, Write},
    Effect, ErpnextDocuments, conflict,
    document::{Mark, changes, may_be},
    dynamo::{Entry, Guard, NewEntry},
    token::Token,
};
use crate::{
    Error, Result,
    erpnext::{Exception, MARK_FIELD, Map, Refusal, SiteError, time::modified_text},
    outbound::{CallFailure, Repeat},
};

/// One change on its way to the site.
struct Sending<'a> {
    /// The document as it was.
    old: &'a Document,
    /// What is sent, without the lock.
    body: Map,
    /// The `modified` that the document must have.
    lock: String,
    /// Whose mark is in it, if it carries one.
    mark: Option<&'a Token>,
}

impl ErpnextDocuments {
    /// Makes the document that `write` replaces what it says.
    pub(super) async fn update(&self, write: &Write, old: &Document, token: &Token) -> Result<Effect> {
        let (Change::Put { fields, docstatus }, Expect::Revision(seen)) = (&write.change, write.expect)
        else {
            return Err(Error::internal("an update puts over a revision"));
        };
        if token.is_among(&old.events) {
            return Ok(Effect { document: Some(old.clone()), entries: Vec::new() });
        }
        let prepared = self.is_prepared(&old.key.doctype).await?;
        // Frappe writes what comes with a cancellation unchecked, and undoes entries by the rows that it then has.
        let mut body = match (old.docstatus, *docstatus) {
            (DocStatus::Submitted, DocStatus::Cancelled) => Map::new(),
            _ => changes(&old.fields, fields),
        };
        let seen = modified_text(seen).ok_or_else(|| conflict(write.expect))?;
        // A cancellation may overtake its submission: ERPNext wants both.
        let lock = if (old.docstatus, *docstatus) == (DocStatus::Draft, DocStatus::Cancelled) {
            modified_of(&self.submit_first(write, old, &mut body, seen, prepared).await?).to_owned()
        } else {
            seen
        };
        if old.docstatus != *docstatus {
            body.insert("docstatus".to_owned(), u8::from(*docstatus).into());
        }
        if prepared {
            body.insert(MARK_FIELD.to_owned(), Mark::after(write, token).text()?);
        }
        let mut document = if body.is_empty() {
            old.clone()
        } else {
            let sending = Sending { old, body, lock, mark: prepared.then_some(token) };
            self.document(&old.key.doctype, self.send(sending).await?).await?
        };
        if prepared {
            return Ok(Effect { document: Some(document), entries: Vec::new() });
        }
        document.applied.clone_from(&write.applied);
        document.events.clone_from(&old.events);
        let entry = Entry::Live { applied: write.applied.clone(), creator: old.events.first().cloned() };
        let guard = Guard::Seen(old.applied.clone());
        let entries = vec![NewEntry { key: document.key.clone(), entry, guard }];
        Ok(Effect { document: Some(document), entries })
    }

    /// Submits a draft that is about to be cancelled, with all of `body`: a cancelled document is not changed. The
    /// document does not show the event yet, so a repeat goes on from here.
    async fn submit_first(
        &self,
        write: &Write,
        old: &Document,
        body: &mut Map,
        lock: String,
        prepared: bool,
    ) -> Result<Map> {
        let token = Token::random();
        let mut body = std::mem::take(body);
        body.insert("docstatus".to_owned(), u8::from(DocStatus::Submitted).into());
        if prepared {
            let unchanged = Write { applied: old.applied.clone(), ..write.clone() };
            body.insert(MARK_FIELD.to_owned(), Mark::after(&unchanged, &token).text()?);
        }
        self.send(Sending { old, body, lock, mark: prepared.then_some(&token) }).await
    }

    /// Sends a change until it is known what became of it.
    async fn send(&self, sending: Sending<'_>) -> Result<Map> {
        let (doctype, name) = (sending.old.key.doctype.as_str(), sending.old.key.name.as_str());
        // Without a mark nobody could tell a repeat that was refused from a change of someone else's.
        let repeat = if sending.mark.is_some() { Repeat::Safe } else { Repeat::Unsafe };
        let mut body = sending.body.clone();
        body.insert("modified".to_owned(), json!(sending.lock));
        let mut again = true;
        loop {
            let error = match self.site.update(doctype, name, body.clone(), repeat).await {
                Ok(map) => return Ok(map),
                Err(error) => error,
            };
            let stale = [Exception::TimestampMismatch, Exception::DoesNotExist, Exception::Locked];
            let refused = stale.iter().any(|exception| error.is(exception));
            let missing = missing(&error);
            if refused && sending.mark.is_none() && missing.is_none() {
                return Err(conflict(Expect::Revision(0)));
            }
            let lost = match error {
                SiteError::Call(CallFailure::Unknown(error)) => Some(error),
                _ if refused => None,
                error => return Err(error.into()),
            };
            let present = match (self.site.get(doctype, name).await, lost) {
                (Ok(present), lost) => (present, lost),
                // Nobody knows more than before.
                (Err(_), Some(lost)) => return Err(lost),
                (Err(error), None) => return Err(error.into()),
            };
            match present {
                (Some(map), _) if self.is_ours(&sending, &map).await? => return Ok(map),
                (Some(map), Some(lost)) if modified_of(&map) == sending.lock => {
                    // What commits late meets the lock, or this meets what it left.
                    if sending.mark.is_none() || !again {
                        return Err(lost);
                    }
                    again = false;
                }
                // It is there, and no other than it was: what does not exist is one that it would refer to.
                (Some(map), None) if modified_of(&map) == sending.lock => {
                    return Err(missing.unwrap_or_else(|| conflict(Expect::Revision(0))));
                }
                _ => return Err(conflict(Expect::Revision(0))),
            }
        }
    }

    /// Whether the document, which is `map` now, shows the change.
    async fn is_ours(&self, sending: &Sending<'_>, map: &Map) -> Result<bool> {
        if let Some(token) = sending.mark {
            return Ok(Mark::of(map).is_some_and(|mark| mark.shows(token)));
        }
        let changed = modified_of(map) != sending.lock;
        let user = self.site.user().await?;
        Ok(changed
            && map.get("modified_by").and_then(serde_json::Value::as_str) == Some(&user)
            && may_be(map, &sending.body))
    }
}

/// What it means that a document does not exist, where that is not the one that was to be changed.
fn missing(error: &SiteError) -> Option<Error> {
    match error {
        SiteError::Refused(refusal) if refusal.exception == Exception::DoesNotExist => {
            Some(Refusal { exception: Exception::LinkMissing, ..refusal.clone() }.into())
        }
        _ => None,
    }
}

/// The document's `modified`, as the site writes it.
pub(super) fn modified_of(map: &Map) -> &str {
    map.get("modified").and_then(serde_json::Value::as_str).unwrap_or_default()
}
