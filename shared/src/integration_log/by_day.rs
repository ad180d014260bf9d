//! The index by connector and day: what the log and the call log list, newest first.
//!
//! A partition is a group (a connector, or what the call log has of one), a day and a shard; within it items are in
//! the order of time. A list goes back day by day and merges the shards.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use super::{LogPage, LogPosition, Placed};
use crate::{
    Error, Result,
    clock::rfc3339,
    dynamo::{Attributes, Item, SHARDS, failed, s, shard},
};

/// The most index entries one list reads; what is left is said with a position to go on from.
const MAX_READ: usize = 5_000;

/// The longest group, in bytes: a connector's name has 64 at most. DynamoDB refuses keys that are longer than any
/// could be.
const MAX_GROUP_BYTES: usize = 128;

/// From when to when, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// At or after.
    pub from: Timestamp,
    /// Before.
    pub to: Timestamp,
    /// At most this many, 1 to 500.
    pub limit: usize,
}

/// The attributes `lpk` and `lsk` of what happened at `at` in `group`. `id` makes its place its own; what has the same
/// `owner` is in the same shard.
pub fn attributes(group: &str, at: Timestamp, owner: &str, id: &str) -> [AttributeValue; 2] {
    [s(partition(group, day_of(at), shard(owner))), s(place(at, id))]
}

/// The group of a stored item.
pub fn group_of(attributes: Attributes<'_>) -> Result<&str> {
    let partition = attributes.text("lpk")?;
    let group = partition.rsplitn(3, '#').nth(2);
    group.ok_or_else(|| Error::internal(format!("a stored item is in the partition {partition:?}")))
}

/// When it happened, and its id: its place in the index says both.
pub fn place_of(attributes: Attributes<'_>) -> Result<(Timestamp, &str)> {
    let place = attributes.text("lsk")?;
    let (at, id) = place.split_once('#').ok_or_else(|| Error::internal("an entry's place has no id"))?;
    Ok((crate::dynamo::parse_time(at)?, id))
}

fn partition(group: &str, day: Date, shard: u32) -> String {
    format!("{group}#{day}#{shard}")
}

fn place(at: Timestamp, id: &str) -> String {
    format!("{}#{id}", rfc3339(at))
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn parse_place(place: &str) -> Result<Timestamp> {
    let at = crate::dynamo::parse_time(place.split('#').next().unwrap_or(place))?;
    // The end of a time range is exclusive: midnight still belongs to the day before.
    if place.contains('#') {
        Ok(at)
    } else {
        Ok(at.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(at))
    }
}

/// The index of the Logs table.
#[derive(Clone, Copy)]
pub struct ByDay<'a> {
    /// The client.
    pub client: &'a Client,
    /// The Logs table.
    pub table: &'a str,
}

impl ByDay<'_> {
    /// What is in `group` within `span` and before `before`, newest first, as `read` reads it, if it is wanted.
    pub async fn list<T: Placed>(
        self,
        group: &str,
        span: Span,
        before: Option<&LogPosition>,
        read: fn(&Item) -> Result<T>,
        wants: impl Fn(&T) -> bool,
    ) -> Result<LogPage<T>> {
        if group.len() > MAX_GROUP_BYTES {
            return Ok(LogPage { items: Vec::new(), next_before: None });
        }
        let from = rfc3339(span.from);
        let mut before = before.map_or_else(|| rfc3339(span.to), |at| place(at.received_at, &at.id));
        let mut day = day_of(parse_place(&before)?);
        let mut items: Vec<T> = Vec::new();
        let mut seen = 0;
        // A time before `from` leaves nothing to read, and DynamoDB refuses a range that ends before it begins.
        while day >= day_of(span.from) && before > from {
            let range = Range { from: &from, before: &before, limit: span.limit };
            let (entries, more) = self.day(group, day, range, read).await?;
            seen += entries.len();
            let last = entries.last().map(Placed::position);
            for entry in entries {
                let position = entry.position();
                if wants(&entry) {
                    items.push(entry);
                }
                if items.len() == span.limit {
                    return Ok(LogPage { items, next_before: Some(position) });
                }
            }
            match last {
                Some(last) if seen >= MAX_READ => return Ok(LogPage { items, next_before: Some(last) }),
                Some(last) if more => before = place(last.received_at, &last.id),
                _ => match day.yesterday() {
                    Ok(yesterday) => day = yesterday,
                    Err(_) => break,
                },
            }
        }
        Ok(LogPage { items, next_before: None })
    }

    /// The entries of one day, newest first, and whether there are more.
    async fn day<T: Placed>(
        self,
        group: &str,
        day: Date,
        range: Range<'_>,
        read: fn(&Item) -> Result<T>,
    ) -> Result<(Vec<T>, bool)> {
        let shards = (0..SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(self.table)
                .index_name("by_connector_day")
                .key_condition_expression("lpk = :p AND lsk BETWEEN :from AND :before")
                .expression_attribute_values(":p", s(partition(group, day, shard)))
                .expression_attribute_values(":from", s(range.from))
                .expression_attribute_values(":before", s(range.before))
                .scan_index_forward(false)
                .limit(i32::try_from(range.limit + 1).unwrap_or(i32::MAX))
                .send()
        });
        let mut more = false;
        let mut entries = Vec::new();
        for answer in try_join_all(shards).await.map_err(failed)? {
            more |= answer.last_evaluated_key.is_some();
            for item in answer.items.unwrap_or_default() {
                // BETWEEN takes its ends in; the last entry of the page before is not to come again.
                if Attributes(&item).text("lsk")? != range.before {
                    entries.push(read(&item)?);
                }
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.position()));
        more |= entries.len() > range.limit;
        entries.truncate(range.limit);
        Ok((entries, more))
    }
}

/// A range of places, both ends taken in, and how many entries of it are read.
#[derive(Clone, Copy)]
struct Range<'a> {
    from: &'a str,
    before: &'a str,
    limit: usize,
}
