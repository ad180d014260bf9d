//! Chunks that do not come to their end in one try.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::time::Instant;

use super::{
    super::{BulkStore, Claim, Claimed, Disposition, Done},
    rig::{LEASE, PATIENCE, Rig, request},
};
use crate::{auth::Directory, config::Tables, documents::dynamo::DynamoDocuments};

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn what_came_of_a_record_is_kept_and_only_the_others_are_tried_again() {
    let rig = Rig::new().await;
    rig.workshop.missing.lock().unwrap().insert("SO-3".to_owned());
    rig.workshop.failures.store(1, Ordering::Relaxed);
    let job = rig.ask(0, 4).await;
    let chunk = rig.chunk_of(&job).await;
    let first = rig.worker.work(&chunk, &job.user, in_a_minute()).await.unwrap();
    assert_eq!(first, Disposition::Again(Duration::from_secs(2)));
    assert_eq!(rig.store.chunk(&job.id, 0).await.unwrap().unwrap().so_far.len(), 3);
    assert_eq!(rig.worker.work(&chunk, &job.user, in_a_minute()).await.unwrap(), Disposition::Done);
    let asked = rig.workshop.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert_ne!(asked[4], "SO-3", "it failed, and that is that");
    assert_eq!(rig.job(&job).await.done, Done { succeeded: 3, failed: 1, cancelled: 0 });
}

#[tokio::test]
async fn no_record_is_begun_near_the_end_of_the_claim_and_the_rest_is_handed_on() {
    let rig = Rig::new().await;
    rig.workshop.takes.store(800, Ordering::Relaxed);
    let job = rig.ask(0, 4).await;
    let chunk = rig.chunk_of(&job).await;
    // The function could go on for a minute: then the chunk were another one's.
    let worker = rig.worker_with(rig.directory.clone(), SignedDuration::from_secs(1));
    let first = worker.work(&chunk, &job.user, in_a_minute()).await.unwrap();
    assert_eq!(first, Disposition::Again(Duration::ZERO));
    let left = rig.store.chunk(&job.id, 0).await.unwrap().unwrap();
    assert_eq!((left.so_far.len(), left.tries), (3, 0), "it got on: the try does not count");
    assert_eq!(worker.work(&chunk, &job.user, in_a_minute()).await.unwrap(), Disposition::Done);
    assert_eq!(rig.workshop.asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_chunk_whose_own_message_comes_back_is_not_sent_besides() {
    let rig = Rig::new().await;
    rig.workshop.failures.store(100, Ordering::Relaxed);
    let job = rig.ask(0, 4).await;
    let chunk = rig.chunk_of(&job).await;
    let nearly = PATIENCE - SignedDuration::from_secs(60);
    for _ in 0..2 {
        rig.clock.advance(nearly);
        let wait = rig.worker.work(&chunk, &job.user, in_a_minute()).await.unwrap();
        assert!(matches!(wait, Disposition::Again(_)));
        rig.dispatcher.advance(&job.id, in_a_minute()).await.unwrap();
        assert_eq!(rig.queue.take(), [], "it was heard of");
    }
    // Its message is lost.
    rig.clock.advance(PATIENCE + SignedDuration::from_secs(60));
    rig.dispatcher.advance(&job.id, in_a_minute()).await.unwrap();
    assert_eq!(rig.queue.take().len(), 1);
}

#[tokio::test]
async fn where_it_cannot_be_told_what_its_user_may_do_no_try_is_counted() {
    let rig = Rig::new().await;
    let mut job = rig.ask(0, 4).await;
    (job.user, job.id) = ("ada@example.com".to_owned(), "job_other".to_owned());
    rig.store.create(&job, &request(0, 4).chunks(4), None).await.unwrap();
    let chunk = super::ChunkId { job: job.id.clone(), number: 0 };
    let nowhere = Tables { documents: "nowhere".to_owned(), ..rig.dynamo.tables.clone() };
    let documents = DynamoDocuments::new(rig.dynamo.client.clone(), nowhere, rig.clock.clone());
    let directory = Arc::new(Directory::new(Arc::new(documents), rig.clock.clone()));
    let worker = rig.worker_with(directory, LEASE);
    assert!(worker.work(&chunk, &job.user, in_a_minute()).await.is_err());
    let now = super::start();
    let claim = Claim { job: job.id.clone(), number: 0, token: "next".to_owned(), until: now + LEASE };
    let Claimed::Ours(chunk) = rig.store.claim(&claim, now).await.unwrap() else { panic!("nobody has it") };
    assert_eq!(chunk.tries, 1);
}
