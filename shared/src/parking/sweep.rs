//! The sweeper: sends a message for each parked item that is due.
//!
//! Called by the event worker's schedule, once a minute. One sweep at a time (a lease); a sweep that dies
//! loses nothing, since an item's due time only moves on, and the item goes when its effect happens.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Release;
use crate::{Result, clock::Clock, lease::Leases};

/// The most items one sweep sends: what is left is due in the next.
const MAX_SWEPT: usize = 5_000;
/// Items taken at a time.
const CHUNK: usize = 200;
/// The name of the sweeper's lease.
const LEASE: &str = "sweeper";

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// So many items were sent.
    Sent(usize),
    /// Another sweep is under way.
    Busy,
}

/// The sweeper.
pub struct Sweeper {
    release: Release,
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    /// After this long an item that was sent and not resolved is due again.
    again_after: SignedDuration,
}

impl Sweeper {
    /// A sweeper that sends through `release`, one at a time by `leases`; an item is due again after
    /// `again_after` if nothing came of it.
    pub fn new(
        release: Release,
        leases: Arc<dyn Leases>,
        clock: Arc<dyn Clock>,
        again_after: SignedDuration,
    ) -> Self {
        Self { release, leases, clock, again_after }
    }

    /// Sends what is due. Stops, with the rest still due, at `until` or when the lease ends.
    pub async fn sweep(&self, until: Timestamp) -> Result<Swept> {
        let Some(lease) = self.leases.acquire(LEASE).await? else { return Ok(Swept::Busy) };
        let mut sent = 0;
        while sent < MAX_SWEPT && self.clock.now() < lease.expires_at.min(until) {
            let now = self.clock.now();
            let again = now.saturating_add(self.again_after).unwrap_or(now);
            let ids = self.release.parking.claim_due(now, again, CHUNK).await?;
            if ids.is_empty() {
                break;
            }
            sent += ids.len();
            self.release.send(ids).await?;
        }
        self.leases.release(&lease).await?;
        Ok(Swept::Sent(sent))
    }
}
