//! Jobs on DynamoDB, in the State table.
//!
//! Written are: a chunk when it is created (in batches), once when it is claimed, and once in a transaction with the
//! header's counts and the failures when it is done. So a record that succeeds costs its part of that, and no write
//! of its own.

mod claim;
pub(super) mod item;
mod listed;
mod outcomes;

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{
        AttributeValue, Put, TransactWriteItem, Update,
        builders::{PutBuilder, UpdateBuilder},
    },
};
use jiff::{SignedDuration, Timestamp};

use super::{
    BulkStore, Chunk, Claim, Claimed, Creation, Ended, FailedRecord, Job, JobQuery, Lane, Record, SeenLane,
};
use crate::{
    Error, Result,
    config::Tables,
    documents::Page,
    dynamo::{
        Attributes, Consistency, Item, alone, batch_get, batch_put, body, cancellation, condition_failed,
        failed, json, n, s, time, update_refused,
    },
};

/// How long after its creation a job is looked at, whose message was perhaps never sent.
const FIRST_LOOK: SignedDuration = SignedDuration::from_mins(1);
/// How often a write that met a transaction is tried.
const MAX_TRIES: usize = 8;

/// Jobs in DynamoDB.
pub struct DynamoBulk {
    client: Client,
    table: String,
}

impl DynamoBulk {
    /// The jobs in `tables`.
    pub fn new(client: Client, tables: &Tables) -> Self {
        Self { client, table: tables.state.clone() }
    }

    async fn get(&self, key: Item) -> Result<Option<Item>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(get.send().await.map_err(failed)?.item)
    }

    /// An update; `None` if its condition does not hold. One that met a transaction is tried again.
    async fn update(&self, update: Update) -> Result<Option<()>> {
        for attempt in 1.. {
            let Err(error) = alone(&self.client, update.clone()).send().await else { return Ok(Some(())) };
            if update_refused(&error) {
                return Ok(None);
            }
            if attempt == MAX_TRIES || !met_a_transaction(&error) {
                return Err(failed(error));
            }
            wait_a_moment(attempt).await;
        }
        Err(Error::internal("a loop without an end ended"))
    }

    /// A change of a header.
    fn of_header(&self, job: &str) -> UpdateBuilder {
        Update::builder().table_name(&self.table).set_key(Some(item::header_key(job)))
    }

    /// A change of a claimed chunk.
    fn of_claimed(&self, claim: &Claim) -> UpdateBuilder {
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::chunk_key(&claim.job, claim.number)))
            .condition_expression("#token = :token AND attribute_not_exists(outcomes)")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":token", s(&claim.token))
    }

    /// A transaction; `false` if one of its conditions did not hold. One that met another transaction is tried again.
    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<bool> {
        for attempt in 1.. {
            let sent = self.client.transact_write_items().set_transact_items(Some(items.clone())).send();
            let Err(error) = sent.await else { return Ok(true) };
            let reasons = cancellation(error)?;
            if reasons.iter().any(condition_failed) {
                return Ok(false);
            }
            if attempt == MAX_TRIES {
                let codes: Vec<_> = reasons.iter().filter_map(|reason| reason.code()).collect();
                let detail = format!("the transaction was cancelled: {}", codes.join(", "));
                return Err(Error::unavailable("DynamoDB", detail));
            }
            wait_a_moment(attempt).await;
        }
        Err(Error::internal("a loop without an end ended"))
    }

    async fn query(&self, job: &str, from: String, to: &str, limit: usize) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :p AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":p", item::partition(job))
                .expression_attribute_values(":from", s(&from))
                .expression_attribute_values(":to", s(to))
                .set_exclusive_start_key(start)
                .consistent_read(true)
                .limit(i32::try_from(limit - items.len()).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(failed)?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || items.len() >= limit {
                return Ok(items);
            }
        }
    }
}

/// Before a write that met a transaction is tried for the next time: chunks of a job that end at the same time all count
/// in its header, and people change it meanwhile.
async fn wait_a_moment(attempt: usize) {
    let longest = 10 << attempt.min(6);
    tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(1..=longest))).await;
}

/// Whether a transaction was at work on the item.
fn met_a_transaction(error: &SdkError<UpdateItemError>) -> bool {
    matches!(error.as_service_error(), Some(UpdateItemError::TransactionConflictException(_)))
}

