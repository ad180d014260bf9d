//! A job: what was asked for, how far it is, and what that is called. Pure.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{clock::rfc3339, documents::DocType};

/// How long a job is kept, from its beginning or its last retry, and a record, from when it was asked for.
pub const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A bulk transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// `job_…`
    pub id: String,
    /// Who asked for it; what is made is made in their name.
    pub user: String,
    /// The DocType of the sources.
    pub from: DocType,
    /// The DocType that is made.
    pub to: DocType,
    /// Records, each source once.
    pub total: u64,
    /// Records that were named more than once, and are done once.
    pub folded: u64,
    /// How many chunks there are by now, those of retries too.
    pub chunks: u32,
    /// How the records that are done ended.
    pub done: Done,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first chunk was sent; `None` while it waits.
    pub started_at: Option<Timestamp>,
    /// When a chunk was done last.
    pub progressed_at: Option<Timestamp>,
    /// Where the last retry began; `None` if there was none.
    pub retried_from: Option<Start>,
    /// When it was cancelled, and by whom.
    pub cancelled: Option<(Timestamp, String)>,
    /// When a retry was asked for that is not planned to its end yet.
    pub retry_asked_at: Option<Timestamp>,
    /// Up to which record that retry is planned; `None` before the first.
    pub planned_to: Option<u32>,
    /// What a repeat of the request is recognised by: a digest of what it asked for.
    pub fingerprint: String,
}

/// From where on a job's rate is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// When.
    pub at: Timestamp,
    /// How many records were done by then.
    pub done: u64,
}

/// Records that are done, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Their target exists.
    pub succeeded: u64,
    /// They could not be made, and the record says why. What is being tried again is not among them.
    pub failed: u64,
    /// They were not begun before the job was cancelled.
    pub cancelled: u64,
}

impl Done {
    /// All of them.
    pub fn sum(self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }
}

/// Where a job stands. It follows from the counts, so that nothing has to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// None of it was begun.
    Queued,
    /// It was begun, or what failed is about to be tried again.
    Running,
    /// All records succeeded.
    Completed,
    /// All are done, and some failed.
    CompletedWithFailures,
    /// It was cancelled; what was under way may still be counted for a moment.
    Cancelled,
    /// All records failed.
    Failed,
}

impl Job {
    /// Records that are not done.
    pub fn pending(&self) -> u64 {
        self.total.saturating_sub(self.done.sum())
    }

    /// Whether every record is done and no retry is to come.
    pub fn is_over(&self) -> bool {
        self.pending() == 0 && self.retry_asked_at.is_none()
    }

    /// Where it stands.
    pub fn status(&self) -> JobStatus {
        let Done { succeeded, failed, cancelled } = self.done;
        match self.pending() {
            _ if self.cancelled.is_some() && (self.pending() > 0 || cancelled > 0) => JobStatus::Cancelled,
            0 if self.retry_asked_at.is_some() => JobStatus::Running,
            0 if failed == 0 => JobStatus::Completed,
            0 if succeeded == 0 => JobStatus::Failed,
            0 => JobStatus::CompletedWithFailures,
            _ if self.started_at.is_none() => JobStatus::Queued,
            _ => JobStatus::Running,
        }
    }

    /// When it was cancelled, and by whom, unless that came too late to cancel anything.
    pub fn cancellation(&self) -> Option<&(Timestamp, String)> {
        let too_late = self.is_over() && self.status() != JobStatus::Cancelled;
        self.cancelled.as_ref().filter(|_| !too_late)
    }

