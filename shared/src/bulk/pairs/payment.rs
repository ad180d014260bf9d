//! Payments: one reference to the source, of all that is left to pay.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::{
    Pair,
    amount::{Exact, Numbers, json as number, put},
    progress::{Progress, is_done},
    rounding::Money,
};
use crate::{
    Error, ErrorCode, Result,
    documents::{Document, Fields},
};

/// How a payment is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payment {
    of: Of,
    party: Party,
    /// The source's field with the party's account.
    account: Option<String>,
}

/// What tells how much is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    /// `advance_paid`, which grows.
    Order,
    /// `outstanding_amount`, which falls.
    Invoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Party {
    Customer,
    Supplier,
}

const OUTSTANDING: &str = "outstanding_amount";
const ADVANCE: &str = "advance_paid";

impl Payment {
    /// Makes the amounts and the reference of `target`, and notes in `after` what is paid with it.
    pub fn make(
        &self,
        pair: &Pair,
        source: &Document,
        after: &mut Fields,
        target: &mut Fields,
    ) -> Result<Progress> {
        let header = Numbers::of_document(&source.fields);
        let money = Money::of(header)?;
        let (total, rate) = total(header, money)?;
        let left = match self.of {
            Of::Order => {
                check_unbilled(source, header)?;
                let paid = header.get(ADVANCE)?;
                let left = total.less(paid)?;
                // An order owes nothing back: what was paid too much is nothing to pay.
                let left = if left.is_sign_negative() { Decimal::ZERO } else { left };
                put(after, ADVANCE, paid.plus(left)?);
                left
            }
            Of::Invoice => {
                let left = header.given(OUTSTANDING)?.unwrap_or(total);
                put(after, OUTSTANDING, Decimal::ZERO);
                left
            }
        };
        if left.is_zero() {
            return Err(pair.nothing_left(source));
        }
        self.amounts(target, left, rate)?;
        self.refer(target, source, Reference { total, left, rate });
        Ok(Progress::default())
    }

    fn receives(&self, left: Decimal) -> bool {
        (self.party == Party::Customer) == left.is_sign_positive()
    }

    /// The amounts, in the currency of the party's account; the bank's account is not known here, and taken to be in
    /// the same.
    fn amounts(&self, target: &mut Fields, left: Decimal, rate: Decimal) -> Result<()> {
        let (paid, base) = (left.abs(), left.abs().times(rate)?.round_dp(2));
        let kind = if self.receives(left) { "Receive" } else { "Pay" };
        target.insert("payment_type".to_owned(), kind.into());
        for field in ["paid_amount", "received_amount"] {
            put(target, field, paid);
            put(target, &format!("base_{field}"), base);
        }
        for field in ["source_exchange_rate", "target_exchange_rate"] {
            put(target, field, rate);
        }
        put(target, "total_allocated_amount", left);
        put(target, "base_total_allocated_amount", if left.is_sign_negative() { -base } else { base });
        for field in ["unallocated_amount", "difference_amount"] {
            put(target, field, Decimal::ZERO);
        }
        Ok(())
    }

    fn refer(&self, target: &mut Fields, source: &Document, reference: Reference) {
        let mut row = Fields::new();
        row.insert("idx".to_owned(), 1.into());
        row.insert("reference_doctype".to_owned(), source.key.doctype.as_str().into());
        row.insert("reference_name".to_owned(), source.key.name.as_str().into());
        for field in ["due_date", "bill_no"] {
            row.extend(
                source
                    .fields
                    .get(field)
                    .filter(|value| !value.is_null())
                    .map(|v| (field.to_owned(), v.clone())),
            );
        }
        row.insert("total_amount".to_owned(), number(reference.total));
        row.insert(OUTSTANDING.to_owned(), number(reference.left));
        row.insert("allocated_amount".to_owned(), number(reference.left));
        row.insert("exchange_rate".to_owned(), number(reference.rate));
        if let Some(account) = self.account.as_ref().and_then(|field| source.fields.get(field)) {
            row.insert("account".to_owned(), account.clone());
            let side = if self.receives(reference.left) { "paid_from" } else { "paid_to" };
            target.insert(side.to_owned(), account.clone());
        }
        target.insert("references".to_owned(), json!([row]));
    }
}

/// What a reference says in amounts.
#[derive(Clone, Copy)]
struct Reference {
    total: Decimal,
    left: Decimal,
    rate: Decimal,
}

/// The total in the currency of the party's account, and what one of that is in the company's. That account is in the
/// company's currency where the document says that it is not in its own.
fn total(header: Numbers<'_>, money: Money) -> Result<(Decimal, Decimal)> {
    let account = header.text("party_account_currency");
    let is_base = !account.is_empty() && account != header.text("currency");
    let (prefix, rate) = if is_base { ("base_", Decimal::ONE) } else { ("", money.conversion_rate) };
    let rounded = header.get(&format!("{prefix}rounded_total"))?;
    let total = if rounded.is_zero() { header.get(&format!("{prefix}grand_total"))? } else { rounded };
    Ok((total, rate))
}

/// What is billed in full is paid by its invoices.
fn check_unbilled(source: &Document, header: Numbers<'_>) -> Result<()> {
    if !is_done(header.get("per_billed")?) {
        return Ok(());
    }
    let detail = format!("{} is billed in full: its invoices are to be paid", source.key);
    Err(Error::new(ErrorCode::NothingToMap, detail))
}
