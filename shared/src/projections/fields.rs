//! Reads a document's fields as ERPNext means them; what is there and cannot be read is an error that names it.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::{
    Error, ErrorCode, Result,
    documents::{Document, Fields},
    mapping::number,
};

/// The fields of one document.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a Fields);

impl<'a> Reader<'a> {
    /// The fields of `document`.
    pub fn of(document: &'a Document) -> Self {
        Self(&document.fields)
    }

    fn given(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// The text under `name`, trimmed; `None` if there is none.
    pub fn text(self, name: &str) -> Result<Option<String>> {
        let text = match self.given(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(unfit(name, "is no text")),
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The text under `name`, which must be there.
    pub fn needed(self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| unfit(name, "is missing"))
    }

    /// The check box `name`; `default` if there is none.
    pub fn check(self, name: &str, default: bool) -> Result<bool> {
        match self.given(name) {
            None => Ok(default),
            Some(Value::Bool(on)) => Ok(*on),
            Some(value) => number::of(value)
                .map(|number| !number.is_zero())
                .ok_or_else(|| unfit(name, "is neither 0 nor 1")),
        }
    }

    /// The number under `name`, exactly; `None` if there is none.
    pub fn decimal(self, name: &str) -> Result<Option<Decimal>> {
        let read = |value| number::of(value).ok_or_else(|| unfit(name, "is no number of at most 28 digits"));
        self.given(name).map(read).transpose()
    }

    /// The date under `name`; `None` if there is none.
    pub fn date(self, name: &str) -> Result<Option<Date>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| unfit(name, "is no date (YYYY-MM-DD)"))
    }

    /// The rows of the table `name`.
    pub fn rows(self, name: &str) -> Result<Vec<Self>> {
        let rows = match self.given(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(rows)) => rows,
            Some(_) => return Err(unfit(name, "is no table")),
        };
        let row =
            |row: &'a Value| row.as_object().map(Self).ok_or_else(|| unfit(name, "has a row that is none"));
        rows.iter().map(row).collect()
    }
}

fn unfit(name: &str, what: &str) -> Error {
    Error::new(ErrorCode::ProjectionFailed, format!("{name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn fields_are_read_as_erpnext_sends_them() {
        let fields = fields(
            r#"{"a": " x ", "b": 12.50, "c": "1", "d": 0, "e": "2026-02-03", "f": null, "g": "", "h": [{"x": 1}]}"#,
        );
        let reader = Reader(&fields);
        assert_eq!(reader.needed("a").unwrap(), "x");
        assert_eq!(reader.decimal("b").unwrap().unwrap().to_string(), "12.50");
        assert!(reader.check("c", false).unwrap() && !reader.check("d", true).unwrap());
        assert!(reader.check("missing", true).unwrap());
        assert_eq!(reader.date("e").unwrap(), Some(jiff::civil::date(2026, 2, 3)));
        assert_eq!((reader.text("f").unwrap(), reader.text("g").unwrap()), (None, None));
        assert_eq!(reader.rows("h").unwrap()[0].needed("x").unwrap(), "1");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fields = fields(r#"{"grand_total": "much", "on": {}, "day": "soon", "rows": [1]}"#);
        let reader = Reader(&fields);
        for error in [
            reader.decimal("grand_total").unwrap_err(),
            reader.check("on", false).unwrap_err(),
            reader.date("day").unwrap_err(),
            reader.rows("rows").map(|_| ()).unwrap_err(),
            reader.needed("company").unwrap_err(),
        ] {
            assert_eq!(error.code(), ErrorCode::ProjectionFailed, "{error}");
        }
        assert!(reader.decimal("grand_total").unwrap_err().detail().starts_with("grand_total "));
    }
}
