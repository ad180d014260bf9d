//! What becomes of an event whose attempt did not succeed: another attempt, the parking, or the end.
//!
//! Called by the worker with the reason ([`Stop`]). What goes wrong with the event is counted, and follows the schedule
//! of its connector; what goes wrong with a provider is not, and waits for it ([`Error::is_in_outage`]); what was not
//! let through comes back when there is room. Nothing waits for longer than [`MAX_WAIT`] without a break.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::{Disposition, EventWorker, Job};
use crate::{
    Error, ErrorCode, Result,
    documents::DocumentKey,
    events::{
        Stop,
        attempt::{Ended, finish},
    },
    integration_log::{Counted, EventCompletion, EventStatus, FailedAttempt, Failure, Recorded},
    parking::{Cargo, MAX_WAIT, ParkedItem, ParkedState, WaitsFor, look_again_after, share, try_again_after},
    queue::MAX_QUEUE_DELAY,
};

/// A message that was put off this often is parked instead: its receives without an attempt would look like poison.
const MAX_PUT_OFF: u32 = 8;
/// How long an event is put off where the failure does not say.
const PUT_OFF: SignedDuration = SignedDuration::from_secs(1);

impl EventWorker {
    /// What becomes of an event whose attempt did not succeed, and whose message was received so often.
    pub(super) async fn settle(&self, job: Job, stop: Stop, receives: u32) -> Result<Disposition> {
        match stop {
            Stop::Waiting(document) => self.wait_for_document(job, document).await,
            Stop::Rejected(error, document) => self.reject(job, &error, document).await,
            // The provider's failure, and none of the event's: no attempt.
            Stop::Failed(error) if error.is_in_outage() => self.wait_for_breaker(job, &error).await,
            Stop::Failed(error) => match error.code() {
                // It was not its turn: no attempt.
                ErrorCode::ProviderLimited | ErrorCode::OutOfTime => {
                    self.put_off(job, &error, receives).await
                }
                _ => self.fail(job, &error).await,
            },
        }
    }

    async fn reject(&self, job: Job, error: &Error, document: Option<DocumentKey>) -> Result<Disposition> {
        let completion = EventCompletion {
            facts: job.facts.clone(),
            status: EventStatus::Rejected,
            document: document.clone(),
            error: Some(Failure::of(error)),
            started_at: job.started_at,
            finished_at: self.ports.clock.now(),
            release_parked: job.parked.is_some(),
        };
        let recorded = finish(&*self.ports.log, completion).await?;
        let repeat = recorded == Recorded::Before;
        let ended = Ended { status: EventStatus::Rejected, document, repeat, frees: Vec::new() };
        self.conclude(&job, &ended, false).await
    }

    /// Counts the failed attempt. Another one follows if that can help and the schedule has one left.
    async fn fail(&self, job: Job, error: &Error) -> Result<Disposition> {
        let now = self.ports.clock.now();
        let attempt = FailedAttempt {
            failure: Failure::of(error),
            started_at: job.started_at,
            finished_at: now,
            parked: job.parked.is_some(),
        };
        let attempts = match self.ports.log.record_failure(&job.facts, &attempt).await? {
            Counted::Attempts(attempts) => attempts,
            Counted::Ended => return self.already_ended(&job).await,
            // Another delivery was parked; its item stands for this one too.
            Counted::Parked => return Ok(Disposition::Done),
        };
        warn!(attempts, error = ?error, "attempt failed");
        let delays = self.delays(&job.event.connector).await?;
        let seconds = delays.get(attempts.saturating_sub(1) as usize).filter(|_| error.is_transient());
        let Some(seconds) = seconds else {
            // No event dies of an outage that is shorter than `MAX_WAIT`, however few calls find it out.
            let outlasts = error.code() == ErrorCode::ProviderUnavailable && !delays.is_empty();
            return match error.connector() {
                Some(_) if outlasts => self.wait_for_breaker(job, error).await,
                _ => self.bury(job, error).await,
            };
        };
        // Not before the provider wants to hear of us again.
        let seconds = u64::from(*seconds).max(error.retry_after_seconds().unwrap_or(0));
        let wait = Duration::from_secs(seconds);
        if job.parked.is_none() && wait <= MAX_QUEUE_DELAY {
            return Ok(Disposition::Again(wait));
        }
        self.delay(job, SignedDuration::try_from(wait).unwrap_or(MAX_WAIT), error).await
    }

    /// Parks the event for so long.
    async fn delay(&self, job: Job, wait: SignedDuration, error: &Error) -> Result<Disposition> {
        let now = self.ports.clock.now();
        let due = now.saturating_add(wait.min(MAX_WAIT)).unwrap_or(now);
        self.park(job, ParkedState::Delayed, Some(due), 0, Failure::of(error)).await
    }

