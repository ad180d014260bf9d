//! What is made of what, against documents shaped as ERPNext's own.

mod portions;
mod recorded;
mod refusals;
mod single;
mod sums;

use serde_json::{Value, json};

use super::*;
use crate::{documents::DocumentKey, mapping::same_number};

/// A submitted document of these fields.
fn document(doctype: &str, fields: Value) -> Document {
    let Value::Object(mut fields) = fields else { panic!("{fields}") };
    fields.retain(|name, _| !crate::documents::SYSTEM_FIELDS.contains(&name.as_str()));
    Document {
        key: DocumentKey::new(doctype, "SRC-1").unwrap(),
        docstatus: DocStatus::Submitted,
        modified: now(),
        modified_by: "anna".to_owned(),
        creation: now(),
        owner: "anna".to_owned(),
        revision: 1,
        fields,
        applied: crate::documents::Applied::new(),
        events: Vec::new(),
    }
}

fn now() -> Timestamp {
    "2026-11-22T19:06:52Z".parse().unwrap()
}

fn map(source: &Document, to: &str) -> Result<Mapped> {
    map_rows(source, to, &[])
}

fn map_rows(source: &Document, to: &str, rows: &[&str]) -> Result<Mapped> {
    let args = if rows.is_empty() { json!({}) } else { json!({"filtered_children": rows}) };
    let pair = Pair::find(source.key.doctype.as_str(), to).unwrap();
    pair.map(source, args.as_object().unwrap(), now())
}

/// The source as it is after.
fn after(source: &Document, mapped: &Mapped) -> Document {
    Document { fields: mapped.source.clone(), ..source.clone() }
}

/// That `fields` has all of `expected`, numbers by what they are worth; rows by their place.
fn assert_has(fields: &Value, expected: &Value) {
    match (fields, expected) {
        (Value::Object(_), Value::Object(expected)) => {
            for (name, expected) in expected {
                let value = fields.get(name).unwrap_or(&Value::Null);
                if expected.is_array() || expected.is_object() {
                    assert_has(value, expected);
                } else {
                    assert!(same_number(value, expected), "{name}: {value}, not {expected}");
                }
            }
        }
        (Value::Array(rows), Value::Array(expected)) => {
            assert_eq!(rows.len(), expected.len(), "{fields}");
            rows.iter().zip(expected).for_each(|(row, expected)| assert_has(row, expected));
        }
        _ => panic!("{fields}, not {expected}"),
    }
}

fn assert_target(mapped: &Mapped, expected: &Value) {
    assert_has(&Value::Object(mapped.target.clone()), expected);
}

fn assert_source(mapped: &Mapped, expected: &Value) {
    assert_has(&Value::Object(mapped.source.clone()), expected);
}

#[test]
fn the_pairs_are_those_that_the_site_knows_and_their_rules_are_sound() {
    let pairs = rules::read().unwrap();
    assert_eq!(pairs.len(), 17);
    for known in crate::erpnext::mapper::MAPPINGS {
        assert!(Pair::find(known.from, known.to).is_some(), "{known:?}");
    }
    for pair in &pairs {
        let name = format!("{} -> {}", pair.from(), pair.to());
        assert_eq!(pair.header.validate(""), [], "{name}");
        let refusals = pair.refuse.iter().filter_map(Refusal::condition);
        let statuses = pair.status.iter().filter_map(|rule| rule.when.as_ref());
        let mut conditions: Vec<_> = refusals.chain(statuses).collect();
        if let Form::Rows(form) = &pair.form {
            for rule in &form.rows {
                assert_eq!(rule.fields.validate(""), [], "{name}");
                conditions.extend(rule.when.as_ref());
            }
        }
        assert!(conditions.iter().all(|condition| condition.validate("").is_empty()), "{name}");
    }
}

#[test]
fn only_what_is_made_of_what_is_found() {
    assert_eq!(Pair::find("Sales Order", "Sales Invoice").unwrap().series().to_string(), "ACC-SINV-.YYYY.-");
    assert!(Pair::find("Sales Invoice", "Sales Order").is_none());
}
