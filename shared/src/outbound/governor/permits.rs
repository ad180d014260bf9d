//! The permits of one instance: how many calls it expects, how many permits it asks for by that, and what it has left.
//! Pure, as the desk that they lie on.

use super::{
    shared::{Shared, slice_at},
    store::Addition,
};
use crate::outbound::policy::RatePolicy;

/// So far back, in slices, what all instances expected says what they expect.
const RECENT: i64 = 3;
/// The messages of a batch.
const BATCH: u64 = 10;
/// The calls that a message takes, more or less.
const CALLS: u64 = 4;
/// So many times what it expects is more than an instance will need.
const PLENTY: u64 = 4;
/// So many slices after the one it counted an instance still expects as many calls.
const EXPECTED_FOR: i64 = 12;

/// What an instance has, and what it needed lately.
#[derive(Debug, Default)]
pub struct Permits {
    slice: i64,
    left: u64,
    /// How many there were.
    share: Option<u64>,
    /// How many calls were expected in the slice.
    demand: u64,
    asked: Asked,
}

/// Calls that were wanted.
#[derive(Debug, Default)]
struct Asked {
    slice: i64,
    count: u64,
    /// In the last slice that had any, before this one.
    before: Option<(i64, u64)>,
}

impl Permits {
    /// Notes that a call is wanted in `slice`.
    pub fn call_wanted(&mut self, slice: i64) {
        self.asked.one(slice);
    }

    /// Whether one is left in `slice`.
    pub fn any_in(&self, slice: i64) -> bool {
        self.slice == slice && self.left > 0
    }

    /// Uses one.
    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Takes one back that was for `slice` and was not used.
    pub fn give_back(&mut self, slice: i64) {
        self.left += u64::from(self.slice == slice);
    }

    /// Gives half of what is left up.
    pub fn halve(&mut self) {
        self.left /= 2;
    }

    /// How many calls are to be expected in `slice`: half as many again as there were wanted lately.
    pub fn demand(&self, slice: i64) -> u64 {
        let asked = &self.asked;
        let (now, last) = if asked.slice == slice {
            (asked.count, asked.before)
        } else {
            (0, Some((asked.slice, asked.count)))
        };
        let last = last.filter(|(at, _)| (slice - at).abs() <= EXPECTED_FOR).map_or(0, |(_, count)| count);
        (last + last.div_ceil(2)).max(now + 1)
    }

    /// How many permits to ask for, once and for the whole slice: what is expected to be needed, at most this one's
    /// part where all instances together need more than there is. Where they need less, its part of three quarters, or
    /// plenty if that is less: calls come in batches, and others come too. Who comes anew has no part yet, and takes a
    /// batch's of what nobody has or expects to need, at most half of it; when the breaker has just closed all come
    /// anew at once, and each is content with less.
    pub fn to_ask_for(&self, slice: i64, demand: u64, known: Option<&Shared>, policy: &RatePolicy) -> u64 {
        let capacity = known.map_or(demand, |shared| shared.rate(slice, policy).capacity());
        let now = known.and_then(|shared| shared.slices.get(&slice)).copied().unwrap_or_default();
        // The last slice may have been seen in the middle.
        let lately = known.into_iter().flat_map(|shared| shared.slices.range(slice - RECENT..slice));
        let before = lately.map(|(_, counts)| counts.demand).max().unwrap_or_default();
        let (own, all) = (self.demand, before.max(now.demand));
        let wanted = if own > 0 && all > 0 && (slice - RECENT..=slice).contains(&self.slice) {
            let scarce = all.saturating_sub(own) + demand > capacity;
            let needed = if scarce { demand.min((capacity * own).div_ceil(all)) } else { demand };
            let plenty = demand * PLENTY + BATCH * CALLS;
            needed.max((capacity * own * 3 / before.max(own) / 4).min(plenty))
        } else {
            let free = capacity.saturating_sub(all.max(now.permits));
            // Of many that begin at once, those that come later find something too.
            let part = (free / 2).min(BATCH * CALLS);
            let changed = known.and_then(|shared| shared.breaker.since).map(slice_at);
            let at_once = changed.is_some_and(|changed| slice - changed <= RECENT);
            if at_once { part.min(demand.max(BATCH)) } else { part }
        };
        wanted.clamp(1, capacity)
    }

    /// Takes in `share` of what `addition` asked for.
    pub fn granted(&mut self, addition: &Addition, share: u64) {
        if self.slice != addition.slice {
            (self.slice, self.left, self.share, self.demand) = (addition.slice, 0, None, 0);
        }
        self.left += share;
        self.demand += addition.demand;
        self.share = Some(self.share.unwrap_or_default() + share);
    }

    /// Goes on in `slice` without being granted any: with as many as there were last.
    pub fn alone(&mut self, slice: i64, policy: &RatePolicy) {
        if self.slice != slice {
            let share = self.share.unwrap_or_else(|| policy.initial_per_second.into()).max(1);
            (self.slice, self.left, self.share, self.demand) = (slice, share, Some(share), 0);
        }
    }
}

impl Asked {
    fn one(&mut self, slice: i64) {
        if self.slice != slice {
            self.before = Some((self.slice, self.count)).filter(|(_, count)| *count > 0);
            (self.slice, self.count) = (slice, 0);
        }
        self.count += 1;
    }
}
