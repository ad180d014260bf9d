//! What is to become of a document, and of which version of it.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{DocStatus, DocType, Document, DocumentKey, Fields, SYSTEM_FIELDS},
    new::refuse_system_fields,
};
use crate::{
    Error, ErrorCode, Result,
    auth::Permission,
    clock::rfc3339,
    mapping::{in_utc, same_number},
};

/// The version of a document that the caller has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// One of these revisions (v2's `If-Match`). Another one is `precondition_failed`.
    Revisions(Vec<u64>),
    /// The one of this `modified` (Frappe's way). Another one is `revision_conflict`.
    Modified(Timestamp),
}

impl Expected {
    /// Fails if `document` is another version.
    pub fn check(&self, document: &Document) -> Result<()> {
        let (seen, code) = match self {
            Self::Revisions(revisions) => {
                (revisions.contains(&document.revision), ErrorCode::PreconditionFailed)
            }
            Self::Modified(at) => (*at == document.modified, ErrorCode::RevisionConflict),
        };
        if seen {
            return Ok(());
        }
        Err(Error::new(
            code,
            format!(
                "{} has changed since it was read: it is revision {} of {} now",
                document.key,
                document.revision,
                rfc3339(document.modified)
            ),
        ))
    }
}

/// How given fields and those of the document become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// JSON Merge Patch (RFC 7396): null removes, objects merge, everything else replaces.
    Merge,
    /// Each given field replaces its like; null is null.
    Set,
    /// The given fields are all there are.
    Replace,
}

/// What is to become of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    fields: Fields,
    how: How,
    docstatus: Option<DocStatus>,
    expected: Option<Expected>,
}

/// What [`Changes`] come to.
#[derive(Debug, PartialEq)]
pub enum Planned {
    /// It is all so already.
    Nothing,
    /// The document's state after them.
    Put {
        /// All its fields.
        fields: Fields,
        /// Its status.
        docstatus: DocStatus,
    },
}

impl Changes {
    /// v2's PATCH of the document under `key`: `body` is a JSON Merge Patch. What the store sets itself is refused,
    /// but `docstatus`, which submits and cancels.
    pub fn merge_patch(key: &DocumentKey, body: Value) -> Result<Self> {
        let (mut fields, docstatus) = addressed(key, body)?;
        fields = refuse_system_fields(fields)?;
        Ok(Self { fields, how: How::Merge, docstatus, expected: None })
    }

    /// v1's PUT: the fields of `body` replace those of the document. A `modified` among them is the version that was
    /// seen; whatever else the store sets itself is ignored.
    pub fn set(key: &DocumentKey, body: Value) -> Result<Self> {
        let (fields, docstatus) = addressed(key, without_unset(body))?;
        let expected = seen(&fields)?;
        Ok(Self { fields: without_private(fields), how: How::Set, docstatus, expected })
    }

    /// Frappe's `save`: `body` is the whole document. As [`set`](Self::set) otherwise.
    pub fn replace(key: &DocumentKey, body: Value) -> Result<Self> {
        Ok(Self { how: How::Replace, ..Self::set(key, body)? })
    }

    /// Frappe's `set_value`: one field and its value, or an object of several (as such, or as JSON text). Fields
    /// that the store sets itself are refused.
    pub fn set_value(fieldname: &Value, value: Option<Value>) -> Result<Self> {
        let object = match fieldname {
            Value::Object(fields) => Some(fields.clone()),
            Value::String(text) => serde_json::from_str::<Fields>(text).ok(),
            _ => None,
        };
        let fields = match (object, fieldname) {
            (Some(fields), _) => fields,
            (None, Value::String(name)) if !name.is_empty() => {
                Fields::from_iter([(name.clone(), value.unwrap_or_default())])
            }
            _ => {
                return Err(Error::field(
                    "fieldname",
                    "invalid",
                    "must be a field's name, or an object of fields",
                ));
            }
        };
        let fields = refuse_system_fields(fields).map_err(|error| error.at("fieldname"))?;
        Ok(Self { fields, how: How::Set, docstatus: None, expected: None })
    }

    /// Nothing but another status.
    pub fn to_status(docstatus: DocStatus) -> Self {
        Self { fields: Fields::new(), how: How::Set, docstatus: Some(docstatus), expected: None }
    }

    /// The same changes, and this status, whatever they say of it (Frappe's `submit` of a whole document).
    #[must_use]
    pub fn with_status(self, docstatus: DocStatus) -> Self {
        Self { docstatus: Some(docstatus), ..self }
    }

    /// The same changes to this version only.
    #[must_use]
    pub fn expecting(self, expected: Option<Expected>) -> Self {
        Self { expected: expected.or(self.expected), ..self }
    }

