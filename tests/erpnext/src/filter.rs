//! Lists: which documents a caller asks for, in what order, and which of their fields.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::{
    clock,
    database::{Database, Document, folded},
    doctype::DocType,
    exception::{Exception, Outcome},
    value,
};

/// What every document has beside its DocType's fields.
const STANDARD: [&str; 16] = [
    "name",
    "owner",
    "creation",
    "modified",
    "modified_by",
    "docstatus",
    "idx",
    "parent",
    "parentfield",
    "parenttype",
    "doctype",
    "_user_tags",
    "_comments",
    "_assign",
    "_liked_by",
    "_seen",
];

/// A list as it is asked for.
#[derive(Debug, Default)]
pub struct ListQuery {
    /// The names of fields; empty: the name.
    pub fields: Vec<String>,
    /// All hold.
    pub filters: Value,
    /// One holds.
    pub or_filters: Value,
    /// `field [asc|desc], …`; by name without.
    pub order_by: String,
    /// How many are left out first.
    pub start: usize,
    /// How many are given; 0: all.
    pub limit: usize,
}

#[derive(Debug)]
struct Condition {
    child: Option<String>,
    field: String,
    operator: String,
    value: Value,
}

fn known(doctype: &DocType, field: &str) -> bool {
    STANDARD.contains(&field) || doctype.keeps(field)
}

fn permitted(doctype: &DocType, field: &str) -> Outcome<()> {
    if known(doctype, field) { Ok(()) } else { Err(Exception::field_not_permitted(field)) }
}

/// `` `tabSales Order`.`name` `` → `name`
fn plain(doctype: &str, field: &str) -> String {
    let field = field.trim();
    let field = field.strip_prefix(&format!("`tab{doctype}`.")).unwrap_or(field);
    field.trim_matches('`').to_owned()
}

impl Condition {
    fn new(field: &str, operator: &str, value: Value) -> Self {
        Self { child: None, field: field.into(), operator: operator.to_lowercase(), value }
    }

    fn read(doctype: &str, entry: &[Value]) -> Outcome<Self> {
        let word = |index: usize| entry.get(index).map(value::text).unwrap_or_default();
        let mut condition = match entry.len() {
            2 => Self::new(&word(0), "=", entry[1].clone()),
            3 => Self::new(&word(0), &word(1), entry[2].clone()),
            4 | 5 => Self::new(&word(1), &word(2), entry[3].clone()),
            _ => {
                return Err(Exception::validation(
                    "Filter must have 4 values (doctype, fieldname, operator, value)",
                ));
            }
        };
        if entry.len() >= 4 && word(0) != doctype {
            condition.child = Some(word(0));
        }
        condition.field = plain(doctype, &condition.field);
        Ok(condition)
    }

    fn check(&self, database: &Database, doctype: &DocType) -> Outcome<()> {
        const OPERATORS: [&str; 14] = [
            "=",
            "!=",
            ">",
            "<",
            ">=",
            "<=",
            "like",
            "not like",
            "in",
            "not in",
            "is",
            "between",
            "timespan",
            "descendants of",
        ];
        if !OPERATORS.contains(&self.operator.as_str()) {
            let known = OPERATORS.join(", ");
            return Err(Exception::validation(&format!("Operator must be one of {known}")));
        }
        if self.operator == "between" && !self.is_range_of_days() {
            // Frappe makes a number of the range, and the database does not understand the statement.
            return Err(Exception::python(
                "ProgrammingError",
                "(1064, \"You have an error in your SQL syntax\")",
            ));
        }
        match &self.child {
            None => permitted(doctype, &self.field),
            Some(child) => match database.doctypes.get(child) {
                Some(child) => permitted(child, &self.field),
                None if doctype.open => Ok(()),
                None => Err(Exception::missing(&format!("DocType {child}"))),
            },
        }
    }

    fn is_range_of_days(&self) -> bool {
        let is_day = |end: &Value| {
            end.as_str().and_then(|text| text.get(..10)).is_some_and(|day| clock::parse(day).is_some())
        };
        let ends = self.values();
        ends.len() == 2 && ends.iter().all(is_day)
    }

    fn holds(&self, document: &Document) -> bool {
        let Some(child) = &self.child else { return self.holds_for(document.get(&self.field)) };
        let rows = document.values().filter_map(Value::as_array).flatten().filter_map(Value::as_object);
        rows.filter(|row| row.get("doctype").and_then(Value::as_str) == Some(child))
            .any(|row| self.holds_for(row.get(&self.field)))
    }

    fn holds_for(&self, held: Option<&Value>) -> bool {
        let held = held.unwrap_or(&Value::Null);
        let order = || value::compare(held, &self.value);
        match self.operator.as_str() {
            "=" => order().is_eq(),
            "!=" => order().is_ne(),
            ">" => !held.is_null() && order().is_gt(),
            ">=" => !held.is_null() && order().is_ge(),
            "<" => order().is_lt(),
            "<=" => order().is_le(),
            "like" => !held.is_null() && like(held, &self.value),
            "not like" => !like(held, &self.value),
            "in" => self.values().iter().any(|one| value::compare(held, one).is_eq()),
            "not in" => !self.values().iter().any(|one| value::compare(held, one).is_eq()),
            "is" => (value::text(&self.value) == "set") != value::is_empty(Some(held)),
            "between" => !held.is_null() && self.between(held),
            _ => false,
        }
    }

