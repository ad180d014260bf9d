//! The numbers of documents: read with their place, computed without overflow, written as JSON.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::{
    Error, ErrorCode, Result,
    documents::Fields,
    mapping::{decimal, number},
};

/// The largest number read from a document, either sign: what ERPNext's columns hold, and far from overflow.
const MAX: i64 = 1_000_000_000_000_000;

/// The fields of a document or a row, read as numbers.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    fields: &'a Fields,
    row: Option<(&'a str, usize)>,
}

impl<'a> Numbers<'a> {
    pub fn of_document(fields: &'a Fields) -> Self {
        Self { fields, row: None }
    }

    pub fn of_row(fields: &'a Fields, table: &'a str, index: usize) -> Self {
        Self { fields, row: Some((table, index)) }
    }

    /// The number of `field`; none if it is not there, null or empty.
    pub fn given(self, field: &str) -> Result<Option<Decimal>> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(value) => match decimal(value) {
                Some(number) if number.abs() <= Decimal::from(MAX) => Ok(Some(number)),
                Some(_) => Err(self.fault(field, "is too large a number")),
                None => Err(self.fault(field, "is not a number")),
            },
        }
    }

    /// The number of `field`, 0 if there is none.
    pub fn get(self, field: &str) -> Result<Decimal> {
        Ok(self.given(field)?.unwrap_or_default())
    }

    /// Whether the check field `field` is set.
    pub fn is_set(self, field: &str) -> Result<bool> {
        match self.fields.get(field) {
            Some(Value::Bool(is_set)) => Ok(*is_set),
            _ => Ok(!self.get(field)?.is_zero()),
        }
    }

    /// The text of `field`, empty if it has none.
    pub fn text(self, field: &str) -> &'a str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The failure of `field`.
    pub fn fault(self, field: &str, detail: &str) -> Error {
        let place = match self.row {
            Some((table, index)) => format!("/{table}/{index}/{field}"),
            None => format!("/{field}"),
        };
        fault(place, detail)
    }
}

/// The failure of what is at `place`, a JSON pointer into the source.
pub(super) fn fault(place: impl Into<String>, detail: &str) -> Error {
    Error::field(place, "invalid", detail).with_code(ErrorCode::MappingFailed)
}

/// Arithmetic that fails where a decimal would overflow, or be divided by zero.
pub(super) trait Exact: Sized {
    fn plus(self, other: Decimal) -> Result<Decimal>;
    fn less(self, other: Decimal) -> Result<Decimal>;
    fn times(self, other: Decimal) -> Result<Decimal>;
    fn over(self, other: Decimal) -> Result<Decimal>;
    /// So many percent of it.
    fn percent(self, percent: Decimal) -> Result<Decimal>;
}

impl Exact for Decimal {
    fn plus(self, other: Decimal) -> Result<Decimal> {
        self.checked_add(other).ok_or_else(too_large)
    }

    fn less(self, other: Decimal) -> Result<Decimal> {
        self.checked_sub(other).ok_or_else(too_large)
    }

    fn times(self, other: Decimal) -> Result<Decimal> {
        self.checked_mul(other).ok_or_else(too_large)
    }

    fn over(self, other: Decimal) -> Result<Decimal> {
        self.checked_div(other).ok_or_else(too_large)
    }

    fn percent(self, percent: Decimal) -> Result<Decimal> {
        self.times(percent)?.over(Decimal::ONE_HUNDRED)
    }
}

fn too_large() -> Error {
    fault("", "the numbers are too large to compute with")
}

/// The sum of numbers.
pub(super) fn sum(mut numbers: impl Iterator<Item = Decimal>) -> Result<Decimal> {
    numbers.try_fold(Decimal::ZERO, Exact::plus)
}

/// A number as JSON, without zeros that say nothing.
pub(super) fn json(number: Decimal) -> Value {
    number::json(number.normalize()).unwrap_or_default()
}

/// Writes a number, but leaves one that is worth the same as it is: with the digits it was given.
pub(super) fn put(fields: &mut Fields, field: &str, number: Decimal) {
    if fields.get(field).and_then(decimal) != Some(number) || !fields.get(field).is_some_and(Value::is_number)
    {
        fields.insert(field.to_owned(), json(number));
    }
}
