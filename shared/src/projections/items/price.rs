//! Prices: an entry for each Item Price, in one row for each price list and item, chosen from when it is read.

use std::cmp::Reverse;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::{
    Projection, StoredRow,
    contribution::{ENTRY, Piece, RowKey},
    fields::Reader,
    key::part,
};
use crate::{Error, Result, documents::Document, dynamo::json};

/// The projection of Item Prices.
pub const PRICES: Projection =
    Projection { name: "prices", doctype: "Item Price", version: 1, pieces, lane: None };

/// A price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The amount, for one unit.
    pub rate: Decimal,
    /// Its currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The unit it is for; any, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uom: Option<String>,
    /// The first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// The last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<Date>,
}

/// Where the prices of `item` in `list` are.
pub fn price_key(list: &str, item: &str) -> Result<RowKey> {
    Ok(RowKey { pk: format!("PR#{}#{}", part(list)?, part(item)?), sk: "PR".to_owned() })
}

/// A selling price for everyone: those of one customer or batch are no answer to "what does it cost".
fn pieces(document: &Document) -> Result<Vec<Piece>> {
    let fields = Reader::of(document);
    let general = fields.text("customer")?.is_none() && fields.text("batch_no")?.is_none();
    if !general || !fields.check("selling", true)? {
        return Ok(Vec::new());
    }
    let rate = fields.decimal("price_list_rate")?;
    let price = Price {
        rate: rate.unwrap_or_default(),
        currency: fields.text("currency")?,
        uom: fields.text("uom")?,
        from: fields.date("valid_from")?,
        upto: fields.date("valid_upto")?,
    };
    Ok(vec![Piece::Entry {
        key: price_key(&fields.needed("price_list")?, &fields.needed("item_code")?)?,
        name: document.key.name.as_str().to_owned(),
        body: json(&price)?,
    }])
}

/// The price among `row`'s that holds on `day` for the unit `uom`: as ERPNext, the one that began last; one for
/// the unit before one for any.
pub fn choose(row: &StoredRow, day: Date, uom: Option<&str>) -> Result<Option<Price>> {
    let mut prices = Vec::new();
    for (name, body) in &row.values {
        let Some(name) = name.strip_prefix(ENTRY) else { continue };
        let price: Price = serde_json::from_str(body).map_err(Error::internal)?;
        let holds = price.from.is_none_or(|from| from <= day) && price.upto.is_none_or(|upto| day <= upto);
        let fits = price.uom.is_none() || uom.is_none() || price.uom.as_deref() == uom;
        if holds && fits {
            prices.push((Reverse(price.uom.is_some()), Reverse(price.from), name, price));
        }
    }
    prices.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    Ok(prices.into_iter().next().map(|(.., price)| price))
}
