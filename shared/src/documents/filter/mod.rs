//! Filters of a list: which documents are asked for.
//!
//! The API reads them ([`Filters::read`], Frappe's JSON forms) and gives them to a store in a
//! [`ListQuery`](super::ListQuery). A store uses what it can for finding documents, and asks
//! [`Filters::matches`] of each document it has found, so that every store means the same by a filter.
//!
//! The meaning is that of Frappe on MariaDB, with what follows from documents having no schema here:
//! - Numbers compare by what they are worth, also with text that is a number; texts letter for letter.
//! - A field that is missing or null counts as 0 beside a number and as empty beside a text, so `!=`, `not in` and
//!   `not like` find it; `like` and `between` do not.
//! - `like` knows `%` and `_`, and does not tell upper from lower case. `=` does, since names do.
//! - `modified` and `creation` compare as instants. Times without an offset are UTC. A date is its first moment; as
//!   the end of `between`, its last.
//! - A filter on a child DocType holds if one row holds; several in `all` on the same DocType must hold in one and the same row.
//!   Rows that name no DocType may be of any.

mod compare;
mod like;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::Value;

use self::compare::Held;
use super::{DocType, Document, DocumentPlace, Fields};
use crate::{
    Error, Result,
    mapping::{decimal, in_utc},
};

/// The most filters of a list, `all` and `any` together.
pub const MAX_FILTERS: usize = 50;
/// The most values of an `in`.
pub const MAX_VALUES: usize = 500;
/// The longest value, in bytes: a name fits.
const MAX_VALUE_BYTES: usize = 600;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `like`
    Like,
    /// `not like`
    NotLike,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `between`, both ends included
    Between,
    /// `is` `set`: neither missing, null, empty text nor a table without rows
    Set,
    /// `is` `not set`
    NotSet,
}

/// A value that fields are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    value: Value,
    text: String,
    number: Option<Decimal>,
    time: Option<Timestamp>,
    is_date: bool,
}

/// One condition on one field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Filter {
    child: Option<DocType>,
    field: String,
    operator: Operator,
    operands: Vec<Operand>,
}

/// All conditions of a list.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Filters {
    /// Each of them holds.
    pub all: Vec<Filter>,
    /// One of them holds, if there are any.
    pub any: Vec<Filter>,
}

impl Operand {
    fn new(value: Value) -> Result<Self> {
        let text = match &value {
            Value::Null => String::new(),
            Value::Bool(yes) => u8::from(*yes).to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => {
                return Err(invalid("a value is a text, a number, true, false or null"));
            }
        };
        if text.len() > MAX_VALUE_BYTES {
            let detail = format!("a value has at most {MAX_VALUE_BYTES} bytes");
            return Err(Error::field("filters", "too_long", detail));
        }
        let number = match &value {
            Value::Bool(yes) => Some(Decimal::from(u8::from(*yes))),
            value => decimal(value),
        };
        let time = value.as_str().and_then(in_utc);
        let is_date = time.is_some() && text.trim().len() == "2026-01-01".len();
        Ok(Self { value, text, number, time, is_date })
    }

    /// The value as it was given.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The instant that it is, if it is a time.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// As the end of a range: a date is its last microsecond.
    fn into_end(mut self) -> Self {
        if self.is_date {
            let end = SignedDuration::from_hours(24) - SignedDuration::from_micros(1);
            self.time = self.time.map(|start| start.saturating_add(end).unwrap_or(Timestamp::MAX));
        }
        self
    }
}

impl Serialize for Operand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl Filter {
    /// The condition that `field` (of a row of DocType `child`, if that is given) compares so with `values`: one, two
    /// for `between`, none for `is`, at most 500 for `in`.
    pub fn new(
        child: Option<DocType>,
        field: impl Into<String>,
        operator: Operator,
        values: Vec<Value>,
    ) -> Result<Self> {
        let count = match operator {
            Operator::In | Operator::NotIn => 0..=MAX_VALUES,
            Operator::Between => 2..=2,
            Operator::Set | Operator::NotSet => 0..=0,
            _ => 1..=1,
        };
        if !count.contains(&values.len()) {
            return Err(invalid(match operator {
                Operator::In | Operator::NotIn => format!("a list has at most {MAX_VALUES} values"),
                Operator::Between => "between takes a list of two values".to_owned(),
                _ => "an operator takes one value".to_owned(),
            }));
        }
        let mut operands = values.into_iter().map(Operand::new).collect::<Result<Vec<_>>>()?;
        if operator == Operator::Between
            && let Some(end) = operands.pop()
        {
            operands.push(end.into_end());
        }
        let filter = Self { child, field: field.into(), operator, operands };
        filter.check_times()?;
        Ok(filter)
    }

