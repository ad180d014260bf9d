//! What a document holds, beside what it is compared with.

use std::{borrow::Cow, cmp::Ordering};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{Operand, Operator, like::is_like};
use crate::{
    clock::rfc3339,
    documents::{Document, Fields},
    mapping::{decimal, in_utc},
};

/// What is in a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Held<'a> {
    /// Nothing, or null.
    Nothing,
    /// A name or user: always a text.
    Name(&'a str),
    /// A time the store set.
    Time(Timestamp),
    /// A value.
    Value(Cow<'a, Value>),
}

impl<'a> Held<'a> {
    /// What `document` has in `field`.
    pub fn of(document: &'a Document, field: &str) -> Self {
        match field {
            "doctype" => Self::Name(document.key.doctype.as_str()),
            "name" => Self::Name(document.key.name.as_str()),
            "owner" => Self::Name(&document.owner),
            "modified_by" => Self::Name(&document.modified_by),
            "creation" => Self::Time(document.creation),
            "modified" => Self::Time(document.modified),
            "docstatus" => Self::Value(Cow::Owned(u8::from(document.docstatus).into())),
            "revision" => Self::Value(Cow::Owned(document.revision.into())),
            field => Self::in_row(&document.fields, field),
        }
    }

    /// What `row` has in `field`.
    pub fn in_row(row: &'a Fields, field: &str) -> Self {
        match row.get(field) {
            None | Some(Value::Null) => Self::Nothing,
            Some(value) => Self::Value(Cow::Borrowed(value)),
        }
    }

    fn is_set(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Name(_) | Self::Time(_) => true,
            Self::Value(value) => match value.as_ref() {
                Value::String(text) => !text.is_empty(),
                Value::Array(rows) => !rows.is_empty(),
                _ => true,
            },
        }
    }

    /// The text a pattern is laid on; `None` if there is none.
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Nothing => None,
            Self::Name(name) => Some(Cow::Borrowed(name)),
            Self::Time(at) => Some(Cow::Owned(rfc3339(*at))),
            Self::Value(value) => match value.as_ref() {
                Value::String(text) => Some(Cow::Borrowed(text)),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                Value::Bool(yes) => Some(Cow::Borrowed(if *yes { "1" } else { "0" })),
                _ => None,
            },
        }
    }

    /// How it compares with `operand`; `None`: not at all (a table, an object).
    fn order(&self, operand: &Operand) -> Option<Ordering> {
        match self {
            Self::Nothing if is_number(&operand.value) => Some(Decimal::ZERO.cmp(&operand.number?)),
            Self::Nothing => Some("".cmp(&operand.text)),
            Self::Name(name) => Some((*name).cmp(&operand.text)),
            Self::Time(at) => Some(at.cmp(&operand.time?)),
            Self::Value(value) => order(value, operand),
        }
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_) | Value::Bool(_))
}

fn order(value: &Value, operand: &Operand) -> Option<Ordering> {
    let text: Cow<'_, str> = match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(yes) => Cow::Borrowed(if *yes { "1" } else { "0" }),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    if is_number(value) || is_number(&operand.value) {
        let number = match value {
            Value::Bool(yes) => Some(Decimal::from(u8::from(*yes))),
            Value::String(text) if text.is_empty() => Some(Decimal::ZERO),
            value => decimal(value),
        };
        if let (Some(number), Some(other)) = (number, operand.number) {
            return Some(number.cmp(&other));
        }
    }
    // Of two times written alike the order of the texts is the order of the times.
    if let Some(other) = operand.time
        && text.len() != operand.text.len()
        && let Some(at) = in_utc(&text)
    {
        return Some(at.cmp(&other));
    }
    Some(text.as_ref().cmp(&operand.text))
}

/// Whether `held` compares with `operands` as `operator` says.
pub fn holds(operator: Operator, operands: &[Operand], held: &Held<'_>) -> bool {
    let order = |n: usize| operands.get(n).and_then(|operand| held.order(operand));
    let is_any = || operands.iter().any(|operand| held.order(operand) == Some(Ordering::Equal));
    let is_like = || {
        let pattern = operands.first().map(|operand| operand.text.as_str());
        held.text().zip(pattern).is_some_and(|(text, pattern)| is_like(&text, pattern))
    };
    match operator {
        Operator::Equal | Operator::In => is_any(),
        Operator::NotEqual | Operator::NotIn => !is_any(),
        Operator::Greater => order(0).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(0).is_some_and(Ordering::is_ge),
        Operator::Less => order(0).is_some_and(Ordering::is_lt),
        Operator::LessOrEqual => order(0).is_some_and(Ordering::is_le),
        Operator::Like => is_like(),
        Operator::NotLike => !is_like(),
        Operator::Between => {
            *held != Held::Nothing
                && order(0).is_some_and(Ordering::is_ge)
                && order(1).is_some_and(Ordering::is_le)
        }
        Operator::Set => held.is_set(),
        Operator::NotSet => !held.is_set(),
    }
}
