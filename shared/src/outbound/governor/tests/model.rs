//! Any order of what instances do, with answers of the table that arrive late, or for clocks that differ.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{
    outbound::{
        OutboundPolicy,
        governor::{
            Outcome, OutcomeKind, Permit, Shared, State,
            desk::{Decision, Desk, Need, Request},
            shared::slice_at,
        },
    },
    testing::start,
};

const DESKS: usize = 5;

/// One step.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, in milliseconds.
    Wait(i64),
    /// An instance wants to make a call.
    Want(usize),
    /// A call comes to its end: which, and how.
    End(usize, OutcomeKind),
    /// A call is never heard of again.
    Die(usize),
    /// A request of an instance reaches the table.
    Reach(usize),
    /// Its answer reaches the instance.
    Answer(usize),
    /// An instance retries if it may.
    Retry(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(OutcomeKind::Healthy),
        4 => Just(OutcomeKind::Failed),
        1 => Just(OutcomeKind::Limited(None)),
        1 => Just(OutcomeKind::Limited(Some(std::time::Duration::from_secs(7)))),
        1 => Just(OutcomeKind::Unsent),
    ];
    prop_oneof![
        3 => (0_i64..4_000).prop_map(Step::Wait),
        1 => (10_000_i64..90_000).prop_map(Step::Wait),
        8 => (0..DESKS).prop_map(Step::Want),
        5 => (0_usize..100, kind).prop_map(|(call, kind)| Step::End(call, kind)),
        1 => (0_usize..100).prop_map(Step::Die),
        8 => (0..DESKS).prop_map(Step::Reach),
        8 => (0..DESKS).prop_map(Step::Answer),
        2 => (0..DESKS).prop_map(Step::Retry),
    ]
}

/// What an instance waits for.
enum Flight {
    Sent(Need, Request, Timestamp),
    Done(Request, Timestamp, bool, Box<Shared>),
}

struct World {
    now: Timestamp,
    /// How far each instance's clock is off, in milliseconds.
    skews: Vec<i64>,
    policy: OutboundPolicy,
    shared: Shared,
    desks: Vec<Desk>,
    flights: Vec<Option<Flight>>,
    calls: Vec<(usize, Permit)>,
    admitted: BTreeMap<i64, u64>,
    capacities: BTreeMap<i64, u64>,
    additions: BTreeMap<(usize, i64), u64>,
    probes: BTreeMap<u64, u64>,
    requests: u64,
    retries: u64,
    first_slice: i64,
}

impl World {
    fn new(skews: Vec<i64>) -> Self {
        let mut policy = OutboundPolicy::default();
        policy.rate.initial_per_second = 2;
        Self {
            now: start(),
            skews,
            policy,
            shared: Shared::default(),
            desks: (0..DESKS).map(|_| Desk::default()).collect(),
            flights: (0..DESKS).map(|_| None).collect(),
            calls: Vec::new(),
            admitted: BTreeMap::new(),
            capacities: BTreeMap::new(),
            additions: BTreeMap::new(),
            probes: BTreeMap::new(),
            requests: 0,
            retries: 0,
            first_slice: slice_at(start()) - 1,
        }
    }

