//! Parking: events that wait, and events that are dead, kept whole until they are resolved.
//!
//! The event worker parks an event whose next attempt is further away than the queue can wait, whose parent
//! is missing, or whose attempts are used up. A parked item stays until the event's effect happened: the
//! transaction of the effect deletes it. Taking it out means only sending a message that names it, so a crash
//! at any point leaves it there, and the [`Sweeper`] finds it again when it is due.

mod discard;
pub mod dynamo;
#[cfg(test)]
mod dynamo_tests;
mod release;
mod replay;
mod sweep;

pub use discard::Discard;
pub use release::Release;
pub use replay::Replay;
pub use sweep::{Sweeper, Swept};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    documents::{DocumentKey, Page},
    integration_log::Failure,
    projections::DocumentChange,
    queue::InboundEvent,
};

/// Why an item is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ParkedState {
    /// Until a time.
    Delayed,
    /// Until a document exists; looked at again from time to time all the same.
    Waiting {
        /// The document.
        document: DocumentKey,
    },
    /// Until someone replays it.
    Dead,
}

impl ParkedState {
    /// The names of the states, as listed and filtered.
    pub const NAMES: [&'static str; 3] = ["delayed", "waiting", "dead"];

    /// The state's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Waiting { .. } => "waiting",
            Self::Dead => "dead",
        }
    }
}

/// What is parked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cargo {
    /// An event, whole.
    Event(InboundEvent),
    /// A message no version of ours can read, as it was (cut to 480 KB).
    Unreadable {
        /// Its text.
        message: String,
    },
    /// A change of a document that a read model could not follow.
    Change(DocumentChange),
}

/// An item in the parking.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedItem {
    /// The event's id; for an unreadable message one derived from SQS's id, for a change from projection and document.
    pub id: String,
    /// The connector, `-` for an unreadable message or a change.
    pub connector: String,
    /// The event itself.
    pub cargo: Cargo,
    /// Why it is here.
    pub state: ParkedState,
    /// When it was parked first.
    pub parked_at: Timestamp,
    /// When the sweeper is to look at it; never for the dead.
    pub due: Option<Timestamp>,
    /// How often it was looked at in vain while waiting.
    pub waits: u32,
    /// What went wrong last.
    pub failure: Failure,
}

/// Which parked items.
#[derive(Debug, Clone)]
pub struct ParkedQuery {
    /// Only those in this state, by name.
    pub state: Option<String>,
    /// Only those of this connector.
    pub connector: Option<String>,
    /// At most this many, 1 to 500.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// Where parked items are kept.
#[async_trait]
pub trait ParkingLot: Send + Sync {
    /// Parks `item`, replacing what is parked under its id.
    async fn park(&self, item: &ParkedItem) -> Result<()>;

    /// The item; `None` if it was resolved.
    async fn get(&self, id: &str) -> Result<Option<ParkedItem>>;

    /// Forgets an item that is resolved.
    async fn remove(&self, id: &str) -> Result<()>;

    /// Takes about `limit` items that are due at `now`: their due time moves to `again`, so that no other
    /// sweep takes them, and one that comes to nothing is found again. Returns their ids.
    async fn claim_due(&self, now: Timestamp, again: Timestamp, limit: usize) -> Result<Vec<String>>;

    /// A page of the ids of items that wait for `document`.
    async fn waiting_for(&self, document: &DocumentKey, cursor: Option<String>) -> Result<Page<String>>;

    /// Parked items, by state, then connector, then time; without their bodies, which [`get`](Self::get) has.
    async fn list(&self, query: &ParkedQuery) -> Result<Page<ParkedItem>>;
}

/// How long an event waits for a document before it is dead.
pub const MAX_WAIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When to look again at an event that waits for a document and was looked at `waits` times in vain: the
/// release by the document's creation is the rule, this only the net.
pub fn look_again_after(waits: u32) -> SignedDuration {
    let minutes = 1i64 << waits.min(6);
    SignedDuration::from_mins(minutes.min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_grow_from_a_minute_to_an_hour() {
        assert_eq!(look_again_after(0), SignedDuration::from_mins(1));
        assert_eq!(look_again_after(3), SignedDuration::from_mins(8));
        assert_eq!(look_again_after(60), SignedDuration::from_mins(60));
    }
}
