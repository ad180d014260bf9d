//! To how many decimals amounts are rounded, half to even, as ERPNext does it by default.

use rust_decimal::Decimal;

use super::amount::{Exact, Numbers};
use crate::{Result, mapping::currency_decimals};

/// The decimals of quantities that are computed: ERPNext's most. Fewer would leave remainders that never end.
pub(super) const QUANTITY_DECIMALS: u32 = 9;

/// The currencies of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Money {
    decimals: u32,
    /// What one of the document's currency is in the company's.
    pub conversion_rate: Decimal,
}

impl Money {
    /// As the document says; its own currency if it does not.
    pub fn of(document: Numbers<'_>) -> Result<Self> {
        let decimals = currency_decimals(document.text("currency")).unwrap_or(2);
        let rate = document.get("conversion_rate")?;
        Ok(Self { decimals, conversion_rate: if rate.is_zero() { Decimal::ONE } else { rate } })
    }

    /// An amount, rounded.
    pub fn round(self, amount: Decimal) -> Decimal {
        amount.round_dp(self.decimals)
    }

    /// The smallest amount there is.
    pub fn smallest(self) -> Decimal {
        Decimal::new(1, self.decimals)
    }

    /// The amount in the company's currency, rounded. What that currency is no document says, so two decimals unless it
    /// is the document's.
    pub fn base(self, amount: Decimal) -> Result<Decimal> {
        let decimals =
            if self.conversion_rate == Decimal::ONE { self.decimals } else { self.decimals.max(2) };
        Ok(amount.times(self.conversion_rate)?.round_dp(decimals))
    }

    /// The grand total of a part, rounded to the step that the source's own was rounded to. Which step a currency has
    /// (0.05 francs, whole rupees) is a setting of the site; the finest that fits is taken. `None` where the source's was
    /// not rounded.
    pub fn round_as(self, source: Numbers<'_>, total: Decimal) -> Result<Option<Decimal>> {
        let (grand, rounded) = (source.get("grand_total")?, source.get("rounded_total")?);
        if rounded.is_zero() || source.is_set("disable_rounded_total")? {
            return Ok(None);
        }
        let off = rounded.less(grand)?.abs();
        let steps = [Decimal::new(5, 2), Decimal::new(1, 1), Decimal::new(5, 1), Decimal::ONE];
        let is_step = |step: &Decimal| off * Decimal::TWO <= *step && (rounded % step).is_zero();
        let step = steps.into_iter().find(|step| !off.is_zero() && is_step(step));
        Ok(Some(match step {
            Some(step) => total.over(step)?.round().times(step)?,
            None => self.round(total),
        }))
    }
}
