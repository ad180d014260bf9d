//! What a whole mapping does, with bodies and documents that a running ERPNext 15 sent.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Error, ErrorCode, connectors::Effect};

const ORDER_INSERTED: &str = include_str!("fixtures/003_so_after_insert.raw");
const ORDER_SUBMITTED: &str = include_str!("fixtures/005_so_on_update.raw");
const ORDER_CANCELLED: &str = include_str!("fixtures/012_so_on_change.raw");
const ORDER_DOCUMENT: &str = include_str!("fixtures/sales_order.http");
const EXAMPLE: &str = include_str!("example.json");

fn mapping(value: Value) -> Mapping {
    let mapping: Mapping = serde_json::from_value(value).unwrap();
    assert_eq!(mapping.validate(""), []);
    mapping
}

fn context() -> Context {
    Context { received_at: "2026-11-22T19:12:30Z".parse().unwrap() }
}

fn apply(rules: Value, payload: &Value) -> Result<Value> {
    mapping(rules).apply(payload, &context()).map(Value::Object)
}

/// The body of a recorded delivery or answer.
fn body(recorded: &str) -> Value {
    let (_, body) = recorded.rsplit_once("\n\n").or_else(|| recorded.rsplit_once("\r\n\r\n")).unwrap();
    serde_json::from_str(body).unwrap()
}

fn places(error: &Error) -> Vec<&str> {
    error.field_errors().iter().map(|fault| fault.field.as_str()).collect()
}

fn invalid(value: Value) -> Vec<String> {
    let mapping: Mapping = serde_json::from_value(value).unwrap();
    mapping.validate("/rules/0/effect/mapping").into_iter().map(|fault| fault.field).collect()
}

#[test]
fn the_documented_example_does_what_its_rules_say() {
    let payload: Value = serde_json::from_str(
        r#"{"id": 1007, "shop": {"code": "ZH"}, "customer": "Hub Customer 0", "currency": "CHF", "amount": 10050,
            "discount": "1.50", "state": "PAID", "placed": "2026-10-25 02:30:00", "paid": 1792888260, "note": " asap ",
            "lines": [{"sku": "hub-1", "qty": "2", "price": 4999, "kind": "good"},
                      {"sku": "hub-2", "qty": 0, "price": 1},
                      {"sku": "hub-3", "qty": 1, "price": 52, "free": true},
                      {"sku": "hub-4", "qty": 1, "price": 0, "kind": "fee"}]}"#,
    )
    .unwrap();
    let fields = apply(serde_json::from_str(EXAMPLE).unwrap(), &payload).unwrap();
    let expected: Value = serde_json::from_str(
        r#"{"customer": "Hub Customer 0", "currency": "CHF", "external_id": "SHOP-ZH#1007", "order_type": "Sales",
            "grand_total": 100.50, "discount": 1.50, "shop_status": "Completed", "transaction_date": "2026-10-25",
            "placed_at": "2026-10-25T01:30:00.000000Z", "paid_at": "2026-10-25T00:31:00.000000Z", "remarks": "asap",
            "items": [{"item_code": "HUB-1", "qty": 2, "rate": 49.99, "is_free_item": 0, "order_reference": "1007"},
                      {"item_code": "HUB-3", "qty": 1, "rate": 0.52, "is_free_item": 1, "order_reference": "1007"}]}"#,
    )
    .unwrap();
    assert_eq!(fields, expected);
}

#[test]
fn a_mapping_is_the_same_json_after_it_was_read() {
    let example: Value = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(serde_json::to_value(mapping(example.clone())).unwrap(), example);
    assert_eq!(serde_json::to_value(Mapping::default()).unwrap(), json!({}));
    assert!(serde_json::from_value::<Mapping>(json!({"feilds": []})).is_err());
}

#[test]
fn constants_keep_their_digits_inside_a_tagged_effect() {
    let effect = r#"{"action": "update", "doctype": "Item", "name": "/name", "mapping": {"fields": [
        {"to": "rate", "from": {"value": 1.10}, "when": {"path": "/n", "greater_than": 0.10}},
        {"to": "level", "from": "/n", "lookup": {"1": 2.50}, "default": 0.00}]}}"#;
    let Effect::Update(effect) = serde_json::from_str(effect).unwrap() else { panic!("not an update") };
    let fields = effect.mapping.apply(&json!({"n": 1}), &context()).unwrap();
    assert_eq!(Value::Object(fields).to_string(), r#"{"rate":1.10,"level":2.50}"#);
}

