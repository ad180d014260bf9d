//! The amounts and totals of a document of rows, as ERPNext computes them.

use rust_decimal::Decimal;

use super::{
    amount::{Exact, Numbers, put, sum},
    progress::Progress,
    rounding::Money,
    row::Line,
    taxes::{self, Taxes},
};
use crate::{Result, documents::Fields};

/// Writes the amounts of `lines`, the taxes, which `target` has from its source, and the totals.
pub(super) fn write(
    target: &mut Fields,
    source: Numbers<'_>,
    lines: &mut [Line],
    progress: Progress,
    money: Money,
) -> Result<()> {
    let mut taxes = Taxes::read(target, lines, progress, money)?;
    let discount = Discount::of(source, progress, money)?;
    let levied = taxes.levy(&discount, money)?;
    for ((index, line), net) in lines.iter_mut().enumerate().zip(&levied.nets) {
        write_line(line, *net, index, money)?;
    }
    taxes.write(target, money)?;
    let total = sum(lines.iter().map(|line| line.amount))?;
    put(target, "total_qty", sum(lines.iter().map(|line| line.quantity))?);
    write_both(target, "total", total, money)?;
    write_both(target, "net_total", levied.net_total, money)?;
    write_both(target, "total_taxes_and_charges", levied.grand_total.less(levied.net_total)?, money)?;
    write_both(target, "discount_amount", levied.discount, money)?;
    write_both(target, "grand_total", levied.grand_total, money)?;
    if let Some(rounded) = money.round_as(source, levied.grand_total)? {
        write_both(target, "rounded_total", rounded, money)?;
        write_both(target, "rounding_adjustment", rounded.less(levied.grand_total)?, money)?;
    }
    write_weight(target, lines)?;
    write_commission(target, lines)
}

/// An additional discount.
pub(super) struct Discount {
    pub percent: Decimal,
    /// This part's share of a fixed one.
    pub amount: Decimal,
    pub on_net_total: bool,
}

impl Discount {
    fn of(source: Numbers<'_>, progress: Progress, money: Money) -> Result<Self> {
        let percent = source.get("additional_discount_percentage")?;
        let amount = if percent.is_zero() {
            progress.share(source.get("discount_amount")?, money)?
        } else {
            Decimal::ZERO
        };
        Ok(Self { percent, amount, on_net_total: source.text("apply_discount_on") == "Net Total" })
    }
}

fn write_line(line: &mut Line, net: Decimal, index: usize, money: Money) -> Result<()> {
    let numbers = Numbers::of_row(&line.fields, "items", index);
    let (rate, weight) = (numbers.get("rate")?, numbers.get("weight_per_unit")?);
    let stock = numbers.get("stock_qty")?;
    let net_rate = if net == line.amount { rate } else { money.round(net.over(line.quantity)?) };
    for (field, amount) in
        [("rate", rate), ("amount", line.amount), ("net_rate", net_rate), ("net_amount", net)]
    {
        write_both(&mut line.fields, field, amount, money)?;
    }
    if !weight.is_zero() {
        put(&mut line.fields, "total_weight", weight.times(stock)?);
    }
    Ok(())
}

/// Writes an amount in the document's currency and in the company's.
pub(super) fn write_both(fields: &mut Fields, field: &str, amount: Decimal, money: Money) -> Result<()> {
    put(fields, field, amount);
    put(fields, &format!("base_{field}"), money.base(amount)?);
    Ok(())
}

fn write_weight(target: &mut Fields, lines: &[Line]) -> Result<()> {
    let weights = lines.iter().enumerate();
    let weights = weights
        .map(|(index, line)| Numbers::of_row(&line.fields, "items", index).get("total_weight"))
        .collect::<Result<Vec<_>>>()?;
    put(target, "total_net_weight", sum(weights.into_iter())?);
    Ok(())
}

/// What commissions are of, and theirs: of the rows that grant one.
fn write_commission(target: &mut Fields, lines: &[Line]) -> Result<()> {
    let header = Numbers::of_document(target);
    if header.given("amount_eligible_for_commission")?.is_none() {
        return Ok(());
    }
    let mut eligible = Decimal::ZERO;
    for (index, line) in lines.iter().enumerate() {
        let row = Numbers::of_row(&line.fields, "items", index);
        if row.is_set("grant_commission")? {
            eligible = eligible.plus(row.get("base_net_amount")?)?;
        }
    }
    let commission = eligible.percent(header.get("commission_rate")?)?.round_dp(2);
    put(target, "amount_eligible_for_commission", eligible);
    put(target, "total_commission", commission);
    taxes::each_row(target, "sales_team", |row, index| {
        let numbers = Numbers::of_row(row, "sales_team", index);
        let allocated = eligible.percent(numbers.get("allocated_percentage")?)?.round_dp(2);
        let incentives = allocated.percent(numbers.get("commission_rate")?)?.round_dp(2);
        put(row, "allocated_amount", allocated);
        put(row, "incentives", incentives);
        Ok(())
    })
}

/// Writes what is to be paid of an invoice, in the currency of the party's account.
pub(super) fn write_outstanding(target: &mut Fields, source: Numbers<'_>) -> Result<()> {
    let header = Numbers::of_document(target);
    let account = source.text("party_account_currency");
    let prefix = if account.is_empty() || account == source.text("currency") { "" } else { "base_" };
    let rounded = header.get(&format!("{prefix}rounded_total"))?;
    let total = if rounded.is_zero() { header.get(&format!("{prefix}grand_total"))? } else { rounded };
    put(target, "outstanding_amount", total);
    Ok(())
}
