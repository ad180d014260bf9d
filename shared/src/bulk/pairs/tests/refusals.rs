//! What nothing is made of, and why.

use super::*;

fn order(fields: &Value) -> Document {
    let mut order = json!({"customer": "ACME", "items": [{"name": "r1", "item_code": "A", "qty": 2, "rate": 5, "amount": 10}]});
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    document("Sales Order", order)
}

fn refused(source: &Document, to: &str) -> (ErrorCode, String) {
    let error = map(source, to).unwrap_err();
    (error.code(), error.detail().to_owned())
}

#[test]
fn what_is_not_submitted_is_refused() {
    for docstatus in [DocStatus::Draft, DocStatus::Cancelled] {
        let order = Document { docstatus, ..order(&json!({})) };
        let (code, detail) = refused(&order, "Sales Invoice");
        assert_eq!(code, ErrorCode::DocstatusForbids);
        assert!(detail.contains("is not submitted"), "{detail}");
    }
}

#[test]
fn what_is_closed_or_on_hold_is_refused_with_the_reason() {
    for (status, to) in
        [("Closed", "Sales Invoice"), ("On Hold", "Delivery Note"), ("Closed", "Payment Entry")]
    {
        let (code, detail) = refused(&order(&json!({"status": status, "grand_total": 10})), to);
        assert_eq!(code, ErrorCode::StatusForbids);
        assert!(detail.contains(status), "{detail}");
    }
}

#[test]
fn a_quotation_is_refused_that_is_lost_or_past_or_for_a_lead() {
    for (fields, says) in [
        (json!({"status": "Lost"}), "Lost"),
        (json!({"valid_till": "2026-11-21"}), "valid_till"),
        (json!({"quotation_to": "Lead"}), "customer"),
    ] {
        let quotation = document("Quotation", order(&fields).fields.into());
        let (code, detail) = refused(&quotation, "Sales Order");
        assert_eq!(code, ErrorCode::StatusForbids);
        assert!(detail.contains(says), "{detail}");
    }
    let ordered = document("Quotation", order(&json!({"status": "Ordered"})).fields.into());
    assert_eq!(refused(&ordered, "Sales Order").0, ErrorCode::NothingToMap);
}

#[test]
fn an_order_that_is_billed_in_full_is_paid_by_its_invoices() {
    let (code, detail) = refused(&order(&json!({"grand_total": 10, "per_billed": 100})), "Payment Entry");
    assert_eq!(code, ErrorCode::NothingToMap);
    assert!(detail.contains("invoices"), "{detail}");
}

#[test]
fn a_source_without_rows_or_totals_gives_nothing() {
    for fields in
        [json!({"items": []}), json!({"items": null}), json!({"items": [{"name": "r1", "item_code": "A"}]})]
    {
        assert_eq!(refused(&order(&fields), "Sales Invoice").0, ErrorCode::NothingToMap);
    }
    assert_eq!(refused(&order(&json!({})), "Payment Entry").0, ErrorCode::NothingToMap);
}

#[test]
fn what_is_no_number_is_named() {
    let item = |field: &str, value: Value| {
        let mut row = json!({"name": "r1", "item_code": "A", "qty": 2, "rate": 5});
        row[field] = value;
        json!({"items": [row]})
    };
    for (fields, place) in [
        (item("qty", json!("two")), "/items/0/qty"),
        (item("rate", json!([])), "/items/0/rate"),
        (item("rate", json!(1e20)), "/items/0/rate"),
        (item("billed_amt", json!(true)), "/items/0/billed_amt"),
        (item("item_tax_rate", json!("{")), "/items/0/item_tax_rate"),
        (item("weight_per_unit", json!("heavy")), "/items/0/weight_per_unit"),
        (json!({"conversion_rate": "par"}), "/conversion_rate"),
        (json!({"discount_amount": {}}), "/discount_amount"),
        (json!({"per_billed": "all"}), "/per_billed"),
        (json!({"items": {}}), "/items"),
        (json!({"items": [1]}), "/items/0"),
        (json!({"items": vec![json!({}); 1001]}), "/items"),
        (json!({"taxes": [{"charge_type": "By Mood"}]}), "/taxes/0/charge_type"),
        (json!({"taxes": [{"charge_type": "On Previous Row Total", "row_id": 1}]}), "/taxes/0/row_id"),
        (json!({"taxes": [{"charge_type": "On Net Total", "rate": "?"}]}), "/taxes/0/rate"),
    ] {
        let error = map(&order(&fields), "Sales Invoice").unwrap_err();
        assert_eq!(error.code(), ErrorCode::MappingFailed, "{place}: {error}");
        assert_eq!(error.field_errors()[0].field, place);
    }
}

#[test]
fn numbers_too_large_together_are_an_error_and_no_panic() {
    let huge = json!({"name": "r1", "qty": 1_000_000_000_000_000_u64, "rate": 1_000_000_000_000_000_u64});
    assert_eq!(refused(&order(&json!({"items": [huge]})), "Sales Invoice").0, ErrorCode::MappingFailed);
}

#[test]
fn arguments_that_are_not_known_are_named() {
    let pair = Pair::find("Sales Order", "Sales Invoice").unwrap();
    for (args, place) in [
        (json!({"warehouse": "W"}), "/args/warehouse"),
        (json!({"filtered_children": "r1"}), "/args/filtered_children"),
        (json!({"filtered_children": [1]}), "/args/filtered_children"),
        (json!({"filtered_children": ["r1", "r9"]}), "/args/filtered_children"),
    ] {
        let error = pair.map(&order(&json!({})), args.as_object().unwrap(), now()).unwrap_err();
        assert_eq!((error.code(), &*error.field_errors()[0].field), (ErrorCode::InvalidInput, place));
    }
    let payment = Pair::find("Sales Order", "Payment Entry").unwrap();
    let args = json!({"filtered_children": ["r1"]});
    let error =
        payment.map(&order(&json!({"grand_total": 1})), args.as_object().unwrap(), now()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput);
}
