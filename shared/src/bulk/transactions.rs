//! What callers do with bulk transactions: ask for one, look, cancel, try again. Called by the API.
//!
//! Whoever may read the source and create the target may ask. One's own jobs one may see, cancel and try again;
//! everybody's may see who may read the logs, and cancel and try again who may replay events besides.

use std::{collections::HashMap, sync::Arc};

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{
    BulkMessage, BulkRequest, BulkStore, Chunk, Creation, Done, FailedRecord, Job, JobQuery, JobStatus,
    Outcome, Record, dispatcher,
};
use crate::{
    Error, ErrorCode, Result,
    auth::{Permission, Principal, permit},
    clock::Clock,
    documents::{DocType, Page},
    dynamo::{cursor, position},
    id::{self, IdKind},
    queue::Queue,
};

/// Which DocTypes are made of which: from, to.
pub type Knows = fn(&str, &str) -> bool;

/// Jobs read at a time, where they are chosen after reading.
const JOBS: usize = 100;
/// The most such readings of a request.
const MAX_JOB_PAGES: usize = 10;
/// Jobs asked to be tried again at a time.
const AT_ONCE: usize = 10;
/// The most chunks that a page of records reads.
const MAX_CHUNKS: usize = 50;
/// Failed attempts read at a time.
const FAILURES: usize = 500;
/// The most such readings of a page.
const MAX_FAILURE_PAGES: usize = 10;
/// Failed attempts read at a time, and how often, to find one that may be tried again.
const LOOKED_AT: (usize, usize) = (100, 20);

/// Bulk transactions, as callers have them.
pub struct BulkTransactions {
    store: Arc<dyn BulkStore>,
    knows: Knows,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Which jobs, of those of a time.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only those that stand so.
    pub status: Option<JobStatus>,
    /// Only those of sources of this DocType.
    pub from: Option<String>,
    /// Only those that make this DocType.
    pub to: Option<String>,
}

impl JobFilter {
    fn is_empty(&self) -> bool {
        self.status.is_none() && self.from.is_none() && self.to.is_none()
    }

    fn takes(&self, job: &Job) -> bool {
        self.status.is_none_or(|status| job.status() == status)
            && self.from.as_ref().is_none_or(|from| job.from.as_str() == from)
            && self.to.as_ref().is_none_or(|to| job.to.as_str() == to)
    }
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

/// What became of asking for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It is asked for.
    Now,
    /// It was asked for before, and is not planned to its end.
    Before,
    /// There is nothing to try again.
    Nothing,
}

impl BulkTransactions {
    /// Bulk transactions in `store`, of pairs that are known, begun through `queue`, in chunks of `chunk_size`.
    pub fn new(
        store: Arc<dyn BulkStore>,
        knows: Knows,
        queue: Arc<dyn Queue<BulkMessage>>,
        clock: Arc<dyn Clock>,
        chunk_size: usize,
    ) -> Self {
        Self { store, knows, queue, clock, chunk_size }
    }

