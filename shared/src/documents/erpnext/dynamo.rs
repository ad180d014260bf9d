//! What is ours about documents that live in a site: the ledger, in DynamoDB.
//!
//! - `X#{doctype}#{name}` / `X`: what is left of a deleted document (90 days); of a DocType that is not prepared, which
//!   versions of its sources a document shows and which event created it; of a name that the site did not take, the
//!   document's own.
//! - `XC#{event or request}` / `XC`: the claim to create a document of a DocType that is not prepared. It says that a
//!   call was under way.
//!
//! [`Ledger::complete`] writes what a commit leaves in one transaction: the event's log entry, its parked item, the
//! ledger, the request's receipt. The effect has happened then.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, CancellationReason, Put, ReturnValue, TransactWriteItem, Update},
};
use jiff::{SignedDuration, Timestamp};

use super::super::{
    Applied, DocName, Document, DocumentKey, Tombstone,
    dynamo::{RETURN_OLD, receipt},
    receipt::{Found, Receipt},
};
use crate::{
    Error, Result,
    config::Tables,
    dynamo::{
        Attributes, Item, alone, cancellation, condition_failed, failed, json, n, s, time, update_refused,
    },
    integration_log::{self, EventCompletion, EventStatus, RETENTION},
};

/// How long a claim keeps others away: as long as a call may be on its way, and its late effect.
const CLAIMED_FOR: SignedDuration = SignedDuration::from_mins(2);

/// The ledger.
pub struct Ledger {
    client: Client,
    tables: Tables,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to be done.
    Open,
    /// It is parked.
    Parked,
    /// It has ended.
    Ended,
}

/// What the ledger says of a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The document was deleted.
    Deleted(Tombstone),
    /// The document of a DocType that is not prepared: the source versions it shows, and what created it.
    Live {
        /// The versions.
        applied: Applied,
        /// The event or request, if it was created by one.
        creator: Option<String>,
    },
    /// The site calls the document otherwise.
    Alias(DocName),
}

impl Entry {
    /// The source versions that are known of the document.
    pub fn applied(&self) -> Applied {
        match self {
            Self::Deleted(tombstone) => tombstone.applied.clone(),
            Self::Live { applied, .. } => applied.clone(),
            Self::Alias(_) => Applied::new(),
        }
    }
}

/// What must be so for an entry to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Guard {
    /// Nothing.
    None,
    /// There is none, but perhaps what is left of a deleted document.
    Free,
    /// There is none.
    Absent,
    /// There is none, or its source versions are these.
    Seen(Applied),
}

/// An entry to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// Under this name.
    pub key: DocumentKey,
    /// It.
    pub entry: Entry,
    /// If this is so.
    pub guard: Guard,
}

/// What became of a completion.
#[derive(Debug)]
pub enum Outcome {
    /// It is written.
    Now,
    /// The event had ended before; nothing was written.
    Before,
    /// The event is parked; nothing was written.
    Parked,
    /// The request was answered before; nothing was written.
    Answered(Found),
    /// The entry of this place is not as it was expected to be; nothing was written.
    Refused(usize),
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has tried before.
    First,
    /// An attempt that began then has left it.
    Earlier(Timestamp),
    /// An attempt may be under way, until then at most.
    Taken(Timestamp),
}

/// Why an item was not written.
struct Obstacle {
    condition: bool,
    reason: CancellationReason,
}

