//! Calls as items of the Logs table: what the index shows, and all calls deflated in one attribute.
//!
//! Calls that went well are to cost one write unit, so their bodies are cut to what fits; those that did not keep
//! more.

use std::{borrow::Cow, collections::HashMap};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CallOutcome, CallRecord, CallSummary, noted::Group};
use crate::{
    Error, Result,
    clock::rfc3339,
    dynamo::{Attributes, Item, WRITE_UNIT, json, n, s, size},
    id::digest_text,
    integration_log::{
        by_day::{self, group_of, place_of},
        dynamo::CALLS,
    },
    queue::deflate,
};

/// How the group of a connector's calls begins, in the index.
const GROUP: &str = "call#";
/// What an item may weigh more for each call that did not go well, in bytes …
const BYTES_A_FAILURE: usize = 2 * WRITE_UNIT;
/// … and altogether.
const MAX_ITEM_BYTES: usize = 8 * WRITE_UNIT;
/// The most bytes that are kept of a body.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// A body that would be cut to less than this is left out, in bytes.
const LEAST_BODY_BYTES: usize = 24;
/// How much more is kept of the bodies of a call that was sent and was not a success.
const WEIGHT_OF_FAILURES: usize = 4;
/// Characters of the digest that makes an item's key its own.
const DIGEST_CHARS: usize = 10;
/// Bytes of an item besides its values: the names of its attributes.
const NAME_BYTES: usize = 70;

/// A call as it is stored. Its names are short: each is paid for.
#[derive(Serialize, Deserialize)]
struct StoredCall<'a> {
    #[serde(rename = "t")]
    at: Timestamp,
    #[serde(rename = "e", borrow)]
    endpoint: Cow<'a, str>,
    #[serde(rename = "u", borrow)]
    url: Cow<'a, str>,
    #[serde(rename = "n")]
    attempt: u32,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(rename = "d")]
    duration_ms: u64,
    #[serde(rename = "q")]
    request_bytes: usize,
    #[serde(rename = "a")]
    response_bytes: usize,
    #[serde(rename = "qb", borrow, default, skip_serializing_if = "str::is_empty")]
    request_body: Cow<'a, str>,
    #[serde(rename = "ab", borrow, default, skip_serializing_if = "str::is_empty")]
    response_body: Cow<'a, str>,
    #[serde(rename = "o")]
    outcome: CallOutcome,
    #[serde(rename = "x", borrow, default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
}

impl<'a> StoredCall<'a> {
    /// `call` with so many bytes of its bodies, more if it was not a success.
    fn of(call: &'a CallRecord, body_bytes: usize) -> Self {
        let weight = match call.outcome {
            CallOutcome::Success | CallOutcome::Withheld => 1,
            _ => WEIGHT_OF_FAILURES,
        };
        let limit = (body_bytes * weight).min(MAX_BODY_BYTES);
        Self {
            at: call.at,
            endpoint: Cow::from(&call.endpoint),
            url: Cow::from(&call.url),
            attempt: call.attempt,
            status: call.status,
            duration_ms: call.duration_ms,
            request_bytes: call.request_bytes,
            response_bytes: call.response_bytes,
            request_body: beginning(&call.request_body, limit),
            response_body: beginning(&call.response_body, limit),
            outcome: call.outcome,
            error: call.error.as_deref().map(Cow::from),
        }
    }

    fn record(self, owner: &str, connector: &str) -> CallRecord {
        CallRecord {
            owner: owner.to_owned(),
            at: self.at,
            connector: connector.to_owned(),
            endpoint: self.endpoint.into_owned(),
            url: self.url.into_owned(),
            attempt: self.attempt,
            status: self.status,
            duration_ms: self.duration_ms,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            request_body: self.request_body.into_owned(),
            response_body: self.response_body.into_owned(),
            outcome: self.outcome,
            error: self.error.map(Cow::into_owned),
        }
    }
}

/// As much of `body` as `limit` bytes hold; what is cut ends in `…`.
fn beginning(body: &str, limit: usize) -> Cow<'_, str> {
    if body.len() <= limit + '…'.len_utf8() {
        Cow::from(body)
    } else if limit < LEAST_BODY_BYTES {
        Cow::from("")
    } else {
        Cow::from(format!("{}…", &body[..body.floor_char_boundary(limit)]))
    }
}

/// How the group of `connector`'s calls is called in the index.
pub(super) fn group(connector: &str) -> String {
    format!("{GROUP}{connector}")
}

/// The partition of what was done for `owner`.
pub(super) fn partition(owner: &str) -> AttributeValue {
    s(format!("A#{owner}"))
}

