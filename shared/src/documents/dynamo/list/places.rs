//! The index by `modified`: its shards are read side by side and merged.

use std::collections::{HashMap, VecDeque};

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures::future::try_join_all;

use super::{super::item::modified_partition, Lists, is_after, plan::Range, sort, standing};
use crate::{
    Error, Result,
    documents::{DocName, DocType, DocumentKey, DocumentPlace, Order, OrderBy},
    dynamo::{Attributes, Item, SHARDS, failed, parse_time, s},
};

/// The most keys one query of a shard asks for.
const MAX_KEYS_A_QUERY: usize = 1_000;

/// Places in the order of a list, one after the other.
pub enum Places<'a> {
    /// Along the index.
    Merged(Merged<'a>),
    /// Read before and sorted.
    Sorted(VecDeque<DocumentPlace>),
}

/// The shards of a part of the index.
pub struct Merged<'a> {
    lists: Lists<'a>,
    doctype: &'a DocType,
    order: Order,
    range: Range,
    after: Option<String>,
    keys_a_query: usize,
    shards: Vec<Shard>,
    put_back: VecDeque<DocumentPlace>,
}

/// What is known of one shard.
#[derive(Default)]
struct Shard {
    open: VecDeque<(String, DocumentPlace)>,
    resume: Option<HashMap<String, AttributeValue>>,
    has_ended: bool,
}

impl Shard {
    fn is_dry(&self) -> bool {
        self.open.is_empty() && !self.has_ended
    }
}

impl<'a> Places<'a> {
    /// The places of `doctype` within `range`, in `order`, after the place `after`.
    pub async fn open(
        lists: Lists<'a>,
        doctype: &'a DocType,
        order: Order,
        range: Range,
        after: Option<String>,
        keys_a_query: usize,
    ) -> Result<Self> {
        let along_index = order.by == OrderBy::Modified;
        let mut merged = Merged {
            lists,
            doctype,
            order: if along_index { order } else { Order::OLDEST_FIRST },
            range,
            after: after.clone().filter(|_| along_index),
            keys_a_query: if along_index {
                keys_a_query.clamp(1, MAX_KEYS_A_QUERY)
            } else {
                MAX_KEYS_A_QUERY
            },
            shards: Vec::new(),
            put_back: VecDeque::new(),
        };
        if let Some(after) = &merged.after {
            merged.range = merged.range.after(after, order.descending);
        }
        let has_ended = merged.range.is_empty();
        merged.shards = (0..SHARDS).map(|_| Shard { has_ended, ..Shard::default() }).collect();
        if along_index {
            return Ok(Self::Merged(merged));
        }
        let mut places = merged.next(lists.limits.sorted + 1).await?;
        if places.len() > lists.limits.sorted {
            return Err(too_many(doctype, lists.limits.sorted));
        }
        places.retain(|place| is_after(&standing(place, order.by), after.as_deref(), order));
        sort(&mut places, order, |place| standing(place, order.by));
        Ok(Self::Sorted(places.into()))
    }

    /// The next places, at most `count`; none at the end.
    pub async fn next(&mut self, count: usize) -> Result<Vec<DocumentPlace>> {
        match self {
            Self::Merged(merged) => merged.next(count).await,
            Self::Sorted(places) => Ok(places.drain(..count.min(places.len())).collect()),
        }
    }

    /// Takes back `places`, which come next again.
    pub fn put_back(&mut self, places: Vec<DocumentPlace>) {
        match self {
            Self::Merged(Merged { put_back: open, .. }) | Self::Sorted(open) => {
                places.into_iter().rev().for_each(|place| open.push_front(place));
            }
        }
    }

    /// Whether it is known that none is left.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Merged(merged) => {
                merged.put_back.is_empty()
                    && merged.shards.iter().all(|shard| shard.has_ended && shard.open.is_empty())
            }
            Self::Sorted(places) => places.is_empty(),
        }
    }
}

fn too_many(doctype: &DocType, most: usize) -> Error {
    Error::field(
        "order_by",
        "invalid",
        format!(
            "there are more than {most} documents of {doctype} to sort by name; order by modified, or bound modified by a filter"
        ),
    )
}