impl Ledger {
    /// The ledger in `tables`.
    pub fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables }
    }

    /// Where the event `id` stands, read consistently.
    pub async fn standing(&self, id: &str) -> Result<Standing> {
        let item = self.item(&self.tables.logs, integration_log::dynamo::key(id)).await?;
        let status = item.as_ref().and_then(|item| Attributes(item).maybe("status"));
        Ok(match status.and_then(EventStatus::parse) {
            Some(status) if status.is_final() => Standing::Ended,
            Some(status) if status.is_parked() => Standing::Parked,
            _ => Standing::Open,
        })
    }

    /// What a repeat of `receipt`'s request is answered with, if there is an answer.
    pub async fn answer(&self, receipt: &Receipt, now: Timestamp) -> Result<Option<Found>> {
        receipt::read(&self.client, &self.tables.state, receipt, now).await
    }

    /// What is said of `key`, read consistently.
    pub async fn entry(&self, key: &DocumentKey, now: Timestamp) -> Result<Option<Entry>> {
        let item = self.item(&self.tables.state, entry_key(key)).await?;
        Ok(item.map(|item| entry_of(key, &item, now)).transpose()?.flatten())
    }

    async fn item(&self, table: &str, key: Item) -> Result<Option<Item>> {
        let get = self.client.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
        Ok(get.send().await.map_err(failed)?.item)
    }

    /// Writes what a commit leaves: all of it, or nothing.
    pub async fn complete(
        &self,
        event: Option<&EventCompletion>,
        entries: &[NewEntry],
        receipt: Option<(&Receipt, &[Option<Document>])>,
        now: Timestamp,
    ) -> Result<Outcome> {
        let mut items = match event {
            Some(event) => integration_log::dynamo::in_transaction(&self.tables, event)?,
            None => Vec::new(),
        };
        let first_entry = items.len();
        for entry in entries {
            items.push(TransactWriteItem::builder().put(self.put(entry, now)?).build());
        }
        if let Some((receipt, documents)) = receipt {
            let put = receipt::put(receipt, documents, &self.tables.state, now)?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        let obstacles = self.write(items).await?;
        if obstacles.is_empty() {
            return Ok(Outcome::Now);
        }
        if let Some(ended) = event.and_then(|_| obstacles.first()).and_then(standing_in_the_way) {
            return Ok(ended);
        }
        if let Some((receipt, _)) = receipt {
            let reasons: Vec<_> = obstacles.iter().map(|obstacle| obstacle.reason.clone()).collect();
            if let Some(found) = receipt::found(receipt, &reasons)? {
                return Ok(Outcome::Answered(found));
            }
        }
        let refused = (0..entries.len())
            .find(|place| obstacles.get(first_entry + place).is_some_and(|obstacle| obstacle.condition));
        refused
            .map(Outcome::Refused)
            .ok_or_else(|| Error::unavailable("DynamoDB", "the transaction met another one"))
    }

    /// Writes `items` in one transaction, one of them by itself at half the price. What stood in the way, an obstacle
    /// an item; none if nothing did.
    async fn write(&self, mut items: Vec<TransactWriteItem>) -> Result<Vec<Obstacle>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        if items.len() > 1 {
            let sent = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
            let Err(error) = sent else { return Ok(Vec::new()) };
            let obstacle = |reason| Obstacle { condition: condition_failed(&reason), reason };
            return Ok(cancellation(error)?.into_iter().map(obstacle).collect());
        }
        match items.pop() {
            Some(TransactWriteItem { update: Some(update), .. }) => self.update(update).await,
            Some(TransactWriteItem { put: Some(put), .. }) => self.put_alone(put).await,
            _ => Err(Error::internal("a completion of one item is an update or a put")),
        }
    }

    async fn update(&self, update: Update) -> Result<Vec<Obstacle>> {
        match alone(&self.client, update).send().await {
            Ok(_) => Ok(Vec::new()),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refused) => Ok(vec![unmet(refused.item)]),
                error => Err(Error::unavailable("DynamoDB", error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    async fn put_alone(&self, put: Put) -> Result<Vec<Obstacle>> {
        let sent = self
            .client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_values(put.expression_attribute_values)
            .set_return_values_on_condition_check_failure(put.return_values_on_condition_check_failure)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Vec::new()),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(refused) => Ok(vec![unmet(refused.item)]),
                error => Err(Error::unavailable("DynamoDB", error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    fn put(&self, new: &NewEntry, now: Timestamp) -> Result<Put> {
        let mut item = entry_key(&new.key);
        match &new.entry {
            Entry::Deleted(tombstone) => {
                let expires = tombstone.deleted_at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
                item.insert("deleted".to_owned(), time(tombstone.deleted_at));
                item.insert("rev".to_owned(), n(tombstone.revision));
                item.insert("applied".to_owned(), s(json(&tombstone.applied)?));
                item.insert("expires".to_owned(), n(expires.as_second()));
            }
            Entry::Live { applied, creator } => {
                item.insert("applied".to_owned(), s(json(applied)?));
                item.extend(creator.as_ref().map(|creator| ("creator".to_owned(), s(creator))));
            }
            Entry::Alias(name) => drop(item.insert("name".to_owned(), s(name.as_str()))),
        }
        let put = Put::builder().table_name(&self.tables.state).set_item(Some(item));
        // DynamoDB deletes late: what has expired is no longer there.
        let put = match &new.guard {
            Guard::None => put,
            Guard::Free => put.condition_expression("attribute_not_exists(pk) OR attribute_exists(deleted)"),
            Guard::Absent => put
                .condition_expression("attribute_not_exists(pk) OR expires <= :now")
                .expression_attribute_values(":now", n(now.as_second())),
            Guard::Seen(applied) => put
                .condition_expression("attribute_not_exists(pk) OR applied = :seen")
                .expression_attribute_values(":seen", s(json(applied)?)),
        };
        put.build().map_err(Error::internal)
    }

    /// Claims to create what `token` is for.
    pub async fn claim(&self, token: &str, now: Timestamp) -> Result<Claim> {
        let until = now.saturating_add(CLAIMED_FOR).unwrap_or(now);
        let expires = now.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
        let sent = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(claim_key(token)))
            .update_expression(
                "SET since = if_not_exists(since, :now), held_until = :until, expires = :expires ADD attempts :one",
            )
            .condition_expression("attribute_not_exists(pk) OR held_until <= :now")
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":until", time(until))
            .expression_attribute_values(":expires", n(expires.as_second()))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(RETURN_OLD)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                let attributes = Attributes(&item);
                Ok(match attributes.number("attempts")? {
                    1 => Claim::First,
                    _ => Claim::Earlier(attributes.time("since")?),
                })
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let held = refused.item().map(|item| Attributes(item).time("held_until")).transpose()?;
                    Ok(Claim::Taken(held.unwrap_or(until)))
                }
                _ => Err(failed(error)),
            },
        }
    }

    /// What a claim to create what `token` is for would be answered now; `None` if there was none.
    pub async fn claimed(&self, token: &str, now: Timestamp) -> Result<Option<Claim>> {
        let Some(item) = self.item(&self.tables.state, claim_key(token)).await? else { return Ok(None) };
        let attributes = Attributes(&item);
        let until = attributes.time("held_until")?;
        Ok(Some(if until > now { Claim::Taken(until) } else { Claim::Earlier(attributes.time("since")?) }))
    }

    /// Gives a claim back after a call that had no effect. One that an earlier attempt left is kept for what that one
    /// may have done.
    pub async fn give_back(&self, token: &str, claim: Claim, now: Timestamp) -> Result<()> {
        let key = claim_key(token);
        if claim == Claim::First {
            let delete = self.client.delete_item().table_name(&self.tables.state).set_key(Some(key));
            return delete.send().await.map(drop).map_err(failed);
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key))
            .update_expression("SET held_until = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", time(now));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if update_refused(&error) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// An item whose condition did not hold.
