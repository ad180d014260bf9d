//! What ERPNext's own code works out when a document is saved: amounts, totals, names of parties and items. Just
//! enough that documents look as they do on a site.

use serde_json::{Value, json};

use crate::{
    database::{Database, Document},
    doctype::DocType,
    exception::{Exception, Outcome},
    naming,
    value::{self, float},
};

const MEANS_RATE: [&str; 3] = ["base_rate", "net_rate", "base_net_rate"];
const MEANS_AMOUNT: [&str; 5] = ["amount", "base_amount", "net_amount", "base_net_amount", "gross_profit"];
const MEANS_TOTAL: [&str; 11] = [
    "total",
    "base_total",
    "net_total",
    "base_net_total",
    "grand_total",
    "base_grand_total",
    "rounded_total",
    "base_rounded_total",
    "amount_eligible_for_commission",
    "outstanding_amount",
    "base_rounding",
];

fn of(document: &Document, field: &str) -> f64 {
    document.get(field).and_then(value::number).unwrap_or(0.0)
}

fn named(document: &Document, field: &str) -> Option<String> {
    document.get(field).map(value::text).filter(|text| !text.is_empty())
}

fn set(document: &mut Document, fields: &[&str], number: f64) {
    for field in fields.iter().filter(|field| document.contains_key(**field)).copied().collect::<Vec<_>>() {
        document.insert(field.to_owned(), float(number));
    }
}

fn fill(document: &mut Document, field: &str, with: impl FnOnce() -> Option<String>) {
    if document.contains_key(field) && value::is_empty(document.get(field)) {
        document.extend(with().map(|text| (field.to_owned(), json!(text))));
    }
}

/// Completes a document before it is saved. An order or invoice without rows fails in the sums, as in ERPNext.
pub fn before_save(database: &Database, doctype: &DocType, document: &mut Document) -> Outcome<()> {
    if doctype.name == "Item" {
        let code = named(document, "item_code");
        fill(document, "item_name", || code.clone());
        let name = named(document, "item_name");
        fill(document, "description", || name);
    }
    if doctype.open || doctype.field("items").is_none() || doctype.field("company").is_none() {
        return Ok(());
    }
    parties(database, document);
    let no_rows = document.get("items").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if no_rows && doctype.field("conversion_rate").is_some() {
        return Err(Exception::python(
            "TypeError",
            "unsupported operand type(s) for *: 'NoneType' and 'float'",
        ));
    }
    for row in document.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(row) = row.as_object_mut() else { continue };
        complete_row(database, row);
        let rate = of(row, "rate");
        set(row, &["stock_uom_rate"], rate);
    }
    let total = totals(document);
    fill(document, "against_income_account", || Some("Sales - HTC".into()));
    if document.get("docstatus") == Some(&json!(1)) {
        let order = named(document, "po_no").map(|order| format!("Against Customer Order {order}"));
        fill(document, "remarks", || Some(order.unwrap_or_else(|| "No Remarks".into())));
    }
    payment_schedule(database, document, total);
    Ok(())
}

fn parties(database: &Database, document: &mut Document) {
    for (link, name, doctype) in [
        ("customer", "customer_name", "Customer"),
        ("supplier", "supplier_name", "Supplier"),
        ("party_name", "customer_name", "Customer"),
    ] {
        let party = named(document, link).and_then(|party| database.get(doctype, &party));
        let called = party.and_then(|party| named(party, name));
        fill(document, name, || called);
    }
    let due = named(document, "posting_date");
    fill(document, "due_date", || due);
    let party = named(document, "customer_name").or_else(|| named(document, "supplier_name"));
    fill(document, "title", || party);
    fill(document, "language", || Some("en".into()));
    fill(document, "debit_to", || Some("Debtors - HTC".into()));
}