    /// What they need at least; a change of the status also needs to submit.
    pub(super) fn permission<'a>(&self, doctype: &'a DocType) -> Permission<'a> {
        if self.docstatus.is_some() && self.how == How::Set && self.fields.is_empty() {
            Permission::Submit(doctype)
        } else {
            Permission::Write(doctype)
        }
    }

    /// What they come to for `document`; an error if it is another version than was seen, or its status forbids it.
    pub(super) fn plan(&self, document: &Document) -> Result<Planned> {
        if let Some(expected) = &self.expected {
            expected.check(document)?;
        }
        let (from, to) = (document.docstatus, self.docstatus.unwrap_or(document.docstatus));
        let fields = self.over(&document.fields);
        let same = same_fields(&fields, &document.fields);
        match (from, to) {
            _ if from == to && same => Ok(Planned::Nothing),
            (DocStatus::Draft, DocStatus::Draft | DocStatus::Submitted) => {
                Ok(Planned::Put { fields, docstatus: to })
            }
            (DocStatus::Submitted, DocStatus::Cancelled) if same => {
                Ok(Planned::Put { fields: document.fields.clone(), docstatus: to })
            }
            _ => Err(forbidden(&document.key, from, to)),
        }
    }

    fn over(&self, fields: &Fields) -> Fields {
        match self.how {
            How::Replace => self.fields.clone(),
            How::Set => {
                let mut all = fields.clone();
                all.extend(self.fields.clone());
                all
            }
            How::Merge => {
                let mut all = fields.clone();
                merge(&mut all, &self.fields);
                all
            }
        }
    }
}

fn forbidden(key: &DocumentKey, from: DocStatus, to: DocStatus) -> Error {
    let detail = match (from, to) {
        (DocStatus::Draft, _) => format!("{key} is a draft: submit it before you cancel it, or delete it"),
        (DocStatus::Submitted, DocStatus::Draft) => format!("{key} is submitted and cannot be a draft again"),
        (DocStatus::Submitted, _) => format!("{key} is submitted: it can only be cancelled"),
        (DocStatus::Cancelled, _) => format!("{key} is cancelled: it can only be deleted"),
    };
    Error::new(ErrorCode::DocstatusForbids, detail)
}

/// The fields of `body` without its address, which must be `key`, and without its docstatus.
fn addressed(key: &DocumentKey, body: Value) -> Result<(Fields, Option<DocStatus>)> {
    let Value::Object(mut fields) = body else {
        return Err(Error::field("", "invalid", "must be a JSON object of fields"));
    };
    let is = |given: Option<Value>, own: &str| given.is_none_or(|given| given.as_str() == Some(own));
    if !is(fields.shift_remove("doctype"), key.doctype.as_str()) {
        return Err(Error::field(
            "/doctype",
            "invalid",
            format!("is not {}, which is asked for", key.doctype),
        ));
    }
    if !is(fields.shift_remove("name"), key.name.as_str()) {
        return Err(Error::field("/name", "invalid", "is another name: documents cannot be renamed"));
    }
    let docstatus = match fields.shift_remove("docstatus") {
        None => None,
        Some(value) => {
            let known =
                value.as_u64().and_then(|status| DocStatus::try_from(u8::try_from(status).ok()?).ok());
            let invalid =
                || Error::field("/docstatus", "invalid", "must be 0 (draft), 1 (submitted) or 2 (cancelled)");
            Some(known.ok_or_else(invalid)?)
        }
    };
    Ok((fields, docstatus))
}

/// The version that a Frappe client says it has seen.
fn seen(fields: &Fields) -> Result<Option<Expected>> {
    match fields.get("modified") {
        None => Ok(None),
        Some(value) => match value.as_str().and_then(in_utc) {
            Some(at) => Ok(Some(Expected::Modified(at))),
            None => Err(Error::field("/modified", "invalid", "is not a time")),
        },
    }
}

/// `body` without what the store sets where a Frappe client has left it empty.
pub(super) fn without_unset(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        let is_unset = |value: &Value| value.is_null() || value.as_str() == Some("");
        fields.retain(|field, value| !SYSTEM_FIELDS.contains(&field.as_str()) || !is_unset(value));
    }
    body
}

/// `fields` without those the store sets, and without what is Frappe's own business with its clients (`__islocal`),
/// also in rows.
pub(super) fn without_private(mut fields: Fields) -> Fields {
    let is_private = |field: &str| field.starts_with("__");
    fields.retain(|field, _| !SYSTEM_FIELDS.contains(&field.as_str()) && !is_private(field));
    let rows = fields.values_mut().filter_map(Value::as_array_mut).flatten();
    for row in rows.filter_map(Value::as_object_mut) {
        row.retain(|field, _| !is_private(field));
    }
    fields
}

/// RFC 7396.
fn merge(target: &mut Fields, patch: &Fields) {
    for (field, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(field);
            }
            Value::Object(patch) => {
                let mut nested = match target.get_mut(field).map(Value::take) {
                    Some(Value::Object(nested)) => nested,
                    _ => Fields::new(),
                };
                merge(&mut nested, patch);
                target.insert(field.clone(), Value::Object(nested));
            }
            value => {
                target.insert(field.clone(), value.clone());
            }
        }
    }
}

/// Whether two documents say the same: numbers by what they are worth, null as if it were not there.
fn same_fields(a: &Fields, b: &Fields) -> bool {
    let set = |fields: &Fields| fields.values().filter(|value| !value.is_null()).count();
    set(a) == set(b)
        && a.iter()
            .filter(|(_, value)| !value.is_null())
            .all(|(field, value)| b.get(field).is_some_and(|other| same(value, other)))
}

/// Whether two values say the same, as [`same_fields`].
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_fields(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => same_number(a, b),
    }
}