fn unmet(item: Option<Item>) -> Obstacle {
    let reason = CancellationReason::builder().code("ConditionalCheckFailed").set_item(item).build();
    Obstacle { condition: true, reason }
}

/// What the refusal of an event's entry says of the event.
fn standing_in_the_way(obstacle: &Obstacle) -> Option<Outcome> {
    let item = obstacle.reason.item.as_ref().filter(|_| obstacle.condition)?;
    match Attributes(item).maybe("status").and_then(EventStatus::parse) {
        Some(status) if status.is_parked() => Some(Outcome::Parked),
        _ => Some(Outcome::Before),
    }
}

fn entry_key(key: &DocumentKey) -> Item {
    HashMap::from([
        ("pk".to_owned(), s(format!("X#{}#{}", key.doctype, key.name))),
        ("sk".to_owned(), s("X")),
    ])
}

fn claim_key(token: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("XC#{token}"))), ("sk".to_owned(), s("XC"))])
}

fn entry_of(key: &DocumentKey, item: &Item, now: Timestamp) -> Result<Option<Entry>> {
    let attributes = Attributes(item);
    if let Some(name) = attributes.maybe("name") {
        return DocName::new(name).map(|name| Some(Entry::Alias(name)));
    }
    let applied: Applied = attributes.json("applied")?;
    if !matches!(item.get("deleted"), Some(AttributeValue::S(_))) {
        return Ok(Some(Entry::Live {
            applied,
            creator: attributes.maybe("creator").map(ToOwned::to_owned),
        }));
    }
    let expires = i64::try_from(attributes.number("expires")?).unwrap_or(i64::MAX);
    if expires <= now.as_second() {
        return Ok(None);
    }
    Ok(Some(Entry::Deleted(Tombstone {
        key: key.clone(),
        revision: attributes.number("rev")?,
        deleted_at: attributes.time("deleted")?,
        applied,
    })))
}
