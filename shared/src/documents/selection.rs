//! Which fields of the documents a list shows.

use serde_json::{Map, Value};

use super::{DocType, Document, DocumentPlace, Fields, column::Column};
use crate::{Error, Result, clock::rfc3339};

/// The most fields that are chosen by name.
const MAX_SELECTED: usize = 500;

/// Which fields are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Whole documents, with the rows of their tables.
    Whole,
    /// These, in this order; a document that has none of a name shows null.
    Fields(Vec<String>),
}

impl Selection {
    /// Reads `fields`: a list of names, `"*"` among them for whole documents, or the same as one text with commas.
    pub fn read(fields: &Value, doctype: &DocType) -> Result<Self> {
        let names: Vec<&str> = match fields {
            Value::Array(names) => {
                names.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(unreadable)?
            }
            Value::String(text) => text.split(',').collect(),
            _ => return Err(unreadable()),
        };
        if names.is_empty() {
            return Err(unreadable());
        }
        if names.len() > MAX_SELECTED {
            return Err(Error::field(
                "fields",
                "too_long",
                format!("there are at most {MAX_SELECTED} fields"),
            ));
        }
        let is_all = |name: &&str| name.trim() == "*" || is_all_of(name, doctype);
        if names.iter().any(is_all) {
            return Ok(Self::Whole);
        }
        let own = |name: &str| match Column::read(name, doctype, "fields")? {
            Column { child: None, field } => Ok(field),
            Column { child: Some(child), .. } => Err(Error::field(
                "fields",
                "invalid",
                format!("{name:?} is of {child}: fields of rows are shown with their table only"),
            )),
        };
        names.into_iter().map(own).collect::<Result<_>>().map(Self::Fields)
    }

    /// Whether name and `modified` are not enough.
    pub fn needs_documents(&self) -> bool {
        match self {
            Self::Whole => true,
            Self::Fields(names) => !names.iter().all(|name| matches!(name.as_str(), "name" | "modified")),
        }
    }

    /// What is shown of `document`.
    pub fn of(&self, document: &Document) -> Value {
        match self {
            Self::Whole => document.to_json(),
            Self::Fields(names) => shown(names, |name| document.value(name)),
        }
    }

    /// What is shown of the document at `place`, where that [is enough](Self::needs_documents).
    pub fn of_place(&self, place: &DocumentPlace) -> Value {
        let value = |name: &str| match name {
            "name" => place.key.name.as_str().into(),
            "modified" => rfc3339(place.modified).into(),
            _ => Value::Null,
        };
        match self {
            Self::Whole => Value::Object(Map::new()),
            Self::Fields(names) => shown(names, value),
        }
    }
}

fn is_all_of(name: &str, doctype: &DocType) -> bool {
    name.trim().strip_prefix("`tab").and_then(|name| name.strip_suffix("`.*")) == Some(doctype.as_str())
}

fn shown(names: &[String], value: impl Fn(&str) -> Value) -> Value {
    Value::Object(names.iter().map(|name| (name.clone(), value(name))).collect::<Fields>())
}

fn unreadable() -> Error {
    Error::field("fields", "invalid", "must be a list of field names, or \"*\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> Result<Selection> {
        Selection::read(fields, &DocType::new("Sales Order").unwrap())
    }

    #[test]
    fn fields_are_chosen_as_frappe_writes_them() {
        let both = Selection::Fields(vec!["name".into(), "status".into()]);
        assert_eq!(read(&json!(["name", "`tabSales Order`.`status`"])).unwrap(), both);
        assert_eq!(read(&json!("name, status")).unwrap(), both);
        for all in [json!("*"), json!(["*"]), json!(["name", "*"]), json!(["`tabSales Order`.*"])] {
            assert_eq!(read(&all).unwrap(), Selection::Whole);
        }
    }

    #[test]
    fn what_is_not_a_field_of_the_document_is_refused() {
        for fields in [
            json!([]),
            json!({}),
            json!([1]),
            json!(["name as id"]),
            json!(["sum(total)"]),
            json!(["items.qty"]),
            json!(["`tabSales Order Item`.`qty`"]),
            json!(vec!["a"; 501]),
        ] {
            assert_eq!(read(&fields).unwrap_err().field_errors()[0].field, "fields", "{fields}");
        }
    }

    #[test]
    fn names_and_times_need_no_documents() {
        assert!(!read(&json!(["name", "modified"])).unwrap().needs_documents());
        assert!(read(&json!(["name", "owner"])).unwrap().needs_documents());
        assert!(read(&json!("*")).unwrap().needs_documents());
    }
}
