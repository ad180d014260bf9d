//! One statement a pair, against a document as ERPNext has it.

use super::*;

fn sales(row: &Value) -> Value {
    json!({
        "customer": "ACME", "customer_name": "Acme Ltd", "company": "Hub", "currency": "CHF",
        "conversion_rate": 1.0, "naming_series": "OLD-", "title": "Acme Ltd", "in_words": "CHF two hundred",
        "items": [
            merged(json!({"name": "r1", "idx": 1, "item_code": "A", "qty": 4.0, "rate": 25.0, "amount": 100.0}), row),
            merged(json!({"name": "r2", "idx": 2, "item_code": "B", "qty": 2.0, "rate": 50.0, "amount": 100.0,
                "conversion_factor": 12.0, "stock_qty": 24.0}), &json!({})),
        ],
        "taxes": [{"name": "t1", "idx": 1, "charge_type": "On Net Total", "account_head": "VAT", "rate": 8.1,
            "tax_amount": 16.2, "parent": "SRC-1"}],
    })
}

fn purchase(row: &Value) -> Value {
    let purchase = json!({"supplier": "Mills", "supplier_name": "Mills Ltd", "customer": null});
    merged(sales(row), &purchase)
}

fn merged(mut value: Value, more: &Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

fn nothing_is_left(source: &Document, mapped: &Mapped, to: &str) {
    let error = map(&after(source, mapped), to).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NothingToMap, "{error}");
}

#[test]
fn a_sales_invoice_takes_what_is_not_billed_of_a_sales_order() {
    let order = document("Sales Order", sales(&json!({"billed_amt": 75.0, "delivered_by_supplier": 1})));
    let mapped = map(&order, "Sales Invoice").unwrap();
    let items = json!([
        {"so_detail": "r1", "sales_order": "SRC-1", "qty": 1, "rate": 25.0, "amount": 25, "idx": 1},
        {"so_detail": "r2", "sales_order": "SRC-1", "qty": 2, "amount": 100, "stock_qty": 24, "idx": 2},
    ]);
    assert_target(
        &mapped,
        &json!({"customer": "ACME", "status": "Draft", "naming_series": "ACC-SINV-.YYYY.-", "title": null,
            "in_words": null, "posting_date": "2026-11-22", "items": items, "total_qty": 3, "total": 125,
            "total_taxes_and_charges": 10.12, "grand_total": 135.12, "outstanding_amount": 135.12,
            "taxes": [{"account_head": "VAT", "tax_amount": 10.12, "total": 135.12, "name": null, "parent": null}]}),
    );
    assert_source(&mapped, &json!({"per_billed": 100, "items": [{"billed_amt": 100}, {"billed_amt": 100}]}));
    nothing_is_left(&order, &mapped, "Sales Invoice");
}

#[test]
fn a_delivery_note_takes_what_is_not_delivered_of_a_sales_order() {
    let order = document("Sales Order", sales(&json!({"delivered_qty": 1})));
    let mapped = map(&order, "Delivery Note").unwrap();
    let items = json!([
        {"so_detail": "r1", "against_sales_order": "SRC-1", "qty": 3, "amount": 75},
        {"so_detail": "r2", "against_sales_order": "SRC-1", "qty": 2, "stock_qty": 24, "amount": 100},
    ]);
    assert_target(
        &mapped,
        &json!({"items": items, "total": 175, "grand_total": 189.18, "outstanding_amount": null}),
    );
    assert_source(
        &mapped,
        &json!({"per_delivered": 100, "delivery_status": "Fully Delivered", "status": "To Bill",
            "items": [{"delivered_qty": 4}, {"delivered_qty": 2}]}),
    );
    nothing_is_left(&order, &mapped, "Delivery Note");
}

#[test]
fn what_its_supplier_delivers_is_on_no_delivery_note() {
    let order = document("Sales Order", sales(&json!({"delivered_by_supplier": 1})));
    let mapped = map(&order, "Delivery Note").unwrap();
    assert_target(&mapped, &json!({"items": [{"item_code": "B"}]}));
    assert_source(
        &mapped,
        &json!({"per_delivered": 33.333_333, "delivery_status": "Partly Delivered", "status": "To Deliver and Bill"}),
    );
    nothing_is_left(&order, &mapped, "Delivery Note");
}

