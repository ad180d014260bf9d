//! Where jobs are kept: the port.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Chunk, Ended, FailedRecord, Job, Lane, Record};
use crate::{Result, documents::Page};

/// What became of a job that was to be created.
#[derive(Debug, Clone, PartialEq)]
pub enum Creation {
    /// It is there now.
    Now,
    /// There is one of its key: the same request before, if its fingerprint is the same.
    Before(Box<Job>),
}

/// What became of a claim to a chunk.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// It is ours until the claim ends.
    Ours(Box<Chunk>),
    /// Another worker is at it until then.
    Held(Timestamp),
    /// It is done.
    Done,
    /// There is no such chunk: its job is forgotten.
    Gone,
}

/// A claim to a chunk. It lasts longer than a function does, so whoever loses it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: String,
    /// The number of the chunk.
    pub number: u32,
    /// What tells this claim from all others.
    pub token: String,
    /// When it ends.
    pub until: Timestamp,
}

/// Which jobs.
#[derive(Debug, Clone)]
pub struct JobQuery {
    /// Created at or after.
    pub from: Timestamp,
    /// Created before.
    pub to: Timestamp,
    /// At most this many, 1 to 500.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// A lane with what a later write to it is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLane {
    /// The lane.
    pub lane: Lane,
    /// Its version; 0: there is none yet.
    pub version: u64,
}

/// Where jobs are kept.
#[async_trait]
pub trait BulkStore: Send + Sync {
    /// Keeps `job` with its `chunks`. The job exists from the moment that its header is written, last; chunks without one
    /// are forgotten in time. With a `key`, there is one job of it for a day.
    async fn create(&self, job: &Job, chunks: &[Vec<Record>], key: Option<&str>) -> Result<Creation>;

    /// The job that was created with `key` within a day.
    async fn job_of_key(&self, key: &str, now: Timestamp) -> Result<Option<Job>>;

    /// The job, read consistently.
    async fn job(&self, id: &str) -> Result<Option<Job>>;

    /// Jobs of everyone, newest first.
    async fn jobs(&self, query: &JobQuery) -> Result<Page<Job>>;

    /// Notes that the job has begun, if that is not noted.
    async fn started(&self, id: &str, at: Timestamp) -> Result<()>;

    /// Cancels what is pending of a job that is not over; `false` if it is, or was cancelled before.
    async fn cancel(&self, id: &str, at: Timestamp, by: &str) -> Result<bool>;

    /// Claims a chunk at `now`, and counts the try.
    async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed>;

    /// Notes which record its worker is at, alone; `false` if the claim is lost.
    async fn suspect(&self, claim: &Claim, index: u32) -> Result<bool>;

    /// Notes that a record kills its workers; `false` if the claim is lost.
    async fn condemn(&self, claim: &Claim, index: u32) -> Result<bool>;

    /// Gives a claim back, with how records ended `so_far`: who claims the chunk next has them done. A try that `counts`
    /// stays counted.
    async fn give_back(&self, claim: &Claim, counts: bool, so_far: &BTreeMap<u32, Ended>) -> Result<()>;

    /// Writes down how each record of a chunk ended, and counts them; all of it, or nothing if the claim is lost
    /// (`false`).
    async fn complete(
        &self,
        claim: &Claim,
        records: &[Record],
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<bool>;

    /// A chunk as it is; `None` if there is none.
    async fn chunk(&self, job: &str, number: u32) -> Result<Option<Chunk>>;

    /// Chunks from number `from` on, at most `limit`.
    async fn chunks(&self, job: &str, from: u32, limit: usize) -> Result<Vec<Chunk>>;

    /// Failed attempts in the order of records and attempts, after `after` (record and attempt), at most `limit`.
    async fn failures(&self, job: &str, after: Option<(u32, u32)>, limit: usize)
    -> Result<Vec<FailedRecord>>;

    /// The failures of these attempts (record and attempt), in no order; those that failed only.
    async fn failures_of(&self, job: &str, attempts: &[(u32, u32)]) -> Result<Vec<FailedRecord>>;

    /// Asks for a retry of what failed in `job`, which is kept from then on as long as a new one; `false` if one is asked
    /// for already, or it was cancelled since it was read. A cancellation that it was read with came too late to cancel
    /// anything, and is lifted.
    async fn ask_retry(&self, job: &Job, at: Timestamp) -> Result<bool>;

    /// Makes one chunk of `failed`, which are counted as pending again, and has the job's rate counted from `now` on;
    /// `false` if the job was cancelled or one of them changed meanwhile: read again.
    async fn retry(&self, job: &Job, failed: &[FailedRecord], now: Timestamp) -> Result<bool>;

    /// Notes that the retry asked for at `asked_at` is planned to its end.
    async fn retry_planned(&self, id: &str, asked_at: Timestamp) -> Result<()>;

    /// Jobs that are to be looked at, at most about `limit`; their time moves to `again`.
    async fn claim_due(&self, now: Timestamp, again: Timestamp, limit: usize) -> Result<Vec<String>>;

    /// Takes the job from those that the sweep looks at, unless a retry was asked for or planned since it was read.
    async fn settle(&self, job: &Job) -> Result<()>;

    /// The lane of `user`.
    async fn lane(&self, user: &str) -> Result<SeenLane>;

    /// Keeps the lane of `user`, if nobody else changed it since it was seen; `false` if someone did.
    async fn keep_lane(&self, user: &str, lane: &SeenLane) -> Result<bool>;
}
