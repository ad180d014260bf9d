//! Whatever the parts: they add up to the whole, and at the end nothing is left.

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::mapping::decimal;

fn number(value: &Value) -> Decimal {
    decimal(value).unwrap_or_else(|| panic!("{value} is no number"))
}

fn rows(fields: &Fields) -> &[Value] {
    fields["items"].as_array().unwrap()
}

fn two_rows() -> Document {
    let items = json!([
        {"name": "r1", "item_code": "A", "qty": 3, "rate": 33.33, "amount": 99.99},
        {"name": "r2", "item_code": "B", "qty": 2, "rate": 5, "amount": 10},
    ]);
    let taxes = json!([{"charge_type": "Actual", "account_head": "Freight", "tax_amount": 10.01}]);
    document(
        "Sales Order",
        json!({"customer": "ACME", "items": items, "taxes": taxes, "discount_amount": 1.0}),
    )
}

#[test]
fn an_order_billed_in_two_parts_is_billed_once() {
    let order = two_rows();
    let first = map_rows(&order, "Sales Invoice", &["r1"]).unwrap();
    assert_target(&first, &json!({"items": [{"so_detail": "r1", "qty": 3}]}));
    assert_source(
        &first,
        &json!({"per_billed": 90.908_264, "billing_status": "Partly Billed", "status": "To Deliver and Bill"}),
    );
    let order = after(&order, &first);
    let second = map(&order, "Sales Invoice").unwrap();
    assert_target(&second, &json!({"items": [{"so_detail": "r2", "qty": 2}]}));
    assert_source(
        &second,
        &json!({"per_billed": 100, "billing_status": "Fully Billed", "status": "To Deliver"}),
    );
    let total = |field: &str| number(&first.target[field]) + number(&second.target[field]);
    // 109.99, freight 10.01, discount 1.00: each part has its share of both.
    assert_eq!(total("grand_total").to_string(), "119.00");
    assert_eq!(number(&first.target["taxes"][0]["tax_amount"]).to_string(), "9.1");
    let order = after(&order, &second);
    assert_eq!(map(&order, "Sales Invoice").unwrap_err().code(), ErrorCode::NothingToMap);
    // That the rows are billed says nothing of what is delivered.
    assert_eq!(rows(&map(&order, "Delivery Note").unwrap().target).len(), 2);
}

#[test]
fn rows_that_were_asked_for_and_are_billed_leave_nothing() {
    let order = two_rows();
    let order = after(&order, &map_rows(&order, "Sales Invoice", &["r1"]).unwrap());
    let again = map_rows(&order, "Sales Invoice", &["r1"]).unwrap_err();
    assert_eq!(again.code(), ErrorCode::NothingToMap);
}

#[test]
fn a_free_item_is_billed_once() {
    let mut order = two_rows();
    order.fields["items"][1] =
        json!({"name": "r2", "item_code": "GIFT", "qty": 2, "rate": 0, "is_free_item": 1});
    let first = map(&order, "Sales Invoice").unwrap();
    assert_target(&first, &json!({"items": [{}, {"item_code": "GIFT", "qty": 2, "amount": 0}]}));
    assert_source(&first, &json!({"per_billed": 100, "items": [{}, {"billed_qty": 2}]}));
    assert_eq!(map(&after(&order, &first), "Sales Invoice").unwrap_err().code(), ErrorCode::NothingToMap);

    let alone = map_rows(&order, "Sales Invoice", &["r1"]).unwrap();
    let rest = map(&Document { fields: unsaid(alone.source.clone()), ..order.clone() }, "Sales Invoice");
    assert_eq!(
        rest.unwrap_err().code(),
        ErrorCode::NothingToMap,
        "what is billed in full elsewhere has no gifts left"
    );
}

/// As a site would have it, which does not count what is billed of free items.
fn unsaid(mut fields: Fields) -> Fields {
    fields["items"][1].as_object_mut().unwrap().shift_remove("billed_qty");
    fields
}

