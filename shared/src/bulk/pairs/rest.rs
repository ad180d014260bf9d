//! What is left of a row, and how what is taken of it is noted.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::{
    amount::{Exact, Numbers, put},
    progress::Progress,
    rounding::{Money, QUANTITY_DECIMALS},
};
use crate::{Result, documents::Fields};

/// The field of ours in which rows without an amount (free items) count what was billed of them: ERPNext bills those
/// again with each part, since the amount of what was billed is always 0.
const BILLED_QUANTITY: &str = "billed_qty";

/// How a row counts what was taken of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rest {
    by: By,
    /// The field of the source's row.
    done: String,
    /// The field with what came back, and is not to be taken again.
    less: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Amount,
    Quantity,
    /// By quantity, but in units of stock.
    StockQuantity,
}

/// A row of a source, in numbers.
pub(super) struct Reading {
    pub quantity: Decimal,
    pub rate: Decimal,
    amount: Decimal,
    /// Units of stock in one of the row's.
    pub factor: Decimal,
    returned: Decimal,
    done: Decimal,
    /// What was billed of a row without an amount.
    free: Decimal,
}

/// What is taken of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    pub quantity: Decimal,
    pub amount: Decimal,
}

impl Rest {
    /// Reads a row. Where the source is billed in full and its rows do not say so (it came from elsewhere), those
    /// without an amount are, too.
    pub fn read(&self, row: Numbers<'_>, money: Money, is_billed: bool) -> Result<Reading> {
        let (quantity, rate) = (row.get("qty")?, row.get("rate")?);
        let amount = match row.given("amount")? {
            Some(amount) => amount,
            None => money.round(quantity.times(rate)?),
        };
        let factor =
            row.given("conversion_factor")?.filter(|factor| !factor.is_zero()).unwrap_or(Decimal::ONE);
        let returned = self.less.as_ref().map_or(Ok(Decimal::ZERO), |field| row.get(field))?;
        let free = match row.given(BILLED_QUANTITY)? {
            None if is_billed => quantity,
            free => free.unwrap_or_default(),
        };
        Ok(Reading { quantity, rate, amount, factor, returned, done: row.get(&self.done)?, free })
    }

    /// What is left of it; none if nothing is.
    pub fn portion(&self, row: &Reading, money: Money) -> Result<Option<Portion>> {
        let portion = match self.by {
            By::Amount if row.amount.is_zero() => {
                let quantity = row.quantity.less(row.returned)?.less(row.free)?;
                Portion { quantity, amount: Decimal::ZERO }
            }
            By::Amount => row.by_amount(money)?,
            By::Quantity | By::StockQuantity => self.by_quantity(row, money)?,
        };
        let is_left = is_towards(portion.quantity, row.quantity)
            && (row.amount.is_zero() || self.by != By::Amount || is_towards(portion.amount, row.amount));
        Ok(is_left.then_some(portion))
    }

    fn by_quantity(&self, row: &Reading, money: Money) -> Result<Portion> {
        let per = self.per(row);
        let left = row.quantity.less(row.returned)?.times(per)?.less(row.done)?;
        let quantity = left.over(per)?.round_dp(QUANTITY_DECIMALS);
        let amount =
            if quantity == row.quantity { row.amount } else { money.round(quantity.times(row.rate)?) };
        Ok(Portion { quantity, amount })
    }

    /// Units that are counted in one of the row's.
    fn per(&self, row: &Reading) -> Decimal {
        if self.by == By::StockQuantity { row.factor } else { Decimal::ONE }
    }

    /// Notes in the source's row that `portion` of it is taken.
    pub fn note(&self, row: &Reading, portion: Portion, fields: &mut Fields) -> Result<()> {
        match self.by {
            By::Amount if row.amount.is_zero() => {
                put(fields, BILLED_QUANTITY, row.free.plus(portion.quantity)?);
            }
            By::Amount => put(fields, &self.done, row.done.plus(portion.amount)?),
            By::Quantity | By::StockQuantity => {
                // All that is left is taken, so this is all; adding up would keep what rounding left.
                put(fields, &self.done, row.quantity.less(row.returned)?.times(self.per(row))?);
            }
        }
        Ok(())
    }

    /// Counts the row, with what is taken of it.
    pub fn count(
        &self,
        row: &Reading,
        portion: Option<Portion>,
        can_be_taken: bool,
        money: Money,
        progress: &mut Progress,
    ) -> Result<()> {
        let taken = portion.unwrap_or(Portion { quantity: Decimal::ZERO, amount: Decimal::ZERO });
        let (whole_amount, before, after, quantity) = if self.by == By::Amount {
            let whole = row.billable(money)?;
            progress.counted.add(whole, row.done, row.done.plus(taken.amount)?)?;
            (whole, row.done, row.done.plus(taken.amount)?, row.free)
        } else {
            let (whole, per) = (row.quantity.less(row.returned)?, self.per(row));
            let quantity = row.done.over(per)?;
            progress.counted.add(row.quantity, quantity, quantity.plus(taken.quantity)?)?;
            let worth = |quantity: Decimal| {
                if whole.is_zero() { Ok(Decimal::ZERO) } else { row.amount.times(quantity)?.over(whole) }
            };
            (row.amount, worth(quantity)?, worth(quantity.plus(taken.quantity)?)?, quantity)
        };
        progress.quantity.add(row.quantity, quantity, quantity.plus(taken.quantity)?)?;
        if can_be_taken {
            progress.amount.add(whole_amount, before, after)?;
        }
        Ok(())
    }
}

impl Reading {
    /// What can be billed of the row at all: not what came back.
    fn billable(&self, money: Money) -> Result<Decimal> {
        if self.returned.is_zero() || self.quantity.is_zero() {
            return Ok(self.amount);
        }
        let returned = money.round(self.amount.times(self.returned)?.over(self.quantity)?);
        self.amount.less(returned)
    }

    fn by_amount(&self, money: Money) -> Result<Portion> {
        let amount = self.billable(money)?.less(self.done)?;
        let quantity = if self.done.is_zero() {
            self.quantity.less(self.returned)?
        } else if self.rate.is_zero() {
            self.quantity.times(amount)?.over(self.amount)?
        } else {
            amount.over(self.rate)?
        };
        Ok(Portion { quantity: quantity.round_dp(QUANTITY_DECIMALS), amount })
    }
}

/// Whether there is some of `part`, and in the direction of `whole`: returns have negative quantities.
fn is_towards(part: Decimal, whole: Decimal) -> bool {
    !part.is_zero() && part.is_sign_negative() == whole.is_sign_negative()
}
