//! Taxes and charges, row upon row, and the additional discount that is spread over what they are of.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    amount::{Exact, Numbers, fault, sum},
    progress::Progress,
    rounding::Money,
    row::{Line, table},
    totals::{Discount, write_both},
};
use crate::{Result, documents::Fields, mapping::decimal};

const TAXES: &str = "taxes";

/// The most taxes a document has.
const MAX_TAXES: usize = 100;

/// The taxes of a document.
pub(super) struct Taxes {
    taxes: Vec<Tax>,
    items: Vec<Item>,
}

/// A tax or a charge.
struct Tax {
    charge: Charge,
    rate: Decimal,
    account: String,
    /// Whether prices contain it.
    is_included: bool,
    /// 1, or -1 where it is deducted, or 0 where it only counts for a valuation.
    sign: Decimal,
    amount: Decimal,
    after_discount: Decimal,
    total: Decimal,
}

/// What a charge is of. Rows are counted from 0.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charge {
    NetTotal,
    RowAmount(usize),
    RowTotal(usize),
    Quantity,
    Fixed,
}

/// What is taxed.
struct Item {
    amount: Decimal,
    quantity: Decimal,
    /// Rates of its own, by account.
    rates: HashMap<String, Decimal>,
}

/// What came of it.
pub(super) struct Levied {
    /// What is left of each item's amount without what is contained in it, and after the discount.
    pub nets: Vec<Decimal>,
    pub net_total: Decimal,
    pub grand_total: Decimal,
    pub discount: Decimal,
}

impl Taxes {
    /// The taxes of `target`, and what they are of. Fixed charges are this part's share.
    pub fn read(target: &Fields, lines: &[Line], progress: Progress, money: Money) -> Result<Self> {
        let rows = table(target, TAXES)?;
        if rows.len() > MAX_TAXES {
            return Err(fault("/taxes", "has more than 100 rows"));
        }
        let rows = rows.iter().filter_map(Value::as_object).enumerate();
        let taxes = rows.map(|(index, row)| Tax::read(row, index, progress, money)).collect::<Result<_>>()?;
        let items =
            lines.iter().enumerate().map(|(index, line)| Item::read(line, index)).collect::<Result<_>>()?;
        Ok(Self { taxes, items })
    }

    /// Computes all amounts, before and after the discount.
    pub fn levy(&mut self, discount: &Discount, money: Money) -> Result<Levied> {
        let nets = self.items.iter().map(|item| self.net(item, money)).collect::<Result<Vec<_>>>()?;
        let amounts = self.amounts(&nets)?;
        for (tax, amount) in self.taxes.iter_mut().zip(amounts) {
            tax.amount = money.round(amount);
            tax.after_discount = tax.amount;
        }
        let net_total = sum(nets.iter().copied())?;
        let grand_total = self.run(net_total)?.plus(self.lost_by_inclusion(net_total, money)?)?;
        let base = if discount.on_net_total { net_total } else { grand_total };
        let amount = if discount.percent.is_zero() {
            discount.amount
        } else {
            money.round(base.percent(discount.percent)?)
        };
        if amount.is_zero() || base.is_zero() {
            return Ok(Levied { nets, net_total, grand_total, discount: Decimal::ZERO });
        }
        self.discounted(nets, grand_total, amount, discount.on_net_total, money)
    }

    fn discounted(
        &mut self,
        nets: Vec<Decimal>,
        grand: Decimal,
        discount: Decimal,
        on_net: bool,
        money: Money,
    ) -> Result<Levied> {
        let net_total = sum(nets.iter().copied())?;
        let fixed = self.taxes.iter().filter(|tax| tax.charge == Charge::Fixed);
        let fixed = sum(fixed.map(|tax| tax.after_discount * tax.sign))?;
        let base = if on_net { net_total } else { grand.less(fixed)? };
        if base.is_zero() {
            return Ok(Levied { nets, net_total, grand_total: grand, discount: Decimal::ZERO });
        }
        let mut reduced = Vec::with_capacity(nets.len());
        for net in nets {
            reduced.push(net.less(money.round(discount.times(net)?.over(base)?))?);
        }
        if on_net || self.taxes.is_empty() {
            // What rounding lost is the last row's, so that the total is exact.
            let lost = sum(reduced.iter().copied())?.less(net_total.less(discount)?)?;
            if let Some(last) = reduced.last_mut() {
                *last = last.less(lost)?;
            }
        }
        let amounts = self.amounts(&reduced)?;
        for (tax, amount) in self.taxes.iter_mut().zip(amounts) {
            tax.after_discount = money.round(amount);
            if on_net {
                tax.amount = tax.after_discount;
            }
        }
        let net_total = sum(reduced.iter().copied())?;
        let total = self.run(net_total)?;
        let grand_total = if on_net { total } else { grand.less(discount)? };
        Ok(Levied { nets: reduced, net_total, grand_total, discount })
    }

