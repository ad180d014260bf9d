//! What a commit costs in DynamoDB: no call that could be saved.

use serde_json::json;

use super::*;
use crate::{
    documents::contract::{of_event, put},
    testing::meter::{Meter, Tally},
};

/// A store whose calls are counted, and the meter.
fn metered(rig: &Rig) -> (ErpnextDocuments, Arc<Meter>) {
    let (client, meter) = Meter::of(&rig.dynamo.client);
    let tables = rig.dynamo.tables.clone();
    (ErpnextDocuments::new(rig.site.clone(), client, tables, rig.clock.clone()), meter)
}

fn take(meter: &Meter) -> Tally {
    meter.take()
}

#[tokio::test]
async fn an_event_costs_a_read_and_its_log_entry() {
    let rig = Rig::prepared().await;
    let (store, meter) = metered(&rig);
    store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    // The entry, and its place in the index; that it had not ended was read consistently.
    let once = take(&meter);
    assert_eq!((once.calls, once.writes), (2, 2 * 2));
    assert!(once.reads <= 2, "{once:?}");
    store.commit(of_event("evt_2", put(None, "N", json!({})))).await.unwrap();
    assert_eq!(take(&meter).writes, 2 * 2);
    // What carries a mark is known without the ledger.
    let stored = store.read(&contract::key("N")).await.unwrap();
    assert_eq!(take(&meter).calls, 0);
    store.commit(of_event("evt_3", put(stored.as_ref(), "N", json!({ "a": 1 })))).await.unwrap();
    let changed = take(&meter);
    assert_eq!((changed.calls, changed.writes), (2, 2 * 2));
    // A user's write leaves nothing but the document.
    let stored = store.read(&contract::key("N")).await.unwrap();
    store.commit(Commit::of(put(stored.as_ref(), "N", json!({ "a": 2 })))).await.unwrap();
    assert_eq!(take(&meter).calls, 0);
    // A repeat reads that it is one.
    store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    let repeat = take(&meter);
    assert_eq!((repeat.calls, repeat.writes), (1, 0));
}

#[tokio::test]
async fn what_is_not_prepared_costs_a_claim_and_an_entry_of_the_ledger_more() {
    let rig = Rig::unprepared().await;
    let (store, meter) = metered(&rig);
    store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    // Claim 1; in a transaction the log's entry 2 and its index 1, the ledger's entry 2.
    let created = take(&meter);
    assert_eq!((created.calls, created.writes), (3, 6 * 2));
}