    /// When its last record was done; `None` while it is not over.
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.progressed_at.filter(|_| self.is_over())
    }

    /// Its place among all jobs: the text order is the order in which they were accepted.
    pub fn place(&self) -> String {
        format!("{}#{}", rfc3339(self.created_at), self.id)
    }

    /// Records worked off a second since it began, or since its last retry did: until `now` while it is under way. `None`
    /// before some are.
    pub fn records_per_second(&self, now: Timestamp) -> Option<f64> {
        let first = self.started_at.map(|at| Start { at, done: 0 });
        let start = self.retried_from.or(first)?;
        let end = if self.is_under_way() { now } else { self.progressed_at? };
        let took = end.duration_since(start.at).as_secs_f64();
        let done = (self.done.succeeded + self.done.failed).saturating_sub(start.done);
        #[expect(clippy::cast_precision_loss, reason = "a job has at most 100,000 records")]
        let done = done as f64;
        (took > 0.0 && done > 0.0).then(|| done / took)
    }

    /// When it will be done at this rate; `None` if nothing is under way, or nobody can tell.
    pub fn estimated_end(&self, now: Timestamp) -> Option<Timestamp> {
        let rate = self.records_per_second(now).filter(|_| self.is_under_way())?;
        #[expect(clippy::cast_precision_loss, reason = "a job has at most 100,000 records")]
        let seconds = self.pending() as f64 / rate;
        now.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
    }

    /// Whether records are pending and to be made.
    fn is_under_way(&self) -> bool {
        self.pending() > 0 && self.cancelled.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    fn job(succeeded: u64, failed: u64, cancelled: u64) -> Job {
        Job {
            id: "job_1".to_owned(),
            user: "ada@example.com".to_owned(),
            from: DocType::new("Sales Order").unwrap(),
            to: DocType::new("Sales Invoice").unwrap(),
            total: 10,
            folded: 0,
            chunks: 1,
            done: Done { succeeded, failed, cancelled },
            created_at: start(),
            started_at: Some(start()),
            progressed_at: Some(start() + SignedDuration::from_secs(2)),
            retried_from: None,
            cancelled: None,
            retry_asked_at: None,
            planned_to: None,
            fingerprint: String::new(),
        }
    }

    #[test]
    fn its_status_follows_from_what_is_done() {
        assert_eq!(Job { started_at: None, ..job(0, 0, 0) }.status(), JobStatus::Queued);
        assert_eq!(job(0, 0, 0).status(), JobStatus::Running);
        assert_eq!(job(9, 0, 0).status(), JobStatus::Running);
        assert_eq!(job(10, 0, 0).status(), JobStatus::Completed);
        assert_eq!(job(9, 1, 0).status(), JobStatus::CompletedWithFailures);
        assert_eq!(job(0, 10, 0).status(), JobStatus::Failed);
        let cancelled = Some((start(), "ada@example.com".to_owned()));
        assert_eq!(Job { cancelled: cancelled.clone(), ..job(4, 0, 0) }.status(), JobStatus::Cancelled);
        assert_eq!(Job { cancelled: cancelled.clone(), ..job(4, 1, 5) }.status(), JobStatus::Cancelled);
        assert_eq!(Job { cancelled, ..job(10, 0, 0) }.status(), JobStatus::Completed, "it came too late");
    }

    #[test]
    fn a_job_of_which_a_retry_is_asked_for_is_not_over() {
        let asked = Job { retry_asked_at: Some(start()), ..job(9, 1, 0) };
        assert_eq!((asked.status(), asked.finished_at()), (JobStatus::Running, None));
    }

    /// So many seconds after the beginning.
    fn after(seconds: i64) -> Timestamp {
        start() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn its_rate_says_when_it_ends() {
        let half = job(4, 1, 0);
        assert_eq!(half.records_per_second(after(2)), Some(2.5));
        assert_eq!(half.estimated_end(after(2)), Some(after(4)));
        assert_eq!(half.estimated_end(after(10)), Some(after(20)), "one that comes to a halt is never late");
        assert_eq!(half.finished_at(), None);
        let over = job(10, 0, 0);
        assert_eq!((over.records_per_second(after(60)), over.estimated_end(after(60))), (Some(5.0), None));
        assert_eq!(over.finished_at(), over.progressed_at);
        assert_eq!(Job { progressed_at: None, ..job(0, 0, 0) }.records_per_second(after(2)), None);
    }

    #[test]
    fn what_is_cancelled_says_nothing_of_its_rate() {
        let cancelled = Some((after(2), "ada@example.com".to_owned()));
        let leaving = Job { cancelled, ..job(4, 0, 2) };
        assert_eq!(leaving.records_per_second(after(9)), Some(2.0));
        assert_eq!(leaving.estimated_end(after(9)), None);
    }

    #[test]
    fn its_rate_after_a_retry_is_that_of_the_retry() {
        let week = after(7 * 24 * 3_600);
        let later = |seconds| week + SignedDuration::from_secs(seconds);
        let planned = Job { retried_from: Some(Start { at: week, done: 4 }), ..job(4, 0, 0) };
        assert_eq!(planned.records_per_second(later(1)), None, "none is done yet");
        assert_eq!(planned.estimated_end(later(1)), None);
        let half = Job { done: Done { succeeded: 6, failed: 1, ..Done::default() }, ..planned };
        assert_eq!(half.records_per_second(later(2)), Some(1.5));
        assert_eq!(half.estimated_end(later(2)), Some(later(4)));
    }
}
