//! Inserting, saving and deleting a document: the checks that Frappe makes, in its order, with what it throws.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    calculation, check,
    database::{Database, Document},
    doctype::{DocType, Field, Kind, Naming},
    exception::{Exception, Outcome},
    naming, value,
};

/// What a caller's body cannot set.
pub const OWN: [&str; 12] = [
    "owner",
    "creation",
    "modified",
    "modified_by",
    "docstatus",
    "idx",
    "doctype",
    "name",
    "parent",
    "parentfield",
    "parenttype",
    "flags",
];

/// The DocType of this name.
pub fn doctype(database: &Database, name: &str) -> Outcome<DocType> {
    database.doctypes.get(name).cloned().ok_or_else(|| Exception::missing(&format!("DocType {name}")))
}

/// The document of this name.
pub fn read(database: &Database, doctype: &str, name: &str) -> Outcome<Document> {
    database.get(doctype, name).cloned().ok_or_else(|| Exception::missing(&format!("{doctype} {name}")))
}

pub fn docstatus(document: &Document) -> i64 {
    document.get("docstatus").and_then(value::number).map_or(0, |status| {
        #[expect(clippy::cast_possible_truncation, reason = "0, 1 or 2")]
        let status = status as i64;
        status
    })
}

fn default(database: &Database, field: &Field) -> Value {
    let Some(default) = &field.default else {
        return if let Kind::Table(_) = field.kind { json!([]) } else { Value::Null };
    };
    let now = database.now();
    match default.as_str() {
        "Today" => json!(now.strftime("%Y-%m-%d").to_string()),
        "Now" => json!(now.strftime("%H:%M:%S.%6f").to_string()),
        default => value::cast(&field.name, Some(&field.kind), json!(default)).unwrap_or_default(),
    }
}

/// The fields of `given` that a document of this DocType keeps, cast; rows become whole rows.
fn take(
    database: &Database,
    doctype: &DocType,
    given: Document,
    into: &mut Document,
    rows_before: &Document,
) -> Outcome<()> {
    for (name, given) in given {
        if OWN.contains(&name.as_str()) || name.starts_with("__") || !doctype.keeps(&name) {
            continue;
        }
        let table = match doctype.field(&name).map(|field| &field.kind) {
            Some(Kind::Table(child)) => Some(child.clone()),
            None if given.as_array().is_some_and(|rows| rows.iter().all(Value::is_object)) => {
                Some(format!("{} {}", doctype.name, crate::doctype::label(&name)))
            }
            _ => None,
        };
        let kept = match (table, given) {
            (Some(child), Value::Array(rows)) => rows_of(database, &child, &name, rows, rows_before)?,
            (Some(_), _) => json!([]),
            (None, given) => value::cast(&name, doctype.field(&name).map(|field| &field.kind), given)?,
        };
        into.insert(name, kept);
    }
    Ok(())
}

fn rows_of(
    database: &Database,
    child: &str,
    table: &str,
    rows: Vec<Value>,
    before: &Document,
) -> Outcome<Value> {
    let kept = before.get(table).and_then(Value::as_array);
    let mut whole = Vec::new();
    for row in rows {
        let Value::Object(given) = row else {
            return Err(Exception::python("AttributeError", "'str' object has no attribute 'get'"));
        };
        let named = given.get("doctype").and_then(Value::as_str).filter(|named| !named.is_empty());
        let kind = named.unwrap_or(child).to_owned();
        let doctype = database
            .doctypes
            .get(&kind)
            .cloned()
            .unwrap_or_else(|| DocType { naming: Naming::Child, ..DocType::prompt(&kind) });
        let name = given.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let stored = kept
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .find(|stored| name.is_some() && stored.get("name").and_then(Value::as_str) == name);
        let mut row = stored.cloned().unwrap_or_default();
        if stored.is_none() {
            row.insert("name".into(), json!(name.map_or_else(naming::hash, str::to_owned)));
            for field in &doctype.fields {
                row.insert(field.name.clone(), default(database, field));
            }
        }
        take(database, &doctype, given, &mut row, &Document::new())?;
        row.insert("doctype".into(), json!(kind));
        whole.push(Value::Object(row));
    }
    Ok(Value::Array(whole))
}

