//! Lists of the built-in store: what a query costs is decided here.
//!
//! [`plan`] says from the filters and the order how documents are found: by their names, by their names in order,
//! or along the index by `modified`. [`places`] reads the index, [`walk`] goes over what it has and reads the
//! documents that are needed, within the limits of one request; [`named`] reads those whose names are given.
//! Here pages and counts are made of that.
//!
//! A list is eventually consistent, as the index is: what was just written may not be in it yet. Every document
//! is held against the filters as it is when it is read, wherever the index still has it.

mod named;
mod places;
mod plan;
#[cfg(test)]
mod tests;
mod walk;

use aws_sdk_dynamodb::Client;
use serde::{Deserialize, Serialize};

use self::{
    plan::{Plan, Source},
    walk::{Match, Walk},
};
use super::super::{
    Count, DocType, Document, DocumentPlace, Filters, ListQuery, MAX_COUNT, MAX_PAGE_BYTES, Order, OrderBy,
    Page,
};
use crate::{
    Error, Result,
    clock::rfc3339,
    dynamo::{cursor, position},
};

/// Where lists are read, and how much of it at a time.
#[derive(Clone, Copy)]
pub struct Lists<'a> {
    /// The client.
    pub client: &'a Client,
    /// The table of documents.
    pub table: &'a str,
    /// What one request may read.
    pub limits: Limits,
}

/// What one request may read: a Lambda function has seconds and some hundred megabytes for it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Documents that filters are held against.
    pub documents: usize,
    /// Keys of the index, besides those an offset passes over.
    pub keys: usize,
    /// Documents, in bytes of JSON.
    pub bytes: usize,
    /// Keys that are sorted by name: the index is by `modified`.
    pub sorted: usize,
    /// Documents that are counted exactly.
    pub counted: usize,
}

impl Limits {
    /// The limits of the API.
    pub const DEFAULT: Self =
        Self { documents: 5_000, keys: 20_000, bytes: 32 * 1024 * 1024, sorted: 10_000, counted: MAX_COUNT };
}

/// The longest place in a cursor, in bytes: a time and a name are less, and DynamoDB takes no longer sort key.
const MAX_STANDING_BYTES: usize = 1_000;

/// A cursor: where the last page ended.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// Which list it is of, so that another one refuses it.
    list: String,
    /// The last place that was looked at.
    after: String,
    /// How many more are to be passed over.
    skip: usize,
}

/// Where in the order of a list `place` stands, as text.
fn standing(place: &DocumentPlace, by: OrderBy) -> String {
    match by {
        OrderBy::Modified => format!("{}#{}", rfc3339(place.modified), place.key.name),
        OrderBy::Name => place.key.name.to_string(),
    }
}

