//! What the DynamoDB adapters share: items, attributes, and what a failed call means.

use std::{collections::HashMap, fmt, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    primitives::Blob,
    types::{AttributeValue, CancellationReason, KeysAndAttributes, PutRequest, Update, WriteRequest},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    Error, Result,
    clock::rfc3339,
    queue::{deflate, inflate},
};

/// An item as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// Shards of an index whose natural key would be one partition: each takes 1,000 writes a second.
pub const SHARDS: u32 = 4;

/// DynamoDB bills writes by so many bytes, those in a transaction twice.
pub const WRITE_UNIT: usize = 1024;

/// The largest body of an item we write, in bytes: an item is at most 400 KB.
pub const MAX_ITEM_BODY_BYTES: usize = 380 * 1024;

/// What an item weighs besides its body, roughly, in bytes.
const ITEM_OVERHEAD: usize = 400;

/// The most bytes a stored body may inflate to.
const MAX_INFLATED_BYTES: usize = 16 * 1024 * 1024;

/// A text attribute.
pub fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub fn n(number: impl fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A time attribute, as text whose order is the order of time.
pub fn time(at: Timestamp) -> AttributeValue {
    s(rfc3339(at))
}

/// The shard of `id`: the same for the same id, spread evenly.
pub fn shard(id: &str) -> u32 {
    // FNV-1a: any stable hash will do, and this one needs no state.
    id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) % SHARDS
}

/// A body: as text, or deflated where that saves a write unit (1 KB).
pub fn body(text: &str) -> Result<AttributeValue> {
    let units = |bytes: usize| (bytes + ITEM_OVERHEAD).div_ceil(1024);
    if units(text.len()) == 1 {
        return Ok(s(text));
    }
    let deflated = deflate(text.as_bytes())?;
    Ok(if units(deflated.len()) < units(text.len()) {
        AttributeValue::B(Blob::new(deflated))
    } else {
        s(text)
    })
}

/// As much of `text` as fits `budget` bytes, deflated where that helps; what is cut ends in `…`.
pub fn body_within(text: &str, budget: usize) -> Result<AttributeValue> {
    if text.len() <= budget {
        return Ok(s(text));
    }
    let mut kept = text.to_owned();
    loop {
        let deflated = deflate(kept.as_bytes())?;
        if deflated.len() <= budget || kept.len() <= '…'.len_utf8() {
            return Ok(AttributeValue::B(Blob::new(deflated)));
        }
        // Aims a little short, so that the second try fits.
        let aim = kept.len() * budget / deflated.len() * 15 / 16;
        let end = (0..=aim).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        kept = format!("{}…", &text[..end]);
    }
}

/// How many bytes of an item `value` takes.
pub fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::L(list) => list.iter().map(|value| size(value) + 1).sum(),
        _ => 0,
    }
}

/// Reads attributes of an item; what is missing or of another type is a defect, named.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(pub &'a Item);

impl<'a> Attributes<'a> {
    /// The text under `name`, if there is one.
    pub fn maybe(self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
    }

    /// The text under `name`.
    pub fn text(self, name: &str) -> Result<&'a str> {
        self.maybe(name).ok_or_else(|| Error::internal(format!("a stored item has no text in {name:?}")))
    }

    /// The number under `name`, 0 if there is none.
    pub fn number(self, name: &str) -> Result<u64> {
        match self.0.get(name).and_then(|value| value.as_n().ok()) {
            None => Ok(0),
            Some(text) => text
                .parse()
                .map_err(|_| Error::internal(format!("a stored item's {name:?} is no whole number"))),
        }
    }

    /// The time under `name`.
    pub fn time(self, name: &str) -> Result<Timestamp> {
        parse_time(self.text(name)?)
    }

    /// The [`body`] under `name`; empty if there is none.
    pub fn body(self, name: &str) -> Result<String> {
        match self.0.get(name) {
            None => Ok(String::new()),
            Some(AttributeValue::S(text)) => Ok(text.clone()),
            Some(AttributeValue::B(blob)) => {
                let bytes = inflate(blob.as_ref(), MAX_INFLATED_BYTES).map_err(Error::internal)?;
                String::from_utf8(bytes).map_err(Error::internal)
            }
            Some(_) => Err(Error::internal(format!("a stored item's {name:?} is no body"))),
        }
    }

    /// The [`body`] under `name`, as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(self, name: &str) -> Result<T> {
        serde_json::from_str(&self.body(name)?).map_err(Error::internal)
    }
}

