//! What callers see of a job's records: a line an attempt, in pages.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::BulkTransactions;
use crate::{
    Result,
    bulk::{Chunk, FailedRecord, Job, Outcome},
    documents::Page,
    dynamo::{cursor, position},
};

/// Chunks read at a time.
const CHUNKS: usize = 10;
/// The most such readings of a page, and how long they may take: a page that is not full by then is partial.
const MAX_CHUNK_PAGES: usize = 10;
const READS_FOR: Duration = Duration::from_secs(5);
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
    /// When it was done, with its chunk; `None` while it is pending.
    pub done_at: Option<Timestamp>,
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
        let mut page = Page { items: Vec::with_capacity(query.limit), next: None, partial: false };
        if none_stands_so(job, query.status) {
            return Ok(page);
        }
        let begun = Instant::now();
        for _ in 0..MAX_CHUNK_PAGES {
            if begun.elapsed() > READS_FOR {
                break;
            }
            let chunks = self.store.chunks(&job.id, number, CHUNKS).await?;
            for chunk in &chunks {
                for line in lines(chunk).skip(place) {
                    if page.items.len() == query.limit {
                        page.next = Some(cursor(&(chunk.number, place))?);
                        return self.explained(job, page).await;
                    }
                    place += 1;
                    if query.status.is_none_or(|status| status == line.status) {
                        page.items.push(line);
                    }
                }
                (number, place) = (chunk.number + 1, 0);
            }
            if chunks.len() < CHUNKS {
                return self.explained(job, page).await;
            }
        }
        page.next = Some(cursor(&(number, place))?);
        page.partial = true;
        self.explained(job, page).await
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

    /// The page with why records failed, read for those that it shows.
    async fn explained(&self, job: &Job, mut page: Page<RecordLine>) -> Result<Page<RecordLine>> {
        let failed = page.items.iter().filter(|line| line.status == RecordStatus::Failed);
        let places: Vec<(u32, u32)> = failed.map(|line| (line.index, line.attempt)).collect();
        if places.is_empty() {
            return Ok(page);
        }
        let found = self.store.failures_of(&job.id, &places).await?;
        let mut failures: HashMap<(u32, u32), FailedRecord> =
            found.into_iter().map(|failed| ((failed.record.index, failed.record.attempt), failed)).collect();
        for line in &mut page.items {
            line.failed = failures.remove(&(line.index, line.attempt));
        }
        Ok(page)
    }
}

/// Whether no record of `job` stands so, by its counts: then none is looked for. What failed is counted without what is
/// tried again.
fn none_stands_so(job: &Job, status: Option<RecordStatus>) -> bool {
    match status {
        None | Some(RecordStatus::Failed) => false,
        Some(RecordStatus::Pending) => job.pending() == 0,
        Some(RecordStatus::Succeeded) => job.done.succeeded == 0,
        Some(RecordStatus::Cancelled) => job.done.cancelled == 0,
    }
}

/// A line for each record of `chunk`, without why it failed.
fn lines(chunk: &Chunk) -> impl Iterator<Item = RecordLine> + '_ {
    chunk.records.iter().enumerate().map(|(place, record)| {
        let outcome = chunk.outcomes.as_ref().and_then(|outcomes| outcomes.get(place));
        let (status, target) = match outcome {
            None => (RecordStatus::Pending, None),
            Some(Outcome::Succeeded(target)) => (RecordStatus::Succeeded, Some(target.clone())),
            Some(Outcome::Cancelled) => (RecordStatus::Cancelled, None),
            Some(Outcome::Failed) => (RecordStatus::Failed, None),
        };
        let (index, name, attempt) = (record.index, record.name.clone(), record.attempt);
        RecordLine { index, name, status, target, attempt, done_at: chunk.done_at, failed: None }
    })
}

fn failed_line(failed: FailedRecord) -> RecordLine {
    RecordLine {
        index: failed.record.index,
        name: failed.record.name.clone(),
        status: RecordStatus::Failed,
        target: None,
        attempt: failed.record.attempt,
        done_at: Some(failed.at),
        failed: Some(failed),
    }
}