/// Sums the rows up, and gives the total.
fn totals(document: &mut Document) -> f64 {
    let rows =
        document.get("items").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let (quantity, total) = rows.fold((0.0, 0.0), |(quantity, total), row| {
        (quantity + of(row, "qty"), total + of(row, "qty") * of(row, "rate"))
    });
    set(document, &["total_qty"], quantity);
    set(document, &MEANS_TOTAL, total);
    for field in ["in_words", "base_in_words"] {
        if document.contains_key(field) {
            document.insert(field.into(), json!(format!("USD {total} only.")));
        }
    }
    total
}

/// Completes a document that a mapper made and nobody saved yet.
pub fn complete_mapped(database: &Database, document: &mut Document) {
    for row in document.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(row) = row.as_object_mut() {
            complete_row(database, row);
            set(row, &["stock_uom_rate"], 0.0);
        }
    }
    if document.get("doctype") == Some(&json!("Sales Invoice")) {
        document.insert("debit_to".into(), json!("Debtors - HTC"));
        let due = document.get("posting_date").cloned().unwrap_or_default();
        document.insert("due_date".into(), due);
        document.insert("in_words".into(), json!(""));
        document.insert("base_in_words".into(), json!(""));
    }
    totals(document);
}

fn complete_row(database: &Database, row: &mut Document) {
    let item = named(row, "item_code").and_then(|code| database.get("Item", &code));
    for field in ["item_name", "description", "item_group", "stock_uom"] {
        let value = item.and_then(|item| named(item, field));
        fill(row, field, || value);
    }
    let unit = named(row, "stock_uom");
    fill(row, "uom", || unit);
    let price = item.map_or(0.0, |item| of(item, "standard_rate"));
    if of(row, "rate") == 0.0 {
        set(row, &["rate"], price);
    }
    let (quantity, rate) = (of(row, "qty"), of(row, "rate"));
    if price > 0.0 {
        set(row, &["price_list_rate", "base_price_list_rate"], price);
        set(row, &["discount_amount"], price - rate);
    }
    set(row, &["stock_qty"], quantity);
    set(row, &MEANS_RATE, rate);
    set(row, &MEANS_AMOUNT, quantity * rate);
}

fn payment_schedule(database: &Database, document: &mut Document, total: f64) {
    if !document.get("payment_schedule").is_some_and(Value::is_array) {
        return;
    }
    let kept =
        document.get("payment_schedule").and_then(|rows| rows.get(0)).and_then(Value::as_object).cloned();
    let mut row = Document::new();
    row.insert(
        "name".into(),
        kept.as_ref().and_then(|row| row.get("name")).cloned().unwrap_or_else(|| json!(naming::hash())),
    );
    for field in database.doctypes.get("Payment Schedule").into_iter().flat_map(|child| &child.fields) {
        let default = field.default.clone().map_or(Value::Null, |default| json!(default));
        let default = value::cast(&field.name, Some(&field.kind), default).unwrap_or_default();
        row.insert(field.name.clone(), default);
    }
    let due =
        ["due_date", "delivery_date", "transaction_date"].iter().find_map(|field| named(document, field));
    row.insert("due_date".into(), json!(due));
    set(&mut row, &["payment_amount", "base_payment_amount", "outstanding", "base_outstanding"], total);
    set(&mut row, &["invoice_portion"], 100.0);
    row.insert("doctype".into(), json!("Payment Schedule"));
    document.insert("payment_schedule".into(), json!([row]));
}

/// What `status` says after a submit or a cancel. What was inserted submitted keeps the draft's, as recorded.
pub fn set_status(document: &mut Document, docstatus: i64) {
    if document.contains_key("status") && document.contains_key("naming_series") {
        let status = match docstatus {
            1 if document.contains_key("delivery_status") => "To Deliver and Bill",
            1 if document.contains_key("outstanding_amount") => "Unpaid",
            1 => "Submitted",
            2 => "Cancelled",
            _ => return,
        };
        document.insert("status".into(), json!(status));
    }
}