/// Puts what every document and row carries first, and tells the rows whose they are.
fn dress(document: &Document, doctype: &str, name: &str, user: &str, stamp: &str) -> Document {
    let head = |of: &Document, name: &str, idx: u64| {
        let mut head = Document::new();
        let owner = of.get("owner").filter(|owner| !owner.is_null()).cloned().unwrap_or(json!(user));
        let creation = of.get("creation").filter(|at| !at.is_null()).cloned().unwrap_or(json!(stamp));
        head.insert("name".into(), json!(name));
        head.insert("owner".into(), owner);
        head.insert("creation".into(), creation);
        head.insert("modified".into(), json!(stamp));
        head.insert("modified_by".into(), json!(user));
        head.insert("docstatus".into(), json!(docstatus(document)));
        head.insert("idx".into(), json!(idx));
        head
    };
    let mut dressed = head(document, name, 0);
    let (mut scalars, mut tables) = (Document::new(), Document::new());
    for (field, held) in document.iter().filter(|(field, _)| !OWN.contains(&field.as_str())) {
        let Value::Array(rows) = held else {
            scalars.insert(field.clone(), held.clone());
            continue;
        };
        let rows = (1..).zip(rows.iter().filter_map(Value::as_object)).map(|(idx, row)| {
            let mut dressed = head(row, row.get("name").and_then(Value::as_str).unwrap_or_default(), idx);
            dressed.extend(
                row.iter()
                    .filter(|(field, _)| !OWN.contains(&field.as_str()))
                    .map(|(k, v)| (k.clone(), v.clone())),
            );
            dressed.insert("parent".into(), json!(name));
            dressed.insert("parentfield".into(), json!(field));
            dressed.insert("parenttype".into(), json!(doctype));
            dressed.insert("doctype".into(), row.get("doctype").cloned().unwrap_or_default());
            Value::Object(dressed)
        });
        tables.insert(field.clone(), Value::Array(rows.collect()));
    }
    dressed.extend(scalars);
    dressed.insert("doctype".into(), json!(doctype));
    dressed.extend(tables);
    dressed
}

/// Saves a new document.
pub fn insert(database: &mut Database, user: &str, doctype: &DocType, given: Document) -> Outcome<Document> {
    if doctype.naming == Naming::Child {
        return Err(Exception::python("AttributeError", "'NoneType' object has no attribute 'append'"));
    }
    let status = docstatus(&given);
    let wanted = given.get("name").map(value::text);
    let mut document = Document::new();
    document.insert("docstatus".into(), json!(status));
    for field in &doctype.fields {
        document.insert(field.name.clone(), default(database, field));
    }
    take(database, doctype, given, &mut document, &Document::new())?;
    if doctype.naming == Naming::CustomField {
        complete_custom_field(database, &mut document)?;
    }
    let name = naming::name(database, doctype, &document, wanted)?;
    check::links(database, doctype, &document)?;
    calculation::before_save(database, doctype, &mut document)?;
    if status > 1 {
        return Err(transition(0, status));
    }
    check::mandatory(database, doctype, &document, &name)?;
    check::name(doctype, &name)?;
    check::lengths(database, doctype, &document)?;
    if database.get(&doctype.name, &name).is_some() {
        return Err(Exception::duplicate(&doctype.name, &name));
    }
    check::unique(database, doctype, &document, &name)?;
    let stamp = database.stamp();
    let document = dress(&document, &doctype.name, &name, user, &stamp);
    database.put(&doctype.name, &name, document.clone());
    if status == 1 {
        touch_sources(database, user, doctype, &document);
    }
    if doctype.naming == Naming::CustomField {
        add_custom_field(database, &document);
    }
    Ok(document)
}

/// A submitted or cancelled document counts in the orders, deliveries and receipts that its rows come from, which
/// moves their `modified`.
fn touch_sources(database: &mut Database, user: &str, doctype: &DocType, document: &Document) {
    const SOURCES: [&str; 6] = [
        "Sales Order",
        "Delivery Note",
        "Quotation",
        "Purchase Order",
        "Purchase Receipt",
        "Supplier Quotation",
    ];
    let mut sources = BTreeSet::new();
    for (part, held) in check::parts(database, doctype, document) {
        for field in &part.fields {
            let Kind::Link(target) = &field.kind else { continue };
            let name = held.get(&field.name).map(value::text).unwrap_or_default();
            if SOURCES.contains(&target.as_str()) && !name.is_empty() {
                sources.insert((target.clone(), name));
            }
        }
    }
    for (target, name) in sources {
        let Some(mut source) = database.get(&target, &name).cloned() else { continue };
        let stamp = database.stamp();
        source.insert("modified".into(), json!(stamp));
        source.insert("modified_by".into(), json!(user));
        database.put(&target, &name, source);
    }
}

