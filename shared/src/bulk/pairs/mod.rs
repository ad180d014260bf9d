//! What is made of what in the built-in store: ERPNext's 17 pairs, as data (`rules/*.json`) that one engine reads.
//!
//! The maker of the built-in store finds a [`Pair`], has it [`map`](Pair::map) a source, and writes both documents it
//! gives in one transaction: the new one, and the source as it is after. Nothing here reads a store or a clock.
//!
//! Guaranteed:
//! - What was taken is noted in the source's own rows (or its header, for payments) at once, when the draft is made.
//!   Mapped again, the source gives what is left, and `nothing_to_map` when that is nothing: never an empty document.
//! - What the parts of a source have in quantities (of rows by quantity) or amounts (of rows by amount) adds up to the
//!   source's; so do fixed charges and discounts, which each part carries its share of.
//! - Numbers are decimals. One that is none is `mapping_failed` with its place; nothing overflows or divides by zero.

mod amount;
mod bundles;
mod packing;
mod payment;
mod progress;
mod rest;
mod rounding;
mod row;
mod rules;
mod selected;
mod status;
mod taxes;
#[cfg(test)]
mod tests;
mod totals;

use std::sync::LazyLock;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::Value;

use self::{
    payment::Payment,
    row::RowsForm,
    selected::Selected,
    status::{Refusal, StatusRule},
};
use crate::{
    Error, ErrorCode, Result,
    documents::{DocStatus, Document, Fields, Series},
    mapping::{Context, Mapping},
};

/// The pairs, read once. That they can be read, all 17 of them, is a test's statement.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| rules::read().unwrap_or_default());

/// How documents of one DocType are made of those of another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    from: String,
    to: String,
    series: Series,
    /// Whether the source is to be a draft, rather than submitted.
    #[serde(default)]
    of_draft: bool,
    #[serde(default)]
    refuse: Vec<Refusal>,
    /// The sets of names that are copied besides those of `header`.
    #[serde(default)]
    sets: Vec<String>,
    header: Mapping,
    /// The fields that get today's date.
    #[serde(default)]
    today: Vec<String>,
    form: Form,
    /// The source's status afterwards: the first that holds.
    #[serde(default)]
    status: Vec<StatusRule>,
}

/// What kind of document is made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// One of rows, each of a row of the source.
    Rows(Box<RowsForm>),
    /// A payment that refers to the source.
    Payment(Payment),
}

/// What is made of a source, and the source as it is after.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The fields of the new document, a draft.
    pub target: Fields,
    /// All fields of the source, with what is now billed, delivered or paid.
    pub source: Fields,
}

impl Pair {
    /// How documents of `to` are made of documents of `from`, if they are.
    pub fn find(from: &str, to: &str) -> Option<&'static Self> {
        PAIRS.iter().find(|pair| pair.from == from && pair.to == to)
    }

    /// The DocType of the source.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The DocType that is made.
    pub fn to(&self) -> &str {
        &self.to
    }

    /// By which series new documents are named: ERPNext's first one for the DocType.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// What is made of all that is left of `source`, or of the rows that `args` selects, at `now`; its dates are the
    /// day in UTC.
    ///
    /// Fails with `docstatus_forbids`, `status_forbids`, `nothing_to_map`, `mapping_failed` (naming the field), and
    /// `invalid_input` for arguments that are not known.
    pub fn map(&self, source: &Document, args: &Fields, now: Timestamp) -> Result<Mapped> {
        let mut selected = Selected::read(args, matches!(self.form, Form::Rows(_)))?;
        self.check_docstatus(source)?;
        let (flat, today) = (source.to_json(), now.to_zoned(TimeZone::UTC).date());
        for refusal in &self.refuse {
            refusal.check(source, &flat, today)?;
        }
        let mut target = self.header(&flat, now, today)?;
        let mut after = source.fields.clone();
        let progress = match &self.form {
            Form::Rows(form) => form.make(self, source, &mut after, &mut target, &mut selected)?,
            Form::Payment(payment) => payment.make(self, source, &mut after, &mut target)?,
        };
        status::update(&self.status, &mut after, progress);
        Ok(Mapped { target, source: after })
    }

    fn check_docstatus(&self, source: &Document) -> Result<()> {
        let (wanted, is) =
            if self.of_draft { (DocStatus::Draft, "a draft") } else { (DocStatus::Submitted, "submitted") };
        if source.docstatus == wanted {
            return Ok(());
        }
        let detail = format!("{} is not {is}: no {} can be made of it", source.key, self.to);
        Err(Error::new(ErrorCode::DocstatusForbids, detail))
    }

    fn header(&self, flat: &Value, now: Timestamp, today: Date) -> Result<Fields> {
        let mut target = Fields::new();
        target.insert("naming_series".to_owned(), self.series.to_string().into());
        target.insert("status".to_owned(), "Draft".into());
        target.extend(self.today.iter().map(|field| (field.clone(), today.to_string().into())));
        target.extend(given(self.header.apply(flat, &Context { received_at: now })?));
        Ok(target)
    }

    /// The failure of a source of which nothing is left.
    fn nothing_left(&self, source: &Document) -> Error {
        let detail = format!("nothing of {} is left for a {}", source.key, self.to);
        Error::new(ErrorCode::NothingToMap, detail)
    }
}

/// `fields` without those that say nothing: as in ERPNext, they are not copied.
fn given(mut fields: Fields) -> Fields {
    fields.retain(|_, value| !value.is_null() && *value != "");
    fields
}
