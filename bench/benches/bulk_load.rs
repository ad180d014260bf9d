//! Bulk transactions on the local stack: Sales Invoices a second, from the request to the last of them.
//!
//! Starts a stack of its own with the release functions. The stand-in for AWS is one Python process, and it, the
//! functions and the stream's read models share one machine: the figures compare one commit with another, and Causeway
//! with an ERPNext on the same machine; they say nothing about AWS. The run fails if an invoice is missing or twice there.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
};
use causeway::{
    bulk::{BulkStore, Done, Job, JobQuery, dynamo::DynamoBulk},
    clock::SystemClock,
    config::Tables,
    documents::{DocType, DocumentStore, ListQuery, dynamo::DynamoDocuments},
};
use causeway_bench::{Failed, connection::Connection, orders, stack::Stack, table::Table};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The sizes of the jobs, unless the environment says otherwise.
const SIZES: &str = "1000,10000";
/// What ERPNext is said to make a second in one worker, 4 to 5. Not measured here.
const ERPNEXT: f64 = 4.5;
/// How many orders are put in at a time.
const PUT_AT_ONCE: usize = 8;
/// How long the stream may go on with what was put in before a job is asked for.
const SETTLING: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(900);
/// Documents of a page.
const PAGE: usize = 500;

/// The stack, by its API and by its tables.
struct Bench {
    stack: Stack,
    documents: DynamoDocuments,
    jobs: DynamoBulk,
}

impl Bench {
    fn start() -> Result<Self, Failed> {
        let stack = Stack::start(&[])?;
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(stack.variable("AWS_ENDPOINT_URL")?)
            .credentials_provider(Credentials::new("local", "local", None, None, "bench"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        let table = |name: &str| stack.variable(name).map(ToOwned::to_owned);
        let tables = Tables {
            documents: table("DOCUMENTS_TABLE")?,
            logs: table("LOGS_TABLE")?,
            state: table("STATE_TABLE")?,
        };
        let jobs = DynamoBulk::new(client.clone(), &tables);
        Ok(Self { stack, documents: DynamoDocuments::new(client, tables, Arc::new(SystemClock)), jobs })
    }

    async fn fill(&self, from: usize, count: usize) -> Result<(), Failed> {
        let fields = orders::fields()?;
        stream::iter(from..from + count)
            .map(|number| orders::put(&self.documents, number, fields.clone()))
            .buffer_unordered(PUT_AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// Asks for invoices of the orders from number `from` on.
    fn ask(&self, from: usize, count: usize) -> Result<(), Failed> {
        let names: Vec<String> = (from..from + count).map(orders::name).collect();
        let body = json!({ "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": names });
        let body = body.to_string();
        let url = self.stack.variable("API_URL")?;
        let rest = url.strip_prefix("http://").ok_or("the API's URL is not http")?;
        let (host, path) = rest.split_once('/').ok_or("the API's URL has no path")?;
        let request = format!(
            "POST /{path}/v2/bulk-transactions HTTP/1.1\r\nhost: {host}\r\nx-api-key: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.stack.variable("API_KEY")?,
            body.len(),
        );
        match Connection::open(host)?.exchange(request.as_bytes())? {
            202 => Ok(()),
            status => Err(format!("the request was answered with {status}").into()),
        }
    }

    /// The job that was asked for last.
    async fn newest(&self) -> Result<Job, Failed> {
        let now = Timestamp::now();
        let day = SignedDuration::from_hours(24);
        let query = JobQuery { from: now - day, to: now + day, limit: 1, cursor: None };
        self.jobs.jobs(&query).await?.items.pop().ok_or_else(|| "there is no job".into())
    }

    /// Waits until the job is over.
    async fn over(&self, job: Job) -> Result<Job, Failed> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let seen = self.jobs.job(&job.id).await?.ok_or("the job is forgotten")?;
            if seen.is_over() {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("the job does not come to its end".into())
    }

    async fn invoices(&self) -> Result<usize, Failed> {
        let mut query = ListQuery::new(DocType::new("Sales Invoice")?, PAGE);
        let mut count = 0;
        loop {
            let page = self.documents.list_places(&query).await?;
            count += page.items.len();
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(count);
            }
        }
    }
}

/// Has invoices made of `count` orders; how long that took.
async fn measure(bench: &Bench, from: usize, count: usize) -> Result<Duration, Failed> {
    bench.fill(from, count).await?;
    thread::sleep(SETTLING);
    let begun = Instant::now();
    bench.ask(from, count)?;
    let job = bench.over(bench.newest().await?).await?;
    let took = begun.elapsed();
    let expected = Done { succeeded: u64::try_from(count)?, failed: 0, cancelled: 0 };
    if job.done != expected {
        return Err(format!("of {count} records were counted: {:?}", job.done).into());
    }
    let invoices = bench.invoices().await?;
    if invoices != from + count {
        return Err(format!("{invoices} invoices, and not {}", from + count).into());
    }
    Ok(took)
}

#[expect(clippy::cast_precision_loss, reason = "rates to one decimal")]
fn main() -> Result<(), Failed> {
    let sizes = std::env::var("BULK_RECORDS").unwrap_or_else(|_| SIZES.to_owned());
    let bench = Bench::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::new(["records", "seconds", "records/s", "times ERPNext"]);
    let mut from = 0;
    for size in sizes.split(',') {
        let count: usize = size.trim().parse()?;
        let took = runtime.block_on(measure(&bench, from, count))?.as_secs_f64();
        from += count;
        let rate = count as f64 / took;
        table.row([
            count.to_string(),
            format!("{took:.1}"),
            format!("{rate:.1}"),
            format!("{:.0}", rate / ERPNEXT),
        ]);
    }
    table.print();
    Ok(())
}
