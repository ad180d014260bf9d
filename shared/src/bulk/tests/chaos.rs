//! Whatever is lost, doubled, reordered or killed: each record is one document or one failure, and the counts say so.

use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{
    super::{BulkStore, Disposition, JobStatus, RecordQuery, RecordStatus},
    rig::Rig,
};

/// What goes wrong at a step.
#[derive(Debug, Clone)]
enum Mishap {
    /// The message that is next is lost.
    Lost,
    /// It comes twice.
    Doubled,
    /// It comes after all others.
    Late,
    /// The worker dies after so many makes.
    Killed(usize),
    /// So many makes fail, and so many lose their answer.
    Faults(usize, usize),
    /// Time passes, and the sweep looks.
    Sweep(u32),
    /// What failed is tried again.
    Retry,
    /// A message is worked on as it should be.
    Fine,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        1 => Just(Mishap::Lost),
        2 => Just(Mishap::Doubled),
        2 => Just(Mishap::Late),
        2 => (1..6usize).prop_map(Mishap::Killed),
        2 => (0..4usize, 0..3usize).prop_map(|(fails, lost)| Mishap::Faults(fails, lost)),
        2 => (1..500u32).prop_map(Mishap::Sweep),
        1 => Just(Mishap::Retry),
        6 => Just(Mishap::Fine),
    ]
}

async fn step(rig: &Rig, job: &super::super::Job, mishap: &Mishap) {
    let next = {
        let mut sent = rig.queue.sent.lock().unwrap();
        if sent.is_empty() { None } else { Some(sent.remove(0)) }
    };
    let put_back = |message| rig.queue.sent.lock().unwrap().push(message);
    match mishap {
        Mishap::Killed(after) => rig.workshop.dies_after.store(*after, Ordering::Relaxed),
        Mishap::Faults(fails, lost) => {
            rig.workshop.failures.store(*fails, Ordering::Relaxed);
            rig.workshop.lost.store(*lost, Ordering::Relaxed);
        }
        Mishap::Sweep(seconds) => {
            rig.clock.advance(SignedDuration::from_secs((*seconds).into()));
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
            rig.sweeper.sweep(deadline).await.unwrap();
        }
        Mishap::Retry => drop(rig.bulk.retry(&rig.administrator, &job.id).await.unwrap()),
        _ => {}
    }
    let Some(message) = next else { return };
    match mishap {
        Mishap::Lost => {}
        Mishap::Late => put_back(message),
        _ => {
            if matches!(mishap, Mishap::Doubled) {
                put_back(message.clone());
            }
            if !matches!(rig.handle(&message).await, Ok(Disposition::Done)) {
                put_back(message);
            }
        }
    }
    rig.workshop.dies_after.store(0, Ordering::Relaxed);
}

async fn run(count: usize, missing: Vec<usize>, cancel_at: Option<usize>, mishaps: Vec<Mishap>) {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().extend(missing.iter().map(|n| format!("SO-{n}")));
    let job = rig.ask(0, count).await;
    for (n, mishap) in mishaps.iter().enumerate() {
        if cancel_at == Some(n) {
            rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
        }
        step(&rig, &job, mishap).await;
        let seen = rig.job(&job).await;
        assert!(seen.done.sum() <= seen.total, "{seen:?}");
        let made = rig.workshop.made_for(&job.id).len() as u64;
        assert!(seen.done.succeeded <= made, "counted before it was made: {seen:?}");
    }
    rig.workshop.failures.store(0, Ordering::Relaxed);
    rig.workshop.lost.store(0, Ordering::Relaxed);
    let over = rig.settle(&job).await;
    let made = rig.workshop.made_for(&job.id);
    assert!(made.values().all(|times| *times == 1), "doubled: {made:?}");
    assert_eq!(over.done.succeeded, made.len() as u64, "created = succeeded: {over:?}");
    assert_eq!(over.done.sum(), over.total, "{over:?}");
    if cancel_at.is_none() {
        assert_ne!(over.status(), JobStatus::Cancelled);
        assert_eq!(over.done.cancelled, 0);
    }
    for (status, count) in [
        (RecordStatus::Succeeded, over.done.succeeded),
        (RecordStatus::Failed, over.done.failed),
        (RecordStatus::Cancelled, over.done.cancelled),
        (RecordStatus::Pending, 0),
    ] {
        let query = RecordQuery { status: Some(status), limit: 500, cursor: None };
        let lines = rig.bulk.records(&over, &query).await.unwrap().items;
        assert_eq!(lines.len() as u64, count, "{status:?}: the list says what the counts say");
    }
    assert!(rig.store.lane(&over.user).await.unwrap().lane.is_empty(), "nothing is in flight");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_goes_wrong_each_record_is_one_document_or_one_failure(
        count in 1..30usize,
        missing in prop::collection::vec(0..30usize, 0..5),
        cancel_at in prop::option::weighted(0.2, 0..30usize),
        mishaps in prop::collection::vec(mishap(), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(count, missing, cancel_at, mishaps));
    }
}
