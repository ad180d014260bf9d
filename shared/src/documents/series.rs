//! Naming series as ERPNext writes them: `SAL-ORD-.YYYY.-` or `INV-.YY..MM.-.####`.
//!
//! Settings hold a series as text and parse it once; the store then asks for the [`prefix`](Series::prefix),
//! takes the next number of the counter of that prefix, and asks for the [`name`](Series::name). Both are, letter
//! for letter, what ERPNext makes of the same series on the same day (`frappe/model/naming.py`), with two
//! exceptions that are refused rather than misread: parts that stand for a field of the document (`{field}`),
//! and parts that stand for what only an ERPNext site knows (`FY`, `ABBR`, `timestamp`).

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::DocName;
use crate::{Error, Result};

/// The longest series, in characters: ERPNext keeps the counter's key in a column of that size.
const MAX_CHARS: usize = 100;

/// How many digits ERPNext gives a number for which the series says nothing.
const DEFAULT_DIGITS: usize = 5;

/// How new documents are named: texts, parts of the date, and a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Series {
    text: String,
    before: Vec<Part>,
    digits: usize,
    after: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Year,
    ShortYear,
    Month,
    Day,
    Week,
}

impl Series {
    /// Reads a series: parts separated by `.`, of which `YYYY`, `YY`, `MM`, `DD` and `WW` stand for the date and one
    /// of only `#` for the number, as many digits as there are `#`. Without one, five digits come last.
    pub fn parse(text: &str) -> Result<Self> {
        check_text(text)?;
        let (mut before, mut after, mut digits) = (Vec::new(), Vec::new(), None);
        for part in text.split('.').filter(|part| !part.is_empty()) {
            match (number(part)?, digits) {
                (Some(_), Some(_)) => return Err(invalid("has two parts of '#': only one is the number")),
                (Some(count), None) => digits = Some(count),
                (None, None) => before.push(Part::parse(part)?),
                (None, Some(_)) => after.push(Part::parse(part)?),
            }
        }
        let series = Self { text: text.to_owned(), before, digits: digits.unwrap_or(DEFAULT_DIGITS), after };
        // A series that gives names with white space around them would fail at every document instead of here.
        series.name(Date::constant(2000, 1, 1), 1).map_err(|error| invalid(error.detail()))?;
        Ok(series)
    }

    /// The key of the counter that documents of this day are numbered by: the text before the number. It is empty
    /// for a series that begins with its number.
    pub fn prefix(&self, date: Date) -> String {
        render(&self.before, date)
    }

    /// The name of the document of this day and number. A number of more digits than the series has is kept whole.
    pub fn name(&self, date: Date, number: u64) -> Result<DocName> {
        let (before, after) = (self.prefix(date), render(&self.after, date));
        DocName::new(format!("{before}{number:0digits$}{after}", digits = self.digits))
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "YYYY" => Self::Year,
            "YY" => Self::ShortYear,
            "MM" => Self::Month,
            "DD" => Self::Day,
            "WW" => Self::Week,
            "FY" | "ABBR" | "timestamp" => {
                return Err(invalid(format!("the part {text} is known to an ERPNext site only")));
            }
            other => Self::Text(other.to_owned()),
        })
    }
}

fn render(parts: &[Part], date: Date) -> String {
    parts.iter().fold(String::new(), |text, part| match part {
        Part::Text(part) => text + part,
        Part::Year => format!("{text}{:04}", date.year()),
        Part::ShortYear => format!("{text}{:02}", date.year().rem_euclid(100)),
        Part::Month => format!("{text}{:02}", date.month()),
        Part::Day => format!("{text}{:02}", date.day()),
        Part::Week => format!("{text}{:02}", week(date)),
    })
}

/// The ISO 8601 week, but as ERPNext counts it: within a year it never goes back, so the first days of January may
/// be week 0 and the last ones of December week 53.
fn week(date: Date) -> i8 {
    match (date.month(), date.iso_week_date().week()) {
        (1, 52..) => 0,
        (12, 1) => 53,
        (_, week) => week,
    }
}

/// How many digits the part stands for, if it is the number.
fn number(part: &str) -> Result<Option<usize>> {
    if !part.contains('#') {
        return Ok(None);
    }
    if part.chars().any(|c| c != '#') {
        return Err(invalid(format!("the '#' in {part:?} must be a part of their own, between dots")));
    }
    Ok(Some(part.len()))
}

