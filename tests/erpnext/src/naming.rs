//! The name of a new document.

use jiff::civil::DateTime;

use crate::{
    database::{Database, Document},
    doctype::{DocType, Naming},
    exception::{Exception, Outcome},
    value,
};

/// Ten random letters and digits.
pub fn hash() -> String {
    (0..10)
        .map(|_| fastrand::char('a'..='z'))
        .map(|c| if fastrand::u8(0..3) == 0 { fastrand::digit(10) } else { c })
        .collect()
}

/// The name of a new document; `given` is honoured where the DocType asks for it alone.
pub fn name(
    database: &mut Database,
    doctype: &DocType,
    document: &Document,
    given: Option<String>,
) -> Outcome<String> {
    let held = |field: &str| document.get(field).map(value::text).filter(|text| !text.is_empty());
    let required = |field: &str| {
        held(field).ok_or_else(|| {
            Exception::mandatory(&doctype.name, "None", &[(field.to_owned(), crate::doctype::label(field))])
        })
    };
    Ok(match &doctype.naming {
        Naming::Prompt => {
            let name = given.filter(|name| !name.trim().is_empty());
            name.map(|name| name.trim().to_owned())
                .ok_or_else(|| Exception::validation("Please set the document name"))?
        }
        Naming::Series(series) => {
            let series = held("naming_series").unwrap_or_else(|| series.clone());
            let now = database.now();
            from_series(database, &series, now)
        }
        Naming::Field(field) => required(field)?,
        Naming::Repeating(field) => unrepeated(database, doctype, &required(field)?),
        Naming::Hash | Naming::Child => hash(),
        Naming::Single => doctype.name.clone(),
        Naming::CustomField => format!("{}-{}", required("dt")?, required("fieldname")?),
    })
}

fn unrepeated(database: &Database, doctype: &DocType, wanted: &str) -> String {
    if database.get(&doctype.name, wanted).is_none() {
        return wanted.to_owned();
    }
    let free = (1..=100_000)
        .map(|n| format!("{wanted} - {n}"))
        .find(|name| database.get(&doctype.name, name).is_none());
    free.unwrap_or_else(hash)
}

/// `SAL-ORD-.YYYY.-` → `SAL-ORD-2026-00001`
fn from_series(database: &mut Database, series: &str, now: DateTime) -> String {
    let series = if series.contains('#') { series.to_owned() } else { format!("{series}.#####") };
    let mut name = String::new();
    for part in series.split('.') {
        match part {
            "YYYY" => name.push_str(&now.strftime("%Y").to_string()),
            "YY" => name.push_str(&now.strftime("%y").to_string()),
            "MM" => name.push_str(&now.strftime("%m").to_string()),
            "DD" => name.push_str(&now.strftime("%d").to_string()),
            digits if digits.starts_with('#') => {
                let number = database.next(&name);
                let width = digits.len();
                let number = format!("{number:0width$}");
                name.push_str(&number);
            }
            text => name.push_str(text),
        }
    }
    name
}