    /// The store's times compare with nothing but times.
    fn check_times(&self) -> Result<()> {
        let is_time = self.child.is_none() && matches!(self.field.as_str(), "modified" | "creation");
        if !is_time || matches!(self.operator, Operator::Like | Operator::NotLike) {
            return Ok(());
        }
        match self.operands.iter().find(|operand| operand.time.is_none() && !operand.text.is_empty()) {
            None => Ok(()),
            Some(operand) => Err(invalid(format!(
                "{} compares with times (RFC 3339, \"YYYY-MM-DD HH:MM:SS\" in UTC, or a date), not {:?}",
                self.field, operand.text
            ))),
        }
    }

    /// The child DocType whose rows it is about; `None`: the document itself.
    pub fn child(&self) -> Option<&DocType> {
        self.child.as_ref()
    }

    /// The field.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it compares with.
    pub fn operands(&self) -> &[Operand] {
        &self.operands
    }

    /// The texts of its operands, if it says that the document's own `field` is one of them.
    pub fn one_of(&self, field: &str) -> Option<impl Iterator<Item = &str>> {
        let applies = self.child.is_none() && self.field == field;
        let fits = matches!(self.operator, Operator::Equal | Operator::In);
        (applies && fits).then(|| self.operands.iter().map(|operand| operand.text.as_str()))
    }

    /// The first and last instant that the document's own `field` may be, as far as this filter bounds it.
    pub fn bounds(&self, field: &str) -> (Option<Timestamp>, Option<Timestamp>) {
        if self.child.is_some() || self.field != field {
            return (None, None);
        }
        let time = |n: usize| self.operands.get(n).and_then(|operand| operand.time);
        match self.operator {
            Operator::Equal => (time(0), time(0)),
            Operator::Greater | Operator::GreaterOrEqual => (time(0), None),
            Operator::Less | Operator::LessOrEqual => (None, time(0)),
            Operator::Between => (time(0), time(1)),
            _ => (None, None),
        }
    }

    /// Whether name and `modified` alone decide it.
    pub fn is_of_place(&self) -> bool {
        self.child.is_none() && matches!(self.field.as_str(), "name" | "modified")
    }

    fn holds_for(&self, document: &Document) -> bool {
        match &self.child {
            None => compare::holds(self.operator, &self.operands, &Held::of(document, &self.field)),
            Some(child) => rows(&document.fields, child).any(|row| self.holds_in(row)),
        }
    }

    fn holds_in(&self, row: &Fields) -> bool {
        compare::holds(self.operator, &self.operands, &Held::in_row(row, &self.field))
    }

    fn holds_at(&self, place: &DocumentPlace) -> bool {
        let held = match self.field.as_str() {
            "modified" => Held::Time(place.modified),
            _ => Held::Name(place.key.name.as_str()),
        };
        compare::holds(self.operator, &self.operands, &held)
    }
}

impl Filters {
    /// Whether everything is asked for.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.any.is_empty()
    }

    /// Whether `document` is asked for.
    pub fn matches(&self, document: &Document) -> bool {
        let mut by_child: BTreeMap<&DocType, Vec<&Filter>> = BTreeMap::new();
        for filter in &self.all {
            match &filter.child {
                Some(child) => by_child.entry(child).or_default().push(filter),
                None if !filter.holds_for(document) => return false,
                None => {}
            }
        }
        let in_one_row = |child: &DocType, filters: &[&Filter]| {
            rows(&document.fields, child).any(|row| filters.iter().all(|filter| filter.holds_in(row)))
        };
        by_child.iter().all(|(child, filters)| in_one_row(child, filters))
            && (self.any.is_empty() || self.any.iter().any(|filter| filter.holds_for(document)))
    }

    /// Whether a document at `place` may be asked for, as far as that can be told without reading it.
    pub fn may_match(&self, place: &DocumentPlace) -> bool {
        self.all.iter().filter(|filter| filter.is_of_place()).all(|filter| filter.holds_at(place))
            && (self.any.is_empty()
                || self.any.iter().any(|filter| !filter.is_of_place() || filter.holds_at(place)))
    }

    /// Whether documents must be read to tell which are asked for.
    pub fn need_documents(&self) -> bool {
        !self.all.iter().chain(&self.any).all(Filter::is_of_place)
    }
}

/// The rows of all tables that are of DocType `child`, or may be.
fn rows<'a>(fields: &'a Fields, child: &'a DocType) -> impl Iterator<Item = &'a Fields> {
    let tables = fields.values().filter_map(Value::as_array);
    let rows = tables.flatten().filter_map(Value::as_object);
    rows.filter(|row| match row.get("doctype") {
        Some(doctype) => doctype.as_str() == Some(child.as_str()),
        None => true,
    })
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::field("filters", "invalid", detail)
}
