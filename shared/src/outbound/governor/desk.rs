//! One instance's part in governing one connector: what it remembers, and what it decides by that. Pure: it says
//! what to ask of the store, [`super::Governor`] asks, and tells it the answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Outcome, OutcomeKind, Permit,
    budget::RetryTokens,
    pending::Pending,
    permits::Permits,
    rate::Rate,
    refusal::Refusal,
    shared::{Shared, State, begin_of, bucket_of, slice_at},
    store::{Addition, Change},
};
use crate::outbound::OutboundPolicy;

/// How old what is known may be while calls are let through.
const FRESH: SignedDuration = SignedDuration::from_secs(2);
/// What is older is as good as nothing.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(1);
/// How long a probe may take beyond its timeout before another one is let through: writing the claim and its history
/// down takes a few seconds at worst, and clocks differ.
const PROBE_MARGIN: SignedDuration = SignedDuration::from_secs(10);
/// How long the store must have been silent before an instance tries alone: a claim that merely failed to be written
/// is no claim.
const SILENT_FOR: SignedDuration = SignedDuration::from_secs(10);
/// The longest that a provider can make us wait. Then one call asks again.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// With more failures than this in the window there are no retries but those that calls have earned.
const FEW_FAILURES: u64 = 1;

/// What an instance remembers.
#[derive(Debug, Default)]
pub struct Desk {
    view: Option<View>,
    writes: Writes,
    permits: Permits,
    pending: Pending,
    tokens: RetryTokens,
    /// Until when the provider wants to be left alone, as this instance was told.
    paused_until: i64,
}

#[derive(Debug)]
struct View {
    shared: Shared,
    /// When the store was asked last, whether it answered or not.
    at: Timestamp,
    /// As of when this is what the store knows, if it ever answered.
    seen: Option<Timestamp>,
    /// Since when it does not answer.
    silent_since: Option<Timestamp>,
}

impl View {
    fn is_stale(&self, now: Timestamp) -> bool {
        self.at + FRESH <= now
    }
}

/// What becomes of a call that is wanted.
#[derive(Debug)]
pub enum Decision {
    /// It may be made.
    Admit(Permit),
    /// It may not.
    Refuse(Refusal),
    /// The store has to be asked first.
    Ask(Need),
}

/// Why the store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To know.
    Read,
    /// For permits, and to report.
    Write,
    /// To open the breaker.
    Trip,
    /// To be the one that tries whether the provider is well.
    Probe,
    /// To say what came of trying.
    Settle {
        /// The generation in which it was let through.
        generation: u64,
        /// What came of it.
        end: ProbeEnd,
    },
}

/// What came of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeEnd {
    /// The provider is well.
    Well,
    /// It is not.
    Unwell,
    /// Nobody knows: nothing was sent.
    Unsent,
}

/// What is asked of the store.
#[derive(Debug)]
pub enum Request {
    /// What is shared.
    Read,
    /// To add this.
    Add(Box<Addition>),
    /// To change the breaker.
    Change(Box<Change>),
}

impl Desk {
    /// Whether a call may be made at `now`.
    pub fn decide(&mut self, connector: &str, now: Timestamp, policy: &OutboundPolicy) -> Decision {
        let decision = self.look(connector, now, policy);
        if !matches!(decision, Decision::Ask(_)) {
            self.permits.call_wanted(slice_at(now));
        }
        decision
    }

    fn look(&mut self, connector: &str, now: Timestamp, policy: &OutboundPolicy) -> Decision {
        let Some(view) = &self.view else { return Decision::Ask(Need::Read) };
        let generation = view.shared.breaker.generation;
        let stale = view.is_stale(now);
        let withheld = self
            .by_breaker(view, now)
            .or_else(|| self.by_pause(view, now))
            .or_else(|| self.trips(now, policy).map(|_| Decision::Ask(Need::Trip)))
            .or_else(|| self.by_rate(view, now, policy))
            .or_else(|| stale.then_some(Decision::Ask(Need::Read)));
        withheld.unwrap_or_else(|| {
            self.permits.take();
            let connector = connector.to_owned();
            Decision::Admit(Permit { connector, generation, slice: slice_at(now), probe: false })
        })
    }

