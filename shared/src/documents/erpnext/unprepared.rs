//! New documents of DocTypes that are not prepared: nothing in the site tells a repeat from another document that says
//! the same.
//!
//! So an attempt claims the creation first, and only one that finds the claim of an earlier attempt looks for what that
//! one may have made: a document of our user's, created since, that says what was sent and is no other event's. What
//! is left is a window: an effect that commits more than two minutes late, after it was looked for, is made a second time.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    super::{DocType, Document, DocumentKey, Expect, Write, dynamo::receipt::in_flight},
    Effect, ErpnextDocuments, conflict,
    create::{doctype, is_lost, is_taken},
    document::{may_be, new_document},
    dynamo::{Claim, Entry, Guard, NewEntry, Outcome},
    token::Token,
};
use crate::{
    Error, ErrorCode, Result,
    erpnext::{Map, SiteQuery, time::SiteZone},
    outbound::Repeat,
};

/// How far the site's clock may be behind ours.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Candidates that are looked at in one call.
const CANDIDATES_A_PAGE: usize = 100;
/// Calls for candidates at most.
const MAX_PAGES: usize = 5;

impl ErpnextDocuments {
    /// Creates what `writes` say, all or nothing, unless an earlier attempt did.
    pub(super) async fn create_unprepared(&self, writes: &[Write], token: &Token) -> Result<Vec<Effect>> {
        let now = self.clock.now();
        let claim = self.claimed(token, now).await?;
        if claim != Claim::First
            && let Some(effects) = self.on_record(writes, token).await?
        {
            return Ok(effects);
        }
        let (claim, since) = match claim {
            Claim::Taken(until) => return Err(under_way(token, now, until)),
            Claim::Earlier(since) => (Claim::Earlier(since), since),
            Claim::First => (Claim::First, now),
        };
        let mut documents = Vec::with_capacity(writes.len());
        for write in writes {
            documents.push((doctype(write).as_str().to_owned(), new_document(write, None)?));
        }
        if claim != Claim::First
            && let Some(found) = self.made_since(writes, &documents, token, since).await?
        {
            return self.recorded(writes, token, found, &Guard::Free).await;
        }
        match self.insert(documents.clone(), Repeat::Unsafe).await {
            Ok(maps) => self.recorded(writes, token, maps, &Guard::None).await,
            Err(error) if is_lost(&error) => match self.made_since(writes, &documents, token, since).await {
                Ok(Some(found)) => self.recorded(writes, token, found, &Guard::Free).await,
                _ => Err(error.into()),
            },
            Err(error) => {
                if token.noted().is_some() {
                    self.ledger.give_back(token.id(), claim, self.clock.now()).await?;
                }
                if !is_taken(&error) {
                    return Err(error.into());
                }
                for key in writes.iter().filter_map(|write| write.target.key()) {
                    if self.site.get(key.doctype.as_str(), key.name.as_str()).await?.is_some() {
                        return Err(conflict(writes[0].expect));
                    }
                }
                Err(Error::from(error).with_code(ErrorCode::ProviderRefused))
            }
        }
    }

    /// Claims the creation. What answers no event and no request is never tried again under the same token.
    async fn claimed(&self, token: &Token, now: Timestamp) -> Result<Claim> {
        match token {
            Token::Write(_) => Ok(Claim::First),
            _ => self.ledger.claim(token.id(), now).await,
        }
    }

    /// The documents that `writes` may have become since `since`; `None` if one is not found.
    async fn made_since(
        &self,
        writes: &[Write],
        documents: &[(String, Map)],
        token: &Token,
        since: Timestamp,
    ) -> Result<Option<Vec<Map>>> {
        let mut found: Vec<Map> = Vec::new();
        for (write, (_, sent)) in writes.iter().zip(documents) {
            let Some(map) = self.candidate(doctype(write), sent, token, since, &found).await? else {
                return Ok(None);
            };
            found.push(map);
        }
        Ok(Some(found))
    }

    /// A document that `sent` may have become since, which is not among `taken`.
    async fn candidate(
        &self,
        doctype: &DocType,
        sent: &Map,
        token: &Token,
        since: Timestamp,
        taken: &[Map],
    ) -> Result<Option<Map>> {
        let since =
            earliest(&self.site.time_zone().await?, since.saturating_sub(CLOCK_SKEW).unwrap_or(since));
        let mut query = SiteQuery {
            doctype: doctype.as_str().to_owned(),
            fields: vec!["*".to_owned()],
            filters: vec![json!(["owner", "=", self.site.user().await?]), json!(["creation", ">=", since])],
            order_by: "creation asc".to_owned(),
            limit: CANDIDATES_A_PAGE,
            ..SiteQuery::default()
        };
        // What they are found among says more than what is sent now, at another time.
        let mut said = if token.among().is_empty() { sent.clone() } else { Map::new() };
        query.filters.extend(token.among().iter().cloned());
        // A site that names documents itself was sent a name for nothing.
        said.shift_remove("name");
        for _ in 0..MAX_PAGES {
            let rows = self.site.list(&query).await?;
            let ended = rows.len() < query.limit;
            query.start += rows.len();
            for row in rows.iter().filter(|row| may_be(row, &said)) {
                let name = row.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
                let is_taken = taken.iter().any(|map| map.get("name") == row.get("name"));
                let Ok(key) = DocumentKey::new(doctype.as_str(), name) else { continue };
                if is_taken || !self.is_free(&key).await? {
                    continue;
                }
                if let Some(map) = self.site.get(doctype.as_str(), name).await?
                    && may_be(&map, &said)
                {
                    return Ok(Some(map));
                }
            }
            if ended {
                return Ok(None);
            }
        }
        let detail = format!("too many documents of {doctype} may be what an earlier attempt created");
        Err(Error::new(ErrorCode::OutcomeUnknown, detail))
    }

