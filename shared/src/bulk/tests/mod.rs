//! Bulk transactions whole, over a DynamoDB in the process.

mod chaos;
mod cost;
mod given_back;
mod lost;
mod retried;
mod rig;

use std::sync::atomic::Ordering;

use jiff::SignedDuration;

use self::rig::{CHUNK, LEASE, PATIENCE, Rig, request};
use super::{
    BulkMessage, BulkStore, ChunkId, Claim, Claimed, Disposition, Done, JobStatus, MAX_ATTEMPTS, RecordQuery,
    RecordStatus,
};
use crate::{ErrorCode, testing::start};

fn all(status: Option<RecordStatus>) -> RecordQuery {
    RecordQuery { status, limit: 500, cursor: None }
}

#[tokio::test]
async fn every_record_becomes_a_document_and_the_counts_add_up() {
    let rig = Rig::new().await;
    let job = rig.ask(0, 10).await;
    assert_eq!((job.status(), job.chunks, job.pending()), (JobStatus::Queued, 3, 10));
    assert_eq!(rig.drain().await, 3);
    let job = rig.job(&job).await;
    assert_eq!(job.status(), JobStatus::Completed);
    assert_eq!(job.done, Done { succeeded: 10, failed: 0, cancelled: 0 });
    assert_eq!(rig.workshop.made_for(&job.id).len(), 10);
    assert!(rig.workshop.most_at_work.load(Ordering::Relaxed) > 1, "side by side");
    let records = rig.bulk.records(&job, &all(None)).await.unwrap();
    assert_eq!(records.items.len(), 10);
    assert!(records.items.iter().all(|line| line.target == Some(format!("INV-{}", line.name))));
}

#[tokio::test]
async fn a_record_that_fails_says_why_and_the_others_go_on() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().extend(["SO-2".to_owned(), "SO-7".to_owned()]);
    let job = rig.ask(0, 10).await;
    rig.drain().await;
    let job = rig.job(&job).await;
    assert_eq!(job.status(), JobStatus::CompletedWithFailures);
    assert_eq!(job.done, Done { succeeded: 8, failed: 2, cancelled: 0 });
    let failed = rig.bulk.records(&job, &all(Some(RecordStatus::Failed))).await.unwrap().items;
    assert_eq!(failed.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["SO-2", "SO-7"]);
    let why = failed[0].failed.as_ref().unwrap();
    assert_eq!((why.failure.code.as_str(), why.retryable, why.at), ("document_not_found", true, start()));
}

#[tokio::test]
async fn a_retry_takes_what_failed_and_may_succeed_and_keeps_what_was() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().extend((0..6).map(|n| format!("SO-{n}")));
    let job = rig.ask(0, 10).await;
    rig.drain().await;
    rig.workshop.missing.lock().unwrap().retain(|name| name == "SO-1");
    let (asked, was_asked) = rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    assert!(was_asked && !asked.is_over());
    assert!(!rig.bulk.retry(&rig.administrator, &job.id).await.unwrap().1, "once at a time");
    rig.drain().await;
    let job = rig.job(&job).await;
    assert_eq!(job.done, Done { succeeded: 9, failed: 1, cancelled: 0 });
    let lines = rig.bulk.records(&job, &all(None)).await.unwrap().items;
    let of_failed: Vec<_> = lines.iter().filter(|line| line.name == "SO-1").collect();
    assert_eq!(of_failed.iter().map(|line| line.attempt).collect::<Vec<_>>(), [1, 2]);
    assert!(of_failed[0].failed.as_ref().unwrap().retried && !of_failed[1].failed.as_ref().unwrap().retried);
    let failed = rig.bulk.records(&job, &all(Some(RecordStatus::Failed))).await.unwrap().items;
    assert_eq!(failed.len(), 1, "what is tried again is not listed as failed");
    assert_eq!(rig.workshop.times("SO-9"), 1, "what succeeded is not done again");
}

