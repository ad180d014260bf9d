//! The worker of chunks: claims one, makes a document of each record, and writes down how each ended.
//!
//! A record is its own outcome: what is wrong with it is no matter of the others'. What is wrong with the store is no
//! matter of the records': the chunk is given back, with a wait, and nothing is counted. Where time runs out it is given
//! back too, and who takes it on next finds what was made in the documents themselves. A chunk that kills its workers
//! is worked on record by record, each noted before, until the one that does it is found.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    BulkStore, Chunk, ChunkId, Claim, Claimed, Dispatcher, Ended, Job, Maker, Order, Record, Sources,
};
use crate::{
    Error, ErrorCode, Result,
    auth::{Directory, Permission, permit},
    clock::Clock,
    id,
};

/// After so many tries that came to no end, records are worked on one by one.
const CAREFUL_AFTER: u32 = 4;
/// After so many tries, what might pass by itself is a failure.
const MAX_TRIES: u32 = 8;
/// The share of its time in which a worker begins further records; the rest is for those under way.
const BEGINS: f64 = 0.7;
/// The longest wait that is spent on the queue. A longer one leaves the chunk to the sweep.
const MAX_HIDDEN: Duration = Duration::from_secs(60);
/// The longest wait between two tries of a chunk.
const MAX_WAIT: Duration = Duration::from_secs(900);

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is done with.
    Done,
    /// It is to be delivered again, not before this long.
    Again(Duration),
}

/// Works on chunks.
pub struct ChunkWorker {
    store: Arc<dyn BulkStore>,
    maker: Arc<dyn Maker>,
    dispatcher: Dispatcher,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    lease: SignedDuration,
}

/// A chunk in a worker's hands.
struct Claimant<'a> {
    job: &'a Job,
    order: Order,
    claim: Claim,
    chunk: Chunk,
    /// Why nothing more is to be made, if so: how what was not made before ends.
    instead: Option<Ended>,
}

/// Why a chunk is given back.
struct Stop {
    /// Whether the try counts.
    counts: bool,
    wait: Duration,
}

impl ChunkWorker {
    /// Works on chunks of the jobs in `store`, with claims of `lease`, which is longer than a function runs.
    pub fn new(
        store: Arc<dyn BulkStore>,
        maker: Arc<dyn Maker>,
        dispatcher: Dispatcher,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        lease: SignedDuration,
    ) -> Self {
        Self { store, maker, dispatcher, directory, clock, lease }
    }

    /// Works on the chunk `id` of a job of `user`, until `deadline` or the claim's end.
    pub async fn work(&self, id: &ChunkId, user: &str, deadline: Instant) -> Result<Disposition> {
        let now = self.clock.now();
        let until = now.saturating_add(self.lease).map_err(Error::internal)?;
        let claim = Claim { job: id.job.clone(), number: id.number, token: id::random(), until };
        let Some(job) = self.store.job(&id.job).await? else {
            warn!(job = id.job, "a chunk of a job that is forgotten was to be worked on");
            self.dispatcher.landed(user, id).await?;
            return Ok(Disposition::Done);
        };
        let chunk = match self.store.claim(&claim, now).await? {
            Claimed::Ours(chunk) => *chunk,
            Claimed::Held(until) => {
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                return Ok(Disposition::Again(left + Duration::from_secs(1)));
            }
            Claimed::Done | Claimed::Gone => {
                self.dispatcher.landed(&job.user, id).await?;
                return Ok(Disposition::Done);
            }
        };
        let order =
            Order { job: job.id.clone(), from: job.from.clone(), to: job.to.clone(), user: job.user.clone() };
        let instead = self.instead(&job).await?;
        let claimant = Claimant { job: &job, order, claim, chunk, instead };
        match self.ends(&claimant, deadline).await {
            Ok(ended) => self.complete(&claimant, id, &ended).await,
            Err(stop) => self.give_back(&claimant, id, &stop).await,
        }
    }

    /// How records end that are not to be made: the job is cancelled, or its user may not do it any more.
    async fn instead(&self, job: &Job) -> Result<Option<Ended>> {
        if job.cancelled.is_some() {
            return Ok(Some(Ended::Cancelled));
        }
        let permitted = match self.directory.principal(&job.user).await {
            Ok(principal) => permit(&principal, Permission::Read(&job.from))
                .and_then(|()| permit(&principal, Permission::Create(&job.to))),
            Err(error) if error.code() == ErrorCode::PermissionDenied => Err(error),
            Err(error) => return Err(error),
        };
        Ok(permitted.err().map(|error| Ended::of(&error)))
    }

