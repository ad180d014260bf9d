//! Items that are sold as bundles: the rows of `packed_items`, which say what a row of the document consists of.
//!
//! ERPNext builds them anew from its Product Bundles; here there are none, so a part takes its share of the source's.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    amount::{Exact, Numbers, put},
    rounding::QUANTITY_DECIMALS,
    row::{Line, table, taken_over},
};
use crate::{Result, documents::Fields};

/// The table.
pub(super) const BUNDLES: &str = "packed_items";

/// What was done with the source's own parts.
const DONE: [&str; 3] = ["packed_qty", "picked_qty", "ordered_qty"];

/// The parts of what is in `lines`, as much as is taken of each; known by the places of their rows.
pub(super) fn taken(source: &Fields, lines: &[Line]) -> Result<Vec<Value>> {
    let by_row: HashMap<_, _> =
        lines.iter().enumerate().map(|(place, line)| (line.name.as_str(), (place, line))).collect();
    let mut taken = Vec::new();
    for (index, row) in table(source, BUNDLES)?.iter().enumerate() {
        let of = row.get("parent_detail_docname").and_then(Value::as_str).unwrap_or_default();
        let Some((place, line)) = by_row.get(of) else { continue };
        let mut part = taken_over(row, BUNDLES, index)?;
        let share = Numbers::of_row(&part, BUNDLES, index).get("qty")?.times(line.share()?)?;
        put(&mut part, "qty", share.round_dp(QUANTITY_DECIMALS));
        part.retain(|field, _| !DONE.contains(&field.as_str()));
        part.insert("parent_detail_docname".to_owned(), (place + 1).to_string().into());
        part.insert("idx".to_owned(), (taken.len() + 1).into());
        taken.push(Value::Object(part));
    }
    Ok(taken)
}

impl Line {
    /// How much of its source's row it is: 1 is all of it.
    fn share(&self) -> Result<Decimal> {
        if self.quantity == self.whole { Ok(Decimal::ONE) } else { self.quantity.over(self.whole) }
    }
}
