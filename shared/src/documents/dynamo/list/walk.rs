//! Going over the index, and reading what must be seen, within the limits of one request.

use std::collections::HashMap;

use super::{
    super::{
        super::{Document, DocumentPlace, Filters, ListQuery, MAX_PAGE_BYTES, OrderBy},
        item::{document_key, live_of},
    },
    Lists,
    places::Places,
    plan::Range,
    standing,
};
use crate::{
    Result,
    dynamo::{Attributes, Consistency, Item, batch_get, s},
};

/// Documents fetched at a time (DynamoDB takes 100): what is fetched beyond a full page is wasted.
const BATCH: usize = 50;
/// Keys that are looked at without reading documents, at a time.
const MAX_GLANCE: usize = 1_000;

/// A document that is asked for.
#[derive(Debug)]
pub struct Match {
    /// Where it stands.
    pub place: DocumentPlace,
    /// It, if it was read.
    pub document: Option<Document>,
    /// Its size as JSON, if it was read.
    pub bytes: usize,
}

/// A way along the places of a list.
pub struct Walk<'a> {
    lists: Lists<'a>,
    filters: &'a Filters,
    by: OrderBy,
    places: Places<'a>,
    position: Option<String>,
    keys: usize,
    max_keys: usize,
    documents: usize,
    bytes: usize,
}

impl<'a> Lists<'a> {
    /// The way along what `query` asks for within `range`, after the place `after`.
    pub async fn walk(&self, query: &'a ListQuery, range: Range, after: Option<String>) -> Result<Walk<'a>>
    where
        Self: 'a,
    {
        // A shard is asked for as many keys as the whole page needs, since it may hold all of them.
        let keys = match (query.filters.need_documents(), query.filters.is_empty()) {
            (true, _) => BATCH * 2,
            (false, true) => query.limit + query.offset,
            (false, false) => MAX_GLANCE,
        };
        let places = Places::open(*self, &query.doctype, query.order, range, after.clone(), keys).await?;
        Ok(Walk {
            lists: *self,
            filters: &query.filters,
            by: query.order.by,
            places,
            position: after,
            keys: 0,
            max_keys: self.limits.keys + query.offset,
            documents: 0,
            bytes: 0,
        })
    }

    /// The items of documents, by their partition key; without those that are not there.
    pub async fn fetch(&self, keys: Vec<String>) -> Result<HashMap<String, Item>> {
        let keys = keys.into_iter().map(|key| HashMap::from([("pk".to_owned(), s(key))])).collect();
        let items = batch_get(self.client, self.table, keys, Consistency::Eventual).await?;
        let named = |item: Item| Ok((Attributes(&item).text("pk")?.to_owned(), item));
        items.into_iter().map(named).collect()
    }
}

impl Walk<'_> {
    /// What is found at the next places, of which at most `count` are looked at; `None` at the end. Documents are
    /// read if `reading`; without, filters on them are not asked.
    pub async fn next(&mut self, count: usize, reading: bool) -> Result<Option<Vec<Match>>> {
        let places = self.places.next(count.min(if reading { BATCH } else { MAX_GLANCE })).await?;
        if places.is_empty() {
            return Ok(None);
        }
        self.keys += places.len();
        if reading {
            return self.read(places).await.map(Some);
        }
        self.position = places.last().map(|place| standing(place, self.by));
        let found = places.into_iter().filter(|place| self.filters.may_match(place));
        Ok(Some(found.map(|place| Match { place, document: None, bytes: 0 }).collect()))
    }

    /// Stops before the memory fills, with the rest of the places to come again.
    async fn read(&mut self, places: Vec<DocumentPlace>) -> Result<Vec<Match>> {
        let wanted = places.iter().filter(|place| self.filters.may_match(place));
        let mut items = self.lists.fetch(wanted.map(|place| document_key(&place.key)).collect()).await?;
        self.documents += items.len();
        let (mut matches, mut kept) = (Vec::new(), 0);
        let mut places = places.into_iter();
        while let Some(place) = places.next() {
            let item = items.remove(&document_key(&place.key));
            let live = item.as_ref().map(live_of).transpose()?.flatten();
            if let Some((document, bytes)) = live {
                self.bytes += bytes;
                if self.filters.matches(&document) {
                    if kept > 0 && kept + bytes > MAX_PAGE_BYTES {
                        self.places.put_back([place].into_iter().chain(places).collect());
                        return Ok(matches);
                    }
                    kept += bytes;
                    self.position = Some(standing(&place, self.by));
                    matches.push(Match { place, document: Some(document), bytes });
                    continue;
                }
            }
            self.position = Some(standing(&place, self.by));
        }
        Ok(matches)
    }

    /// The last place that was looked at.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Whether it is known that nothing is left.
    pub fn has_ended(&self) -> bool {
        self.places.has_ended()
    }

    /// Whether one request has read enough.
    pub fn is_used_up(&self) -> bool {
        let limits = self.lists.limits;
        self.documents >= limits.documents || self.keys >= self.max_keys || self.bytes >= limits.bytes
    }
}