#[async_trait]
impl BulkStore for DynamoBulk {
    async fn create(&self, job: &Job, chunks: &[Vec<Record>], key: Option<&str>) -> Result<Creation> {
        let chunk = |(number, records): (usize, &Vec<Record>)| {
            let number = u32::try_from(number).map_err(Error::internal)?;
            item::chunk(&job.id, number, records, job.created_at)
        };
        let items = chunks.iter().enumerate().map(chunk).collect::<Result<Vec<_>>>()?;
        batch_put(&self.client, &self.table, items).await.map_err(|unwritten| unwritten.why)?;
        let due = job.created_at.saturating_add(FIRST_LOOK).unwrap_or(job.created_at);
        let put = Put::builder().table_name(&self.table).set_item(Some(item::header(job, due)));
        let mut puts = vec![put.condition_expression("attribute_not_exists(pk)")];
        puts.extend(key.map(|key| {
            Put::builder()
                .table_name(&self.table)
                .set_item(Some(item::key_note(key, job)))
                .condition_expression("attribute_not_exists(pk) OR expires <= :now")
                .expression_attribute_values(":now", n(job.created_at.as_second()))
        }));
        let item = |put: PutBuilder| {
            Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
        };
        if self.transact(puts.into_iter().map(item).collect::<Result<_>>()?).await? {
            return Ok(Creation::Now);
        }
        let before = match key {
            Some(key) => self.job_of_key(key, job.created_at).await?,
            // The answer to an earlier try of ours was lost.
            None => self.job(&job.id).await?,
        };
        let gone = || Error::unavailable("DynamoDB", "a job was there and is not");
        before.map(|before| Creation::Before(Box::new(before))).ok_or_else(gone)
    }

    async fn job_of_key(&self, key: &str, now: Timestamp) -> Result<Option<Job>> {
        let Some(note) = self.get(item::note_key(key)).await? else { return Ok(None) };
        let attributes = Attributes(&note);
        if attributes.number("expires")? <= u64::try_from(now.as_second()).unwrap_or(0) {
            return Ok(None);
        }
        self.job(attributes.text("job")?).await
    }

