//! How the documents of a list are found.

use std::collections::BTreeSet;

use super::super::super::{DocName, Filters};
use crate::clock::rfc3339;

/// What to read for a list.
pub struct Plan {
    /// Where its documents are looked for.
    pub source: Source,
    /// Whether documents must be read to tell which are asked for.
    pub needs_documents: bool,
}

/// Where documents are looked for.
#[derive(Debug, PartialEq)]
pub enum Source {
    /// Under these names.
    Names(Vec<DocName>),
    /// In this part of the index by `modified`.
    Index(Range),
}

/// A part of the index: sort keys from `low` to `high`, both included. It may hold more than is asked for, by
/// less than a microsecond.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The first key.
    pub low: String,
    /// The last key.
    pub high: String,
}

impl Plan {
    /// The cheapest way for `filters`.
    pub fn new(filters: &Filters) -> Self {
        let source = names(filters).map_or_else(|| Source::Index(Range::of(filters)), Source::Names);
        Self { source, needs_documents: filters.need_documents() }
    }
}

/// The names that one of the filters says it can only be: of several the fewest.
fn names(filters: &Filters) -> Option<Vec<DocName>> {
    let sets = filters.all.iter().filter_map(|filter| filter.one_of("name"));
    let names: BTreeSet<&str> = sets.map(Iterator::collect).min_by_key(BTreeSet::len)?;
    // What cannot be a name is no document's.
    Some(names.into_iter().filter_map(|name| DocName::new(name).ok()).collect())
}

impl Range {
    fn of(filters: &Filters) -> Self {
        let bounds = || filters.all.iter().map(|filter| filter.bounds("modified"));
        // Keys are `{modified}#{name}`: times begin with a digit, `:` is what follows these and `$` what follows `#`.
        let low = bounds().filter_map(|(from, _)| from).max();
        let high = bounds().filter_map(|(_, to)| to).min();
        Self {
            low: low.map_or_else(|| "0".to_owned(), rfc3339),
            high: high.map_or_else(|| ":".to_owned(), |to| rfc3339(to) + "$"),
        }
    }

    /// Whether nothing can be in it.
    pub fn is_empty(&self) -> bool {
        self.low > self.high
    }

    /// What of it comes after `place` when read in this direction. When descending, `place` itself is still in it.
    pub fn after(mut self, place: &str, descending: bool) -> Self {
        if descending {
            self.high = self.high.min(place.to_owned());
        } else {
            // No name has a control character: nothing stands between.
            self.low = self.low.max(format!("{place}\0"));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::super::super::DocType, *};

    fn plan(filters: &Value) -> Plan {
        Plan::new(&Filters::read(&DocType::new("Sales Order").unwrap(), Some(filters), None).unwrap())
    }

    #[test]
    fn names_are_read_directly_the_fewest_first() {
        let names = |filters: Value| match plan(&filters).source {
            Source::Names(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Source::Index(_) => panic!("{filters} goes over the index"),
        };
        assert_eq!(names(json!({ "name": "a" })), ["a"]);
        assert_eq!(names(json!([["name", "in", ["b", "a", "b"]]])), ["a", "b"]);
        assert_eq!(names(json!([["name", "in", ["b", "a"]], ["name", "=", "c"]])), ["c"]);
        assert_eq!(names(json!({ "name": ["in", []] })), [""; 0]);
        assert_eq!(names(json!({ "name": " no name " })), [""; 0]);
        let or = Filters::read(&DocType::new("X").unwrap(), None, Some(&json!({ "name": "a" }))).unwrap();
        assert!(matches!(Plan::new(&or).source, Source::Index(_)));
    }

    #[test]
    fn times_bound_what_is_read_of_the_index() {
        let range = |filters: Value| match plan(&filters).source {
            Source::Index(Range { low, high }) => (low, high),
            Source::Names(names) => panic!("{names:?}"),
        };
        let all = ("0".to_owned(), ":".to_owned());
        assert_eq!(range(json!({ "status": "Open" })), all);
        assert_eq!(range(json!([["modified", "!=", "2026-01-01"]])), all);
        let (low, high) = range(json!([
            ["modified", ">", "2026-01-01"],
            ["modified", ">=", "2026-01-02"],
            ["modified", "<", "2026-01-04"],
            ["modified", "<=", "2026-01-03"],
        ]));
        assert_eq!(
            (low.as_str(), high.as_str()),
            ("2026-01-02T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z$")
        );
    }

    #[test]
    fn only_filters_on_more_than_names_and_times_need_documents() {
        assert!(!plan(&json!([["name", "like", "a%"], ["modified", ">", "2026-01-01"]])).needs_documents);
        assert!(plan(&json!({ "docstatus": 1 })).needs_documents);
        assert!(plan(&json!([["Sales Order Item", "name", "=", "x"]])).needs_documents);
    }
}