    fn clock(&self, desk: usize) -> Timestamp {
        self.now + SignedDuration::from_millis(self.skews[desk])
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait(milliseconds) => self.now += SignedDuration::from_millis(milliseconds),
            Step::Want(desk) => self.want(desk),
            Step::End(call, kind) => self.end(call, kind),
            Step::Die(call) => {
                if !self.calls.is_empty() {
                    let at = call % self.calls.len();
                    self.calls.swap_remove(at);
                }
            }
            Step::Reach(desk) => self.reach(desk),
            Step::Answer(desk) => self.answer(desk),
            Step::Retry(desk) => {
                let now = self.clock(desk);
                self.retries += u64::from(self.desks[desk].may_retry(now));
            }
        }
    }

    fn want(&mut self, desk: usize) {
        let now = self.clock(desk);
        match self.desks[desk].decide("shop", now, &self.policy) {
            Decision::Admit(permit) => {
                *self.admitted.entry(permit.slice).or_default() += 1;
                self.calls.push((desk, permit));
            }
            Decision::Refuse(_) => {}
            Decision::Ask(need) => self.ask(desk, need),
        }
    }

    fn ask(&mut self, desk: usize, need: Need) {
        let now = self.clock(desk);
        // One request of an instance is under way at a time.
        if self.flights[desk].is_some() {
            return;
        }
        if let Some(request) = self.desks[desk].request(need, now, &self.policy) {
            if let Request::Add(addition) = &request {
                *self.additions.entry((desk, addition.slice)).or_default() += 1;
            }
            self.flights[desk] = Some(Flight::Sent(need, request, now));
        }
    }

    fn end(&mut self, call: usize, kind: OutcomeKind) {
        if self.calls.is_empty() {
            return;
        }
        let at = call % self.calls.len();
        let (desk, permit) = self.calls.swap_remove(at);
        if kind == OutcomeKind::Unsent {
            // The permit goes back, if it is still worth anything.
            if let Some(count) = self.admitted.get_mut(&permit.slice).filter(|_| !permit.probe) {
                *count -= 1;
            }
        } else {
            self.requests += 1;
        }
        let outcome = Outcome { kind, took: std::time::Duration::ZERO, rate: None };
        let now = self.clock(desk);
        if let Some(need) = self.desks[desk].report(&permit, now, &self.policy, &outcome) {
            self.ask(desk, need);
        }
    }

    fn reach(&mut self, desk: usize) {
        let Some(Flight::Sent(need, request, at)) = self.flights[desk].take() else { return };
        let made = match &request {
            Request::Read => true,
            Request::Add(addition) => {
                self.shared.add(addition);
                let capacity = self.shared.rate(addition.slice, &self.policy.rate).capacity();
                let most = self.capacities.entry(addition.slice).or_default();
                *most = capacity.max(*most);
                true
            }
            Request::Change(change) => self.shared.apply(change),
        };
        let _ = need;
        self.flights[desk] = Some(Flight::Done(request, at, made, Box::new(self.shared.clone())));
    }

    fn answer(&mut self, desk: usize) {
        match self.flights[desk].take() {
            Some(Flight::Done(request, at, made, shared)) => match request {
                Request::Read => self.desks[desk].learned(*shared, at),
                Request::Add(addition) => self.desks[desk].added(&addition, *shared, at, &self.policy),
                Request::Change(change) => {
                    if let Some(permit) = self.desks[desk].changed("shop", &change, made, *shared, at) {
                        *self.probes.entry(permit.generation).or_default() += 1;
                        self.calls.push((desk, permit));
                    }
                }
            },
            other => self.flights[desk] = other,
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (slice, count) in &self.admitted {
            let capacity = self.capacities.get(slice).copied().unwrap_or_default();
            prop_assert!(*count <= capacity, "{} of {} in {}", count, capacity, slice);
        }
        prop_assert!(self.additions.values().all(|count| *count <= 2), "{:?}", self.additions);
        for desk in 0..DESKS {
            let writes = self
                .additions
                .range((desk, i64::MIN)..(desk + 1, i64::MIN))
                .map(|(_, count)| count)
                .sum::<u64>();
            let slices = (slice_at(self.now) - slice_at(start()) + 2).unsigned_abs();
            prop_assert!(writes <= slices + 1, "{} writes in {} slices", writes, slices);
        }
        prop_assert!(self.probes.values().all(|count| *count == 1), "one a generation: {:?}", self.probes);
        let slices = (slice_at(self.now) - self.first_slice + 2).unsigned_abs();
        let budget = u64::from(self.policy.retry.budget_percent);
        prop_assert!(self.retries <= self.requests * budget / 100 + slices);
        // Whatever a desk knows, it knows of the same rates.
        let slice = slice_at(self.now) - 3;
        let rates: Vec<u64> = self
            .desks
            .iter()
            .filter_map(Desk::view)
            .filter(|(_, at)| slice_at(*at) >= slice + 3 && self.skews.iter().all(|skew| *skew == 0))
            .map(|(shared, _)| shared.rate(slice, &self.policy.rate).milli)
            .collect();
        prop_assert!(rates.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", rates);
        let probing = matches!(self.shared.breaker.state, State::HalfOpen { .. });
        prop_assert!(!probing || self.shared.breaker.generation > 1);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_no_limit_is_exceeded(
        skews in prop_oneof![Just(vec![0; DESKS]), prop::collection::vec(-300_i64..300, DESKS)],
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut world = World::new(skews);
        for step in steps {
            world.step(&step);
            world.check()?;
        }
    }
}
