//! The Integration Log: each event's life, one entry an event, which is also its dedupe marker.
//!
//! The event worker writes it, in the same transaction as the effect when there is one; the API reads it.
//! Entries expire 90 days after they end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::documents::DocumentKey;

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// An attempt failed; the next is due.
    Retrying,
    /// It waits in State: for a time or for a document.
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

impl EventStatus {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// The sentence.
    pub detail: String,
}
