//! Jobs, chunks, failed records and lanes as items and back.
//!
//! | key | item |
//! | --- | --- |
//! | `J#{job}` / `J` | the header: what was asked for, counts; in `by_due` while it is not over, in `by_state` for good |
//! | `J#{job}` / `K#{number}` | a chunk: its records, deflated; its claim; then how each ended |
//! | `J#{job}` / `F#{index}#{attempt}` | an attempt at a record that failed |
//! | `JI#{key}` / `JI` | the job of an idempotency key, for a day |
//! | `JL#{user}` / `JL` | a user's lane |

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::super::{Chunk, Done, Ended, FailedRecord, Job, KEPT, Outcome, Record, Start};
use crate::{
    Error, Result,
    documents::{DocType, receipt::RECOGNISED},
    dynamo::{Attributes, Item, body, json, n, parse_time, s, shard, size, time},
    integration_log::Failure,
};

/// The most that is kept of how records of a chunk that is given back ended, in bytes as stored: an item has 400 KB, and
/// the records may have most of it.
const MAX_SO_FAR_BYTES: usize = 48 * 1024;
/// The sort key of a header.
const HEADER: &str = "J";
/// What the sort keys of chunks begin with.
pub const CHUNKS: &str = "K#";
/// What the sort keys of failed records begin with.
pub const FAILURES: &str = "F#";

pub fn partition(job: &str) -> AttributeValue {
    s(format!("J#{job}"))
}

fn key(job: &str, place: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), partition(job)), ("sk".to_owned(), s(place))])
}

pub fn header_key(job: &str) -> Item {
    key(job, HEADER)
}

pub fn chunk_place(number: u32) -> String {
    format!("{CHUNKS}{number:06}")
}

pub fn chunk_key(job: &str, number: u32) -> Item {
    key(job, chunk_place(number))
}

pub fn failure_place(index: u32, attempt: u32) -> String {
    format!("{FAILURES}{index:06}#{attempt}")
}

pub fn failure_key(job: &str, index: u32, attempt: u32) -> Item {
    key(job, failure_place(index, attempt))
}

pub fn note_key(key: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("JI#{key}"))), ("sk".to_owned(), s("JI"))])
}

/// That `job` is the one of `key`.
pub fn key_note(key: &str, job: &Job) -> Item {
    let expires = job.created_at.saturating_add(RECOGNISED).unwrap_or(Timestamp::MAX);
    let mut item = note_key(key);
    item.extend([("job".to_owned(), s(&job.id)), ("expires".to_owned(), n(expires.as_second()))]);
    item
}

pub fn lane_key(user: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("JL#{user}"))), ("sk".to_owned(), s("JL"))])
}

/// The partition of `by_due` for jobs to be looked at.
pub fn due_partition(shard: u32) -> String {
    format!("job-due#{shard}")
}

/// The partition of `by_state` for all jobs.
pub fn listed_partition(shard: u32) -> String {
    format!("job#{shard}")
}

/// The job of a header's or an index entry's partition key.
pub fn job_id(item: &Item) -> Result<String> {
    Ok(Attributes(item).text("pk")?.trim_start_matches("J#").to_owned())
}

/// When what is kept from `from` on is forgotten.
pub fn expires(from: Timestamp) -> AttributeValue {
    n(from.saturating_add(KEPT).unwrap_or(Timestamp::MAX).as_second())
}

/// A new job's header, to be looked at when `due`.
pub fn header(job: &Job, due: Timestamp) -> Item {
    let shard = shard(&job.id);
    let mut item = header_key(&job.id);
    item.extend([
        ("user".to_owned(), s(&job.user)),
        ("from_doctype".to_owned(), s(job.from.as_str())),
        ("to_doctype".to_owned(), s(job.to.as_str())),
        ("total".to_owned(), n(job.total)),
        ("folded".to_owned(), n(job.folded)),
        ("chunks".to_owned(), n(job.chunks)),
        ("succeeded".to_owned(), n(0)),
        ("failed".to_owned(), n(0)),
        ("cancelled".to_owned(), n(0)),
        ("created_at".to_owned(), time(job.created_at)),
        ("fingerprint".to_owned(), s(&job.fingerprint)),
        ("expires".to_owned(), expires(job.created_at)),
        ("dpk".to_owned(), s(due_partition(shard))),
        ("dsk".to_owned(), time(due)),
        ("spk".to_owned(), s(listed_partition(shard))),
        ("ssk".to_owned(), s(job.place())),
    ]);
    item
}

pub fn job_of(item: &Item) -> Result<Job> {
    let attributes = Attributes(item);
    let at = |name: &str| attributes.maybe(name).map(parse_time).transpose();
    let by = attributes.maybe("cancelled_by").unwrap_or_default();
    let planned_to = item.contains_key("planned_to").then(|| attributes.number("planned_to")).transpose()?;
    let retried_from = match at("retried_at")? {
        Some(at) => Some(Start { at, done: attributes.number("done_before")? }),
        None => None,
    };
    Ok(Job {
        id: job_id(item)?,
        user: attributes.text("user")?.to_owned(),
        from: DocType::new(attributes.text("from_doctype")?)?,
        to: DocType::new(attributes.text("to_doctype")?)?,
        total: attributes.number("total")?,
        folded: attributes.number("folded")?,
        chunks: small(attributes.number("chunks")?)?,
        done: Done {
            succeeded: attributes.number("succeeded")?,
            failed: attributes.number("failed")?,
            cancelled: attributes.number("cancelled")?,
        },
        created_at: attributes.time("created_at")?,
        started_at: at("started_at")?,
        progressed_at: at("progressed_at")?,
        retried_from,
        cancelled: at("cancelled_at")?.map(|at| (at, by.to_owned())),
        retry_asked_at: at("retry_asked_at")?,
        planned_to: planned_to.map(small).transpose()?,
        fingerprint: attributes.text("fingerprint")?.to_owned(),
    })
}

