//! Packing slips: what a package weighs, and its number.

use rust_decimal::Decimal;

use super::{
    amount::{Exact, Numbers, json, put},
    row::Line,
};
use crate::{Result, documents::Fields};

/// The field of ours in which a delivery note keeps the number of its last package. ERPNext looks through the
/// packing slips instead.
const LAST_PACKAGE: &str = "last_case_no";

/// Writes the weight of `lines`.
pub(super) fn weigh(target: &mut Fields, lines: &[Line]) -> Result<()> {
    let mut weight = Decimal::ZERO;
    for (index, line) in lines.iter().enumerate() {
        let each = Numbers::of_row(&line.fields, "items", index).get("net_weight")?;
        weight = weight.plus(each.times(line.quantity)?)?;
    }
    for field in ["net_weight_pkg", "gross_weight_pkg"] {
        put(target, field, weight.round_dp(2));
    }
    if let Some(unit) = lines.first().and_then(|line| line.fields.get("weight_uom")) {
        for field in ["net_weight_uom", "gross_weight_uom"] {
            target.insert(field.to_owned(), unit.clone());
        }
    }
    Ok(())
}

/// Writes the package's number, the one after the source's last.
pub(super) fn number(after: &mut Fields, target: &mut Fields, source: Numbers<'_>) -> Result<()> {
    let number = source.get(LAST_PACKAGE)?.plus(Decimal::ONE)?;
    put(after, LAST_PACKAGE, number);
    for field in ["from_case_no", "to_case_no"] {
        target.insert(field.to_owned(), json(number));
    }
    Ok(())
}
