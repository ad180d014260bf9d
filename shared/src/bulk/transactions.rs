//! What callers do with bulk transactions: ask for one, look, cancel, try again. Called by the API.
//!
//! Whoever may read the source and create the target may ask. One's own jobs one may see and cancel; everybody's, who may
//! read the logs.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{
    BulkMessage, BulkRequest, BulkStore, Chunk, Creation, Done, FailedRecord, Job, JobQuery, Maker, Outcome,
    dispatcher,
};
use crate::{
    Error, ErrorCode, Result,
    auth::{Permission, Principal, permit},
    clock::Clock,
    documents::Page,
    dynamo::{cursor, position},
    id::{self, IdKind},
    queue::Queue,
};

/// The most jobs of a day that one request tries again; a repeat goes on.
const MAX_RETRIED_JOBS: usize = 500;
/// The most chunks that a page of records reads.
const MAX_CHUNKS: usize = 50;
/// Failed attempts read at a time.
const FAILURES: usize = 500;

/// Bulk transactions, as callers have them.
pub struct BulkTransactions {
    store: Arc<dyn BulkStore>,
    maker: Arc<dyn Maker>,
    queue: Arc<dyn Queue<BulkMessage>>,
    clock: Arc<dyn Clock>,
    chunk_size: usize,
}

/// A job that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The job.
    pub job: Job,
    /// Whether the same request was accepted before.
    pub repeated: bool,
}

/// How a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// It is not done.
    Pending,
    /// Its target was made.
    Succeeded,
    /// It could not be made.
    Failed,
    /// It was not begun before the job was cancelled.
    Cancelled,
}

/// A record with what came of it: a line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordLine {
    /// Its place in the job.
    pub index: u32,
    /// The source.
    pub name: String,
    /// How it stands.
    pub status: RecordStatus,
    /// The document that was made.
    pub target: Option<String>,
    /// Which attempt this is.
    pub attempt: u32,
    /// The failure, if it failed.
    pub failed: Option<FailedRecord>,
}

/// Which records.
#[derive(Debug, Clone)]
pub struct RecordQuery {
    /// Only those that stand so. Failed ones are then those that are not tried again.
    pub status: Option<RecordStatus>,
    /// At most this many, 1 to 500.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

impl BulkTransactions {
    /// Bulk transactions in `store`, of what `maker` knows, begun through `queue`, in chunks of `chunk_size`.
    pub fn new(
        store: Arc<dyn BulkStore>,
        maker: Arc<dyn Maker>,
        queue: Arc<dyn Queue<BulkMessage>>,
        clock: Arc<dyn Clock>,
        chunk_size: usize,
    ) -> Self {
        Self { store, maker, queue, clock, chunk_size }
    }

    /// Accepts `request`: from the answer on it is kept. With a `key`, the same request within a day has the same job.
    ///
    /// Fails with `permission_denied`, `invalid_input` for a pair that is not known, `idempotency_key_reused`.
    pub async fn accept(&self, by: &Principal, request: &BulkRequest, key: Option<&str>) -> Result<Accepted> {
        permit(by, Permission::Read(&request.from))?;
        permit(by, Permission::Create(&request.to))?;
        if !self.maker.knows(request.from.as_str(), request.to.as_str()) {
            let detail = format!("no {} is made of a {}", request.to, request.from);
            return Err(Error::field("to_doctype", "unknown_pair", detail));
        }
        let (now, fingerprint) = (self.clock.now(), request.fingerprint()?);
        if let Some(key) = key
            && let Some(job) = self.store.job_of_key(key, now).await?
        {
            return repeated(job, &fingerprint);
        }
        let chunks = request.chunks(self.chunk_size);
        let job = Job {
            id: id::fresh(IdKind::Job, now)?,
            user: by.user.clone(),
            from: request.from.clone(),
            to: request.to.clone(),
            total: request.records.len() as u64,
            folded: request.folded,
            chunks: u32::try_from(chunks.len()).map_err(Error::internal)?,
            done: Done::default(),
            created_at: now,
            started_at: None,
            progressed_at: None,
            cancelled: None,
            retry_asked_at: None,
            fingerprint,
        };
        match self.store.create(&job, &chunks, key).await? {
            Creation::Now => {}
            Creation::Before(before) => return repeated(*before, &job.fingerprint),
        }
        self.wake(&job).await;
        Ok(Accepted { job, repeated: false })
    }

    /// The job, if `by` may see it; `document_not_found` else.
    pub async fn job(&self, by: &Principal, id: &str) -> Result<Job> {
        let job = self.store.job(id).await?.filter(|job| may_see(by, job));
        job.ok_or_else(|| {
            Error::new(ErrorCode::DocumentNotFound, format!("there is no bulk transaction {id:?} of yours"))
        })
    }

    /// Jobs that `by` may see, newest first. A page may have fewer than there are, and a cursor.
    pub async fn jobs(&self, by: &Principal, query: &JobQuery) -> Result<Page<Job>> {
        let mut page = self.store.jobs(query).await?;
        page.items.retain(|job| may_see(by, job));
        Ok(page)
    }

    /// Cancels what is pending. A job that is over stays as it is.
    pub async fn cancel(&self, by: &Principal, id: &str) -> Result<Job> {
        let job = self.job(by, id).await?;
        if self.store.cancel(id, self.clock.now(), &by.user).await? {
            self.wake(&job).await;
        }
        self.job(by, id).await
    }

    /// Has what failed, and may succeed, tried again. `false` if nothing failed.
    pub async fn retry(&self, by: &Principal, id: &str) -> Result<(Job, bool)> {
        let job = self.job(by, id).await?;
        permit(by, Permission::Read(&job.from))?;
        permit(by, Permission::Create(&job.to))?;
        let asked = self.ask_retry(&job).await?;
        Ok((self.job(by, id).await?, asked))
    }

