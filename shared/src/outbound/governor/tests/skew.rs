//! Instances whose clocks differ, that the table does not answer, or that begin after a quiet time or all at once.

use std::sync::atomic::Ordering::Relaxed;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::rig::{Fleet, SHOP};
use crate::{
    ErrorCode,
    clock::Clock,
    outbound::governor::{GovernorStore, OutcomeKind, Permit},
};

/// How far a clock is off at most, in milliseconds.
const OFF: i64 = 3_000;

/// A probe that is under way: whose, until when, and whether it lives to say how it went.
struct Probe {
    instance: usize,
    permit: Option<Permit>,
    ends: Timestamp,
}

#[tokio::test]
async fn one_tries_at_a_time_also_when_clocks_differ_and_those_who_try_die_or_take_all_their_time() {
    let fleet = Fleet::off_by((0..20).map(|i| (i * 7 % 20 - 10) * OFF / 10)).await;
    let timeout = SignedDuration::from_secs(fleet.policy.timeout_seconds.into());
    fleet.break_it(0).await;
    let (mut random, mut under_way, mut tried) = (fastrand::Rng::with_seed(11), None::<Probe>, 0);
    for _ in 0..1_200 {
        fleet.advance(500);
        let now = fleet.clock.now();
        if let Some(probe) = under_way.take_if(|probe| probe.ends <= now)
            && let Some(permit) = probe.permit
        {
            fleet.report(probe.instance, permit, OutcomeKind::Failed).await;
        }
        let all = join_all((0..fleet.instances.len()).map(|instance| fleet.admit(instance))).await;
        for (instance, permit) in all.into_iter().enumerate() {
            let Ok(permit) = permit else { continue };
            assert!(under_way.is_none(), "a second one while one was under way");
            // Half of them die, but what they sent is on its way all the same.
            let (permit, ends) = (Some(permit).filter(|_| random.bool()), now + timeout);
            (under_way, tried) = (Some(Probe { instance, permit, ends }), tried + 1);
        }
    }
    assert!(tried >= 8, "{tried}");
    fleet.assert_one_write_a_slice();
}

#[tokio::test]
async fn a_claim_that_could_not_be_written_lets_nobody_through() {
    let fleet = Fleet::of(2).await;
    fleet.break_it(0).await;
    fleet.advance(60_000);
    // It learns that it is time to try, and then the table is gone for it.
    fleet.instances[0].store.down_for_changes.store(true, Relaxed);
    for _ in 0..8 {
        assert_eq!(fleet.admit(0).await.unwrap_err().code(), ErrorCode::BreakerOpen);
        fleet.advance(1_000);
    }
    let probe = fleet.admit(1).await.unwrap();
    fleet.instances[0].store.down_for_changes.store(false, Relaxed);
    fleet.advance(3_000);
    assert_eq!(fleet.admit(0).await.unwrap_err().code(), ErrorCode::BreakerOpen);
    fleet.report(1, probe, OutcomeKind::Healthy).await;
    fleet.advance(2_000);
    fleet.call(0, OutcomeKind::Healthy).await.unwrap();
    assert_eq!(fleet.table.history(SHOP).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_claim_of_a_table_that_stays_away_is_made_alone() {
    let fleet = Fleet::of(1).await;
    fleet.break_it(0).await;
    fleet.advance(60_000);
    fleet.instances[0].store.down.store(true, Relaxed);
    let mut seconds = 0;
    while fleet.admit(0).await.is_err() {
        fleet.advance(1_000);
        seconds += 1;
        assert!(seconds < 30);
    }
    assert!(seconds >= 10, "{seconds}");
}

#[tokio::test]
async fn the_first_batch_of_whoever_comes_after_a_quiet_time_is_let_through() {
    let fleet = Fleet::of(3).await;
    let batch = async |instance, size| {
        let calls = (0..size).map(|_| fleet.call(instance, OutcomeKind::Healthy));
        join_all(calls).await.iter().filter(|call| call.is_ok()).count()
    };
    assert_eq!(batch(0, 25).await, 25, "of the 50 of a slice");
    fleet.advance(5_000);
    assert_eq!(batch(0, 2).await, 2);
    fleet.advance(5_000);
    // The first one has what it may need; who comes has half of the rest.
    assert_eq!(batch(0, 2).await, 2);
    assert!(batch(1, 10).await >= 6);
    fleet.advance(60_000);
    assert_eq!((batch(1, 20).await, batch(2, 10).await), (20, 10));
    fleet.assert_one_write_a_slice();
}

#[tokio::test]
async fn of_many_that_begin_at_once_each_is_let_through_while_there_is_room() {
    let mut fleet = Fleet::of(16).await;
    (fleet.policy.rate.initial_per_second, fleet.policy.rate.maximum_per_second) = (200, 200);
    for instance in 0..16 {
        for n in 0..4 {
            let call = fleet.call(instance, OutcomeKind::Healthy).await;
            assert!(call.is_ok(), "call {n} of {instance}: 64 of the 1,000 of a slice");
        }
    }
    fleet.assert_one_write_a_slice();
}

#[tokio::test]
async fn those_who_need_little_leave_room_for_those_who_come() {
    let mut fleet = Fleet::of(24).await;
    (fleet.policy.rate.initial_per_second, fleet.policy.rate.maximum_per_second) = (500, 500);
    let calls = async |instance, count| {
        for n in 0..count {
            let call = fleet.call(instance, OutcomeKind::Healthy).await;
            assert!(call.is_ok(), "call {n} of {instance}: {call:?}");
        }
    };
    for _ in 0..2 {
        for instance in 0..8 {
            calls(instance, 2).await;
        }
        fleet.advance(5_000);
    }
    for instance in 0..24 {
        calls(instance, 10).await;
    }
    fleet.advance(5_000);
    // What is expected of it is little, but there is enough for all.
    for instance in (0..24).rev() {
        calls(instance, if instance < 8 { 40 } else { 10 }).await;
    }
    fleet.assert_one_write_a_slice();
}