#[test]
fn the_sales_order_webhook_becomes_a_document() {
    let rules = json!({
        "copy": ["customer", "delivery_date", "grand_total"],
        "fields": [
            {"to": "status", "from": "/docstatus", "lookup": {"0": "Draft", "1": "To Deliver", "2": "Cancelled"}},
            {"to": "source_modified", "from": "/modified", "convert": {"datetime": {"time_zone": "UTC"}}},
            {"to": "title", "from": {"template": "{/name} for {/customer}"}},
        ]
    });
    for (recorded, status, modified) in [
        (ORDER_INSERTED, "Draft", "2026-11-22T19:12:25.976321Z"),
        (ORDER_SUBMITTED, "To Deliver", "2026-11-22T19:12:27.183564Z"),
        (ORDER_CANCELLED, "Cancelled", "2026-11-22T19:12:29.625352Z"),
    ] {
        let fields = apply(rules.clone(), &body(recorded)).unwrap();
        assert_eq!(fields["status"], status);
        assert_eq!(fields["source_modified"], modified);
        assert_eq!(fields["title"], "SAL-ORD-2026-00167 for Hub Customer 0");
        assert_eq!(fields["grand_total"].to_string(), "9.99");
        assert_eq!(fields["delivery_date"], "2026-11-30");
        assert!(fields.get("name").is_none());
    }
}

#[test]
fn a_whole_document_is_mirrored_without_what_the_store_sets_itself() {
    let document = body(ORDER_DOCUMENT)["data"].clone();
    let mirror = apply(json!({"copy": "*"}), &document).unwrap();
    let (mirror, document) = (mirror.as_object().unwrap(), document.as_object().unwrap());
    for (name, value) in document {
        let copied = mirror.get(name);
        assert_eq!(copied, Some(value).filter(|_| !SYSTEM_FIELDS.contains(&name.as_str())), "{name}");
    }
    assert_eq!(mirror["conversion_rate"].to_string(), "1.0");
    assert_eq!(mirror["items"].as_array().unwrap().len(), 3);
}

