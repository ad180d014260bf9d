//! Discard: a parked event is given up, by someone, for a reason.
//!
//! Called by the API. The event ends as rejected, in one transaction with its parked item, so that the log says
//! what became of it and a repeat of it does nothing.

use std::sync::Arc;

use super::{Cargo, ParkingLot};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    integration_log::{EventCompletion, EventFacts, EventStatus, Failure, IntegrationLog, Recorded},
};

/// Gives parked events up.
pub struct Discard {
    parking: Arc<dyn ParkingLot>,
    log: Arc<dyn IntegrationLog>,
    clock: Arc<dyn Clock>,
}

impl Discard {
    /// Discards from `parking`, and says so in `log`.
    pub fn new(parking: Arc<dyn ParkingLot>, log: Arc<dyn IntegrationLog>, clock: Arc<dyn Clock>) -> Self {
        Self { parking, log, clock }
    }

    /// Gives one event up. `parked_not_found` if it is not parked (any more).
    pub async fn one(&self, id: &str, why: &str) -> Result<()> {
        let missing = || Error::new(ErrorCode::ParkedNotFound, format!("{id} is not parked"));
        let item = self.parking.get(id).await?.ok_or_else(missing)?;
        let Cargo::Event(event) = &item.cargo else { return self.parking.remove(id).await };
        let now = self.clock.now();
        let completion = EventCompletion {
            facts: EventFacts::of(event),
            status: EventStatus::Rejected,
            document: None,
            error: Some(Failure { code: ErrorCode::Discarded.as_str().to_owned(), detail: why.to_owned() }),
            started_at: now,
            finished_at: now,
            release_parked: true,
        };
        if self.log.finish(&completion).await? == Recorded::Now {
            return Ok(());
        }
        self.parking.remove(id).await?;
        Err(missing())
    }
}