/// A time that was stored.
pub fn parse_time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(Error::internal)
}

/// JSON as stored.
pub fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Keys fetched in one request, the most DynamoDB takes.
const BATCH: usize = 100;
/// How often a batch is asked for what it left out: an answer holds 16 MB, a batch at most 40.
const MAX_ROUNDS: usize = 5;

/// How up to date what is read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// What was written before is seen.
    Strong,
    /// What was written a moment ago may be missing, for half the units.
    Eventual,
}

/// The items of `table` under `keys`, which are distinct, in any order; those that do not exist are left out.
pub async fn batch_get(
    client: &Client,
    table: &str,
    keys: Vec<Item>,
    consistency: Consistency,
) -> Result<Vec<Item>> {
    let mut items = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(BATCH) {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(chunk.to_vec()))
            .consistent_read(consistency == Consistency::Strong)
            .build()
            .map_err(Error::internal)?;
        let mut open = HashMap::from([(table.to_owned(), request)]);
        let mut rounds = 0;
        while !open.is_empty() {
            rounds += 1;
            if rounds > MAX_ROUNDS {
                return Err(Error::unavailable("DynamoDB", "a batch was left unfinished"));
            }
            let answer =
                client.batch_get_item().set_request_items(Some(open)).send().await.map_err(failed)?;
            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
            open = answer.unprocessed_keys.unwrap_or_default();
        }
    }
    Ok(items)
}

/// Items put in one request, the most DynamoDB takes.
const PUT_BATCH: usize = 25;
/// The wait before a batch is asked again for what it left out, which means throttling; it doubles each time.
const PUT_WAIT: Duration = Duration::from_millis(50);

/// What a batch left unwritten.
#[derive(Debug)]
pub struct Unwritten {
    /// How many items, at most.
    pub items: usize,
    /// Why.
    pub why: Error,
}

/// Puts `items`, whose keys are distinct, in any order. What is left out is tried again a few times; at the first
/// failure nothing more is tried.
pub async fn batch_put(client: &Client, table: &str, items: Vec<Item>) -> Result<(), Unwritten> {
    let mut left = items.len();
    for chunk in items.chunks(PUT_BATCH) {
        until_taken(chunk.to_vec(), |open| put_once(client, table, open))
            .await
            .map_err(|(open, why)| Unwritten { items: left - chunk.len() + open, why })?;
        left -= chunk.len();
    }
    Ok(())
}