fn check_text(text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::field("series", "missing", "must not be empty"));
    }
    if text.chars().count() > MAX_CHARS {
        return Err(Error::field("series", "too_long", format!("must be at most {MAX_CHARS} characters")));
    }
    if text.contains(['{', '}']) {
        return Err(invalid("parts that stand for a field, like {field}, are not supported"));
    }
    // ERPNext refuses the same, and a series must be usable on both sides of a mirror.
    if text.contains('#') && !text.contains('.') {
        return Err(invalid("needs a dot between its parts"));
    }
    match text.chars().find(|c| !(c.is_alphanumeric() || "_- /.#".contains(*c))) {
        Some(odd) => Err(invalid(format!("must not contain {odd:?}"))),
        None => Ok(()),
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::field("series", "invalid", detail)
}

impl TryFrom<String> for Series {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Series> for String {
    fn from(series: Series) -> Self {
        series.text
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn name(series: &str, number: u64) -> String {
        Series::parse(series).unwrap().name(date(2026, 3, 9), number).unwrap().to_string()
    }

    #[test]
    fn names_are_those_erpnext_gives() {
        for (series, expected) in [
            ("SAL-ORD-.YYYY.-", "SAL-ORD-2026-00007"),
            ("INV-.YY..MM.-.####", "INV-2603-0007"),
            ("DE/./.YY./.MM./.#####", "DE//26/03/00007"),
            ("D.DD.W.WW.-", "D09W11-00007"),
            ("ACC-", "ACC-00007"),
            ("A-.##.-Z", "A-07-Z"),
            (".#####.-.YYYY", "00007-2026"),
            (".####", "0007"),
            ("Übung-.#", "Übung-7"),
        ] {
            assert_eq!(name(series, 7), expected, "{series}");
        }
    }

    #[test]
    fn the_prefix_is_the_text_before_the_number() {
        let prefix = |text: &str| Series::parse(text).unwrap().prefix(date(2026, 12, 31));
        assert_eq!(prefix("SAL-ORD-.YYYY.-"), "SAL-ORD-2026-");
        assert_eq!(prefix("A-.##.-Z"), "A-");
        assert_eq!(prefix(".#####.-.YYYY"), "");
    }

    #[test]
    fn a_number_of_more_digits_is_kept_whole() {
        assert_eq!(name("A-.##", 12_345), "A-12345");
        assert_eq!(name("A-.##", u64::MAX), format!("A-{}", u64::MAX));
    }

    #[test]
    fn weeks_never_go_back_within_a_year() {
        let series = Series::parse(".WW.").unwrap();
        assert_eq!(series.prefix(date(2027, 1, 1)), "00", "ISO says week 53 of 2026");
        assert_eq!(series.prefix(date(2025, 12, 31)), "53", "ISO says week 1 of 2026");
        assert_eq!(series.prefix(date(2026, 1, 1)), "01");
    }

    #[test]
    fn what_cannot_be_named_by_is_refused_with_the_field() {
        for (series, says) in [
            ("", "empty"),
            ("  ", "empty"),
            ("INV-.{company}.-", "{field}"),
            ("INV-####", "dot"),
            ("INV-##.YYYY", "between dots"),
            ("INV-.##.-.##", "two parts"),
            ("INV-.FY.-", "FY"),
            ("INV-.timestamp.-", "timestamp"),
            ("INV:.YYYY.", "':'"),
            (" INV-.YYYY.", "white space"),
            ("INV-.#.- ", "white space"),
            (&"x".repeat(101), "100"),
        ] {
            let error = Series::parse(series).unwrap_err();
            assert_eq!(error.field_errors()[0].field, "series");
            assert!(error.detail().contains(says), "{series:?} gave {error}");
        }
    }

    #[test]
    fn it_is_its_text_in_json() {
        let series: Series = serde_json::from_str(r#""SAL-ORD-.YYYY.-""#).unwrap();
        assert_eq!(series.to_string(), "SAL-ORD-.YYYY.-");
        assert_eq!(serde_json::to_string(&series).unwrap(), r#""SAL-ORD-.YYYY.-""#);
        assert!(serde_json::from_str::<Series>(r#""A-.{b}""#).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_series_or_a_field_error(text in "[A-Z#.{} -]{0,30}|.{0,20}", number: u64) {
            match Series::parse(&text) {
                Ok(series) => {
                    let name = series.name(date(2026, 11, 22), number).unwrap();
                    prop_assert!(name.as_str().starts_with(&series.prefix(date(2026, 11, 22))));
                }
                Err(error) => prop_assert_eq!(error.field_errors().len(), 1),
            }
        }
    }
}
