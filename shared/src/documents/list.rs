//! What a list of documents is asked for, and what it answers.

use jiff::Timestamp;
use serde::Serialize;

use super::{DocType, DocumentKey, Filters, column::Column};
use crate::{Error, Result, dynamo::json, id};

/// The most documents of a page.
pub const MAX_PAGE: usize = 500;
/// The furthest a list may be entered by counting: whoever reads on uses cursors.
pub const MAX_OFFSET: usize = 10_000;
/// Up to here counts are exact.
pub const MAX_COUNT: usize = 10_000;

/// By what a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OrderBy {
    /// By time of the last change, then by name.
    Modified,
    /// By name, byte for byte.
    Name,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// The last first.
    pub descending: bool,
}

impl Order {
    /// What changed last comes first: Frappe's own order.
    pub const NEWEST_FIRST: Self = Self { by: OrderBy::Modified, descending: true };
    /// What changed longest ago comes first.
    pub const OLDEST_FIRST: Self = Self { by: OrderBy::Modified, descending: false };

    /// Reads `order_by` as Frappe's clients write it: `modified desc`, `` `tabSales Order`.`name` asc``,
    /// `modified asc, name asc`. Without a direction it is ascending, as in SQL.
    pub fn read(text: &str, doctype: &DocType) -> Result<Self> {
        let mut terms = text.split(',').map(|term| Self::term(term, doctype));
        let first = terms.next().unwrap_or_else(|| Err(unsupported(text)))?;
        // Ties of `modified` are ordered by name, in the same direction.
        match (first.by, terms.next().transpose()?, terms.next()) {
            (_, None, _) => Ok(first),
            (OrderBy::Modified, Some(second), None) if second == (Self { by: OrderBy::Name, ..first }) => {
                Ok(first)
            }
            _ => Err(unsupported(text)),
        }
    }

    fn term(term: &str, doctype: &DocType) -> Result<Self> {
        let term = term.trim();
        let (column, direction) = match term.rsplit_once(char::is_whitespace) {
            Some((column, direction)) if !direction.ends_with('`') => (column, direction),
            _ => (term, "asc"),
        };
        let descending = match direction.to_lowercase().as_str() {
            "asc" => false,
            "desc" => true,
            _ => return Err(unsupported(term)),
        };
        let column = Column::read(column, doctype, "order_by")?;
        let by = match (column.child, column.field.as_str()) {
            (None, "modified") => OrderBy::Modified,
            (None, "name") => OrderBy::Name,
            _ => return Err(unsupported(term)),
        };
        Ok(Self { by, descending })
    }
}

fn unsupported(term: &str) -> Error {
    Error::field(
        "order_by",
        "invalid",
        format!(
            "{term:?} is no order of this store; there are \"modified\" and \"name\", with \"asc\" or \"desc\""
        ),
    )
}

/// Which documents, in which order.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The DocType.
    pub doctype: DocType,
    /// Which of its documents.
    pub filters: Filters,
    /// In which order.
    pub order: Order,
    /// How many to pass over first, at most [`MAX_OFFSET`]; 0 with a cursor.
    pub offset: usize,
    /// At most this many, 1 to [`MAX_PAGE`].
    pub limit: usize,
    /// Where the last page ended, as it said itself.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// All documents of `doctype`, at most `limit` a page, newest first.
    pub fn new(doctype: DocType, limit: usize) -> Self {
        Self {
            doctype,
            filters: Filters::default(),
            order: Order::NEWEST_FIRST,
            offset: 0,
            limit,
            cursor: None,
        }
    }

    /// What tells this list from others: its cursors carry it.
    pub(super) fn tag(&self) -> Result<String> {
        let list = json(&(&self.doctype, &self.order, &self.filters))?;
        Ok(id::digest_text(&[list.as_bytes()])[..16].to_owned())
    }

    /// Refuses a limit or an offset that no store serves.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_PAGE).contains(&self.limit) {
            return Err(Error::field("limit", "invalid", format!("must be 1 to {MAX_PAGE}")));
        }
        if self.offset > MAX_OFFSET {
            let detail = format!("must be at most {MAX_OFFSET}; to read on, use the page's cursor");
            return Err(Error::field("offset", "invalid", detail));
        }
        if self.offset > 0 && self.cursor.is_some() {
            return Err(Error::field("offset", "invalid", "a cursor says itself where the page starts"));
        }
        Ok(())
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The things.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
    /// Whether a limit on what one request reads ended the page before it was full. It goes on at `next`.
    pub partial: bool,
}

impl<T> Page<T> {
    /// The same page of other things.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next, partial: self.partial }
    }
}

/// What can be told of a document without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPlace {
    /// Which document.
    pub key: DocumentKey,
    /// When it changed last.
    pub modified: Timestamp,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many were counted.
    pub count: usize,
    /// Whether counting ended at a limit: there may be more.
    pub approximate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Order> {
        Order::read(text, &DocType::new("Sales Order").unwrap())
    }

    #[test]
    fn orders_are_read_as_frappe_writes_them() {
        for (text, order) in [
            ("modified desc", Order::NEWEST_FIRST),
            ("`tabSales Order`.`modified` DESC", Order::NEWEST_FIRST),
            ("`tabSales Order`.`modified`", Order::OLDEST_FIRST),
            ("modified", Order::OLDEST_FIRST),
            ("modified asc, name asc", Order::OLDEST_FIRST),
            ("name  desc", Order { by: OrderBy::Name, descending: true }),
        ] {
            assert_eq!(read(text).unwrap(), order, "{text}");
        }
    }

    #[test]
    fn an_order_the_store_does_not_have_is_refused_with_those_it_has() {
        for text in [
            "",
            "creation desc",
            "modified down",
            "modified desc, name asc",
            "name asc, modified asc",
            "modified, name, name",
            "`tabCustomer`.`modified`",
            "rand()",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.field_errors()[0].field, "order_by", "{text}");
        }
        assert!(read("creation desc").unwrap_err().detail().contains("\"modified\" and \"name\""));
    }

    #[test]
    fn a_page_and_an_offset_have_limits() {
        let query = ListQuery::new(DocType::new("Sales Order").unwrap(), 500);
        assert!(query.check().is_ok());
        assert!(ListQuery { limit: 501, ..query.clone() }.check().is_err());
        assert!(ListQuery { limit: 0, ..query.clone() }.check().is_err());
        assert!(ListQuery { offset: 10_000, ..query.clone() }.check().is_ok());
        assert!(ListQuery { offset: 10_001, ..query.clone() }.check().is_err());
        assert!(ListQuery { offset: 1, cursor: Some("c".into()), ..query }.check().is_err());
    }
}