fn transition(from: i64, to: i64) -> Exception {
    let named = |status| match status {
        0 => "0 (Draft)",
        1 => "1 (Submitted)",
        _ => "2 (Cancelled)",
    };
    if from == 2 {
        return Exception::bare(417, "ValidationError", "Cannot edit cancelled document");
    }
    let text = format!("Cannot change docstatus from {} to {}", named(from), named(to));
    Exception::bare(417, "DocstatusTransitionError", &text)
}

/// Saves changes of a document; those named are all there are. A `modified` among them must be the stored one.
pub fn update(
    database: &mut Database,
    user: &str,
    doctype: &DocType,
    name: &str,
    given: Document,
) -> Outcome<Document> {
    let stored = read(database, &doctype.name, name)?;
    let name = stored.get("name").map(value::text).unwrap_or_default();
    let stored_at = stored.get("modified").map(value::text).unwrap_or_default();
    let (before, after) =
        (docstatus(&stored), given.get("docstatus").map_or(docstatus(&stored), |_| docstatus(&given)));
    if given.get("modified").is_some_and(|claimed| value::text(claimed) != stored_at) {
        let now = database.stamp();
        return Err(Exception::stale(&stored_at, &now));
    }
    if !matches!((before, after), (0, 0 | 1) | (1, 1 | 2)) {
        return Err(transition(before, after));
    }
    let mut document = stored.clone();
    document.insert("docstatus".into(), json!(after));
    take(database, doctype, given, &mut document, &stored)?;
    if after < 2 {
        check::links(database, doctype, &document)?;
        calculation::before_save(database, doctype, &mut document)?;
        check::mandatory(database, doctype, &document, &name)?;
    }
    check::lengths(database, doctype, &document)?;
    if (before, after) == (1, 1) {
        check::after_submit(doctype, &stored, &document)?;
    }
    if after == 2 {
        check::not_linked(database, &doctype.name, &name, true)?;
    }
    check::unique(database, doctype, &document, &name)?;
    if before != after {
        calculation::set_status(&mut document, after);
    }
    let stamp = database.stamp();
    let document = dress(&document, &doctype.name, &name, user, &stamp);
    database.put(&doctype.name, &name, document.clone());
    if before != after {
        touch_sources(database, user, doctype, &document);
    }
    Ok(document)
}

/// Deletes a document.
pub fn delete(database: &mut Database, doctype: &DocType, name: &str) -> Outcome<()> {
    let stored = database.get(&doctype.name, name).cloned().ok_or_else(Exception::missing_bare)?;
    if docstatus(&stored) == 1 {
        return Err(Exception::validation(&format!(
            "{} {name}: Submitted Record cannot be deleted. You must <a href=\"https://docs.erpnext.com\">Cancel</a> it first.",
            doctype.name
        )));
    }
    check::not_linked(database, &doctype.name, name, false)?;
    if doctype.naming == Naming::CustomField {
        let of = |field: &str| stored.get(field).map(value::text).unwrap_or_default();
        if let Some(mut target) = database.doctypes.get(&of("dt")).cloned() {
            target.fields.retain(|field| field.name != of("fieldname"));
            database.redefine(target);
        }
    }
    database.remove(&doctype.name, name);
    Ok(())
}

fn complete_custom_field(database: &Database, document: &mut Document) -> Outcome<()> {
    let of = |field: &str| document.get(field).map(value::text).unwrap_or_default();
    let target = doctype(database, &of("dt"))?;
    let (mut fieldname, label) = (of("fieldname"), of("label"));
    if fieldname.is_empty() {
        fieldname = label.replace(' ', "_");
    }
    fieldname = fieldname.to_lowercase();
    if fieldname.is_empty() {
        return Err(Exception::validation("Label is mandatory"));
    }
    if target.field(&fieldname).is_some() {
        return Err(Exception::validation(&format!(
            "A field with the name <strong>{fieldname}</strong> already exists in {}",
            target.name
        )));
    }
    if label.is_empty() {
        document.insert("label".into(), json!(crate::doctype::label(&fieldname)));
    }
    document.insert("fieldname".into(), json!(fieldname));
    Ok(())
}

fn add_custom_field(database: &mut Database, document: &Document) {
    let of = |field: &str| document.get(field).map(value::text).unwrap_or_default();
    let Some(mut target) = database.doctypes.get(&of("dt")).cloned() else { return };
    target.fields.push(Field {
        mandatory: of("reqd") == "1",
        unique: of("unique") == "1",
        allow_on_submit: of("allow_on_submit") == "1",
        default: Some(of("default")).filter(|default| !default.is_empty()),
        label: of("label"),
        ..Field::new(&of("fieldname"), Kind::of(&of("fieldtype"), &of("options")))
    });
    database.redefine(target);
}
