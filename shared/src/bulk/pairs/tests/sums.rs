//! Totals, worked out by hand.

use super::*;

/// An order of two rows, 100 and 50, with these fields besides.
fn invoice_of(more: &Value) -> Mapped {
    map(&order(more), "Sales Invoice").unwrap()
}

fn order(more: &Value) -> Document {
    let mut order = json!({"customer": "ACME", "currency": "CHF", "items": [
        {"name": "r1", "item_code": "A", "qty": 4, "rate": 25, "amount": 100},
        {"name": "r2", "item_code": "B", "qty": 1, "rate": 50, "amount": 50, "item_tax_rate": "{\"Reduced\": 2}"},
    ]});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document("Sales Order", order)
}

fn tax(charge_type: &str, rate: f64) -> Value {
    json!({"charge_type": charge_type, "account_head": "VAT", "rate": rate})
}

#[test]
fn taxes_build_on_each_other() {
    let mut amount = tax("On Previous Row Amount", 50.0);
    amount["row_id"] = json!("1");
    let mut total = tax("On Previous Row Total", 10.0);
    total["row_id"] = json!(2);
    let quantity = tax("On Item Quantity", 0.5);
    let fixed = json!({"charge_type": "Actual", "tax_amount": 7.35});
    let mapped = invoice_of(&json!({"taxes": [tax("On Net Total", 10.0), amount, total, quantity, fixed]}));
    // 150 +15 = 165 +7.5 = 172.5 +17.25 = 189.75 +2.5 = 192.25 +7.35
    let taxes = json!([{"tax_amount": 15, "total": 165}, {"tax_amount": 7.5}, {"tax_amount": 17.25},
        {"tax_amount": 2.5, "total": 192.25}, {"tax_amount": 7.35, "total": 199.6}]);
    assert_target(&mapped, &json!({"taxes": taxes, "total_taxes_and_charges": 49.6, "grand_total": 199.6}));
}

#[test]
fn an_item_has_rates_of_its_own() {
    let mut reduced = tax("On Net Total", 10.0);
    reduced["account_head"] = json!("Reduced");
    assert_target(
        &invoice_of(&json!({"taxes": [reduced]})),
        &json!({"taxes": [{"tax_amount": 11}], "grand_total": 161}),
    );
}

#[test]
fn deducted_taxes_lessen_the_total_and_those_of_a_valuation_leave_it() {
    let (mut deducted, mut valuation) = (tax("On Net Total", 10.0), tax("On Net Total", 10.0));
    deducted["add_deduct_tax"] = json!("Deduct");
    valuation["category"] = json!("Valuation");
    let taxes = json!([{"tax_amount": 15, "total": 135}, {"tax_amount": 15, "total": 135}]);
    assert_target(
        &invoice_of(&json!({"taxes": [deducted, valuation]})),
        &json!({"taxes": taxes, "grand_total": 135}),
    );
}

#[test]
fn prices_may_contain_their_tax() {
    let mut contained = tax("On Net Total", 8.1);
    contained["included_in_print_rate"] = json!(1);
    let items = json!([{"amount": 100, "net_amount": 92.51, "net_rate": 23.13}, {"net_amount": 46.25}]);
    assert_target(
        &invoice_of(&json!({"taxes": [contained]})),
        &json!({"items": items, "total": 150, "net_total": 138.76, "taxes": [{"tax_amount": 11.24}], "grand_total": 150}),
    );
}

#[test]
fn a_discount_is_of_the_grand_total_or_of_the_net_total() {
    let with = |on: &str| {
        invoice_of(&json!({"taxes": [tax("On Net Total", 10.0)],
        "additional_discount_percentage": 10, "apply_discount_on": on}))
    };
    // 10 % of 165; what is left of it is 135 and its tax.
    let taxes = json!([{"tax_amount": 15, "tax_amount_after_discount_amount": 13.5, "total": 148.5}]);
    assert_target(
        &with("Grand Total"),
        &json!({"discount_amount": 16.5, "net_total": 135, "total": 150, "taxes": taxes, "grand_total": 148.5}),
    );
    let items = json!([{"amount": 100, "net_amount": 90}, {"amount": 50, "net_amount": 45}]);
    assert_target(
        &with("Net Total"),
        &json!({"discount_amount": 15, "items": items, "taxes": [{"tax_amount": 13.5}], "grand_total": 148.5}),
    );
}

#[test]
fn amounts_are_in_the_companys_currency_too() {
    let mapped =
        invoice_of(&json!({"currency": "USD", "conversion_rate": 0.8, "party_account_currency": "CHF",
        "taxes": [tax("On Net Total", 10.0)]}));
    assert_target(
        &mapped,
        &json!({"grand_total": 165, "base_grand_total": 132, "base_net_total": 120, "outstanding_amount": 132,
            "items": [{"base_rate": 20, "base_amount": 80}, {}], "taxes": [{"base_tax_amount": 12}]}),
    );
}

#[test]
fn a_currency_without_decimals_has_none_and_one_of_three_has_three() {
    let total = |currency: &str| {
        invoice_of(&json!({"currency": currency, "taxes": [tax("On Net Total", 7.7777)]})).target["grand_total"].to_string()
    };
    assert_eq!([total("JPY"), total("CHF"), total("KWD")], ["162", "161.67", "161.667"]);
}

#[test]
fn what_is_rounded_is_rounded_as_the_source_is() {
    let rounded = |grand: f64, rounded: f64| {
        let order = order(
            &json!({"taxes": [tax("On Net Total", 8.1)], "grand_total": grand, "rounded_total": rounded}),
        );
        map_rows(&order, "Sales Invoice", &["r2"])
            .unwrap()
            .target
            .get("rounded_total")
            .map(ToString::to_string)
    };
    assert_eq!(rounded(162.17, 162.15).as_deref(), Some("54.05"), "54.05 is to five centimes");
    assert_eq!(rounded(162.45, 162.0).as_deref(), Some("54"), "to whole ones");
    assert_eq!(rounded(162.15, 162.15).as_deref(), Some("54.05"));
    assert_eq!(rounded(162.15, 0.0), None);
}

#[test]
fn numbers_keep_the_digits_they_were_given() {
    let order: Result<Value, _> = serde_json::from_str(
        r#"{"currency": "CHF", "items": [{"name": "r1", "qty": 4.000, "rate": 25.1234567890123456789, "amount": 100.4900}]}"#,
    );
    let mapped = map(&document("Sales Order", order.unwrap()), "Sales Invoice").unwrap();
    assert_eq!(mapped.target["items"][0]["rate"].to_string(), "25.1234567890123456789");
    assert_eq!(mapped.target["items"][0]["qty"].to_string(), "4.000");
    assert_eq!(mapped.target["items"][0]["amount"].to_string(), "100.4900");
    assert_eq!(mapped.source["items"][0]["qty"].to_string(), "4.000");
}

#[test]
fn commissions_are_of_the_rows_that_grant_one() {
    let mut order = order(&json!({"amount_eligible_for_commission": 150, "commission_rate": 4,
        "sales_team": [{"sales_person": "Ann", "allocated_percentage": 50, "commission_rate": 10, "allocated_amount": 75}]}));
    order.fields["items"][0]["grant_commission"] = json!(1);
    let team = json!([{"sales_person": "Ann", "allocated_amount": 50, "incentives": 5}]);
    assert_target(
        &map(&order, "Sales Invoice").unwrap(),
        &json!({"amount_eligible_for_commission": 100, "total_commission": 4, "sales_team": team}),
    );
}
