//! New documents: one, or several in one transaction of the site.
//!
//! Documents of prepared DocTypes carry a unique id that is the same whenever the same commit is tried: what the site
//! has already it does not take again. So a creation whose answer was lost is looked up and may be sent again at once; one
//! that commits late meets its own id.

use futures::future::try_join_all;

use super::{
    super::{Change, DocStatus, Document, DocumentKey, Target, Write},
    Effect, ErpnextDocuments, conflict,
    document::{Mark, new_document},
    token::{MAX_ID_CHARS, Token},
    unsupported,
};
use crate::{
    Error, ErrorCode, Result,
    erpnext::{Exception, Map, SiteError},
    outbound::{CallFailure, Repeat},
};

/// How often a creation is sent: again after a lost answer, and under another id for each day that an idempotency key
/// was used before.
const MAX_TRIES: usize = 10;
/// Documents that are read side by side after they were created together.
const READ_AT_ONCE: usize = 4;

/// Who has the ids of new documents.
enum Held {
    /// Nobody.
    Nobody,
    /// The same commit, tried before: these documents.
    Ours(Vec<Map>),
    /// A request of the same key that is no longer recognised.
    Outlived,
    /// Someone else.
    Others,
}

impl ErpnextDocuments {
    /// Creates what `writes` say, all or nothing.
    pub(super) async fn create(&self, writes: &[Write], token: &Token) -> Result<Vec<Effect>> {
        writes.iter().try_for_each(check)?;
        let mut prepared = Vec::with_capacity(writes.len());
        for write in writes {
            prepared.push(self.is_prepared(doctype(write)).await?);
        }
        match (prepared.contains(&true), prepared.contains(&false)) {
            (true, true) => Err(unsupported(
                "documents of DocTypes with and without Causeway's fields cannot be created together",
            )),
            (true, false) => self.create_prepared(writes, token).await,
            _ => self.create_unprepared(writes, token).await,
        }
    }

    async fn create_prepared(&self, writes: &[Write], token: &Token) -> Result<Vec<Effect>> {
        let (mut round, mut again) = (0, false);
        for _ in 0..MAX_TRIES {
            let error = match self.insert(marked(writes, token, round)?, Repeat::Safe).await {
                Ok(maps) => return self.made(writes, maps).await,
                Err(error) => error,
            };
            let (lost, taken) = (is_lost(&error), is_taken(&error));
            if !lost && !is_refused(&error) {
                return Err(error.into());
            }
            let held = match self.held(writes, token, round).await {
                // Nobody knows more than before.
                Err(_) if lost => return Err(error.into()),
                Err(no) if !taken && !no.is_transient() => return Err(error.into()),
                held => held?,
            };
            match held {
                Held::Ours(maps) => return self.made(writes, maps).await,
                // A rule was broken: by another one's document, or by none.
                _ if !lost && !taken => return Err(error.into()),
                Held::Outlived => round += 1,
                Held::Others => return Err(conflict(writes[0].expect)),
                Held::Nobody if lost && !again => again = true,
                Held::Nobody if lost => return Err(error.into()),
                // Another of their fields has to be unique.
                Held::Nobody => return Err(Error::from(error).with_code(ErrorCode::ProviderRefused)),
            }
        }
        Err(conflict(writes[0].expect))
    }

    /// Sends new documents, each with its DocType, and returns them as the site has them.
    pub(super) async fn insert(
        &self,
        mut documents: Vec<(String, Map)>,
        repeat: Repeat,
    ) -> Result<Vec<Map>, SiteError> {
        if documents.len() == 1
            && let Some((doctype, document)) = documents.pop()
        {
            return Ok(vec![self.site.insert(&doctype, document, repeat).await?]);
        }
        let doctypes: Vec<String> = documents.iter().map(|(doctype, _)| doctype.clone()).collect();
        let with_doctype = |(doctype, mut document): (String, Map)| {
            document.insert("doctype".to_owned(), doctype.into());
            document
        };
        let sent = documents.into_iter().map(with_doctype).collect();
        let names = self.site.insert_many(sent, repeat).await?;
        let mut maps = Vec::with_capacity(names.len());
        let named: Vec<(String, String)> = doctypes.into_iter().zip(names).collect();
        for some in named.chunks(READ_AT_ONCE) {
            let read = some.iter().map(|(doctype, name)| self.site.get(doctype, name));
            // They exist: a failure to read them leaves the effect as it is.
            let read = try_join_all(read).await.map_err(|error| SiteError::Call(lost(error.into())))?;
            for map in read {
                let gone = || SiteError::Call(lost(Error::internal("a new document is gone")));
                maps.push(map.ok_or_else(gone)?);
            }
        }
        Ok(maps)
    }