/// The item of the calls that were made for `owner` to `connector`; `None` if there are none. What is the same has the
/// same key.
pub(super) fn item(owner: &str, connector: &str, group: &Group, expires: Timestamp) -> Result<Option<Item>> {
    let calls = &group.calls;
    let (Some(first), Some(worst)) =
        (calls.iter().min_by_key(|call| call.at), calls.iter().max_by_key(|call| severity(call)))
    else {
        return Ok(None);
    };
    let mut digest = digest_text(&[connector.as_bytes(), text(calls, MAX_BODY_BYTES)?.as_bytes()]);
    digest.truncate(DIGEST_CHARS);
    let [lpk, lsk] =
        by_day::attributes(&self::group(connector), first.at, owner, &format!("{owner}#{digest}"));
    let count = calls.len() as u64 + group.omitted;
    let mut item = HashMap::from([
        ("pk".to_owned(), partition(owner)),
        ("sk".to_owned(), s(format!("{CALLS}{}#{digest}", rfc3339(first.at)))),
        ("lpk".to_owned(), lpk),
        ("lsk".to_owned(), lsk),
        ("status".to_owned(), s(outcomes(calls))),
        ("event".to_owned(), s(&worst.endpoint)),
        ("attempts".to_owned(), n(count)),
        ("duration_ms".to_owned(), n(calls.iter().map(|call| call.duration_ms).sum::<u64>())),
        ("expires".to_owned(), n(expires.as_second())),
    ]);
    // The index shows no status of HTTP, but this.
    if let Some(status) = worst.status {
        item.insert("error_code".to_owned(), s(status.to_string()));
    }
    if group.omitted > 0 {
        item.insert("omitted".to_owned(), n(group.omitted));
    }
    let weight = item.values().map(size).sum::<usize>() + NAME_BYTES;
    let body = fitting(calls, allowance(calls).saturating_sub(weight))?;
    item.insert("body".to_owned(), AttributeValue::B(Blob::new(body)));
    Ok(Some(item))
}

/// Each outcome among `calls` once, the worst first.
fn outcomes(calls: &[CallRecord]) -> String {
    let among = |outcome: &CallOutcome| calls.iter().any(|call| call.outcome == *outcome);
    let names: Vec<&str> =
        CallOutcome::ALL.into_iter().rev().filter(among).map(CallOutcome::as_str).collect();
    names.join(",")
}

/// What an item of `calls` may weigh, in bytes.
fn allowance(calls: &[CallRecord]) -> usize {
    let failures = calls.iter().filter(|call| is_failure(call)).count();
    (WRITE_UNIT + failures * BYTES_A_FAILURE).min(MAX_ITEM_BYTES)
}

/// How bad a call came out; `None` if it went well. That something is not there is an everyday answer: whoever
/// creates looks first.
fn severity(call: &CallRecord) -> Option<CallOutcome> {
    match call.outcome {
        CallOutcome::Success => None,
        CallOutcome::Refused if call.status == Some(404) => None,
        outcome => Some(outcome),
    }
}

/// Whether more is kept of a call: it went wrong at the provider's. What was not sent (while a breaker is open, that may
/// be much) is its error's one sentence.
fn is_failure(call: &CallRecord) -> bool {
    severity(call).is_some_and(|outcome| outcome != CallOutcome::Withheld)
}

fn text(calls: &[CallRecord], body_bytes: usize) -> Result<String> {
    json(&calls.iter().map(|call| StoredCall::of(call, body_bytes)).collect::<Vec<_>>())
}

/// `calls`, deflated, with as much of their bodies as fits `budget` bytes; without any if nothing fits.
fn fitting(calls: &[CallRecord], budget: usize) -> Result<Vec<u8>> {
    let longest = calls.iter().map(|call| call.request_body.len().max(call.response_body.len())).max();
    let mut body_bytes = longest.unwrap_or_default().min(MAX_BODY_BYTES);
    loop {
        let deflated = deflate(text(calls, body_bytes)?.as_bytes())?;
        if deflated.len() <= budget || body_bytes == 0 {
            return Ok(deflated);
        }
        // Aims a little short, so that few tries are needed; each takes a quarter off at least.
        let aim = (body_bytes * budget / deflated.len()).min(body_bytes * 4 / 5) * 15 / 16;
        body_bytes = if aim * WEIGHT_OF_FAILURES < LEAST_BODY_BYTES { 0 } else { aim };
    }
}

/// The calls of a stored item, in the order they were made, and how many more there were.
pub(super) fn calls(item: &Item) -> Result<(Vec<CallRecord>, u64)> {
    let attributes = Attributes(item);
    let line = summary(item)?;
    let text = attributes.body("body")?;
    let stored: Vec<StoredCall<'_>> = serde_json::from_str(&text).map_err(Error::internal)?;
    let records = stored.into_iter().map(|call| call.record(&line.owner, &line.connector)).collect();
    Ok((records, attributes.number("omitted")?))
}

/// What the index shows of an item.
pub(super) fn summary(item: &Item) -> Result<CallSummary> {
    let attributes = Attributes(item);
    let (at, id) = place_of(attributes)?;
    let connector = group_of(attributes)?.trim_start_matches(GROUP).to_owned();
    let (owner, _) = id.rsplit_once('#').ok_or_else(|| Error::internal("a call's place has no owner"))?;
    Ok(CallSummary {
        owner: owner.to_owned(),
        at,
        connector,
        endpoint: attributes.text("event")?.to_owned(),
        status: attributes.maybe("error_code").and_then(|status| status.parse().ok()),
        outcomes: attributes.text("status")?.split(',').filter_map(CallOutcome::parse).collect(),
        calls: attributes.number("attempts")?,
        duration_ms: attributes.number("duration_ms")?,
        id: id.to_owned(),
    })
}
