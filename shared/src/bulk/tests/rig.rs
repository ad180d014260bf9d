//! Everything of bulk transactions over a DynamoDB in the process, with a maker that does as it is told, and a queue that
//! is drained by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::json;
use tokio::{sync::Notify, time::Instant};

use super::super::{
    BulkMessage, BulkRequest, BulkStore, BulkSweeper, BulkTransactions, ChunkId, ChunkWorker, Dispatcher,
    Disposition, Job, Maker, Order, Pace, Record, Sources, dynamo::DynamoBulk,
};
use crate::{
    Error, ErrorCode, Result,
    auth::{Directory, Principal},
    clock::{Clock, ManualClock},
    documents::{DocType, DocumentStore, dynamo::DynamoDocuments},
    testing::{Dynamo, MemoryQueue, start},
};

/// Chunks in the tests are small, so that there are several.
pub const CHUNK: usize = 4;
/// The lease of a claim.
pub const LEASE: SignedDuration = SignedDuration::from_secs(45);
/// After this long a chunk that was not heard of is sent again.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(6);

/// A maker that keeps what it made, and fails as it is told.
#[derive(Default)]
pub struct Workshop {
    /// What was made, by job and source, in order.
    pub made: Mutex<Vec<(String, String)>>,
    /// Sources that are not there.
    pub missing: Mutex<BTreeSet<String>>,
    /// Sources at which the worker dies.
    pub deadly: Mutex<BTreeSet<String>>,
    /// Sources of which a document is made, and then the worker dies.
    pub deadly_once_made: Mutex<BTreeSet<String>>,
    /// How often it was asked what was made.
    pub looked_up: AtomicUsize,
    /// Sources that it was asked for, each time.
    pub asked: Mutex<Vec<String>>,
    /// How long it takes, in milliseconds.
    pub takes: AtomicU64,
    /// Makes it fails at before it makes anything, whatever is wrong with the store.
    pub failures: AtomicUsize,
    /// Makes whose answer is lost.
    pub lost: AtomicUsize,
    /// Whether the store is down, and known to be.
    pub down: AtomicBool,
    /// How many makes are let through before the worker dies, 0: all.
    pub dies_after: AtomicUsize,
    /// Tells that a worker dies.
    pub died: Notify,
    /// How many are at work now, and were at most.
    pub at_work: AtomicUsize,
    pub most_at_work: AtomicUsize,
}

