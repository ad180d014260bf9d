//! The methods that make an unsaved document from another one: an invoice from an order, a payment from an invoice.
//! Rows whose quantity went into submitted documents already are left out, so nothing may be left.

use serde_json::{Value, json};

use crate::{
    calculation, clock,
    database::{Database, Document},
    exception::{Exception, Outcome},
    save, value,
};

/// A method that maps.
#[derive(Debug)]
pub struct Mapper {
    /// Its dotted path.
    pub method: &'static str,
    /// What it takes.
    pub from: &'static str,
    /// What it makes.
    pub to: &'static str,
    /// The field of the target's rows that names the source document; empty where ERPNext keeps no such link.
    pub source: &'static str,
    /// The field of the target's rows that names the source's row; empty where there is none.
    pub source_row: &'static str,
}

macro_rules! mappers {
    ($($from:literal -> $to:literal: $method:literal, $source:literal, $row:literal;)*) => {
        &[$(Mapper { method: $method, from: $from, to: $to, source: $source, source_row: $row }),*]
    };
}

/// All of them, but for payments.
pub const MAPPERS: &[Mapper] = mappers! {
    "Sales Order" -> "Sales Invoice": "erpnext.selling.doctype.sales_order.sales_order.make_sales_invoice", "sales_order", "so_detail";
    "Sales Order" -> "Delivery Note": "erpnext.selling.doctype.sales_order.sales_order.make_delivery_note", "against_sales_order", "so_detail";
    "Sales Invoice" -> "Delivery Note": "erpnext.accounts.doctype.sales_invoice.sales_invoice.make_delivery_note", "against_sales_invoice", "si_detail";
    "Delivery Note" -> "Sales Invoice": "erpnext.stock.doctype.delivery_note.delivery_note.make_sales_invoice", "delivery_note", "dn_detail";
    "Delivery Note" -> "Packing Slip": "erpnext.stock.doctype.delivery_note.delivery_note.make_packing_slip", "", "dn_detail";
    "Quotation" -> "Sales Order": "erpnext.selling.doctype.quotation.quotation.make_sales_order", "prevdoc_docname", "quotation_item";
    "Quotation" -> "Sales Invoice": "erpnext.selling.doctype.quotation.quotation.make_sales_invoice", "", "";
    "Supplier Quotation" -> "Purchase Order": "erpnext.buying.doctype.supplier_quotation.supplier_quotation.make_purchase_order", "supplier_quotation", "supplier_quotation_item";
    "Supplier Quotation" -> "Purchase Invoice": "erpnext.buying.doctype.supplier_quotation.supplier_quotation.make_purchase_invoice", "", "";
    "Purchase Order" -> "Purchase Invoice": "erpnext.buying.doctype.purchase_order.purchase_order.make_purchase_invoice", "purchase_order", "po_detail";
    "Purchase Order" -> "Purchase Receipt": "erpnext.buying.doctype.purchase_order.purchase_order.make_purchase_receipt", "purchase_order", "purchase_order_item";
    "Purchase Invoice" -> "Purchase Receipt": "erpnext.accounts.doctype.purchase_invoice.purchase_invoice.make_purchase_receipt", "purchase_invoice", "purchase_invoice_item";
    "Purchase Receipt" -> "Purchase Invoice": "erpnext.stock.doctype.purchase_receipt.purchase_receipt.make_purchase_invoice", "purchase_receipt", "pr_detail";
};

/// The method that makes a payment of an order or an invoice.
pub const PAYMENT: &str = "erpnext.accounts.doctype.payment_entry.payment_entry.get_payment_entry";

fn number(document: &Document, field: &str) -> f64 {
    document.get(field).and_then(value::number).unwrap_or(0.0)
}

/// The source, if it is in the state that the method asks for: a packing slip is made of a draft, all else of what
/// was submitted.
fn mappable(database: &Database, mapper: &Mapper, name: &str) -> Outcome<Document> {
    let source = save::read(database, mapper.from, name)?;
    let wanted = i32::from(mapper.to != "Packing Slip");
    if source.get("docstatus") == Some(&json!(wanted)) {
        Ok(source)
    } else {
        let text = format!("Cannot map because following condition fails: docstatus={wanted}");
        Err(Exception::validation(&text))
    }
}

/// How much of a source's row is in submitted targets.
fn taken(database: &Database, mapper: &Mapper, row: &str) -> f64 {
    if mapper.source_row.is_empty() {
        return 0.0;
    }
    database
        .all(mapper.to)
        .filter(|target| target.get("docstatus") == Some(&json!(1)))
        .flat_map(|target| target.get("items").and_then(Value::as_array).into_iter().flatten())
        .filter_map(Value::as_object)
        .filter(|target| target.get(mapper.source_row).and_then(Value::as_str) == Some(row))
        .map(|target| number(target, "qty"))
        .sum()
}

