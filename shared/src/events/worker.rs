//! From a queue message to what becomes of it: what it is about, one attempt, and its end or what `settling` makes of
//! the failure.

mod settling;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tracing::{Instrument, error, info, info_span, warn};

use super::{
    Stop,
    attempt::{Attempt, Ended},
};
use crate::{
    Error, ErrorCode, Result,
    auth::Directory,
    clock::Clock,
    connectors::ConnectorCache,
    documents::{DocumentKey, DocumentStore},
    id::{IdKind, derive},
    integration_log::{EventFacts, EventStatus, Failure, IntegrationLog},
    outbound::Origin,
    parking::{Cargo, ParkedItem, ParkedState, ParkingLot, Release},
    projections::{DocumentChange, Projector, projection},
    queue::{InboundEvent, Message, Queue},
    telemetry::metric::Line,
};

/// A message received this often more than it has recorded attempts stops its worker, and is parked unread.
const POISON_RECEIVES: u32 = 20;
/// The longest unreadable message that is kept whole, in bytes: longer than any we send, and deflated it fits an item.
const MAX_UNREADABLE_BYTES: usize = 480 * 1024;

/// A message as SQS delivered it.
#[derive(Debug, Clone)]
pub struct Received {
    /// SQS's id of the message.
    pub message_id: String,
    /// The handle of this delivery.
    pub receipt: String,
    /// Its text.
    pub body: String,
    /// How often it was delivered, this time included.
    pub receives: u32,
    /// Whether it comes from the dead-letter queue: it is parked, not worked on.
    pub dead_letter: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is dealt with and can be deleted.
    Done,
    /// It is to be delivered again after this long.
    Again(Duration),
    /// Nothing could be recorded: SQS delivers it again when its visibility ends.
    Keep,
}

/// What the worker works with.
#[derive(Clone)]
pub struct Ports {
    /// Where documents are written.
    pub documents: Arc<dyn DocumentStore>,
    /// The built-in store, which read models follow: the same, unless documents live elsewhere.
    pub records: Arc<dyn DocumentStore>,
    /// The Integration Log.
    pub log: Arc<dyn IntegrationLog>,
    /// Whom connectors act as.
    pub directory: Arc<Directory>,
    /// Where events wait.
    pub parking: Arc<dyn ParkingLot>,
    /// The queue it works off.
    pub queue: Arc<dyn Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The event worker.
pub struct EventWorker {
    ports: Ports,
    connectors: ConnectorCache,
    release: Release,
    projector: Arc<Projector>,
}

/// What a message is about.
enum Work {
    /// An event.
    Event(Box<Job>),
    /// A change of a document that was parked, and is replayed.
    Change(DocumentChange),
    /// Nothing is left to do.
    Nothing,
}

/// An event on its way through the worker.
struct Job {
    event: InboundEvent,
    facts: EventFacts,
    /// The item it was parked as, if it was.
    parked: Option<ParkedItem>,
    started_at: Timestamp,
}

impl EventWorker {
    /// A worker for the events of `connectors`, and for changes that `projector` parked.
    pub fn new(
        ports: Ports,
        connectors: ConnectorCache,
        release: Release,
        projector: Arc<Projector>,
    ) -> Self {
        Self { ports, connectors, release, projector }
    }

    /// Works on one message. Never fails: what cannot be recorded is kept by the queue.
    pub async fn work(&self, received: &Received) -> Disposition {
        match self.dispatch(received).await {
            Ok(disposition) => disposition,
            Err(error) => {
                error!(message_id = received.message_id, error = ?error, "not recorded, SQS delivers it again");
                Disposition::Keep
            }
        }
    }

