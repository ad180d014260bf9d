//! What is made of what, in the built-in store: so far, invoices of orders.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::json;

use crate::{
    Error, ErrorCode, Result,
    documents::{DocStatus, Document, Fields, Series},
};

/// One kind of document made of another.
#[derive(Debug)]
pub struct Pair {
    series: Series,
}

/// What is made of a source, and the source as it is after.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The fields of the new document.
    pub target: Fields,
    /// The fields of the source, all of them.
    pub source: Fields,
}

impl Pair {
    /// The pair, if there is one.
    pub fn find(from: &str, to: &str) -> Option<&'static Self> {
        static INVOICE: LazyLock<Option<Pair>> =
            LazyLock::new(|| Some(Pair { series: Series::parse("ACC-SINV-.YYYY.-").ok()? }));
        INVOICE.as_ref().filter(|_| (from, to) == ("Sales Order", "Sales Invoice"))
    }

    /// How new documents are named.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The document that is made of `source` at `now`.
    pub fn map(&self, source: &Document, _args: &Fields, _now: Timestamp) -> Result<Mapped> {
        if source.docstatus != DocStatus::Submitted {
            let detail = format!("{} is not submitted", source.key);
            return Err(Error::new(ErrorCode::DocstatusForbids, detail));
        }
        if source.fields.get("per_billed").is_some_and(|billed| *billed == json!(100)) {
            return Err(Error::new(ErrorCode::NothingToMap, format!("nothing of {} is left", source.key)));
        }
        let mut target = source.fields.clone();
        target.shift_remove("items");
        let rows = source.fields.get("items").cloned().unwrap_or_default();
        target.insert("items".to_owned(), rows);
        let mut after = source.fields.clone();
        after.insert("per_billed".to_owned(), json!(100));
        Ok(Mapped { target, source: after })
    }
}