impl Merged<'_> {
    async fn next(&mut self, count: usize) -> Result<Vec<DocumentPlace>> {
        let mut places: Vec<DocumentPlace> = self.put_back.drain(..count.min(self.put_back.len())).collect();
        while places.len() < count {
            // The next place is known when every shard shows its own next one.
            if self.shards.iter().any(Shard::is_dry) {
                self.refill().await?;
                continue;
            }
            let first = |shard: &Shard| shard.open.front().map(|(key, _)| key.clone());
            let shards = self.shards.iter_mut().filter(|shard| !shard.open.is_empty());
            let next = if self.order.descending {
                shards.max_by_key(|shard| first(shard))
            } else {
                shards.min_by_key(|shard| first(shard))
            };
            let Some((_, place)) = next.and_then(|shard| shard.open.pop_front()) else { break };
            places.push(place);
        }
        Ok(places)
    }

    async fn refill(&mut self) -> Result<()> {
        let dry = (0..SHARDS).zip(&self.shards).filter(|(_, shard)| shard.is_dry());
        let reads = dry.map(|(number, shard)| self.read(number, shard.resume.clone()));
        let read = try_join_all(reads).await?;
        for (number, items, resume) in read {
            let Some(shard) = self.shards.get_mut(number as usize) else { continue };
            shard.has_ended = resume.is_none();
            shard.resume = resume;
            for item in items {
                let key = Attributes(&item).text("msk")?.to_owned();
                if is_after(&key, self.after.as_deref(), self.order) {
                    let place = place(self.doctype, &key)?;
                    shard.open.push_back((key, place));
                }
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        shard: u32,
        resume: Option<HashMap<String, AttributeValue>>,
    ) -> Result<(u32, Vec<Item>, Option<HashMap<String, AttributeValue>>)> {
        let answer = self
            .lists
            .client
            .query()
            .table_name(self.lists.table)
            .index_name("by_modified")
            .key_condition_expression("mpk = :p AND msk BETWEEN :low AND :high")
            .expression_attribute_values(":p", s(modified_partition(self.doctype.as_str(), shard)))
            .expression_attribute_values(":low", s(&self.range.low))
            .expression_attribute_values(":high", s(&self.range.high))
            .scan_index_forward(!self.order.descending)
            .limit(i32::try_from(self.keys_a_query).unwrap_or(i32::MAX))
            .set_exclusive_start_key(resume)
            .send()
            .await
            .map_err(failed)?;
        Ok((shard, answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }
}

fn place(doctype: &DocType, key: &str) -> Result<DocumentPlace> {
    let (modified, name) =
        key.split_once('#').ok_or_else(|| Error::internal(format!("{key:?} is no place in the index")))?;
    let key = DocumentKey { doctype: doctype.clone(), name: DocName::new(name)? };
    Ok(DocumentPlace { key, modified: parse_time(modified)? })
}

impl Lists<'_> {
    /// How many documents of `doctype` there are, and whether that is all. It stops a little above the limit.
    pub async fn count_all(&self, doctype: &DocType) -> Result<(usize, bool)> {
        let mut open: Vec<(u32, Option<HashMap<String, AttributeValue>>)> =
            (0..SHARDS).map(|shard| (shard, None)).collect();
        let mut count = 0;
        while !open.is_empty() && count <= self.limits.counted {
            let reads = open.drain(..).map(|(shard, resume)| self.count_shard(doctype, shard, resume));
            for (shard, counted, resume) in try_join_all(reads).await? {
                count += counted;
                open.extend(resume.map(|resume| (shard, Some(resume))));
            }
        }
        Ok((count, open.is_empty()))
    }

    async fn count_shard(
        &self,
        doctype: &DocType,
        shard: u32,
        resume: Option<HashMap<String, AttributeValue>>,
    ) -> Result<(u32, usize, Option<HashMap<String, AttributeValue>>)> {
        let answer = self
            .client
            .query()
            .table_name(self.table)
            .index_name("by_modified")
            .select(Select::Count)
            .key_condition_expression("mpk = :p")
            .expression_attribute_values(":p", s(modified_partition(doctype.as_str(), shard)))
            .limit(i32::try_from(self.limits.counted / SHARDS as usize).unwrap_or(i32::MAX))
            .set_exclusive_start_key(resume)
            .send()
            .await
            .map_err(failed)?;
        Ok((shard, usize::try_from(answer.count).unwrap_or(0), answer.last_evaluated_key))
    }
}