    /// Tries again later what was not let through, each time after a longer wait, and each event after its own: of
    /// many that are put off at once, the next moment has room for few again.
    async fn put_off(&self, job: Job, error: &Error, receives: u32) -> Result<Disposition> {
        let now = self.ports.clock.now();
        if now.duration_since(parked_since(&job).unwrap_or(now)) > MAX_WAIT {
            return self.bury(job, error).await;
        }
        let told = error.retry_after_seconds().and_then(|seconds| i64::try_from(seconds).ok());
        let least = told.map_or(PUT_OFF, SignedDuration::from_secs);
        let pause = PUT_OFF * 2i32.pow(receives.min(MAX_PUT_OFF));
        let wait = least.saturating_add(share(&job.event.id, receives, pause));
        info!(code = error.code().as_str(), detail = error.detail(), %wait, "put off");
        match Duration::try_from(wait) {
            Ok(wait) if receives < MAX_PUT_OFF && wait <= MAX_QUEUE_DELAY => Ok(Disposition::Again(wait)),
            _ => self.delay(job, wait, error).await,
        }
    }

    /// The waits between attempts, in seconds; the usual ones for a connector that is gone.
    async fn delays(&self, connector: &str) -> Result<Vec<u32>> {
        let connector = self.connectors.get(connector).await?;
        Ok(connector.map(|connector| connector.settings.retry.clone()).unwrap_or_default().delays_seconds)
    }

    /// Parks the event until `document` exists. Looks once more after parking, so that a document created in
    /// between, whose creator did not see the parked item yet, is not missed.
    async fn wait_for_document(&self, job: Job, document: DocumentKey) -> Result<Disposition> {
        let missing = Error::new(ErrorCode::ParentMissing, format!("{document} does not exist"));
        let id = job.event.id.clone();
        let again = look_again_after(waits(&job));
        let disposition = self.wait_for(job, WaitsFor::from(&document), again, &missing).await?;
        if self.ports.documents.get(&document).await?.is_some() {
            self.release.send(vec![id]).await?;
        }
        Ok(disposition)
    }

    /// Parks the event until the provider that failed is well again: until its breaker closes. One that closed
    /// meanwhile, and did not see the parked item yet, leaves it to the sweep, which looks within two minutes.
    async fn wait_for_breaker(&self, job: Job, error: &Error) -> Result<Disposition> {
        let connector = error.connector().unwrap_or(&job.event.connector).to_owned();
        let told = error.retry_after_seconds().and_then(|seconds| i64::try_from(seconds).ok());
        let closed_for = SignedDuration::from_secs(told.unwrap_or(0));
        let again = try_again_after(&job.event.id, waits(&job), closed_for);
        self.wait_for(job, WaitsFor::Connector(connector), again, error).await
    }

    /// Parks the event until `awaited` has happened, to be looked at after `again` all the same.
    async fn wait_for(
        &self,
        job: Job,
        awaited: WaitsFor,
        again: SignedDuration,
        error: &Error,
    ) -> Result<Disposition> {
        let now = self.ports.clock.now();
        if now.duration_since(parked_since(&job).unwrap_or(now)) > MAX_WAIT {
            return self.bury(job, error).await;
        }
        let due = now.saturating_add(again).unwrap_or(now);
        let waits = waits(&job);
        self.park(job, ParkedState::Waiting(awaited), Some(due), waits, Failure::of(error)).await
    }

    /// Parks the event as dead.
    pub(super) async fn bury(&self, job: Job, error: &Error) -> Result<Disposition> {
        warn!(error = ?error, "dead");
        self.park(job, ParkedState::Dead, None, 0, Failure::of(error)).await
    }

    /// Parks first, then writes it down: in this order a crash in between leaves an item that the next
    /// delivery of the message parks again, never an event that the log calls parked and nobody has.
    async fn park(
        &self,
        job: Job,
        state: ParkedState,
        due: Option<Timestamp>,
        waits: u32,
        failure: Failure,
    ) -> Result<Disposition> {
        let status = if state == ParkedState::Dead { EventStatus::Dead } else { EventStatus::Parked };
        let item = ParkedItem {
            id: job.event.id.clone(),
            connector: job.event.connector.clone(),
            parked_at: parked_since(&job).unwrap_or(job.started_at),
            cargo: Cargo::Event(job.event.clone()),
            state,
            due,
            waits,
            failure: failure.clone(),
        };
        self.ports.parking.park(&item).await?;
        if !self.ports.log.mark(&job.facts, status, Some(&failure)).await? {
            return self.already_ended(&job).await;
        }
        self.emit(&job, status, false, None);
        Ok(Disposition::Done)
    }

    /// The event ended meanwhile, by another delivery or by a commit of ours whose answer was lost: nothing of it
    /// may stay parked, and what waited for its document may not have been freed.
    async fn already_ended(&self, job: &Job) -> Result<Disposition> {
        self.ports.parking.remove(&job.event.id).await?;
        let entry = self.ports.log.get(&job.event.id).await?;
        if let Some(document) = entry.and_then(|entry| entry.document) {
            self.release.waiting_for(&document).await;
        }
        Ok(Disposition::Done)
    }
}

/// Since when the event is parked without a break. A replay of a dead one begins anew.
fn parked_since(job: &Job) -> Option<Timestamp> {
    job.parked.as_ref().filter(|item| item.state != ParkedState::Dead).map(|item| item.parked_at)
}

/// How often the event was looked at in vain, if it is parked this time too.
fn waits(job: &Job) -> u32 {
    job.parked.as_ref().filter(|item| item.state != ParkedState::Dead).map_or(0, |item| item.waits + 1)
}
