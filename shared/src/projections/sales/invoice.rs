//! Sales Invoices: what a submitted one adds to its customer's day and month.

use super::super::{
    Projection,
    contribution::{Piece, RowKey},
    fields::Reader,
    key::part,
};
use crate::{
    Error, ErrorCode, Result,
    documents::{DocStatus, Document},
    dynamo::shard,
};

/// The projection of Sales Invoices.
pub const INVOICES: Projection =
    Projection { name: "sales", doctype: "Sales Invoice", version: 1, pieces, lane: Some(lane) };

/// The partition of a company's sums, in a shard.
pub fn partition(company: &str, shard: u32) -> Result<String> {
    Ok(format!("SR#{}#{shard}", part(company)?))
}

/// Returns are invoices whose total is negative; what is cancelled or deleted adds nothing.
fn pieces(document: &Document) -> Result<Vec<Piece>> {
    if document.docstatus != DocStatus::Submitted {
        return Ok(Vec::new());
    }
    let fields = Reader::of(document);
    let (company, customer) = (fields.needed("company")?, fields.needed("customer")?);
    // The first is in the company's currency, the second in the customer's: the same, if only that is given.
    let total = match fields.decimal("base_grand_total")? {
        Some(total) => total,
        None => fields.decimal("grand_total")?.ok_or_else(|| missing("grand_total"))?,
    };
    let date = fields.date("posting_date")?.ok_or_else(|| missing("posting_date"))?;
    let pk = partition(&company, shard(&customer))?;
    let customer = part(&customer)?;
    let sum = |sk: String| Piece::Sum { key: RowKey { pk: pk.clone(), sk }, total, count: 1 };
    Ok(vec![sum(format!("D#{date}#{customer}")), sum(format!("M#{}#{customer}", date.strftime("%Y-%m")))])
}

fn missing(field: &str) -> Error {
    Error::new(ErrorCode::ProjectionFailed, format!("{field} is missing"))
}

/// Invoices of one customer add to the same month.
fn lane(document: &Document) -> String {
    let text = |name: &str| document.fields.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    format!("{}#{}", text("company"), text("customer"))
}
