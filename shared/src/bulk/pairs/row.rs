//! Documents of rows: each of a row of the source, as much of it as is left.

use std::collections::HashSet;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Pair,
    amount::{Exact, Numbers, fault, put},
    bundles::{self, BUNDLES},
    given, packing,
    progress::{Progress, is_done},
    rest::{Portion, Rest},
    rounding::Money,
    selected::Selected,
    totals,
};
use crate::{
    Error, ErrorCode, FieldError, Result,
    documents::{Document, Fields, SYSTEM_FIELDS},
    mapping::{Condition, Context, Mapping},
};

/// The most rows a table has.
pub(super) const MAX_ROWS: usize = 1000;

/// The table of what is made.
const ITEMS: &str = "items";

/// How a document of rows is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsForm {
    /// How rows are made, a rule for each table of the source.
    pub rows: Vec<RowRule>,
    /// Tables that are taken over: whole, but of bundles the parts of what is taken.
    #[serde(default)]
    tables: Vec<String>,
    totals: Totals,
    /// Where the source says how much of it is done.
    percent: Option<Percent>,
}

/// What is computed of all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Totals {
    /// Taxes and totals.
    Order,
    /// The same, and what is outstanding.
    Invoice,
    /// The weight of a package.
    Package,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Percent {
    field: String,
    /// The field and the word that say the same for people.
    label: Option<(String, String)>,
}

/// How the rows of a table of the source become rows of the new document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowRule {
    /// The table of the source.
    from: String,
    /// The sets of names that are copied besides those of `fields`.
    #[serde(default)]
    pub sets: Vec<String>,
    /// The fields. Paths start at the row; `/name` and `/parent` are there even where the row has none.
    pub fields: Mapping,
    /// Which rows can be taken.
    pub when: Option<Condition>,
    /// Whether rows that `packed_items` has in parts cannot.
    #[serde(default)]
    unpacked: bool,
    /// Whether rows that cannot be taken do not count for what is done.
    #[serde(default)]
    counts_own: bool,
    rest: Rest,
    /// More fields with the quantity that is taken.
    #[serde(default)]
    quantities: Vec<String>,
}

/// A row that was made.
pub(super) struct Line {
    /// What the source calls its row.
    pub name: String,
    /// How much the source's row has.
    pub whole: Decimal,
    pub fields: Fields,
    pub quantity: Decimal,
    pub amount: Decimal,
}

impl RowsForm {
    /// Makes the rows and totals of `target`, and notes in `after` what was taken.
    pub fn make(
        &self,
        pair: &Pair,
        source: &Document,
        after: &mut Fields,
        target: &mut Fields,
        selected: &mut Selected,
    ) -> Result<Progress> {
        let header = Numbers::of_document(&source.fields);
        let money = Money::of(header)?;
        let is_billed = match &self.percent {
            Some(percent) => is_done(header.get(&percent.field)?),
            None => false,
        };
        let (mut lines, mut progress) = (Vec::new(), Progress::default());
        for rule in &self.rows {
            let mut taking = Taking { rule, source, money, is_billed, selected: &mut *selected };
            taking.rows(after, &mut lines, &mut progress)?;
        }
        selected.check_all_seen()?;
        if lines.is_empty() {
            return Err(pair.nothing_left(source));
        }
        for name in &self.tables {
            let rows =
                if name == BUNDLES { bundles::taken(&source.fields, &lines)? } else { all(source, name)? };
            if !rows.is_empty() {
                target.insert(name.clone(), rows.into());
            }
        }
        self.total(target, header, &mut lines, progress, money)?;
        target.insert(ITEMS.to_owned(), numbered(lines));
        self.note(after, progress);
        if self.totals == Totals::Package {
            packing::number(after, target, header)?;
        }
        Ok(progress)
    }

    fn total(
        &self,
        target: &mut Fields,
        source: Numbers<'_>,
        lines: &mut [Line],
        progress: Progress,
        money: Money,
    ) -> Result<()> {
        match self.totals {
            Totals::Package => packing::weigh(target, lines),
            Totals::Order => totals::write(target, source, lines, progress, money),
            Totals::Invoice => {
                totals::write(target, source, lines, progress, money)?;
                totals::write_outstanding(target, source)
            }
        }
    }

    /// Notes in the source's header how much of it is done.
    fn note(&self, after: &mut Fields, progress: Progress) {
        let Some(percent) = &self.percent else { return };
        if let Some(done) = progress.percent() {
            put(after, &percent.field, done);
        }
        if let Some((field, word)) = &percent.label {
            after.insert(field.clone(), progress.label(word).into());
        }
    }
}

/// A table of the source at work.
struct Taking<'a> {
    rule: &'a RowRule,
    source: &'a Document,
    money: Money,
    is_billed: bool,
    selected: &'a mut Selected,
}

