//! Throughput on the local stack: accepted webhooks a second, how long each took, and how long the queue then
//! takes to empty.
//!
//! Starts a stack of its own with the release functions. The stand-in for AWS is one Python process, and it, the
//! functions and this load share one machine: the figures compare one commit with another, they say nothing
//! about AWS.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use aws_sdk_sqs::types::QueueAttributeName;
use causeway::{dynamo::SHARDS, webhook::signature::Scheme};
use causeway_bench::{
    Failed,
    connection::Connection,
    delivery::{Key, sales_order, sign},
    stack::Stack,
    table::{Table, milliseconds},
};
use jiff::Timestamp;

const BODY_BYTES: usize = 2048;
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A whole number from the environment.
fn setting(name: &str, default: u64) -> Result<u64, Failed> {
    std::env::var(name)
        .map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name} is no number").into()))
}

/// Where deliveries go, and what signs them.
struct Target {
    host: String,
    path: String,
    key: Key,
    numbers: AtomicU64,
}

impl Target {
    fn of(stack: &Stack) -> Result<Self, Failed> {
        let url = stack.variable("API_URL")?;
        let rest = url.strip_prefix("http://").ok_or("the API's URL is not http")?;
        let (host, path) = rest.split_once('/').ok_or("the API's URL has no path")?;
        let secret = stack.variable("WEBHOOK_SECRET_ERPNEXT")?.as_bytes().to_vec();
        Ok(Self {
            host: host.to_owned(),
            path: format!("/{path}/webhooks/erpnext"),
            key: Key::Shared(secret),
            numbers: AtomicU64::new(1),
        })
    }

    /// The next delivery, as bytes on the wire: a Sales Order that does not exist yet.
    fn next(&self) -> Result<Vec<u8>, Failed> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let name = format!("SAL-ORD-2026-{number:05}");
        let now = Timestamp::now();
        let body = sales_order("sales_order.after_insert", &name, now, number, 1024, BODY_BYTES).to_string();
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.path,
            self.host,
            body.len()
        )
        .into_bytes();
        for (name, value) in &sign(&Scheme::Frappe, &self.key, "", now, body.as_bytes())? {
            request.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        request.extend(body.into_bytes());
        Ok(request)
    }
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    accepted: Vec<Duration>,
    refused: BTreeMap<u16, u64>,
}

fn deliver(target: &Target, until: Instant) -> Result<Seen, Failed> {
    let mut connection = Connection::open(&target.host)?;
    let mut seen = Seen::default();
    while Instant::now() < until {
        let request = target.next()?;
        let began = Instant::now();
        match connection.exchange(&request)? {
            202 => seen.accepted.push(began.elapsed()),
            other => *seen.refused.entry(other).or_default() += 1,
        }
    }
    Ok(seen)
}

/// Delivers over `connections` for `time`.
fn load(target: &Target, connections: u64, time: Duration) -> Result<Seen, Failed> {
    let until = Instant::now() + time;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(|| deliver(target, until))).collect();
        let mut all = Seen::default();
        for thread in threads {
            let seen = thread.join().map_err(|_| "a connection's thread panicked")??;
            all.accepted.extend(seen.accepted);
            for (status, count) in seen.refused {
                *all.refused.entry(status).or_default() += count;
            }
        }
        all.accepted.sort_unstable();
        Ok(all)
    })
}

/// Looks at what became of the events.
struct Outcome {
    dynamo: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    table: String,
    queue: String,
}

impl Outcome {
    fn of(stack: &Stack) -> Result<Self, Failed> {
        let endpoint = stack.variable("AWS_ENDPOINT_URL")?;
        let http = aws_smithy_http_client::Builder::new().build_http();
        // Two builders of the same shape: the SDK has one type for each service.
        macro_rules! client {
            ($sdk:ident) => {
                $sdk::Client::from_conf(
                    $sdk::Config::builder()
                        .behavior_version($sdk::config::BehaviorVersion::latest())
                        .region($sdk::config::Region::new("us-east-1"))
                        .endpoint_url(endpoint)
                        .credentials_provider($sdk::config::Credentials::new(
                            "local", "local", None, None, "bench",
                        ))
                        .http_client(http.clone())
                        .build(),
                )
            };
        }
        Ok(Self {
            dynamo: client!(aws_sdk_dynamodb),
            sqs: client!(aws_sdk_sqs),
            table: stack.variable("DOCUMENTS_TABLE")?.to_owned(),
            queue: stack.variable("EVENTS_QUEUE_URL")?.to_owned(),
        })
    }

    /// Waits until the queue is empty and nothing is being worked on; returns how long that took.
    async fn drained(&self) -> Result<Duration, Failed> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.open().await? == 0 {
                return Ok(began.elapsed());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("the queue was not drained".into())
    }

    async fn open(&self) -> Result<u64, Failed> {
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.queue)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await?;
        let numbers = answer.attributes.unwrap_or_default().into_values();
        Ok(numbers.map(|text| text.parse::<u64>()).sum::<Result<u64, _>>()?)
    }

    /// How many Sales Orders there are.
    async fn documents(&self) -> Result<u64, Failed> {
        let mut count = 0;
        for shard in 0..SHARDS {
            let mut pages = self
                .dynamo
                .query()
                .table_name(&self.table)
                .index_name("by_modified")
                .key_condition_expression("mpk = :p")
                .expression_attribute_values(":p", AttributeValue::S(format!("M#Sales Order#{shard}")))
                .select(Select::Count)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                count += u64::try_from(page?.count)?;
            }
        }
        Ok(count)
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates to one decimal")]
fn rate(count: u64, time: Duration) -> String {
    format!("{:.1}", count as f64 / time.as_secs_f64())
}

#[expect(clippy::print_stdout, reason = "a benchmark's output")]
fn main() -> Result<(), Failed> {
    let connections = setting("LOAD_CONNECTIONS", 8)?;
    let time = Duration::from_secs(setting("LOAD_SECONDS", 10)?);
    let stack = Stack::start(&[])?;
    let (target, outcome) = (Target::of(&stack)?, Outcome::of(&stack)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The functions start and read their settings.
    let warm = load(&target, connections, Duration::from_secs(2))?;
    runtime.block_on(outcome.drained())?;
    let began = Instant::now();
    let seen = load(&target, connections, time)?;
    let took = began.elapsed();
    let drain = runtime.block_on(outcome.drained())?;
    let accepted = u64::try_from(seen.accepted.len())?;
    let expected = accepted + u64::try_from(warm.accepted.len())?;
    let documents = runtime.block_on(outcome.documents())?;
    let at = |share: usize| seen.accepted.get(seen.accepted.len() * share / 100).copied().unwrap_or_default();
    let mut table = Table::new([
        "connections",
        "seconds",
        "accepted",
        "accepted/s",
        "p50 (ms)",
        "p99 (ms)",
        "drained after (s)",
        "worked/s",
    ]);
    table.row([
        connections.to_string(),
        time.as_secs().to_string(),
        accepted.to_string(),
        rate(accepted, took),
        milliseconds(at(50)),
        milliseconds(at(99)),
        format!("{:.1}", drain.as_secs_f64()),
        rate(accepted, took + drain),
    ]);
    table.print();
    println!("refused: {:?}; documents: {documents} of {expected} accepted", seen.refused);
    if documents == expected { Ok(()) } else { Err("what was accepted is not what was written".into()) }
}