    /// The same for the jobs of a day (UTC), of one pair if that is said: those for which it was asked.
    pub async fn retry_day(
        &self,
        by: &Principal,
        day: Date,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Vec<Job>> {
        let begin = day.to_zoned(TimeZone::UTC).map_err(Error::internal)?.timestamp();
        let end = begin.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        let mut query = JobQuery { from: begin, to: end, limit: 100, cursor: None };
        let mut retried = Vec::new();
        loop {
            let page = self.jobs(by, &query).await?;
            for job in page.items {
                let wanted = from.is_none_or(|from| job.from.as_str() == from)
                    && to.is_none_or(|to| job.to.as_str() == to);
                let permitted = permit(by, Permission::Read(&job.from)).is_ok()
                    && permit(by, Permission::Create(&job.to)).is_ok();
                if wanted && permitted && self.ask_retry(&job).await? {
                    retried.push(job);
                }
                if retried.len() == MAX_RETRIED_JOBS {
                    return Ok(retried);
                }
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(retried);
            }
        }
    }

    /// Records of a job with what came of them, in the order of the attempts.
    pub async fn records(&self, job: &Job, query: &RecordQuery) -> Result<Page<RecordLine>> {
        if query.status == Some(RecordStatus::Failed) {
            return self.failed_records(job, query).await;
        }
        let (mut number, mut place): (u32, usize) = match &query.cursor {
            Some(text) => position(text)?,
            None => (0, 0),
        };
        let mut lines = Vec::with_capacity(query.limit);
        for _ in 0..MAX_CHUNKS {
            let Some(chunk) = self.store.chunks(&job.id, number, 1).await?.pop() else {
                return Ok(Page { items: lines, next: None, partial: false });
            };
            let of_chunk = self.lines(job, &chunk).await?;
            for line in of_chunk.into_iter().skip(place) {
                if lines.len() == query.limit {
                    return Ok(Page {
                        items: lines,
                        next: Some(cursor(&(chunk.number, place))?),
                        partial: false,
                    });
                }
                place += 1;
                if query.status.is_none_or(|status| status == line.status) {
                    lines.push(line);
                }
            }
            (number, place) = (chunk.number + 1, 0);
        }
        let next = (number < job.chunks).then(|| cursor(&(number, 0))).transpose()?;
        Ok(Page { partial: next.is_some(), items: lines, next })
    }

    async fn failed_records(&self, job: &Job, query: &RecordQuery) -> Result<Page<RecordLine>> {
        let mut after: Option<(u32, u32)> = query.cursor.as_deref().map(position).transpose()?;
        let mut lines = Vec::new();
        loop {
            let page = self.store.failures(&job.id, after, FAILURES).await?;
            let is_last = page.len() < FAILURES;
            for failed in page {
                if lines.len() == query.limit {
                    let next = Some(cursor(&after)?);
                    return Ok(Page { items: lines, next, partial: false });
                }
                after = Some((failed.record.index, failed.record.attempt));
                if !failed.retried {
                    lines.push(failed_line(failed));
                }
            }
            if is_last {
                return Ok(Page { items: lines, next: None, partial: false });
            }
        }
    }

    /// A line for each record of `chunk`.
    async fn lines(&self, job: &Job, chunk: &Chunk) -> Result<Vec<RecordLine>> {
        let mut lines = Vec::with_capacity(chunk.records.len());
        for (place, record) in chunk.records.iter().enumerate() {
            let outcome = chunk.outcomes.as_ref().and_then(|outcomes| outcomes.get(place));
            let line = |status, target: Option<&String>| RecordLine {
                index: record.index,
                name: record.name.clone(),
                status,
                target: target.cloned(),
                attempt: record.attempt,
                failed: None,
            };
            lines.push(match outcome {
                None => line(RecordStatus::Pending, None),
                Some(Outcome::Succeeded(target)) => line(RecordStatus::Succeeded, Some(target)),
                Some(Outcome::Cancelled) => line(RecordStatus::Cancelled, None),
                Some(Outcome::Failed) => {
                    let before = record.attempt.checked_sub(1).map(|attempt| (record.index, attempt));
                    let found = self.store.failures(&job.id, before, 1).await?;
                    found.into_iter().next().map_or_else(|| line(RecordStatus::Failed, None), failed_line)
                }
            });
        }
        Ok(lines)
    }

    async fn ask_retry(&self, job: &Job) -> Result<bool> {
        if job.done.failed == 0 || !self.store.ask_retry(&job.id, self.clock.now()).await? {
            return Ok(false);
        }
        self.wake(job).await;
        Ok(true)
    }

    /// Sends the job's message. What is kept is found by the sweep too, so a failure is none of the caller's.
    async fn wake(&self, job: &Job) {
        if let Err(error) = self.queue.send(&dispatcher::message(job)).await {
            warn!(job = job.id, error = ?error, "the job waits for the sweep");
        }
    }
}

fn failed_line(failed: FailedRecord) -> RecordLine {
    RecordLine {
        index: failed.record.index,
        name: failed.record.name.clone(),
        status: RecordStatus::Failed,
        target: None,
        attempt: failed.record.attempt,
        failed: Some(failed),
    }
}

fn repeated(job: Job, fingerprint: &str) -> Result<Accepted> {
    if job.fingerprint == fingerprint {
        return Ok(Accepted { job, repeated: true });
    }
    let detail = "the key was used for another request within the last 24 hours";
    Err(Error::new(ErrorCode::IdempotencyKeyReused, detail))
}

fn may_see(by: &Principal, job: &Job) -> bool {
    job.user == by.user || permit(by, Permission::ReadOperations).is_ok()
}
