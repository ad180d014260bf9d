//! The retry budget: a share of the calls that were made, handed out with what an instance writes anyway.
//!
//! All calls are counted in one number, and every fifth, say, carries a retry. Whoever adds the calls that make
//! the number pass it has the retry; no other instance added the same ones, so nobody else has it. It is for the slice
//! in which it was earned: what good times earned cannot be spent at once when they end, so an outage adds no more to
//! the load than the share, from its beginning. While hardly anything fails, one more goes to whoever is the first to
//! write in a slice, so that there is a retry where there are few calls.

/// The retries that an instance may use.
#[derive(Debug, Default)]
pub struct RetryTokens {
    slice: i64,
    left: u64,
}

impl RetryTokens {
    /// Takes in that `added` calls made `calls` of them, in `slice`, with one more if it is the `first` to say so.
    pub fn earn(&mut self, slice: i64, calls: u64, added: u64, first: bool, percent: u32) {
        let earned_by = |calls: u64| calls.saturating_mul(percent.into()) / 100;
        let share = earned_by(calls) - earned_by(calls.saturating_sub(added));
        *self = Self { slice, left: share + u64::from(first && percent > 0) };
    }

    /// Uses one in `slice`; whether there was one.
    pub fn take(&mut self, slice: i64) -> bool {
        let may = self.slice == slice && self.left > 0;
        self.left -= u64::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tokens: &mut RetryTokens, slice: i64) -> usize {
        std::iter::repeat_with(|| tokens.take(slice)).take_while(|may| *may).count()
    }

    #[test]
    fn every_fifth_call_carries_a_retry_whoever_adds_it() {
        let (mut one, mut other) = (RetryTokens::default(), RetryTokens::default());
        one.earn(7, 4, 4, false, 20);
        assert_eq!(count(&mut one, 7), 0);
        other.earn(7, 6, 2, false, 20);
        assert_eq!(count(&mut other, 7), 1);
        one.earn(8, 20, 14, false, 20);
        assert_eq!(count(&mut one, 8), 3);
    }

    #[test]
    fn the_first_of_a_slice_has_one_and_a_budget_of_nothing_none() {
        let mut tokens = RetryTokens::default();
        tokens.earn(7, 0, 0, true, 0);
        assert_eq!(count(&mut tokens, 7), 0);
        tokens.earn(8, 0, 0, true, 20);
        assert_eq!(count(&mut tokens, 8), 1);
    }

    #[test]
    fn what_is_not_used_in_its_slice_is_lost() {
        let mut tokens = RetryTokens::default();
        tokens.earn(7, 100, 100, false, 20);
        assert!(tokens.take(7) && !tokens.take(8));
        tokens.earn(8, 105, 5, false, 20);
        assert_eq!(count(&mut tokens, 8), 1);
    }
}
