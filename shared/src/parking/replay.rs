//! Replay: a parked event gets another go, now, with its attempts counted anew.
//!
//! Called by the API. The item stays parked until its effect happened; what is sent only names it.

use std::sync::Arc;

use super::{Cargo, ParkedItem, ParkedQuery, Release};
use crate::{
    Error, ErrorCode, Result,
    integration_log::{EventFacts, EventStatus, IntegrationLog},
    queue::Message,
};

/// Replays parked events.
pub struct Replay {
    release: Release,
    log: Arc<dyn IntegrationLog>,
}

impl Replay {
    /// Replays through `release`, and says so in `log`.
    pub fn new(release: Release, log: Arc<dyn IntegrationLog>) -> Self {
        Self { release, log }
    }

    /// Replays one event. `parked_not_found` if it is not parked (any more).
    pub async fn one(&self, id: &str) -> Result<()> {
        let missing = || Error::new(ErrorCode::ParkedNotFound, format!("{id} is not parked"));
        let item = self.release.parking.get(id).await?.ok_or_else(missing)?;
        if !self.prepare(&item).await? {
            return Err(missing());
        }
        self.release.queue.send(&Message::Parked { id: item.id }).await
    }

    /// Replays a page of what `query` finds. Returns how many, and where the next page starts.
    pub async fn page(&self, query: &ParkedQuery) -> Result<(usize, Option<String>)> {
        let page = self.release.parking.list(query).await?;
        let mut messages = Vec::with_capacity(page.items.len());
        for item in page.items {
            let Some(item) = self.release.parking.get(&item.id).await? else { continue };
            if self.prepare(&item).await? {
                messages.push(Message::Parked { id: item.id });
            }
        }
        self.release.queue.send_all(&messages).await?;
        Ok((messages.len(), page.next))
    }

    /// Makes the item due and starts its count anew; `false` if it is resolved by now, and gone.
    async fn prepare(&self, item: &ParkedItem) -> Result<bool> {
        if let Cargo::Event(event) = &item.cargo
            && !self.log.mark(&EventFacts::of(event), EventStatus::Queued, None).await?
        {
            self.release.parking.remove(&item.id).await?;
            return Ok(false);
        }
        self.release.parking.release(&item.id, self.release.again()).await
    }
}
