//! Documents made of others: ERPNext's own mapper methods, which know what is left to bill, to deliver or to pay.
//!
//! [`Site::map`] gives the new document as the site would make it, unsaved. Where nothing is left, the site gives one
//! without rows, and makes an empty invoice of it if it is saved; here that is the refusal
//! [`NothingToMap`](super::Exception::NothingToMap). [`Mapping::made_of`] finds what was made of a source before.

use serde_json::{Value, json};

use super::{Exception, Map, Refusal, Site, SiteError};
use crate::{documents::DocStatus, outbound::Repeat};

/// One kind of document made of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The DocType of the source.
    pub from: &'static str,
    /// The DocType that is made.
    pub to: &'static str,
    /// The method that makes it.
    pub method: &'static str,
    link: Link,
}

/// Where a document that was made names its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// In a field of its rows: their DocType, the field.
    Rows(&'static str, &'static str),
    /// In a field of its own.
    Own(&'static str),
    /// As a reference of a payment.
    Reference,
    /// Nowhere.
    Nowhere,
}

const PAYMENT: &str = "erpnext.accounts.doctype.payment_entry.payment_entry.get_payment_entry";

macro_rules! mappings {
    ($($from:literal => $to:literal, $method:expr, $link:expr;)*) => {
        /// Every kind that ERPNext comes with. An app on the site can add others; those we do not know.
        pub const MAPPINGS: &[Mapping] =
            &[$(Mapping { from: $from, to: $to, method: $method, link: $link }),*];
    };
}

use Link::{Nowhere, Own, Reference, Rows};

mappings! {
    "Sales Order" => "Sales Invoice",
        "erpnext.selling.doctype.sales_order.sales_order.make_sales_invoice",
        Rows("Sales Invoice Item", "sales_order");
    "Sales Order" => "Delivery Note",
        "erpnext.selling.doctype.sales_order.sales_order.make_delivery_note",
        Rows("Delivery Note Item", "against_sales_order");
    "Sales Order" => "Payment Entry", PAYMENT, Reference;
    "Sales Invoice" => "Delivery Note",
        "erpnext.accounts.doctype.sales_invoice.sales_invoice.make_delivery_note",
        Rows("Delivery Note Item", "against_sales_invoice");
    "Sales Invoice" => "Payment Entry", PAYMENT, Reference;
    "Delivery Note" => "Sales Invoice",
        "erpnext.stock.doctype.delivery_note.delivery_note.make_sales_invoice",
        Rows("Sales Invoice Item", "delivery_note");
    "Delivery Note" => "Packing Slip",
        "erpnext.stock.doctype.delivery_note.delivery_note.make_packing_slip",
        Own("delivery_note");
    "Quotation" => "Sales Order",
        "erpnext.selling.doctype.quotation.quotation.make_sales_order",
        Rows("Sales Order Item", "prevdoc_docname");
    "Quotation" => "Sales Invoice",
        "erpnext.selling.doctype.quotation.quotation.make_sales_invoice",
        Nowhere;
    "Supplier Quotation" => "Purchase Order",
        "erpnext.buying.doctype.supplier_quotation.supplier_quotation.make_purchase_order",
        Rows("Purchase Order Item", "supplier_quotation");
    "Supplier Quotation" => "Purchase Invoice",
        "erpnext.buying.doctype.supplier_quotation.supplier_quotation.make_purchase_invoice",
        Nowhere;
    "Purchase Order" => "Purchase Invoice",
        "erpnext.buying.doctype.purchase_order.purchase_order.make_purchase_invoice",
        Rows("Purchase Invoice Item", "purchase_order");
    "Purchase Order" => "Purchase Receipt",
        "erpnext.buying.doctype.purchase_order.purchase_order.make_purchase_receipt",
        Rows("Purchase Receipt Item", "purchase_order");
    "Purchase Order" => "Payment Entry", PAYMENT, Reference;
    "Purchase Invoice" => "Purchase Receipt",
        "erpnext.accounts.doctype.purchase_invoice.purchase_invoice.make_purchase_receipt",
        Rows("Purchase Receipt Item", "purchase_invoice");
    "Purchase Invoice" => "Payment Entry", PAYMENT, Reference;
    "Purchase Receipt" => "Purchase Invoice",
        "erpnext.stock.doctype.purchase_receipt.purchase_receipt.make_purchase_invoice",
        Rows("Purchase Invoice Item", "purchase_receipt");
}

impl Mapping {
    /// The mapping from one DocType to another, if there is one.
    pub fn find(from: &str, to: &str) -> Option<&'static Self> {
        MAPPINGS.iter().find(|mapping| mapping.from == from && mapping.to == to)
    }

    /// The DocTypes that are made of documents of `from`.
    pub fn targets(from: &str) -> Vec<&'static str> {
        MAPPINGS.iter().filter(|mapping| mapping.from == from).map(|mapping| mapping.to).collect()
    }

    /// Of which status a source must be: a Packing Slip is made while its Delivery Note is a draft, everything else of
    /// what was submitted.
    pub fn source_docstatus(&self) -> DocStatus {
        if self.to == "Packing Slip" { DocStatus::Draft } else { DocStatus::Submitted }
    }

    /// Filters of a list of [`Self::to`] that leave what was made of `source`; `None` where nothing tells.
    pub fn made_of(&self, source: &str) -> Option<Vec<Value>> {
        match self.link {
            Rows(rows, field) => Some(vec![json!([rows, field, "=", source])]),
            Own(field) => Some(vec![json!([field, "=", source])]),
            Reference => Some(vec![
                json!(["Payment Entry Reference", "reference_doctype", "=", self.from]),
                json!(["Payment Entry Reference", "reference_name", "=", source]),
            ]),
            Nowhere => None,
        }
    }

    /// The arguments of the method that say what `source` is.
    fn arguments<'a>(&'a self, source: &'a str) -> Vec<(&'static str, &'a str)> {
        if self.method == PAYMENT {
            vec![("dt", self.from), ("dn", source)]
        } else {
            vec![("source_name", source)]
        }
    }

    /// Whether there is anything in the document that was made.
    fn has_content(&self, made: &Map) -> bool {
        let has_rows =
            |field: &str| made.get(field).and_then(Value::as_array).is_some_and(|rows| !rows.is_empty());
        match self.to {
            "Payment Entry" => has_rows("references") && made.get("paid_amount").is_none_or(is_not_zero),
            _ => has_rows("items"),
        }
    }
}

