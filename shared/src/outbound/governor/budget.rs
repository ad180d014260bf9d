//! The retry budget: a share of the calls that were made, handed out with what an instance writes anyway.
//!
//! All calls are counted in one number, and every hundredth, say, carries a retry. Whoever adds the calls that make
//! the number pass it has the retry; no other instance added the same ones, so nobody else has it. One more goes to
//! whoever is the first to write in a slice, so that there is a retry where there are few calls.

use jiff::{SignedDuration, Timestamp};

/// How long a retry may be used.
const VALID: SignedDuration = SignedDuration::from_secs(15);
/// As many entries as there can be writes in that time, and one.
const MAX_ENTRIES: usize = 5;

/// The retries that an instance may use.
#[derive(Debug, Default)]
pub struct RetryTokens(Vec<(Timestamp, u64)>);

impl RetryTokens {
    /// Takes in that `added` calls made `calls` of them, as the `first` write of the slice.
    pub fn earn(&mut self, calls: u64, added: u64, first: bool, percent: u32, now: Timestamp) {
        let earned_by = |calls: u64| calls.saturating_mul(percent.into()) / 100;
        let share = earned_by(calls) - earned_by(calls.saturating_sub(added));
        let count = share + u64::from(first && percent > 0);
        if count > 0 {
            self.0.retain(|(until, _)| now < *until);
            self.0.truncate(MAX_ENTRIES - 1);
            self.0.push((now + VALID, count));
        }
    }

    /// Uses one, the oldest; whether there was one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.0.retain(|(until, count)| now < *until && *count > 0);
        match self.0.first_mut() {
            Some((_, count)) => {
                *count -= 1;
                true
            }
            None => false,
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn left(&self, now: Timestamp) -> u64 {
        self.0.iter().filter(|(until, _)| now < *until).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    #[test]
    fn every_fifth_call_carries_a_retry_whoever_adds_it() {
        let (mut one, mut other) = (RetryTokens::default(), RetryTokens::default());
        one.earn(4, 4, false, 20, start());
        assert!(!one.take(start()));
        other.earn(6, 2, false, 20, start());
        assert!(other.take(start()) && !other.take(start()));
        one.earn(20, 14, false, 20, start());
        assert_eq!(one.left(start()), 3);
    }

    #[test]
    fn the_first_of_a_slice_has_one_and_a_budget_of_nothing_none() {
        let mut tokens = RetryTokens::default();
        tokens.earn(0, 0, true, 0, start());
        assert!(!tokens.take(start()));
        tokens.earn(0, 0, true, 20, start());
        assert!(tokens.take(start()));
    }

    #[test]
    fn what_is_not_used_is_lost() {
        let mut tokens = RetryTokens::default();
        tokens.earn(100, 100, false, 20, start());
        assert_eq!(tokens.left(start()), 20);
        assert!(!tokens.take(start() + VALID));
    }
}
