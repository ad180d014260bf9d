//! Values as Frappe casts, compares and prints them.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::{
    clock,
    database::folded,
    doctype::Kind,
    exception::{Exception, Outcome},
};

/// The text of a scalar; empty for nothing.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The number that a value is, or is the text of.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number with a fraction, as Python prints one.
pub fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Whether there is nothing in it.
pub fn is_empty(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value.as_str() == Some(""))
}

/// What the database keeps of a value given for a field.
pub fn cast(field: &str, kind: Option<&Kind>, value: Value) -> Outcome<Value> {
    let value = match value {
        Value::Bool(yes) => Value::from(u8::from(yes)),
        Value::Array(_) => {
            return Err(Exception::validation(&format!(
                "Value for <strong>{}</strong> cannot be a list",
                crate::doctype::label(field)
            )));
        }
        Value::Object(_) => return Err(Exception::python("TypeError", "dict can not be used as parameter")),
        other => other,
    };
    Ok(match kind {
        _ if value.is_null() => Value::Null,
        Some(Kind::Float) => float(number(&value).unwrap_or(0.0)),
        Some(Kind::Int) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "Python's cint cuts the fraction off as well"
            )]
            let whole = number(&value).unwrap_or(0.0) as i64;
            Value::from(whole)
        }
        Some(_) => Value::String(text(&value)),
        None => value,
    })
}

/// How the database orders two values.
pub fn compare(left: &Value, right: &Value) -> Ordering {
    if let (Value::Number(_), _) | (_, Value::Number(_)) = (left, right) {
        let (left, right) = (number(left).unwrap_or(0.0), number(right).unwrap_or(0.0));
        return left.total_cmp(&right);
    }
    let (left, right) = (text(left), text(right));
    match (clock::parse(&left), clock::parse(&right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => folded(&left).cmp(&folded(&right)),
    }
}
