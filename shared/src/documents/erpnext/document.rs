//! A site's JSON as a document and back, and the mark that a document of a prepared DocType carries.
//!
//! The mark is one of the document's own fields, so what is done to it and what is said about that are one transaction
//! of the site. It is text that people could change: what cannot be read counts as no mark.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        Applied, Change, DocStatus, DocType, Document, DocumentKey, Fields, Target, Write, editing::same,
        work::with_note,
    },
    token::Token,
};
use crate::{
    Error, ErrorCode, Result,
    erpnext::{
        ID_FIELD, MARK_FIELD, Map,
        time::{SiteZone, revision},
    },
};

/// The fields that are not a document's own: every document has them, or they are ours.
const NOT_OWN: [&str; 10] = [
    "doctype",
    "name",
    "docstatus",
    "creation",
    "owner",
    "modified",
    "modified_by",
    "idx",
    ID_FIELD,
    MARK_FIELD,
];

/// What a document says of itself, in [`MARK_FIELD`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Which version of each source it shows.
    #[serde(default)]
    pub applied: Applied,
    /// The events and requests that it shows the effect of, oldest first.
    #[serde(default)]
    pub events: Vec<String>,
    /// On whose behalf it was last changed by us: for those who look at it in the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Our last write that answered neither an event nor a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
}

impl Mark {
    /// The mark of `document`, if it has one.
    pub fn of(document: &Map) -> Option<Self> {
        serde_json::from_str(document.get(MARK_FIELD)?.as_str()?).ok()
    }

    /// The mark that `write`, done for `token`, leaves.
    pub fn after(write: &Write, token: &Token) -> Self {
        let before = write.replaces.as_ref().map(|document| document.events.clone()).unwrap_or_default();
        let events = with_note(before, token.noted().map(ToOwned::to_owned));
        let by = Some(write.actor.clone());
        Self { applied: write.applied.clone(), events, by, write: token.unnoted().map(ToOwned::to_owned) }
    }

    /// Whether it says that the effect of `token` happened.
    pub fn shows(&self, token: &Token) -> bool {
        token.is_among(&self.events) || token.unnoted().is_some_and(|id| self.write.as_deref() == Some(id))
    }

    /// As it is stored.
    pub fn text(&self) -> Result<Value> {
        crate::dynamo::json(self).map(Value::String)
    }
}

/// The document that `map` is.
pub fn document_of(doctype: &DocType, mut map: Map, zone: &SiteZone) -> Result<Document> {
    let mark = Mark::of(&map).unwrap_or_default();
    let text = |field: &str| map.get(field).and_then(Value::as_str).ok_or_else(|| unreadable(field));
    let time = |field: &str| {
        let at: Timestamp = zone.instant(text(field)?).ok_or_else(|| unreadable(field))?;
        Ok::<_, Error>(at)
    };
    let docstatus = map.get("docstatus").and_then(Value::as_u64).and_then(|status| u8::try_from(status).ok());
    let docstatus = docstatus.unwrap_or_default();
    let document = Document {
        key: DocumentKey::new(doctype.as_str(), text("name")?).map_err(|_| unreadable("name"))?,
        docstatus: DocStatus::try_from(docstatus).map_err(|_| unreadable("docstatus"))?,
        modified: time("modified")?,
        modified_by: text("modified_by")?.to_owned(),
        creation: time("creation")?,
        owner: text("owner")?.to_owned(),
        revision: revision(text("modified")?).ok_or_else(|| unreadable("modified"))?,
        fields: Fields::new(),
        applied: mark.applied,
        events: mark.events,
    };
    map.retain(|field, value| {
        !NOT_OWN.contains(&field.as_str()) && !field.starts_with('_') && !value.is_null()
    });
    for row in map.values_mut().filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        row.retain(|field, value| !field.starts_with('_') && !value.is_null());
    }
    Ok(Document { fields: map, ..document })
}

fn unreadable(field: &str) -> Error {
    let detail = format!("the ERPNext site shows a document whose {field:?} is missing or cannot be read");
    Error::new(ErrorCode::ProviderUnavailable, detail)
}

/// What a new document is sent as; `marked` with its mark under the id it is found again by.
pub fn new_document(write: &Write, marked: Option<(&str, &Mark)>) -> Result<Map> {
    let Change::Put { fields, docstatus } = &write.change else {
        return Err(Error::internal("a deletion creates nothing"));
    };
    let mut map = fields.clone();
    match &write.target {
        Target::Named(key) => drop(map.insert("name".to_owned(), key.name.as_str().into())),
        Target::Series { series, .. } => {
            drop(map.insert("naming_series".to_owned(), series.to_string().into()));
        }
    }
    if *docstatus != DocStatus::Draft {
        map.insert("docstatus".to_owned(), u8::from(*docstatus).into());
    }
    if let Some((id, mark)) = marked {
        map.insert(ID_FIELD.to_owned(), id.into());
        map.insert(MARK_FIELD.to_owned(), mark.text()?);
    }
    Ok(map)
}

