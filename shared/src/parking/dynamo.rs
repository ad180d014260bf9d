//! The parking on DynamoDB: one item an event, `P#evt_…`, with its body as bytes, in three sparse indexes: by due
//! time, by state, and by what it waits for. Few events wait for one document; for one breaker perhaps all, so those
//! are sharded.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    primitives::Blob,
    types::{AttributeValue, KeysAndAttributes},
};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use jiff::Timestamp;

use super::{Cargo, ParkedItem, ParkedQuery, ParkedState, ParkingLot, WaitsFor};
use crate::{
    Error, Result,
    clock::rfc3339,
    config::Tables,
    documents::Page,
    dynamo::{Attributes, Item, SHARDS, cursor, failed, json, n, position, s, shard, time, update_refused},
    integration_log::Failure,
    queue::{Body, deflate, inflate},
};

/// Claims under way at a time.
const CONCURRENT_CLAIMS: usize = 10;
/// How many waiting items are found at a time.
const WAITING_PAGE: i32 = 100;
/// How often a batch is asked for what it left out.
const MAX_ROUNDS: usize = 20;
/// What a list reads of an item: not its body.
const LISTED: &str = "pk, sk, connector, cargo, #state, parked_at, dsk, waits, error_code, error_detail";
/// The most bytes a parked body may inflate to.
const MAX_INFLATED_BYTES: usize = 2 * 1024 * 1024;

/// The parking in DynamoDB.
pub struct DynamoParking {
    client: Client,
    table: String,
}

/// The key of a parked item.
pub fn key(id: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("P#{id}"))), ("sk".to_owned(), s("P"))])
}

fn id_of(item: &Item) -> Result<String> {
    Ok(Attributes(item).text("pk")?.trim_start_matches("P#").to_owned())
}

fn due_partition(shard: u32) -> String {
    format!("due#{shard}")
}

fn state_partition(state: &str, shard: u32) -> String {
    format!("{state}#{shard}")
}

/// The partition of those that wait for `awaited`, in a shard below [`wait_shards`]. No DocType is empty.
fn wait_partition(awaited: &WaitsFor, shard: u32) -> String {
    match awaited {
        WaitsFor::Document(document) => format!("{}#{}", document.doctype, document.name),
        WaitsFor::Connector(connector) => format!("#{connector}#{shard}"),
    }
}

fn wait_shards(awaited: &WaitsFor) -> u32 {
    match awaited {
        WaitsFor::Document(_) => 1,
        WaitsFor::Connector(_) => SHARDS,
    }
}

/// The event without its body, and its body's bytes: JSON would make a body of bytes a third larger.
fn pack(cargo: &Cargo) -> Result<(String, Vec<u8>)> {
    let (cargo, bytes) = match cargo {
        Cargo::Event(event) => match event.body.decode() {
            Ok(bytes) => {
                let mut event = event.clone();
                event.body = Body::Text(String::new());
                (Cargo::Event(event), bytes)
            }
            // A body that cannot be decoded is kept as it is.
            Err(_) => (cargo.clone(), Vec::new()),
        },
        Cargo::Unreadable { message } => {
            (Cargo::Unreadable { message: String::new() }, message.as_bytes().to_vec())
        }
        Cargo::Change(_) => (cargo.clone(), Vec::new()),
    };
    Ok((json(&cargo)?, deflate(&bytes)?))
}

fn unpack(item: &Item) -> Result<Cargo> {
    let mut cargo: Cargo = Attributes(item).json("cargo")?;
    let Some(AttributeValue::B(blob)) = item.get("body") else { return Ok(cargo) };
    let bytes = inflate(blob.as_ref(), MAX_INFLATED_BYTES).map_err(Error::internal)?;
    match &mut cargo {
        Cargo::Event(event) if event.body == Body::Text(String::new()) => event.body = Body::encode(&bytes)?,
        Cargo::Event(_) | Cargo::Change(_) => {}
        Cargo::Unreadable { message } => *message = String::from_utf8(bytes).map_err(Error::internal)?,
    }
    Ok(cargo)
}

