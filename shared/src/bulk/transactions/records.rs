//! What callers see of a job's records: a line an attempt, in pages.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BulkTransactions;
use crate::{
    Result,
    bulk::{Chunk, FailedRecord, Job, Outcome, Record},
    documents::Page,
    dynamo::{cursor, position},
};

/// The most chunks that a page of records reads.
const MAX_CHUNKS: usize = 50;
/// Failed attempts read at a time.
const FAILURES: usize = 500;
/// The most such readings of a page.
const MAX_FAILURE_PAGES: usize = 10;

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
