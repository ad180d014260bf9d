//! Bulk transactions: records a second, calls and capacity units a record, and the worker's memory, by the size of the
//! job.
//!
//! Three processes, as in production: this one has the DynamoDB and asks for a job, and for each job a new one
//! ([`worker`]) runs the function `bulk-worker`'s own code, a message after the other, over that DynamoDB. So what a
//! worker's process has resident is the worker's alone. The run fails if a count is wrong, if the bookkeeping costs too
//! much, or if memory grows with the job.

#[path = "../units/database.rs"]
mod database;
#[allow(dead_code, reason = "the other benchmark counts more")]
#[path = "../units/meter.rs"]
mod meter;
mod queue;
mod report;
mod worker;

use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use causeway::{
    auth::Principal,
    bulk::{BulkRequest, BulkStore, BulkTransactions, Done, Job, dynamo::DynamoBulk},
    clock::{Clock, SystemClock},
    config::Tables,
    documents::{DocType, dynamo::DynamoDocuments},
};
use causeway_bench::{orders, table::Table};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::{
    database::{Failed, client, create_tables, serve},
    meter::Meter,
    queue::MemoryQueue,
    report::{Report, Used, sum},
    worker::WORKING,
};

const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Records of a chunk, as the template has it.
const CHUNK: usize = 80;
/// Orders that are put in at a time, before anything is measured.
const PUT_AT_ONCE: usize = 16;
/// The most write units of bookkeeping for a record, in a job of several chunks.
const MOST_UNITS: f64 = 0.2;
/// How much more a worker may have had resident with the largest job than with the one before, in kB.
const MOST_GROWTH: u64 = 2_048;

/// A job that was worked off.
struct Measured {
    size: usize,
    accepting: Used,
    report: Report,
}

impl Measured {
    fn each(&self, figure: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        let size = self.size as f64;
        figure / size
    }

    /// The write units of bookkeeping: the job, its chunks, the lane, and the numbers of what is made.
    fn bookkeeping(&self) -> f64 {
        let numbering = sum(&self.report.documents.writes, "state");
        let own = [&self.accepting, &self.report.bookkeeping].map(|used: &Used| sum(&used.writes, ""));
        self.each(numbering + own.iter().sum::<f64>())
    }
}

async fn fill(store: &DynamoDocuments, count: usize) -> Result<(), Failed> {
    let fields = orders::fields()?;
    stream::iter(0..count)
        .map(|number| orders::put(store, number, fields.clone()))
        .buffer_unordered(PUT_AT_ONCE)
        .try_collect::<()>()
        .await
}

fn request(count: usize) -> Result<BulkRequest, Failed> {
    let names = Value::from((0..count).map(orders::name).collect::<Vec<_>>());
    Ok(BulkRequest::read(DocType::new("Sales Order")?, DocType::new("Sales Invoice")?, &names)?)
}

/// Has a process of its own work the job off.
async fn work_off(endpoint: &str, tables: &Tables, job: &Job) -> Result<Report, Failed> {
    let Tables { documents, logs, state } = tables;
    let order = json!({
        "endpoint": endpoint, "documents": documents, "logs": logs, "state": state, "job": job.id, "user": job.user,
    });
    let child = Command::new(std::env::current_exe()?)
        .env(WORKING, order.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await??;
    if !output.status.success() {
        return Err("the worker failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

async fn measure(size: usize) -> Result<Measured, Failed> {
    let (meter, clock) = (Arc::new(Meter::default()), Arc::new(SystemClock));
    let endpoint = serve().await?;
    let client = client(&endpoint, &meter);
    let tables = create_tables(&client).await?;
    fill(&DynamoDocuments::new(client.clone(), tables.clone(), clock.clone()), size).await?;
    let store: Arc<dyn BulkStore> = Arc::new(DynamoBulk::new(client, &tables));
    let time: Arc<dyn Clock> = clock;
    let queue = Arc::new(MemoryQueue::default());
    let bulk = BulkTransactions::new(Arc::clone(&store), |_| vec!["Sales Invoice"], queue, time, CHUNK);
    meter.take();
    let job = bulk.accept(&Principal::administrator()?, &request(size)?, None).await?.job;
    let accepting = meter.take().into();
    let report = work_off(&endpoint, &tables, &job).await?;
    let seen = store.job(&job.id).await?.ok_or("the job is forgotten")?;
    let expected = Done { succeeded: u64::try_from(size)?, failed: 0, cancelled: 0 };
    if seen.done != expected || !seen.is_over() {
        return Err(format!("of {size} records were counted: {:?}", seen.done).into());
    }
    Ok(Measured { size, accepting, report })
}

fn show(all: &[Measured]) {
    let mut table = Table::new([
        "records",
        "records/s",
        "DynamoDB calls a record",
        "… bookkeeping",
        "WRU a record",
        "… bookkeeping",
        "RRU a record",
        "SQS requests a record",
        "resident at first (MB)",
        "at most (MB)",
    ]);
    for one in all {
        let (documents, bookkeeping) = (&one.report.documents, &one.report.bookkeeping);
        let kept_calls = sum(&bookkeeping.calls, "") + sum(&one.accepting.calls, "");
        let writes = sum(&documents.writes, "documents");
        let reads = sum(&documents.reads, "") + sum(&bookkeeping.reads, "") + sum(&one.accepting.reads, "");
        table.row([
            one.size.to_string(),
            format!("{:.0}", 1.0 / one.each(one.report.seconds)),
            format!("{:.2}", one.each(sum(&documents.calls, "") + kept_calls)),
            format!("{:.2}", one.each(kept_calls)),
            format!("{:.2}", one.each(writes) + one.bookkeeping()),
            format!("{:.3}", one.bookkeeping()),
            format!("{:.2}", one.each(reads)),
            format!("{:.3}", one.each(one.report.sqs)),
            megabytes(one.report.resident_kb),
            megabytes(one.report.peak_kb),
        ]);
    }
    table.print();
}

#[expect(clippy::cast_precision_loss, reason = "megabytes to one decimal")]
fn megabytes(kilobytes: u64) -> String {
    format!("{:.1}", (kilobytes * 1_024) as f64 / 1_000_000.0)
}

/// Fails if it costs too much, or needs memory for what a job has many of.
fn judge(all: &[Measured]) -> Result<(), Failed> {
    for one in all.iter().filter(|one| one.size >= 10 * CHUNK) {
        if one.bookkeeping() > MOST_UNITS {
            return Err(format!("bookkeeping costs {:.3} write units a record", one.bookkeeping()).into());
        }
    }
    let [.., before, largest] = all else { return Ok(()) };
    let (before, largest) = (before.report.peak_kb, largest.report.peak_kb);
    if largest > before + MOST_GROWTH {
        return Err(format!("memory grows with the job: {before} kB, then {largest} kB").into());
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    if let Some(order) = std::env::var_os(WORKING) {
        // One thread, as the function has.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(worker::work(&order.to_string_lossy()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut all = Vec::new();
    for size in SIZES {
        all.push(runtime.block_on(measure(size))?);
    }
    show(&all);
    judge(&all)
}