#[tokio::test]
async fn attempts_at_a_record_have_a_limit() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().insert("SO-0".to_owned());
    let job = rig.ask(0, 1).await;
    for attempt in 1..=MAX_ATTEMPTS + 2 {
        rig.drain().await;
        let seen = rig.job(&job).await;
        assert_eq!((seen.done.failed, seen.status()), (1, JobStatus::Failed));
        let lines = rig.bulk.records(&seen, &all(None)).await.unwrap().items;
        assert_eq!(lines.last().unwrap().attempt, attempt.min(MAX_ATTEMPTS));
        rig.bulk.retry(&rig.administrator, &job.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_whose_message_was_never_sent_is_started_by_the_sweep() {
    let rig = Rig::new().await;
    rig.queue.down.store(true, Ordering::Relaxed);
    let job = rig.ask(0, 5).await;
    rig.queue.down.store(false, Ordering::Relaxed);
    assert_eq!(rig.drain().await, 0);
    let job = rig.settle(&job).await;
    assert_eq!(job.status(), JobStatus::Completed);
}

#[tokio::test]
async fn a_chunk_whose_message_is_lost_is_sent_again() {
    let rig = Rig::new().await;
    let job = rig.ask(0, 12).await;
    let start = rig.queue.take();
    rig.handle(&start[0]).await.unwrap();
    assert_eq!(rig.queue.take().len(), 3, "lost");
    rig.clock.advance(PATIENCE);
    assert_eq!(rig.settle(&job).await.done.succeeded, 12);
}

#[tokio::test]
async fn messages_that_come_twice_make_nothing_twice() {
    let rig = Rig::new().await;
    let job = rig.ask(0, 9).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        for message in rig.queue.take() {
            rig.handle(&message).await.unwrap();
            rig.handle(&message).await.unwrap();
            seen.push(message);
        }
    }
    for message in &seen {
        rig.handle(message).await.unwrap();
    }
    assert_eq!(rig.job(&job).await.done, Done { succeeded: 9, failed: 0, cancelled: 0 });
    assert!(rig.workshop.made_for(&job.id).values().all(|times| *times == 1));
}

#[tokio::test]
async fn two_workers_on_one_chunk_are_one_after_the_other() {
    let rig = Rig::new().await;
    let job = rig.ask(0, 4).await;
    let now = start();
    let claim =
        |token: &str| Claim { job: job.id.clone(), number: 0, token: token.to_owned(), until: now + LEASE };
    assert!(matches!(rig.store.claim(&claim("a"), now).await.unwrap(), Claimed::Ours(_)));
    assert_eq!(rig.store.claim(&claim("b"), now).await.unwrap(), Claimed::Held(now + LEASE));
    // An answer may be lost, and the same claim is sent again.
    let Claimed::Ours(again) = rig.store.claim(&claim("a"), now).await.unwrap() else {
        panic!("it is its own")
    };
    assert_eq!(again.tries, 1);
    let chunk = ChunkId { job: job.id.clone(), number: 0 };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    let disposition = rig.worker.work(&chunk, &job.user, deadline).await.unwrap();
    assert_eq!(disposition, Disposition::Again(std::time::Duration::from_secs(46)));
    // The first one is not heard of again, and comes back late.
    rig.clock.advance(LEASE);
    assert_eq!(rig.worker.work(&chunk, &job.user, deadline).await.unwrap(), Disposition::Done);
    let ended = vec![super::Ended::Cancelled; 4];
    let records = rig.store.chunk(&job.id, 0).await.unwrap().unwrap().records;
    assert!(!rig.store.complete(&claim("a"), &records, &ended, now).await.unwrap(), "too late");
    assert_eq!(rig.job(&job).await.done.succeeded, 4);
}

#[tokio::test]
async fn a_cancelled_job_counts_what_was_made_and_begins_nothing_more() {
    let rig = Rig::new().await;
    let job = rig.ask(0, 20).await;
    let first = rig.queue.take();
    rig.handle(&first[0]).await.unwrap();
    let chunks = rig.queue.take();
    // The first chunk is worked on until its worker dies.
    rig.workshop.dies_after.store(2, Ordering::Relaxed);
    assert!(rig.handle(&chunks[0]).await.is_err());
    let made = rig.workshop.made_for(&job.id).len();
    assert!(made >= 2);
    let cancelled = rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
    assert_eq!(cancelled.status(), JobStatus::Cancelled);
    rig.queue.sent.lock().unwrap().extend(chunks);
    let job = rig.settle(&job).await;
    assert_eq!((job.status(), job.pending()), (JobStatus::Cancelled, 0));
    assert_eq!(job.done.succeeded, made as u64, "what was made is counted as made");
    assert_eq!(job.done.cancelled, 20 - made as u64);
    assert_eq!(rig.workshop.made_for(&job.id).len(), made);
    assert_eq!(
        rig.workshop.looked_up.load(Ordering::Relaxed),
        CHUNK,
        "of the others nothing can have been made"
    );
    let over = rig.bulk.cancel(&rig.administrator, &job.id).await.unwrap();
    assert_eq!(over, job, "once");
}

#[tokio::test]
async fn an_outage_fails_no_record_however_long_it_is() {
    let rig = Rig::new().await;
    rig.workshop.down.store(true, Ordering::Relaxed);
    let job = rig.ask(0, 9).await;
    for _ in 0..30 {
        rig.drain().await;
        rig.clock.advance(SignedDuration::from_mins(16));
        rig.sweeper.sweep(tokio::time::Instant::now() + std::time::Duration::from_secs(9)).await.unwrap();
    }
    assert_eq!(rig.job(&job).await.done, Done::default());
    rig.workshop.down.store(false, Ordering::Relaxed);
    // Nor is it the reason that what passes by itself is not tried again.
    rig.workshop.failures.store(3, Ordering::Relaxed);
    rig.clock.advance(SignedDuration::from_mins(16));
    let job = rig.settle(&job).await;
    assert_eq!(job.done, Done { succeeded: 9, failed: 0, cancelled: 0 });
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_before_it_fails() {
    let rig = Rig::new().await;
    rig.workshop.failures.store(5, Ordering::Relaxed);
    rig.workshop.lost.store(4, Ordering::Relaxed);
    let job = rig.ask(0, 9).await;
    let job = rig.settle(&job).await;
    assert_eq!(job.done, Done { succeeded: 9, failed: 0, cancelled: 0 });
    rig.workshop.failures.store(1_000, Ordering::Relaxed);
    let lasting = rig.ask(20, 22).await;
    let lasting = rig.settle(&lasting).await;
    assert_eq!((lasting.status(), lasting.done.failed), (JobStatus::Failed, 2));
}

#[tokio::test]
async fn a_record_that_kills_its_worker_is_found_and_the_others_are_done() {
    let rig = Rig::new().await;
    rig.workshop.deadly.lock().unwrap().insert("SO-2".to_owned());
    let job = rig.ask(0, 8).await;
    let job = rig.settle(&job).await;
    assert_eq!(job.done, Done { succeeded: 7, failed: 1, cancelled: 0 });
    let failed = rig.bulk.records(&job, &all(Some(RecordStatus::Failed))).await.unwrap().items;
    assert_eq!(failed[0].failed.as_ref().unwrap().failure.code, "poison_message");
    assert_eq!(failed[0].name, "SO-2");
}

#[tokio::test]
async fn a_record_that_was_made_before_it_killed_its_worker_is_counted_as_made() {
    let rig = Rig::new().await;
    rig.workshop.deadly_once_made.lock().unwrap().insert("SO-2".to_owned());
    let job = rig.ask(0, 4).await;
    let job = rig.settle(&job).await;
    assert_eq!(job.done, Done { succeeded: 4, failed: 0, cancelled: 0 });
}

#[tokio::test]
async fn of_a_user_few_chunks_are_in_flight_and_jobs_take_turns() {
    let rig = Rig::new().await;
    rig.ask(0, 40 * CHUNK).await;
    let small = rig.ask(1_000, 1_002).await;
    for message in rig.queue.take() {
        rig.handle(&message).await.unwrap();
    }
    let mut chunks = 0;
    while rig.job(&small).await.pending() > 0 {
        let flying = rig.queue.take();
        assert!(flying.len() <= 3, "{}", flying.len());
        for message in &flying {
            rig.handle(message).await.unwrap();
            chunks += 1;
        }
    }
    assert!(chunks <= 6, "the small one waited for {chunks} chunks of the big one");
}

#[tokio::test]
async fn a_job_that_found_its_lane_full_comes_in_later() {
    let rig = Rig::new().await;
    let mut jobs = Vec::new();
    for n in 0..super::lane::MAX_JOBS + 4 {
        jobs.push(rig.ask(n, n + 1).await);
    }
    for message in rig.queue.take() {
        rig.handle(&message).await.unwrap();
    }
    let last = jobs.last().unwrap();
    assert!(!rig.store.lane(&last.user).await.unwrap().lane.has(&last.id));
    assert_eq!(rig.settle(last).await.done.succeeded, 1);
}

#[tokio::test]
async fn a_chunk_of_a_job_that_is_forgotten_makes_room_for_others() {
    let rig = Rig::new().await;
    let job = rig.ask(0, 3 * CHUNK).await;
    for message in rig.queue.take() {
        rig.handle(&message).await.unwrap();
    }
    let key = super::dynamo::item::header_key(&job.id);
    let table = &rig.dynamo.tables.state;
    rig.dynamo.client.delete_item().table_name(table).set_key(Some(key)).send().await.unwrap();
    assert_eq!(rig.drain().await, 3);
    assert!(rig.store.lane(&job.user).await.unwrap().lane.is_empty());
}

#[tokio::test]
async fn a_job_that_is_just_done_has_not_lost_its_place_and_one_that_is_not_has() {
    let rig = Rig::new().await;
    let before = rig.ask(0, 4).await;
    assert!(rig.dispatcher.has_lost_its_place(&before).await.unwrap());
    rig.drain().await;
    assert!(!rig.dispatcher.has_lost_its_place(&before).await.unwrap(), "it was read before it was done");
}

#[tokio::test]
async fn a_request_that_is_sent_again_has_the_same_job() {
    let rig = Rig::new().await;
    let ask = |to| rig.bulk.accept(&rig.administrator, Box::leak(Box::new(request(0, to))), Some("key"));
    let first = ask(5).await.unwrap();
    let again = ask(5).await.unwrap();
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!(first.job.id, again.job.id);
    assert_eq!(ask(6).await.unwrap_err().code(), ErrorCode::IdempotencyKeyReused);
    rig.clock.advance(SignedDuration::from_hours(25));
    assert_ne!(ask(5).await.unwrap().job.id, first.job.id);
}

#[tokio::test]
async fn jobs_are_listed_newest_first_by_pages() {
    let rig = Rig::new().await;
    let mut jobs = Vec::new();
    for n in 0..7 {
        rig.clock.advance(SignedDuration::from_secs(1));
        jobs.push(rig.ask(n, n + 1).await.id);
    }
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let query = super::JobQuery {
            from: start(),
            to: start() + SignedDuration::from_hours(1),
            limit: 3,
            cursor: cursor.take(),
        };
        let page = rig.bulk.jobs(&rig.administrator, &query, &super::JobFilter::default()).await.unwrap();
        assert!(page.items.len() <= 3);
        listed.extend(page.items.into_iter().map(|job| job.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    jobs.reverse();
    assert_eq!(listed, jobs);
}

#[tokio::test]
async fn records_are_listed_by_pages_whatever_became_of_them() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().extend((0..30).step_by(3).map(|n| format!("SO-{n}")));
    let job = rig.ask(0, 30).await;
    rig.drain().await;
    let job = rig.job(&job).await;
    for (status, expected) in
        [(None, 30), (Some(RecordStatus::Succeeded), 20), (Some(RecordStatus::Failed), 10)]
    {
        let (mut names, mut cursor) = (std::collections::BTreeSet::new(), None);
        loop {
            let query = RecordQuery { status, limit: 7, cursor: cursor.take() };
            let page = rig.bulk.records(&job, &query).await.unwrap();
            assert!(page.items.len() <= 7);
            names.extend(page.items.into_iter().map(|line| line.name));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names.len(), expected, "{status:?}");
    }
}

#[tokio::test]
async fn what_a_user_may_not_do_any_more_is_not_done() {
    let rig = Rig::new().await;
    let mut job = rig.ask(0, 4).await;
    // Someone who is nobody.
    job.user = "gone@example.com".to_owned();
    job.id = "job_other".to_owned();
    let records = request(0, 4).chunks(CHUNK);
    rig.store.create(&job, &records, None).await.unwrap();
    rig.handle(&BulkMessage::Job { job: job.id.clone(), user: job.user.clone() }).await.unwrap();
    rig.drain().await;
    let seen = rig.job(&job).await;
    assert_eq!((seen.status(), seen.done.failed), (JobStatus::Failed, 4));
    assert!(rig.workshop.made_for(&job.id).is_empty());
}
