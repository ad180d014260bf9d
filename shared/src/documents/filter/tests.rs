//! What filters find, in all the forms they are written in.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    Error,
    documents::{Applied, DocStatus, DocumentKey},
};

fn order() -> Document {
    let fields = json!({
        "status": "Open", "customer": "Müller", "qty": 5, "total": 12.50, "code": "007", "note": null, "empty": "",
        "paid": false, "posting_date": "2026-01-31", "posted_at": "2026-01-31 15:00:00",
        "taxes": [],
        "items": [
            { "doctype": "Sales Order Item", "item_code": "A", "qty": 1 },
            { "doctype": "Sales Order Item", "item_code": "B", "qty": 9 },
        ],
        "team": [{ "sales_person": "Kim" }],
    });
    let Value::Object(fields) = fields else { panic!("an object") };
    Document {
        key: DocumentKey::new("Sales Order", "SO-0007").unwrap(),
        docstatus: DocStatus::Submitted,
        modified: at("2026-01-31T15:00:00.5Z"),
        modified_by: "kim@example.test".into(),
        creation: at("2026-01-30T08:00:00Z"),
        owner: "Administrator".into(),
        revision: 3,
        fields,
        applied: Applied::new(),
        events: Vec::new(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn read(filters: &Value) -> Result<Filters, Error> {
    Filters::read(&order().key.doctype, Some(filters), None)
}

fn finds(filters: &Value) -> bool {
    let filters = read(filters).unwrap();
    let document = order();
    let place = DocumentPlace { key: document.key.clone(), modified: document.modified };
    let matches = filters.matches(&document);
    assert!(!matches || filters.may_match(&place), "a place is never ruled out that matches");
    if !filters.need_documents() {
        assert_eq!(filters.may_match(&place), matches);
    }
    matches
}

fn check(found: bool, filters: &[Value]) {
    for filter in filters {
        assert_eq!(finds(&json!([filter])), found, "{filter}");
    }
}

#[test]
fn every_form_of_frappe_is_read() {
    for filters in [
        json!({}),
        json!([]),
        json!({ "status": "Open", "qty": [">", 4] }),
        json!([["status", "Open"]]),
        json!([["status", "=", "Open"], ["qty", "<=", "5"]]),
        json!([["Sales Order", "status", "=", "Open"]]),
        json!([["Sales Order", "status", "=", "Open", false]]),
        json!([{ "status": "Open" }, ["qty", 5]]),
        json!([["`tabSales Order`.`status`", "=", "Open"]]),
        json!({ "status": ["IN", "Closed, Open"] }),
        json!({ "status": ["is", "Set"] }),
    ] {
        assert!(finds(&filters), "{filters}");
    }
}

#[test]
fn numbers_compare_by_what_they_are_worth() {
    check(
        true,
        &[
            json!(["total", "=", 12.5]),
            json!(["total", "=", "12.500"]),
            json!(["qty", ">", 4.99]),
            json!(["qty", "<", "10"]),
            json!(["code", "=", 7]),
            json!(["code", "!=", "7"]),
            json!(["paid", "=", 0]),
            json!(["paid", "!=", true]),
            json!(["docstatus", "=", "1"]),
            json!(["docstatus", "in", [0, 1]]),
            json!(["qty", "between", [5, 6]]),
        ],
    );
    check(false, &[json!(["qty", ">", 5]), json!(["total", "=", 12.51]), json!(["qty", "between", [6, 9]])]);
}

#[test]
fn what_is_missing_counts_as_nothing_or_zero() {
    for field in ["note", "absent"] {
        check(
            true,
            &[
                json!([field, "=", ""]),
                json!([field, "=", null]),
                json!([field, "=", 0]),
                json!([field, "<", 1]),
                json!([field, "!=", "x"]),
                json!([field, "not in", ["x", "y"]]),
                json!([field, "not like", "%x%"]),
                json!([field, "is", "not set"]),
            ],
        );
        check(
            false,
            &[
                json!([field, "=", "x"]),
                json!([field, ">", 0]),
                json!([field, "like", "%"]),
                json!([field, "between", [-1, 1]]),
                json!([field, "in", ["x"]]),
                json!([field, "is", "set"]),
            ],
        );
    }
    check(true, &[json!(["empty", "is", "not set"]), json!(["taxes", "is", "not set"])]);
    check(true, &[json!(["items", "is", "set"]), json!(["qty", "is", "set"]), json!(["items", "!=", "x"])]);
    check(false, &[json!(["items", "=", "x"]), json!(["items", "like", "%"]), json!(["status", "in", []])]);
}

#[test]
fn texts_compare_letter_for_letter_and_patterns_do_not() {
    check(true, &[json!(["status", "like", "o%n"]), json!(["customer", "like", "MÜL%"])]);
    check(
        true,
        &[json!(["name", "like", "so-%7"]), json!(["name", ">", "SO-0006"]), json!(["name", "SO-0007"])],
    );
    check(false, &[json!(["status", "=", "open"]), json!(["name", "=", 7]), json!(["status", "like", "Op"])]);
}

#[test]
fn times_compare_as_instants() {
    check(
        true,
        &[
            json!(["modified", ">", "2026-01-31 15:00:00.499999"]),
            json!(["modified", "=", "2026-01-31T16:00:00.5+01:00"]),
            json!(["modified", ">=", "2026-01-31"]),
            json!(["modified", "between", ["2026-01-01", "2026-01-31"]]),
            json!(["modified", "like", "2026-01-31%"]),
            json!(["creation", "<", "2026-01-31"]),
            json!(["creation", "is", "set"]),
            json!(["posting_date", "between", ["2026-01-01", "2026-01-31"]]),
            json!(["posting_date", "=", "2026-01-31 00:00:00"]),
            json!(["posted_at", "between", ["2026-01-01", "2026-01-31"]]),
            json!(["posted_at", ">", "2026-01-31"]),
            json!(["posted_at", "=", "2026-01-31T15:00:00Z"]),
        ],
    );
    check(
        false,
        &[
            json!(["modified", ">", "2026-01-31 15:00:00.500000"]),
            json!(["modified", "=", null]),
            json!(["modified", "<=", "2026-01-31"]),
            json!(["posted_at", "<=", "2026-01-31"]),
        ],
    );
    assert!(read(&json!([["modified", ">", "yesterday"]])).unwrap_err().detail().contains("times"));
}

#[test]
fn a_child_filter_holds_if_one_row_holds_and_several_in_the_same_row() {
    let item =
        |field: &str, operator: &str, value: Value| json!(["Sales Order Item", field, operator, value]);
    assert!(finds(&json!([item("item_code", "=", json!("A"))])));
    assert!(finds(&json!([item("item_code", "=", json!("B")), item("qty", ">", json!(5))])));
    assert!(!finds(&json!([item("item_code", "=", json!("A")), item("qty", ">", json!(5))])));
    assert!(!finds(&json!([["Sales Taxes and Charges", "rate", ">", 1]])));
    assert!(
        finds(&json!([["Sales Team", "sales_person", "=", "Kim"]])),
        "a row without a DocType may be of any"
    );
}

#[test]
fn of_or_filters_one_must_hold() {
    let read = |filters: Value, or: Value| {
        Filters::read(&order().key.doctype, Some(&filters), Some(&or)).unwrap().matches(&order())
    };
    assert!(read(json!({}), json!({ "status": "Closed", "qty": 5 })));
    assert!(!read(json!({}), json!({ "status": "Closed", "qty": 6 })));
    assert!(!read(json!({ "code": "8" }), json!({ "qty": 5 })));
    assert!(read(json!({ "qty": 5 }), json!([])));
}

#[test]
fn what_the_store_cannot_do_is_refused_with_what_it_can() {
    let error = read(&json!([["posting_date", "timespan", "last week"]])).unwrap_err();
    assert_eq!(error.field_errors()[0].field, "filters");
    assert!(error.detail().contains("timespan") && error.detail().contains("not like"), "{}", error.detail());
    for filters in [
        json!("status = 'Open'"),
        json!(["status", "=", "Open"]),
        json!([["status"]]),
        json!([["status", "=", { "a": 1 }]]),
        json!([["status", "=", ["a"]]]),
        json!([["qty", "between", 5]]),
        json!([["qty", "between", [5]]]),
        json!([["status", "is", "open"]]),
        json!({ "status": ["Open"] }),
        json!([["count(name)", "=", 1]]),
        json!([["a/b", "c", "=", 1]]),
    ] {
        assert_eq!(read(&filters).unwrap_err().field_errors()[0].field, "filters", "{filters}");
    }
    let or = Filters::read(&order().key.doctype, None, Some(&json!(7))).unwrap_err();
    assert_eq!(or.field_errors()[0].field, "or_filters");
}

#[test]
fn there_is_a_limit_on_filters_and_their_values() {
    let many: Vec<Value> = (0..51).map(|n| json!(["qty", "!=", n])).collect();
    assert!(read(&json!(many[..50])).is_ok());
    assert!(read(&json!(many)).is_err());
    let names: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    assert!(read(&json!({ "name": ["in", names[..500]] })).is_ok());
    assert!(read(&json!({ "name": ["in", names] })).is_err());
    assert!(read(&json!({ "name": ["in", names.join(",")] })).is_err());
    assert!(read(&json!({ "name": "x".repeat(601) })).is_err());
}

#[test]
fn what_a_filter_says_of_names_and_times_can_be_asked() {
    let filters =
        read(&json!({ "name": ["in", ["a", "b"]], "modified": ["between", ["2026-01-01", "2026-01-02"]] }))
            .unwrap();
    let names: Vec<&str> = filters.all[0].one_of("name").unwrap().collect();
    assert_eq!(names, ["a", "b"]);
    assert!(filters.all[1].one_of("name").is_none());
    let end = at("2026-01-02T23:59:59.999999Z");
    assert_eq!(filters.all[1].bounds("modified"), (Some(at("2026-01-01T00:00:00Z")), Some(end)));
    assert_eq!(filters.all[0].bounds("modified"), (None, None));
}