    fn values(&self) -> Vec<Value> {
        match &self.value {
            Value::Array(values) => values.clone(),
            Value::String(text) => text.split(',').map(|one| json!(one.trim())).collect(),
            other => vec![other.clone()],
        }
    }

    fn between(&self, held: &Value) -> bool {
        let values = self.values();
        let (Some(from), Some(to)) = (values.first(), values.get(1)) else { return false };
        let mut to = to.clone();
        if let Some(text) = to.as_str().filter(|text| text.len() == 10 && clock::parse(text).is_some()) {
            to = json!(format!("{text} 23:59:59.999999"));
        }
        value::compare(held, from).is_ge() && value::compare(held, &to).is_le()
    }
}

/// `%` is anything and `_` one character, without case.
fn like(held: &Value, pattern: &Value) -> bool {
    let (held, pattern) = (folded(&value::text(held)), folded(&value::text(pattern)));
    let (held, pattern): (Vec<char>, Vec<char>) = (held.chars().collect(), pattern.chars().collect());
    let mut reached = vec![false; held.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        let mut next = vec![false; held.len() + 1];
        for at in 0..=held.len() {
            if wanted == '%' {
                next[at] = reached[at] || (at > 0 && next[at - 1]);
            } else if at > 0 {
                next[at] = reached[at - 1] && (wanted == '_' || wanted == held[at - 1]);
            }
        }
        reached = next;
    }
    reached[held.len()]
}

fn conditions(database: &Database, doctype: &DocType, filters: &Value) -> Outcome<Vec<Condition>> {
    let read: Vec<Condition> = match filters {
        Value::Object(fields) => fields
            .iter()
            .map(|(field, wanted)| match wanted.as_array().map(Vec::as_slice) {
                Some([Value::String(operator), value]) => Condition::new(field, operator, value.clone()),
                _ => Condition::new(field, "=", wanted.clone()),
            })
            .collect(),
        Value::Array(entries) => entries
            .iter()
            .map(|entry| match entry {
                Value::Array(entry) => Condition::read(&doctype.name, entry),
                _ => Err(Exception::validation("Invalid filter")),
            })
            .collect::<Outcome<_>>()?,
        Value::String(name) if !name.is_empty() => vec![Condition::new("name", "=", json!(name))],
        _ => Vec::new(),
    };
    for condition in &read {
        condition.check(database, doctype)?;
    }
    Ok(read)
}

fn matching<'a>(
    database: &'a Database,
    doctype: &DocType,
    filters: &Value,
    or_filters: &Value,
) -> Outcome<Vec<&'a Document>> {
    let all = conditions(database, doctype, filters)?;
    let any = conditions(database, doctype, or_filters)?;
    Ok(database
        .all(&doctype.name)
        .filter(|document| all.iter().all(|condition| condition.holds(document)))
        .filter(|document| any.is_empty() || any.iter().any(|condition| condition.holds(document)))
        .collect())
}

/// How many documents there are.
pub fn count(database: &Database, doctype: &DocType, filters: &Value, or_filters: &Value) -> Outcome<usize> {
    Ok(matching(database, doctype, filters, or_filters)?.len())
}

fn ordered(doctype: &DocType, order_by: &str, found: &mut [&Document]) -> Outcome<()> {
    let mut keys: Vec<(String, bool)> = Vec::new();
    for part in order_by.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (field, direction) = part.rsplit_once(' ').unwrap_or((part, "asc"));
        let field = plain(&doctype.name, field);
        if !known(doctype, &field) {
            return Err(Exception::unknown_column(&field));
        }
        keys.push((field, direction.eq_ignore_ascii_case("desc")));
    }
    found.sort_by(|left, right| {
        keys.iter().fold(Ordering::Equal, |order, (field, descending)| {
            order.then_with(|| {
                let of = |document: &Document| document.get(field).cloned().unwrap_or_default();
                let order = value::compare(&of(left), &of(right));
                if *descending { order.reverse() } else { order }
            })
        })
    });
    Ok(())
}

/// The rows of a list.
pub fn list(database: &Database, doctype: &DocType, query: &ListQuery) -> Outcome<Vec<Document>> {
    let mut columns: Vec<(String, String)> = Vec::new();
    for field in &query.fields {
        let (field, alias) = field.split_once(" as ").unwrap_or((field, field));
        let field = plain(&doctype.name, field);
        if field != "*" {
            permitted(doctype, &field)?;
        }
        columns.push((field, plain(&doctype.name, alias)));
    }
    if columns.is_empty() {
        columns.push(("name".into(), "name".into()));
    }
    let mut found = matching(database, doctype, &query.filters, &query.or_filters)?;
    ordered(doctype, &query.order_by, &mut found)?;
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    Ok(found.into_iter().skip(query.start).take(limit).map(|document| row(document, &columns)).collect())
}

fn row(document: &Document, columns: &[(String, String)]) -> Document {
    let mut row = Document::new();
    for (field, alias) in columns {
        if field == "*" {
            let scalars = document.iter().filter(|(name, value)| !value.is_array() && *name != "doctype");
            row.extend(scalars.map(|(name, value)| (name.clone(), value.clone())));
        } else {
            row.insert(
                alias.clone(),
                document.get(field).filter(|held| !held.is_array()).cloned().unwrap_or_default(),
            );
        }
    }
    row
}
