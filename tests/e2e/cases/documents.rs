//! Effects on documents: order, submission, deletion, numbers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Case, cases};
use crate::hub::{Connector, Hub, delete, event_id, mirror, order};

pub fn cases() -> Vec<Case> {
    cases![
        a_late_event_does_not_overwrite_a_newer_one,
        a_cancel_may_overtake_its_submit,
        submit_and_cancel_follow_the_docstatus,
        a_deleted_document_stays_deleted_when_an_update_comes_late,
        creates_are_numbered_by_their_series,
        a_create_of_a_name_that_exists_is_rejected,
        money_keeps_every_digit,
    ]
}

fn a_late_event_does_not_overwrite_a_newer_one(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("order.*", "Late Order")] }));
    connector.settle("order.on_update", &order("L-1", 0, 20, 20.0), "done");
    let late = connector.settle("order.on_update", &order("L-1", 0, 10, 10.0), "superseded");
    assert_eq!(late["document"]["name"], "L-1");
    let document = hub.document("Late Order", "L-1").data(200).clone();
    assert_eq!((document["revision"].as_u64(), document["grand_total"].as_f64()), (Some(1), Some(20.0)));
}

fn a_cancel_may_overtake_its_submit(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("order.*", "Overtaken Order")] }));
    connector.settle("order.after_insert", &order("O-1", 0, 1, 1.0), "done");
    connector.settle("order.on_change", &order("O-1", 2, 3, 1.0), "done");
    connector.settle("order.on_change", &order("O-1", 1, 2, 1.0), "superseded");
    assert_eq!(hub.document("Overtaken Order", "O-1").data(200)["docstatus"], 2);
}

fn by_name(event: &str, action: &str, doctype: &str) -> Value {
    json!({ "event": event, "effect": { "action": action, "doctype": doctype, "name": "/name" } })
}

fn submit_and_cancel_follow_the_docstatus(hub: &Hub, name: &str) {
    let doctype = "Stepwise Order";
    let create = json!({
        "event": "created",
        "effect": { "action": "create", "doctype": doctype, "name": "/name", "mapping": { "copy": ["customer"] } },
    });
    let update = json!({
        "event": "updated",
        "effect": { "action": "update", "doctype": doctype, "name": "/name", "mapping": { "copy": ["customer"] } },
    });
    let rules = json!([
        create,
        update,
        by_name("submitted", "submit", doctype),
        by_name("cancelled", "cancel", doctype)
    ]);
    let connector = hub.connector(name, json!({ "event": { "body": "/event" }, "rules": rules }));
    let step = |event: &str, second: u8, status: &str| {
        let mut body = order("D-1", 0, second, 1.0);
        body["event"] = event.into();
        connector.settle(event, &body, status)
    };
    step("created", 1, "done");
    step("updated", 2, "done");
    step("submitted", 3, "done");
    assert_eq!(hub.document(doctype, "D-1").data(200)["docstatus"], 1);
    assert_eq!(step("updated", 4, "rejected")["error"]["code"], "docstatus_forbids");
    step("cancelled", 5, "done");
    let document = hub.document(doctype, "D-1").data(200).clone();
    assert_eq!((document["docstatus"].as_u64(), document["revision"].as_u64()), (Some(2), Some(4)));
    assert_eq!(step("submitted", 6, "rejected")["error"]["code"], "docstatus_forbids");
}

fn a_deleted_document_stays_deleted_when_an_update_comes_late(hub: &Hub, name: &str) {
    let secrets = json!([
        { "name": "current", "reference": format!("{name}/current") },
        { "name": "trash", "reference": format!("{name}/own"), "event": "order.on_trash" },
    ]);
    let rules = json!([delete("order.on_trash", "Deleted Order"), mirror("order.*", "Deleted Order")]);
    let connector = hub.connector(name, json!({ "secrets": secrets, "rules": rules }));
    connector.settle("order.after_insert", &order("D-1", 0, 1, 1.0), "done");
    let body = order("D-1", 0, 3, 1.0).to_string();
    let headers = connector.signed_by("own", body.as_bytes());
    let id = event_id(&hub.post(&connector.path(Some("order.on_trash")), &headers, body.as_bytes()));
    hub.wait_until(&id, "done");
    connector.settle("order.on_update", &order("D-1", 0, 2, 2.0), "superseded");
    hub.document("Deleted Order", "D-1").is_problem(404, "document_not_found");
    // Made anew at the source later, it is a document again.
    connector.settle("order.after_insert", &order("D-1", 0, 9, 9.0), "done");
    assert_eq!(hub.document("Deleted Order", "D-1").data(200)["grand_total"].as_f64(), Some(9.0));
}

