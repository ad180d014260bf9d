//! The mapper methods: each is called for a document that is there, and nothing is saved.
//!
//! They are called by GET. After a POST, a site would keep what some of them make besides: the customer of a quotation
//! to a lead, the bundle of reserved serial numbers. After a GET it undoes all of it.

use serde_json::{Value, json};

use super::{Check, Seen};
use crate::erpnext::{
    Exception, Site, SiteError, SiteQuery,
    mapper::{MAPPINGS, Mapping},
};

impl Check<'_> {
    pub(super) async fn map(&mut self) {
        let site = self.site;
        for mapping in MAPPINGS {
            let name = format!("{} → {}", mapping.from, mapping.to);
            self.note(name, try_mapping(site, mapping)).await;
        }
    }
}

async fn try_mapping(site: &Site, mapping: &Mapping) -> Result<Seen, SiteError> {
    let status = mapping.source_docstatus();
    let query = SiteQuery {
        doctype: mapping.from.to_owned(),
        fields: vec!["name".to_owned()],
        filters: vec![json!(["docstatus", "=", u8::from(status)])],
        order_by: "modified desc".to_owned(),
        limit: 1,
        ..SiteQuery::default()
    };
    let rows = match site.list(&query).await {
        Err(SiteError::Refused(refusal)) => return Ok(Seen::skipped(refusal.message)),
        other => other?,
    };
    let Some(source) = rows.first().and_then(|row| row.get("name")).and_then(Value::as_str) else {
        let status = format!("{status:?}").to_lowercase();
        return Ok(Seen::skipped(format!("there is no {status} {}", mapping.from)));
    };
    match site.preview(mapping, source).await {
        Ok(made) => Ok(Seen::works(format!("of {source}: {} fields", made.len()))),
        Err(SiteError::Refused(refusal)) => Ok(match refusal.exception {
            Exception::NothingToMap => Seen::works(format!("of {source}: nothing is left, and that is told")),
            Exception::Validation => Seen::works(format!("of {source}: refused: {}", refusal.message)),
            _ => Seen::warning(
                format!("of {source}: {}", refusal.message),
                "If such documents are to be made, give the user a role that may.",
            ),
        }),
        Err(error) => Err(error),
    }
}
