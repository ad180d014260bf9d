//! What callers do with bulk transactions: ask for one, look, cancel, try again. Called by the API.
//!
//! Whoever may read the source and create the target may ask. One's own jobs one may see, cancel and try again;
//! everybody's may see who may read the logs, and cancel and try again who may replay events besides.

mod records;
mod retries;

pub use records::{RecordLine, RecordQuery, RecordStatus};

use std::sync::Arc;

use tracing::warn;

use super::{BulkMessage, BulkRequest, BulkStore, Creation, Done, Job, JobQuery, JobStatus, dispatcher};
use crate::{
    Error, ErrorCode, Result,
    auth::{Permission, Principal, permit},
    clock::Clock,
    documents::{DocType, Page},
    dynamo::cursor,
    id::{self, IdKind},
    queue::Queue,
};

/// The DocTypes that are made of documents of a DocType; none if nothing is.
pub type Targets = fn(&str) -> Vec<&'static str>;

/// Jobs read at a time, where they are chosen after reading.
const JOBS: usize = 100;
/// The most such readings of a request.
const MAX_JOB_PAGES: usize = 10;

/// Bulk transactions, as callers have them.
pub struct BulkTransactions {
    store: Arc<dyn BulkStore>,
    targets: Targets,
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

impl BulkTransactions {
    /// Bulk transactions in `store`, of pairs that are known, begun through `queue`, in chunks of `chunk_size`.
    pub fn new(
        store: Arc<dyn BulkStore>,
        targets: Targets,
        queue: Arc<dyn Queue<BulkMessage>>,
        clock: Arc<dyn Clock>,
        chunk_size: usize,
    ) -> Self {
        Self { store, targets, queue, clock, chunk_size }
    }

    /// Accepts `request`: from the answer on it is kept. With a `key`, the same request within a day has the same job.
    ///
    /// Fails with `permission_denied`, `invalid_input` for a pair that is not known, `idempotency_key_reused`.
    pub async fn accept(&self, by: &Principal, request: &BulkRequest, key: Option<&str>) -> Result<Accepted> {
        may_make(by, &request.from, &request.to)?;
        self.check_pair(&request.from, &request.to)?;
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
            retried_from: None,
            cancelled: None,
            retry_asked_at: None,
            planned_to: None,
            fingerprint,
        };
        match self.store.create(&job, &chunks, key).await? {
            Creation::Now => {}
            Creation::Before(before) => return repeated(*before, &job.fingerprint),
        }
        self.wake(&job).await;
        Ok(Accepted { job, repeated: false })
    }

    fn check_pair(&self, from: &DocType, to: &DocType) -> Result<()> {
        let targets = (self.targets)(from.as_str());
        if targets.is_empty() {
            let detail = format!("nothing is made of a {from}");
            return Err(Error::field("/from_doctype", "unknown", detail));
        }
        if targets.contains(&to.as_str()) {
            return Ok(());
        }
        let detail = format!("what is made of a {from}: {}", targets.join(", "));
        Err(Error::field("/to_doctype", "unknown", detail))
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

    /// Sends the job's message. What is kept is found by the sweep too, so a failure is none of the caller's.
    async fn wake(&self, job: &Job) {
        if let Err(error) = self.queue.send(&dispatcher::message(job)).await {
            warn!(job = job.id, error = ?error, "the job waits for the sweep");
        }
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
    if job.user == by.user || permit(by, Permission::Replay).is_ok() {
        return Ok(());
    }
    let detail = format!("{} may not cancel or retry bulk transactions of others", by.user);
    Err(Error::new(ErrorCode::PermissionDenied, detail))
}

fn may_see(by: &Principal, job: &Job) -> bool {
    job.user == by.user || permit(by, Permission::ReadOperations).is_ok()
}
