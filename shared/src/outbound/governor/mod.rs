//! The governor: how often a connector is called and whether at all, decided for all instances together.
//!
//! The pipeline asks [`Governor::admit`] before each try, tells it with [`Governor::report`] how the try went, and
//! asks [`Governor::may_retry`] before it tries again. Nothing here waits: what may not be called now is refused with
//! `breaker_open` or `provider_limited`, and when to ask again.
//!
//! All instances share one item a connector. Time is cut into slices of 5 s; an instance writes once in a slice at
//! most, which takes its permits for the slice, reports what it counted since the last one, and shows what all others
//! did. In between it reads after 2 s at the earliest. So a call costs nothing but now and then, however many there
//! are. Only what changes the breaker is written at once, beside that.
//!
//! - **Writes meet nobody.** A write adds to counters and sets what is not set; it has no condition and is never
//!   tried again. Each count is an attribute of its own, named by its slice, so it begins at nothing by itself.
//! - **Permits are intervals.** The counter of a slice's permits is returned by the write that adds `k` to it: what
//!   lies between before and after is this instance's, as far as it is below the capacity. Intervals never overlap,
//!   so all instances together never have more than there is. It asks for what it needed in the slice before and half
//!   as much again, for its part where all instances together need more than there is, and for some more where nobody
//!   else needs them: who comes after a quiet time has enough for a batch, so that its first one is not cut short, and
//!   leaves the rest to others who may come. When
//!   they are used up it refuses until the next slice.
//! - **Rates are computed, not agreed on.** The rate of a slice follows from the counts of the slices before it, which
//!   change no more, so whoever looks finds the same. From time to time someone notes a rate that is settled
//!   (all its counts are in), so that older counts can go; whoever notes it late notes the same, so nobody can undo
//!   a halving.
//! - **Retries are intervals too**, of the counter of all calls ([`budget`]), for the slice they were earned in.
//! - **The breaker changes by generation.** A change names the generation it has seen and makes the next one;
//!   of many that try, one succeeds, and what is late finds that it has passed. So one probe goes out at a time, and
//!   a probe that was given up cannot close what another opened. A claim ends by itself 10 s after its call must have
//!   ended, which is for clocks that differ and for a slow table. Calls are counted for their generation: a breaker
//!   that closes begins with nothing.
//! - **Without the table** each instance goes on alone: with as many permits as it had last, and a breaker of its own.
//!   Only to try whether the provider is well it waits until the table has been silent for 10 s: what looks like an
//!   outage may be one write that failed, while another instance tries.
//!
//! What a fleet does in an outage, and what it costs, is in docs/benchmarks.md.

mod budget;
mod desk;
pub mod dynamo;
mod pending;
mod permits;
mod rate;
mod refusal;
mod shared;
mod status;
mod store;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use self::{
    desk::{Decision, Desk, Need, Request},
    refusal::Refusal,
};
pub use self::{
    rate::Rate,
    shared::{Breaker, Health, Shared, Slice, State},
    status::GovernorStatus,
    store::{Addition, Change, Changed, GovernorStore, Passage},
};
use super::{OutboundPolicy, RateNotice};
use crate::{Result, bounded::Bounded, clock::Clock, outage::Outage, telemetry::metric::Line};

/// How long the table is not asked after a call to it failed.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// The most connectors that an instance remembers.
const MAX_CONNECTORS: usize = 1_000;
/// How often the table is asked for one call: to know, to open the breaker or to try, to have permits, and again
/// where something changed in between.
const MAX_STEPS: u32 = 6;

/// Leave to make one call (its retries need their own).
#[derive(Debug)]
pub struct Permit {
    connector: String,
    /// The breaker's, when it was given.
    generation: u64,
    /// The slice it is counted in.
    slice: i64,
    /// Whether the call tries if the provider is well again.
    probe: bool,
}

