//! Replay: a parked event gets another go, now, with its attempts counted anew.
//!
//! Called by the API. The item stays parked until its effect happened; what is sent only names it.

use std::sync::Arc;

use super::{Cargo, ParkedQuery, Release};
use crate::{
    Error, ErrorCode, Result,
    integration_log::{EventFacts, EventStatus, IntegrationLog},
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
        if !self.prepare(id).await? {
            return Err(Error::new(ErrorCode::ParkedNotFound, format!("{id} is not parked")));
        }
        self.release.send(vec![id.to_owned()]).await
    }

    /// Replays a page of what `query` finds. Returns how many, and where the next page starts.
    pub async fn page(&self, query: &ParkedQuery) -> Result<(usize, Option<String>)> {
        let page = self.release.parking.list(query).await?;
        let mut ids = Vec::with_capacity(page.items.len());
        for item in page.items {
            if self.prepare(&item.id).await? {
                ids.push(item.id);
            }
        }
        let count = ids.len();
        self.release.send(ids).await?;
        Ok((count, page.next))
    }

    /// Starts the event's count anew; `false` if it is not parked, or resolved by now, and then gone.
    async fn prepare(&self, id: &str) -> Result<bool> {
        let Some(item) = self.release.parking.get(id).await? else { return Ok(false) };
        if let Cargo::Event(event) = &item.cargo
            && !self.log.mark(&EventFacts::of(event), EventStatus::Queued, None).await?
        {
            self.release.parking.remove(id).await?;
            return Ok(false);
        }
        Ok(true)
    }
}