#[test]
fn an_order_of_free_items_alone_is_billed_by_quantity() {
    let items = json!([{"name": "r1", "qty": 3, "rate": 0}, {"name": "r2", "qty": 1, "rate": 0}]);
    let order = document("Sales Order", json!({"customer": "ACME", "items": items}));
    let first = map_rows(&order, "Sales Invoice", &["r1"]).unwrap();
    assert_source(&first, &json!({"per_billed": 75, "billing_status": "Partly Billed"}));
    let second = map(&after(&order, &first), "Sales Invoice").unwrap();
    assert_target(&second, &json!({"items": [{"so_detail": "r2"}], "grand_total": 0}));
    assert_eq!(map(&after(&order, &second), "Sales Invoice").unwrap_err().code(), ErrorCode::NothingToMap);
}

#[test]
fn rows_without_names_are_known_by_their_places() {
    let items =
        json!([{"item_code": "A", "qty": 1, "rate": 5}, {"item_code": "B", "qty": 1, "rate": 5, "idx": 7}]);
    let order = document("Sales Order", json!({"customer": "ACME", "items": items}));
    let first = map_rows(&order, "Sales Invoice", &["1"]).unwrap();
    assert_target(&first, &json!({"items": [{"item_code": "A", "so_detail": "1", "sales_order": "SRC-1"}]}));
    let second = map(&after(&order, &first), "Sales Invoice").unwrap();
    assert_target(&second, &json!({"items": [{"item_code": "B", "so_detail": "7"}]}));
    assert_source(&second, &json!({"items": [{"billed_amt": 5, "name": null}, {"billed_amt": 5, "idx": 7}]}));
}

#[test]
fn a_return_is_billed_in_its_own_direction() {
    let items = json!([{"name": "r1", "qty": -2, "rate": 5, "amount": -10, "returned_qty": 0}]);
    let note = document("Delivery Note", json!({"customer": "ACME", "is_return": 1, "items": items}));
    let mapped = map(&note, "Sales Invoice").unwrap();
    assert_target(
        &mapped,
        &json!({"is_return": 1, "items": [{"qty": -2, "amount": -10}], "grand_total": -10}),
    );
    assert_source(
        &mapped,
        &json!({"per_billed": 100, "status": "Completed", "items": [{"billed_amt": -10}]}),
    );
    assert_eq!(map(&after(&note, &mapped), "Sales Invoice").unwrap_err().code(), ErrorCode::NothingToMap);
}

#[test]
fn what_is_returned_and_billed_has_the_status_that_erpnext_gives_it() {
    let status = |doctype: &str, to: &str, rows: &[&str], header: Value| {
        let items = json!([{"name": "r1", "qty": 2, "rate": 5}, {"name": "r2", "qty": 2, "rate": 5}]);
        let mut fields = json!({"items": items});
        fields.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let mapped = map_rows(&document(doctype, fields), to, rows).unwrap();
        mapped.source["status"].as_str().unwrap().to_owned()
    };
    let note = |rows: &[&str], header| status("Delivery Note", "Sales Invoice", rows, header);
    let receipt = |rows: &[&str], header| status("Purchase Receipt", "Purchase Invoice", rows, header);
    assert_eq!(note(&["r1"], json!({"is_return": 1})), "Partially Billed");
    assert_eq!(note(&[], json!({"per_returned": 100})), "Return Issued");
    assert_eq!(receipt(&["r1"], json!({"is_return": 1})), "Partly Billed");
    assert_eq!(receipt(&["r1"], json!({"per_returned": 100})), "Return Issued");
    assert_eq!(receipt(&[], json!({"per_returned": 100})), "Completed");
}

/// Rows of any quantities and prices; how much of each was billed elsewhere before, in percent; to which of three parts
/// each goes.
fn sources() -> impl Strategy<Value = Vec<(i64, i64, i64, usize)>> {
    prop::collection::vec(
        (1..100_000_i64, 0..10_000_000_i64, prop_oneof![Just(0), 0..=100_i64], 0..3_usize),
        1..12,
    )
}

