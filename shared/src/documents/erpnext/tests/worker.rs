//! The event worker with its documents in a site.

use serde_json::json;

use super::*;
use crate::{
    events::Disposition,
    testing::{self, message, settings},
};

/// A worker whose documents are in a new site.
async fn worker() -> (testing::Rig, Server) {
    let effect = |action: &str| json!({ "action": action, "doctype": "Contract Note", "name": "/order", "mapping": { "copy": ["n"] } });
    let settings = settings(json!({ "rules": [
        { "event": "create", "effect": effect("create") },
        { "event": "update", "effect": effect("update") },
        { "event": "upsert", "effect": effect("upsert") },
        { "event": "delete", "effect": effect("delete") },
        { "event": "row", "effect": { "action": "handler", "handler": "append_row", "options": {
            "doctype": "Contract Note", "name": "/order", "table": "rows", "row": { "copy": ["event"] },
        } } },
        { "event": "sell", "effect": { "action": "create", "doctype": "Sales Order", "name": "/order", "mapping": {
            "copy": ["customer", "company", "delivery_date", "items"],
        } } },
        { "event": "paid", "effect": { "action": "update", "doctype": "Sales Order", "name": "/order", "mapping": { "copy": ["po_no"] } } },
    ] }));
    let options =
        SiteOptions::default().prepared(NAMED).prepared(DOCTYPES).with(SiteDocType::prompt(NAMED[0]));
    let server = Server::start(options).unwrap();
    server.stop_time_at(start());
    let rig = testing::Rig::over(&settings, |_, dynamo, clock| {
        let site = Arc::new(site(&server, clock.clone(), 0));
        Arc::new(ErpnextDocuments::new(site, dynamo.client.clone(), dynamo.tables.clone(), clock.clone()))
    })
    .await;
    (rig, server)
}

fn body(event: &str, at: i64, n: u32) -> Value {
    json!({ "event": event, "order": "O-1", "at": 1_795_000_000 + at, "n": n })
}

fn sale(item: &str) -> Value {
    json!({
        "event": "sell", "order": "S-1", "at": 1_795_000_001, "customer": "Hub Customer 0",
        "company": "Hub Test Co", "delivery_date": "2026-11-30",
        "items": [{ "item_code": item, "qty": 1, "rate": 10 }],
    })
}

/// Works on `message` until the site has done `until`, and dies.
async fn die(rig: &testing::Rig, message: &crate::queue::Message, until: impl Fn() -> bool) {
    tokio::select! {
        biased;
        () = async {
            while !until() {
                tokio::task::yield_now().await;
            }
        } => {}
        done = rig.work(message) => panic!("it did not die: {done:?}"),
    }
}

#[tokio::test]
async fn a_worker_that_died_after_its_call_has_its_event_done_by_the_next() {
    let (rig, server) = worker().await;
    let note = || server.document("Contract Note", "O-1");
    let create = message("evt_1", &body("create", 0, 1));
    die(&rig, &create, || note().is_some()).await;
    let update = message("evt_2", &body("update", 1, 2));
    for (event, message) in [("evt_1", &create), ("evt_2", &update)] {
        if event == "evt_2" {
            die(&rig, message, || note().is_some_and(|note| note["n"] == json!(2))).await;
        }
        assert_eq!(rig.work(message).await, Disposition::Done);
        assert_eq!(rig.entry(event).await.status, EventStatus::Done, "{event}");
    }
    let row = message("evt_3", &body("row", 2, 0));
    die(&rig, &row, || note().is_some_and(|note| note.contains_key("rows"))).await;
    assert_eq!(rig.work(&row).await, Disposition::Done);
    assert_eq!(rig.entry("evt_3").await.status, EventStatus::Done);
    assert_eq!(note().unwrap()["rows"].as_array().unwrap().len(), 1);
    assert_eq!(server.count("Contract Note"), 1);
}

#[tokio::test]
async fn what_is_late_neither_goes_back_nor_brings_a_document_back() {
    let (rig, server) = worker().await;
    let work = async |id: &str, body: Value| {
        assert_eq!(rig.work(&message(id, &body)).await, Disposition::Done);
        rig.entry(id).await.status
    };
    assert_eq!(work("evt_1", body("upsert", 10, 1)).await, EventStatus::Done);
    assert_eq!(work("evt_2", body("upsert", 5, 2)).await, EventStatus::Superseded);
    assert_eq!(server.document("Contract Note", "O-1").unwrap()["n"], json!(1));
    assert_eq!(work("evt_3", body("delete", 20, 0)).await, EventStatus::Done);
    assert_eq!(work("evt_4", body("upsert", 15, 3)).await, EventStatus::Superseded);
    assert_eq!(server.count("Contract Note"), 0);
    assert_eq!(work("evt_5", body("upsert", 25, 4)).await, EventStatus::Done);
    // A deletion of what never was keeps what is older away, too.
    let other =
        |event: &str, at: i64| json!({ "event": event, "order": "O-2", "at": 1_795_000_000 + at, "n": 1 });
    assert_eq!(work("evt_6", other("delete", 20)).await, EventStatus::Done);
    assert_eq!(work("evt_7", other("upsert", 10)).await, EventStatus::Superseded);
}

#[tokio::test]
async fn what_waits_for_a_name_is_freed_though_the_site_gives_another() {
    let (rig, server) = worker().await;
    let paid = json!({ "event": "paid", "order": "S-1", "at": 1_795_000_002, "po_no": "P" });
    assert_eq!(rig.work(&message("evt_2", &paid)).await, Disposition::Done);
    assert_eq!(rig.entry("evt_2").await.status, EventStatus::Parked);
    assert_eq!(rig.work(&message("evt_1", &sale("HUB-ITEM-0"))).await, Disposition::Done);
    rig.drain().await;
    assert_eq!(rig.entry("evt_2").await.status, EventStatus::Done);
    let order = server.document("Sales Order", "SAL-ORD-2026-00001").unwrap();
    assert_eq!((order["po_no"].clone(), order["causeway_id"].clone()), (json!("P"), json!("S-1")));
}

#[tokio::test]
async fn a_site_that_is_not_well_has_the_event_wait_and_one_that_refuses_has_it_dead_with_its_reason() {
    let (rig, server) = worker().await;
    server.fault(Fault::new(Fate::Maintenance).method("POST").times(2));
    let create = message("evt_1", &body("create", 0, 1));
    assert!(matches!(rig.work(&create).await, Disposition::Again(_)));
    assert_eq!(rig.work(&create).await, Disposition::Done);
    assert_eq!(rig.entry("evt_1").await.status, EventStatus::Done);
    assert_eq!(rig.work(&message("evt_2", &sale("NO-SUCH"))).await, Disposition::Done);
    let entry = rig.entry("evt_2").await;
    assert_eq!(entry.status, EventStatus::Dead);
    assert!(entry.error.unwrap().detail.contains("NO-SUCH"));
}
