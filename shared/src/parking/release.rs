//! Release: what is parked gets a message, because the document it waits for exists now.
//!
//! Called by whoever creates documents: the event worker and the API.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::ParkingLot;
use crate::{
    Result,
    clock::Clock,
    documents::DocumentKey,
    queue::{Message, Queue},
};

/// How many waiting events are released at a time.
const CHUNK: usize = 100;
/// The most chunks released for one document; the sweeper finds the rest.
const MAX_CHUNKS: usize = 50;

/// Sends messages for parked items: what every way out of the parking has in common.
#[derive(Clone)]
pub struct Release {
    pub(super) parking: Arc<dyn ParkingLot>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) clock: Arc<dyn Clock>,
    again_after: SignedDuration,
}

impl Release {
    /// Releases from `parking` through `queue`; an item is due again after `again_after` if nothing came of it.
    pub fn new(
        parking: Arc<dyn ParkingLot>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        again_after: SignedDuration,
    ) -> Self {
        Self { parking, queue, clock, again_after }
    }

    /// When an item that is sent now is due again, should nothing come of it.
    pub(super) fn again(&self) -> Timestamp {
        let now = self.clock.now();
        now.saturating_add(self.again_after).unwrap_or(now)
    }

    /// Frees what waits for `document`. A failure is not one of the document's creation: the sweeper looks at
    /// what waits from time to time.
    pub async fn waiting_for(&self, document: &DocumentKey) {
        if let Err(error) = self.free(document).await {
            warn!(document = %document, error = ?error, "what waits for it is left to the sweeper");
        }
    }

    async fn free(&self, document: &DocumentKey) -> Result<()> {
        for _ in 0..MAX_CHUNKS {
            let ids = self.parking.waiting_for(document, CHUNK).await?;
            if ids.is_empty() {
                break;
            }
            info!(document = %document, count = ids.len(), "freed what waited");
            self.send(&ids).await?;
            if ids.len() < CHUNK {
                break;
            }
        }
        Ok(())
    }

    /// Makes items due and sends a message for each that is still parked.
    pub async fn send(&self, ids: &[String]) -> Result<()> {
        let due = self.again();
        let mut messages = Vec::with_capacity(ids.len());
        for id in ids {
            if self.parking.release(id, due).await? {
                messages.push(Message::Parked { id: id.clone() });
            }
        }
        self.queue.send_all(&messages).await
    }
}
