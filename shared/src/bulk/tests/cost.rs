//! What a large job costs beside the documents.

use std::sync::{Arc, atomic::Ordering};

use serde_json::Value;

use super::rig::Rig;
use crate::{
    bulk::{BulkRequest, Done, Job, JobStatus, RecordQuery, RecordStatus},
    config::DEFAULT_CHUNK,
    documents::DocType,
    testing::{
        Dynamo,
        meter::{Meter, Tally},
    },
};

const RECORDS: u32 = 2_000;

/// A rig that makes documents for nothing, whose DynamoDB is counted.
async fn metered() -> (Rig, Arc<Meter>) {
    let dynamo = Dynamo::start().await;
    let (client, meter) = Meter::of(&dynamo.client);
    (Rig::over(Dynamo { client, ..dynamo }, DEFAULT_CHUNK), meter)
}

/// A large job worked off, with what that cost.
async fn worked_off(rig: &Rig, meter: &Meter) -> (Job, Tally) {
    let names = (0..RECORDS).map(|n| format!("SAL-ORD-2026-{n:05}")).collect::<Vec<_>>();
    let doctype = |name| DocType::new(name).unwrap();
    let request =
        BulkRequest::read(doctype("Sales Order"), doctype("Sales Invoice"), &Value::from(names)).unwrap();
    meter.take();
    let job = rig.bulk.accept(&rig.administrator, &request, None).await.unwrap().job;
    assert_eq!(rig.drain().await, RECORDS as usize / DEFAULT_CHUNK);
    let used = meter.take();
    (rig.job(&job).await, used)
}

#[tokio::test]
async fn of_a_large_job_each_record_is_made_once_and_counted_once() {
    let (rig, meter) = metered().await;
    rig.workshop.missing.lock().unwrap().extend((0..20).map(|n| format!("SAL-ORD-2026-{:05}", n * 100)));
    let (job, _) = worked_off(&rig, &meter).await;
    assert_eq!(job.status(), JobStatus::CompletedWithFailures);
    assert_eq!(job.done, Done { succeeded: u64::from(RECORDS) - 20, failed: 20, cancelled: 0 });
    let made = rig.workshop.made_for(&job.id);
    assert_eq!(made.len(), RECORDS as usize - 20);
    assert!(made.values().all(|times| *times == 1));
    // Never more of it in hand than a few records of one chunk.
    assert!(rig.workshop.most_at_work.load(Ordering::Relaxed) <= 3);
}

#[tokio::test]
async fn a_record_that_succeeds_costs_a_fifth_of_a_write_unit_beside_its_documents() {
    let (rig, meter) = metered().await;
    let (job, used) = worked_off(&rig, &meter).await;
    assert_eq!(job.status(), JobStatus::Completed);
    // In halves.
    assert!(used.writes * 5 <= RECORDS * 2, "{} units", used.writes / 2);
    let chunks = RECORDS / u32::try_from(DEFAULT_CHUNK).unwrap();
    assert!(used.calls <= 8 * chunks + 20, "{} calls", used.calls);
}

#[tokio::test]
async fn a_page_of_records_reads_what_it_shows() {
    let (rig, meter) = metered().await;
    rig.workshop.missing.lock().unwrap().extend((0..RECORDS).map(|n| format!("SAL-ORD-2026-{n:05}")));
    let (job, _) = worked_off(&rig, &meter).await;
    let page = async |status, limit| {
        let query = RecordQuery { status, limit, cursor: None };
        meter.take();
        let page = rig.bulk.records(&job, &query).await.unwrap();
        (page.items.len(), page.next.is_some(), meter.take().calls)
    };
    assert_eq!(page(None, 2).await, (2, true, 2), "chunks, and two reasons");
    assert_eq!(page(Some(RecordStatus::Failed), 500).await, (500, true, 2));
    for none_of_these in [RecordStatus::Pending, RecordStatus::Succeeded, RecordStatus::Cancelled] {
        assert_eq!(page(Some(none_of_these), 20).await, (0, false, 0), "the counts say so");
    }
}