/// What has to be sent so that the fields `before` become `after`: what differs, and null for what goes.
pub fn changes(before: &Fields, after: &Fields) -> Map {
    let unset = Value::Null;
    let differs = |field: &str, value: &Value| !is_kept(before.get(field).unwrap_or(&unset), value);
    let mut changes: Map = after
        .iter()
        .filter(|(field, value)| differs(field, value))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    let gone = before.iter().filter(|(field, value)| !value.is_null() && !after.contains_key(*field));
    changes.extend(gone.map(|(field, _)| (field.clone(), Value::Null)));
    changes
}

/// Whether `value` is what the site has already. A row without a name is one that the site has completed: it is the
/// same if all it says is so.
fn is_kept(stored: &Value, value: &Value) -> bool {
    match (stored, value) {
        (Value::Array(rows), Value::Array(given)) => {
            rows.len() == given.len() && rows.iter().zip(given).all(|(row, given)| is_same_row(row, given))
        }
        (stored, value) => same(stored, value),
    }
}

fn is_same_row(row: &Value, given: &Value) -> bool {
    match (row, given) {
        (Value::Object(row), Value::Object(given)) if !given.contains_key("name") => holds(row, given),
        (row, given) => same(row, given),
    }
}

/// Whether `row` has all that `given` says.
pub fn holds(row: &Fields, given: &Fields) -> bool {
    let unset = Value::Null;
    given.iter().all(|(field, value)| same(row.get(field).unwrap_or(&unset), value))
}