/// The unsaved target.
pub fn map(database: &Database, mapper: &Mapper, user: &str, source_name: &str) -> Outcome<Document> {
    let source = mappable(database, mapper, source_name)?;
    let mut target = unsaved(database, mapper.to, user, &source)?;
    if mapper.to == "Packing Slip" {
        target.insert("delivery_note".into(), json!(source_name));
    }
    if mapper.from == "Quotation" {
        target.insert("customer".into(), source.get("party_name").cloned().unwrap_or_default());
    }
    let mut rows = Vec::new();
    for row in
        source.get("items").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
    {
        let name = row.get("name").map(value::text).unwrap_or_default();
        let left = number(row, "qty") - taken(database, mapper, &name);
        if left <= 0.0 {
            continue;
        }
        let mut mapped = unsaved(database, &format!("{} Item", mapper.to), user, row)?;
        mapped.insert("idx".into(), json!(rows.len() + 1));
        mapped.insert("qty".into(), value::float(left));
        for (field, linked) in [(mapper.source, source_name), (mapper.source_row, name.as_str())] {
            if !field.is_empty() {
                mapped.insert(field.into(), json!(linked));
            }
        }
        mapped.insert("parentfield".into(), json!("items"));
        mapped.insert("parenttype".into(), json!(mapper.to));
        mapped.insert("__unsaved".into(), json!(1));
        rows.push(Value::Object(mapped));
    }
    target.insert("items".into(), Value::Array(rows));
    target.insert("__unsaved".into(), json!(1));
    calculation::complete_mapped(database, &mut target);
    Ok(target)
}

/// A new document of a DocType that has what the source has of its fields.
fn unsaved(database: &Database, doctype: &str, user: &str, source: &Document) -> Outcome<Document> {
    let doctype = save::doctype(database, doctype)?;
    let mut target = Document::new();
    target.insert("owner".into(), json!(user));
    target.insert("docstatus".into(), json!(0));
    target.insert("idx".into(), json!(0));
    let now = database.now();
    let mut tables = Document::new();
    for field in &doctype.fields {
        let own = ["naming_series", "status", "title", "amended_from", "causeway_id", "causeway_mark"];
        let copied = source.get(&field.name).filter(|_| !own.contains(&field.name.as_str()));
        if let crate::doctype::Kind::Table(_) = field.kind {
            tables.insert(field.name.clone(), json!([]));
            continue;
        }
        let value = match (copied, field.default.as_deref()) {
            (_, Some("Today")) => json!(now.strftime("%Y-%m-%d").to_string()),
            (_, Some("Now")) => json!(now.strftime("%H:%M:%S.%6f").to_string()),
            (Some(copied), _) if !copied.is_null() => copied.clone(),
            (_, Some(default)) => value::cast(&field.name, Some(&field.kind), json!(default))?,
            _ => continue,
        };
        target.insert(field.name.clone(), value);
    }
    target.insert("doctype".into(), json!(doctype.name));
    target.insert("__islocal".into(), json!(1));
    target.extend(tables);
    Ok(target)
}

/// The unsaved payment of an order or an invoice.
pub fn payment(database: &Database, user: &str, doctype: &str, name: &str) -> Outcome<Document> {
    let source = save::read(database, doctype, name)?;
    let paid: f64 = database
        .all("Payment Entry")
        .filter(|entry| entry.get("docstatus") == Some(&json!(1)))
        .flat_map(|entry| entry.get("references").and_then(Value::as_array).into_iter().flatten())
        .filter_map(Value::as_object)
        .filter(|reference| reference.get("reference_name").and_then(Value::as_str) == Some(name))
        .map(|reference| number(reference, "allocated_amount"))
        .sum();
    let total = number(&source, "grand_total");
    let left = total - paid;
    if left <= 0.0 {
        return Err(Exception::validation(&format!("{doctype} {name} has already been fully paid.")));
    }
    let buying = source.contains_key("supplier");
    let (kind, party_field) = if buying { ("Supplier", "supplier") } else { ("Customer", "customer") };
    let party = source.get(party_field).cloned().unwrap_or_default();
    let mut entry = unsaved(database, "Payment Entry", user, &source)?;
    let set = |entry: &mut Document, fields: &[&str], value: &Value| {
        entry.extend(fields.iter().map(|field| ((*field).to_owned(), value.clone())));
    };
    set(&mut entry, &["payment_type"], &json!(if buying { "Pay" } else { "Receive" }));
    set(&mut entry, &["party_type"], &json!(kind));
    set(&mut entry, &["party", "party_name"], &party);
    set(&mut entry, &["paid_from"], &json!("Debtors - HTC"));
    set(&mut entry, &["paid_to"], &json!("Main Bank - HTC"));
    let amounts = [
        "paid_amount",
        "base_paid_amount",
        "received_amount",
        "base_received_amount",
        "total_allocated_amount",
        "base_total_allocated_amount",
    ];
    set(&mut entry, &amounts, &value::float(left));
    let mut reference = unsaved(database, "Payment Entry Reference", user, &Document::new())?;
    reference.shift_remove("owner");
    set(&mut reference, &["modified"], &json!(clock::text(database.now())));
    set(&mut reference, &["modified_by"], &json!(user));
    set(&mut reference, &["reference_doctype"], &json!(doctype));
    set(&mut reference, &["reference_name"], &json!(name));
    set(&mut reference, &["total_amount"], &value::float(total));
    set(&mut reference, &["outstanding_amount", "allocated_amount"], &value::float(left));
    set(&mut reference, &["parentfield"], &json!("references"));
    set(&mut reference, &["parenttype"], &json!("Payment Entry"));
    set(&mut reference, &["idx"], &json!(1));
    set(&mut entry, &["references"], &json!([reference]));
    set(&mut entry, &["__unsaved"], &json!(1));
    Ok(entry)
}
