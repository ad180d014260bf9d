//! Stock: what each Bin says is there of an item in a warehouse.

use rust_decimal::Decimal;

use super::super::{
    Projection, StoredRow,
    contribution::{ENTRY, Piece, RowKey},
    fields::Reader,
    key::part,
};
use crate::{Error, Result, documents::Document};

/// The projection of Bins.
pub const STOCK: Projection = Projection { name: "stock", doctype: "Bin", version: 1, pieces, lane: None };

/// Where the stock of `item` in `warehouse` is.
pub fn stock_key(warehouse: &str, item: &str) -> Result<RowKey> {
    Ok(RowKey { pk: format!("BN#{}#{}", part(warehouse)?, part(item)?), sk: "BN".to_owned() })
}

fn pieces(document: &Document) -> Result<Vec<Piece>> {
    let fields = Reader::of(document);
    let quantity = fields.decimal("actual_qty")?.unwrap_or_default();
    Ok(vec![Piece::Entry {
        key: stock_key(&fields.needed("warehouse")?, &fields.needed("item_code")?)?,
        name: document.key.name.as_str().to_owned(),
        body: quantity.to_string(),
    }])
}

/// What the Bins of `row` have together.
pub fn quantity(row: &StoredRow) -> Result<Decimal> {
    let mut sum = Decimal::ZERO;
    for (_, body) in row.values.iter().filter(|(name, _)| name.starts_with(ENTRY)) {
        let quantity: Decimal = body.parse().map_err(Error::internal)?;
        sum = sum.checked_add(quantity).ok_or_else(|| Error::internal("a stock is out of range"))?;
    }
    Ok(sum)
}
