//! How much of a source is billed, delivered or ordered: before this part, and with it.

use rust_decimal::Decimal;

use super::{amount::Exact, rounding::Money};
use crate::Result;

/// From how many percent on a source is done: below it is what rounding leaves.
const DONE: Decimal = Decimal::from_parts(99_999_999, 0, 0, false, 6);

/// What there is of something, and how much of it was taken. Signs do not count: each row goes towards its own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    whole: Decimal,
    before: Decimal,
    after: Decimal,
}

impl Tally {
    /// Adds a row; more than the whole of it does not count.
    pub fn add(&mut self, whole: Decimal, before: Decimal, after: Decimal) -> Result<()> {
        let towards = |done: Decimal| {
            if done.is_sign_negative() == whole.is_sign_negative() { done.abs() } else { Decimal::ZERO }
        };
        self.whole = self.whole.plus(whole.abs())?;
        self.before = self.before.plus(towards(before).min(whole.abs()))?;
        self.after = self.after.plus(towards(after).min(whole.abs()))?;
        Ok(())
    }

    fn percent(self) -> Option<Decimal> {
        let percent = self.after.checked_div(self.whole)?.checked_mul(Decimal::ONE_HUNDRED)?;
        Some(percent.round_dp(6))
    }

    /// This part's share of a fixed amount: what is due with it, less what was due before. So shares add up, whatever
    /// the parts.
    fn share(self, amount: Decimal, money: Money) -> Result<Decimal> {
        let due =
            |done: Decimal| -> Result<Decimal> { Ok(money.round(amount.times(done)?.over(self.whole)?)) };
        if self.before.is_zero() && self.after == self.whole {
            return Ok(amount);
        }
        due(self.after)?.less(due(self.before)?)
    }
}

/// All that is counted of a source.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// In what the pair counts by, amounts or quantities.
    pub counted: Tally,
    /// In quantities: what counts where there are no amounts.
    pub quantity: Tally,
    /// In amounts, of the rows that can be taken.
    pub amount: Tally,
}

impl Progress {
    /// How much is done, in percent, to six decimals; none of nothing.
    pub fn percent(self) -> Option<Decimal> {
        self.counted.percent().or_else(|| self.quantity.percent())
    }

    /// How far it is, in ERPNext's words.
    pub fn label(self, word: &str) -> String {
        let percent = self.percent().unwrap_or_default();
        let how = if percent >= DONE {
            "Fully"
        } else if percent < Decimal::new(1, 3) {
            "Not"
        } else {
            "Partly"
        };
        format!("{how} {word}")
    }

    /// This part's share of a fixed charge or discount.
    pub fn share(self, amount: Decimal, money: Money) -> Result<Decimal> {
        match (self.amount.whole.is_zero(), self.quantity.whole.is_zero()) {
            (false, _) => self.amount.share(amount, money),
            (true, false) => self.quantity.share(amount, money),
            (true, true) => Ok(amount),
        }
    }
}

/// Whether so many percent are all.
pub(super) fn is_done(percent: Decimal) -> bool {
    percent >= DONE
}
