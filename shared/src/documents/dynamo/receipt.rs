//! Receipts as items of State: `I#{id}` / `I`.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    primitives::Blob,
    types::{AttributeValue, CancellationReason, Put},
};
use jiff::Timestamp;

use super::{
    super::{
        Document,
        receipt::{Found, RECOGNISED, Receipt},
    },
    RETURN_OLD,
};
use crate::{
    Error, ErrorCode, Result,
    dynamo::{Attributes, Item, condition_failed, failed, n, s},
};

/// The put of `receipt`, with `documents` as its answer: to be the last item of the transaction that makes them.
pub fn put(receipt: &Receipt, documents: &[Option<Document>], table: &str, now: Timestamp) -> Result<Put> {
    let binary = |bytes| AttributeValue::B(Blob::new(bytes));
    let expires = now.as_second() + RECOGNISED.as_secs();
    let mut item = key(receipt);
    item.extend([
        ("request".to_owned(), binary(receipt.fingerprint()?)),
        ("answer".to_owned(), binary(receipt.seal(documents)?)),
        ("expires".to_owned(), n(expires)),
    ]);
    Put::builder()
        .table_name(table)
        .set_item(Some(item))
        // DynamoDB deletes late: what has expired is no longer there.
        .condition_expression("attribute_not_exists(pk) OR expires <= :now")
        .expression_attribute_values(":now", n(now.as_second()))
        .return_values_on_condition_check_failure(RETURN_OLD)
        .build()
        .map_err(Error::internal)
}

/// What the cancelled transaction says of `receipt`, its last item: the answer if the request happened before, an
/// error if it cannot happen now; `None` if something else stood in the way.
pub fn found(receipt: &Receipt, reasons: &[CancellationReason]) -> Result<Option<Found>> {
    let Some(reason) = reasons.last() else { return Ok(None) };
    if reason.code() == Some("TransactionConflict") {
        return Err(in_flight());
    }
    if !condition_failed(reason) {
        return Ok(None);
    }
    reason.item.as_ref().map_or_else(|| Err(in_flight()), |item| opened(receipt, item)).map(Some)
}

/// The error of a request whose first one has not ended.
pub fn in_flight() -> Error {
    let detail = "a request with this idempotency key is being worked on; send it again for its answer";
    Error::new(ErrorCode::IdempotencyInFlight, detail)
}

/// What the stored `item` of `receipt` holds.
fn opened(receipt: &Receipt, item: &Item) -> Result<Found> {
    let bytes = |name: &str| Some(item.get(name)?.as_b().ok()?.as_ref());
    let (fingerprint, sealed) = bytes("request").zip(bytes("answer")).ok_or_else(in_flight)?;
    receipt.open(fingerprint, sealed)
}

/// What is stored of `receipt`, read consistently: for a store whose effect cannot be in the receipt's transaction, and
/// that therefore looks first.
pub async fn read(client: &Client, table: &str, receipt: &Receipt, now: Timestamp) -> Result<Option<Found>> {
    let answer = client
        .get_item()
        .table_name(table)
        .set_key(Some(key(receipt)))
        .consistent_read(true)
        .send()
        .await
        .map_err(failed)?;
    let Some(item) = answer.item else { return Ok(None) };
    let expires = Attributes(&item).number("expires")?;
    if i64::try_from(expires).is_ok_and(|expires| expires <= now.as_second()) {
        return Ok(None);
    }
    opened(receipt, &item).map(Some)
}

fn key(receipt: &Receipt) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("I#{}", receipt.id()))), ("sk".to_owned(), s("I"))])
}
