//! Documents as Frappe shows them: its field names, and its times, which have a space and no zone (here UTC).

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::documents::Document;

/// `at` as Frappe writes it: `2026-11-22 19:04:12.911271`, UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// A document, as Frappe shows it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct FrappeDocument(Map<String, Value>);

impl FrappeDocument {
    /// As version 1 shows `document`.
    pub fn of(document: Document) -> Self {
        let mut flat = Map::with_capacity(document.fields.len() + 8);
        flat.insert("name".into(), document.key.name.as_str().into());
        flat.insert("owner".into(), document.owner.into());
        flat.insert("creation".into(), time(document.creation).into());
        flat.insert("modified".into(), time(document.modified).into());
        flat.insert("modified_by".into(), document.modified_by.into());
        flat.insert("docstatus".into(), u8::from(document.docstatus).into());
        flat.extend(document.fields);
        flat.insert("doctype".into(), document.key.doctype.as_str().into());
        Self(flat)
    }

    /// Its fields.
    pub fn into_fields(self) -> Map<String, Value> {
        self.0
    }
}

impl JsonSchema for FrappeDocument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FrappeDocument".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let time = serde_json::json!({
            "type": "string", "description": "UTC, as Frappe writes it: `2026-11-22 19:04:12.911271`.",
        });
        json_schema!({
            "type": "object",
            "description": "A document: its fields, flat, with those that every document has, as Frappe shows it.",
            "properties": {
                "doctype": { "type": "string", "description": "Its DocType." },
                "name": { "type": "string", "description": "Its name within the DocType." },
                "docstatus": { "enum": [0, 1, 2], "description": "0 draft, 1 submitted, 2 cancelled." },
                "creation": time,
                "owner": { "type": "string", "description": "Who created it." },
                "modified": time,
                "modified_by": { "type": "string", "description": "Who changed it last." },
            },
            "additionalProperties": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_space_six_decimals_and_no_zone() {
        let at: Timestamp = "2026-11-22T19:04:12.911271Z".parse().unwrap();
        assert_eq!(time(at), "2026-11-22 19:04:12.911271");
        assert_eq!(time("2026-11-22T19:04:12Z".parse().unwrap()), "2026-11-22 19:04:12.000000");
    }
}
