//! Fifty instances on one table.

use std::sync::atomic::Ordering::Relaxed;

use futures::future::join_all;
use jiff::SignedDuration;

use super::rig::{Fleet, SHOP};
use crate::{
    ErrorCode,
    clock::Clock,
    outbound::governor::{GovernorStore, OutcomeKind, State},
};

const FLEET: usize = 50;

/// What the calls of a second came to.
#[derive(Default)]
struct Second {
    requests: usize,
    calls: usize,
    retries: usize,
}

/// Every instance makes `each` requests, retried where the budget allows.
async fn second(fleet: &Fleet, each: usize, kind: OutcomeKind) -> Second {
    let mut sum = Second::default();
    for _ in 0..each {
        let results =
            join_all((0..fleet.instances.len()).map(|instance| request(fleet, instance, kind))).await;
        for (made, retries) in results.into_iter().flatten() {
            sum.requests += 1;
            sum.calls += made;
            sum.retries += retries;
        }
    }
    sum
}

/// A request as the pipeline makes it: up to three tries. How many there were, if any, and how many were retries.
async fn request(fleet: &Fleet, instance: usize, kind: OutcomeKind) -> Option<(usize, usize)> {
    fleet.call(instance, kind).await.ok()?;
    let mut made = 1;
    while kind == OutcomeKind::Failed && made < 3 {
        if !fleet.instances[instance].governor.may_retry(SHOP) || fleet.call(instance, kind).await.is_err() {
            break;
        }
        made += 1;
    }
    Some((made, made - 1))
}

#[tokio::test]
async fn all_together_never_exceed_the_rate_and_write_once_a_slice_each() {
    let fleet = Fleet::of(FLEET).await;
    let mut all = Vec::new();
    for _ in 0..12 {
        let mut calls = 0;
        for _ in 0..5 {
            calls += second(&fleet, 2, OutcomeKind::Healthy).await.calls;
            fleet.advance(1_000);
        }
        let slice = fleet.slice() - 1;
        let capacity = fleet.shared().await.rate(slice, &fleet.policy.rate).capacity();
        let calls = u64::try_from(calls).unwrap();
        assert!(calls <= capacity, "{calls} of {capacity} in {slice}");
        all.push((calls, capacity));
    }
    fleet.assert_few_writes();
    // It grows, and what there is is used.
    assert!(all.last().unwrap().1 > 100, "{all:?}");
    let (calls, capacity) = all.iter().fold((0, 0), |sum, slice| (sum.0 + slice.0, sum.1 + slice.1));
    assert!(calls * 100 > capacity * 80, "{all:?}");
    assert!(item_size(&fleet).await < 1_024, "a write is one unit");
}

async fn item_size(fleet: &Fleet) -> usize {
    let item = fleet.dynamo.client.scan().table_name("state").send().await.unwrap();
    let item = item.items().iter().find(|item| item["sk"].as_s().unwrap() == "G").unwrap().clone();
    item.iter().map(|(name, value)| name.len() + crate::dynamo::size(value)).sum()
}

#[tokio::test]
async fn in_an_outage_few_calls_are_made_and_all_is_well_soon_after_it() {
    let fleet = Fleet::of(FLEET).await;
    for _ in 0..10 {
        second(&fleet, 1, OutcomeKind::Healthy).await;
        fleet.advance(1_000);
    }
    let (mut requests, mut calls, mut retries) = (0, 0, 0);
    let began = fleet.clock.now();
    for _ in 0..180 {
        let second = second(&fleet, 1, OutcomeKind::Failed).await;
        requests += second.requests;
        calls += second.calls;
        retries += second.retries;
        fleet.advance(1_000);
    }
    let slices = usize::try_from(fleet.clock.now().duration_since(began).as_secs() / 5).unwrap();
    assert!(retries * 100 <= requests * 20 + slices * 100, "{retries} retries of {requests} requests");
    assert!(calls * 100 <= requests * 120 + slices * 100);
    // Half of the calls within the window must have failed, and there were 55 good ones in it.
    assert!(requests < 120, "{requests} of 9,000 were let through");
    assert_eq!(fleet.state().await, "open");
    fleet.assert_few_writes();
    // The provider is well again.
    let mut seconds = 0;
    while second(&fleet, 1, OutcomeKind::Healthy).await.calls < 10 {
        fleet.advance(1_000);
        seconds += 1;
        assert!(seconds < 75);
    }
    assert_eq!(fleet.state().await, "closed");
    let shared = fleet.shared().await;
    assert_eq!(shared.breaker.generation % 2, 1);
    assert!(item_size(&fleet).await < 1_024);
}

#[tokio::test]
async fn one_tries_at_a_time_also_when_those_who_try_die() {
    let fleet = Fleet::of(FLEET).await;
    fleet.break_it(0).await;
    let mut given = Vec::new();
    for _ in 0..300 {
        fleet.advance(500);
        let now = fleet.clock.now();
        let permits = join_all((0..FLEET).map(|instance| fleet.admit(instance))).await;
        // Nobody ever reports.
        given.extend(permits.into_iter().filter_map(Result::ok).map(|_| now));
    }
    assert!((3..=5).contains(&given.len()), "{given:?}");
    for pair in given.windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= SignedDuration::from_secs(20), "{given:?}");
    }
    for instance in &fleet.instances {
        let changes = instance.store.changes.lock().unwrap();
        let mut slices: Vec<i64> = changes.iter().map(|(_, change)| change.at.as_second() / 5).collect();
        let all = slices.len();
        slices.dedup();
        assert!(slices.len() + 1 >= all, "claims count as writes: {changes:?}");
    }
}