impl Taking<'_> {
    fn rows(&mut self, after: &mut Fields, lines: &mut Vec<Line>, progress: &mut Progress) -> Result<()> {
        let from = self.rule.from.as_str();
        let rows = table(&self.source.fields, from)?;
        let packed =
            if self.rule.unpacked { parents(table(&self.source.fields, BUNDLES)?) } else { HashSet::new() };
        for (index, row) in rows.iter().enumerate() {
            let fields = row.as_object().ok_or_else(|| fault(format!("/{from}/{index}"), "is not a row"))?;
            let numbers = Numbers::of_row(fields, from, index);
            let reading = self.rule.rest.read(numbers, self.money, self.is_billed)?;
            let (name, row) = self.named(row, fields, index);
            let can_be_taken = self.rule.when.as_ref().is_none_or(|condition| condition.holds(&row))
                && !packed.contains(numbers.text("item_code"));
            let is_selected = self.selected.takes(&name);
            let portion = if can_be_taken && is_selected {
                self.rule.rest.portion(&reading, self.money)?
            } else {
                None
            };
            if can_be_taken || !self.rule.counts_own {
                self.rule.rest.count(&reading, portion, can_be_taken, self.money, progress)?;
            }
            let Some(portion) = portion else { continue };
            let fields = self.fields(&row, portion, reading.factor, index)?;
            let whole = reading.quantity;
            lines.push(Line { name, whole, fields, quantity: portion.quantity, amount: portion.amount });
            if let Some(own) =
                after.get_mut(from).and_then(|rows| rows.get_mut(index)).and_then(Value::as_object_mut)
            {
                self.rule.rest.note(&reading, portion, own)?;
            }
        }
        Ok(())
    }

    /// The row with its name and its parent's, as rows of ERPNext have them; by its place where it has none.
    fn named(&self, row: &Value, fields: &Fields, index: usize) -> (String, Value) {
        let place = || match fields.get("idx") {
            Some(Value::Number(idx)) => idx.to_string(),
            _ => (index + 1).to_string(),
        };
        let name = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.map_or_else(place, ToOwned::to_owned);
        let mut row = row.clone();
        if let Some(fields) = row.as_object_mut() {
            fields.insert("name".to_owned(), name.clone().into());
            fields.insert("parent".to_owned(), self.source.key.name.as_str().into());
        }
        (name, row)
    }

    fn fields(&self, row: &Value, portion: Portion, factor: Decimal, index: usize) -> Result<Fields> {
        // The time only decides between equal local times, which no rule here reads.
        let context = Context { received_at: Timestamp::UNIX_EPOCH };
        let made = self.rule.fields.apply(row, &context).map_err(|error| self.placed(&error, index))?;
        let mut fields = given(made);
        put(&mut fields, "qty", portion.quantity);
        for field in &self.rule.quantities {
            put(&mut fields, field, portion.quantity);
        }
        put(&mut fields, "stock_qty", portion.quantity.times(factor)?);
        Ok(fields)
    }

    /// The failure of a row's fields, with the row's place before theirs.
    fn placed(&self, error: &Error, index: usize) -> Error {
        let place = |fault: &FieldError| FieldError {
            field: format!("/{}/{index}{}", self.rule.from, fault.field),
            ..fault.clone()
        };
        Error::fields(error.field_errors().iter().map(place).collect()).with_code(ErrorCode::MappingFailed)
    }
}

/// The rows of a table, none if it is not there.
pub(super) fn table<'a>(fields: &'a Fields, name: &str) -> Result<&'a [Value]> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(rows)) if rows.len() <= MAX_ROWS => Ok(rows),
        Some(Value::Array(_)) => Err(fault(format!("/{name}"), "has more than 1,000 rows")),
        Some(_) => Err(fault(format!("/{name}"), "is not a list of rows")),
    }
}

/// The items that are sold as bundles of others.
fn parents(packed: &[Value]) -> HashSet<&str> {
    packed.iter().filter_map(|row| row.get("parent_item")?.as_str()).collect()
}

/// A row of another table, but for what is of the document it is in.
pub(super) fn taken_over(row: &Value, table: &str, index: usize) -> Result<Fields> {
    const OF_PARENT: [&str; 4] = ["parent", "parentfield", "parenttype", "item_wise_tax_detail"];
    let fields = row.as_object().ok_or_else(|| fault(format!("/{table}/{index}"), "is not a row"))?;
    let stays =
        |name: &str| !SYSTEM_FIELDS.contains(&name) && !OF_PARENT.contains(&name) && !name.starts_with("__");
    let kept = fields.iter().filter(|(name, _)| stays(name));
    let mut kept: Fields = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    kept.insert("idx".to_owned(), (index + 1).into());
    Ok(kept)
}

/// All rows of another table.
fn all(source: &Document, name: &str) -> Result<Vec<Value>> {
    let rows = table(&source.fields, name)?.iter().enumerate();
    rows.map(|(index, row)| Ok(Value::Object(taken_over(row, name, index)?))).collect()
}

fn numbered(lines: Vec<Line>) -> Value {
    let number = |(index, mut line): (usize, Line)| {
        line.fields.insert("idx".to_owned(), (index + 1).into());
        Value::Object(line.fields)
    };
    lines.into_iter().enumerate().map(number).collect::<Vec<_>>().into()
}
