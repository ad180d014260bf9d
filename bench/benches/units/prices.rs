//! What a path costs: the one place with prices.

use crate::meter::Tally;

/// Where and when the prices are from.
pub const AS_OF: &str = "us-east-1, on demand, without free tiers, 2026-11-23";

/// Dollars per million write request units. Transactional writes are doubled in the units already.
const WRITE_UNITS: f64 = 0.625;
/// Dollars per million read request units.
const READ_UNITS: f64 = 0.125;
/// Dollars per million SQS requests, standard queue; a request carries up to 64 KB.
const SQS_REQUESTS: f64 = 0.40;
/// Dollars per million requests to an HTTP API; a request carries up to 512 KB.
const API_GATEWAY_REQUESTS: f64 = 1.00;
/// Dollars per million invocations.
const LAMBDA_REQUESTS: f64 = 0.20;
/// Dollars per million GB-seconds on arm64.
const LAMBDA_GB_SECONDS: f64 = 13.333_4;
/// Dollars per million bytes of log, from $0.50 a GB.
const LOG_BYTES: f64 = 0.000_5;
/// Dollars per million calls of Secrets Manager.
const SECRETS_CALLS: f64 = 5.00;

/// The functions' memory, as the template has it.
const MEMORY_GB: f64 = 0.25;
/// Billed duration of one ingest, stated: one SQS call and our own time at a seventh of a CPU.
const INGEST_SECONDS: f64 = 0.015;
/// Billed duration of an invocation of the worker, stated: three rounds of DynamoDB calls, messages side by side.
const WORKER_SECONDS: f64 = 0.040;
/// What each further message of a batch adds, stated: its CPU.
const WORKER_SECONDS_MORE: f64 = 0.005;
/// Billed duration of an API call, stated.
const API_SECONDS: f64 = 0.030;
/// Lambda's own START, END and REPORT lines.
const PLATFORM_LOG_BYTES: f64 = 68.0 + 52.0 + 170.0;

/// Dollars per million of a path, by what they pay for.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub gateway: f64,
    pub lambda: f64,
    pub queue: f64,
    pub documents: f64,
    pub bookkeeping: f64,
    pub reads: f64,
    pub logs: f64,
    pub secrets: f64,
}

impl Cost {
    /// The cost of `tally` when the worker receives `batch` messages at a time.
    pub fn of(tally: &Tally, batch: f64) -> Self {
        let call = |service: &str| -> f64 {
            tally.calls.iter().filter(|(name, _)| name.starts_with(service)).map(|(_, count)| count).sum()
        };
        let units = |documents: bool| -> f64 {
            tally
                .writes
                .iter()
                .filter(|(name, _)| name.starts_with("documents") == documents)
                .map(|(_, u)| u)
                .sum()
        };
        let worker = tally.messages / batch;
        let seconds = tally.ingests * INGEST_SECONDS
            + tally.api * API_SECONDS
            + worker * (WORKER_SECONDS + WORKER_SECONDS_MORE * (batch - 1.0));
        let invocations = tally.ingests + tally.api + worker;
        Self {
            gateway: (tally.ingests + tally.api) * API_GATEWAY_REQUESTS,
            lambda: invocations * LAMBDA_REQUESTS + seconds * MEMORY_GB * LAMBDA_GB_SECONDS,
            // Each batch is received and deleted.
            queue: (call("SQS") + 2.0 * worker) * SQS_REQUESTS,
            documents: units(true) * WRITE_UNITS,
            bookkeeping: units(false) * WRITE_UNITS,
            reads: tally.reads.values().sum::<f64>() * READ_UNITS,
            logs: (tally.log_bytes + invocations * PLATFORM_LOG_BYTES) * LOG_BYTES,
            secrets: call("Secrets") * SECRETS_CALLS,
        }
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.documents + self.without_document()
    }

    /// Without the writes of documents and their index.
    pub fn without_document(&self) -> f64 {
        self.gateway + self.lambda + self.queue + self.bookkeeping + self.reads + self.logs + self.secrets
    }
}
