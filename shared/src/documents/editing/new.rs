//! A document that is to be created, as its creator describes it.

use serde_json::Value;

use super::{
    super::{DocName, DocStatus, DocType, DocumentKey, Fields, SYSTEM_FIELDS, Series, Target},
    Dialect,
    changes::{without_private, without_unset},
};
use crate::{Error, FieldError, Result};

/// Numbers of a series are taken by the API in blocks of this size.
const SERIES_BLOCK: u32 = 10;

/// A document to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDocument {
    pub(super) doctype: DocType,
    pub(super) name: Option<DocName>,
    series: Option<Series>,
    pub(super) docstatus: DocStatus,
    pub(super) fields: Fields,
}

impl NewDocument {
    /// Reads the JSON object `body`: its fields, perhaps its `name`, and `docstatus` 1 for one that is submitted at
    /// once. An error names its field by JSON pointer.
    ///
    /// It is named by `name`, else by its `naming_series`, else at random. Frappe's dialect has the series first, as
    /// ERPNext does: a copy of a document is another one there.
    pub fn read(doctype: DocType, body: Value, dialect: Dialect) -> Result<Self> {
        let body = if dialect == Dialect::Frappe { without_unset(body) } else { body };
        let Value::Object(mut fields) = body else {
            return Err(Error::field("", "invalid", "must be a JSON object of fields"));
        };
        if let Some(given) = text(fields.shift_remove("doctype"), "/doctype")?
            && given != doctype.as_str()
        {
            return Err(Error::field("/doctype", "invalid", format!("is not {doctype}, which is asked for")));
        }
        let name = text(fields.shift_remove("name"), "/name")?;
        let name = name.map(DocName::new).transpose().map_err(|e| e.at("/name"))?;
        // As in ERPNext, the series a document was named by stays one of its fields.
        let series = text(fields.get("naming_series").cloned(), "/naming_series")?;
        let series = series.filter(|_| name.is_none() || dialect == Dialect::Frappe);
        let series =
            series.map(|series| Series::parse(&series)).transpose().map_err(|e| e.at("/naming_series"))?;
        let name = name.filter(|_| series.is_none());
        let docstatus = docstatus(fields.shift_remove("docstatus"))?;
        let fields = match dialect {
            Dialect::Strict => refuse_system_fields(fields)?,
            Dialect::Frappe => without_private(fields),
        };
        Ok(Self { doctype, name, series, docstatus, fields })
    }

    /// Its DocType.
    pub fn doctype(&self) -> &DocType {
        &self.doctype
    }

    /// Its key, where that is known before it is created.
    pub fn key(&self) -> Option<DocumentKey> {
        let name = self.name.clone()?;
        Some(DocumentKey { doctype: self.doctype.clone(), name })
    }

    /// The document to write to: with neither name nor series, another one each time.
    pub(super) fn target(&self) -> Result<Target> {
        let doctype = self.doctype.clone();
        Ok(match (&self.name, &self.series) {
            (Some(name), _) => Target::Named(DocumentKey { doctype, name: name.clone() }),
            (None, Some(series)) => Target::Series { doctype, series: series.clone(), block: SERIES_BLOCK },
            (None, None) => {
                Target::Named(DocumentKey { doctype, name: DocName::new(crate::id::random_name())? })
            }
        })
    }
}

fn text(value: Option<Value>, field: &str) -> Result<Option<String>> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::field(field, "invalid", "must be a text")),
    }
}

fn docstatus(value: Option<Value>) -> Result<DocStatus> {
    match value {
        None => Ok(DocStatus::Draft),
        Some(value) => match value.as_u64() {
            Some(0) => Ok(DocStatus::Draft),
            Some(1) => Ok(DocStatus::Submitted),
            _ => Err(Error::field("/docstatus", "invalid", "must be 0 (draft) or 1 (insert and submit)")),
        },
    }
}

/// The fields, if none of them is the store's; an error that names each that is.
pub(super) fn refuse_system_fields(fields: Fields) -> Result<Fields> {
    let set_by_us: Vec<FieldError> = SYSTEM_FIELDS
        .into_iter()
        .filter(|field| fields.contains_key(*field))
        .map(|field| FieldError {
            field: format!("/{field}"),
            code: "invalid",
            detail: "is set by the store".into(),
        })
        .collect();
    if set_by_us.is_empty() { Ok(fields) } else { Err(Error::fields(set_by_us)) }
}