    /// Accepts `request`: from the answer on it is kept. With a `key`, the same request within a day has the same job.
    ///
    /// Fails with `permission_denied`, `invalid_input` for a pair that is not known, `idempotency_key_reused`.
    pub async fn accept(&self, by: &Principal, request: &BulkRequest, key: Option<&str>) -> Result<Accepted> {
        may_make(by, &request.from, &request.to)?;
        if !(self.knows)(request.from.as_str(), request.to.as_str()) {
            let detail = format!("no {} is made of a {}", request.to, request.from);
            return Err(Error::field("/to_doctype", "unknown", detail));
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

    /// The job, if `by` may see it; `job_not_found` else.
    pub async fn job(&self, by: &Principal, id: &str) -> Result<Job> {
        let job = self.store.job(id).await?.filter(|job| may_see(by, job));
        job.ok_or_else(|| {
            Error::new(ErrorCode::JobNotFound, format!("there is no bulk transaction {id:?} of yours"))
        })
    }

    /// Jobs that `by` may see, newest first. A page may have fewer than there are, and a cursor.
    pub async fn jobs(&self, by: &Principal, query: &JobQuery, filter: &JobFilter) -> Result<Page<Job>> {
        let is_all = filter.is_empty() && permit(by, Permission::ReadOperations).is_ok();
        let at_a_time = if is_all { query.limit + 1 } else { JOBS.max(query.limit + 1) };
        self.find(query, at_a_time, |job| may_see(by, job) && filter.takes(job)).await
    }

    /// Jobs that are `wanted`, newest first. They are chosen after reading, so a page that read enough is partial.
    async fn find(
        &self,
        query: &JobQuery,
        at_a_time: usize,
        wanted: impl Fn(&Job) -> bool + Send,
    ) -> Result<Page<Job>> {
        let mut read = JobQuery { limit: at_a_time, ..query.clone() };
        let mut found: Vec<Job> = Vec::new();
        for _ in 0..MAX_JOB_PAGES {
            let page = self.store.jobs(&read).await?;
            for job in page.items.into_iter().filter(|job| wanted(job)) {
                if found.len() == query.limit {
                    let next = found.last().map(|last| cursor(&last.place())).transpose()?;
                    return Ok(Page { items: found, next, partial: false });
                }
                found.push(job);
            }
            read.cursor = page.next;
            if read.cursor.is_none() {
                break;
            }
        }
        Ok(Page { partial: read.cursor.is_some(), items: found, next: read.cursor })
    }

    /// Cancels what is pending. A job that is over stays as it is.
    ///
    /// Fails with `permission_denied` for somebody else's, unless `by` may replay events.
    pub async fn cancel(&self, by: &Principal, id: &str) -> Result<Job> {
        let job = self.job(by, id).await?;
        may_change(by, &job)?;
        if self.store.cancel(id, self.clock.now(), &by.user).await? {
            self.wake(&job).await;
        }
        self.job(by, id).await
    }

    /// Has what failed, and may succeed, tried again; whether this asked for it. Where a retry is asked for already, the
    /// job says so.
    ///
    /// Fails with `permission_denied`. Of a cancelled job nothing is tried again.
    pub async fn retry(&self, by: &Principal, id: &str) -> Result<(Job, bool)> {
        let job = self.job(by, id).await?;
        may_change(by, &job)?;
        may_make(by, &job.from, &job.to)?;
        let asked = self.ask_retry(&job).await?;
        let mut job = self.job(by, id).await?;
        if asked == Asked::Before {
            job.retry_asked_at = job.retry_asked_at.or_else(|| Some(self.clock.now()));
        }
        Ok((job, asked == Asked::Now))
    }

    /// The same for a page of the jobs that were accepted in the time of `query`: those of which something is tried again,
    /// by this or already.
    pub async fn retry_all(&self, by: &Principal, query: &JobQuery, filter: &JobFilter) -> Result<Page<Job>> {
        let wanted = |job: &Job| {
            job.done.failed > 0
                && job.status() != JobStatus::Cancelled
                && filter.takes(job)
                && may_change(by, job).is_ok()
                && may_make(by, &job.from, &job.to).is_ok()
        };
        let Page { items, next, partial } = self.find(query, JOBS.max(query.limit + 1), wanted).await?;
        let mut retried = Vec::with_capacity(items.len());
        for some in items.chunks(AT_ONCE) {
            let asked = try_join_all(some.iter().map(|job| self.ask_retry(job))).await?;
            let asked = some.iter().zip(asked).filter(|(_, asked)| *asked != Asked::Nothing);
            let tried = asked.map(|(job, _)| job.clone());
            let now = self.clock.now();
            retried.extend(tried.map(|job| Job { retry_asked_at: job.retry_asked_at.or(Some(now)), ..job }));
        }
        Ok(Page { items: retried, next, partial })
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
            // Of which failures nothing is to be shown, nothing is read.
            let shows_failures = query.status.is_none();
            let of_chunk = self.lines(job, &chunk, shows_failures).await?;
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
        for _ in 0..MAX_FAILURE_PAGES {
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
        Ok(Page { items: lines, next: Some(cursor(&after)?), partial: true })
    }

    /// A line for each record of `chunk`, with why they failed if that is to be shown.
    async fn lines(&self, job: &Job, chunk: &Chunk, shows_failures: bool) -> Result<Vec<RecordLine>> {
        let outcome_of = |place: usize| chunk.outcomes.as_ref().and_then(|outcomes| outcomes.get(place));
        let mut failed: Vec<Record> = Vec::new();
        for (place, record) in chunk.records.iter().enumerate() {
            if shows_failures && outcome_of(place) == Some(&Outcome::Failed) {
                failed.push(record.clone());
            }
        }
        let mut failures: HashMap<u32, FailedRecord> = HashMap::new();
        if !failed.is_empty() {
            let found = self.store.failures_of(&job.id, &failed).await?;
            failures.extend(found.into_iter().map(|failed| (failed.record.index, failed)));
        }
        let line = |(place, record): (usize, &Record)| {
            let (status, target) = match outcome_of(place) {
                None => (RecordStatus::Pending, None),
                Some(Outcome::Succeeded(target)) => (RecordStatus::Succeeded, Some(target.clone())),
                Some(Outcome::Cancelled) => (RecordStatus::Cancelled, None),
                Some(Outcome::Failed) => (RecordStatus::Failed, None),
            };
            let (index, name, attempt) = (record.index, record.name.clone(), record.attempt);
            RecordLine { index, name, status, target, attempt, failed: failures.remove(&index) }
        };
        Ok(chunk.records.iter().enumerate().map(line).collect())
    }

    async fn ask_retry(&self, job: &Job) -> Result<Asked> {
        if job.status() == JobStatus::Cancelled {
            return Ok(Asked::Nothing);
        }
        // One that was cancelled before it was planned is asked for anew.
        if job.retry_asked_at.is_some() && job.cancelled.is_none() {
            return Ok(Asked::Before);
        }
        if job.done.failed == 0 || !self.has_retryable(job).await? {
            return Ok(Asked::Nothing);
        }
        if !self.store.ask_retry(job, self.clock.now()).await? {
            return Ok(Asked::Before);
        }
        self.wake(job).await;
        Ok(Asked::Now)
    }

    /// Whether a failed record may be tried again. Of very many only the first are looked at, and the rest may have one.
    async fn has_retryable(&self, job: &Job) -> Result<bool> {
        let (limit, pages) = LOOKED_AT;
        let mut after = None;
        for _ in 0..pages {
            let page = self.store.failures(&job.id, after, limit).await?;
            if page.iter().any(FailedRecord::may_retry) {
                return Ok(true);
            }
            match page.last() {
                Some(last) if page.len() == limit => {
                    after = Some((last.record.index, last.record.attempt));
                }
                _ => return Ok(false),
            }
        }
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

fn may_make(by: &Principal, from: &DocType, to: &DocType) -> Result<()> {
    permit(by, Permission::Read(from))?;
    permit(by, Permission::Create(to))
}

/// To see what others asked for is to read; to meddle with it takes more.
fn may_change(by: &Principal, job: &Job) -> Result<()> {
    if job.user == by.user { Ok(()) } else { permit(by, Permission::Replay) }
}

fn may_see(by: &Principal, job: &Job) -> bool {
    job.user == by.user || permit(by, Permission::ReadOperations).is_ok()
}
