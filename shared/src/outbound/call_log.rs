//! The call log: every try of every call, filed under the event, job or request that it was made for.

use async_trait::async_trait;
use jiff::Timestamp;

/// One try of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    /// What it was made for: the id of an event, a job or a request.
    pub owner: String,
    /// When it began.
    pub at: Timestamp,
    /// The connector.
    pub connector: String,
    /// What was called, e.g. `PUT /api/resource/{doctype}/{name}`.
    pub endpoint: String,
    /// The URL, without user and secrets.
    pub url: String,
    /// The try, from 1.
    pub attempt: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The size of the request's body, in bytes.
    pub request_bytes: usize,
    /// The size of the answer's body, as far as it was read, in bytes.
    pub response_bytes: usize,
    /// The request's body, redacted, the beginning of it.
    pub request_body: String,
    /// The answer's body, redacted, the beginning of it.
    pub response_body: String,
    /// `success`, `refused`, `limited`, `failed`, `unknown` or `withheld`.
    pub outcome: &'static str,
    /// What went wrong.
    pub error: Option<String>,
}

/// Where calls are noted.
#[async_trait]
pub trait CallLog: Send + Sync {
    /// Notes a call, in memory.
    fn note(&self, record: CallRecord);

    /// Writes what was noted, before the function answers. A failure is logged: no call is undone for it.
    async fn flush(&self);
}

/// No log, for tools that show calls themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCallLog;

#[async_trait]
impl CallLog for NoCallLog {
    fn note(&self, _: CallRecord) {}

    async fn flush(&self) {}
}
