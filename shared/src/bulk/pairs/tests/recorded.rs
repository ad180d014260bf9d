//! The recorded Sales Order, what a real site made of it, and what is made of it here.

use super::*;
use crate::erpnext::recorded;

fn recorded(name: &str, at: &str) -> Value {
    let answer: Value = serde_json::from_slice(recorded::answer(name).body()).unwrap();
    answer[at].clone()
}

fn order() -> Document {
    let mut order = document("Sales Order", recorded("06_create_submit_sales_order", "data"));
    order.key = DocumentKey::new("Sales Order", "SAL-ORD-2026-00001").unwrap();
    order
}

/// The names of the fields that both have with another value.
fn differing(ours: &Fields, theirs: &Value) -> Vec<String> {
    let differs = |(name, value): &(&String, &Value)| {
        let theirs = theirs.get(name.as_str()).filter(|theirs| !theirs.is_array());
        theirs.is_some_and(|theirs| !same_number(value, theirs))
    };
    ours.iter().filter(differs).map(|(name, _)| name.clone()).collect()
}

/// The names of the fields that say something, and that only the site has.
fn missing(ours: &Fields, theirs: &Value) -> Vec<String> {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && text != "No",
        Value::Array(rows) => !rows.is_empty(),
        value => !same_number(value, &json!(0)),
    };
    let theirs = theirs.as_object().unwrap().iter();
    let only =
        theirs.filter(|(name, value)| !name.starts_with("__") && says(value) && !ours.contains_key(*name));
    only.map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_invoice_of_a_sales_order_is_the_sites_but_for_what_only_a_site_knows() {
    let (mapped, site) =
        (map(&order(), "Sales Invoice").unwrap(), recorded("30_make_sales_invoice", "message"));
    assert_eq!(differing(&mapped.target, &site), Vec::<String>::new());
    // Who makes it and its DocType are the store's; accounts are settings of the site; amounts in words and the time of
    // day are left to whoever posts it.
    let left_out =
        ["owner", "posting_time", "update_outstanding_for_self", "update_billed_amount_in_delivery_note"];
    let left_out =
        [&left_out[..], &["base_in_words", "in_words", "debit_to", "party_account_currency", "doctype"]]
            .concat();
    assert_eq!(missing(&mapped.target, &site), left_out);
    let rows = mapped.target["items"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for (ours, theirs) in rows.iter().zip(site["items"].as_array().unwrap()) {
        let ours = ours.as_object().unwrap();
        assert_eq!(differing(ours, theirs), Vec::<String>::new());
        let left_out = ["income_account", "expense_account", "use_serial_batch_fields", "cost_center"];
        let left_out = [&["owner"][..], &left_out, &["parentfield", "parenttype", "doctype"]].concat();
        assert_eq!(missing(ours, theirs), left_out);
    }
}

#[test]
fn the_order_is_billed_when_the_draft_is_made() {
    let order = order();
    let mapped = map(&order, "Sales Invoice").unwrap();
    assert_source(
        &mapped,
        &json!({"per_billed": 100, "billing_status": "Fully Billed", "status": "To Deliver",
            "items": [{"billed_amt": 10}, {"billed_amt": 20}, {"billed_amt": 30}]}),
    );
    let again = map(&after(&order, &mapped), "Sales Invoice").unwrap_err();
    assert_eq!(again.code(), ErrorCode::NothingToMap);
    // Nothing else of it changed.
    let changed = ["per_billed", "billing_status", "status", "items"];
    assert!(
        order.fields.iter().all(|(name, value)| changed.contains(&&**name) || mapped.source[name] == *value)
    );
}

#[test]
fn the_payment_of_a_sales_order_is_the_sites_but_for_the_accounts() {
    let order = order();
    let (mapped, site) = (map(&order, "Payment Entry").unwrap(), recorded("33_get_payment_entry", "message"));
    assert_eq!(differing(&mapped.target, &site), Vec::<String>::new());
    let accounts = ["paid_from", "paid_from_account_currency", "paid_to", "paid_to_account_currency"];
    let left_out = [&["owner", "payment_order_status"][..], &accounts, &["doctype"]].concat();
    assert_eq!(missing(&mapped.target, &site), left_out);
    let reference = mapped.target["references"][0].as_object().unwrap();
    assert_eq!(differing(reference, &site["references"][0]), Vec::<String>::new());
    let left_out = ["modified", "modified_by", "account", "parentfield", "parenttype", "doctype"];
    assert_eq!(missing(reference, &site["references"][0]), left_out);

    assert_source(&mapped, &json!({"advance_paid": 60}));
    let again = map(&after(&order, &mapped), "Payment Entry").unwrap_err();
    assert_eq!(again.code(), ErrorCode::NothingToMap);
}

#[test]
fn an_invoice_that_was_made_here_is_paid_and_delivered_by_the_places_of_its_rows() {
    let invoice = document("Sales Invoice", Value::Object(map(&order(), "Sales Invoice").unwrap().target));
    let payment = map(&invoice, "Payment Entry").unwrap();
    assert_target(
        &payment,
        &json!({"paid_amount": 60, "payment_type": "Receive", "party": "Hub Customer 0"}),
    );
    assert_source(&payment, &json!({"outstanding_amount": 0, "status": "Paid"}));
    let note = map(&invoice, "Delivery Note").unwrap();
    let rows = json!([{"si_detail": "1"}, {"si_detail": "2"}, {"si_detail": "3", "so_detail": "oa4puhifk9"}]);
    assert_target(&note, &json!({"items": rows}));
}
