//! The shared cache in the State table: a result is `C#{key}` / `C`, the claim of its computation `C#{key}` / `L`,
//! a DocType's version `V#{doctype}` / `V`, which is kept for good.
//!
//! The claim is no [`crate::lease`]: those are kept for good, and there would be one for each key; and it is beside the
//! result, since an update costs the units of the whole item.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Entry, Invalidation, SharedCache, Snapshot, Versions};
use crate::{
    Result,
    config::Tables,
    documents::DocType,
    dynamo::{Attributes, Consistency, Item, batch_get, body, failed, n, s, size, time, update_refused},
};

/// The largest stored body that is shared, in bytes: an item is at most 400 KB.
const MAX_SHARED_BYTES: usize = 350 * 1024;
/// The largest text that is stored at all, in bytes: what inflates to more is not read back.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// How many versions are counted up at a time.
const AT_ONCE: usize = 8;

/// The cache of all instances, and what drops results from it.
pub struct DynamoCache {
    client: Client,
    table: String,
}

impl DynamoCache {
    /// A cache in `tables`.
    pub fn new(client: Client, tables: &Tables) -> Self {
        Self { client, table: tables.state.clone() }
    }

    async fn count_up(&self, doctype: DocType) -> Result<()> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(version_key(&doctype)))
            .update_expression("ADD v :one")
            .expression_attribute_values(":one", n(1));
        update.send().await.map(drop).map_err(failed)
    }

    async fn get(&self, key: Option<&str>, doctypes: &[DocType]) -> Result<Vec<Item>> {
        let entry = key.map(|key| item_key(key, "C"));
        // A DocType that is named twice would be a key that is asked for twice, which DynamoDB refuses.
        let versions = doctypes.iter().collect::<BTreeSet<_>>().into_iter().map(version_key);
        batch_get(&self.client, &self.table, entry.into_iter().chain(versions).collect(), Consistency::Strong)
            .await
    }
}

fn keys(pk: String, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

fn item_key(key: &str, sk: &str) -> Item {
    keys(format!("C#{key}"), sk)
}

fn version_pk(doctype: &DocType) -> String {
    format!("V#{}", doctype.as_str())
}

fn version_key(doctype: &DocType) -> Item {
    keys(version_pk(doctype), "V")
}

/// The versions of `doctypes` among `items`; of one that never changed 0.
fn versions_of(items: &[Item], doctypes: &[DocType]) -> Result<Versions> {
    let sorted: BTreeSet<&DocType> = doctypes.iter().collect();
    let mut versions = Vec::with_capacity(sorted.len());
    for doctype in sorted {
        let pk = version_pk(doctype);
        let item = items.iter().find(|item| Attributes(item).maybe("pk") == Some(&pk));
        let version = item.map_or(Ok(0), |item| Attributes(item).number("v"))?;
        versions.push(version.to_string());
    }
    Ok(Versions(versions.join(",")))
}

fn entry_of(item: &Item) -> Result<Entry> {
    let attributes = Attributes(item);
    Ok(Entry {
        body: attributes.body("body")?,
        computed_at: attributes.time("computed_at")?,
        fresh_until: attributes.time("fresh_until")?,
        versions: Versions(attributes.text("versions")?.to_owned()),
    })
}

/// An entry as an item; none if it is too large to be one.
fn item_of(key: &str, entry: &Entry) -> Result<Option<Item>> {
    if entry.body.len() > MAX_TEXT_BYTES {
        return Ok(None);
    }
    let body: AttributeValue = body(&entry.body)?;
    if size(&body) > MAX_SHARED_BYTES {
        return Ok(None);
    }
    let mut item = item_key(key, "C");
    item.extend([
        ("body".to_owned(), body),
        ("computed_at".to_owned(), time(entry.computed_at)),
        ("fresh_until".to_owned(), time(entry.fresh_until)),
        ("versions".to_owned(), s(&*entry.versions.0)),
        ("expires".to_owned(), n(entry.fresh_until.as_second() + 1)),
    ]);
    Ok(Some(item))
}

#[async_trait]
impl SharedCache for DynamoCache {
    async fn read(&self, key: &str, doctypes: &[DocType]) -> Result<Snapshot> {
        let items = self.get(Some(key), doctypes).await?;
        let stored = items.iter().find(|item| Attributes(item).maybe("sk") == Some("C"));
        // What cannot be read is computed anew, and so replaced.
        let entry = stored.and_then(|item| {
            entry_of(item)
                .inspect_err(|error| tracing::warn!(error = ?error, "a cached result is unreadable"))
                .ok()
        });
        Ok(Snapshot { entry, versions: versions_of(&items, doctypes)? })
    }

    async fn versions(&self, doctypes: &[DocType]) -> Result<Versions> {
        versions_of(&self.get(None, doctypes).await?, doctypes)
    }

    async fn claim(&self, key: &str, versions: &Versions, now: Timestamp, until: Timestamp) -> Result<bool> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item_key(key, "L")))
            .update_expression("SET claimed_until = :until, versions = :versions, expires = :expires")
            .condition_expression(
                "attribute_not_exists(pk) OR claimed_until <= :now OR versions <> :versions",
            )
            .expression_attribute_values(":until", time(until))
            .expression_attribute_values(":versions", s(&*versions.0))
            .expression_attribute_values(":expires", n(until.as_second() + 1))
            .expression_attribute_values(":now", time(now));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if update_refused(&error) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn put(&self, key: &str, entry: &Entry) -> Result<()> {
        let Some(item) = item_of(key, entry)? else { return Ok(()) };
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map(drop).map_err(failed)
    }
}

#[async_trait]
impl Invalidation for DynamoCache {
    async fn changed(&self, doctypes: &BTreeSet<DocType>) -> Result<()> {
        let changes = stream::iter(doctypes.clone()).map(|doctype| self.count_up(doctype));
        changes.buffer_unordered(AT_ONCE).try_collect().await
    }
}