    /// What the ledger says that an earlier attempt made; `None` if it does not say so of all.
    async fn on_record(&self, writes: &[Write], token: &Token) -> Result<Option<Vec<Effect>>> {
        let mut effects = Vec::with_capacity(writes.len());
        for write in writes {
            let Some(asked) = write.target.key() else { return Ok(None) };
            let Some(map) = self.recorded_as(asked, token).await? else { return Ok(None) };
            let document = Some(self.live(&asked.doctype, map).await?);
            effects.push(Effect { document, entries: Vec::new() });
        }
        Ok(Some(effects))
    }

    /// The document that was asked for as `asked`, if it was created for `token`.
    async fn recorded_as(&self, asked: &DocumentKey, token: &Token) -> Result<Option<Map>> {
        let now = self.clock.now();
        let own = match self.ledger.entry(asked, now).await? {
            Some(Entry::Alias(name)) => DocumentKey { name, ..asked.clone() },
            _ => asked.clone(),
        };
        match self.ledger.entry(&own, now).await? {
            Some(Entry::Live { creator: Some(creator), .. }) if token.noted() == Some(creator.as_str()) => {
                Ok(self.site.get(own.doctype.as_str(), own.name.as_str()).await?)
            }
            _ => Ok(None),
        }
    }

    /// What was created for `token` under the name `asked`, whether or not it is on record.
    pub(super) async fn made_unprepared(
        &self,
        asked: &DocumentKey,
        token: &Token,
    ) -> Result<Option<Document>> {
        if let Some(map) = self.recorded_as(asked, token).await? {
            return self.live(&asked.doctype, map).await.map(Some);
        }
        let now = self.clock.now();
        let since = match self.ledger.claimed(token.id(), now).await? {
            None | Some(Claim::First) => return Ok(None),
            Some(Claim::Taken(until)) => return Err(under_way(token, now, until)),
            Some(Claim::Earlier(since)) => since,
        };
        if token.among().is_empty() {
            return Ok(None);
        }
        let found = self.candidate(&asked.doctype, &Map::new(), token, since, &[]).await?;
        let Some(map) = found else { return Ok(None) };
        let document = self.document(&asked.doctype, map).await?;
        let entries = entries(Some(asked), &document, token, &Guard::Free);
        match self.ledger.complete(None, &entries, None, now).await? {
            Outcome::Now => Ok(Some(document)),
            // Another attempt was faster, or someone else's.
            _ => Err(conflict(Expect::Revision(0))),
        }
    }

    /// Whether no event is known to have created the document.
    async fn is_free(&self, key: &DocumentKey) -> Result<bool> {
        let entry = self.ledger.entry(key, self.clock.now()).await?;
        Ok(!matches!(entry, Some(Entry::Live { .. })))
    }

    /// What `maps` are, and what the ledger is to say of them.
    async fn recorded(
        &self,
        writes: &[Write],
        token: &Token,
        maps: Vec<Map>,
        guard: &Guard,
    ) -> Result<Vec<Effect>> {
        let mut effects = Vec::with_capacity(maps.len());
        for (write, map) in writes.iter().zip(maps) {
            let mut document: Document = self.document(doctype(write), map).await?;
            document.applied.clone_from(&write.applied);
            document.events.extend(token.noted().map(ToOwned::to_owned));
            let entries = entries(write.target.key(), &document, token, guard);
            effects.push(Effect { document: Some(document), entries });
        }
        Ok(effects)
    }
}

/// What the ledger is to say of `document`, which was created for `token` and asked for as `asked`.
fn entries(asked: Option<&DocumentKey>, document: &Document, token: &Token, guard: &Guard) -> Vec<NewEntry> {
    let creator = token.noted().map(ToOwned::to_owned);
    let entry = Entry::Live { applied: document.applied.clone(), creator };
    let mut entries = vec![NewEntry { key: document.key.clone(), entry, guard: guard.clone() }];
    if let Some(asked) = asked.filter(|asked| **asked != document.key) {
        let entry = Entry::Alias(document.key.name.clone());
        entries.push(NewEntry { key: asked.clone(), entry, guard: Guard::None });
    }
    entries
}

/// The least local time that something made within the hour after `since` may have. Where the clocks are set back
/// meanwhile, that is before the local time of `since`.
fn earliest(zone: &SiteZone, since: Timestamp) -> String {
    let hour = SignedDuration::from_hours(1);
    let (now, later) = (zone.text(since), zone.text(since.saturating_add(hour).unwrap_or(since)));
    if later > now { now } else { zone.text(since.saturating_sub(hour).unwrap_or(since)) }
}

/// The error of an attempt that finds another one's claim.
fn under_way(token: &Token, now: Timestamp, until: Timestamp) -> Error {
    let wait = u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0).max(1);
    match token {
        Token::Request { .. } => in_flight().retry_after(wait),
        _ => Error::new(ErrorCode::OutcomeUnknown, "another attempt to create the document may be under way")
            .retry_after(wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_in_the_hour_that_comes_twice_is_looked_for_in_both() {
        let zone = SiteZone::named("Europe/Berlin").unwrap();
        let earliest = |since: &str| earliest(&zone, since.parse().unwrap());
        assert_eq!(earliest("2026-10-24T00:30:00Z"), "2026-10-24 02:30:00");
        // At 3:00 of summer, it is 2:00 again.
        assert_eq!(earliest("2026-10-25T00:58:00Z"), "2026-10-25 01:58:00");
        assert_eq!(earliest("2026-10-25T01:02:00Z"), "2026-10-25 02:02:00");
        assert_eq!(earliest("2026-03-29T00:58:00Z"), "2026-03-29 01:58:00");
    }
}
