//! The ingest's own time: everything between a delivery and its answer but the calls to AWS.
//!
//! `accept` is [`causeway::webhook::Ingest::accept`] with the settings cached and a queue that encodes the
//! message and forgets it. `invocation` is the whole function as the runtime calls it: the gateway's event is
//! read from JSON, handled, its log line written, and the response is written as JSON.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use causeway::{
    clock::SystemClock,
    connectors::ConnectorSettings,
    trigger::http::HttpFunction,
    webhook::{Delivery, IngestFunction, signature::Scheme},
};
use causeway_bench::{
    delivery::{Key, sales_order, sign},
    ports::{ingest, settings},
};
use criterion::{BenchmarkId, Criterion, Throughput};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const SECRET: &[u8] = b"a secret of thirty-two characters";
const SIZES: [usize; 3] = [1, 4, 32];
/// Set in the process that measures.
const MEASURING: &str = "CAUSEWAY_BENCH_MEASURING";

type Failed = Box<dyn Error>;

fn connector() -> Result<ConnectorSettings, Failed> {
    Ok(settings(json!({
        "name": "erpnext", "user": "integrations@causeway", "scheme": { "type": "frappe" },
        "secrets": [{ "name": "current", "reference": "erpnext/current" }],
        "event": { "body": "/event" }, "identity": { "by": "frappe" }, "version": { "path": "/modified" },
        "rules": [{ "event": "*", "effect": { "action": "upsert", "doctype": "Sales Order", "name": "/name" } }],
    }))?)
}

fn body(kilobytes: usize) -> Vec<u8> {
    let (now, size) = (Timestamp::now(), kilobytes * 1024);
    sales_order("sales_order.on_update", "SAL-ORD-2026-00001", now, 1, size.min(2048) / 4, size)
        .to_string()
        .into_bytes()
}

fn signed(body: &[u8]) -> Result<HeaderMap, Failed> {
    let key = Key::Shared(SECRET.to_vec());
    let mut headers = sign(&Scheme::Frappe, &key, "", Timestamp::now(), body)?;
    headers.insert(http::header::CONTENT_TYPE, "application/json".parse()?);
    Ok(headers)
}

/// The event that API Gateway (HTTP API, payload 2.0) makes of a delivery.
fn event(headers: &HeaderMap, body: &[u8]) -> Result<String, Failed> {
    let mut sent = Map::new();
    for (name, value) in headers {
        sent.insert(name.as_str().to_owned(), value.to_str()?.into());
    }
    for (name, value) in [
        ("accept", "*/*"),
        ("content-length", "4096"),
        ("host", "abcdefghij.execute-api.eu-central-1.amazonaws.com"),
        ("user-agent", "python-requests/2.32.5"),
        ("x-amzn-trace-id", "Root=1-69228f2f-0123456789abcdef01234567"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ] {
        sent.insert(name.to_owned(), value.into());
    }
    Ok(json!({
        "version": "2.0", "routeKey": "POST /webhooks/{connector}", "rawPath": "/webhooks/erpnext",
        "rawQueryString": "", "headers": Value::Object(sent), "isBase64Encoded": false,
        "pathParameters": { "connector": "erpnext" }, "body": std::str::from_utf8(body)?,
        "requestContext": {
            "accountId": "123456789012", "apiId": "abcdefghij", "stage": "$default",
            "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com", "domainPrefix": "abcdefghij",
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": "POST /webhooks/{connector}",
            "time": "23/Nov/2026:02:50:00 +0000", "timeEpoch": 1_795_402_200_000_i64,
            "http": {
                "method": "POST", "path": "/webhooks/erpnext", "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7", "userAgent": "python-requests/2.32.5",
            },
        },
    })
    .to_string())
}

fn accept(c: &mut Criterion, runtime: &tokio::runtime::Runtime) -> Result<(), Failed> {
    let ingest = ingest(&connector()?, SECRET)?;
    let mut group = c.benchmark_group("ingest/accept");
    for size in SIZES {
        let body = body(size);
        let headers = signed(&body)?;
        let delivery = Delivery { connector: "erpnext", event: None, headers: &headers, body: &body };
        runtime.block_on(ingest.accept(delivery))?;
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{size} KB")), |b| {
            b.to_async(runtime).iter(|| ingest.accept(delivery));
        });
    }
    group.finish();
    Ok(())
}

async fn invoke(function: &IngestFunction, event: &str) -> serde_json::Result<Vec<u8>> {
    let request: ApiGatewayV2httpRequest = serde_json::from_str(event)?;
    let response = function.handle(&request.into()).await;
    serde_json::to_vec(&ApiGatewayV2httpResponse::from(response))
}

fn invocation(c: &mut Criterion, runtime: &tokio::runtime::Runtime) -> Result<(), Failed> {
    let function = IngestFunction::new(ingest(&connector()?, SECRET)?, Arc::new(SystemClock))?;
    let mut group = c.benchmark_group("ingest/invocation");
    for size in SIZES {
        let body = body(size);
        let event = event(&signed(&body)?, &body)?;
        let answer: Value = serde_json::from_slice(&runtime.block_on(invoke(&function, &event))?)?;
        if answer["statusCode"] != 202 {
            return Err(format!("the delivery was refused: {answer}").into());
        }
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{size} KB")), |b| {
            b.to_async(runtime).iter(|| invoke(&function, &event));
        });
    }
    group.finish();
    Ok(())
}

fn measure() -> Result<(), Failed> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    accept(&mut criterion, &runtime)?;
    invocation(&mut criterion, &runtime)?;
    criterion.final_summary();
    Ok(())
}

/// Measures in a child process whose stdout is a pipe, as a function's is on Lambda, and passes on what is not
/// a log line.
#[expect(clippy::print_stdout, reason = "a benchmark's output")]
fn main() -> Result<(), Failed> {
    if std::env::var_os(MEASURING).is_some() {
        return measure();
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(MEASURING, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the child has no stdout")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if !line.starts_with('{') {
            println!("{line}");
        }
    }
    if child.wait()?.success() { Ok(()) } else { Err("the measurement failed".into()) }
}
