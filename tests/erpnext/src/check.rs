//! The checks that Frappe makes of a document before it is written or removed; `save` calls them in Frappe's order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    database::{Database, Document, folded},
    doctype::{DocType, Kind, Naming},
    exception::{Exception, Outcome},
    save::{OWN, docstatus},
    value,
};

/// Every document and row with its DocType.
pub fn parts<'a>(
    database: &Database,
    doctype: &DocType,
    document: &'a Document,
) -> Vec<(DocType, &'a Document)> {
    let mut parts = vec![(doctype.clone(), document)];
    for row in document.values().filter_map(Value::as_array).flatten().filter_map(Value::as_object) {
        let child = row.get("doctype").and_then(Value::as_str).and_then(|name| database.doctypes.get(name));
        parts.extend(child.map(|child| (child.clone(), row)));
    }
    parts
}

/// Refuses links to documents that are not there.
pub fn links(database: &Database, doctype: &DocType, document: &Document) -> Outcome<()> {
    for (part, held) in parts(database, doctype, document) {
        for field in &part.fields {
            let Kind::Link(target) = &field.kind else { continue };
            let Some(name) = held.get(&field.name).map(value::text).filter(|name| !name.is_empty()) else {
                continue;
            };
            if database.doctypes.contains_key(target) && database.get(target, &name).is_none() {
                // What ERPNext's own code reads before the links are checked is not found; the rest does not fit.
                return Err(if ["Customer", "Supplier", "Item"].contains(&target.as_str()) {
                    Exception::missing(&format!("{target} {name}"))
                } else {
                    let text = format!("Could not find {}: {name}", field.label);
                    Exception::thrown(417, "LinkValidationError", &text)
                });
            }
        }
    }
    Ok(())
}

/// Refuses a document without a mandatory value.
pub fn mandatory(database: &Database, doctype: &DocType, document: &Document, name: &str) -> Outcome<()> {
    let mut missing = Vec::new();
    for (part, held) in parts(database, doctype, document) {
        for field in part.fields.iter().filter(|field| field.mandatory) {
            let value = held.get(&field.name);
            let no_rows = value.and_then(Value::as_array).is_some_and(Vec::is_empty);
            if no_rows || value::is_empty(value) {
                missing.push((field.name.clone(), field.label.clone()));
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Exception::mandatory(&doctype.name, name, &missing)) }
}

/// The longest text of a Data or Link field, and the longest name.
const MAX_LENGTH: usize = 140;

/// Refuses texts longer than their column.
pub fn lengths(database: &Database, doctype: &DocType, document: &Document) -> Outcome<()> {
    for (part, held) in parts(database, doctype, document) {
        for field in part.fields.iter().filter(|field| matches!(field.kind, Kind::Data | Kind::Link(_))) {
            let text = held.get(&field.name).map(value::text).unwrap_or_default();
            if text.chars().count() > MAX_LENGTH {
                return Err(Exception::too_long(&part.name, &field.label, &text));
            }
        }
    }
    Ok(())
}

/// Refuses names that Frappe does not take.
pub fn name(doctype: &DocType, name: &str) -> Outcome<()> {
    if name.contains(['<', '>']) {
        return Err(Exception::thrown(
            409,
            "NameError",
            "Name cannot contain special characters like '<', '>'",
        ));
    }
    if name == doctype.name {
        let text = format!("Name of {} cannot be {name}", doctype.name);
        return Err(Exception::thrown(409, "NameError", &text));
    }
    if name.chars().count() > MAX_LENGTH {
        Err(Exception::too_long(&doctype.name, "Name", name))
    } else {
        Ok(())
    }
}

/// Refuses a unique value that another document has.
pub fn unique(database: &Database, doctype: &DocType, document: &Document, name: &str) -> Outcome<()> {
    for field in doctype.fields.iter().filter(|field| field.unique) {
        let Some(wanted) = document.get(&field.name).map(value::text).filter(|text| !text.is_empty()) else {
            continue;
        };
        let taken = database.all(&doctype.name).any(|other| {
            other.get("name").and_then(Value::as_str).map(folded) != Some(folded(name))
                && other
                    .get(&field.name)
                    .map(value::text)
                    .is_some_and(|held| folded(&held) == folded(&wanted))
        });
        if taken {
            return Err(Exception::not_unique(&doctype.name, name, &field.name, &field.label, &wanted));
        }
    }
    Ok(())
}

/// Whether two values say the same, rows by what they hold beside what every row carries.
fn same(left: &Value, right: &Value) -> bool {
    let own = |row: &Value| {
        let fields = row.as_object().into_iter().flatten();
        let fields = fields.filter(|(field, held)| !OWN.contains(&field.as_str()) && !held.is_null());
        fields.map(|(field, held)| (field.clone(), value::text(held))).collect::<BTreeMap<_, _>>()
    };
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => left.iter().map(own).eq(right.iter().map(own)),
        (left, right) => value::compare(left, right).is_eq(),
    }
}

/// Refuses changes of a submitted document, but of fields that allow them.
pub fn after_submit(doctype: &DocType, stored: &Document, document: &Document) -> Outcome<()> {
    for (field, held) in document.iter().filter(|(field, _)| !OWN.contains(&field.as_str())) {
        let before = stored.get(field).unwrap_or(&Value::Null);
        let allowed = doctype.field(field).is_some_and(|field| field.allow_on_submit);
        if !allowed && !same(before, held) {
            return Err(Exception::thrown(
                417,
                "UpdateAfterSubmitError",
                &format!(
                    "Not allowed to change <strong>{}</strong> after submission from <strong>{}</strong> to <strong>{}</strong>",
                    crate::doctype::label(field),
                    value::text(before),
                    value::text(held)
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses if a document refers to this one: any that is not cancelled where it is to be deleted, a submitted one
/// where it is to be cancelled.
pub fn not_linked(database: &Database, doctype: &str, name: &str, submitted_only: bool) -> Outcome<()> {
    let links = |part: &DocType, held: &Document| {
        part.fields.iter().any(|field| {
            field.kind == Kind::Link(doctype.to_owned())
                && held.get(&field.name).map(value::text).as_deref() == Some(name)
        })
    };
    for other in database.doctypes.values().filter(|other| other.naming != Naming::Child) {
        for document in database.all(&other.name) {
            let status = docstatus(document);
            if status == 2 || (submitted_only && status != 1) {
                continue;
            }
            if parts(database, other, document).iter().any(|(part, held)| links(part, held)) {
                let by = document.get("name").map(value::text).unwrap_or_default();
                return Err(Exception::linked(doctype, name, &other.name, &by));
            }
        }
    }
    Ok(())
}
