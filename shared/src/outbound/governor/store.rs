//! The port to what all instances share of a connector.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    rate::Rate,
    shared::{Health, SLICE_SECONDS, Shared, State},
};
use crate::{Result, outbound::OutboundPolicy};

/// What an instance adds: permits that it takes, and what it has to report. It changes nothing that another
/// instance may have written, so it needs no condition and meets nobody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Addition {
    /// The slice that the permits are for.
    pub slice: i64,
    /// How many it takes.
    pub permits: u64,
    /// How many calls it thinks it will make in the slice.
    pub demand: u64,
    /// Calls made, without retries.
    pub calls: u64,
    /// Those that went well.
    pub healthy: u64,
    /// Those that the provider limited, by slice: this one or the one before.
    pub limited: BTreeMap<i64, u64>,
    /// The bucket of the breaker's window, by generation and the slice it begins with.
    pub bucket: (u64, i64),
    /// What is added to it.
    pub health: Health,
    /// Until when the provider wants to be left alone, in seconds since 1970.
    pub pause: Option<i64>,
    /// A rate that no count can change any more, and its slice.
    pub settled: Option<(i64, Rate)>,
    /// Slices that nobody needs any more: there is a later rate that is settled.
    pub old_slices: Vec<i64>,
    /// Buckets of earlier generations, and of before the window.
    pub old_buckets: Vec<(u64, i64)>,
    /// Pauses that are over.
    pub old_pauses: Vec<i64>,
}

/// A change of the breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The generation that must still be the present one.
    pub seen: u64,
    /// From what.
    pub from: State,
    /// To what.
    pub to: State,
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Whether it was made; otherwise someone was quicker.
    pub made: bool,
    /// What is shared now.
    pub shared: Shared,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// When.
    pub at: Timestamp,
    /// `closed`, `open` or `half_open`.
    pub from: String,
    /// The same.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// How many changes are remembered.
pub const HISTORY: u64 = 20;

/// Where what is shared is kept.
#[async_trait]
pub trait GovernorStore: Send + Sync {
    /// What is shared of `connector`, with all that was written before; `None` if it was never called.
    async fn read(&self, connector: &str) -> Result<Option<Shared>>;

    /// Adds, and returns what came of it.
    async fn add(&self, connector: &str, addition: &Addition) -> Result<Shared>;

    /// Changes the breaker if nobody did since.
    async fn change(&self, connector: &str, change: &Change) -> Result<Changed>;

    /// Remembers a change that was made.
    async fn remember(&self, connector: &str, change: &Change) -> Result<()>;

    /// The last changes, newest first, at most [`HISTORY`].
    async fn history(&self, connector: &str) -> Result<Vec<Passage>>;
}

impl Addition {
    /// Settles a rate, and takes away what nobody needs any more, as far as `shared` shows, which was seen in the
    /// slice `seen`.
    pub(super) fn tidy(&mut self, shared: &Shared, seen: i64, now: Timestamp, policy: &OutboundPolicy) {
        // Counts of a slice come in until the end of the next one, and a write may take as long: what was seen in a
        // slice is complete up to three before.
        let settled = shared.settled().map(|(slice, _)| slice);
        if settled.is_none_or(|slice| slice < seen - 2) {
            self.settled = Some((seen - 2, shared.rate(seen - 2, &policy.rate)));
        }
        if let Some(settled) = settled {
            self.old_slices = shared.slices.range(..settled).map(|(slice, _)| *slice).collect();
        }
        let window = i64::from(policy.breaker.window_seconds) / SLICE_SECONDS;
        let old = |(generation, begin): &(u64, i64)| {
            *generation != shared.breaker.generation || *begin < self.slice - window
        };
        self.old_buckets =
            shared.buckets.keys().copied().filter(|bucket| *bucket != self.bucket && old(bucket)).collect();
        self.old_pauses = shared.pauses.iter().copied().filter(|until| *until <= now.as_second()).collect();
    }
}

impl Shared {
    /// With `change`, if its generation is the present one; whether it was.
    pub fn apply(&mut self, change: &Change) -> bool {
        if self.breaker.generation != change.seen {
            return false;
        }
        self.breaker.generation += 1;
        self.breaker.state = change.to;
        self.breaker.since = Some(change.at);
        true
    }
}
