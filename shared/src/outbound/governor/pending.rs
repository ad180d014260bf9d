//! What an instance has to report with its next write.

use std::collections::BTreeMap;

use super::{shared::Health, store::Addition};

/// What was counted since the last write.
#[derive(Debug, Default)]
pub struct Pending {
    /// Calls, retries among them.
    pub calls: u64,
    /// Retries: they earn none themselves.
    pub retries: u64,
    /// Calls that went well.
    pub healthy: u64,
    /// Until when the provider wants to be left alone.
    pub pause: Option<i64>,
    generation: u64,
    health: Health,
    limited: BTreeMap<i64, Limited>,
}

/// Calls that the provider limited in a slice.
#[derive(Debug, Default)]
struct Limited {
    count: u64,
    /// The rate then, as far as was known.
    rate: u64,
}

impl Pending {
    /// Counts a call that the provider limited in `slice`, at `rate`.
    pub fn limited(&mut self, slice: i64, rate: u64) {
        let limited = self.limited.entry(slice).or_default();
        limited.count += 1;
        limited.rate = rate;
    }

    /// Whether calls were limited so long before `slice` that others may have drawn the conclusion.
    pub fn has_late(&self, slice: i64) -> bool {
        self.limited.range(..slice - 1).next().is_some()
    }

    /// Counts a call of `generation` towards the breaker, unless that is over.
    pub fn health_of(&mut self, generation: u64, failed: bool, slow: bool) {
        if generation == self.generation {
            self.health += Health { calls: 1, failed: failed.into(), slow: slow.into() };
        }
    }

    /// How calls of `generation` went.
    pub fn health(&self, generation: u64) -> Health {
        if generation == self.generation { self.health } else { Health::default() }
    }

    /// The breaker is in `generation` now. What was counted before its change says nothing of what is after.
    pub fn enter(&mut self, generation: u64) {
        if generation != self.generation {
            self.generation = generation;
            self.health = Health::default();
        }
    }

    /// Moves everything into `addition`, of a slice with this `rate`.
    pub fn report(&mut self, addition: &mut Addition, rate: u64) {
        let retries = self.retries.min(self.calls);
        addition.calls = self.calls - retries;
        self.retries -= retries;
        self.calls = 0;
        addition.healthy = std::mem::take(&mut self.healthy);
        addition.health = std::mem::take(&mut self.health);
        addition.pause = self.pause.take();
        for (slice, limited) in std::mem::take(&mut self.limited) {
            let last = addition.slice - 1;
            // What is late is news only if the rate is no lower than it was then.
            if slice >= last || limited.rate <= rate {
                *addition.limited.entry(slice.clamp(last, addition.slice)).or_default() += limited.count;
            }
        }
    }

    /// Takes back what was not written.
    pub fn give_back(&mut self, addition: &Addition) {
        self.calls += addition.calls;
        self.healthy += addition.healthy;
        if addition.bucket.0 == self.generation {
            self.health += addition.health;
        }
        self.pause = self.pause.max(addition.pause);
        for (slice, count) in &addition.limited {
            self.limited.entry(*slice).or_default().count += count;
        }
    }
}
