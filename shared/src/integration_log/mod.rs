//! The Integration Log: each event's life, one entry an event, which is also its dedupe marker.
//!
//! The event worker writes it, in the same transaction as the effect when there is one; the API reads it.
//! Entries expire 90 days after they end.

pub mod by_day;
pub mod dynamo;
mod redact;
mod search;
#[cfg(test)]
mod tests;

pub use redact::{redact, redact_as, redact_form};
pub use search::{search, search_all};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, documents::DocumentKey, queue::InboundEvent};

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// An attempt failed; the next is due.
    Retrying,
    /// It waits in State: for a time, for a document, or for a provider to be well again.
    Parked,
    /// Its attempts are used up, or it cannot succeed as things are; it can be replayed.
    Dead,
    /// It was taken out of State for another go.
    Queued,
    /// Its effect happened, once.
    Done,
    /// The document already shows this version or a newer one; nothing to do.
    Superseded,
    /// No rule of the connector is for this event.
    Ignored,
    /// A business rule forbids the effect; the error says which.
    Rejected,
    /// It carried many events, which live on as events of their own.
    Split,
}

/// For how long an event that has ended is remembered: its repeats are recognised, its entry can be read.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

impl EventStatus {
    /// Whether an item in the parking stands for the event.
    pub fn is_parked(self) -> bool {
        matches!(self, Self::Parked | Self::Dead | Self::Queued)
    }

    /// Every status, in the order of an event's life.
    pub const ALL: [Self; 9] = [
        Self::Retrying,
        Self::Parked,
        Self::Dead,
        Self::Queued,
        Self::Done,
        Self::Superseded,
        Self::Ignored,
        Self::Rejected,
        Self::Split,
    ];

    /// Whether the event has ended: a repeat of it does nothing.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Superseded | Self::Ignored | Self::Rejected | Self::Split)
    }

    /// The status as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Queued => "queued",
            Self::Done => "done",
            Self::Superseded => "superseded",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
            Self::Split => "split",
        }
    }

    /// The status of that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What is known of an event from the moment it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFacts {
    /// The event's id, `evt_…`.
    pub id: String,
    /// The connector it came through.
    pub connector: String,
    /// Its name, e.g. `sales_order.on_submit`.
    pub event: String,
    /// The name of the secret that verified it.
    pub secret: String,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// Its body's size in bytes.
    pub body_bytes: usize,
    /// Its body, redacted and cut to the limit, as text.
    pub redacted_body: String,
}

impl EventFacts {
    /// What the log is to know of `event`. A body that cannot be decoded is no reason not to know the rest.
    pub fn of(event: &InboundEvent) -> Self {
        let body = event.body.decode();
        Self {
            id: event.id.clone(),
            connector: event.connector.clone(),
            event: event.event.clone(),
            secret: event.secret.clone(),
            received_at: event.received_at,
            body_bytes: body.as_ref().map_or(0, Vec::len),
            redacted_body: body.map_or_else(|_| "[unreadable]".to_owned(), |body| redact(&body)),
        }
    }
}

/// How an event ended, to be written in the transaction of its effect.
#[derive(Debug, Clone, PartialEq)]
pub struct EventCompletion {
    /// The event.
    pub facts: EventFacts,
    /// A final status.
    pub status: EventStatus,
    /// The document it is about, when known before the commit (a series names it during the commit).
    pub document: Option<DocumentKey>,
    /// Why it was rejected or ignored.
    pub error: Option<Failure>,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Whether a parked item of the event is to go with it, in the same transaction.
    pub release_parked: bool,
}

/// What went wrong, as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// The sentence.
    pub detail: String,
}