    /// Writes the amounts into the rows of `target`.
    pub fn write(&self, target: &mut Fields, money: Money) -> Result<()> {
        each_row(target, TAXES, |row, index| {
            let Some(tax) = self.taxes.get(index) else { return Ok(()) };
            write_both(row, "tax_amount", tax.amount, money)?;
            write_both(row, "tax_amount_after_discount_amount", tax.after_discount, money)?;
            write_both(row, "total", tax.total, money)
        })
    }

    /// An item's amount without the taxes that its price contains.
    fn net(&self, item: &Item, money: Money) -> Result<Decimal> {
        if !self.taxes.iter().any(|tax| tax.is_included) {
            return Ok(item.amount);
        }
        let (mut fractions, mut totals, mut each) = (Vec::new(), Vec::<Decimal>::new(), Decimal::ZERO);
        for tax in &self.taxes {
            let rate = tax.rate_of(item);
            let fraction = match tax.charge {
                _ if !tax.is_included => Decimal::ZERO,
                Charge::NetTotal => Decimal::ONE.percent(rate)?,
                Charge::RowAmount(row) => at(&fractions, row).percent(rate)?,
                Charge::RowTotal(row) => at(&totals, row).percent(rate)?,
                Charge::Quantity => {
                    each = each.plus(rate.times(tax.sign)?)?;
                    Decimal::ZERO
                }
                Charge::Fixed => Decimal::ZERO,
            };
            let fraction = fraction.times(tax.sign)?;
            totals.push(totals.last().copied().unwrap_or(Decimal::ONE).plus(fraction)?);
            fractions.push(fraction);
        }
        let factor = Decimal::ONE.plus(sum(fractions.into_iter())?)?;
        Ok(money.round(item.amount.less(each.times(item.quantity)?)?.over(factor)?))
    }

    /// What each tax is of all items, not rounded.
    fn amounts(&self, nets: &[Decimal]) -> Result<Vec<Decimal>> {
        let net_total = sum(nets.iter().copied())?;
        let mut sums = vec![Decimal::ZERO; self.taxes.len()];
        let (mut amounts, mut totals) = (Vec::new(), Vec::<Decimal>::new());
        for (place, (item, net)) in self.items.iter().zip(nets).enumerate() {
            amounts.clear();
            totals.clear();
            for (tax, sum) in self.taxes.iter().zip(&mut sums) {
                let rate = tax.rate_of(item);
                let amount = match tax.charge {
                    Charge::NetTotal => net.percent(rate)?,
                    Charge::RowAmount(row) => at(&amounts, row).percent(rate)?,
                    Charge::RowTotal(row) => at(&totals, row).percent(rate)?,
                    Charge::Quantity => rate.times(item.quantity)?,
                    Charge::Fixed if place + 1 == nets.len() => tax.amount.less(*sum)?,
                    Charge::Fixed if net_total.is_zero() => Decimal::ZERO,
                    Charge::Fixed => tax.amount.times(*net)?.over(net_total)?,
                };
                *sum = sum.plus(amount)?;
                amounts.push(amount);
                totals.push(totals.last().copied().unwrap_or(*net).plus(amount.times(tax.sign)?)?);
            }
        }
        Ok(sums)
    }

