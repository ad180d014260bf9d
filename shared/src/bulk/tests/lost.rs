//! Answers of DynamoDB that are lost on their way.

use super::rig::{CHUNK, Rig};
use crate::{
    bulk::{BulkStore, Done, JobStatus},
    testing::{Dynamo, lost::LostAnswers},
};

/// A job of two chunks, while the answer to the first write with `marker` in it is lost. Nothing waits for its time.
async fn is_done_although(marker: &str) {
    let dynamo = Dynamo::start().await;
    let (client, lost) = LostAnswers::of(&dynamo.client);
    let rig = Rig::over(Dynamo { client, ..dynamo }, CHUNK);
    lost.lose(marker);
    let job = rig.ask(0, CHUNK + 1).await;
    rig.drain().await;
    rig.drain().await;
    assert!(lost.are_lost(), "{marker} is written");
    let job = rig.job(&job).await;
    let all = Done { succeeded: CHUNK as u64 + 1, failed: 0, cancelled: 0 };
    assert_eq!((job.status(), job.done), (JobStatus::Completed, all), "{marker}");
    assert!(rig.store.lane(&job.user).await.unwrap().lane.is_empty(), "{marker}");
    let twice: Vec<_> = rig.workshop.made_for(&job.id).into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(twice, [], "{marker}");
}

#[tokio::test]
async fn what_was_written_although_its_answer_was_lost_goes_on_at_once() {
    for marker in ["SET started_at", "SET lane", "#token = :token", "outcomes"] {
        is_done_although(marker).await;
    }
}
