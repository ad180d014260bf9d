//! Filters as Frappe's clients write them.
//!
//! An object `{"status": "Open", "qty": [">", 5]}`, or a list of `[field, value]`, `[field, operator, value]`,
//! `[doctype, field, operator, value]` (and objects). `filters` must all hold, of `or_filters` one.

use serde_json::Value;

use super::{Filter, Filters, MAX_FILTERS, MAX_VALUES, Operator, invalid};
use crate::{
    Error, Result,
    documents::{DocType, column::Column},
};

/// The operators by the names Frappe gives them; `is` stands for two.
const OPERATORS: [(&str, Operator); 11] = [
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    ("like", Operator::Like),
    ("not like", Operator::NotLike),
    ("in", Operator::In),
    ("not in", Operator::NotIn),
    ("between", Operator::Between),
];

impl Filters {
    /// The filters of a list of `doctype`. An error names `filters` or `or_filters`.
    pub fn read(doctype: &DocType, filters: Option<&Value>, or_filters: Option<&Value>) -> Result<Self> {
        let list = |given: Option<&Value>, input: &str| match given {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => all_of(value, doctype).map_err(|error| error.at(input)),
        };
        let read = Self { all: list(filters, "filters")?, any: list(or_filters, "or_filters")? };
        if read.all.len() + read.any.len() > MAX_FILTERS {
            return Err(too_many());
        }
        Ok(read)
    }
}

fn too_many() -> Error {
    Error::field("filters", "too_long", format!("there are at most {MAX_FILTERS} filters"))
}

fn all_of(value: &Value, doctype: &DocType) -> Result<Vec<Filter>> {
    match value {
        Value::Object(by_field) if by_field.len() > MAX_FILTERS => Err(too_many()),
        Value::Object(by_field) => {
            by_field.iter().map(|(field, value)| of_field(field, value, doctype)).collect()
        }
        Value::Array(list) if list.len() > MAX_FILTERS => Err(too_many()),
        Value::Array(list) => {
            let mut all = Vec::with_capacity(list.len());
            for filter in list {
                all.extend(one(filter, doctype)?);
            }
            Ok(all)
        }
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Error {
    invalid(
        "must be an object of fields and values, or a list of [field, operator, value] or [doctype, field, operator, value]",
    )
}

fn one(filter: &Value, doctype: &DocType) -> Result<Vec<Filter>> {
    let parts = match filter {
        Value::Array(parts) => parts.as_slice(),
        Value::Object(_) => return all_of(filter, doctype),
        _ => return Err(unreadable()),
    };
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned).ok_or_else(unreadable);
    let (table, field, operator, value) = match parts {
        [field, value] => (None, field, "=".to_owned(), value),
        [field, operator, value] => (None, field, text(operator)?, value),
        // What the desk adds as fifth says whether it shows the filter.
        [table, field, operator, value] | [table, field, operator, value, _] => {
            (Some(DocType::new(text(table)?)?), field, text(operator)?, value)
        }
        _ => return Err(unreadable()),
    };
    let column = Column::read(&text(field)?, doctype, "filters")?;
    let child = table.filter(|table| table != doctype).or(column.child);
    build(child, column.field, &operator, value).map(|filter| vec![filter])
}

fn of_field(field: &str, value: &Value, doctype: &DocType) -> Result<Filter> {
    let column = Column::read(field, doctype, "filters")?;
    match value {
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(operator), value] => build(column.child, column.field, operator, value),
            _ => Err(invalid(format!("{field}: a list is [operator, value]"))),
        },
        value => build(column.child, column.field, "=", value),
    }
}

fn build(child: Option<DocType>, field: String, operator: &str, value: &Value) -> Result<Filter> {
    let name = operator.trim().to_lowercase();
    if name == "is" {
        let operator = match value.as_str().map(|value| value.trim().to_lowercase()).as_deref() {
            Some("set") => Operator::Set,
            Some("not set") => Operator::NotSet,
            _ => return Err(invalid("is takes \"set\" or \"not set\"")),
        };
        return Filter::new(child, field, operator, Vec::new());
    }
    let Some((_, operator)) = OPERATORS.into_iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = OPERATORS.iter().map(|(known, _)| *known).collect();
        return Err(invalid(format!(
            "the operator {operator:?} is not supported; there are: {}, is",
            known.join(", ")
        )));
    };
    Filter::new(child, field, operator, values(operator, value)?)
}

fn values(operator: Operator, value: &Value) -> Result<Vec<Value>> {
    let is_list = matches!(operator, Operator::In | Operator::NotIn);
    match value {
        Value::Array(values) if is_list || operator == Operator::Between => {
            if values.len() > MAX_VALUES {
                return Err(invalid(format!("a list has at most {MAX_VALUES} values")));
            }
            Ok(values.clone())
        }
        // As Frappe reads it.
        Value::String(text) if is_list => {
            Ok(text.split(',').map(|value| value.trim().into()).take(MAX_VALUES + 1).collect())
        }
        value => Ok(vec![value.clone()]),
    }
}