/// How a call went, as far as the provider's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// What came of it.
    pub kind: OutcomeKind,
    /// How long it took.
    pub took: Duration,
    /// What the provider says of its limits.
    pub rate: Option<RateNotice>,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The provider is well: it did it, or declined for a reason of the caller's own making.
    Healthy,
    /// It failed, or did not answer.
    Failed,
    /// It asked us to call less; not before this long, where it says so.
    Limited(Option<Duration>),
    /// Nothing was sent after all: it says nothing of the provider.
    Unsent,
}

/// Hears that a breaker closed: what waited for the provider may go on. It is told by the instance whose call found
/// the provider well, and if that one dies just then, nobody is told: what waits must also be found by its time.
#[async_trait]
pub trait OnClosed: Send + Sync {
    /// The breaker of `connector` closed.
    async fn closed(&self, connector: &str);
}

/// The governor of all connectors, in one instance.
pub struct Governor {
    /// None: no limits.
    store: Option<Arc<dyn GovernorStore>>,
    clock: Arc<dyn Clock>,
    seats: Mutex<Bounded<Arc<Seat>>>,
    outage: Outage,
    listener: Option<Arc<dyn OnClosed>>,
}

/// One connector's desk. While the store is asked, others who need it wait for their turn, and then for its answer
/// perhaps no more.
#[derive(Default)]
struct Seat {
    desk: Mutex<Desk>,
    turn: tokio::sync::Mutex<()>,
}

/// What came of asking the store.
#[derive(Default)]
struct Told {
    /// Leave to try, if that was asked for.
    permit: Option<Permit>,
    /// The change that was made.
    made: Option<Change>,
}

impl Told {
    fn alone(permit: Option<Permit>) -> Self {
        Self { permit, made: None }
    }
}

impl Seat {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }
}