    /// Writes a panic down as the failed attempt it was.
    pub async fn record_panic(&self, received: &Received) -> Disposition {
        let result = async {
            match self.find(received).await? {
                // A change is parked as dead still.
                Work::Nothing | Work::Change(_) => Ok(Disposition::Done),
                Work::Event(job) => {
                    let span = info_span!("event", event_id = job.event.id, connector = job.event.connector);
                    let panicked = Error::internal("the worker panicked on this event");
                    self.settle(*job, Stop::Failed(panicked), received.receives).instrument(span).await
                }
            }
        };
        result.await.unwrap_or(Disposition::Keep)
    }

    async fn dispatch(&self, received: &Received) -> Result<Disposition> {
        match self.find(received).await? {
            Work::Nothing => Ok(Disposition::Done),
            Work::Event(job) => {
                let span = info_span!("event", event_id = job.event.id, connector = job.event.connector);
                let id = job.event.id.clone();
                Origin::owned_by(&id, Box::pin(self.advance(received, *job))).instrument(span).await
            }
            Work::Change(change) => self.project(received, &change).await,
        }
    }

    /// Projects a parked change again. Whatever comes of it, the item is gone or parked as dead as before, so a
    /// message that comes too often is let go.
    async fn project(&self, received: &Received, change: &DocumentChange) -> Result<Disposition> {
        let projection = projection(&change.projection);
        let Some(projection) =
            projection.filter(|_| !received.dead_letter && received.receives < POISON_RECEIVES)
        else {
            warn!(change = ?change, receives = received.receives, "the replay came to nothing");
            return Ok(Disposition::Done);
        };
        let outcome = self.projector.replay(&*self.ports.records, projection, change).await?;
        info!(projection = projection.name, document = %change.document, ?outcome, "replayed");
        Ok(Disposition::Done)
    }

    async fn advance(&self, received: &Received, job: Job) -> Result<Disposition> {
        if received.dead_letter {
            let error = Error::new(ErrorCode::PoisonMessage, "the queue gave the message up");
            return self.bury(job, &error).await;
        }
        if self.is_poison(received, &job).await? {
            let error = Error::new(
                ErrorCode::PoisonMessage,
                format!("received {} times, and no attempt came to an end", received.receives),
            );
            return self.bury(job, &error).await;
        }
        let attempt = Attempt {
            ports: &self.ports,
            connectors: &self.connectors,
            event: &job.event,
            facts: &job.facts,
            parked: job.parked.is_some(),
            started_at: job.started_at,
        };
        match attempt.run().await {
            Ok(ended) => self.conclude(&job, &ended, received.receives > 1).await,
            Err(stop) => self.settle(job, stop, received.receives).await,
        }
    }

    /// What a message is about.
    async fn find(&self, received: &Received) -> Result<Work> {
        let started_at = self.ports.clock.now();
        let (event, parked) = match Message::decode(&received.body) {
            Ok(Message::Webhook(event)) => (event, None),
            Ok(Message::Parked { id }) => match self.ports.parking.get(&id).await? {
                None => {
                    // Whoever settled a change may have died before telling those who derive from its document.
                    if IdKind::Change.is_spelt(&id) {
                        self.projector.tell_all().await?;
                    }
                    return Ok(Work::Nothing);
                }
                Some(ParkedItem { cargo: Cargo::Change(change), .. }) => return Ok(Work::Change(change)),
                Some(item) => match event_of(&item) {
                    Ok(event) if event.id == item.id => (event, Some(item)),
                    Ok(event) => (event.clone(), Some(self.park_readable(item, event).await?)),
                    Err(error) => return self.park_unreadable(item, &error).await.map(|()| Work::Nothing),
                },
            },
            Err(error) => {
                let item = unreadable(received, started_at, &error);
                return self.park_unreadable(item, &error).await.map(|()| Work::Nothing);
            }
        };
        Ok(Work::Event(Box::new(Job { facts: EventFacts::of(&event), event, parked, started_at })))
    }