    /// What the breaker has to say to a call, unless it is closed.
    fn by_breaker(&self, view: &View, now: Timestamp) -> Option<Decision> {
        let slice = slice_at(now);
        Some(match view.shared.breaker.state {
            State::Open { until } if now < until => {
                Decision::Refuse(Refusal::broken(now.duration_until(until)))
            }
            State::HalfOpen { until } if now < until && !view.is_stale(now) => {
                Decision::Refuse(Refusal::broken(FRESH))
            }
            _ if view.at + REMEMBERED <= now => Decision::Ask(Need::Read),
            State::HalfOpen { until } if now < until => Decision::Ask(Need::Read),
            State::Closed => return None,
            _ if !self.writes.none_in(slice) => Decision::Refuse(Refusal::broken(until_end_of(slice, now))),
            _ if view.is_stale(now) => Decision::Ask(Need::Read),
            _ => Decision::Ask(Need::Probe),
        })
    }

    /// What becomes of a call while the provider wants to be left alone.
    fn by_pause(&self, view: &View, now: Timestamp) -> Option<Decision> {
        let paused_until = self.paused_until.max(view.shared.paused_until());
        if now.as_second() >= paused_until {
            return None;
        }
        // The others are to hear of it.
        if self.pending.pause.is_some() && self.writes.none_in(slice_at(now)) {
            return Some(Decision::Ask(Need::Write));
        }
        let left = SignedDuration::from_secs(paused_until - now.as_second());
        Some(Decision::Refuse(Refusal::paused(left)))
    }

    /// What becomes of a call for which there is no permit.
    fn by_rate(&self, view: &View, now: Timestamp, policy: &OutboundPolicy) -> Option<Decision> {
        let slice = slice_at(now);
        if self.permits.any_in(slice) {
            return None;
        }
        let taken = view.shared.slices.get(&slice).map_or(0, |counts| counts.permits);
        let none_left = taken >= view.shared.rate(slice, &policy.rate).capacity();
        if none_left || !self.writes.none_in(slice) {
            // What is being written may bring permits for this call too.
            return Some(if self.writes.under_way {
                Decision::Ask(Need::Write)
            } else {
                Decision::Refuse(Refusal::used_up(until_end_of(slice, now)))
            });
        }
        // Whether what is reported late is news, and whether nobody else needs what this one does not need
        // for sure, only what is known now can tell.
        let demand = self.permits.demand(slice);
        let more = self.permits.to_ask_for(slice, demand, Some(&view.shared), &policy.rate) > demand;
        let unsure = self.pending.has_late(slice) || more;
        Some(Decision::Ask(if view.is_stale(now) && unsure { Need::Read } else { Need::Write }))
    }

    /// Hears how a call went; what the store has to be told at once, if anything.
    pub fn report(
        &mut self,
        permit: &Permit,
        now: Timestamp,
        policy: &OutboundPolicy,
        outcome: &Outcome,
    ) -> Option<Need> {
        let slice = slice_at(now);
        let settle = |end| permit.probe.then_some(Need::Settle { generation: permit.generation, end });
        if outcome.kind == OutcomeKind::Unsent {
            if !permit.probe {
                self.permits.give_back(permit.slice);
            }
            return settle(ProbeEnd::Unsent);
        }
        self.pending.calls += 1;
        let limited = self.hear_limits(now, policy, outcome);
        let failed = outcome.kind == OutcomeKind::Failed;
        let slow = outcome.took > Duration::from_secs(policy.breaker.slow_call_seconds.into());
        if !limited && !failed {
            self.pending.healthy += 1;
        }
        if permit.probe {
            return settle(if failed || slow { ProbeEnd::Unwell } else { ProbeEnd::Well });
        }
        if !matches!(outcome.kind, OutcomeKind::Limited(_)) {
            self.pending.health_of(permit.generation, failed, slow);
        }
        if self.trips(now, policy).is_some() {
            return Some(Need::Trip);
        }
        ((limited || failed) && self.writes.none_in(slice)).then_some(Need::Write)
    }

    /// Whether the provider said that we call too much. Half of what is left here is given up at once.
    fn hear_limits(&mut self, now: Timestamp, policy: &OutboundPolicy, outcome: &Outcome) -> bool {
        let slice = slice_at(now);
        let notice = outcome.rate.filter(|notice| notice.left < 0.1);
        let wait = match (outcome.kind, notice) {
            (OutcomeKind::Limited(Some(wait)), _) => Some(wait),
            (_, Some(notice)) if notice.left <= 0.0 => Some(notice.resets_in),
            (OutcomeKind::Limited(None), _) | (_, Some(_)) => None,
            _ => return false,
        };
        self.permits.halve();
        let rate = self.rate(slice, policy);
        self.pending.limited(slice, rate);
        if let Some(wait) = wait {
            let wait = SignedDuration::try_from(wait).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
            // Whole seconds, rounded up: what all instances were told at about the same time is one entry.
            let until = (now + wait).as_second() + 1;
            let known = self.view.as_ref().map_or(i64::MIN, |view| view.shared.paused_until());
            if until > self.paused_until.max(known) {
                self.paused_until = until;
                self.pending.pause = Some(until);
            }
        }
        true
    }

