//! The worker of chunks: claims one, makes a document of each record, and writes down how each ended.
//!
//! A record is its own outcome: what is wrong with it is no matter of the others'. What is wrong with the store is no
//! matter of the records': the chunk is given back, with a wait, and nothing is counted. Where time runs out it is given
//! back too, with what came of the records so far, so that each try gets on; what a worker that died made, the next one
//! finds in the documents themselves. A chunk that kills its workers is worked on record by record, each noted before,
//! until the one that does it is found.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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

/// Why a chunk is given back, and for how long.
struct Stop {
    why: Why,
    wait: Duration,
}

/// What kept a chunk from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A fault that may pass by itself: only so many tries are made.
    Fault,
    /// The time ran out.
    Time,
    /// The store is not well or limits us, or the chunk is another worker's.
    Others,
}

impl Stop {
    /// Whether the try counts. One that ran out of time does if nothing came of it; one that met an outage does not.
    fn counts(&self, got_on: bool) -> bool {
        match self.why {
            Why::Fault => true,
            Why::Time => !got_on,
            Why::Others => false,
        }
    }
}

/// A chunk that did not come to its end.
struct Unfinished {
    stop: Stop,
    /// Whether the try counts.
    counts: bool,
    so_far: BTreeMap<u32, Ended>,
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
        // However much time the function has: after the claim's end the chunk is another worker's.
        let deadline = deadline.min(Instant::now() + Duration::try_from(self.lease).unwrap_or_default());
        let claim = Claim { job: id.job.clone(), number: id.number, token: id::random(), until };
        let Some(job) = self.store.job(&id.job).await? else {
            warn!(job = id.job, "a chunk of a job that is forgotten was to be worked on");
            self.dispatcher.landed(user, id).await?;
            return Ok(Disposition::Done);
        };
        // Asked before the claim: where it cannot be told, no try is counted.
        let instead = self.instead(&job).await?;
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
        let claimant = Claimant { job: &job, order, claim, chunk, instead };
        match self.ends(&claimant, deadline).await {
            Ok(ended) => self.complete(&claimant, id, &ended).await,
            Err(unfinished) => self.give_back(&claimant, id, &unfinished).await,
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
    async fn ends(&self, claimant: &Claimant<'_>, deadline: Instant) -> Result<Vec<Ended>, Unfinished> {
        let (records, known) = (&claimant.chunk.records, &claimant.chunk.so_far);
        if let Some(instead) = claimant.instead.as_ref().filter(|_| claimant.chunk.is_untouched()) {
            return Ok(vec![instead.clone(); records.len()]);
        }
        let careful = claimant.chunk.tries > CAREFUL_AFTER;
        let begun = Instant::now();
        let stop_at = begun + deadline.saturating_duration_since(begun).mul_f64(BEGINS);
        let sources = &self.sources(claimant, careful).await.map_err(|error| {
            let stop = stop(&error, claimant.chunk.tries);
            Unfinished { counts: stop.counts(false), stop, so_far: known.clone() }
        })?;
        let at_once = if careful { 1 } else { self.maker.at_once() };
        let work: Vec<_> = records
            .iter()
            .map(|record| async move {
                if let Some(ended) = known.get(&record.index) {
                    return Ok(ended.clone());
                }
                if Instant::now() >= stop_at {
                    return Err(Stop { why: Why::Time, wait: Duration::ZERO });
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
        let (mut ended, mut so_far, mut stopped) = (Vec::new(), BTreeMap::new(), None);
        for (record, result) in records.iter().zip(results) {
            match result {
                Ok(one) => {
                    so_far.insert(record.index, one.clone());
                    ended.push(one);
                }
                Err(stop) => stopped = stopped.or(Some(stop)),
            }
        }
        let Some(stop) = stopped else { return Ok(ended) };
        Err(Unfinished { counts: stop.counts(so_far.len() > known.len()), stop, so_far })
    }

    /// The sources of what is not done, read together. Not where workers died: they may be too much together.
    async fn sources(&self, claimant: &Claimant<'_>, careful: bool) -> Result<Sources> {
        if careful {
            return Ok(Sources::new());
        }
        let Claimant { order, chunk, .. } = claimant;
        if chunk.so_far.is_empty() {
            return self.maker.sources(order, &chunk.records).await;
        }
        let is_open = |record: &&Record| !chunk.so_far.contains_key(&record.index);
        let open: Vec<Record> = chunk.records.iter().filter(is_open).cloned().collect();
        self.maker.sources(order, &open).await
    }

    /// Notes the record before it is worked on. If it was noted before already, its worker was not heard of again: it is
    /// the record that kills.
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
            // It may have been made all the same. If this question kills the worker too, the next one does not ask it.
            return self.end_instead(claimant, record, sources, &Ended::of(&poison)).await;
        }
        match self.store.suspect(&claimant.claim, index).await {
            Ok(true) => self.end(claimant, record, sources).await,
            Ok(false) => Err(Stop { why: Why::Others, wait: Duration::from_secs(1) }),
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

    async fn give_back(
        &self,
        claimant: &Claimant<'_>,
        id: &ChunkId,
        unfinished: &Unfinished,
    ) -> Result<Disposition> {
        let Unfinished { stop, counts, so_far } = unfinished;
        self.store.give_back(&claimant.claim, *counts, so_far).await?;
        let wait = SignedDuration::try_from(stop.wait).map_err(Error::internal)?;
        if stop.wait <= MAX_HIDDEN {
            self.dispatcher.heard_of(&claimant.job.user, id, wait).await?;
            return Ok(Disposition::Again(stop.wait));
        }
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
    why(error) != Why::Fault || (error.is_transient() && tries < MAX_TRIES)
}

fn why(error: &Error) -> Why {
    match error.code() {
        ErrorCode::OutOfTime => Why::Time,
        ErrorCode::ProviderLimited => Why::Others,
        _ if error.is_in_outage() => Why::Others,
        _ => Why::Fault,
    }
}

/// The stop that `error` means: the longer the more often it was tried, and not before the store says.
fn stop(error: &Error, tries: u32) -> Stop {
    let told = Duration::from_secs(error.retry_after_seconds().unwrap_or(0));
    let wait = Duration::from_secs(1 << tries.min(6)).max(told).min(MAX_WAIT);
    warn!(code = error.code().as_str(), detail = error.detail(), ?wait, "a chunk is given back");
    Stop { why: why(error), wait }
}