impl Governor {
    /// A governor that shares what it knows by `store`.
    pub fn new(store: Arc<dyn GovernorStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store: Some(store), ..Self::unlimited(clock) }
    }

    /// A governor that knows no limits.
    pub fn unlimited(clock: Arc<dyn Clock>) -> Self {
        Self {
            store: None,
            clock,
            seats: Mutex::new(Bounded::new(MAX_CONNECTORS, usize::MAX)),
            outage: Outage::none("the governor's table", PAUSE),
            listener: None,
        }
    }

    /// The same, and `listener` hears when a breaker closes.
    #[must_use]
    pub fn on_closed(self, listener: Arc<dyn OnClosed>) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Admits a call to `connector`, or says why not and when to ask again: `breaker_open` or `provider_limited`.
    pub async fn admit(&self, connector: &str, policy: &OutboundPolicy) -> Result<Permit> {
        let Some(store) = &self.store else {
            return Ok(Permit { connector: connector.to_owned(), generation: 0, slice: 0, probe: false });
        };
        let seat = self.seat(connector);
        for _ in 0..MAX_STEPS {
            let mut decision = seat.desk().decide(connector, self.clock.now(), policy);
            if let Decision::Ask(_) = decision {
                let turn = seat.turn.lock().await;
                // Whoever had the turn before may have heard what there is to hear.
                decision = seat.desk().decide(connector, self.clock.now(), policy);
                if let Decision::Ask(need) = decision {
                    let told = self.ask(&**store, &seat, connector, need, policy).await;
                    drop(turn);
                    self.announce(&**store, connector, told.made.as_ref()).await;
                    if let Some(permit) = told.permit {
                        return Ok(permit);
                    }
                    continue;
                }
            }
            match decision {
                Decision::Admit(permit) => return Ok(permit),
                Decision::Refuse(refusal) => return Err(refusal.error(connector)),
                Decision::Ask(_) => {}
            }
        }
        Err(Refusal::used_up(SignedDuration::from_secs(1)).error(connector))
    }

    /// Takes a retry out of the budget of `connector`; whether there was one.
    pub fn may_retry(&self, connector: &str) -> bool {
        self.store.is_none() || self.seat(connector).desk().may_retry(self.clock.now())
    }

    /// For how long no call to `connector` is let through, as far as is known here: its breaker is not closed.
    pub fn outage(&self, connector: &str) -> Option<Duration> {
        self.store.as_ref()?;
        self.seat(connector).desk().outage(self.clock.now())
    }

    /// Hears how an admitted call went.
    pub async fn report(&self, permit: Permit, policy: &OutboundPolicy, outcome: Outcome) {
        let Some(store) = &self.store else { return };
        let seat = self.seat(&permit.connector);
        let need = seat.desk().report(&permit, self.clock.now(), policy, &outcome);
        if let Some(need) = need {
            let turn = seat.turn.lock().await;
            let told = self.ask(&**store, &seat, &permit.connector, need, policy).await;
            drop(turn);
            self.announce(&**store, &permit.connector, told.made.as_ref()).await;
        }
    }

    /// How the calls of `connector` do; `None` if there was never one.
    pub async fn status(&self, connector: &str, policy: &OutboundPolicy) -> Result<Option<GovernorStatus>> {
        let Some(store) = &self.store else { return Ok(None) };
        let (shared, history) = tokio::try_join!(store.read(connector), store.history(connector))?;
        let now = self.clock.now();
        Ok(shared.map(|shared| GovernorStatus::of(&shared, history, now, policy)))
    }

    /// Asks the store, or does without it.
    async fn ask(
        &self,
        store: &dyn GovernorStore,
        seat: &Seat,
        connector: &str,
        need: Need,
        policy: &OutboundPolicy,
    ) -> Told {
        let now = self.clock.now();
        let Some(request) = seat.desk().request(need, now, policy) else { return Told::default() };
        if self.outage.is_on(now) {
            return Told::alone(seat.desk().without(connector, &request, now, policy));
        }
        let answer = match &request {
            Request::Read => store.read(connector).await.map(|shared| {
                seat.desk().learned(shared.unwrap_or_default(), now);
                Told::default()
            }),
            Request::Add(addition) => store.add(connector, addition).await.map(|shared| {
                seat.desk().added(addition, shared, now, policy);
                Told::default()
            }),
            Request::Change(change) => {
                store.change(connector, change).await.map(|Changed { made, shared }| {
                    let permit = seat.desk().changed(connector, change, made, shared, now);
                    Told { permit, made: made.then(|| (**change).clone()) }
                })
            }
        };
        match answer {
            Ok(told) => {
                self.outage.answered();
                told
            }
            Err(error) => {
                self.outage.failed(now, &error);
                Told::alone(seat.desk().without(connector, &request, now, policy))
            }
        }
    }

    /// A line of the log, a metric, the history, and whoever waits for it.
    async fn announce(&self, store: &dyn GovernorStore, connector: &str, made: Option<&Change>) {
        let Some(change) = made else { return };
        line(connector, change).emit();
        if let Err(error) = store.remember(connector, change).await {
            tracing::warn!(connector, error = ?error, "a change of the breaker is missing in its history");
        }
        if let (State::Closed, Some(listener)) = (change.to, &self.listener) {
            listener.closed(connector).await;
        }
    }

    fn seat(&self, connector: &str) -> Arc<Seat> {
        let now = self.clock.now();
        let mut seats = lock(&self.seats);
        if let Some(seat) = seats.get(connector, now) {
            return Arc::clone(seat);
        }
        let seat = Arc::<Seat>::default();
        seats.insert(connector.to_owned(), Arc::clone(&seat), 0, Timestamp::MAX, now);
        seat
    }
}

/// What the log has of a change. That it opened or closed is a metric; that a call tries is not.
fn line(connector: &str, change: &Change) -> Line {
    let line = Line::new("the circuit breaker changed", change.at)
        .dimension("Connector", connector)
        .property("from", Some(change.from.as_str()))
        .property("to", Some(change.to.as_str()))
        .property("until", change.to.until().map(|until| until.to_string()))
        .property("reason", Some(change.reason.as_str()));
    match (change.from, change.to) {
        (State::Closed, State::Open { .. }) => line.count("BreakerOpened", 1),
        (_, State::Closed) => line.count("BreakerClosed", 1),
        _ => line,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