fn source(doctype: &str, done: &str, rows: &[(i64, i64, i64, usize)]) -> Document {
    let row = |(index, (qty, rate, percent, _)): (usize, &(i64, i64, i64, usize))| {
        let (qty, rate) = (Decimal::new(*qty, 3), Decimal::new(*rate, 2));
        let amount = (qty * rate).round_dp(2);
        let whole = if done == "billed_amt" { amount } else { qty };
        let digits = if done == "billed_amt" { 2 } else { 3 };
        let before = (whole * Decimal::new(*percent, 2)).round_dp(digits);
        json!({"name": format!("r{index}"), "qty": amount::json(qty), "rate": amount::json(rate),
            "amount": amount::json(amount), done: amount::json(before)})
    };
    let rows: Vec<_> = rows.iter().enumerate().map(row).collect();
    let taxes = json!([
        {"charge_type": "Actual", "account_head": "Freight", "tax_amount": 99.99},
        {"charge_type": "On Net Total", "account_head": "VAT", "rate": 8.1},
    ]);
    document(
        doctype,
        json!({"customer": "ACME", "supplier": "Mills", "items": rows, "taxes": taxes, "discount_amount": 0.07}),
    )
}

/// Makes the parts one after the other, then whatever is left.
fn parts(mut source: Document, to: &str, rows: &[(i64, i64, i64, usize)]) -> (Vec<Fields>, Document) {
    let mut made = Vec::new();
    for part in 0..4 {
        let of_part =
            rows.iter().enumerate().filter(|(_, row)| row.3 == part).map(|(index, _)| format!("r{index}"));
        let names: Vec<_> = of_part.collect();
        if part < 3 && names.is_empty() {
            continue;
        }
        match map_rows(&source, to, &names.iter().map(String::as_str).collect::<Vec<_>>()) {
            Ok(mapped) => {
                source = after(&source, &mapped);
                made.push(mapped.target);
            }
            Err(error) => assert_eq!(error.code(), ErrorCode::NothingToMap, "{error}"),
        }
    }
    (made, source)
}

/// Makes everything that is made of such a source.
fn each_of(source: &Document) {
    for pair in PAIRS.iter().filter(|pair| pair.from() == source.key.doctype.as_str()) {
        let _ = map(source, pair.to());
    }
}