    /// A message that could not be read before, and can be now, is parked as the event it is.
    async fn park_readable(&self, unreadable: ParkedItem, event: InboundEvent) -> Result<ParkedItem> {
        let item = ParkedItem {
            id: event.id.clone(),
            connector: event.connector.clone(),
            cargo: Cargo::Event(event),
            ..unreadable.clone()
        };
        self.ports.parking.park(&item).await?;
        self.ports.parking.remove(&unreadable.id).await?;
        Ok(item)
    }

    async fn park_unreadable(&self, mut item: ParkedItem, error: &Error) -> Result<()> {
        warn!(parked_id = item.id, code = error.code().as_str(), detail = error.detail(), "parked as dead");
        item.state = ParkedState::Dead;
        item.due = None;
        item.failure = Failure::of(error);
        self.ports.parking.park(&item).await
    }

    async fn is_poison(&self, received: &Received, job: &Job) -> Result<bool> {
        if received.receives < POISON_RECEIVES {
            return Ok(false);
        }
        let entry = self.ports.log.get(&job.event.id).await?;
        let attempts = entry.map_or(0, |entry| entry.attempts);
        Ok(received.receives.saturating_sub(attempts) >= POISON_RECEIVES)
    }

    /// Reports how an event ended. If it had ended before, or an earlier delivery of the message may have died
    /// between parking and saying so, a parked item of it is a left-over.
    async fn conclude(&self, job: &Job, ended: &Ended, redelivered: bool) -> Result<Disposition> {
        self.report(job, ended).await;
        if redelivered || (ended.repeat && job.parked.is_some()) {
            self.ports.parking.remove(&job.event.id).await?;
        }
        Ok(Disposition::Done)
    }

    /// Logs how an event ended, and frees what waits for its documents. A failure to free is not
    /// one of the event: the sweeper finds what waits.
    async fn report(&self, job: &Job, ended: &Ended) {
        self.emit(job, ended.status, ended.repeat, ended.document.as_ref());
        for document in &ended.frees {
            self.release.waiting_for(document).await;
        }
    }

    /// One line for each turn in an event's life: its count, its age and its record.
    fn emit(&self, job: &Job, status: EventStatus, repeat: bool, document: Option<&DocumentKey>) {
        let now = self.ports.clock.now();
        Line::new("event", now)
            .dimension("Connector", &job.event.connector)
            .dimension("Status", if repeat { "repeat" } else { status.as_str() })
            .count("Events", 1)
            .duration("Age", now.duration_since(job.event.received_at))
            .took(now.duration_since(job.started_at))
            .property("event_id", Some(job.event.id.as_str()))
            .property("event", Some(job.event.event.as_str()))
            .property("document", document.map(ToString::to_string))
            .emit();
    }
}

/// The event of a parked item. An unreadable message is tried again: this may be a newer version.
fn event_of(item: &ParkedItem) -> Result<InboundEvent> {
    match &item.cargo {
        Cargo::Event(event) => Ok(event.clone()),
        Cargo::Change(_) => Err(Error::new(ErrorCode::MessageUnreadable, "is no event")),
        Cargo::Unreadable { message } => match Message::decode(message)? {
            Message::Webhook(event) => Ok(event),
            Message::Parked { .. } => {
                Err(Error::new(ErrorCode::MessageUnreadable, "names another parked item"))
            }
        },
    }
}

fn unreadable(received: &Received, now: Timestamp, error: &Error) -> ParkedItem {
    let mut message = received.body.clone();
    if message.len() > MAX_UNREADABLE_BYTES {
        let end = (0..=MAX_UNREADABLE_BYTES).rev().find(|&i| message.is_char_boundary(i)).unwrap_or(0);
        message.truncate(end);
    }
    ParkedItem {
        id: derive(IdKind::Event, &[b"unreadable", received.message_id.as_bytes()]),
        connector: "-".to_owned(),
        cargo: Cargo::Unreadable { message },
        state: ParkedState::Dead,
        parked_at: now,
        due: None,
        waits: 0,
        failure: Failure::of(error),
    }
}
