//! What all instances know of a connector: the State item `G#{connector}`, and what follows from it.
//!
//! Everything here is pure. Whoever has the same item comes to the same conclusions, which is why rates need no
//! agreement: they are computed from counts that no longer change.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
};

use jiff::Timestamp;

use super::rate::{FORGOTTEN, Rate};
use crate::outbound::policy::{BreakerPolicy, RatePolicy};

/// How long a slice is, in seconds: permits are for one, and an instance writes at most once in one.
pub const SLICE_SECONDS: i64 = 5;
/// Into how many buckets the breaker's window is cut.
const BUCKETS: i64 = 4;

/// The slice that `now` is in, counted from 1970.
pub fn slice_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SLICE_SECONDS)
}

/// When `slice` begins.
pub fn begin_of(slice: i64) -> Timestamp {
    Timestamp::from_second(slice.saturating_mul(SLICE_SECONDS)).unwrap_or(Timestamp::MAX)
}

/// What all instances know of a connector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shared {
    /// The breaker.
    pub breaker: Breaker,
    /// What was counted lately, by slice.
    pub slices: BTreeMap<i64, Slice>,
    /// How calls went, by the breaker's generation and the slice that the bucket begins with.
    pub buckets: BTreeMap<(u64, i64), Health>,
    /// Until when the provider wants to be left alone, in seconds since 1970; the latest counts.
    pub pauses: BTreeSet<i64>,
    /// Calls ever made, without retries: what the retry budget is a share of.
    pub calls: u64,
}

/// The circuit breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Grows with each change: whoever changes it must have seen the last one.
    pub generation: u64,
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    #[default]
    Closed,
    /// None goes through.
    Open {
        /// Then one may try.
        until: Timestamp,
    },
    /// One does.
    HalfOpen {
        /// Then another may: the one that tried is gone.
        until: Timestamp,
    },
}

impl State {
    /// As the item, logs and the API have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }

    /// Until when it stays so, if that is known.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Closed => None,
            Self::Open { until } | Self::HalfOpen { until } => Some(until),
        }
    }
}

/// What was counted for a slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Permits that were given out, or asked for when there were no more.
    pub permits: u64,
    /// Calls that instances thought they would make.
    pub demand: u64,
    /// Calls that went well, reported in this slice.
    pub healthy: u64,
    /// Calls that the provider limited, in this slice.
    pub limited: u64,
    /// The rate in this slice, once everything before it is known.
    pub rate: Option<Rate>,
}

/// How calls went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// All of them.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were slow.
    pub slow: u64,
}

impl AddAssign for Health {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.slow += other.slow;
    }
}

impl Health {
    /// Why a breaker opens by this, if it does.
    pub fn breach(self, policy: &BreakerPolicy) -> Option<String> {
        let Self { calls, failed, slow } = self;
        if calls < u64::from(policy.minimum_calls) {
            return None;
        }
        let reached = |count: u64, percent: u32| count > 0 && count * 100 >= calls * u64::from(percent);
        let window = policy.window_seconds;
        if reached(failed, policy.failure_percent) {
            Some(format!("{failed} of {calls} calls failed within {window} s"))
        } else if reached(slow, policy.slow_call_percent) {
            Some(format!("{slow} of {calls} calls were slow within {window} s"))
        } else {
            None
        }
    }
}

impl Shared {
    /// The rate in `slice`. Counts of earlier slices decide, on from the newest rate that is settled.
    pub fn rate(&self, slice: i64, policy: &RatePolicy) -> Rate {
        let first = Rate::initial(policy);
        let settled = self.slices.range(..=slice).rev().find_map(|(at, counts)| Some((*at, counts.rate?)));
        let begin = settled.or_else(|| self.slices.range(..slice).next().map(|(at, _)| (*at, first)));
        let Some((begin, mut rate)) = begin else { return first };
        let mut last = begin;
        for (at, counts) in self.slices.range(begin..slice) {
            if at - last > FORGOTTEN {
                rate = first;
            }
            rate = rate.after(at - last, counts.healthy, counts.limited, policy);
            last = *at + 1;
        }
        if slice - last > FORGOTTEN { first } else { rate.rested(slice - last).within(policy) }
    }

    /// The newest slice whose rate is settled, and the rate.
    pub fn settled(&self) -> Option<(i64, Rate)> {
        self.slices.iter().rev().find_map(|(slice, counts)| Some((*slice, counts.rate?)))
    }

    /// How calls went within the window that ends with `slice`, since the breaker last changed.
    pub fn health(&self, slice: i64, policy: &BreakerPolicy) -> Health {
        let window = i64::from(policy.window_seconds);
        let mut sum = Health::default();
        for ((generation, begin), health) in &self.buckets {
            if *generation == self.breaker.generation && (slice - begin) * SLICE_SECONDS < window {
                sum += *health;
            }
        }
        sum
    }

    /// Until when the provider wants to be left alone, in seconds since 1970.
    pub fn paused_until(&self) -> i64 {
        self.pauses.last().copied().unwrap_or(i64::MIN)
    }
}

/// The slice that the bucket of `slice` begins with.
pub fn bucket_of(slice: i64, policy: &BreakerPolicy) -> i64 {
    let length = bucket_length(policy);
    slice.div_euclid(length) * length
}

fn bucket_length(policy: &BreakerPolicy) -> i64 {
    (i64::from(policy.window_seconds) + BUCKETS * SLICE_SECONDS - 1)
        .div_euclid(BUCKETS * SLICE_SECONDS)
        .max(1)
}
