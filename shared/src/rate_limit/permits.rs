//! What an instance may allow without asking: permits that are counted already.

use super::{Counts, Limit, standing::Left, window::Window};

/// The permits of one user in one class.
#[derive(Debug, Clone, Copy, Default)]
pub struct Permits {
    start: i64,
    slot: i64,
    /// Counted in the window and in the present slot.
    ready: u64,
    /// Counted in the window, for an earlier slot: the present slot has to count them before they are used.
    carried: u64,
    /// What was left for everyone when the counters were last heard of.
    left: Left,
}

impl Permits {
    /// Moves on to `window`: permits of another window are void, those of another slot are carried.
    pub fn enter(&mut self, window: &Window) {
        if self.start != window.start {
            *self = Self { start: window.start, slot: window.slot, ..Self::default() };
        } else if self.slot != window.slot {
            self.slot = window.slot;
            self.carried += std::mem::take(&mut self.ready);
        }
    }

    /// Whether there is none for the present slot.
    pub fn is_empty(&self) -> bool {
        self.ready == 0
    }

    /// How many of `wanted` permits the window has not counted yet.
    pub fn not_yet_counted(&self, wanted: u64) -> u64 {
        wanted.saturating_sub(self.carried)
    }

    /// Adds `wanted` permits that the counters gave, and what they counted then.
    pub fn add(&mut self, wanted: u64, counts: Counts, limit: Limit) {
        self.carried -= wanted - self.not_yet_counted(wanted);
        self.ready += wanted;
        self.learn(counts, limit);
    }

    /// Takes in what the counters counted.
    pub fn learn(&mut self, counts: Counts, limit: Limit) {
        let burst = limit.burst.unwrap_or(limit.limit);
        self.left = Left {
            window: limit.limit.saturating_sub(counts.window),
            slot: burst.saturating_sub(counts.slot),
        };
    }

    /// Uses a permit.
    pub fn take_one(&mut self) {
        self.ready = self.ready.saturating_sub(1);
    }

    /// How many requests more there is room for, as far as this instance knows.
    pub fn left(&self, limit: Limit) -> Left {
        let window = self.left.window + self.ready + self.carried;
        let slot = if limit.burst.is_some() { self.left.slot + self.ready } else { window };
        Left { window, slot: slot.min(window) }
    }
}
