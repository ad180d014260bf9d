//! The event worker's domain: an accepted event becomes exactly one effect.
//!
//! [`EventWorker::work`] is called by the `event-worker` function for each queue message, concurrently and
//! perhaps more than once. It plans the effect from the connector's rules ([`effect`], [`handler`]), commits
//! it in one transaction with the event's log entry, and decides what becomes of a failure ([`EventWorker`]'s
//! `settle`): another attempt, the parking, or the end. No claim is taken before the effect: of two
//! deliveries at once one commit wins, the other learns that the event has ended.

mod attempt;
pub mod batch;
pub mod effect;
pub mod handler;
mod split;
#[cfg(test)]
mod tests;
mod worker;

pub use worker::{Disposition, EventWorker, Ports, Received};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    Error,
    auth::Principal,
    connectors::ConnectorSettings,
    documents::{DocumentKey, Write},
    integration_log::EventStatus,
    queue::InboundEvent,
};

/// What an effect is planned from.
#[derive(Debug, Clone, Copy)]
pub struct EventContext<'a> {
    /// The event.
    pub event: &'a InboundEvent,
    /// Its connector.
    pub settings: &'a ConnectorSettings,
    /// Its body.
    pub payload: &'a Value,
    /// As whom the effect is done.
    pub principal: &'a Principal,
    /// Which version of its source the event shows.
    pub version: Timestamp,
}

/// What is to be done for an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// These writes.
    Write(Vec<Write>),
    /// Nothing: the event ends as it is.
    Nothing {
        /// How it ends.
        status: EventStatus,
        /// The document that was looked at.
        document: Option<DocumentKey>,
    },
}

/// Why an effect cannot be done, and so what becomes of the event.
#[derive(Debug)]
pub enum Stop {
    /// A document must exist first: the event waits for it.
    Waiting(DocumentKey),
    /// A business rule forbids it: the event ends, with the reason.
    Rejected(Error, Option<DocumentKey>),
    /// Something failed: tried again if that can help, else dead.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