#[test]
fn the_rows_of_a_document_become_rows_of_another() {
    let document = body(ORDER_DOCUMENT)["data"].clone();
    let invoice = apply(
        json!({
            "copy": ["customer", "currency"],
            "tables": [{
                "to": "items", "from": "/items", "when": {"path": "/qty", "greater_than": 1},
                "fields": [
                    {"to": "item_code", "from": "/item_code"},
                    {"to": "qty", "from": "/qty"},
                    {"to": "rate", "from": "/rate"},
                    {"to": "sales_order", "from": "$/name"},
                    {"to": "so_detail", "from": "/name"},
                ]
            }]
        }),
        &document,
    )
    .unwrap();
    let expected = r#"{"currency":"USD","customer":"Hub Customer 0","items":[
        {"item_code":"HUB-ITEM-1","qty":2.0,"rate":10.0,"sales_order":"SAL-ORD-2026-00006","so_detail":"23qtmhnv82"},
        {"item_code":"HUB-ITEM-2","qty":3.0,"rate":10.0,"sales_order":"SAL-ORD-2026-00006","so_detail":"5umunicqcb"}]}"#;
    assert_eq!(invoice, serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn a_rule_of_its_own_wins_over_the_copy_even_when_it_finds_nothing() {
    let payload = json!({"status": "raw", "note": "kept", "lines": [1]});
    let rules = json!({
        "copy": "*",
        "fields": [{"to": "status", "from": "/state"}],
        "tables": [{"to": "lines", "from": "/absent", "fields": [{"to": "a", "from": ""}]}]
    });
    assert_eq!(apply(rules, &payload).unwrap(), json!({"note": "kept"}));
}

#[test]
fn nothing_null_default_and_required() {
    let field = |rule: Value, payload: Value| apply(json!({"fields": [rule]}), &payload);
    let plain = json!({"to": "a", "from": "/a", "convert": "date"});
    assert_eq!(field(plain.clone(), json!({})).unwrap(), json!({}), "nothing is not written");
    assert_eq!(field(plain, json!({"a": null})).unwrap(), json!({"a": null}), "null empties the field");

    let default = json!({"to": "a", "from": "/a", "convert": "lowercase", "default": "NONE"});
    assert_eq!(field(default.clone(), json!({})).unwrap(), json!({"a": "NONE"}), "the default is as it is");
    assert_eq!(field(default.clone(), json!({"a": null})).unwrap(), json!({"a": "NONE"}));
    assert_eq!(field(default, json!({"a": ""})).unwrap(), json!({"a": ""}), "an empty text is a value");

    let required = json!({"to": "a", "from": "/a", "required": true, "when": {"path": "/b", "exists": true}});
    for payload in [json!({"b": 1}), json!({"b": 1, "a": null})] {
        let error = field(required.clone(), payload).unwrap_err();
        assert_eq!((error.field_errors()[0].code, places(&error)), ("missing", vec!["/a"]));
    }
    assert_eq!(field(required, json!({})).unwrap(), json!({}), "a rule that does not count requires nothing");
}

#[test]
fn a_lookup_translates_what_was_converted() {
    let rule = |default: Value| json!({"fields": [{"to": "a", "from": "/a", "convert": "lowercase", "lookup": {"paid": 1}, "default": default}]});
    assert_eq!(apply(rule(Value::Null), &json!({"a": "PAID"})).unwrap(), json!({"a": 1}));
    assert_eq!(apply(rule(json!(0)), &json!({"a": "open"})).unwrap(), json!({"a": 0}));
    let error = apply(rule(Value::Null), &json!({"a": "open"})).unwrap_err();
    assert!(error.detail().contains("\"open\" is not in the lookup"), "{error}");
}

#[test]
fn every_fault_is_told_with_its_target_and_its_source() {
    let error = apply(
        json!({
            "fields": [
                {"to": "total", "from": "/amount", "convert": "decimal"},
                {"to": "customer", "from": "/buyer/name", "required": true},
                {"to": "note", "from": "/note"},
            ],
            "tables": [
                {"to": "items", "from": "/lines", "fields": [
                    {"to": "qty", "from": "/n", "convert": "integer"},
                    {"to": "rate", "from": "$/rate", "convert": "integer"}
                ]},
                {"to": "taxes", "from": "/note", "fields": [{"to": "a", "from": ""}]},
            ]
        }),
        &json!({"amount": "ten", "note": "x".repeat(500), "rate": 1, "lines": [{"n": 1}, {"n": "two"}]}),
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::MappingFailed);
    assert!(!error.is_transient());
    assert_eq!(places(&error), ["/total", "/customer", "/items/1/qty", "/taxes"]);
    for part in ["from /amount: \"ten\"", "from /buyer/name", "from /lines/1/n: \"two\"", "from /note: "] {
        assert!(error.detail().contains(part), "{part} in {error}");
    }
    assert!(error.detail().len() < 1000, "{error}");
}

#[test]
fn a_payload_can_neither_grow_without_end_nor_be_cut_in_silence() {
    let rows = |count: usize| json!({"big": "x".repeat(10_000), "lines": vec![json!({"n": "x"}); count]});
    let table = |from: &str| json!({"tables": [{"to": "t", "from": "/lines", "fields": [{"to": "a", "from": from}]}]});
    assert_eq!(apply(table("/n"), &rows(1000)).unwrap()["t"].as_array().unwrap().len(), 1000);
    let too_many = apply(table("/n"), &rows(1001)).unwrap_err();
    assert!(too_many.detail().contains("1001 rows"), "{too_many}");
    let too_large = apply(table("$/big"), &rows(1000)).unwrap_err();
    assert_eq!(too_large.field_errors()[0].code, "too_long");

    let numbers = json!({"tables": [{"to": "t", "from": "/lines", "fields": [{"to": "a", "from": "/n", "convert": "integer"}]}]});
    assert_eq!(places(&apply(numbers, &rows(1000)).unwrap_err()).len(), 20);
}

#[test]
fn a_payload_that_is_no_object_has_nothing_to_copy() {
    let error = apply(json!({"copy": "*"}), &json!([1])).unwrap_err();
    assert!(error.detail().contains("a list"), "{error}");
    let whole = apply(json!({"fields": [{"to": "event", "from": ""}]}), &json!([1])).unwrap();
    assert_eq!(whole, json!({"event": [1]}));
}

#[test]
fn what_the_store_sets_is_never_written() {
    for name in SYSTEM_FIELDS {
        let rules = json!({"fields": [{"to": name, "from": {"value": 1}}]});
        assert_eq!(invalid(rules.clone()), ["/rules/0/effect/mapping/fields/0/to"]);
        let unchecked: Mapping = serde_json::from_value(rules).unwrap();
        assert_eq!(unchecked.apply(&json!({}), &context()).unwrap(), Fields::new());
        assert_eq!(invalid(json!({"copy": [name]})), ["/rules/0/effect/mapping/copy/0"]);
    }
}

#[test]
fn validation_names_every_rule_at_fault() {
    let found = invalid(json!({
        "copy": ["customer", "a b"],
        "fields": [
            {"to": "total", "from": "amount"},
            {"to": "total", "from": {"template": "{"}},
            {"to": "", "from": "/a", "convert": {"datetime": {"time_zone": "Mars"}}},
            {"to": "customer", "from": "/a", "when": {"path": "x", "exists": true}},
        ],
        "tables": [{"to": "total", "from": "lines", "fields": []},
                   {"to": "rows", "from": "/rows", "fields": [{"to": "name", "from": "x"}, {"to": "name", "from": "/x"}]}]
    }));
    let expected = [
        "fields/0/from",
        "fields/1/from/template",
        "fields/1/to",
        "fields/2/to",
        "fields/2/convert/datetime/time_zone",
        "fields/3/when/path",
        "tables/0/from",
        "tables/0/fields",
        "tables/0/to",
        "tables/1/fields/0/from",
        "tables/1/fields/1/to",
        "copy/0",
        "copy/1",
    ];
    assert_eq!(found, expected.map(|place| format!("/rules/0/effect/mapping/{place}")));
}

#[test]
fn there_is_a_limit_on_everything() {
    let fields =
        |count: usize| (0..count).map(|i| json!({"to": format!("f{i}"), "from": "/a"})).collect::<Vec<_>>();
    let tables = |count: usize| {
        (0..count)
            .map(|i| json!({"to": format!("t{i}"), "from": "/a", "fields": fields(1)}))
            .collect::<Vec<_>>()
    };
    let lookup: serde_json::Map<_, _> = (0..501).map(|i| (i.to_string(), json!(1))).collect();
    assert_eq!(invalid(json!({"fields": fields(200), "tables": tables(20)})), [""; 0]);
    assert_eq!(invalid(json!({"fields": fields(201)})), ["/rules/0/effect/mapping/fields"]);
    assert_eq!(invalid(json!({"tables": tables(21)})), ["/rules/0/effect/mapping/tables"]);
    assert_eq!(
        invalid(json!({"tables": [{"to": "t", "from": "/a", "fields": fields(201)}]})),
        ["/rules/0/effect/mapping/tables/0/fields"]
    );
    assert_eq!(
        invalid(json!({"fields": [{"to": "x".repeat(141), "from": "/a", "lookup": lookup}]})),
        ["/rules/0/effect/mapping/fields/0/to", "/rules/0/effect/mapping/fields/0/lookup"]
    );
}

/// JSON that leans towards the names and values the example looks at.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?(e-?[0-9]{1,12})?"
            .prop_map(|text| text.parse().map_or(Value::Null, Value::Number)),
        "CHF|PAID|2026-10-25 02:30:00|[-+0-9.:eTZ ]{0,30}|.{0,20}".prop_map(Value::from),
    ];
    let name = "id|shop|code|customer|currency|amount|discount|state|placed|paid|note|lines|sku|qty|price|kind|name|.{0,3}";
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(payload in any_json()) {
        let mut example: Mapping = serde_json::from_str(EXAMPLE).unwrap();
        for copy in [example.copy.clone(), Some(CopiedFields::All(Everything::Everything)), None] {
            example.copy = copy;
            match example.apply(&payload, &context()) {
                Ok(fields) => prop_assert!(SYSTEM_FIELDS.iter().all(|name| !fields.contains_key(*name))),
                Err(error) => {
                    prop_assert_eq!(error.code(), ErrorCode::MappingFailed);
                    prop_assert!(!error.field_errors().is_empty());
                }
            }
        }
    }

    #[test]
    fn no_settings_make_it_panic(text in "[/$a~0{}]{0,12}|.{0,12}", value in any_json(), payload in any_json()) {
        let rule = |from: Value| json!({
            "to": text, "from": from, "convert": {"datetime": {"time_zone": text}}, "default": value,
            "when": {"any": [{"path": text, "greater_than": value}, {"path": text, "not_equals": value}]}
        });
        let rules = [json!(text), json!({"template": text}), json!({"value": value})].map(rule);
        let table = json!({"to": "t", "from": text, "fields": rules});
        let settings = json!({"copy": [text], "fields": rules, "tables": [table]});
        // As text: from a `Value`, serde refuses integers of 65 to 128 bits inside untagged enums.
        let mapping: Mapping = serde_json::from_str(&settings.to_string()).unwrap();
        prop_assert!(!mapping.validate("").is_empty(), "one name is written four times");
        let _ = mapping.apply(&payload, &context());
    }

    #[test]
    fn decimals_survive_digit_for_digit(digits in "(0|-?[1-9][0-9]{0,15})\\.[0-9]{1,10}", as_text: bool) {
        let payload = if as_text { json!({"a": digits}) } else { serde_json::from_str(&format!(r#"{{"a": {digits}}}"#)).unwrap() };
        let rules = json!({"copy": ["a"], "fields": [{"to": "b", "from": "/a", "convert": "decimal"}]});
        let fields = apply(rules, &payload).unwrap();
        prop_assert_eq!(fields["b"].to_string(), digits.clone());
        prop_assert_eq!(&fields["a"], &payload["a"]);
    }
}
