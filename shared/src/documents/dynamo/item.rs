//! Documents as items and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, builders::PutBuilder};
use jiff::{SignedDuration, Timestamp};

use super::super::{
    Applied, Change, DocStatus, Document, DocumentKey, Expect, MAX_DOCUMENT_BYTES, Stored, Tombstone, Write,
    work::with_note,
};
use crate::{
    Error, ErrorCode, Result,
    clock::rfc3339,
    dynamo::{
        Attributes, Item, MAX_ITEM_BODY_BYTES, body, json, n, object, parse_time, s, shard, size, time,
    },
    integration_log::RETENTION,
};

/// The partition key of a document.
pub fn document_key(key: &DocumentKey) -> String {
    format!("D#{}#{}", key.doctype, key.name)
}

/// The partition of the index of `doctype` by `modified` that `shard` is.
pub fn modified_partition(doctype: &str, shard: u32) -> String {
    format!("M#{doctype}#{shard}")
}

/// The document of a partition key.
pub fn key_of(partition_key: &str) -> Result<DocumentKey> {
    let (doctype, name) = partition_key
        .strip_prefix("D#")
        .and_then(|rest| rest.split_once('#'))
        .ok_or_else(|| Error::internal(format!("{partition_key:?} is no document's key")))?;
    DocumentKey::new(doctype, name)
}

/// Adds what the writer expects as the put's condition.
pub fn expectation(put: PutBuilder, expect: Expect) -> PutBuilder {
    match expect {
        Expect::Absent => put.condition_expression("attribute_not_exists(pk)"),
        Expect::Revision(revision) => {
            put.condition_expression("rev = :rev").expression_attribute_values(":rev", n(revision))
        }
    }
}

/// The item that `write` leaves under `key` with one `note` more, and the document it is, if it is one.
pub fn item_of(
    write: &Write,
    key: &DocumentKey,
    now: Timestamp,
    note: Option<String>,
) -> Result<(Item, Option<Document>)> {
    let revision = match write.expect {
        Expect::Absent => 1,
        Expect::Revision(seen) => seen + 1,
    };
    let modified = later(now, write.replaces.as_ref().map(|document| document.modified));
    let mut item = HashMap::from([
        ("pk".to_owned(), s(document_key(key))),
        ("rev".to_owned(), n(revision)),
        ("modified".to_owned(), time(modified)),
        ("modified_by".to_owned(), s(&write.actor)),
        ("applied".to_owned(), applied_attribute(&write.applied)),
    ]);
    let Change::Put { fields, docstatus } = &write.change else {
        let expires = modified.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
        item.insert("deleted".to_owned(), AttributeValue::Bool(true));
        item.insert("expires".to_owned(), n(expires.as_second()));
        return Ok((item, None));
    };
    let replaced = write.replaces.as_ref().map(|document| (document.creation, document.owner.clone()));
    let (creation, owner) = replaced.unwrap_or_else(|| (modified, write.actor.clone()));
    let text = json(fields)?;
    let body = body(&text)?;
    if text.len() > MAX_DOCUMENT_BYTES || size(&body) > MAX_ITEM_BODY_BYTES {
        return Err(Error::new(
            ErrorCode::DocumentTooLarge,
            format!(
                "{key} would be {} bytes; a document has at most {MAX_DOCUMENT_BYTES}, and {MAX_ITEM_BODY_BYTES} compressed",
                text.len()
            ),
        ));
    }
    item.insert("body".to_owned(), body);
    item.insert("docstatus".to_owned(), n(u8::from(*docstatus)));
    item.insert("creation".to_owned(), time(creation));
    item.insert("owner".to_owned(), s(&owner));
    item.insert("mpk".to_owned(), s(modified_partition(key.doctype.as_str(), shard(key.name.as_str()))));
    item.insert("msk".to_owned(), s(format!("{}#{}", rfc3339(modified), key.name)));
    let before = write.replaces.as_ref().map(|document| document.events.clone());
    let events = with_note(before.unwrap_or_default(), note);
    if !events.is_empty() {
        item.insert("events".to_owned(), AttributeValue::L(events.iter().map(s).collect()));
    }
    let document = Document {
        key: key.clone(),
        docstatus: *docstatus,
        modified,
        modified_by: write.actor.clone(),
        creation,
        owner,
        revision,
        fields: fields.clone(),
        applied: write.applied.clone(),
        events,
    };
    Ok((item, Some(document)))
}

/// Now in whole microseconds, which is what is stored, and later than `previous` whatever the clock says.
fn later(now: Timestamp, previous: Option<Timestamp>) -> Timestamp {
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    match previous.and_then(|previous| previous.checked_add(SignedDuration::from_micros(1)).ok()) {
        Some(least) if least > now => least,
        _ => now,
    }
}

fn applied_attribute(applied: &Applied) -> AttributeValue {
    AttributeValue::M(applied.iter().map(|(source, at)| (source.clone(), s(at.to_string()))).collect())
}

fn applied_of(item: &Item) -> Result<Applied> {
    let Some(Ok(map)) = item.get("applied").map(AttributeValue::as_m) else { return Ok(Applied::new()) };
    map.iter()
        .map(|(source, at)| {
            let text = at.as_s().map_err(|_| Error::internal("an applied version is no text"))?;
            Ok((source.clone(), parse_time(text)?))
        })
        .collect()
}

fn events_of(item: &Item) -> Vec<String> {
    let events = item.get("events").and_then(|events| events.as_l().ok());
    events.into_iter().flatten().filter_map(|event| event.as_s().ok().cloned()).collect()
}

/// What an item says is stored.
pub fn stored_of(item: &Item) -> Result<Stored> {
    Ok(sized(item)?.0)
}

/// The document that an item is, and how many bytes of JSON its fields are; `None` if it is a tombstone.
pub fn live_of(item: &Item) -> Result<Option<(Document, usize)>> {
    Ok(match sized(item)? {
        (Stored::Live(document), bytes) => Some((document, bytes)),
        (Stored::Deleted(_), _) => None,
    })
}

fn sized(item: &Item) -> Result<(Stored, usize)> {
    let attributes = Attributes(item);
    let key = key_of(attributes.text("pk")?)?;
    let (revision, modified) = (attributes.number("rev")?, attributes.time("modified")?);
    let applied = applied_of(item)?;
    if item.contains_key("deleted") {
        return Ok((Stored::Deleted(Tombstone { key, revision, deleted_at: modified, applied }), 0));
    }
    let body = attributes.body("body")?;
    let docstatus = u8::try_from(attributes.number("docstatus")?).map_err(Error::internal)?;
    let document = Document {
        key,
        docstatus: DocStatus::try_from(docstatus).map_err(Error::internal)?,
        modified,
        modified_by: attributes.text("modified_by")?.to_owned(),
        creation: attributes.time("creation")?,
        owner: attributes.text("owner")?.to_owned(),
        revision,
        fields: object(serde_json::from_str(&body).map_err(Error::internal)?)?,
        applied,
        events: events_of(item),
    };
    Ok((Stored::Live(document), body.len()))
}
