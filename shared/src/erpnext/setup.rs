//! Prepares DocTypes of a site: adds the two Custom Fields by which an effect and its marker are one transaction of
//! the site.
//!
//! `causeway_id` is unique, so of two documents that are made for one thing, the site refuses the second.
//! `causeway_mark` says what was applied to the document. Both are read only and unseen in forms and prints, are not
//! copied with a document, and may change after it is submitted. It takes the permission to write Custom Fields, as
//! a System Manager has; done again, it changes nothing.

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

/// The DocType in which a site keeps the fields that were added to it.
const CUSTOM_FIELD: &str = "Custom Field";

impl Site {
    /// Gives documents of `doctype` both fields.
    pub async fn prepare(&self, doctype: &str) -> Result<Prepared, SiteError> {
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
