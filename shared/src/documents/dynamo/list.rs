//! Lists by `modified`: the shards of the index are read side by side and merged, then the bodies are fetched.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes},
};
use futures::future::try_join_all;

use super::{
    super::{Document, ListQuery, MAX_PAGE_BYTES, Page, Stored},
    item::{modified_partition, stored_of},
};
use crate::{
    Error, Result,
    dynamo::{Attributes, Item, SHARDS, cursor, failed, json, position, s},
};

/// Keys fetched at a time (DynamoDB takes 100): what is fetched beyond a full page is wasted.
const BATCH: usize = 50;
/// How often a batch is asked for what it left out.
const MAX_ROUNDS: usize = 5;

struct Indexed {
    place: String,
    key: AttributeValue,
}

/// One page of `query`.
pub async fn page(client: &Client, table: &str, query: &ListQuery) -> Result<Page<Document>> {
    let after: Option<String> = query.cursor.as_deref().map(position).transpose()?;
    let shards = (0..SHARDS).map(|shard| keys(client, table, query, shard, after.as_deref()));
    let mut more = false;
    let mut found = Vec::new();
    for (keys, has_more) in try_join_all(shards).await? {
        more |= has_more;
        found.extend(keys);
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    if query.newest_first {
        found.reverse();
    }
    more |= found.len() > query.limit;
    found.truncate(query.limit);
    let (items, read) = documents(client, table, &found).await?;
    let next = match read.checked_sub(1).and_then(|last| found.get(last)) {
        Some(last) if more || read < found.len() => Some(cursor(&last.place)?),
        _ => None,
    };
    Ok(Page { items, next })
}

/// The keys of one shard, and whether it has more.
async fn keys(
    client: &Client,
    table: &str,
    query: &ListQuery,
    shard: u32,
    after: Option<&str>,
) -> Result<(Vec<Indexed>, bool)> {
    let mut request = client
        .query()
        .table_name(table)
        .index_name("by_modified")
        .expression_attribute_values(":p", s(modified_partition(query.doctype.as_str(), shard)))
        .scan_index_forward(!query.newest_first)
        .limit(i32::try_from(query.limit).unwrap_or(i32::MAX));
    request = match (after, query.newest_first) {
        (None, _) => request.key_condition_expression("mpk = :p"),
        (Some(_), true) => request.key_condition_expression("mpk = :p AND msk < :a"),
        (Some(_), false) => request.key_condition_expression("mpk = :p AND msk > :a"),
    };
    if let Some(after) = after {
        request = request.expression_attribute_values(":a", s(after));
    }
    let answer = request.send().await.map_err(failed)?;
    let more = answer.last_evaluated_key.is_some();
    let keys = answer.items.unwrap_or_default().into_iter().map(indexed).collect::<Result<_>>()?;
    Ok((keys, more))
}

fn indexed(mut item: Item) -> Result<Indexed> {
    let place = Attributes(&item).text("msk")?.to_owned();
    let key = item.remove("pk").ok_or_else(|| Error::internal("an index entry has no key"))?;
    Ok(Indexed { place, key })
}

/// The documents under `keys`, in that order, without those deleted meanwhile, until they fill a page; and how
/// many keys were looked at. Batch after batch, so that large documents do not fill the memory.
async fn documents(client: &Client, table: &str, keys: &[Indexed]) -> Result<(Vec<Document>, usize)> {
    let (mut documents, mut read, mut bytes) = (Vec::with_capacity(keys.len()), 0, 0);
    for chunk in keys.chunks(BATCH) {
        let mut found: HashMap<String, Item> = HashMap::new();
        for item in batch(client, table, chunk).await? {
            found.insert(Attributes(&item).text("pk")?.to_owned(), item);
        }
        for key in chunk {
            let item = key.key.as_s().ok().and_then(|key| found.remove(key));
            if let Some(Stored::Live(document)) = item.as_ref().map(stored_of).transpose()? {
                bytes += json(&document.fields)?.len();
                if bytes > MAX_PAGE_BYTES && !documents.is_empty() {
                    return Ok((documents, read));
                }
                documents.push(document);
            }
            read += 1;
        }
    }
    Ok((documents, read))
}

async fn batch(client: &Client, table: &str, keys: &[Indexed]) -> Result<Vec<Item>> {
    let keys = keys.iter().map(|key| HashMap::from([("pk".to_owned(), key.key.clone())])).collect();
    let request = KeysAndAttributes::builder().set_keys(Some(keys)).build().map_err(Error::internal)?;
    let mut open = HashMap::from([(table.to_owned(), request)]);
    let mut items = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let answer = client.batch_get_item().set_request_items(Some(open)).send().await.map_err(failed)?;
        items.extend(answer.responses.unwrap_or_default().into_values().flatten());
        open = answer.unprocessed_keys.unwrap_or_default();
        if open.is_empty() {
            return Ok(items);
        }
    }
    Err(Error::unavailable("DynamoDB", "a batch was left unfinished"))
}
