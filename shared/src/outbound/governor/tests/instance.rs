//! One instance, or two.

use std::sync::{Mutex, atomic::Ordering::Relaxed};
use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::rig::{Fleet, SHOP};
use crate::{
    ErrorCode,
    clock::Clock,
    outbound::{
        RateNotice,
        governor::{Governor, GovernorStore, OnClosed, Outcome, OutcomeKind},
    },
};

const OPEN: i64 = 60_000;

#[tokio::test]
async fn a_warm_call_costs_no_call_of_the_table_however_many_there_are() {
    let mut fleet = Fleet::of(1).await;
    fleet.policy.rate.initial_per_second = 50;
    let begin = fleet.clock.now();
    for _ in 0..300 {
        // Ten calls within 100 ms.
        for _ in 0..10 {
            let _ = fleet.call(0, OutcomeKind::Healthy).await;
        }
        fleet.advance(100);
    }
    let seconds = fleet.clock.now().duration_since(begin).as_secs();
    assert_eq!(seconds, 30);
    let store = &fleet.instances[0].store;
    assert!(store.writes() <= 7, "{} writes", store.writes());
    assert!(store.reads.load(Relaxed) <= 15, "{} reads", store.reads.load(Relaxed));
    fleet.assert_one_write_a_slice();
}

#[tokio::test]
async fn it_opens_when_half_of_enough_calls_failed_and_says_when_to_come_back() {
    let fleet = Fleet::of(1).await;
    for kind in [OutcomeKind::Healthy, OutcomeKind::Failed, OutcomeKind::Healthy, OutcomeKind::Failed] {
        fleet.call(0, kind).await.unwrap();
    }
    assert_eq!(fleet.state().await, "closed", "too few");
    fleet.call(0, OutcomeKind::Failed).await.unwrap();
    assert_eq!(fleet.state().await, "open", "at once");
    fleet.advance(30_500);
    let refused = fleet.call(0, OutcomeKind::Healthy).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (ErrorCode::BreakerOpen, Some(30)));
    assert!(refused.is_transient());
}

#[tokio::test]
async fn calls_that_were_refused_or_limited_or_not_sent_do_not_open_it() {
    let fleet = Fleet::of(1).await;
    for _ in 0..3 {
        fleet.call(0, OutcomeKind::Failed).await.unwrap();
    }
    for kind in [OutcomeKind::Limited(None), OutcomeKind::Unsent, OutcomeKind::Healthy, OutcomeKind::Healthy]
    {
        fleet.call(0, kind).await.unwrap();
        fleet.advance(2_000);
    }
    // Three of five, and not three of seven, and it took the last one to make them five.
    assert_eq!(fleet.state().await, "open");
    let reason = &fleet.table.history(SHOP).await.unwrap()[0].reason;
    assert_eq!(reason, "3 of 5 calls failed within 60 s");
}

#[tokio::test]
async fn calls_before_the_window_do_not_count() {
    let fleet = Fleet::of(1).await;
    for _ in 0..4 {
        fleet.call(0, OutcomeKind::Failed).await.unwrap();
    }
    fleet.advance(5_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.state().await, "open", "within the window they do");
    let fleet = Fleet::of(1).await;
    for _ in 0..4 {
        fleet.call(0, OutcomeKind::Failed).await.unwrap();
    }
    fleet.advance(5_000);
    let permit = fleet.admit(0).await.unwrap();
    fleet.advance(70_000);
    fleet.report(0, permit, OutcomeKind::Failed).await;
    assert_eq!(fleet.state().await, "closed");
}