    /// The totals after each tax; gives the last.
    fn run(&mut self, net_total: Decimal) -> Result<Decimal> {
        let mut total = net_total;
        for tax in &mut self.taxes {
            total = total.plus(tax.after_discount.times(tax.sign)?)?;
            tax.total = total;
        }
        Ok(total)
    }

    /// What taking contained taxes out and adding them again lost by rounding, up to five of the smallest units.
    fn lost_by_inclusion(&self, net_total: Decimal, money: Money) -> Result<Decimal> {
        if !self.taxes.iter().any(|tax| tax.is_included) {
            return Ok(Decimal::ZERO);
        }
        let added = self.taxes.iter().filter(|tax| !tax.is_included);
        let added = sum(added.map(|tax| tax.after_discount * tax.sign))?;
        let wanted = sum(self.items.iter().map(|item| item.amount))?.plus(added)?;
        let last = self.taxes.last().map_or(net_total, |tax| tax.total);
        let lost = wanted.less(last)?;
        Ok(if lost.abs() <= money.smallest() * Decimal::from(5) { lost } else { Decimal::ZERO })
    }
}

impl Tax {
    fn read(row: &Fields, index: usize, progress: Progress, money: Money) -> Result<Self> {
        let numbers = Numbers::of_row(row, TAXES, index);
        let before = || match numbers.get("row_id")?.try_into() {
            Ok(number @ 1_usize..) if number <= index => Ok(number - 1),
            _ => Err(numbers.fault("row_id", "is not the number of a row before")),
        };
        let charge = match numbers.text("charge_type") {
            "On Net Total" => Charge::NetTotal,
            "On Previous Row Amount" => Charge::RowAmount(before()?),
            "On Previous Row Total" => Charge::RowTotal(before()?),
            "On Item Quantity" => Charge::Quantity,
            "Actual" => Charge::Fixed,
            _ => return Err(numbers.fault("charge_type", "is not a kind of charge")),
        };
        let sign = match (numbers.text("category"), numbers.text("add_deduct_tax")) {
            ("Valuation", _) => Decimal::ZERO,
            (_, "Deduct") => Decimal::NEGATIVE_ONE,
            _ => Decimal::ONE,
        };
        let fixed = if charge == Charge::Fixed { numbers.get("tax_amount")? } else { Decimal::ZERO };
        Ok(Self {
            charge,
            rate: numbers.get("rate")?,
            account: numbers.text("account_head").to_owned(),
            is_included: numbers.is_set("included_in_print_rate")?,
            sign,
            amount: progress.share(fixed, money)?,
            after_discount: Decimal::ZERO,
            total: Decimal::ZERO,
        })
    }

    fn rate_of(&self, item: &Item) -> Decimal {
        item.rates.get(&self.account).copied().unwrap_or(self.rate)
    }
}

impl Item {
    fn read(line: &Line, index: usize) -> Result<Self> {
        const FIELD: &str = "item_tax_rate";
        let fault =
            || Numbers::of_row(&line.fields, "items", index).fault(FIELD, "is not a rate for each account");
        let parsed;
        let rates = match line.fields.get(FIELD) {
            Some(Value::Object(rates)) => Some(rates),
            Some(Value::String(text)) if !text.trim().is_empty() => {
                parsed = serde_json::from_str::<Fields>(text).map_err(|_| fault())?;
                Some(&parsed)
            }
            _ => None,
        };
        let rates = rates.into_iter().flatten();
        let rates = rates.map(|(account, rate)| Some((account.clone(), decimal(rate)?)));
        let rates = rates.collect::<Option<_>>().ok_or_else(fault)?;
        Ok(Self { amount: line.amount, quantity: line.quantity, rates })
    }
}

/// What a row before came to.
fn at(rows: &[Decimal], row: usize) -> Decimal {
    rows.get(row).copied().unwrap_or_default()
}

/// Changes each row of a table.
pub(super) fn each_row(
    fields: &mut Fields,
    table: &str,
    mut change: impl FnMut(&mut Fields, usize) -> Result<()>,
) -> Result<()> {
    let rows = fields.get_mut(table).and_then(Value::as_array_mut).into_iter().flatten();
    for (index, row) in rows.filter_map(Value::as_object_mut).enumerate() {
        change(row, index)?;
    }
    Ok(())
}
