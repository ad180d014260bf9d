//! The process that works a job off: the function's own code, given one message after the other.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use causeway::{
    auth::Directory,
    bulk::{
        BuiltInMaker, BulkMessage, BulkStore, BulkSweeper, ChunkWorker, Dispatcher, Pace, dynamo::DynamoBulk,
    },
    clock::{Clock, SystemClock},
    config::Tables,
    documents::{DocumentStore, dynamo::DynamoDocuments},
    outbound::call_log::NoCallLog,
    queue::Queue,
    trigger::bulk::BulkFunction,
};
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    database::{Failed, client},
    meter::Meter,
    queue::MemoryQueue,
    report::Report,
};

/// Set in a worker's process: what it is to do.
pub const WORKING: &str = "CAUSEWAY_BENCH_WORKING";
/// Chunks of a user in flight, as the template has it.
const WINDOW: usize = 4;
const PATIENCE: SignedDuration = SignedDuration::from_mins(6);
const LEASE: SignedDuration = SignedDuration::from_secs(45);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A job, and where it is.
#[derive(Deserialize)]
struct Work {
    endpoint: String,
    documents: String,
    logs: String,
    state: String,
    job: String,
    user: String,
}

/// The function with what counts its calls.
struct Worker {
    function: BulkFunction,
    queue: Arc<MemoryQueue>,
    documents: Arc<Meter>,
    bookkeeping: Arc<Meter>,
}

impl Worker {
    fn new(work: &Work) -> Self {
        let Work { endpoint, documents, logs, state, .. } = work;
        let tables = Tables { documents: documents.clone(), logs: logs.clone(), state: state.clone() };
        let [documents, bookkeeping] = [(), ()].map(|()| Arc::new(Meter::default()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store: Arc<dyn BulkStore> = Arc::new(DynamoBulk::new(client(endpoint, &bookkeeping), &tables));
        let documents_client = client(endpoint, &documents);
        let home: Arc<dyn DocumentStore> =
            Arc::new(DynamoDocuments::new(documents_client, tables, clock.clone()));
        let queue = Arc::new(MemoryQueue::default());
        let sent: Arc<dyn Queue<BulkMessage>> = queue.clone();
        let pace = Pace { window: WINDOW, patience: PATIENCE, chunk_size: crate::CHUNK };
        let dispatcher = Dispatcher::new(store.clone(), sent.clone(), clock.clone(), pace);
        let directory = Arc::new(Directory::new(home.clone(), clock.clone()));
        let maker = Arc::new(BuiltInMaker::new(home, clock.clone(), BuiltInMaker::AT_ONCE));
        let sweeper = BulkSweeper::new(store.clone(), dispatcher.clone(), clock.clone());
        let worker = ChunkWorker::new(store, maker, dispatcher.clone(), directory, clock, LEASE);
        let function = BulkFunction {
            worker: Arc::new(worker),
            dispatcher,
            sweeper,
            queue: sent,
            call_log: Arc::new(NoCallLog),
        };
        Self { function, queue, documents, bookkeeping }
    }

    /// Hands the function `message` as SQS does; fails if it is to come again.
    async fn invoke(&self, message: &str) -> Result<(), Failed> {
        let batch =
            json!({ "Records": [{ "messageId": "message", "receiptHandle": "receipt", "body": message }] });
        let mut context = Context::default();
        let end = SystemTime::now().duration_since(UNIX_EPOCH)? + TIMEOUT;
        context.deadline = u64::try_from(end.as_millis())?;
        let event = LambdaEvent::new(serde_json::from_str(&batch.to_string())?, context);
        let answer = self.function.handle(event).await?;
        if answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        Err(format!("{message} came back: {answer}").into())
    }
}

/// A line of what the kernel tells of this process, in kB.
fn memory(name: &str) -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not tell")?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
}

/// Works off what `order` says, and prints a [`Report`].
#[expect(clippy::print_stdout, reason = "who started the process reads it")]
pub async fn work(order: &str) -> Result<(), Failed> {
    let work: Work = serde_json::from_str(order)?;
    let worker = Worker::new(&work);
    worker.queue.send(&BulkMessage::Job { job: work.job, user: work.user }).await?;
    let resident_kb = memory("VmRSS")?;
    let begun = Instant::now();
    while let Some(message) = worker.queue.receive() {
        worker.invoke(&message).await?;
    }
    let report = Report {
        seconds: begun.elapsed().as_secs_f64(),
        documents: worker.documents.take().into(),
        bookkeeping: worker.bookkeeping.take().into(),
        sqs: u32::try_from(worker.queue.requests())?.into(),
        resident_kb,
        peak_kb: memory("VmHWM")?,
    };
    let text: Value = serde_json::to_value(&report)?;
    println!("{text}");
    Ok(())
}