    async fn job(&self, id: &str) -> Result<Option<Job>> {
        self.get(item::header_key(id)).await?.as_ref().map(item::job_of).transpose()
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<Job>> {
        self.page(query).await
    }

    async fn started(&self, id: &str, at: Timestamp) -> Result<()> {
        let update = self
            .of_header(id)
            .update_expression("SET started_at = :at")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(started_at)")
            .expression_attribute_values(":at", time(at));
        self.update(update.build().map_err(Error::internal)?).await.map(drop)
    }

    async fn cancel(&self, id: &str, at: Timestamp, by: &str) -> Result<bool> {
        let Some(job) = self.job(id).await? else { return Ok(false) };
        if job.is_over() {
            return Ok(false);
        }
        let update = self
            .of_header(id)
            .update_expression("SET cancelled_at = :at, cancelled_by = :by")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(cancelled_at)")
            .expression_attribute_values(":at", time(at))
            .expression_attribute_values(":by", s(by));
        Ok(self.update(update.build().map_err(Error::internal)?).await?.is_some())
    }

    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed> {
        self.take(claim, now).await
    }

    async fn suspect(&self, claim: &Claim, index: u32) -> Result<bool> {
        let update = self
            .of_claimed(claim)
            .update_expression("SET suspect = :index")
            .expression_attribute_values(":index", n(index));
        Ok(self.update(update.build().map_err(Error::internal)?).await?.is_some())
    }

    async fn condemn(&self, claim: &Claim, index: u32) -> Result<bool> {
        let update = self
            .of_claimed(claim)
            .update_expression("ADD poisoned :index")
            .expression_attribute_values(":index", AttributeValue::Ns(vec![index.to_string()]));
        Ok(self.update(update.build().map_err(Error::internal)?).await?.is_some())
    }

    async fn give_back(&self, claim: &Claim, counts: bool, so_far: &BTreeMap<u32, Ended>) -> Result<()> {
        let mut update = self.of_claimed(claim).expression_attribute_names("#until", "until");
        let mut expression = "REMOVE #token, #until, suspect".to_owned();
        if !so_far.is_empty() {
            expression.push_str(" SET so_far = :so_far");
            update = update.expression_attribute_values(":so_far", item::so_far(so_far)?);
        }
        if !counts {
            expression.push_str(" ADD tries :less");
            update = update.expression_attribute_values(":less", n(-1));
        }
        let update = update.update_expression(expression);
        self.update(update.build().map_err(Error::internal)?).await.map(drop)
    }

    async fn complete(
        &self,
        claim: &Claim,
        records: &[Record],
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<bool> {
        self.transact(self.completion(claim, records, ended, now)?).await
    }

    async fn chunk(&self, job: &str, number: u32) -> Result<Option<Chunk>> {
        self.get(item::chunk_key(job, number)).await?.as_ref().map(item::chunk_of).transpose()
    }

    async fn chunks(&self, job: &str, from: u32, limit: usize) -> Result<Vec<Chunk>> {
        let last = format!("{}~", item::CHUNKS);
        let items = self.query(job, item::chunk_place(from), &last, limit).await?;
        items.iter().map(item::chunk_of).collect()
    }

    async fn failures(
        &self,
        job: &str,
        after: Option<(u32, u32)>,
        limit: usize,
    ) -> Result<Vec<FailedRecord>> {
        let from = match after {
            // What comes after every longer place with the same beginning.
            Some((index, attempt)) => format!("{}~", item::failure_place(index, attempt)),
            None => item::FAILURES.to_owned(),
        };
        let items = self.query(job, from, &format!("{}~", item::FAILURES), limit).await?;
        items.iter().map(item::failure_of).collect()
    }

    async fn failures_of(&self, job: &str, attempts: &[(u32, u32)]) -> Result<Vec<FailedRecord>> {
        let keys = attempts.iter().map(|(index, attempt)| item::failure_key(job, *index, *attempt)).collect();
        let items = batch_get(&self.client, &self.table, keys, Consistency::Strong).await?;
        items.iter().map(item::failure_of).collect()
    }

    async fn ask_retry(&self, job: &Job, at: Timestamp) -> Result<bool> {
        let as_seen = match job.cancelled {
            None => "attribute_not_exists(cancelled_at) AND attribute_not_exists(retry_asked_at)",
            Some(_) => "cancelled_at = :cancelled_at",
        };
        let mut update = self
            .of_header(&job.id)
            .update_expression(
                "SET retry_asked_at = :at, expires = :expires, dpk = :p, dsk = :due \
                 REMOVE cancelled_at, cancelled_by, planned_to",
            )
            .condition_expression(format!("attribute_exists(pk) AND {as_seen}"))
            .expression_attribute_values(":at", time(at))
            .expression_attribute_values(":expires", item::expires(at))
            .expression_attribute_values(":p", s(item::due_partition(crate::dynamo::shard(&job.id))))
            .expression_attribute_values(":due", time(at.saturating_add(FIRST_LOOK).unwrap_or(at)));
        if let Some((cancelled_at, _)) = &job.cancelled {
            update = update.expression_attribute_values(":cancelled_at", time(*cancelled_at));
        }
        Ok(self.update(update.build().map_err(Error::internal)?).await?.is_some())
    }

    async fn retry(&self, job: &Job, failed: &[FailedRecord], now: Timestamp) -> Result<bool> {
        self.transact(self.retry_of(job, failed, now)?).await
    }

    async fn retry_planned(&self, id: &str, asked_at: Timestamp) -> Result<()> {
        let update = self
            .of_header(id)
            .update_expression("REMOVE retry_asked_at, planned_to")
            .condition_expression("retry_asked_at = :at")
            .expression_attribute_values(":at", time(asked_at));
        self.update(update.build().map_err(Error::internal)?).await.map(drop)
    }

    async fn claim_due(&self, now: Timestamp, again: Timestamp, limit: usize) -> Result<Vec<String>> {
        self.take_due(now, again, limit).await
    }

    async fn settle(&self, job: &Job) -> Result<()> {
        let update = self
            .of_header(&job.id)
            .update_expression("REMOVE dpk, dsk")
            // A retry that was asked for meanwhile, or even planned, is to be found.
            .condition_expression("attribute_not_exists(retry_asked_at) AND chunks = :chunks")
            .expression_attribute_values(":chunks", n(job.chunks));
        self.update(update.build().map_err(Error::internal)?).await.map(drop)
    }

    async fn lane(&self, user: &str) -> Result<SeenLane> {
        let Some(item) = self.get(item::lane_key(user)).await? else {
            return Ok(SeenLane { lane: Lane::default(), version: 0 });
        };
        let attributes = Attributes(&item);
        Ok(SeenLane { lane: attributes.json("lane")?, version: attributes.number("v")? })
    }

    async fn keep_lane(&self, user: &str, seen: &SeenLane) -> Result<bool> {
        let condition = match seen.version {
            0 => "attribute_not_exists(pk)",
            _ => "v = :seen",
        };
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::lane_key(user)))
            .update_expression("SET lane = :lane, v = :next")
            .condition_expression(condition)
            .expression_attribute_values(":lane", body(&json(&seen.lane)?)?)
            .expression_attribute_values(":next", n(seen.version + 1));
        if seen.version > 0 {
            update = update.expression_attribute_values(":seen", n(seen.version));
        }
        Ok(self.update(update.build().map_err(Error::internal)?).await?.is_some())
    }
}
