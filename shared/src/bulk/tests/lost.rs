//! Answers of DynamoDB that are lost on their way.

use super::rig::{CHUNK, Rig};
use crate::{
    bulk::{BulkStore, Done, JobStatus},
    testing::{Dynamo, lost::LostAnswers},
};

const RECORDS: usize = 5 * CHUNK;

/// A job of more chunks than may be in flight, while the answer to a write with `marker` in it is lost, after `others`.
/// Nothing waits for its time.
async fn is_done_although(marker: &str, others: u32) {
    let dynamo = Dynamo::start().await;
    let (client, lost) = LostAnswers::of(&dynamo.client);
    let rig = Rig::over(Dynamo { client, ..dynamo }, CHUNK);
    lost.lose(marker, others);
    let job = rig.ask(0, RECORDS).await;
    rig.drain().await;
    rig.drain().await;
    assert!(lost.are_lost(), "{marker} is written");
    let job = rig.job(&job).await;
    let all = Done { succeeded: RECORDS as u64, failed: 0, cancelled: 0 };
    assert_eq!((job.status(), job.done), (JobStatus::Completed, all), "{marker}");
    assert!(rig.store.lane(&job.user).await.unwrap().lane.is_empty(), "{marker}");
}

#[tokio::test]
async fn what_was_written_although_its_answer_was_lost_goes_on_at_once() {
    is_done_although("SET started_at", 0).await;
    for write_of_chunks in ["SET lane", "#token = :token", "outcomes"] {
        is_done_although(write_of_chunks, 0).await;
        is_done_although(write_of_chunks, 1).await;
    }
}
