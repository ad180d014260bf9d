//! What is asked of a list of documents.

use serde_json::Value;

use super::Map;

/// A page of a list: the site's own words for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiteQuery {
    /// The DocType.
    pub doctype: String,
    /// The fields that are shown; none means the name alone.
    pub fields: Vec<String>,
    /// Conditions that all hold: `[field, operator, value]`, or `[child DocType, field, operator, value]`.
    pub filters: Vec<Value>,
    /// Conditions of which one holds.
    pub or_filters: Vec<Value>,
    /// The order, e.g. `modified asc, name asc`; empty for the DocType's own.
    pub order_by: String,
    /// How many documents are passed over.
    pub start: usize,
    /// How many are shown, at least 1: for a site, 0 would mean all.
    pub limit: usize,
}

impl SiteQuery {
    /// The parameters of `GET /api/resource/{doctype}`: lists as JSON.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if !self.fields.is_empty() {
            all.push(("fields", Value::from(self.fields.clone()).to_string()));
        }
        for (name, filters) in [("filters", &self.filters), ("or_filters", &self.or_filters)] {
            if !filters.is_empty() {
                all.push((name, Value::from(filters.clone()).to_string()));
            }
        }
        if !self.order_by.is_empty() {
            all.push(("order_by", self.order_by.clone()));
        }
        if self.start > 0 {
            all.push(("limit_start", self.start.to_string()));
        }
        all.push(("limit_page_length", self.limit.max(1).to_string()));
        all
    }

    /// The same as arguments of the method that lists.
    pub(super) fn arguments(&self) -> Value {
        let mut all = Map::from_iter([
            ("doctype".to_owned(), Value::from(self.doctype.as_str())),
            ("limit_start".to_owned(), Value::from(self.start)),
            ("limit_page_length".to_owned(), Value::from(self.limit.max(1))),
        ]);
        for (name, list) in [("filters", &self.filters), ("or_filters", &self.or_filters)] {
            if !list.is_empty() {
                all.insert(name.to_owned(), Value::from(list.clone()));
            }
        }
        if !self.fields.is_empty() {
            all.insert("fields".to_owned(), Value::from(self.fields.clone()));
        }
        if !self.order_by.is_empty() {
            all.insert("order_by".to_owned(), Value::from(self.order_by.as_str()));
        }
        Value::Object(all)
    }
}