/// Whether the new document `sent` may have become `found`: what both have is the same, rows included. A site drops
/// what it does not know and adds its own.
pub fn may_be(found: &Map, sent: &Map) -> bool {
    let both = sent.iter().filter_map(|(field, value)| Some((value, found.get(field)?)));
    let mut both = both.filter(|(value, _)| !value.is_null());
    both.all(|(value, found)| match (value, found) {
        (Value::Array(given), Value::Array(rows)) => {
            rows.len() == given.len()
                && rows.iter().zip(given).all(|(row, given)| match (row, given) {
                    (Value::Object(row), Value::Object(given)) => may_be(row, given),
                    (row, given) => same(row, given),
                })
        }
        (value, found) => same(value, found),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        documents::{Stored, work::MAX_NOTES},
        dynamo::object,
        testing::start,
    };

    fn map(value: Value) -> Map {
        object(value).unwrap()
    }

    fn zone() -> SiteZone {
        SiteZone::named("Asia/Kolkata").unwrap()
    }

    fn so() -> DocType {
        DocType::new("Sales Order").unwrap()
    }

    /// The body of the answer that a real site gave.
    fn recorded(text: &str) -> Map {
        let body = text.split("--- RESPONSE ---").nth(1).unwrap().split("\n\n").nth(1).unwrap();
        let Value::Object(mut answer) = serde_json::from_str(body).unwrap() else { panic!("an object") };
        object(answer.shift_remove("data").unwrap()).unwrap()
    }

    fn site_document(mark: &Value) -> Map {
        map(json!({
            "name": "SAL-ORD-2026-00001", "doctype": "Sales Order", "docstatus": 1, "owner": "a@b.c",
            "creation": "2026-11-22 19:03:54.842265", "modified": "2026-11-22 19:03:54", "modified_by": "d@e.f",
            "grand_total": 60.0, "note": null, "_user_tags": "x", "causeway_id": "evt_1", "causeway_mark": mark,
            "items": [{ "name": "r", "qty": 1.0, "image": null, "__unsaved": 1 }],
        }))
    }

    #[test]
    fn a_recorded_document_is_read_whole() {
        let text = include_str!("../../../fixtures/erpnext/26_doc.http");
        let document = document_of(&so(), recorded(text), &zone()).unwrap();
        assert_eq!(document.key.name.as_str(), "SAL-ORD-2026-00006");
        assert_eq!(document.docstatus, DocStatus::Submitted);
        assert_eq!(document.modified.to_string(), "2026-11-22T13:34:12.911271Z");
        assert_eq!(document.revision, 1_795_374_252_911_271);
        assert_eq!(document.owner, "hub@example.test");
        assert_eq!(document.fields["items"].as_array().unwrap().len(), 3);
        assert!(document.fields.contains_key("po_no") && !document.fields.contains_key("modified"));
        assert!(document.applied.is_empty() && document.events.is_empty());
    }

    #[test]
    fn what_is_not_the_documents_own_is_left_out() {
        let document = document_of(&so(), site_document(&Value::Null), &zone()).unwrap();
        let own: Vec<&str> = document.fields.keys().map(String::as_str).collect();
        assert_eq!(own, ["grand_total", "items"]);
        assert_eq!(document.fields["items"], json!([{ "name": "r", "qty": 1.0 }]));
    }

    #[test]
    fn a_mark_that_someone_garbled_is_none() {
        for garbled in [json!("{"), json!("[]"), json!(""), json!(7), json!({ "events": [] })] {
            let document = document_of(&so(), site_document(&garbled), &zone()).unwrap();
            assert!(document.events.is_empty(), "{garbled}");
        }
        let document =
            document_of(&so(), site_document(&json!("{\"events\":[\"evt_1\"]}")), &zone()).unwrap();
        assert_eq!(document.events, ["evt_1"]);
    }

    #[test]
    fn a_document_that_cannot_be_read_is_the_sites_fault() {
        for field in ["name", "modified", "modified_by", "creation", "owner"] {
            let mut map = site_document(&Value::Null);
            map.insert(field.to_owned(), json!(1));
            let error = document_of(&so(), map, &zone()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::ProviderUnavailable);
        }
    }

    fn write(fields: Value, replaces: Option<Document>) -> Write {
        let change = Change::Put { fields: map(fields), docstatus: DocStatus::Draft };
        let stored = replaces.map(Stored::Live);
        let applied = Applied::from([("shop".to_owned(), start())]);
        Write::over(
            Target::Named(DocumentKey::new("Sales Order", "ORDER 1").unwrap()),
            stored.as_ref(),
            change,
            applied,
            "kim",
        )
    }

    #[test]
    fn a_mark_keeps_the_last_events_and_who_wrote() {
        let mut document = document_of(&so(), site_document(&Value::Null), &zone()).unwrap();
        document.events = (0..MAX_NOTES).map(|n| format!("evt_{n}")).collect();
        let write = write(json!({}), Some(document));
        let mark = Mark::after(&write, &Token::of_event("evt_new"));
        assert_eq!(mark.events.len(), MAX_NOTES);
        assert_eq!((mark.events[0].as_str(), mark.events[19].as_str()), ("evt_1", "evt_new"));
        assert_eq!((mark.by.as_deref(), mark.write.as_deref()), (Some("kim"), None));
        assert!(mark.shows(&Token::of_event("evt_new")) && !mark.shows(&Token::of_event("evt_0")));
        let text = mark.text().unwrap();
        let read = Mark::of(&Map::from_iter([(MARK_FIELD.to_owned(), text)])).unwrap();
        assert_eq!(read, mark);
        let token = Token::random();
        let mark = Mark::after(&write, &token);
        assert_eq!(mark.events.len(), MAX_NOTES, "a write of no event takes no event's place");
        assert!(mark.shows(&token) && !mark.shows(&Token::random()));
    }

    #[test]
    fn a_new_document_says_its_name_its_series_and_its_mark() {
        let write = write(json!({ "qty": 1 }), None);
        let mark = Mark::after(&write, &Token::of_event("evt_1"));
        let sent = new_document(&write, Some(("ORDER 1", &mark))).unwrap();
        let said: Vec<&str> = sent.keys().map(String::as_str).collect();
        assert_eq!(said, ["qty", "name", "causeway_id", "causeway_mark"]);
        let series = super::super::super::Series::parse("SAL-ORD-.YYYY.-").unwrap();
        let target = Target::Series { doctype: so(), series, block: 1 };
        let change = Change::Put { fields: Fields::new(), docstatus: DocStatus::Submitted };
        let sent = new_document(&Write { target, change, ..write }, None).unwrap();
        assert_eq!(Value::Object(sent), json!({ "naming_series": "SAL-ORD-.YYYY.-", "docstatus": 1 }));
    }

    #[test]
    fn only_what_differs_is_sent() {
        let before = map(json!({
            "a": 10.0, "b": "x", "gone": 1, "empty": null,
            "same": [{ "name": "r1", "qty": 1.0, "rate": 5.0 }],
            "less": [{ "name": "r1", "qty": 1.0, "rate": 5.0 }],
            "more": [{ "name": "r1", "qty": 1.0 }],
        }));
        let after = map(json!({
            "a": 10, "b": "y", "new": 2, "nothing": null,
            "same": [{ "qty": 1 }],
            "less": [{ "name": "r1", "qty": 1.0 }],
            "more": [{ "name": "r1", "qty": 1.0 }, { "qty": 2 }],
        }));
        let sent = changes(&before, &after);
        let expected = json!({
            "b": "y", "new": 2,
            "less": [{ "name": "r1", "qty": 1.0 }],
            "more": [{ "name": "r1", "qty": 1.0 }, { "qty": 2 }],
            "gone": null,
        });
        assert_eq!(Value::Object(sent), expected);
    }

    #[test]
    fn a_document_is_recognised_by_what_was_sent() {
        let sent = map(json!({ "customer": "A", "unknown": 1, "items": [{ "qty": 1, "so": "SO-1" }] }));
        let found = |value: Value| may_be(&map(value), &sent);
        assert!(found(
            json!({ "name": "N", "customer": "A", "items": [{ "name": "r", "qty": 1.0, "so": "SO-1" }] })
        ));
        assert!(!found(json!({ "customer": "B", "items": [{ "qty": 1, "so": "SO-1" }] })));
        assert!(!found(json!({ "customer": "A", "items": [{ "qty": 1, "so": "SO-2" }] })));
        assert!(!found(json!({ "customer": "A", "items": [] })));
    }
}
