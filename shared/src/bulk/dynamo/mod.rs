//! Jobs on DynamoDB, in the State table.
//!
//! Written are: a chunk when it is created (in batches), once when it is claimed, and once in a transaction with the
//! header's counts and the failures when it is done. So a record that succeeds costs its part of that, and no write
//! of its own.

mod item;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{
        AttributeValue, Put, ReturnValue, TransactWriteItem, Update,
        builders::{PutBuilder, UpdateBuilder},
    },
};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use jiff::{SignedDuration, Timestamp};

use super::{
    BulkStore, Chunk, Claim, Claimed, Creation, Ended, FailedRecord, Job, JobQuery, KEPT, Lane, Outcome,
    Record, SeenLane,
};
use crate::{
    Error, Result,
    clock::rfc3339,
    config::Tables,
    documents::{Page, dynamo::RETURN_OLD},
    dynamo::{
        Attributes, Consistency, Item, SHARDS, alone, batch_get, batch_put, body, cancellation,
        condition_failed, cursor, failed, json, n, position, s, time, update_refused,
    },
};

/// How long after its creation a job is looked at, whose message was perhaps never sent.
const FIRST_LOOK: SignedDuration = SignedDuration::from_mins(1);
/// Claims of due jobs under way at a time.
const CONCURRENT_CLAIMS: usize = 10;
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

    /// Moves a due job's time on, unless another sweep did.
    async fn claim_one(&self, due: Item, again: Timestamp) -> Result<Option<String>> {
        let (job, seen) = (item::job_id(&due)?, Attributes(&due).text("dsk")?.to_owned());
        let update = self
            .of_header(&job)
            .update_expression("SET dsk = :again")
            .condition_expression("dsk = :seen")
            .expression_attribute_values(":again", time(again))
            .expression_attribute_values(":seen", s(seen));
        let claimed = self.update(update.build().map_err(Error::internal)?).await?;
        Ok(claimed.map(|()| job))
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
        let before: Option<String> = query.cursor.as_deref().map(position).transpose()?;
        let (from, to) = (rfc3339(query.from), rfc3339(query.to));
        let last = before.filter(|before| *before < to).unwrap_or(to);
        if last < from {
            return Ok(Page { items: Vec::new(), next: None, partial: false });
        }
        let shards = (0..SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(&self.table)
                .index_name("by_state")
                .key_condition_expression("spk = :p AND ssk BETWEEN :from AND :last")
                .expression_attribute_values(":p", s(item::listed_partition(shard)))
                .expression_attribute_values(":from", s(&from))
                .expression_attribute_values(":last", s(&last))
                .scan_index_forward(false)
                .limit(i32::try_from(query.limit + 2).unwrap_or(i32::MAX))
                .send()
        });
        let mut places = Vec::new();
        for answer in try_join_all(shards).await.map_err(failed)? {
            for found in answer.items.unwrap_or_default() {
                let place = Attributes(&found).text("ssk")?.to_owned();
                if place < last {
                    places.push((place, item::job_id(&found)?));
                }
            }
        }
        places.sort_by(|a, b| b.0.cmp(&a.0));
        let more = places.len() > query.limit;
        places.truncate(query.limit);
        let next = places.last().filter(|_| more).map(|(place, _)| cursor(place)).transpose()?;
        let keys = places.iter().map(|(_, job)| item::header_key(job)).collect();
        let read = batch_get(&self.client, &self.table, keys, Consistency::Strong).await?;
        let mut jobs = read.iter().map(item::job_of).collect::<Result<Vec<_>>>()?;
        jobs.sort_by_key(|job| std::cmp::Reverse(job.place()));
        Ok(Page { items: jobs, next, partial: false })
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
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::chunk_key(&claim.job, claim.number)))
            .update_expression("SET #token = :token, #until = :until ADD tries :one")
            .condition_expression(
                "attribute_exists(pk) AND attribute_not_exists(outcomes) \
                 AND (attribute_not_exists(#until) OR #until <= :now)",
            )
            .expression_attribute_names("#token", "token")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":token", s(&claim.token))
            .expression_attribute_values(":until", time(claim.until))
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(RETURN_OLD)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                let claimed = answer.attributes.ok_or_else(|| Error::internal("a claim was not returned"))?;
                Ok(Claimed::Ours(Box::new(item::chunk_of(&claimed)?)))
            }
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), UpdateItemError::ConditionalCheckFailedException(_)) =>
            {
                let UpdateItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                    return Err(Error::internal("a refusal is none"));
                };
                let held = match refused.item {
                    Some(item) => Some(item),
                    None => self.get(item::chunk_key(&claim.job, claim.number)).await?,
                };
                Ok(match held {
                    None => Claimed::Gone,
                    Some(item) if item.contains_key("outcomes") => Claimed::Done,
                    Some(item) => Claimed::Held(Attributes(&item).time("until")?),
                })
            }
            Err(error) => Err(failed(error)),
        }
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

    async fn give_back(&self, claim: &Claim, counts: bool) -> Result<()> {
        let update = self.of_claimed(claim).expression_attribute_names("#until", "until");
        let update = if counts {
            update.update_expression("REMOVE #token, #until, suspect")
        } else {
            update
                .update_expression("REMOVE #token, #until, suspect ADD tries :less")
                .expression_attribute_values(":less", n(-1))
        };
        self.update(update.build().map_err(Error::internal)?).await.map(drop)
    }

    async fn complete(
        &self,
        claim: &Claim,
        records: &[Record],
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<bool> {
        let outcomes: Vec<Outcome> = ended.iter().map(Ended::outcome).collect();
        let count = |wanted: fn(&Outcome) -> bool| n(outcomes.iter().filter(|one| wanted(one)).count());
        let chunk = self
            .of_claimed(claim)
            .expression_attribute_names("#until", "until")
            .update_expression("SET outcomes = :outcomes REMOVE #token, #until, suspect, poisoned")
            .expression_attribute_values(":outcomes", body(&json(&outcomes)?)?);
        let header = self
            .of_header(&claim.job)
            .update_expression("SET progressed_at = :now ADD succeeded :s, failed :f, cancelled :c")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":s", count(|one| matches!(one, Outcome::Succeeded(_))))
            .expression_attribute_values(":f", count(|one| matches!(one, Outcome::Failed)))
            .expression_attribute_values(":c", count(|one| matches!(one, Outcome::Cancelled)));
        let mut items = Vec::with_capacity(2 + outcomes.len());
        for update in [chunk, header] {
            let update = update.build().map_err(Error::internal)?;
            items.push(TransactWriteItem::builder().update(update).build());
        }
        let expires = now.saturating_add(KEPT).unwrap_or(Timestamp::MAX).as_second();
        for (record, ended) in records.iter().zip(ended) {
            let Ended::Refused { failure, retryable } = ended else { continue };
            let failed = FailedRecord {
                record: record.clone(),
                at: now,
                failure: failure.clone(),
                retryable: *retryable,
                retried: false,
            };
            let item = item::failure(&claim.job, &failed, n(expires))?;
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            let put = put.build().map_err(Error::internal)?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        self.transact(items).await
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

    async fn failures_of(&self, job: &str, records: &[Record]) -> Result<Vec<FailedRecord>> {
        let keys = records.iter().map(|record| item::failure_key(job, record)).collect();
        let items = batch_get(&self.client, &self.table, keys, Consistency::Strong).await?;
        items.iter().map(item::failure_of).collect()
    }

    async fn ask_retry(&self, id: &str, at: Timestamp) -> Result<bool> {
        let update = self
            .of_header(id)
            .update_expression("SET retry_asked_at = :at, dpk = :p, dsk = :due")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(retry_asked_at)")
            .expression_attribute_values(":at", time(at))
            .expression_attribute_values(":p", s(item::due_partition(crate::dynamo::shard(id))))
            .expression_attribute_values(":due", time(at.saturating_add(FIRST_LOOK).unwrap_or(at)));
        Ok(self.update(update.build().map_err(Error::internal)?).await?.is_some())
    }

    async fn retry(&self, job: &Job, failed: &[FailedRecord]) -> Result<bool> {
        let records: Vec<Record> = failed
            .iter()
            .map(|failed| Record { attempt: failed.record.attempt + 1, ..failed.record.clone() })
            .collect();
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::chunk(&job.id, job.chunks, &records, job.created_at)?))
            .build()
            .map_err(Error::internal)?;
        let header = self
            .of_header(&job.id)
            .update_expression("ADD failed :less, chunks :one")
            .condition_expression("chunks = :chunks")
            .expression_attribute_values(":less", n(-i64::try_from(failed.len()).map_err(Error::internal)?))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":chunks", n(job.chunks))
            .build()
            .map_err(Error::internal)?;
        let mut items = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(header).build(),
        ];
        for failed in failed {
            let update = Update::builder()
                .table_name(&self.table)
                .set_key(Some(item::failure_key(&job.id, &failed.record)))
                .update_expression("SET retried = :yes")
                .condition_expression("retried = :no")
                .expression_attribute_values(":yes", AttributeValue::Bool(true))
                .expression_attribute_values(":no", AttributeValue::Bool(false))
                .build()
                .map_err(Error::internal)?;
            items.push(TransactWriteItem::builder().update(update).build());
        }
        self.transact(items).await
    }

    async fn retry_planned(&self, id: &str, asked_at: Timestamp) -> Result<()> {
        let update = self
            .of_header(id)
            .update_expression("REMOVE retry_asked_at")
            .condition_expression("retry_asked_at = :at")
            .expression_attribute_values(":at", time(asked_at));
        self.update(update.build().map_err(Error::internal)?).await.map(drop)
    }

    async fn claim_due(&self, now: Timestamp, again: Timestamp, limit: usize) -> Result<Vec<String>> {
        let each = i32::try_from(limit.div_ceil(SHARDS as usize)).unwrap_or(i32::MAX);
        let shards = (0..SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(&self.table)
                .index_name("by_due")
                .key_condition_expression("dpk = :p AND dsk <= :now")
                .expression_attribute_values(":p", s(item::due_partition(shard)))
                .expression_attribute_values(":now", time(now))
                .limit(each)
                .send()
        });
        let answers = try_join_all(shards).await.map_err(failed)?;
        let due: Vec<Item> =
            answers.into_iter().flat_map(|answer| answer.items.unwrap_or_default()).collect();
        let claims = stream::iter(due).map(|item| self.claim_one(item, again));
        let claimed: Vec<_> = claims.buffer_unordered(CONCURRENT_CLAIMS).try_collect().await?;
        Ok(claimed.into_iter().flatten().collect())
    }

    async fn settle(&self, id: &str) -> Result<()> {
        let update = self
            .of_header(id)
            .update_expression("REMOVE dpk, dsk")
            // A retry that was asked for meanwhile is to be found.
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(retry_asked_at)");
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
