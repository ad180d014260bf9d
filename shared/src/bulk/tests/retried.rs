//! Retries beside cancellations, and how long what is retried is kept.

use jiff::SignedDuration;
use tokio::time::Instant;

use super::{
    super::{BulkMessage, BulkStore, Done, Job, JobStatus, KEPT, Start, dynamo},
    rig::Rig,
};
use crate::{
    clock::Clock,
    dynamo::{Attributes, Item},
};

/// A job of which one record failed, that may succeed now.
async fn failed_once(rig: &Rig) -> Job {
    rig.workshop.missing.lock().unwrap().insert("SO-1".to_owned());
    let job = rig.ask(0, 4).await;
    rig.drain().await;
    rig.workshop.missing.lock().unwrap().clear();
    rig.job(&job).await
}

#[tokio::test]
async fn a_cancellation_that_came_too_late_forbids_no_retry() {
    let rig = Rig::new().await;
    let job = failed_once(&rig).await;
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
    rig.drain().await;
    let seen = rig.job(&job).await;
    assert!(seen.cancelled.is_some() && seen.status() == JobStatus::CompletedWithFailures);
    let (asked, was_asked) = rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    assert!(was_asked && asked.cancelled.is_none());
    rig.drain().await;
    assert_eq!(rig.job(&job).await.done, Done { succeeded: 4, failed: 0, cancelled: 0 });
}

#[tokio::test]
async fn a_retry_asked_for_again_after_it_was_cancelled_is_done() {
    let rig = Rig::new().await;
    let job = failed_once(&rig).await;
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
    assert!(rig.bulk.retry(&rig.administrator, &job.id).await.unwrap().1);
    rig.drain().await;
    assert_eq!(rig.job(&job).await.done, Done { succeeded: 4, failed: 0, cancelled: 0 });
}

#[tokio::test]
async fn a_retry_has_chunks_of_the_set_size_and_a_rate_of_its_own() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().extend((0..6).map(|n| format!("SO-{n}")));
    let job = rig.ask(0, 8).await;
    rig.drain().await;
    rig.workshop.missing.lock().unwrap().clear();
    rig.clock.advance(SignedDuration::from_hours(7 * 24));
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    let start = rig.queue.take();
    rig.handle(&start[0]).await.unwrap();
    let planned = rig.job(&job).await;
    assert_eq!(planned.chunks, 2 + 2, "of 4 records and of 2");
    assert_eq!(planned.retried_from, Some(Start { at: rig.clock.now(), done: 2 }));
    rig.clock.advance(SignedDuration::from_secs(3));
    rig.drain().await;
    let over = rig.job(&job).await;
    assert_eq!((over.done.succeeded, over.records_per_second(rig.clock.now())), (8, Some(2.0)));
}

#[tokio::test]
async fn a_retry_that_is_planned_in_parts_takes_each_record_once() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().extend((0..8).map(|n| format!("SO-{n}")));
    let job = rig.ask(0, 8).await;
    rig.drain().await;
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    // Who plans it has time for one chunk, which is worked on before the rest is planned.
    let failed = rig.store.failures(&job.id, None, 4).await.unwrap();
    assert!(rig.store.retry(&rig.job(&job).await, &failed, rig.clock.now()).await.unwrap());
    let chunk = BulkMessage::Chunk { job: job.id.clone(), number: 2, user: job.user.clone() };
    rig.handle(&chunk).await.unwrap();
    rig.drain().await;
    let over = rig.job(&job).await;
    assert_eq!((over.chunks, over.done.failed, over.planned_to), (4, 8, None));
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    rig.drain().await;
    assert_eq!(rig.job(&job).await.chunks, 6, "the next one takes all of them");
}

#[tokio::test]
async fn nothing_is_planned_of_a_retry_that_was_cancelled_since_the_job_was_read() {
    let rig = Rig::new().await;
    let job = failed_once(&rig).await;
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    let (seen, failed) = (rig.job(&job).await, rig.store.failures(&job.id, None, 4).await.unwrap());
    rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
    assert!(!rig.store.retry(&seen, &failed, rig.clock.now()).await.unwrap());
    rig.drain().await;
    assert_eq!(rig.job(&job).await.done, Done { succeeded: 3, failed: 1, cancelled: 0 }, "what failed stays");
}

#[tokio::test]
async fn a_retry_does_not_lift_a_cancellation_that_its_caller_did_not_see() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().insert("SO-1".to_owned());
    let job = rig.ask(0, 40).await;
    let first = rig.queue.take();
    rig.handle(&first[0]).await.unwrap();
    let chunks = rig.queue.take();
    rig.handle(&chunks[0]).await.unwrap();
    let seen = rig.job(&job).await;
    assert_eq!((seen.done.failed, seen.pending()), (1, 36));
    rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
    assert!(!rig.store.ask_retry(&seen, super::start()).await.unwrap());
    assert_eq!(rig.job(&job).await.status(), JobStatus::Cancelled);
}

#[tokio::test]
async fn a_retry_planned_since_the_job_was_looked_at_is_not_lost_to_the_sweep() {
    let rig = Rig::new().await;
    let before = failed_once(&rig).await;
    rig.bulk.retry(&rig.administrator, &before.id).await.unwrap();
    let start = rig.queue.take();
    rig.handle(&start[0]).await.unwrap();
    rig.queue.take();
    rig.store.settle(&before).await.unwrap();
    let job = rig.settle(&before).await;
    assert_eq!(job.done.succeeded, 4, "its message was lost");
    rig.clock.advance(SignedDuration::from_mins(9));
    let now = rig.clock.now();
    rig.dispatcher.advance(&job.id, Instant::now()).await.unwrap();
    assert_eq!(rig.store.claim_due(now, now, 9).await.unwrap(), Vec::<String>::new(), "nothing is left");
}

/// Until when the item under `key` is kept, in seconds since 1970.
async fn kept_until(rig: &Rig, key: Item) -> i64 {
    let get = rig.dynamo.client.get_item().table_name(&rig.dynamo.tables.state).set_key(Some(key));
    let item = get.send().await.unwrap().item.unwrap();
    i64::try_from(Attributes(&item).number("expires").unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_retried_is_kept_as_long_as_what_is_new() {
    let rig = Rig::new().await;
    let job = failed_once(&rig).await;
    rig.clock.advance(SignedDuration::from_hours(89 * 24));
    rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    rig.drain().await;
    let until = (super::start() + SignedDuration::from_hours(89 * 24) + KEPT).as_second();
    assert_eq!(kept_until(&rig, dynamo::item::header_key(&job.id)).await, until);
    assert_eq!(kept_until(&rig, dynamo::item::chunk_key(&job.id, 1)).await, until);
}