#[tokio::test]
async fn slow_calls_open_it_too() {
    let fleet = Fleet::of(1).await;
    for _ in 0..5 {
        let permit = fleet.admit(0).await.unwrap();
        let took = Duration::from_millis(10_001);
        let outcome = Outcome { kind: OutcomeKind::Healthy, took, rate: None };
        fleet.instances[0].governor.report(permit, &fleet.policy, outcome).await;
    }
    assert_eq!(fleet.state().await, "open");
    assert_eq!(fleet.table.history(SHOP).await.unwrap()[0].reason, "5 of 5 calls were slow within 60 s");
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

#[async_trait]
impl OnClosed for Heard {
    async fn closed(&self, connector: &str) {
        self.0.lock().unwrap().push(connector.to_owned());
    }
}

#[tokio::test]
async fn a_call_that_goes_well_closes_it_and_whoever_waits_for_that_hears_it() {
    let mut fleet = Fleet::of(1).await;
    let heard = Arc::new(Heard::default());
    let governor = Governor::new(fleet.instances[0].store.clone(), fleet.clock.clone());
    fleet.instances[0].governor = governor.on_closed(heard.clone());
    fleet.break_it(0).await;
    fleet.advance(OPEN);
    let probe = fleet.admit(0).await.unwrap();
    assert_eq!(fleet.state().await, "half_open");
    let refused = fleet.admit(0).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (ErrorCode::BreakerOpen, Some(2)));
    fleet.report(0, probe, OutcomeKind::Healthy).await;
    assert_eq!(fleet.state().await, "closed");
    assert_eq!(*heard.0.lock().unwrap(), [SHOP]);
    // Its failures from before are forgotten, and it goes on at once.
    fleet.call(0, OutcomeKind::Failed).await.unwrap();
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.state().await, "closed");
    let history = fleet.table.history(SHOP).await.unwrap();
    let steps: Vec<(&str, &str)> = history.iter().map(|step| (&*step.from, &*step.to)).collect();
    assert_eq!(steps, [("half_open", "closed"), ("open", "half_open"), ("closed", "open")]);
}

#[tokio::test]
async fn a_call_that_fails_opens_it_again() {
    let fleet = Fleet::of(1).await;
    fleet.break_it(0).await;
    fleet.advance(OPEN);
    fleet.call(0, OutcomeKind::Failed).await.unwrap();
    assert_eq!(fleet.state().await, "open");
    fleet.advance(OPEN - 1_000);
    assert_eq!(fleet.admit(0).await.unwrap_err().code(), ErrorCode::BreakerOpen);
    fleet.advance(1_000);
    fleet.call(0, OutcomeKind::Limited(None)).await.unwrap();
    assert_eq!(fleet.state().await, "closed", "who limits us is well");
}

#[tokio::test]
async fn a_call_that_was_not_sent_has_no_permit_and_lets_another_try() {
    let mut fleet = Fleet::of(2).await;
    fleet.policy.rate.initial_per_second = 1;
    for _ in 0..100 {
        fleet.call(0, OutcomeKind::Unsent).await.unwrap();
    }
    let mut fleet = Fleet::of(2).await;
    fleet.policy.breaker.minimum_calls = 3;
    fleet.break_it(0).await;
    fleet.advance(OPEN);
    fleet.call(0, OutcomeKind::Unsent).await.unwrap();
    assert_eq!(fleet.state().await, "open");
    assert_eq!(fleet.admit(0).await.unwrap_err().code(), ErrorCode::BreakerOpen, "not it again");
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.state().await, "closed");
}

#[tokio::test]
async fn the_result_of_a_probe_that_was_given_up_changes_nothing() {
    let fleet = Fleet::of(2).await;
    fleet.break_it(0).await;
    fleet.advance(OPEN);
    let lost = fleet.admit(0).await.unwrap();
    fleet.advance(25_000);
    let probe = fleet.admit(1).await.unwrap();
    fleet.report(0, lost, OutcomeKind::Healthy).await;
    assert_eq!(fleet.state().await, "half_open", "the other one decides");
    fleet.report(1, probe, OutcomeKind::Failed).await;
    assert_eq!(fleet.state().await, "open");
}

#[tokio::test]
async fn a_pause_that_the_provider_asks_for_is_kept_by_all() {
    let fleet = Fleet::of(2).await;
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    fleet.call(0, OutcomeKind::Limited(Some(Duration::from_secs(30)))).await.unwrap();
    let refused = fleet.admit(0).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (ErrorCode::ProviderLimited, Some(31)));
    fleet.advance(5_000);
    // It writes once more although it makes no call: what it was told is shared when it is asked next.
    fleet.call(0, OutcomeKind::Healthy).await.unwrap_err();
    let _ = fleet.call(1, OutcomeKind::Healthy).await;
    fleet.advance(5_000);
    assert_eq!(fleet.admit(1).await.unwrap_err().retry_after_seconds(), Some(21));
    fleet.advance(21_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    fleet.advance(5_000);
    fleet.call(1, OutcomeKind::Healthy).await.unwrap();
    assert!(fleet.shared().await.pauses.is_empty(), "and is forgotten when it is over");
}

#[tokio::test]
async fn nobody_makes_us_wait_for_more_than_five_minutes() {
    let fleet = Fleet::of(1).await;
    fleet.call(0, OutcomeKind::Limited(Some(Duration::from_secs(86_400)))).await.unwrap();
    assert_eq!(fleet.admit(0).await.unwrap_err().retry_after_seconds(), Some(301));
}