fn create_by_series(event: &str, doctype: &str, series: &str, block: u32) -> Value {
    json!({
        "event": event,
        "effect": {
            "action": "create",
            "doctype": doctype,
            "series": series,
            "series_block": block,
            "mapping": { "fields": [{ "to": "reference", "from": "/name" }] },
        },
    })
}

fn names(connector: &Connector<'_>, doctype: &str) -> BTreeSet<String> {
    let documents = connector.hub.all(&format!("/v2/documents/{}", crate::hub::encode(doctype)), 500);
    documents.iter().map(|document| document["name"].as_str().unwrap().to_owned()).collect()
}

fn creates_are_numbered_by_their_series(hub: &Hub, name: &str) {
    let rules = json!([
        create_by_series("blocks", "Numbered in Blocks", "BLK-.YYYY.-", 10),
        create_by_series("gapless", "Numbered Gapless", "GAP-.####", 1),
    ]);
    let connector = hub.connector(name, json!({ "rules": rules }));
    let mut ids = Vec::new();
    for i in 1..=15 {
        for event in ["blocks", "gapless"] {
            ids.push(connector.accept(event, &order(&format!("N-{i}"), 0, i, 1.0)));
        }
    }
    let entries: Vec<Value> = ids.iter().map(|id| hub.wait_until(id, "done")).collect();
    let logged: BTreeSet<String> =
        entries.iter().map(|entry| entry["document"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(logged.len(), 30, "{logged:?}");
    let blocks = names(&connector, "Numbered in Blocks");
    assert_eq!(blocks.len(), 15, "{blocks:?}");
    assert!(blocks.iter().all(|name| name.starts_with("BLK-20") && name.len() == 14), "{blocks:?}");
    let expected: BTreeSet<String> = (1..=15).map(|i| format!("GAP-{i:04}")).collect();
    assert_eq!(names(&connector, "Numbered Gapless"), expected);
}

fn a_create_of_a_name_that_exists_is_rejected(hub: &Hub, name: &str) {
    let create = json!({
        "event": "*",
        "effect": { "action": "create", "doctype": "Created Order", "name": "/name", "mapping": { "copy": "*" } },
    });
    let connector = hub.connector(name, json!({ "rules": [create] }));
    connector.settle("order.insert", &order("C-1", 0, 1, 1.0), "done");
    let entry = connector.settle("order.insert", &order("C-1", 0, 2, 2.0), "rejected");
    assert_eq!(entry["error"]["code"], "document_exists");
    assert_eq!(hub.document("Created Order", "C-1").data(200)["revision"], 1);
}

fn money_keeps_every_digit(hub: &Hub, name: &str) {
    let rule = json!({
        "event": "*",
        "effect": {
            "action": "upsert",
            "doctype": "Precise Order",
            "name": "/name",
            "mapping": { "copy": ["plain"], "fields": [{ "to": "total", "from": "/total", "convert": "decimal" }] },
        },
    });
    let connector = hub.connector(name, json!({ "rules": [rule] }));
    let body = br#"{"name": "P-1", "modified": "2026-11-22 19:12:01", "total": "12345678901234567.89", "plain": 0.10}"#;
    let id = event_id(&hub.post(&connector.path(None), &connector.signed(body), body));
    hub.wait_until(&id, "done");
    let document = hub.document("Precise Order", "P-1").data(200).clone();
    assert_eq!(document["total"].to_string().trim_matches('"'), "12345678901234567.89");
    assert_eq!(document["plain"].to_string(), "0.10");
}