fn item_of(parked: &ParkedItem) -> Result<Item> {
    let (cargo, body) = pack(&parked.cargo)?;
    let shard = shard(&parked.id);
    let mut item = key(&parked.id);
    item.extend([
        ("connector".to_owned(), s(&parked.connector)),
        ("cargo".to_owned(), s(cargo)),
        ("body".to_owned(), AttributeValue::B(Blob::new(body))),
        ("state".to_owned(), s(json(&parked.state)?)),
        ("parked_at".to_owned(), time(parked.parked_at)),
        ("waits".to_owned(), n(parked.waits)),
        ("error_code".to_owned(), s(&parked.failure.code)),
        ("error_detail".to_owned(), s(&parked.failure.detail)),
        ("spk".to_owned(), s(state_partition(parked.state.name(), shard))),
        ("ssk".to_owned(), s(format!("{}#{}#{}", parked.connector, rfc3339(parked.parked_at), parked.id))),
    ]);
    if let Some(due) = parked.due {
        item.insert("dpk".to_owned(), s(due_partition(shard)));
        item.insert("dsk".to_owned(), time(due));
    }
    if let ParkedState::Waiting(awaited) = &parked.state {
        item.insert("wpk".to_owned(), s(wait_partition(awaited, shard % wait_shards(awaited))));
        item.insert("wsk".to_owned(), time(parked.parked_at));
    }
    Ok(item)
}

fn parked_of(item: &Item) -> Result<ParkedItem> {
    let attributes = Attributes(item);
    Ok(ParkedItem {
        id: id_of(item)?,
        connector: attributes.text("connector")?.to_owned(),
        cargo: unpack(item)?,
        state: serde_json::from_str(attributes.text("state")?).map_err(Error::internal)?,
        parked_at: attributes.time("parked_at")?,
        due: attributes.maybe("dsk").map(crate::dynamo::parse_time).transpose()?,
        waits: u32::try_from(attributes.number("waits")?).unwrap_or(u32::MAX),
        failure: Failure {
            code: attributes.text("error_code")?.to_owned(),
            detail: attributes.maybe("error_detail").unwrap_or_default().to_owned(),
        },
    })
}

impl DynamoParking {
    /// The parking in `tables`.
    pub fn new(client: Client, tables: &Tables) -> Self {
        Self { client, table: tables.state.clone() }
    }