#[test]
fn a_payment_takes_what_is_not_advanced_of_a_sales_order() {
    let order = merged(sales(&json!({})), &json!({"rounded_total": 216.20, "advance_paid": 100}));
    let order = document("Sales Order", order);
    let mapped = map(&order, "Payment Entry").unwrap();
    assert_target(
        &mapped,
        &json!({"payment_type": "Receive", "party_type": "Customer", "party": "ACME", "paid_amount": 116.2,
            "references": [{"reference_doctype": "Sales Order", "reference_name": "SRC-1", "total_amount": 216.2,
                "outstanding_amount": 116.2, "allocated_amount": 116.2}]}),
    );
    assert_source(&mapped, &json!({"advance_paid": 216.2}));
    nothing_is_left(&order, &mapped, "Payment Entry");
}

#[test]
fn a_delivery_note_takes_what_is_not_delivered_of_a_sales_invoice() {
    let invoice = document(
        "Sales Invoice",
        sales(&json!({"so_detail": "o1", "sales_order": "SO-1", "delivered_qty": 4})),
    );
    let mapped = map(&invoice, "Delivery Note").unwrap();
    let items = json!([{"si_detail": "r2", "against_sales_invoice": "SRC-1", "qty": 2, "so_detail": null}]);
    assert_target(&mapped, &json!({"items": items}));
    assert_source(&mapped, &json!({"items": [{"delivered_qty": 4}, {"delivered_qty": 2}]}));
    nothing_is_left(&invoice, &mapped, "Delivery Note");
}

#[test]
fn a_payment_takes_what_is_outstanding_of_a_sales_invoice_and_pays_a_return_back() {
    let invoice = |outstanding: f64| {
        let more = json!({"grand_total": 216.2, "outstanding_amount": outstanding, "debit_to": "Debtors - H",
            "due_date": "2026-12-01"});
        document("Sales Invoice", merged(sales(&json!({})), &more))
    };
    let mapped = map(&invoice(16.2), "Payment Entry").unwrap();
    let reference = json!({"allocated_amount": 16.2, "due_date": "2026-12-01", "account": "Debtors - H"});
    assert_target(
        &mapped,
        &json!({"payment_type": "Receive", "paid_from": "Debtors - H", "references": [reference]}),
    );
    assert_source(&mapped, &json!({"outstanding_amount": 0, "status": "Paid"}));
    nothing_is_left(&invoice(16.2), &mapped, "Payment Entry");

    let mapped = map(&invoice(-50.0), "Payment Entry").unwrap();
    assert_target(
        &mapped,
        &json!({"payment_type": "Pay", "paid_amount": 50, "paid_to": "Debtors - H",
            "references": [{"allocated_amount": -50}]}),
    );
}

#[test]
fn a_sales_invoice_takes_what_is_neither_billed_nor_returned_of_a_delivery_note() {
    let row = json!({"returned_qty": 1, "so_detail": "o1", "against_sales_order": "SO-1"});
    let note = document("Delivery Note", sales(&row));
    let mapped = map(&note, "Sales Invoice").unwrap();
    let items = json!([
        {"dn_detail": "r1", "delivery_note": "SRC-1", "so_detail": "o1", "sales_order": "SO-1", "qty": 3, "amount": 75},
        {"dn_detail": "r2", "delivery_note": "SRC-1", "qty": 2, "amount": 100},
    ]);
    assert_target(&mapped, &json!({"items": items, "total": 175}));
    assert_source(
        &mapped,
        &json!({"per_billed": 100, "status": "Completed", "items": [{"billed_amt": 75}, {"billed_amt": 100}]}),
    );
    nothing_is_left(&note, &mapped, "Sales Invoice");
}

#[test]
fn a_packing_slip_takes_what_is_not_packed_of_a_draft_and_the_parts_of_bundles() {
    let note = merged(
        sales(&json!({"packed_qty": 1, "weight_per_unit": 0.5, "weight_uom": "Kg"})),
        &json!({"packed_items": [{"name": "p1", "parent_item": "B", "item_code": "B-1", "qty": 6}]}),
    );
    let mut note = document("Delivery Note", note);
    assert_eq!(map(&note, "Packing Slip").unwrap_err().code(), ErrorCode::DocstatusForbids);
    note.docstatus = DocStatus::Draft;
    let mapped = map(&note, "Packing Slip").unwrap();
    let items = json!([
        {"item_code": "A", "qty": 3, "dn_detail": "r1", "net_weight": 0.5, "rate": null, "amount": null},
        {"item_code": "B-1", "qty": 6, "pi_detail": "p1"},
    ]);
    assert_target(
        &mapped,
        &json!({"delivery_note": "SRC-1", "items": items, "net_weight_pkg": 1.5, "net_weight_uom": "Kg",
            "from_case_no": 1, "to_case_no": 1, "grand_total": null}),
    );
    assert_source(
        &mapped,
        &json!({"items": [{"packed_qty": 4}, {"packed_qty": null}], "packed_items": [{"packed_qty": 6}]}),
    );
    nothing_is_left(&note, &mapped, "Packing Slip");
    let more = Document { fields: mapped.source, ..note };
    let more = document_with_more(more);
    assert_target(&map(&more, "Packing Slip").unwrap(), &json!({"from_case_no": 2}));
}

