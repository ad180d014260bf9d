//! The call log: every try of every call, filed under the event, job or request that it was made for.
//!
//! The pipeline notes each try ([`CallLog::note`], in memory, bounded); the trigger writes what was noted before the
//! function answers ([`CallLog::flush`]): one item for all calls of an owner to a connector. The API reads them
//! ([`Calls`]). Bodies and URLs are redacted before they are noted ([`redacted_body`], [`redacted_url`]). What cannot
//! be written is counted in a warning: no call is undone for its log. Items expire after 90 days.

pub mod dynamo;
mod noted;
mod redaction;
mod stored;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::integration_log::redact_as as redacted_body;
pub use redaction::redacted_url;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    integration_log::{LogPage, LogPosition, Placed},
};

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It did what was asked.
    Success,
    /// The provider is well and declined.
    Refused,
    /// Nothing was sent, by our own decision: the breaker was open, the rate used up, the deadline too near, or the
    /// address refused.
    Withheld,
    /// The provider asked us to call less.
    Limited,
    /// There was no connection, or the provider failed, and nothing changed.
    Failed,
    /// It was sent, and nobody knows whether it had its effect.
    Unknown,
}

impl CallOutcome {
    /// Every outcome, from the best to the worst.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Refused, Self::Withheld, Self::Limited, Self::Failed, Self::Unknown];

    /// The outcome as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Withheld => "withheld",
            Self::Limited => "limited",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome of that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

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
    /// The URL, without user and secrets ([`redacted_url`]).
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
    /// The request's body, redacted, the beginning of it ([`redacted_body`]).
    pub request_body: String,
    /// The answer's body, redacted, the beginning of it ([`redacted_body`]).
    pub response_body: String,
    /// What came of it.
    pub outcome: CallOutcome,
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

/// The calls that were made for one owner.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallHistory {
    /// Oldest first; of very many the newest.
    pub calls: Vec<CallRecord>,
    /// Calls that were made besides, of which nothing is kept.
    pub omitted: u64,
}

/// One line of a list: the calls that one invocation made for an owner to a connector.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSummary {
    /// What they were made for.
    pub owner: String,
    /// When the first began.
    pub at: Timestamp,
    /// The connector.
    pub connector: String,
    /// The endpoint of the call that went worst, the last of those; a 404 is no failure.
    pub endpoint: String,
    /// The status of that call's answer.
    pub status: Option<u16>,
    /// What came of the calls, each outcome once, the worst first.
    pub outcomes: Vec<CallOutcome>,
    /// How many calls there were.
    pub calls: u64,
    /// How long they took, one after the other, in milliseconds.
    pub duration_ms: u64,
    /// Makes its place its own.
    id: String,
}

impl Placed for CallSummary {
    fn position(&self) -> LogPosition {
        LogPosition { received_at: self.at, id: self.id.clone() }
    }
}

/// Which calls, newest first.
#[derive(Debug, Clone)]
pub struct CallQuery {
    /// The connector.
    pub connector: String,
    /// Begun at or after.
    pub from: Timestamp,
    /// Begun before.
    pub to: Timestamp,
    /// Only where a call came out so.
    pub outcome: Option<CallOutcome>,
    /// At most this many lines, 1 to 500.
    pub limit: usize,
}

/// What was logged.
#[async_trait]
pub trait Calls: Send + Sync {
    /// The calls made for `owner`.
    async fn of(&self, owner: &str) -> Result<CallHistory>;

    /// The lines of the calls made for `owner`, newest first, of very many the newest.
    async fn lines_of(&self, owner: &str) -> Result<Vec<CallSummary>>;

    /// Lines of one connector before `before`, newest first.
    async fn list(&self, query: &CallQuery, before: Option<&LogPosition>) -> Result<LogPage<CallSummary>>;
}