    /// Takes a retry out of the budget; whether there was one.
    pub fn may_retry(&mut self, now: Timestamp) -> bool {
        let may = self.tokens.take(slice_at(now));
        self.pending.retries += u64::from(may);
        may
    }

    /// How much longer the breaker is open; `None` if it is closed.
    pub fn outage(&self, now: Timestamp) -> Option<Duration> {
        let until = self.view.as_ref()?.shared.breaker.state.until()?;
        Some(Duration::try_from(now.duration_until(until)).unwrap_or_default())
    }

    /// Why the breaker has to open, if it has to.
    fn trips(&self, now: Timestamp, policy: &OutboundPolicy) -> Option<String> {
        let view = self.view.as_ref().filter(|view| view.shared.breaker.state == State::Closed)?;
        let mut health = view.shared.health(slice_at(now), &policy.breaker);
        health += self.pending.health(view.shared.breaker.generation);
        health.breach(&policy.breaker)
    }

    /// What to ask of the store for `need`; nothing if there is no need any more.
    pub fn request(&mut self, need: Need, now: Timestamp, policy: &OutboundPolicy) -> Option<Request> {
        match need {
            Need::Read => Some(Request::Read),
            Need::Write if !self.writes.none_in(slice_at(now)) => None,
            Need::Write => Some(Request::Add(Box::new(self.addition(now, policy)))),
            Need::Trip => {
                let reason = self.trips(now, policy)?;
                self.change(
                    State::Open { until: seconds_after(now, policy.breaker.open_seconds) },
                    now,
                    reason,
                )
            }
            Need::Probe => {
                let until = seconds_after(now, policy.timeout_seconds) + PROBE_MARGIN;
                // A claim that is lost costs as much as a write, so it counts as one.
                self.writes.note(slice_at(now));
                self.change(State::HalfOpen { until }, now, "one call tries".into())
            }
            Need::Settle { generation, end } => {
                let known = self.view.as_ref().map(|view| view.shared.breaker.generation);
                if known != Some(generation) {
                    return None;
                }
                let open = seconds_after(now, policy.breaker.open_seconds);
                match end {
                    ProbeEnd::Well => self.change(State::Closed, now, "the call that tried went well".into()),
                    ProbeEnd::Unwell => {
                        self.change(State::Open { until: open }, now, "the call that tried failed".into())
                    }
                    ProbeEnd::Unsent => {
                        // Others first: what cannot be sent from here may be sent from there.
                        self.writes.note(slice_at(now));
                        let reason = "the call that was to try was not sent".into();
                        self.change(State::Open { until: now }, now, reason)
                    }
                }
            }
        }
    }

    fn change(&self, to: State, now: Timestamp, reason: String) -> Option<Request> {
        let breaker = self.view.as_ref()?.shared.breaker;
        let change = Change { seen: breaker.generation, from: breaker.state, to, at: now, reason };
        Some(Request::Change(Box::new(change)))
    }

    fn addition(&mut self, now: Timestamp, policy: &OutboundPolicy) -> Addition {
        let slice = slice_at(now);
        let demand = self.permits.demand(slice);
        let known = self.view.as_ref().map(|view| &view.shared);
        let permits = self.permits.to_ask_for(slice, demand, known, &policy.rate);
        self.writes.note(slice);
        let mut addition = Addition { slice, permits, demand, ..Addition::default() };
        let generation = self.view.as_ref().map_or(0, |view| view.shared.breaker.generation);
        addition.bucket = (generation, bucket_of(slice, &policy.breaker));
        let rate = self.rate(slice, policy);
        self.pending.report(&mut addition, rate);
        if let Some((view, seen)) = self.view.as_ref().and_then(|view| Some((view, view.seen?))) {
            addition.tidy(&view.shared, slice_at(seen), now, policy);
        }
        addition
    }