    /// Moves one item's due time on, unless another sweep did.
    async fn claim(&self, item: Item, again: Timestamp) -> Result<Option<String>> {
        let id = id_of(&item)?;
        let seen = Attributes(&item).text("dsk")?.to_owned();
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&id)))
            .update_expression("SET dsk = :again")
            .condition_expression("dsk = :seen")
            .expression_attribute_values(":again", time(again))
            .expression_attribute_values(":seen", s(seen))
            .send()
            .await;
        match result {
            Ok(_) => Ok(Some(id)),
            Err(error) if update_refused(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Claims up to `limit` due items of one shard. Reads on past those that are claimed already: the index lags,
    /// and shows them for a while.
    async fn claim_shard(
        &self,
        shard: u32,
        now: Timestamp,
        again: Timestamp,
        limit: usize,
    ) -> Result<Vec<String>> {
        let mut claimed = Vec::new();
        let mut start = None;
        while claimed.len() < limit {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("by_due")
                .key_condition_expression("dpk = :p AND dsk <= :now")
                .expression_attribute_values(":p", s(due_partition(shard)))
                .expression_attribute_values(":now", time(now))
                .set_exclusive_start_key(start)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(failed)?;
            let items = answer.items.unwrap_or_default();
            let claims = stream::iter(items).map(|item| self.claim(item, again));
            let ids: Vec<Option<String>> = claims.buffer_unordered(CONCURRENT_CLAIMS).try_collect().await?;
            claimed.extend(ids.into_iter().flatten());
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(claimed)
    }

    /// The places and keys of one state, in order.
    async fn state(
        &self,
        state: &str,
        query: &ParkedQuery,
        after: Option<&str>,
    ) -> Result<Vec<(String, Item)>> {
        let prefix = query.connector.as_ref().map(|connector| format!("{connector}#")).unwrap_or_default();
        // A space is below every place: DynamoDB refuses an empty text as a key, in a condition too.
        let first = if prefix.is_empty() { " " } else { &prefix };
        // A cursor from a list of other connectors leads neither out of this one nor to a range that ends before it begins.
        let lowest = after.map_or(first, |after| after.max(first)).to_owned();
        let highest = format!("{prefix}\u{10FFFF}");
        if lowest > highest {
            return Ok(Vec::new());
        }
        let shards = (0..SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(&self.table)
                .index_name("by_state")
                .key_condition_expression("spk = :p AND ssk BETWEEN :low AND :high")
                .expression_attribute_values(":p", s(state_partition(state, shard)))
                .expression_attribute_values(":low", s(&lowest))
                .expression_attribute_values(":high", s(&highest))
                .limit(i32::try_from(query.limit + 2).unwrap_or(i32::MAX))
                .send()
        });
        let mut found = Vec::new();
        for answer in try_join_all(shards).await.map_err(failed)? {
            for item in answer.items.unwrap_or_default() {
                let place = Attributes(&item).text("ssk")?.to_owned();
                if Some(place.as_str()) != after {
                    found.push((place, key(&id_of(&item)?)));
                }
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    async fn fetch(&self, keys: Vec<Item>) -> Result<HashMap<String, ParkedItem>> {
        let mut found = HashMap::new();
        for chunk in keys.chunks(100) {
            let request = KeysAndAttributes::builder()
                .set_keys(Some(chunk.to_vec()))
                .projection_expression(LISTED)
                .expression_attribute_names("#state", "state")
                .build()
                .map_err(Error::internal)?;
            let mut open = HashMap::from([(self.table.clone(), request)]);
            let mut rounds = 0;
            while !open.is_empty() {
                // Items are up to 400 KB and an answer 16 MB: a chunk may take some rounds.
                rounds += 1;
                if rounds > MAX_ROUNDS {
                    return Err(Error::unavailable("DynamoDB", "a batch was left unfinished"));
                }
                let answer = self
                    .client
                    .batch_get_item()
                    .set_request_items(Some(open))
                    .send()
                    .await
                    .map_err(failed)?;
                for item in answer.responses.unwrap_or_default().into_values().flatten() {
                    let parked = parked_of(&item)?;
                    found.insert(parked.id.clone(), parked);
                }
                open = answer.unprocessed_keys.unwrap_or_default();
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl ParkingLot for DynamoParking {
    async fn park(&self, item: &ParkedItem) -> Result<()> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item_of(item)?));
        put.send().await.map(drop).map_err(failed)
    }

    async fn get(&self, id: &str) -> Result<Option<ParkedItem>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(id))).consistent_read(true);
        get.send().await.map_err(failed)?.item.as_ref().map(parked_of).transpose()
    }

    async fn remove(&self, id: &str) -> Result<()> {
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key(id)));
        delete.send().await.map(drop).map_err(failed)
    }

    async fn claim_due(&self, now: Timestamp, again: Timestamp, limit: usize) -> Result<Vec<String>> {
        let each = limit.div_ceil(SHARDS as usize);
        let shards = (0..SHARDS).map(|shard| self.claim_shard(shard, now, again, each));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    async fn waiting_for(&self, awaited: &WaitsFor, after: Option<String>) -> Result<Page<String>> {
        let after: Option<(u32, Option<(String, String)>)> = after.as_deref().map(position).transpose()?;
        let (shard, place) = after.unwrap_or_default();
        let partition = wait_partition(awaited, shard);
        let start = place.map(|(id, place)| {
            let mut start = key(&id);
            start.extend([("wpk".to_owned(), s(&partition)), ("wsk".to_owned(), s(place))]);
            start
        });
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by_wait")
            .key_condition_expression("wpk = :p")
            .expression_attribute_values(":p", s(&partition))
            .set_exclusive_start_key(start)
            .limit(WAITING_PAGE)
            .send()
            .await
            .map_err(failed)?;
        let next = match &answer.last_evaluated_key {
            Some(last) => Some(cursor(&(shard, Some((id_of(last)?, Attributes(last).text("wsk")?))))?),
            None if shard + 1 < wait_shards(awaited) => Some(cursor(&(shard + 1, None::<(String, String)>))?),
            None => None,
        };
        let items = answer.items.unwrap_or_default().iter().map(id_of).collect::<Result<_>>()?;
        Ok(Page { items, next, partial: false })
    }

    async fn list(&self, query: &ParkedQuery) -> Result<Page<ParkedItem>> {
        let after: Option<(String, String)> = query.cursor.as_deref().map(position).transpose()?;
        let states: Vec<&str> = ParkedState::NAMES
            .into_iter()
            .filter(|name| query.state.as_deref().is_none_or(|s| s == *name))
            .collect();
        let skip =
            after.as_ref().and_then(|(state, _)| states.iter().position(|name| name == state)).unwrap_or(0);
        let mut places = Vec::new();
        for state in &states[skip..] {
            let after = after.as_ref().filter(|(name, _)| name == state).map(|(_, place)| place.as_str());
            let found = self.state(state, query, after).await?;
            places.extend(found.into_iter().map(|(place, key)| ((*state, place), key)));
            if places.len() > query.limit {
                break;
            }
        }
        let more = places.len() > query.limit;
        places.truncate(query.limit);
        let next = match places.last() {
            Some((place, _)) if more => Some(cursor(place)?),
            _ => None,
        };
        let ids: Vec<String> = places.iter().map(|(_, key)| id_of(key)).collect::<Result<_>>()?;
        let mut found = self.fetch(places.into_iter().map(|(_, key)| key).collect()).await?;
        Ok(Page { items: ids.iter().filter_map(|id| found.remove(id)).collect(), next, partial: false })
    }
}
