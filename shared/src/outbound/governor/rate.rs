//! The adaptive rate: half as much after the provider limited us, a tenth more after ten calls that went well.

use super::shared::SLICE_SECONDS;
use crate::outbound::policy::RatePolicy;

/// The least, in calls per 1,000 seconds: one call a slice.
const LEAST: u64 = 200;
/// After so many calls that went well there may be more.
const GROWTH_AFTER: u64 = 10;
/// What was learnt is worth nothing after so many slices without a call: a quarter of an hour.
pub const FORGOTTEN: i64 = 180;

/// A rate, and what it takes to compute the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls per 1,000 seconds.
    pub milli: u64,
    /// Calls that went well since it last changed; 10 says that it was halved in the slice before, so that what
    /// is limited now was sent before anyone knew.
    pub run: u64,
}

impl Rate {
    /// Before anything is known of the provider.
    pub fn initial(policy: &RatePolicy) -> Self {
        Self { milli: u64::from(policy.initial_per_second) * 1_000, run: 0 }.within(policy)
    }

    /// After a slice with these counts, `rest` slices after the last one that had any.
    pub(super) fn after(self, rest: i64, healthy: u64, limited: u64, policy: &RatePolicy) -> Self {
        let Self { milli, run } = self.rested(rest);
        let just_halved = run == GROWTH_AFTER;
        let run = if just_halved { 0 } else { run };
        let next = match limited {
            0 if run + healthy >= GROWTH_AFTER => Self { milli: milli + milli / 10, run: 0 },
            0 => Self { milli, run: run + healthy },
            _ if just_halved => Self { milli, run: 0 },
            _ => Self { milli: milli / 2, run: GROWTH_AFTER },
        };
        next.within(policy)
    }

    /// After `slices` without a call.
    pub(super) fn rested(self, slices: i64) -> Self {
        if self.run == GROWTH_AFTER && slices > 0 { Self { run: 0, ..self } } else { self }
    }

    /// Not above the policy's maximum, nor below the least.
    pub(super) fn within(self, policy: &RatePolicy) -> Self {
        let most = (u64::from(policy.maximum_per_second) * 1_000).max(LEAST);
        Self { milli: self.milli.clamp(LEAST, most), ..self }
    }

    /// How many calls that is in a slice, at least 1.
    pub fn capacity(self) -> u64 {
        self.milli * SLICE_SECONDS.unsigned_abs() / 1_000
    }

    /// Calls a second.
    pub fn per_second(self) -> f64 {
        f64::from(u32::try_from(self.milli).unwrap_or(u32::MAX)) / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(milli: u64) -> Rate {
        Rate { milli, run: 0 }
    }

    #[test]
    fn it_grows_by_a_tenth_after_ten_good_calls_up_to_the_maximum() {
        let policy = RatePolicy::default();
        let begin = Rate::initial(&policy);
        assert_eq!(begin.milli, 10_000);
        let nine = begin.after(0, 9, 0, &policy);
        assert_eq!(nine.milli, 10_000);
        assert_eq!(nine.after(0, 1, 0, &policy), rate(11_000));
        let most = (0..100).fold(begin, |rate, _| rate.after(0, 100, 0, &policy));
        assert_eq!(most, rate(50_000));
    }

    #[test]
    fn it_is_halved_once_for_what_was_sent_before_anyone_knew() {
        let policy = RatePolicy::default();
        let halved = Rate::initial(&policy).after(0, 40, 7, &policy);
        assert_eq!(halved.milli, 5_000);
        let again = halved.after(0, 0, 3, &policy);
        assert_eq!(again.milli, 5_000, "the burst goes on into the next slice");
        assert_eq!(again.after(0, 0, 3, &policy).milli, 2_500, "and it is still too much");
        assert_eq!(halved.after(1, 0, 3, &policy).milli, 2_500, "after a rest it is news");
    }

    #[test]
    fn there_is_always_a_call_a_slice() {
        let policy = RatePolicy::default();
        let least = (0..100).fold(Rate::initial(&policy), |rate, _| rate.after(1, 0, 1, &policy));
        assert_eq!((least.milli, least.capacity()), (200, 1));
        let tiny = RatePolicy { initial_per_second: 0, maximum_per_second: 0 };
        assert_eq!(Rate::initial(&tiny).capacity(), 1);
    }
}