    /// How each record ends, in their order; or why not all do.
    async fn ends(&self, claimant: &Claimant<'_>, deadline: Instant) -> Result<Vec<Ended>, Stop> {
        let records = &claimant.chunk.records;
        let careful = claimant.chunk.tries > CAREFUL_AFTER;
        let begun = Instant::now();
        let stop_at = begun + deadline.saturating_duration_since(begun).mul_f64(BEGINS);
        let sources = self.maker.sources(&claimant.order, records).await;
        let sources = &sources.map_err(|error| stop(&error, claimant.chunk.tries))?;
        let at_once = if careful { 1 } else { self.maker.at_once() };
        let work: Vec<_> = records
            .iter()
            .map(|record| async move {
                if Instant::now() >= stop_at {
                    return Err(Stop { counts: false, wait: Duration::ZERO });
                }
                if careful {
                    self.end_carefully(claimant, record, sources).await
                } else {
                    self.end(claimant, record, sources).await
                }
            })
            .collect();
        let results: Vec<Result<Ended, Stop>> =
            Box::pin(stream::iter(work).buffered(at_once).collect()).await;
        let made = results.iter().filter(|result| matches!(result, Ok(Ended::Made(_)))).count();
        let mut ended = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(one) => ended.push(one),
                // Who makes something gets on, however often the time runs out.
                Err(stop) => return Err(Stop { counts: stop.counts || made == 0, ..stop }),
            }
        }
        Ok(ended)
    }

    /// Notes the record before it is worked on. One that was noted before, and whose worker was not heard of again, is
    /// the one that kills.
    async fn end_carefully(
        &self,
        claimant: &Claimant<'_>,
        record: &Record,
        sources: &Sources,
    ) -> Result<Ended, Stop> {
        let (tries, index) = (claimant.chunk.tries, record.index);
        let poison = Error::new(ErrorCode::PoisonMessage, "each worker that tried it came to no end");
        if claimant.chunk.poisoned.contains(&index) {
            return Ok(Ended::of(&poison));
        }
        if claimant.chunk.suspect == Some(index) {
            self.store.condemn(&claimant.claim, index).await.map_err(|error| stop(&error, tries))?;
            // It may have been made all the same. Who dies of this question is not asked again.
            return self.end_instead(claimant, record, sources, &Ended::of(&poison)).await;
        }
        match self.store.suspect(&claimant.claim, index).await {
            Ok(true) => self.end(claimant, record, sources).await,
            Ok(false) => Err(Stop { counts: false, wait: Duration::from_secs(1) }),
            Err(error) => Err(stop(&error, tries)),
        }
    }

    async fn end(&self, claimant: &Claimant<'_>, record: &Record, sources: &Sources) -> Result<Ended, Stop> {
        if let Some(instead) = &claimant.instead {
            return self.end_instead(claimant, record, sources, instead).await;
        }
        match self.maker.make(&claimant.order, record, sources).await {
            Ok(made) => Ok(Ended::Made(made)),
            Err(error) => failed(claimant, record, &error),
        }
    }

    /// A record that is not to be made ends as what was made of it before, or else as `instead`.
    async fn end_instead(
        &self,
        claimant: &Claimant<'_>,
        record: &Record,
        sources: &Sources,
        instead: &Ended,
    ) -> Result<Ended, Stop> {
        match self.maker.made(&claimant.order, record, sources).await {
            Ok(Some(made)) => Ok(Ended::Made(made)),
            Ok(None) => Ok(instead.clone()),
            Err(error) => failed(claimant, record, &error),
        }
    }

    async fn complete(&self, claimant: &Claimant<'_>, id: &ChunkId, ended: &[Ended]) -> Result<Disposition> {
        let records = &claimant.chunk.records;
        if !self.store.complete(&claimant.claim, records, ended, self.clock.now()).await? {
            warn!(job = id.job, chunk = id.number, "a claim was lost before its chunk was done");
            return Ok(Disposition::Again(Duration::from_secs(1)));
        }
        info!(job = id.job, chunk = id.number, records = records.len(), "done");
        self.dispatcher.landed(&claimant.job.user, id).await?;
        Ok(Disposition::Done)
    }

    async fn give_back(&self, claimant: &Claimant<'_>, id: &ChunkId, stop: &Stop) -> Result<Disposition> {
        self.store.give_back(&claimant.claim, stop.counts).await?;
        if stop.wait <= MAX_HIDDEN {
            return Ok(Disposition::Again(stop.wait));
        }
        let wait = SignedDuration::try_from(stop.wait).map_err(Error::internal)?;
        self.dispatcher.put_off(&claimant.job.user, id, wait).await?;
        Ok(Disposition::Done)
    }
}

/// What `error` means for the record, or for its chunk.
fn failed(claimant: &Claimant<'_>, record: &Record, error: &Error) -> Result<Ended, Stop> {
    if may_pass(error, claimant.chunk.tries) {
        return Err(stop(error, claimant.chunk.tries));
    }
    info!(job = claimant.job.id, record = record.name, code = error.code().as_str(), "failed");
    Ok(Ended::of(error))
}

/// Whether `error` is none of the record's, after so many tries: the store is not well, or it was not its turn.
fn may_pass(error: &Error, tries: u32) -> bool {
    is_store_s(error) || (error.is_transient() && tries < MAX_TRIES)
}

fn is_store_s(error: &Error) -> bool {
    error.is_in_outage() || matches!(error.code(), ErrorCode::ProviderLimited | ErrorCode::OutOfTime)
}

/// The stop that `error` means: the longer the more often it was tried, and not before the store says.
fn stop(error: &Error, tries: u32) -> Stop {
    let told = Duration::from_secs(error.retry_after_seconds().unwrap_or(0));
    let wait = Duration::from_secs(1 << tries.min(6)).max(told).min(MAX_WAIT);
    warn!(code = error.code().as_str(), detail = error.detail(), ?wait, "a chunk is given back");
    Stop { counts: !is_store_s(error), wait }
}
