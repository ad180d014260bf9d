//! Replay: a parked event gets another go, now, with its attempts counted anew.
//!
//! Called by the API. The item stays parked until its effect happened; what is sent only names it.

use std::sync::Arc;

use futures::future::try_join_all;

use super::{Cargo, ParkedQuery, Release};
use crate::{
    Error, ErrorCode, Result,
    integration_log::{EventFacts, EventStatus, IntegrationLog},
};

/// How many events are marked and sent at a time.
const CHUNK: usize = 10;

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
        let mut count = 0;
        let ids: Vec<String> = page.items.into_iter().map(|item| item.id).collect();
        // Marked and sent chunk by chunk: were it to stop here, no more than one chunk is marked and not sent.
        for chunk in ids.chunks(CHUNK) {
            let ready = try_join_all(chunk.iter().map(|id| self.prepare(id))).await?;
            let ready: Vec<String> =
                chunk.iter().zip(ready).filter(|(_, ready)| *ready).map(|(id, _)| id.clone()).collect();
            count += ready.len();
            self.release.send(ready).await?;
        }
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
