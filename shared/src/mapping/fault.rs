//! What goes wrong in a mapping, and how much of it is told.
//!
//! A [`Fault`] is about one value; a [`Run`] gathers the faults of a whole application, so that whoever wrote the
//! settings sees them all at once, and bounds what a payload can make of them: at most [`MAX_FAULTS`] faults are
//! told, at most [`MAX_OUTPUT_BYTES`] are produced, and no value is quoted beyond [`MAX_SHOWN`] characters.

use serde_json::Value;

use super::Context;
use crate::{Error, ErrorCode, FieldError};

/// After this many faults the rest of the payload is not looked at.
const MAX_FAULTS: usize = 20;

/// The longest a value is quoted, in characters.
const MAX_SHOWN: usize = 80;

/// The most one application produces. The payload itself may be copied many times over, into every child row, so
/// its size alone bounds nothing.
const MAX_OUTPUT_BYTES: usize = 4 * 1024 * 1024;

/// Why one value could not be had.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub code: &'static str,
    pub detail: String,
}

impl Fault {
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self { code: "invalid", detail: detail.into() }
    }

    pub fn missing(detail: impl Into<String>) -> Self {
        Self { code: "missing", detail: detail.into() }
    }

    pub fn too_long(detail: impl Into<String>) -> Self {
        Self { code: "too_long", detail: detail.into() }
    }

    /// The same fault, saying where the value came from.
    pub fn from(mut self, origin: &str) -> Self {
        self.detail = format!("from {origin}: {}", self.detail);
        self
    }

    /// The same fault as one of a field.
    pub fn at(self, field: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), code: self.code, detail: self.detail }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::new(ErrorCode::MappingFailed, fault.detail)
    }
}

/// `text`, cut so that a message stays readable and does not carry a whole payload.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value with as many digits may be a card, an account or a key, which no log may learn from an error.
const TELLING_DIGITS: usize = 9;

/// `value` as JSON, cut; of one that may be a secret only what it is.
pub(super) fn shown(value: &Value) -> String {
    let telling = |text: &str| text.bytes().filter(u8::is_ascii_digit).count() >= TELLING_DIGITS;
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if telling(text) => format!("a text of {} characters", text.chars().count()),
        Value::String(text) => format!("{:?}", cut(text)),
        Value::Number(number) if telling(&number.to_string()) => "a number".to_owned(),
        other => cut(&other.to_string()),
    }
}

/// One application of a mapping.
pub(super) struct Run<'a> {
    pub context: &'a Context,
    faults: Vec<FieldError>,
    /// How many bytes may still be produced; none once it was too many.
    room: Option<usize>,
}

impl<'a> Run<'a> {
    pub fn new(context: &'a Context) -> Self {
        Self { context, faults: Vec::new(), room: Some(MAX_OUTPUT_BYTES) }
    }

    /// Whether enough is known to fail.
    pub fn is_over(&self) -> bool {
        self.faults.len() >= MAX_FAULTS || self.room.is_none()
    }

    pub fn fault(&mut self, field: impl Into<String>, fault: Fault) {
        if !self.is_over() {
            self.faults.push(fault.at(field));
        }
    }

    /// Counts a value of `field` against what may be produced.
    pub fn charge(&mut self, field: &str, value: &Value) {
        let left = self.room.and_then(|room| room.checked_sub(field.len() + weight(value)));
        if left.is_none() {
            self.fault(field, Fault::too_long(format!("the fields take more than {MAX_OUTPUT_BYTES} bytes")));
        }
        self.room = left;
    }

    pub fn finish<T>(self, result: T) -> Result<T, Error> {
        if self.faults.is_empty() {
            return Ok(result);
        }
        Err(Error::fields(self.faults).with_code(ErrorCode::MappingFailed))
    }
}

/// About the bytes of `value` as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(k, v)| k.len() + weight(v) + 4).sum::<usize>() + 2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_a_card_or_an_account_is_not_shown() {
        assert_eq!(shown(&json!("4242 4242 4242 4242")), "a text of 19 characters");
        assert_eq!(shown(&json!(4_242_424_242_424_242_u64)), "a number");
        assert_eq!(shown(&json!("ten")), "\"ten\"");
    }
}