fn is_not_zero(amount: &Value) -> bool {
    amount.as_f64() != Some(0.0)
}

impl Site {
    /// The document that `mapping` makes of `source`, unsaved, ready to be inserted. `args` are passed to the method
    /// besides. The site does not save it, but what it lacks: the customer of a quotation to a lead, the bundle of
    /// reserved serial numbers.
    pub async fn map(&self, mapping: &Mapping, source: &str, mut args: Map) -> Result<Map, SiteError> {
        let own = mapping.arguments(source).into_iter();
        args.extend(own.map(|(name, value)| (name.to_owned(), json!(value))));
        let made = self.call(mapping.method, args, Repeat::Safe).await?;
        self.made(mapping, source, made)
    }

    /// The document that [`Self::map`] would give; the site keeps nothing of it at all.
    pub async fn preview(&self, mapping: &Mapping, source: &str) -> Result<Map, SiteError> {
        let made = self.ask(mapping.method, &mapping.arguments(source)).await?;
        self.made(mapping, source, made)
    }

    fn made(&self, mapping: &Mapping, source: &str, made: Value) -> Result<Map, SiteError> {
        let Value::Object(mut made) = made else { return Err(self.unreadable()) };
        if !mapping.has_content(&made) {
            let message = format!("nothing of {} {source} is left for a {}", mapping.from, mapping.to);
            return Err(SiteError::Refused(Refusal::new(200, Exception::NothingToMap, message)));
        }
        clean(&mut made);
        Ok(made)
    }
}

/// Removes what a form adds for itself.
fn clean(made: &mut Map) {
    made.retain(|field, _| !field.starts_with("__"));
    for value in made.values_mut() {
        let Value::Array(rows) = value else { continue };
        rows.iter_mut().filter_map(Value::as_object_mut).for_each(clean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erpnext::recorded;

    fn message(name: &str) -> Map {
        let answer: Map = serde_json::from_slice(recorded::answer(name).body()).unwrap();
        answer["message"].as_object().unwrap().clone()
    }

    #[test]
    fn there_is_one_mapping_for_each_pair() {
        for (i, one) in MAPPINGS.iter().enumerate() {
            assert!(MAPPINGS[..i].iter().all(|other| (other.from, other.to) != (one.from, one.to)));
            let module = one.from.to_lowercase().replace(' ', "_");
            assert!(
                one.method == PAYMENT || one.method.contains(&format!(".doctype.{module}.{module}.make_"))
            );
        }
        assert_eq!(MAPPINGS.len(), 17);
        assert_eq!(Mapping::find("Sales Order", "Purchase Invoice"), None);
    }

    #[test]
    fn recorded_documents_have_content_and_keep_nothing_of_the_form() {
        for (name, from, to) in [
            ("30_make_sales_invoice", "Sales Order", "Sales Invoice"),
            ("33_get_payment_entry", "Sales Order", "Payment Entry"),
        ] {
            let (mapping, mut made) = (Mapping::find(from, to).unwrap(), message(name));
            assert!(mapping.has_content(&made), "{name}");
            assert!(Value::Object(made.clone()).to_string().contains("\"__islocal\""));
            clean(&mut made);
            assert!(!Value::Object(made.clone()).to_string().contains("\"__"), "{name}");
            let rows = if to == "Payment Entry" { "references" } else { "items" };
            made.insert(rows.to_owned(), json!([]));
            assert!(!mapping.has_content(&made), "{name}");
        }
    }

    #[test]
    fn recorded_rows_link_to_their_source_where_the_table_says() {
        let invoice = message("30_make_sales_invoice");
        let filters =
            Mapping::find("Sales Order", "Sales Invoice").unwrap().made_of("SAL-ORD-2026-00001").unwrap();
        assert_eq!(json!(filters), json!([["Sales Invoice Item", "sales_order", "=", "SAL-ORD-2026-00001"]]));
        assert_eq!(invoice["items"][0]["sales_order"], "SAL-ORD-2026-00001");
        assert_eq!(invoice["items"][0]["doctype"], "Sales Invoice Item");
        let payment = message("33_get_payment_entry");
        let filters =
            Mapping::find("Sales Order", "Payment Entry").unwrap().made_of("SAL-ORD-2026-00001").unwrap();
        assert_eq!(filters.len(), 2);
        assert_eq!(payment["references"][0]["reference_name"], "SAL-ORD-2026-00001");
        assert_eq!(payment["references"][0]["doctype"], "Payment Entry Reference");
    }
}
