//! Release: what is parked gets a message, because what it waits for has happened.
//!
//! Called by whoever creates documents, and by the governor when a call closes a circuit breaker, in the event worker
//! and the API. The parked item is not touched: it goes when its effect happens, and until then the sweeper still looks
//! at it from time to time. So a message that is sent twice, or comes to nothing, does no harm, and a release writes
//! nothing.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::{info, warn};

use super::{ParkingLot, WaitsFor};
use crate::{
    Result,
    outbound::governor::OnClosed,
    queue::{Message, Queue},
};

/// The most pages released at once; the sweeper finds the rest.
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

    /// Frees what waits for `awaited`. A failure is not one of what happened: the sweeper looks at what waits from
    /// time to time.
    pub async fn waiting_for(&self, awaited: impl Into<WaitsFor>) {
        let awaited = awaited.into();
        if let Err(error) = self.free(&awaited).await {
            warn!(%awaited, error = ?error, "what waits for it is left to the sweeper");
        }
    }

    async fn free(&self, awaited: &WaitsFor) -> Result<()> {
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = self.parking.waiting_for(awaited, cursor).await?;
            if !page.items.is_empty() {
                info!(%awaited, count = page.items.len(), "freed what waited");
                self.send(page.items).await?;
            }
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

/// A breaker that closed is what its connector's events waited for. They come in pages, and go on no quicker than the
/// connector's rate lets them: who is not let through is put off.
#[async_trait]
impl OnClosed for Release {
    async fn closed(&self, connector: &str) {
        self.waiting_for(WaitsFor::Connector(connector.to_owned())).await;
    }
}
