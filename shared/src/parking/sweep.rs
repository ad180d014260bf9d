//! The sweeper: sends a message for each parked item that is due.
//!
//! Called by the event worker's schedule, once a minute. One sweep at a time (a lease); a sweep that dies
//! loses nothing, since an item's due time only moves on, and the item goes when its effect happens.

use std::sync::Arc;

use super::Release;
use crate::{Result, lease::Leases, queue::Message};

/// The most items one sweep sends: what is left is due in the next.
const MAX_SWEPT: usize = 5_000;
/// Items taken at a time.
const CHUNK: usize = 100;
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
}

impl Sweeper {
    /// A sweeper that sends through `release`, one at a time by `leases`.
    pub fn new(release: Release, leases: Arc<dyn Leases>) -> Self {
        Self { release, leases }
    }

    /// Sends what is due. Stops early, with the rest still due, when the lease is about to end.
    pub async fn sweep(&self) -> Result<Swept> {
        let Some(lease) = self.leases.acquire(LEASE).await? else { return Ok(Swept::Busy) };
        let mut sent = 0;
        while sent < MAX_SWEPT && self.release.clock.now() < lease.expires_at {
            let now = self.release.clock.now();
            let ids = self.release.parking.claim_due(now, self.release.again(), CHUNK).await?;
            if ids.is_empty() {
                break;
            }
            sent += ids.len();
            let messages: Vec<Message> = ids.into_iter().map(|id| Message::Parked { id }).collect();
            self.release.queue.send_all(&messages).await?;
        }
        self.leases.release(&lease).await?;
        Ok(Swept::Sent(sent))
    }
}
