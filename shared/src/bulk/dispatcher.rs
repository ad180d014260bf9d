//! The dispatcher: lets chunks take off, again where they were not heard of, and plans retries.
//!
//! Called by the worker for each message that names a job, after each chunk that is done, and by the sweep. Whatever it
//! does is safe to repeat: the lane is written before its messages are sent, a chunk that is done is not done again,
//! and a retry takes a failed record once.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{BulkMessage, BulkStore, ChunkId, FailedRecord, Job, Lane, MAX_ATTEMPTS, MAX_CHUNK, SeenLane};
use crate::{Error, Result, clock::Clock, queue::Queue};

/// How often a lane that others change at the same time is tried.
const MAX_TRIES: usize = 20;
/// The longest wait between two of them, in milliseconds.
const LONGEST_WAIT: u64 = 50;
/// Failed records read at a time.
const PAGE: usize = 500;

/// How chunks are let go.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The most chunks of a user in flight.
    pub window: usize,
    /// After this long a chunk that was not heard of is sent again: longer than its message stays hidden.
    pub patience: SignedDuration,
    /// Records of a chunk of a retry, 1 to [`MAX_CHUNK`].
    pub chunk_size: usize,
}

/// Lets chunks take off.
#[derive(Clone)]
pub struct Dispatcher {
    store: Arc<dyn BulkStore>,
    queue: Arc<dyn Queue<BulkMessage>>,
    clock: Arc<dyn Clock>,
    pace: Pace,
}

impl Dispatcher {
    /// Sends chunks of the jobs in `store` through `queue`.
    pub fn new(
        store: Arc<dyn BulkStore>,
        queue: Arc<dyn Queue<BulkMessage>>,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> Self {
        Self { store, queue, clock, pace }
    }

    /// Begins a job, or has it go on from where it is: plans what is to be tried again, until `deadline`, and sends what
    /// is next.
    pub async fn advance(&self, id: &str, deadline: Instant) -> Result<()> {
        let Some(mut job) = self.store.job(id).await? else {
            warn!(job = id, "a job that is forgotten was to go on");
            return Ok(());
        };
        let from = if job.started_at.is_none() { 0 } else { job.chunks };
        if let Some(asked_at) = job.retry_asked_at {
            let planned = job.cancelled.is_some() || self.plan_retry(&mut job, deadline).await?;
            if planned {
                self.store.retry_planned(id, asked_at).await?;
            } else {
                self.queue.send(&message(&job)).await?;
            }
        }
        if job.is_over() && !self.store.lane(&job.user).await?.lane.has(id) {
            return self.store.settle(&job).await;
        }
        if job.started_at.is_none() {
            self.store.started(id, self.clock.now()).await?;
        }
        // A job that lost its place begins at its first chunk again: what is done is not done twice.
        let lost = from == job.chunks && self.has_lost_its_place(&job).await?;
        self.change_lane(&job.user, |lane| {
            let next = if lost && !lane.has(id) { 0 } else { from };
            if !lane.admit(id, next, job.chunks) {
                info!(job = id, user = job.user, "waits for other jobs of its user");
            }
        })
        .await
    }

    /// Whether `job` has records to do and is not in the lane. What is done leaves the lane after it is counted, so the
    /// counts are read after the lane: a job that is just being finished lost nothing.
    pub(super) async fn has_lost_its_place(&self, job: &Job) -> Result<bool> {
        if job.pending() == 0 || self.store.lane(&job.user).await?.lane.has(&job.id) {
            return Ok(false);
        }
        Ok(self.store.job(&job.id).await?.is_some_and(|job| job.pending() > 0))
    }

    /// A chunk is done, by whomever: what is next of its user takes off.
    pub async fn landed(&self, user: &str, chunk: &ChunkId) -> Result<()> {
        self.change_lane(user, |lane| lane.land(chunk)).await
    }

    /// A chunk has no message any more, and is sent again after `wait`.
    pub async fn put_off(&self, user: &str, chunk: &ChunkId, wait: SignedDuration) -> Result<()> {
        let until = self.clock.now().saturating_add(wait).map_err(Error::internal)?;
        self.change_lane(user, |lane| lane.put_off(chunk, until)).await
    }

    /// A chunk's own message comes back after `wait`: another is sent only if that one is not heard of either.
    pub async fn heard_of(&self, user: &str, chunk: &ChunkId, wait: SignedDuration) -> Result<()> {
        self.put_off(user, chunk, wait.saturating_add(self.pace.patience)).await
    }

    /// Changes the lane of `user`, and sends what takes off by that.
    async fn change_lane(&self, user: &str, change: impl Fn(&mut Lane)) -> Result<()> {
        let mut tried: Option<(SeenLane, Vec<ChunkId>, Result<bool>)> = None;
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(1..=LONGEST_WAIT))).await;
            }
            let mut seen = self.store.lane(user).await?;
            if let Some((written, sent, answer)) = tried.take() {
                // It was written, and the answer was lost. If nothing were sent now, these chunks would wait until they
                // are due again.
                if seen.version == written.version + 1 && seen.lane == written.lane {
                    return self.send(user, sent).await;
                }
                answer?;
            }
            let before = seen.lane.clone();
            change(&mut seen.lane);
            let sent = seen.lane.take_off(self.clock.now(), self.pace.window, self.pace.patience);
            if seen.lane == before {
                return Ok(());
            }
            match self.store.keep_lane(user, &seen).await {
                Ok(true) => return self.send(user, sent).await,
                answer => tried = Some((seen, sent, answer)),
            }
        }
        Err(Error::unavailable("DynamoDB", "the lane changes all the time"))
    }

    /// Sends the messages of `chunks`, which are in the lane already: one that gets lost here is sent again when its chunk
    /// is not heard of.
    async fn send(&self, user: &str, chunks: Vec<ChunkId>) -> Result<()> {
        let message = |chunk: ChunkId| BulkMessage::Chunk {
            job: chunk.job,
            number: chunk.number,
            user: user.to_owned(),
        };
        let messages: Vec<_> = chunks.into_iter().map(message).collect();
        if messages.is_empty() { Ok(()) } else { self.queue.send_all(&messages).await }
    }

    /// Makes chunks of what failed and may be tried again; whether that is all of it. `job` is as it is then. It goes on
    /// where the job was planned up to: what is tried again by this retry and fails anew waits for the next one.
    async fn plan_retry(&self, job: &mut Job, deadline: Instant) -> Result<bool> {
        let mut after = job.planned_to.map(|record| (record, MAX_ATTEMPTS));
        loop {
            let page = self.store.failures(&job.id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(true) };
            after = Some((last.record.index, last.record.attempt));
            let open: Vec<FailedRecord> = page.into_iter().filter(FailedRecord::may_retry).collect();
            for some in open.chunks(self.pace.chunk_size.clamp(1, MAX_CHUNK)) {
                if Instant::now() >= deadline {
                    return Ok(false);
                }
                let planned = self.store.retry(job, some, self.clock.now()).await?;
                let id = job.id.clone();
                let gone = || Error::internal("a job went while it was planned");
                *job = self.store.job(&id).await?.ok_or_else(gone)?;
                if !planned {
                    // Someone else plans it too, or cancelled it: it is looked at anew.
                    return Ok(false);
                }
            }
        }
    }
}

/// The message that takes `job` on.
pub(super) fn message(job: &Job) -> BulkMessage {
    BulkMessage::Job { job: job.id.clone(), user: job.user.clone() }
}