/// Counts down; whether it was above nothing.
fn is_due(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

impl Workshop {
    /// How often a document was made of `source`, over all jobs.
    pub fn times(&self, source: &str) -> usize {
        self.made.lock().unwrap().iter().filter(|(_, made)| made == source).count()
    }

    /// How many were made for `job`, each source once.
    pub fn made_for(&self, job: &str) -> BTreeMap<String, usize> {
        let mut made = BTreeMap::new();
        for (_, source) in self.made.lock().unwrap().iter().filter(|(of, _)| of == job) {
            *made.entry(source.clone()).or_default() += 1;
        }
        made
    }

    fn target(source: &str) -> String {
        format!("INV-{source}")
    }

    /// Its worker dies of it: a process that dies answers nothing more.
    async fn die(&self) {
        self.died.notify_waiters();
        std::future::pending::<()>().await;
    }

    fn has(&self, order: &Order, source: &str) -> bool {
        self.made.lock().unwrap().iter().any(|(job, made)| *job == order.job && made == source)
    }
}

#[async_trait]
impl Maker for Workshop {
    fn at_once(&self) -> usize {
        3
    }

    async fn sources(&self, _: &Order, _: &[Record]) -> Result<Sources> {
        Ok(Sources::new())
    }

    async fn make(&self, order: &Order, record: &Record, _: &Sources) -> Result<String> {
        self.asked.lock().unwrap().push(record.name.clone());
        tokio::time::sleep(Duration::from_millis(self.takes.load(Ordering::Relaxed))).await;
        let now = self.at_work.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_work.fetch_max(now, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.at_work.fetch_sub(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            let error = Error::new(ErrorCode::BreakerOpen, "the site is down").retry_after(120);
            return Err(error.of_connector("erpnext").in_outage());
        }
        if is_due(&self.failures) {
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        let name = record.name.as_str();
        if self.deadly.lock().unwrap().contains(name) {
            self.die().await;
        }
        if self.missing.lock().unwrap().contains(name) {
            return Err(Error::new(
                ErrorCode::DocumentNotFound,
                format!("Sales Order {name} does not exist"),
            ));
        }
        if !self.has(order, name) {
            self.made.lock().unwrap().push((order.job.clone(), name.to_owned()));
        }
        if self.deadly_once_made.lock().unwrap().contains(name) {
            self.die().await;
        }
        if is_due(&self.lost) {
            return Err(Error::new(ErrorCode::OutcomeUnknown, "the answer is lost"));
        }
        if self.dies_after.load(Ordering::Relaxed) > 0 && self.dies_after.fetch_sub(1, Ordering::Relaxed) == 1
        {
            self.die().await;
        }
        Ok(Self::target(name))
    }

    async fn made(&self, order: &Order, record: &Record, _: &Sources) -> Result<Option<String>> {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        Ok(self.has(order, &record.name).then(|| Self::target(&record.name)))
    }
}

pub struct Rig {
    pub dynamo: Dynamo,
    pub clock: Arc<ManualClock>,
    pub queue: Arc<MemoryQueue<BulkMessage>>,
    pub workshop: Arc<Workshop>,
    pub store: Arc<DynamoBulk>,
    pub bulk: BulkTransactions,
    pub dispatcher: Dispatcher,
    pub worker: ChunkWorker,
    pub sweeper: BulkSweeper,
    pub administrator: Principal,
    pub directory: Arc<Directory>,
}

impl Rig {
    pub async fn new() -> Self {
        Self::over(Dynamo::start().await, CHUNK)
    }

    /// Over this DynamoDB, with chunks of so many records.
    pub fn over(dynamo: Dynamo, chunk: usize) -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        let time: Arc<dyn Clock> = clock.clone();
        let queue = Arc::new(MemoryQueue::default());
        let workshop = Arc::new(Workshop::default());
        let store = Arc::new(DynamoBulk::new(dynamo.client.clone(), &dynamo.tables));
        let records: Arc<dyn DocumentStore> =
            Arc::new(DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), time.clone()));
        let directory = Arc::new(Directory::new(records, time.clone()));
        let pace = Pace { window: 3, patience: PATIENCE, chunk_size: chunk };
        let dispatcher = Dispatcher::new(store.clone(), queue.clone(), time.clone(), pace);
        let worker = ChunkWorker::new(
            store.clone(),
            workshop.clone(),
            dispatcher.clone(),
            directory.clone(),
            time.clone(),
            LEASE,
        );
        let sweeper = BulkSweeper::new(store.clone(), dispatcher.clone(), time.clone());
        let bulk =
            BulkTransactions::new(store.clone(), |_| vec!["Sales Invoice"], queue.clone(), time, chunk);
        let administrator = Principal::administrator().unwrap();
        Self {
            dynamo,
            clock,
            queue,
            workshop,
            store,
            bulk,
            dispatcher,
            worker,
            sweeper,
            administrator,
            directory,
        }
    }

    /// A worker whose claims last for `lease`, and who looks people up in `directory`.
    pub fn worker_with(&self, directory: Arc<Directory>, lease: SignedDuration) -> ChunkWorker {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        ChunkWorker::new(store, self.workshop.clone(), self.dispatcher.clone(), directory, clock, lease)
    }

    /// Takes a job of one chunk on; its chunk, with its message taken from the queue.
    pub async fn chunk_of(&self, job: &Job) -> ChunkId {
        for message in self.queue.take() {
            self.handle(&message).await.unwrap();
        }
        assert_eq!(self.queue.take().len(), 1);
        ChunkId { job: job.id.clone(), number: 0 }
    }

    /// Asks for invoices of the orders `from` to `to`.
    pub async fn ask(&self, from: usize, to: usize) -> Job {
        self.bulk.accept(&self.administrator, &request(from, to), None).await.unwrap().job
    }

    pub async fn job(&self, job: &Job) -> Job {
        self.store.job(&job.id).await.unwrap().unwrap()
    }

    /// Works on a message as the function does; a worker that dies is not heard of again.
    pub async fn handle(&self, message: &BulkMessage) -> Result<Disposition> {
        let deadline = Instant::now() + Duration::from_secs(60);
        match message {
            BulkMessage::Job { job, .. } => {
                self.dispatcher.advance(job, deadline).await.map(|()| Disposition::Done)
            }
            BulkMessage::Chunk { job, number, user } => {
                let chunk = ChunkId { job: job.clone(), number: *number };
                let died = self.workshop.died.notified();
                tokio::select! {
                    disposition = self.worker.work(&chunk, user, deadline) => disposition,
                    () = died => Err(Error::internal("the worker died")),
                }
            }
        }
    }

    /// Works on what is in the queue until it is empty; what comes back waits for the next time. How many chunks were done.
    pub async fn drain(&self) -> usize {
        let (mut done, mut back) = (0, Vec::new());
        loop {
            let messages = self.queue.take();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                match self.handle(&message).await {
                    Ok(Disposition::Done) => {
                        done += usize::from(matches!(message, BulkMessage::Chunk { .. }));
                    }
                    _ => back.push(message),
                }
            }
        }
        self.queue.sent.lock().unwrap().extend(back);
        done
    }

    /// Lets time pass and sweeps, until nothing is left to do.
    pub async fn settle(&self, job: &Job) -> Job {
        for _ in 0..60 {
            self.drain().await;
            let seen = self.job(job).await;
            if seen.is_over() && self.queue.sent.lock().unwrap().is_empty() {
                return seen;
            }
            self.clock.advance(SignedDuration::from_secs(61));
            self.sweeper.sweep(Instant::now() + Duration::from_secs(60)).await.unwrap();
        }
        panic!("it does not come to an end: {:?}", self.job(job).await);
    }
}

pub fn request(from: usize, to: usize) -> BulkRequest {
    let names: Vec<String> = (from..to).map(|n| format!("SO-{n}")).collect();
    let doctype = |name| DocType::new(name).unwrap();
    BulkRequest::read(doctype("Sales Order"), doctype("Sales Invoice"), &json!(names)).unwrap()
}