impl Lists<'_> {
    /// A page of documents.
    pub async fn documents(&self, query: &ListQuery) -> Result<Page<Document>> {
        let page = self.page(query, true).await?;
        let items = page.items.into_iter().filter_map(|found| found.document).collect();
        Ok(Page { items, next: page.next, partial: page.partial })
    }

    /// A page of places. Documents are read only if a filter needs them.
    pub async fn places(&self, query: &ListQuery) -> Result<Page<DocumentPlace>> {
        Ok(self.page(query, false).await?.map(|found| found.place))
    }

    async fn page(&self, query: &ListQuery, whole: bool) -> Result<Page<Match>> {
        query.check()?;
        let list = query.tag()?;
        let start: Option<Position> = query.cursor.as_deref().map(position).transpose()?;
        if start.as_ref().is_some_and(|start| start.list != list || start.after.len() > MAX_STANDING_BYTES) {
            return Err(Error::field("cursor", "invalid", "is the cursor of another list"));
        }
        let (after, skip) = start.map_or((None, query.offset), |start| (Some(start.after), start.skip));
        let plan = Plan::new(&query.filters);
        let mut open = OpenPage { query, skip, found: Vec::new(), bytes: 0, last: after.clone(), cut: false };
        let (ended, partial) = match &plan.source {
            Source::Names(names) => {
                let matches = self.named(names, query, after.as_deref()).await?;
                open.take(matches);
                (true, false)
            }
            Source::Index(range) => {
                let walk = self.walk(query, range.clone(), after).await?;
                fill(&mut open, walk, whole || plan.needs_documents, plan.needs_documents).await?
            }
        };
        let more = open.cut || !ended;
        let last = open.last.filter(|_| more);
        let next = last.map(|after| cursor(&Position { list, after, skip: open.skip })).transpose()?;
        Ok(Page { items: open.found, next, partial })
    }

    /// How many documents of `doctype` the filters ask for.
    pub async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        let plan = Plan::new(filters);
        let mut query = ListQuery::new(doctype.clone(), 1);
        query.filters = filters.clone();
        let (count, ended) = match plan.source {
            Source::Names(names) => (self.named(&names, &query, None).await?.len(), true),
            Source::Index(_) if filters.is_empty() => self.count_all(doctype).await?,
            Source::Index(range) => {
                let mut walk = self.walk(&query, range, None).await?;
                let mut count = 0;
                while count <= self.limits.counted && !walk.is_used_up() {
                    let Some(matches) = walk.next(usize::MAX, plan.needs_documents).await? else { break };
                    count += matches.len();
                }
                (count, walk.has_ended())
            }
        };
        let exact = self.limits.counted;
        Ok(Count { count: count.min(exact), approximate: count > exact || !ended })
    }
}

/// Fills `open` from `walk`. Returns whether the list ended there, and whether a limit ended the page.
async fn fill(
    open: &mut OpenPage<'_>,
    mut walk: Walk<'_>,
    reading: bool,
    filtering: bool,
) -> Result<(bool, bool)> {
    while !open.is_full() {
        if walk.is_used_up() {
            return Ok((walk.has_ended(), !walk.has_ended()));
        }
        // What is only passed over need not be read, unless a filter wants to see it.
        let (count, reading) = match (filtering, open.skip) {
            (true, _) => (usize::MAX, true),
            (false, 0) => (open.query.limit - open.found.len(), reading),
            (false, skip) => (skip, false),
        };
        let Some(matches) = walk.next(count, reading).await? else { return Ok((true, false)) };
        open.take(matches);
        if !open.cut {
            open.last = walk.position().map(ToOwned::to_owned);
        }
    }
    Ok((walk.has_ended(), false))
}

/// A page in the making.
struct OpenPage<'a> {
    query: &'a ListQuery,
    skip: usize,
    found: Vec<Match>,
    bytes: usize,
    /// The last place that was looked at.
    last: Option<String>,
    /// Whether there was more than the page takes.
    cut: bool,
}

impl OpenPage<'_> {
    fn is_full(&self) -> bool {
        self.cut || self.found.len() == self.query.limit
    }

    /// Takes of `matches`, in their order, what there is room for.
    fn take(&mut self, matches: Vec<Match>) {
        for found in matches {
            let bytes = self.bytes + found.bytes;
            let fits = self.skip > 0
                || self.found.len() < self.query.limit && (bytes <= MAX_PAGE_BYTES || self.found.is_empty());
            if !fits {
                self.cut = true;
                return;
            }
            self.last = Some(standing(&found.place, self.query.order.by));
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                self.bytes = bytes;
                self.found.push(found);
            }
        }
    }
}

/// Sorts by where things stand in `order`.
fn sort<T>(things: &mut [T], order: Order, standing: impl Fn(&T) -> String) {
    things.sort_by_cached_key(standing);
    if order.descending {
        things.reverse();
    }
}

/// Whether `standing` comes after `after` in `order`.
fn is_after(standing: &str, after: Option<&str>, order: Order) -> bool {
    after.is_none_or(|after| if order.descending { standing < after } else { standing > after })
}