fn document_with_more(mut note: Document) -> Document {
    note.fields["items"][0]["qty"] = json!(9);
    note
}

#[test]
fn a_sales_order_takes_what_is_not_ordered_of_a_quotation_but_no_alternatives() {
    let mut fields = merged(
        sales(&json!({"is_alternative": 1})),
        &json!({"quotation_to": "Customer", "party_name": "ACME", "customer": null, "valid_till": "2026-11-22"}),
    );
    fields["items"][1]["ordered_qty"] = json!(6);
    let quotation = document("Quotation", fields);
    let mapped = map(&quotation, "Sales Order").unwrap();
    let items = json!([{"quotation_item": "r2", "prevdoc_docname": "SRC-1", "qty": 1.5, "stock_qty": 18, "amount": 75}]);
    assert_target(&mapped, &json!({"customer": "ACME", "items": items, "transaction_date": "2026-11-22"}));
    assert_source(
        &mapped,
        &json!({"status": "Ordered", "items": [{"ordered_qty": null}, {"ordered_qty": 24}]}),
    );
    nothing_is_left(&quotation, &mapped, "Sales Order");
}

#[test]
fn a_sales_invoice_takes_all_of_a_quotation_once() {
    let fields = merged(
        sales(&json!({})),
        &json!({"quotation_to": "Customer", "party_name": "ACME", "status": "Open"}),
    );
    let quotation = document("Quotation", fields);
    let mapped = map(&quotation, "Sales Invoice").unwrap();
    assert_target(
        &mapped,
        &json!({"customer": "ACME", "items": [{"qty": 4}, {"qty": 2}], "outstanding_amount": 216.2}),
    );
    assert_source(&mapped, &json!({"status": "Open", "items": [{"billed_qty": 4}, {"billed_qty": 2}]}));
    nothing_is_left(&quotation, &mapped, "Sales Invoice");
    assert!(map(&after(&quotation, &mapped), "Sales Order").is_ok(), "what is billed may be ordered");
}

#[test]
fn a_purchase_order_takes_all_of_a_supplier_quotation_once() {
    let quotation =
        document("Supplier Quotation", purchase(&json!({"material_request": "MR-1", "sales_order": "SO-1"})));
    let mapped = map(&quotation, "Purchase Order").unwrap();
    let row = json!({"supplier_quotation": "SRC-1", "supplier_quotation_item": "r1", "material_request": "MR-1",
        "sales_order": "SO-1", "qty": 4});
    assert_target(
        &mapped,
        &json!({"supplier": "Mills", "customer": null, "items": [row, {"stock_qty": 24}]}),
    );
    assert_source(&mapped, &json!({"items": [{"ordered_qty": 4}, {"ordered_qty": 2}]}));
    nothing_is_left(&quotation, &mapped, "Purchase Order");
}

#[test]
fn a_purchase_invoice_takes_all_of_a_supplier_quotation_once() {
    let quotation = document("Supplier Quotation", purchase(&json!({"material_request": "MR-1"})));
    let mapped = map(&quotation, "Purchase Invoice").unwrap();
    let row =
        json!({"supplier_quotation": "SRC-1", "supplier_quotation_item": "r1", "material_request": null});
    assert_target(&mapped, &json!({"items": [row, {}], "grand_total": 216.2, "outstanding_amount": 216.2}));
    assert_source(&mapped, &json!({"items": [{"billed_qty": 4}, {"billed_qty": 2}]}));
    nothing_is_left(&quotation, &mapped, "Purchase Invoice");
}

#[test]
fn a_purchase_invoice_takes_what_is_not_billed_of_a_purchase_order() {
    let order = document("Purchase Order", purchase(&json!({"billed_amt": 50, "sales_order": "SO-1"})));
    let mapped = map(&order, "Purchase Invoice").unwrap();
    let row =
        json!({"po_detail": "r1", "purchase_order": "SRC-1", "qty": 2, "amount": 50, "sales_order": null});
    assert_target(&mapped, &json!({"items": [row, {"qty": 2}], "total": 150}));
    assert_source(&mapped, &json!({"per_billed": 100, "billing_status": null, "status": "To Receive"}));
    nothing_is_left(&order, &mapped, "Purchase Invoice");
}

