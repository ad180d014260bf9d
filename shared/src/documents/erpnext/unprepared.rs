//! New documents of DocTypes that are not prepared: nothing in the site tells a repeat from another document that says
//! the same.
//!
//! So an attempt claims the creation first, and only one that finds the claim of an earlier attempt looks for what that
//! one may have made: a document of our user's, created since, that says what was sent and is no other event's. What
//! is left is a window: an effect that commits more than two minutes late, after it was looked for, is made a second time.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    super::{Document, DocumentKey, Write, dynamo::receipt::in_flight},
    Effect, ErpnextDocuments, conflict,
    create::{doctype, is_lost, is_taken},
    document::{may_be, new_document},
    dynamo::{Claim, Entry, Guard, NewEntry},
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
        let (claim, since) = match self.claimed(token, now).await? {
            Claim::Taken(until) => return Err(under_way(token, now, until)),
            Claim::Earlier(since) => (Claim::Earlier(since), since),
            Claim::First => (Claim::First, now),
        };
        let mut documents = Vec::with_capacity(writes.len());
        for write in writes {
            documents.push((doctype(write).as_str().to_owned(), new_document(write, None)?));
        }
        if claim != Claim::First
            && let Some(found) = self.made_since(writes, &documents, since).await?
        {
            return self.recorded(writes, token, found, &Guard::Free).await;
        }
        match self.insert(documents.clone(), Repeat::Unsafe).await {
            Ok(maps) => self.recorded(writes, token, maps, &Guard::None).await,
            Err(error) if is_lost(&error) => match self.made_since(writes, &documents, since).await {
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
        since: Timestamp,
    ) -> Result<Option<Vec<Map>>> {
        let mut found: Vec<Map> = Vec::new();
        for (write, (_, sent)) in writes.iter().zip(documents) {
            let Some(map) = self.candidate(write, sent, since, &found).await? else { return Ok(None) };
            found.push(map);
        }
        Ok(Some(found))
    }

    /// A document that `sent` may have become, which is not among `taken`.
    async fn candidate(
        &self,
        write: &Write,
        sent: &Map,
        since: Timestamp,
        taken: &[Map],
    ) -> Result<Option<Map>> {
        let doctype = doctype(write);
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
        // A site that names documents itself was sent a name for nothing.
        let mut said = sent.clone();
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
            let creator = token.noted().map(ToOwned::to_owned);
            let entry = Entry::Live { applied: write.applied.clone(), creator };
            let mut entries = vec![NewEntry { key: document.key.clone(), entry, guard: guard.clone() }];
            if let Some(asked) = write.target.key().filter(|asked| **asked != document.key) {
                let entry = Entry::Alias(document.key.name.clone());
                entries.push(NewEntry { key: asked.clone(), entry, guard: Guard::None });
            }
            effects.push(Effect { document: Some(document), entries });
        }
        Ok(effects)
    }
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