fn total<'a>(rows: impl Iterator<Item = &'a Value>, field: &str) -> Decimal {
    rows.map(|row| number(&row[field])).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn invoices_add_up_to_the_order(drawn in sources(), doctype in "Sales Order|Purchase Order|Delivery Note|Purchase Receipt") {
        let to = if doctype == "Sales Order" || doctype == "Delivery Note" { "Sales Invoice" } else { "Purchase Invoice" };
        let source = source(&doctype, "billed_amt", &drawn);
        let (made, end) = parts(source.clone(), to, &drawn);
        let billed = total(made.iter().flat_map(rows), "amount");
        let wanted = total(rows(&source.fields).iter(), "amount") - total(rows(&source.fields).iter(), "billed_amt");
        prop_assert_eq!(billed, wanted);
        for row in made.iter().flat_map(rows) {
            prop_assert!(number(&row["qty"]) > Decimal::ZERO && number(&row["amount"]) >= Decimal::ZERO, "{}", row);
            // The amount is what the quantity costs, but for what was billed elsewhere at another price.
            let off = number(&row["amount"]) - number(&row["qty"]) * number(&row["rate"]);
            prop_assert!(off.abs() <= Decimal::new(6, 3), "{}", row);
        }
        for row in rows(&end.fields) {
            prop_assert_eq!(number(&row["billed_amt"]), number(&row["amount"]));
        }
        let again = map(&end, to).unwrap_err();
        prop_assert_eq!(again.code(), ErrorCode::NothingToMap);
        if !made.is_empty() && wanted > Decimal::ZERO {
            prop_assert_eq!(number(&end.fields["per_billed"]), Decimal::ONE_HUNDRED);
        }
    }

    #[test]
    fn deliveries_add_up_to_the_order(drawn in sources(), is_sale: bool) {
        let (doctype, to, done) = if is_sale {
            ("Sales Order", "Delivery Note", "delivered_qty")
        } else {
            ("Purchase Order", "Purchase Receipt", "received_qty")
        };
        let source = source(doctype, done, &drawn);
        let (made, end) = parts(source.clone(), to, &drawn);
        let delivered = total(made.iter().flat_map(rows), "qty");
        let wanted = total(rows(&source.fields).iter(), "qty") - total(rows(&source.fields).iter(), done);
        prop_assert_eq!(delivered, wanted);
        prop_assert!(made.iter().flat_map(rows).all(|row| number(&row["qty"]) > Decimal::ZERO));
        prop_assert_eq!(map(&end, to).unwrap_err().code(), ErrorCode::NothingToMap);
    }

    #[test]
    fn fixed_charges_and_discounts_are_shared_and_each_total_is_right(drawn in sources()) {
        let fresh: Vec<_> = drawn.iter().map(|row| (row.0, row.1, 0, row.3)).collect();
        let source = source("Sales Order", "billed_amt", &fresh);
        let (made, _) = parts(source.clone(), "Sales Invoice", &fresh);
        let freight: Decimal = made.iter().map(|made| number(&made["taxes"][0]["tax_amount"])).sum();
        let all_worthless = fresh.iter().all(|row| (Decimal::new(row.0, 3) * Decimal::new(row.1, 2)).round_dp(2).is_zero());
        prop_assert_eq!(freight, Decimal::new(9999, 2));
        let discount: Decimal = made.iter().map(|made| number(&made["discount_amount"])).sum();
        if !all_worthless {
            prop_assert_eq!(discount, Decimal::new(7, 2));
        }
        for made in &made {
            let total = number(&made["net_total"]) + number(&made["total_taxes_and_charges"]);
            prop_assert_eq!(total, number(&made["grand_total"]));
            prop_assert_eq!(number(&made["outstanding_amount"]), number(&made["grand_total"]));
        }
    }

    #[test]
    fn no_document_makes_it_panic(
        field in "qty|rate|amount|billed_amt|returned_qty|conversion_factor|item_tax_rate|weight_per_unit",
        header in "conversion_rate|discount_amount|additional_discount_percentage|grand_total|rounded_total|items|taxes",
        odd in prop_oneof![
            any::<f64>().prop_map(|n| json!(n)), any::<i64>().prop_map(|n| json!(n)), "\\PC{0,12}".prop_map(|t| json!(t)),
            "-?[0-9]{1,15}(\\.[0-9]{1,12})?".prop_map(|t| json!(t)), Just(json!(null)), Just(json!([{}])), Just(json!({"a": 1}))
        ],
        drawn in sources(),
    ) {
        for doctype in ["Sales Order", "Sales Invoice", "Delivery Note", "Quotation", "Purchase Order"] {
            let mut source = source(doctype, "billed_amt", &drawn);
            source.fields["items"][0][field.as_str()] = odd.clone();
            each_of(&source);
            source.fields.insert(header.clone(), odd.clone());
            each_of(&source);
        }
    }
}

#[test]
fn of_a_bundle_the_parts_of_what_is_taken_go_along() {
    let mut order = two_rows();
    order.fields["items"][0]["delivered_qty"] = json!(1);
    order.fields.insert(
        "packed_items".to_owned(),
        json!([
            {"name": "p1", "parent_item": "A", "parent_detail_docname": "r1", "item_code": "A-1", "qty": 6},
            {"name": "p2", "parent_item": "B", "parent_detail_docname": "r2", "item_code": "B-1", "qty": 2, "picked_qty": 2},
        ]),
    );
    let note = map(&order, "Delivery Note").unwrap();
    let parts = json!([
        {"name": null, "item_code": "A-1", "qty": 4, "parent_detail_docname": "1", "idx": 1},
        {"item_code": "B-1", "qty": 2, "parent_detail_docname": "2", "picked_qty": null},
    ]);
    assert_target(&note, &json!({"packed_items": parts}));
    let note = map_rows(&order, "Delivery Note", &["r2"]).unwrap();
    assert_target(&note, &json!({"packed_items": [{"item_code": "B-1", "parent_detail_docname": "1"}]}));
}