#[test]
fn a_purchase_receipt_takes_what_is_not_received_of_a_purchase_order() {
    let order = document("Purchase Order", purchase(&json!({"received_qty": 3, "sales_order": "SO-1"})));
    let mapped = map(&order, "Purchase Receipt").unwrap();
    let row = json!({"purchase_order_item": "r1", "purchase_order": "SRC-1", "qty": 1, "received_qty": 1,
        "amount": 25, "sales_order": "SO-1"});
    assert_target(&mapped, &json!({"items": [row, {"qty": 2, "received_qty": 2, "stock_qty": 24}]}));
    assert_source(
        &mapped,
        &json!({"per_received": 100, "status": "To Bill", "items": [{"received_qty": 4}, {"received_qty": 2}]}),
    );
    nothing_is_left(&order, &mapped, "Purchase Receipt");
}

#[test]
fn a_payment_takes_what_is_not_advanced_of_a_purchase_order() {
    let order = document("Purchase Order", merged(purchase(&json!({})), &json!({"grand_total": 216.2})));
    let mapped = map(&order, "Payment Entry").unwrap();
    assert_target(
        &mapped,
        &json!({"payment_type": "Pay", "party_type": "Supplier", "party": "Mills", "party_name": "Mills Ltd",
            "paid_amount": 216.2}),
    );
    assert_source(&mapped, &json!({"advance_paid": 216.2}));
    nothing_is_left(&order, &mapped, "Payment Entry");
}

#[test]
fn a_purchase_receipt_takes_what_is_not_received_of_a_purchase_invoice() {
    let row = json!({"received_qty": 1, "po_detail": "o1", "purchase_order": "PO-1"});
    let invoice = document("Purchase Invoice", purchase(&row));
    let mapped = map(&invoice, "Purchase Receipt").unwrap();
    let row = json!({"purchase_invoice": "SRC-1", "purchase_invoice_item": "r1", "purchase_order": "PO-1",
        "purchase_order_item": "o1", "qty": 3, "received_qty": 3});
    assert_target(&mapped, &json!({"items": [row, {"purchase_invoice_item": "r2"}]}));
    assert_source(
        &mapped,
        &json!({"per_received": 100, "status": null, "items": [{"received_qty": 4}, {"received_qty": 2}]}),
    );
    nothing_is_left(&invoice, &mapped, "Purchase Receipt");
}

#[test]
fn a_payment_takes_what_is_outstanding_of_a_purchase_invoice_that_is_not_on_hold() {
    let invoice = |more: Value| {
        let owed = json!({"outstanding_amount": 216.2, "credit_to": "Creditors - H", "bill_no": "B-7"});
        document("Purchase Invoice", merged(merged(purchase(&json!({})), &owed), &more))
    };
    let mapped = map(&invoice(json!({"on_hold": 1, "release_date": "2026-11-22"})), "Payment Entry").unwrap();
    assert_target(
        &mapped,
        &json!({"payment_type": "Pay", "paid_to": "Creditors - H", "references": [{"bill_no": "B-7", "account": "Creditors - H"}]}),
    );
    assert_source(&mapped, &json!({"outstanding_amount": 0, "status": "Paid"}));
    nothing_is_left(&invoice(json!({})), &mapped, "Payment Entry");
    for held in [json!({"on_hold": 1}), json!({"on_hold": 1, "release_date": "2026-11-23"})] {
        assert_eq!(map(&invoice(held), "Payment Entry").unwrap_err().code(), ErrorCode::StatusForbids);
    }
}

#[test]
fn a_purchase_invoice_takes_what_is_neither_billed_nor_returned_of_a_purchase_receipt() {
    let row = json!({"returned_qty": 4, "purchase_order_item": "o1", "purchase_order": "PO-1"});
    let receipt = document("Purchase Receipt", purchase(&row));
    let mapped = map(&receipt, "Purchase Invoice").unwrap();
    let row =
        json!({"pr_detail": "r2", "purchase_receipt": "SRC-1", "qty": 2, "received_qty": 2, "amount": 100});
    assert_target(&mapped, &json!({"items": [row], "total": 100}));
    assert_source(&mapped, &json!({"per_billed": 100, "status": "Completed"}));
    nothing_is_left(&receipt, &mapped, "Purchase Invoice");
}