#[tokio::test]
async fn a_budget_that_is_nearly_used_up_slows_down_and_one_that_is_pauses() {
    let fleet = Fleet::of(1).await;
    let report = async |left| {
        let permit = fleet.admit(0).await.unwrap();
        let rate = Some(RateNotice { left, resets_in: Duration::from_secs(20) });
        let outcome = Outcome { kind: OutcomeKind::Healthy, took: Duration::ZERO, rate };
        fleet.instances[0].governor.report(permit, &fleet.policy, outcome).await;
    };
    report(0.1).await;
    report(0.09).await;
    fleet.advance(5_000);
    report(0.5).await;
    assert_eq!(fleet.rate().await, 5_000);
    report(0.0).await;
    assert_eq!(fleet.admit(0).await.unwrap_err().retry_after_seconds(), Some(21));
}

#[tokio::test]
async fn without_the_table_it_goes_on_alone_with_a_breaker_of_its_own() {
    let fleet = Fleet::of(1).await;
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    fleet.instances[0].store.down.store(true, Relaxed);
    for _ in 0..60 {
        fleet.advance(1_000);
        fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    }
    let mut failed = 0;
    while fleet.call(0, OutcomeKind::Failed).await.is_ok() {
        fleet.advance(1_000);
        failed += 1;
        assert!(failed < 100);
    }
    assert_eq!(fleet.admit(0).await.unwrap_err().code(), ErrorCode::BreakerOpen);
    fleet.advance(OPEN);
    let probe = fleet.admit(0).await.unwrap();
    assert_eq!(fleet.admit(0).await.unwrap_err().code(), ErrorCode::BreakerOpen);
    fleet.report(0, probe, OutcomeKind::Healthy).await;
    fleet.advance(5_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    fleet.instances[0].store.down.store(false, Relaxed);
    fleet.advance(5_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.state().await, "closed");
    assert!(fleet.shared().await.calls > 60, "what was counted meanwhile is reported");
}

#[tokio::test]
async fn a_cold_instance_without_the_table_begins_with_a_second_of_the_initial_rate() {
    let fleet = Fleet::of(1).await;
    fleet.instances[0].store.down.store(true, Relaxed);
    for _ in 0..10 {
        fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    }
    let refused = fleet.admit(0).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (ErrorCode::ProviderLimited, Some(5)));
}

#[tokio::test]
async fn what_was_learnt_is_forgotten_after_a_quarter_of_an_hour() {
    let fleet = Fleet::of(1).await;
    for _ in 0..3 {
        fleet.call(0, OutcomeKind::Limited(None)).await.unwrap();
        fleet.advance(10_000);
        fleet.call(0, OutcomeKind::Healthy).await.unwrap();
        fleet.advance(10_000);
    }
    assert!(fleet.rate().await < 10_000);
    fleet.advance(600_000);
    assert!(fleet.rate().await < 10_000);
    fleet.advance(400_000);
    assert_eq!(fleet.rate().await, 10_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    fleet.advance(10_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.rate().await, 10_000);
}

#[tokio::test]
async fn the_last_twenty_changes_are_remembered() {
    let fleet = Fleet::of(1).await;
    fleet.break_it(0).await;
    for _ in 0..15 {
        fleet.advance(OPEN);
        fleet.call(0, OutcomeKind::Failed).await.unwrap();
    }
    let status = fleet.instances[0].governor.status(SHOP, &fleet.policy).await.unwrap().unwrap();
    assert_eq!((status.history.len(), status.state), (20, "open"));
    assert_eq!(status.history[0].reason, "the call that tried failed");
    assert_eq!(status.history[0].at, fleet.clock.now());
    assert_eq!(status.open_until, Some(fleet.clock.now() + jiff::SignedDuration::from_millis(OPEN)));
    assert_eq!(fleet.instances[0].governor.status("another", &fleet.policy).await.unwrap(), None);
}

#[tokio::test]
async fn calls_that_come_while_permits_are_being_asked_for_wait_for_them() {
    let fleet = Fleet::of(1).await;
    for _ in 0..5 {
        let calls = futures::future::join_all((0..10).map(|_| fleet.call(0, OutcomeKind::Healthy))).await;
        assert!(calls.iter().all(Result::is_ok), "{calls:?}");
        fleet.advance(5_000);
    }
    fleet.assert_one_write_a_slice();
}
