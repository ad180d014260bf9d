//! Replay: a parked event gets another go, now, with its attempts counted anew.
//!
//! Called by the API. The item stays parked until its effect happened; what is sent only names it.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Cargo, ParkedItem, ParkedQuery, ParkingLot};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    integration_log::{EventFacts, EventStatus, IntegrationLog},
    queue::{Message, Queue},
};

/// Replays parked events.
pub struct Replay {
    parking: Arc<dyn ParkingLot>,
    log: Arc<dyn IntegrationLog>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    again_after: SignedDuration,
}

impl Replay {
    /// Replays from `parking` through `queue`; an item is due again after `again_after` if nothing came of it.
    pub fn new(
        parking: Arc<dyn ParkingLot>,
        log: Arc<dyn IntegrationLog>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        again_after: SignedDuration,
    ) -> Self {
        Self { parking, log, queue, clock, again_after }
    }

    /// Replays one event. `parked_not_found` if it is not parked (any more).
    pub async fn one(&self, id: &str) -> Result<()> {
        let missing = || Error::new(ErrorCode::ParkedNotFound, format!("{id} is not parked"));
        let item = self.parking.get(id).await?.ok_or_else(missing)?;
        if !self.prepare(&item).await? {
            return Err(missing());
        }
        self.queue.send(&Message::Parked { id: item.id }).await
    }

    /// Replays a page of what `query` finds. Returns how many, and where the next page starts.
    pub async fn page(&self, query: &ParkedQuery) -> Result<(usize, Option<String>)> {
        let page = self.parking.list(query).await?;
        let mut messages = Vec::with_capacity(page.items.len());
        for item in page.items {
            let Some(item) = self.parking.get(&item.id).await? else { continue };
            if self.prepare(&item).await? {
                messages.push(Message::Parked { id: item.id });
            }
        }
        self.queue.send_all(&messages).await?;
        Ok((messages.len(), page.next))
    }

    /// Makes the item due and starts its count anew; `false` if it is resolved by now, and gone.
    async fn prepare(&self, item: &ParkedItem) -> Result<bool> {
        if let Cargo::Event(event) = &item.cargo
            && !self.log.mark(&EventFacts::of(event), EventStatus::Queued, None, None).await?
        {
            self.parking.remove(&item.id).await?;
            return Ok(false);
        }
        let now = self.clock.now();
        self.parking.release(&item.id, now.saturating_add(self.again_after).unwrap_or(now)).await
    }
}