/// Hands `open` to `put`, then what it gives back, until nothing is left; else how many are, and why.
async fn until_taken<F>(mut open: Vec<Item>, put: impl Fn(Vec<Item>) -> F) -> Result<(), (usize, Error)>
where
    F: Future<Output = Result<Vec<Item>>>,
{
    let mut wait = PUT_WAIT;
    for round in 1..=MAX_ROUNDS {
        let count = open.len();
        open = put(open).await.map_err(|why| (count, why))?;
        if open.is_empty() {
            return Ok(());
        }
        if round < MAX_ROUNDS {
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
    Err((open.len(), Error::unavailable("DynamoDB", "a batch was left unfinished")))
}

/// One request; gives back what was left out.
async fn put_once(client: &Client, table: &str, items: Vec<Item>) -> Result<Vec<Item>> {
    let requests = items.into_iter().map(|item| {
        let put = PutRequest::builder().set_item(Some(item)).build().map_err(Error::internal)?;
        Ok(WriteRequest::builder().put_request(put).build())
    });
    let requests = HashMap::from([(table.to_owned(), requests.collect::<Result<Vec<_>>>()?)]);
    let answer = client.batch_write_item().set_request_items(Some(requests)).send().await.map_err(failed)?;
    let left = answer.unprocessed_items.unwrap_or_default().into_values().flatten();
    Ok(left.filter_map(|request| request.put_request).map(|put| put.item).collect())
}

/// What a failed call means: DynamoDB refused what we sent (a defect), or it is not available.
pub fn failed<E>(error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(ToOwned::to_owned);
    match code.as_deref() {
        Some("ValidationException" | "ResourceNotFoundException" | "AccessDeniedException") => {
            Error::internal(error)
        }
        _ => Error::unavailable("DynamoDB", error),
    }
}

/// The request that makes `update`, which is written to be part of a transaction, on its own.
pub fn alone(client: &Client, update: Update) -> UpdateItemFluentBuilder {
    client
        .update_item()
        .table_name(update.table_name)
        .set_key(Some(update.key))
        .update_expression(update.update_expression)
        .set_condition_expression(update.condition_expression)
        .set_expression_attribute_names(update.expression_attribute_names)
        .set_expression_attribute_values(update.expression_attribute_values)
        .set_return_values_on_condition_check_failure(update.return_values_on_condition_check_failure)
}

/// Whether an update's condition did not hold.
pub fn update_refused(error: &SdkError<UpdateItemError>) -> bool {
    matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_)))
}

/// Why a transaction was cancelled, in the order of its items; an error if that is not what happened.
pub fn cancellation(error: SdkError<TransactWriteItemsError>) -> Result<Vec<CancellationReason>> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Ok(cancelled.cancellation_reasons().to_vec())
        }
        _ => Err(failed(error)),
    }
}

/// Whether the item's own condition failed.
pub fn condition_failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// An opaque cursor for `position`.
pub fn cursor(position: &impl serde::Serialize) -> Result<String> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json(position)?))
}

/// The position in a cursor; an input error if it is none of ours.
pub fn position<T: serde::de::DeserializeOwned>(cursor: &str) -> Result<T> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Error::field("cursor", "invalid", "is not a cursor of this list"))
}

/// A JSON object as fields.
pub fn object(value: Value) -> Result<serde_json::Map<String, Value>> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::internal("a stored body is not an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_deflated_only_where_that_saves_a_unit() {
        assert!(matches!(body("{}").unwrap(), AttributeValue::S(_)));
        assert!(matches!(body(&"abc ".repeat(1_000)).unwrap(), AttributeValue::B(_)));
    }

    #[test]
    fn shards_are_used_evenly() {
        let mut counts = [0; SHARDS as usize];
        for i in 0..1_000 {
            counts[shard(&format!("evt_{i}")) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (200..300).contains(count)), "{counts:?}");
    }

    fn numbered(count: usize) -> Vec<Item> {
        (0..count).map(|number| HashMap::from([("pk".to_owned(), n(number))])).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_batch_leaves_out_is_put_again() {
        let sizes = std::sync::Mutex::new(Vec::new());
        let put = |mut open: Vec<Item>| {
            sizes.lock().unwrap().push(open.len());
            async move { Ok(open.split_off(2.min(open.len()))) }
        };
        until_taken(numbered(5), put).await.unwrap();
        assert_eq!(*sizes.lock().unwrap(), [5, 3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_never_taken_whole_is_given_up_with_what_is_left() {
        let put = |mut open: Vec<Item>| async move { Ok(open.split_off(1)) };
        let (left, why) = until_taken(numbered(9), put).await.unwrap_err();
        assert_eq!(left, 9 - MAX_ROUNDS);
        assert_eq!(why.code(), crate::ErrorCode::DependencyUnavailable);
    }
}