impl Failure {
    /// What `error` is to its reader, the first 500 characters.
    pub fn of(error: &Error) -> Self {
        let detail = error.detail().chars().take(500).collect();
        Self { code: error.code().as_str().to_owned(), detail }
    }
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedAttempt {
    /// Why.
    pub failure: Failure,
    /// When it began.
    pub started_at: Timestamp,
    /// When it failed.
    pub finished_at: Timestamp,
    /// Whether it was an attempt at the parked event, and not at another delivery of it.
    pub parked: bool,
}

/// What became of a failed attempt in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It was counted: so many since the event was accepted or last replayed.
    Attempts(u32),
    /// The event had ended before; nothing was written.
    Ended,
    /// The event is parked, which this attempt did not know; nothing was written.
    Parked,
}

/// What became of a record in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was written.
    Now,
    /// The event had ended before; nothing was written.
    Before,
    /// The event is parked; nothing was written.
    Parked,
}

/// What the log says of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its facts.
    pub facts: EventFacts,
    /// Where it stands.
    pub status: EventStatus,
    /// The document it is about.
    pub document: Option<DocumentKey>,
    /// Attempts since it was accepted or last replayed.
    pub attempts: u32,
    /// The last attempt's duration, in milliseconds.
    pub duration_ms: u64,
    /// What went wrong last.
    pub error: Option<Failure>,
    /// When the last attempt ended.
    pub updated_at: Timestamp,
    /// The failed attempts, oldest first, at most 100; empty in lists.
    pub history: Vec<PastAttempt>,
}

/// One line of a log list: what can be shown without reading the entry.
#[derive(Debug, Clone, PartialEq)]
pub struct EntrySummary {
    /// The event's id.
    pub id: String,
    /// The connector.
    pub connector: String,
    /// The event's name.
    pub event: String,
    /// Where it stands.
    pub status: EventStatus,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The document it is about.
    pub document: Option<DocumentKey>,
    /// Attempts since it was accepted or last replayed.
    pub attempts: u32,
    /// The last attempt's duration, in milliseconds.
    pub duration_ms: u64,
    /// The code of what went wrong last.
    pub error_code: Option<String>,
}

/// A failed attempt of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct PastAttempt {
    /// When it failed.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it failed.
    pub error: Failure,
}

/// Which entries of one connector, newest first.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// The connector.
    pub connector: String,
    /// Received at or after.
    pub from: Timestamp,
    /// Received before.
    pub to: Timestamp,
    /// Only these.
    pub status: Option<EventStatus>,
    /// Only those about this document.
    pub document: Option<DocumentKey>,
    /// At most this many, 1 to 500.
    pub limit: usize,
}

/// Entries found, and how far the search got.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage<T = EntrySummary> {
    /// Newest first.
    pub items: Vec<T>,
    /// Search on before this moment for more; `None` when everything asked for was read.
    pub next_before: Option<LogPosition>,
}

/// What has a place in the order of a log.
pub trait Placed {
    /// Its place, which nothing else has.
    fn position(&self) -> LogPosition;
}

/// A place in the order of the log: the time an event was received, then its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// The time.
    pub received_at: Timestamp,
    /// The id.
    pub id: String,
}

/// The Integration Log.
#[async_trait]
pub trait IntegrationLog: Send + Sync {
    /// Ends an event that has no document to write. An event that ended before stays as it is.
    async fn finish(&self, completion: &EventCompletion) -> Result<Recorded>;

    /// Counts a failed attempt at an event that has not ended.
    async fn record_failure(&self, facts: &EventFacts, attempt: &FailedAttempt) -> Result<Counted>;

    /// Sets where an event stands that has not ended (parked, dead, queued). Queued starts counting anew.
    /// `false`: it had ended before, and nothing was written.
    async fn mark(&self, facts: &EventFacts, status: EventStatus, error: Option<&Failure>) -> Result<bool>;

    /// The entry of an event, with its history.
    async fn get(&self, id: &str) -> Result<Option<Entry>>;

    /// Entries of one connector before `before`, newest first.
    async fn list(&self, query: &LogQuery, before: Option<&LogPosition>) -> Result<LogPage>;
}