    /// The rate in `slice`, as far as is known, in calls per 1,000 seconds.
    fn rate(&self, slice: i64, policy: &OutboundPolicy) -> u64 {
        let known = self.view.as_ref().map(|view| view.shared.rate(slice, &policy.rate));
        known.unwrap_or_else(|| Rate::initial(&policy.rate)).milli
    }

    /// Takes in what the store knows, as of `at`.
    pub fn learned(&mut self, shared: Shared, at: Timestamp) {
        self.writes.under_way = false;
        self.pending.enter(shared.breaker.generation);
        self.view = Some(View { shared, at, seen: Some(at), silent_since: None });
    }

    /// Takes in what came of `addition`, which was made at `at`.
    pub fn added(&mut self, addition: &Addition, shared: Shared, at: Timestamp, policy: &OutboundPolicy) {
        let taken = shared.slices.get(&addition.slice).copied().unwrap_or_default().permits;
        let before = taken.saturating_sub(addition.permits);
        let capacity = shared.rate(addition.slice, &policy.rate).capacity();
        let share = capacity.saturating_sub(before).min(addition.permits);
        let slice = addition.slice;
        self.permits.granted(addition, share);
        let percent = policy.retry.budget_percent;
        let well = shared.health(slice, &policy.breaker).failed <= FEW_FAILURES;
        let first = well && before == 0 && taken > 0;
        self.tokens.earn(slice, shared.calls, addition.calls, first, percent);
        self.learned(shared, at);
    }

    /// Takes in what became of `change`, which was tried at `at`. A permit, if it was to try and may.
    pub fn changed(
        &mut self,
        connector: &str,
        change: &Change,
        made: bool,
        shared: Shared,
        at: Timestamp,
    ) -> Option<Permit> {
        self.learned(shared, at);
        self.permit_to_try(connector, change, made, at)
    }

    fn permit_to_try(
        &mut self,
        connector: &str,
        change: &Change,
        made: bool,
        at: Timestamp,
    ) -> Option<Permit> {
        if !made || !is_claim(change) {
            return None;
        }
        self.writes.undo();
        let slice = slice_at(at);
        self.permits.call_wanted(slice);
        Some(Permit { connector: connector.to_owned(), generation: change.seen + 1, slice, probe: true })
    }

    /// Does without the store, which does not answer: alone, at the last rate, with a breaker of its own.
    pub fn without(
        &mut self,
        connector: &str,
        request: &Request,
        now: Timestamp,
        policy: &OutboundPolicy,
    ) -> Option<Permit> {
        let unknown = || View { shared: Shared::default(), at: now, seen: None, silent_since: None };
        let view = self.view.get_or_insert_with(unknown);
        view.at = now;
        self.writes.under_way = false;
        let silent_for = now.duration_since(*view.silent_since.get_or_insert(now));
        match request {
            Request::Read => None,
            Request::Add(addition) => {
                self.pending.give_back(addition);
                self.permits.alone(addition.slice, &policy.rate);
                None
            }
            Request::Change(change) if is_claim(change) && silent_for < SILENT_FOR => None,
            Request::Change(change) => {
                let made = view.shared.apply(change);
                self.pending.enter(view.shared.breaker.generation);
                self.permit_to_try(connector, change, made, now)
            }
        }
    }

    /// What is known, and as of when.
    #[cfg(test)]
    pub fn view(&self) -> Option<(&Shared, Timestamp)> {
        self.view.as_ref().map(|view| (&view.shared, view.at))
    }
}

/// The writes of an instance: one a slice.
#[derive(Debug, Default)]
struct Writes {
    /// The slice of the last one.
    last: Option<i64>,
    /// Whether it is not answered yet.
    under_way: bool,
}

impl Writes {
    fn none_in(&self, slice: i64) -> bool {
        self.last != Some(slice)
    }

    fn note(&mut self, slice: i64) {
        *self = Self { last: Some(slice), under_way: true };
    }

    /// The last one does not count: it changed the breaker.
    fn undo(&mut self) {
        self.last = None;
    }
}

/// Whether `change` is the claim to be the one that tries.
fn is_claim(change: &Change) -> bool {
    matches!(change.to, State::HalfOpen { .. })
}

fn until_end_of(slice: i64, now: Timestamp) -> SignedDuration {
    now.duration_until(begin_of(slice + 1))
}

fn seconds_after(now: Timestamp, seconds: u32) -> Timestamp {
    now + SignedDuration::from_secs(seconds.into())
}
