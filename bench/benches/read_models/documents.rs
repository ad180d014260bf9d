//! The documents that are followed: a shop's items, prices, bins and invoices.

use causeway::{
    Result,
    documents::{Applied, DocStatus, Document, DocumentKey, Stored},
    projections::batch::Record,
};
use jiff::{Timestamp, ToSpan, civil::date};
use serde_json::{Value, json};

/// The groups of the items, below one root.
pub const GROUPS: usize = 50;
/// Who buys.
pub const CUSTOMERS: usize = 1_000;
/// The company that sells.
pub const COMPANY: &str = "Hub Demo";

const COLOURS: [&str; 10] =
    ["Red", "Blue", "Green", "Black", "White", "Grey", "Brown", "Yellow", "Pink", "Orange"];
const THINGS: [&str; 20] = [
    "Shirt", "Trousers", "Jacket", "Shoe", "Sock", "Hat", "Glove", "Scarf", "Belt", "Bag", "Cup", "Plate",
    "Bowl", "Fork", "Spoon", "Knife", "Lamp", "Chair", "Table", "Shelf",
];

/// The code of the `i`th item.
pub fn code(i: usize) -> String {
    format!("SKU-{i:06}")
}

/// The group of the `i`th item.
pub fn group(i: usize) -> String {
    format!("Group {:02}", i % GROUPS)
}

fn record(doctype: &str, name: String, docstatus: DocStatus, fields: Value) -> Result<Record> {
    let key = DocumentKey::new(doctype, name)?;
    let document = Document {
        key: key.clone(),
        docstatus,
        modified: Timestamp::UNIX_EPOCH,
        modified_by: "bench".to_owned(),
        creation: Timestamp::UNIX_EPOCH,
        owner: "bench".to_owned(),
        revision: 1,
        fields: causeway::dynamo::object(fields)?,
        applied: Applied::new(),
        events: Vec::new(),
    };
    Ok(Record { sequence: key.to_string(), document: key, stored: Ok(Stored::Live(document)) })
}

/// The `i`th item: six words, eight rows.
pub fn item(i: usize) -> Result<Record> {
    let name = format!("{} {}", COLOURS[i % COLOURS.len()], THINGS[i / COLOURS.len() % THINGS.len()]);
    let fields = json!({
        "item_name": name,
        "item_group": group(i),
        "stock_uom": "Nos",
        "description": format!("{name}, as it is sold in our shops and by mail, number {i} of the catalogue"),
        "barcodes": [{ "barcode": format!("40{i:011}") }],
        "image": format!("/files/items/{i:06}.jpg"),
        "standard_rate": 9.5,
    });
    record("Item", code(i), DocStatus::Draft, fields)
}

/// The `i`th item's price.
pub fn price(i: usize) -> Result<Record> {
    let fields = json!({
        "item_code": code(i), "price_list": "Standard Selling", "price_list_rate": 9.5, "currency": "EUR",
        "uom": "Nos", "selling": 1, "valid_from": "2026-01-01",
    });
    record("Item Price", format!("PRICE-{i:06}"), DocStatus::Draft, fields)
}

/// The `i`th item's stock.
pub fn bin(i: usize) -> Result<Record> {
    let fields = json!({ "item_code": code(i), "warehouse": "Shop - HD", "actual_qty": i % 40 });
    record("Bin", format!("BIN-{i:06}"), DocStatus::Draft, fields)
}

/// The `i`th group; the first is the root.
pub fn item_group(i: usize) -> Result<Record> {
    let (name, parent) = match i {
        0 => ("All Item Groups".to_owned(), ""),
        _ => (group(i - 1), "All Item Groups"),
    };
    record("Item Group", name, DocStatus::Draft, json!({ "parent_item_group": parent }))
}

/// The `i`th invoice, spread over the days of 2026 and over customers.
pub fn invoice(i: usize) -> Result<Record> {
    let day = date(2026, 1, 1).saturating_add(i64::try_from(i % 365).unwrap_or_default().days());
    let fields = json!({
        "company": COMPANY,
        "customer": format!("Customer {:04}", i / 7 % CUSTOMERS),
        "posting_date": day.to_string(),
        "base_grand_total": 12.34,
        "currency": "EUR",
    });
    record("Sales Invoice", format!("ACC-SINV-2026-{i:06}"), DocStatus::Submitted, fields)
}