    /// Who has the ids of `writes`.
    async fn held(&self, writes: &[Write], token: &Token, round: usize) -> Result<Held> {
        let (mut ours, mut missing) = (Vec::new(), false);
        for (place, write) in writes.iter().enumerate() {
            let Some(map) = self.holder(write, &token.document_id(write, place, round)).await? else {
                missing = true;
                continue;
            };
            let mark = Mark::of(&map).unwrap_or_default();
            if !mark.shows(token) {
                let outlived = write.target.key().is_none() && token.outlives_its_id(&mark.events);
                return Ok(if outlived { Held::Outlived } else { Held::Others });
            }
            ours.push(map);
        }
        Ok(match (missing, ours.is_empty()) {
            (false, _) => Held::Ours(ours),
            (true, true) => Held::Nobody,
            (true, false) => Held::Others,
        })
    }

    /// The document that has `id`, or the name that `write` is for.
    async fn holder(&self, write: &Write, id: &str) -> Result<Option<Map>> {
        let doctype = doctype(write);
        if let Some(map) = self.by_id(doctype, id).await? {
            return Ok(Some(map));
        }
        match write.target.key() {
            Some(key) => Ok(self.site.get(doctype.as_str(), key.name.as_str()).await?),
            None => Ok(None),
        }
    }

    async fn made(&self, writes: &[Write], maps: Vec<Map>) -> Result<Vec<Effect>> {
        let mut effects = Vec::with_capacity(maps.len());
        for (write, map) in writes.iter().zip(maps) {
            let document: Document = self.document(doctype(write), map).await?;
            effects.push(Effect { document: Some(document), entries: Vec::new() });
        }
        Ok(effects)
    }
}

/// What a call whose effect is there, and not its answer, failed with.
fn lost(error: Error) -> CallFailure {
    CallFailure::Unknown(error.with_code(ErrorCode::OutcomeUnknown))
}

/// The DocType that `write` is for.
pub(super) fn doctype(write: &Write) -> &super::super::DocType {
    match &write.target {
        Target::Named(DocumentKey { doctype, .. }) | Target::Series { doctype, .. } => doctype,
    }
}

/// Refuses what a site cannot create.
fn check(write: &Write) -> Result<()> {
    if let Some(key) = write.target.key()
        && key.name.as_str().chars().count() > MAX_ID_CHARS
    {
        let detail = format!("a name has at most {MAX_ID_CHARS} characters in ERPNext");
        return Err(Error::field("name", "too_long", detail));
    }
    // It would refuse such a name, and keep something else than such an id: Frappe writes entities in texts.
    if write.target.key().is_some_and(|key| key.name.as_str().contains(['<', '>'])) {
        return Err(Error::field("name", "invalid", "a name holds neither < nor > in ERPNext"));
    }
    match &write.change {
        Change::Put { docstatus: DocStatus::Cancelled, .. } => {
            Err(unsupported("ERPNext creates no document that is cancelled already"))
        }
        _ => Ok(()),
    }
}

/// The new documents of `writes` with their marks, each with its DocType.
fn marked(writes: &[Write], token: &Token, round: usize) -> Result<Vec<(String, Map)>> {
    let mut documents = Vec::with_capacity(writes.len());
    for (place, write) in writes.iter().enumerate() {
        let id = token.document_id(write, place, round);
        let document = new_document(write, Some((&id, &Mark::after(write, token))))?;
        documents.push((doctype(write).as_str().to_owned(), document));
    }
    Ok(documents)
}

/// Whether nobody knows if the call had its effect.
pub(super) fn is_lost(error: &SiteError) -> bool {
    matches!(error, SiteError::Call(CallFailure::Unknown(_)))
}

/// Whether the site declined for what was sent. Its rules come before the unique id: what the same commit made, tried
/// before, may be why it now says that nothing is left to bill.
fn is_refused(error: &SiteError) -> bool {
    matches!(error, SiteError::Refused(refusal) if refusal.exception != Exception::Authentication)
}

/// Whether a name, or the value of a unique field, is another document's.
pub(super) fn is_taken(error: &SiteError) -> bool {
    error.is(&Exception::DuplicateEntry) || error.is(&Exception::UniqueValidation)
}