/// A new chunk of `job`, kept from `from` on.
pub fn chunk(job: &str, number: u32, records: &[Record], from: Timestamp) -> Result<Item> {
    let mut item = chunk_key(job, number);
    item.extend([("body".to_owned(), body(&json(&records)?)?), ("expires".to_owned(), expires(from))]);
    Ok(item)
}

/// How records of a chunk ended so far: of very much text only the first, since it stands beside the records.
pub fn so_far(ended: &BTreeMap<u32, Ended>) -> Result<AttributeValue> {
    let mut kept = ended.len();
    loop {
        let first: BTreeMap<&u32, &Ended> = ended.iter().take(kept).collect();
        let value = body(&json(&first)?)?;
        let bytes = size(&value);
        if bytes <= MAX_SO_FAR_BYTES {
            return Ok(value);
        }
        kept = (kept * MAX_SO_FAR_BYTES / bytes).min(kept - 1);
    }
}

pub fn chunk_of(item: &Item) -> Result<Chunk> {
    let attributes = Attributes(item);
    let place = attributes.text("sk")?;
    let number = place.strip_prefix(CHUNKS).and_then(|number| number.parse().ok());
    let is_done = item.contains_key("outcomes");
    let outcomes = is_done.then(|| attributes.json::<Vec<Outcome>>("outcomes")).transpose()?;
    let suspect = item.contains_key("suspect").then(|| attributes.number("suspect")).transpose()?;
    let so_far = item.contains_key("so_far").then(|| attributes.json("so_far")).transpose()?;
    let poisoned = match item.get("poisoned") {
        Some(AttributeValue::Ns(numbers)) => {
            numbers.iter().filter_map(|number| number.parse().ok()).collect()
        }
        _ => Vec::new(),
    };
    Ok(Chunk {
        number: number.ok_or_else(|| Error::internal(format!("{place:?} is no chunk's key")))?,
        records: attributes.json("body")?,
        tries: small(attributes.number("tries")?)?,
        claims: small(attributes.number("claims").unwrap_or(0))?,
        suspect: suspect.map(small).transpose()?,
        poisoned,
        so_far: so_far.unwrap_or_default(),
        outcomes,
        done_at: attributes.maybe("done_at").map(parse_time).transpose()?,
    })
}

/// A failed attempt of `job`.
pub fn failure(job: &str, failed: &FailedRecord) -> Result<Item> {
    let FailedRecord { record, at, failure, retryable, retried } = failed;
    let mut item = failure_key(job, record.index, record.attempt);
    item.extend([
        ("body".to_owned(), body(&json(record)?)?),
        ("at".to_owned(), time(*at)),
        ("error_code".to_owned(), s(&failure.code)),
        ("error_detail".to_owned(), s(&failure.detail)),
        ("retryable".to_owned(), AttributeValue::Bool(*retryable)),
        ("retried".to_owned(), AttributeValue::Bool(*retried)),
        ("expires".to_owned(), expires(*at)),
    ]);
    Ok(item)
}

pub fn failure_of(item: &Item) -> Result<FailedRecord> {
    let attributes = Attributes(item);
    let is = |name: &str| matches!(item.get(name), Some(AttributeValue::Bool(true)));
    Ok(FailedRecord {
        record: attributes.json("body")?,
        at: attributes.time("at")?,
        failure: Failure {
            code: attributes.text("error_code")?.to_owned(),
            detail: attributes.text("error_detail")?.to_owned(),
        },
        retryable: is("retryable"),
        retried: is("retried"),
    })
}

fn small(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(detail: impl Fn(u32) -> String) -> BTreeMap<u32, Ended> {
        let refused = |index| {
            let failure = Failure { code: "provider_refused".to_owned(), detail: detail(index) };
            (index, Ended::Refused { failure, retryable: true })
        };
        (0..90).map(refused).collect()
    }

    fn kept(ended: &BTreeMap<u32, Ended>) -> BTreeMap<u32, Ended> {
        let value = so_far(ended).unwrap();
        assert!(size(&value) <= MAX_SO_FAR_BYTES);
        let item = Item::from([("so_far".to_owned(), value)]);
        Attributes(&item).json("so_far").unwrap()
    }

    #[test]
    fn what_came_of_records_is_kept_all_or_the_first_as_far_as_there_is_room() {
        let alike = refusals(|index| format!("the order {index} has {}", "no price. ".repeat(50)));
        assert_eq!(kept(&alike), alike);
        let mut random = fastrand::Rng::with_seed(7);
        let mut texts = Vec::new();
        for _ in 0..90 {
            texts.push((0..500).map(|_| random.char('\u{4e00}'..'\u{9fff}')).collect::<String>());
        }
        let unlike = refusals(|index| texts[index as usize].clone());
        let first = kept(&unlike);
        assert!(first.len() > 20 && first.len() < 90, "{}", first.len());
        assert_eq!(first.last_key_value().unwrap().0 + 1, u32::try_from(first.len()).unwrap());
    }
}
