//! What failed is tried again: of one job, or of a page of them.

use futures::future::try_join_all;

use super::{BulkTransactions, JOBS, JobFilter, may_change, may_make};
use crate::{
    Result,
    auth::Principal,
    bulk::{FailedRecord, Job, JobQuery, JobStatus},
    documents::Page,
};

/// Jobs asked to be tried again at a time.
const AT_ONCE: usize = 10;
/// Failed attempts read at a time, and how often, to find one that may be tried again.
const LOOKED_AT: (usize, usize) = (100, 20);

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
}