#[tokio::test]
async fn of_all_that_see_it_break_one_opens_it() {
    let mut fleet = Fleet::of(FLEET).await;
    fleet.policy.rate.initial_per_second = 50;
    second(&fleet, 1, OutcomeKind::Unsent).await;
    fleet.advance(5_000);
    let permits = join_all((0..FLEET).map(|instance| fleet.admit(instance))).await;
    for (instance, permit) in permits.into_iter().enumerate() {
        fleet.report(instance, permit.unwrap(), OutcomeKind::Failed).await;
    }
    fleet.advance(5_000);
    join_all((0..FLEET).map(|instance| fleet.call(instance, OutcomeKind::Failed))).await;
    let changes = fleet.instances.iter().flat_map(|one| one.store.changes.lock().unwrap().clone());
    let made: Vec<_> = changes.filter(|(made, _)| *made).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(fleet.shared().await.breaker.generation, 1);
}

#[tokio::test]
async fn a_burst_of_limits_halves_the_rate_once() {
    let mut fleet = Fleet::of(FLEET).await;
    fleet.policy.rate.initial_per_second = 40;
    second(&fleet, 1, OutcomeKind::Unsent).await;
    fleet.advance(5_000);
    let limited = second(&fleet, 1, OutcomeKind::Limited(None)).await.calls;
    assert!(limited > 30, "{limited}");
    fleet.advance(5_000);
    // Half of them are heard of now, the other half has no call to make for a while.
    join_all((0..FLEET / 2).map(|instance| fleet.call(instance, OutcomeKind::Unsent))).await;
    for _ in 0..4 {
        fleet.advance(5_000);
        join_all((0..FLEET).map(|instance| fleet.call(instance, OutcomeKind::Unsent))).await;
        assert_eq!(fleet.rate().await, 20_000);
    }
    fleet.call(0, OutcomeKind::Limited(None)).await.unwrap();
    fleet.advance(5_000);
    let _ = fleet.call(0, OutcomeKind::Unsent).await;
    assert_eq!(fleet.rate().await, 10_000, "the next one is news");
}

#[tokio::test]
async fn limits_that_are_reported_late_are_news_if_nobody_else_was_limited() {
    let fleet = Fleet::of(1).await;
    fleet.call(0, OutcomeKind::Limited(None)).await.unwrap();
    fleet.advance(40_000);
    fleet.call(0, OutcomeKind::Unsent).await.unwrap();
    assert_eq!(fleet.rate().await, 5_000);
}

#[tokio::test]
async fn an_instance_that_slept_undoes_neither_a_halving_nor_a_trip() {
    let fleet = Fleet::of(2).await;
    for _ in 0..10 {
        fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    }
    // It sleeps, with good news in its hands, while the other one is limited.
    fleet.call(0, OutcomeKind::Limited(None)).await.unwrap();
    fleet.advance(5_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.rate().await, 5_000);
    fleet.advance(20_000);
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    fleet.advance(5_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.rate().await, 5_500, "ten calls that went well since are worth a tenth");
    // It sleeps again, with a permit from before.
    let permit = fleet.admit(1).await.unwrap();
    fleet.break_it(0).await;
    fleet.report(1, permit, OutcomeKind::Healthy).await;
    fleet.advance(5_000);
    assert_eq!(fleet.admit(1).await.unwrap_err().code(), ErrorCode::BreakerOpen);
    assert!(matches!(fleet.shared().await.breaker.state, State::Open { .. }));
}

#[tokio::test]
async fn an_instance_that_was_cut_off_from_the_table_undoes_no_halving() {
    let fleet = Fleet::of(2).await;
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    fleet.instances[1].store.down.store(true, Relaxed);
    for kind in [OutcomeKind::Limited(None), OutcomeKind::Healthy, OutcomeKind::Healthy] {
        fleet.call(0, kind).await.unwrap();
        fleet.call(1, OutcomeKind::Healthy).await.unwrap();
        fleet.advance(5_000);
    }
    fleet.instances[1].store.down.store(false, Relaxed);
    for _ in 0..4 {
        fleet.call(1, OutcomeKind::Unsent).await.unwrap();
        fleet.advance(5_000);
        assert_eq!(fleet.rate().await, 5_000);
    }
}

#[tokio::test]
async fn others_feel_an_open_breaker_after_two_seconds() {
    let fleet = Fleet::of(2).await;
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    fleet.break_it(0).await;
    fleet.advance(2_000);
    assert_eq!(fleet.admit(1).await.unwrap_err().code(), ErrorCode::BreakerOpen);
}

#[tokio::test]
async fn failures_of_many_instances_that_each_see_few_open_it() {
    let fleet = Fleet::of(FLEET).await;
    let mut calls = 0;
    for turn in 0..3 {
        for instance in 0..FLEET {
            calls += usize::from(fleet.call(instance, OutcomeKind::Failed).await.is_ok());
        }
        if fleet.state().await == "open" {
            assert_eq!(turn, 1, "what each instance saw alone is heard with its next write");
            break;
        }
        fleet.advance(5_000);
    }
    assert_eq!(fleet.state().await, "open");
    assert!(calls <= FLEET + 5, "{calls}");
    assert_eq!(fleet.table.history(SHOP).await.unwrap().len(), 1);
}
