//! Prepares DocTypes of a site: adds the two Custom Fields by which an effect and its marker are one transaction of
//! the site.
//!
//! `causeway_id` is unique, so of two documents that are made for one thing, the site refuses the second.
//! `causeway_mark` says what was applied to the document. Both are read only and unseen in forms and prints, are not
//! copied with a document, and may change after it is submitted. It takes the permission to write Custom Fields, as
//! a System Manager has; done again, it changes nothing.

use std::fmt;

use serde_json::{Value, json};

use super::{ID_FIELD, MARK_FIELD, Map, Site, SiteError, SiteQuery};
use crate::outbound::Repeat;

/// What was done to a DocType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// At least one field was added.
    Added,
    /// Both were there.
    Already,
}

/// Why documents of a DocType cannot have the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// There is none of this name.
    Unknown,
    /// It is written otherwise.
    Misspelt(String),
    /// Its documents are rows of others.
    Rows,
    /// It has one document, which holds settings.
    Single,
    /// Its documents are not in the site's database.
    Virtual,
    /// Frappe itself rests on it, and lets nobody customise it.
    Core,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the site has no such DocType"),
            Self::Misspelt(name) => write!(f, "the site calls this DocType {name}"),
            Self::Rows => f.write_str("its documents are rows of others: prepare the DocType that has them"),
            Self::Single => f.write_str("it is a single document of settings, which Causeway does not write"),
            Self::Virtual => f.write_str("its documents are not in the site's database"),
            Self::Core => f.write_str("Frappe rests on it, and it cannot have Custom Fields"),
        }
    }
}

/// The DocTypes that cannot have Custom Fields (`core_doctypes_list` of Frappe 15).
const CORE: [&str; 18] = [
    "DefaultValue",
    "DocType",
    "DocField",
    "DocPerm",
    "DocType Action",
    "DocType Link",
    "User",
    "Role",
    "Has Role",
    "Page",
    "Module Def",
    "Print Format",
    "Report",
    "Customize Form",
    "Customize Form Field",
    "Property Setter",
    "Custom Field",
    "Client Script",
];

/// The DocType in which a site keeps the fields that were added to it.
const CUSTOM_FIELD: &str = "Custom Field";

impl Site {
    /// Why `doctype` cannot be prepared, if it cannot. It takes the permission to read DocTypes.
    pub async fn unfit(&self, doctype: &str) -> Result<Option<Unfit>, SiteError> {
        const FLAGS: [(&str, Unfit); 3] =
            [("istable", Unfit::Rows), ("issingle", Unfit::Single), ("is_virtual", Unfit::Virtual)];
        if CORE.contains(&doctype) {
            return Ok(Some(Unfit::Core));
        }
        let query = SiteQuery {
            doctype: "DocType".to_owned(),
            fields: ["name"]
                .into_iter()
                .chain(FLAGS.iter().map(|(field, _)| *field))
                .map(str::to_owned)
                .collect(),
            filters: vec![json!(["name", "=", doctype])],
            limit: 1,
            ..SiteQuery::default()
        };
        let rows = self.list(&query).await?;
        let Some(found) = rows.first() else { return Ok(Some(Unfit::Unknown)) };
        // The site's database compares without regard to case; Custom Fields do not.
        match found.get("name").and_then(Value::as_str) {
            Some(name) if name != doctype => return Ok(Some(Unfit::Misspelt(name.to_owned()))),
            _ => {}
        }
        let is_set = |field: &str| found.get(field).and_then(Value::as_u64).is_some_and(|flag| flag != 0);
        Ok(FLAGS.into_iter().find_map(|(field, unfit)| is_set(field).then_some(unfit)))
    }

    /// Gives documents of `doctype` both fields, whoever added them if they are there.
    pub async fn prepare(&self, doctype: &str) -> Result<Prepared, SiteError> {
        self.forget_prepared(doctype);
        match self.is_prepared(doctype).await {
            Ok(true) => return Ok(Prepared::Already),
            // Whoever may add fields need not be allowed to read the documents.
            Ok(false) | Err(SiteError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        let present = self.fields_of_ours(doctype).await?;
        let mut done = Prepared::Already;
        for (name, field) in [(ID_FIELD, id_field(doctype)), (MARK_FIELD, mark_field(doctype))] {
            if present.iter().any(|present| present == name) {
                continue;
            }
            match self.insert(CUSTOM_FIELD, field, Repeat::Safe).await {
                Ok(_) => done = Prepared::Added,
                // Someone else was faster, or a try of ours whose answer was lost: a site says so in several ways.
                Err(SiteError::Refused(_))
                    if self.fields_of_ours(doctype).await?.iter().any(|present| present == name) => {}
                Err(error) => return Err(error),
            }
        }
        self.forget_prepared(doctype);
        Ok(done)
    }

    /// The DocTypes that have both fields.
    pub async fn prepared_doctypes(&self) -> Result<Vec<String>, SiteError> {
        let with = |field: &'static str| async move {
            let rows = self.custom_fields(vec![json!(["fieldname", "=", field])], "dt").await?;
            Ok::<_, SiteError>(rows)
        };
        let marked = with(MARK_FIELD).await?;
        let mut both = with(ID_FIELD).await?;
        both.retain(|doctype| marked.contains(doctype));
        both.sort();
        both.dedup();
        Ok(both)
    }

    /// Which of the two `doctype` has.
    async fn fields_of_ours(&self, doctype: &str) -> Result<Vec<String>, SiteError> {
        let filters = vec![json!(["dt", "=", doctype]), json!(["fieldname", "in", [ID_FIELD, MARK_FIELD]])];
        self.custom_fields(filters, "fieldname").await
    }

    /// `shown` of the Custom Fields that fit `filters`.
    async fn custom_fields(&self, filters: Vec<Value>, shown: &str) -> Result<Vec<String>, SiteError> {
        let query = SiteQuery {
            doctype: CUSTOM_FIELD.to_owned(),
            fields: vec![shown.to_owned()],
            filters,
            // More DocTypes than any site has.
            limit: 2_000,
            ..SiteQuery::default()
        };
        let rows = self.list(&query).await?;
        let text = |row: &Map| row.get(shown).and_then(Value::as_str).map(ToOwned::to_owned);
        Ok(rows.iter().filter_map(text).collect())
    }
}

fn id_field(doctype: &str) -> Map {
    let mut field = field(doctype, ID_FIELD, "Causeway Id", "Data");
    // Also what makes it quick to find.
    field.insert("unique".to_owned(), json!(1));
    field
}

fn mark_field(doctype: &str) -> Map {
    field(doctype, MARK_FIELD, "Causeway Mark", "Small Text")
}

fn field(doctype: &str, name: &str, label: &str, fieldtype: &str) -> Map {
    let mut field = Map::from_iter([
        ("dt".to_owned(), json!(doctype)),
        ("fieldname".to_owned(), json!(name)),
        ("label".to_owned(), json!(label)),
        ("fieldtype".to_owned(), json!(fieldtype)),
    ]);
    for flag in ["read_only", "hidden", "no_copy", "print_hide", "report_hide", "allow_on_submit"] {
        field.insert(flag.to_owned(), json!(1));
    }
    field
}
