//! Parking: events that wait, and events that are dead, kept whole until they are resolved.
//!
//! The event worker parks an event whose next attempt is further away than the queue can wait, whose parent is missing,
//! whose provider is not called because its circuit breaker is open, or whose attempts are used up. A parked item stays
//! until the event's effect happened: the transaction of the effect deletes it. Taking it out means only sending a
//! message that names it, so a crash at any point leaves it there, and the [`Sweeper`] finds it again when it is due.

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

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

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
    /// Until something happens; looked at again from time to time all the same.
    Waiting(WaitsFor),
    /// Until someone replays it.
    Dead,
}

/// What an event waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// This document to exist.
    Document(DocumentKey),
    /// The circuit breaker of this connector to close.
    Connector(String),
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(document) => document.fmt(f),
            Self::Connector(connector) => write!(f, "the breaker of {connector}"),
        }
    }
}

impl From<&DocumentKey> for WaitsFor {
    fn from(document: &DocumentKey) -> Self {
        Self::Document(document.clone())
    }
}

impl ParkedState {
    /// The names of the states, as listed and filtered.
    pub const NAMES: [&'static str; 3] = ["delayed", "waiting", "dead"];

    /// The state's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Waiting(_) => "waiting",
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

    /// A page of the ids of items that wait for `awaited`. It may be empty, and have a cursor.
    async fn waiting_for(&self, awaited: &WaitsFor, cursor: Option<String>) -> Result<Page<String>>;

    /// Parked items, by state, then connector, then time; without their bodies, which [`get`](Self::get) has.
    async fn list(&self, query: &ParkedQuery) -> Result<Page<ParkedItem>>;
}

/// How long an event waits, for whatever it is, before it is dead.
pub const MAX_WAIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When to look again at an event that waits for a document and was looked at `waits` times in vain: the
/// release by the document's creation is the rule, this only the net.
pub fn look_again_after(waits: u32) -> SignedDuration {
    let minutes = 1i64 << waits.min(6);
    SignedDuration::from_mins(minutes.min(60))
}

/// The longest pause between two looks at an event that waits for a breaker: where nothing else is called, it is these
/// looks that find the provider well again.
const LONGEST_PAUSE_FOR_A_BREAKER: SignedDuration = SignedDuration::from_mins(15);

/// When to look again at the event `id`, which waits for a breaker that lets nobody through for `closed_for`, and was
/// looked at `waits` times in vain. Never before, and after that spread, each event at its own moment: the first to
/// come is the one call that tries, and the others need not all meet a breaker that is open still.
pub fn try_again_after(id: &str, waits: u32, closed_for: SignedDuration) -> SignedDuration {
    let pause = look_again_after(waits).min(LONGEST_PAUSE_FOR_A_BREAKER);
    closed_for.saturating_add(share(id, waits, pause))
}

/// A share of `whole`, from none to all of it, that is always the same for this event's `n`th time, and evenly spread
/// over events and times.
pub fn share(id: &str, n: u32, whole: SignedDuration) -> SignedDuration {
    let mut hasher = DefaultHasher::new();
    (id, n).hash(&mut hasher);
    let milliseconds = u64::try_from(whole.as_millis()).unwrap_or(0);
    let milliseconds = hasher.finish() % milliseconds.saturating_add(1).max(1);
    SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(0))
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

    #[test]
    fn what_waits_for_a_breaker_is_not_looked_at_before_it_lets_anyone_through_and_never_long_after() {
        let closed_for = SignedDuration::from_secs(50);
        for waits in 0..20 {
            let times: Vec<_> =
                (0..200).map(|n| try_again_after(&format!("evt_{n}"), waits, closed_for)).collect();
            let pause = look_again_after(waits).min(LONGEST_PAUSE_FOR_A_BREAKER);
            assert!(times.iter().all(|time| (closed_for..=closed_for + pause).contains(time)), "{times:?}");
            let early = times.iter().filter(|time| **time < closed_for + pause / 4).count();
            assert!((25..80).contains(&early), "a quarter of them in a quarter of the time, not {early}");
        }
    }

    #[test]
    fn items_of_earlier_releases_are_still_read() {
        let stored = r#"{"state":"waiting","document":{"doctype":"Sales Order","name":"SO-1"}}"#;
        let document = DocumentKey::new("Sales Order", "SO-1").unwrap();
        let state = ParkedState::Waiting(WaitsFor::Document(document));
        assert_eq!(serde_json::from_str::<ParkedState>(stored).unwrap(), state);
        assert_eq!(serde_json::to_string(&state).unwrap(), stored, "and earlier releases read ours");
        let breaker = ParkedState::Waiting(WaitsFor::Connector("erpnext".into()));
        let stored = serde_json::to_string(&breaker).unwrap();
        assert_eq!(serde_json::from_str::<ParkedState>(&stored).unwrap(), breaker);
    }
}
