//! Release: what is parked gets a message, because the document it waits for exists now.
//!
//! Called by whoever creates documents: the event worker and the API. The parked item is not touched: it goes
//! when its effect happens, and until then the sweeper still looks at it from time to time. So a message that
//! is sent twice, or comes to nothing, does no harm, and a release writes nothing.

use std::sync::Arc;

use tracing::{info, warn};

use super::ParkingLot;
use crate::{
    Result,
    documents::DocumentKey,
    queue::{Message, Queue},
};

/// The most pages released for one document; the sweeper finds the rest.
const MAX_PAGES: usize = 50;

/// Sends messages for parked items: what every way out of the parking has in common.
#[derive(Clone)]
pub struct Release {
    pub(super) parking: Arc<dyn ParkingLot>,
    queue: Arc<dyn Queue>,
}

impl Release {
    /// Releases from `parking` through `queue`.
    pub fn new(parking: Arc<dyn ParkingLot>, queue: Arc<dyn Queue>) -> Self {
        Self { parking, queue }
    }

    /// Frees what waits for `document`. A failure is not one of the document's creation: the sweeper looks at
    /// what waits from time to time.
    pub async fn waiting_for(&self, document: &DocumentKey) {
        if let Err(error) = self.free(document).await {
            warn!(document = %document, error = ?error, "what waits for it is left to the sweeper");
        }
    }

    async fn free(&self, document: &DocumentKey) -> Result<()> {
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = self.parking.waiting_for(document, cursor).await?;
            if page.items.is_empty() {
                break;
            }
            info!(document = %document, count = page.items.len(), "freed what waited");
            self.send(page.items).await?;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Sends a message for each item.
    pub async fn send(&self, ids: Vec<String>) -> Result<()> {
        let messages: Vec<Message> = ids.into_iter().map(|id| Message::Parked { id }).collect();
        self.queue.send_all(&messages).await
    }
}
