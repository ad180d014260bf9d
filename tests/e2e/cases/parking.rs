//! Events that wait for a document.

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    hub::{Connector, Hub, SETTLE, mirror, order},
    wait::wait_for,
};

pub fn cases() -> Vec<Case> {
    cases![
        an_event_whose_parent_is_missing_is_freed_by_the_parents_webhook,
        an_event_whose_parent_is_missing_is_freed_when_the_api_creates_it,
        an_update_of_what_does_not_exist_waits_for_it,
        the_sweep_leaves_what_is_not_due,
    ]
}

/// A connector whose delivery notes need their order.
fn notes<'a>(hub: &'a Hub, name: &str) -> Connector<'a> {
    let note = json!({
        "event": "note.*",
        "effect": {
            "action": "upsert",
            "doctype": "Waiting Note",
            "name": "/name",
            "requires": [{ "doctype": "Awaited Order", "name": "/against" }],
            "mapping": { "copy": ["against"] },
        },
    });
    hub.connector(name, json!({ "rules": [mirror("order.*", "Awaited Order"), note] }))
}

fn note(name: &str, parent: &str) -> Value {
    json!({ "name": name, "against": parent, "modified": "2026-11-22 19:12:25.000001" })
}

/// Delivers a note and asserts that it waits, visibly, for its order.
#[track_caller]
fn park(connector: &Connector<'_>, name: &str, parent: &str) -> String {
    let id = connector.accept("note.on_submit", &note(name, parent));
    let entry = connector.hub.wait_until(&id, "parked");
    assert_eq!(entry["error"]["code"], "parent_missing");
    let parked = connector.hub.parked(&id).data(200).clone();
    assert_eq!(parked["state"], "waiting");
    assert_eq!(parked["waiting_for"], json!({ "doctype": "Awaited Order", "name": parent }));
    assert_eq!(parked["event"], "note.on_submit");
    assert!(parked["due"].is_string() && parked["body"].as_str().unwrap().contains(parent), "{parked}");
    id
}

#[track_caller]
fn is_free(hub: &Hub, id: &str) {
    let entry = hub.wait_until(id, "done");
    assert!(entry["error"].is_null(), "{entry}");
    hub.parked(id).is_problem(404, "parked_not_found");
}

fn an_event_whose_parent_is_missing_is_freed_by_the_parents_webhook(hub: &Hub, name: &str) {
    let connector = notes(hub, name);
    let ids: Vec<String> = (1..=3).map(|i| park(&connector, &format!("{name}-{i}"), "A-1")).collect();
    let waiting = hub.all(&format!("/v2/parked?state=waiting&connector={name}"), 2);
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    let of_all = hub.all("/v2/parked?state=waiting", 500);
    assert_eq!(of_all.iter().filter(|item| item["connector"] == name).count(), 3, "{of_all:?}");
    connector.settle("order.after_insert", &order("A-1", 0, 1, 1.0), "done");
    for id in &ids {
        is_free(hub, id);
    }
    assert_eq!(connector.parked(), Vec::<Value>::new());
}

fn an_event_whose_parent_is_missing_is_freed_when_the_api_creates_it(hub: &Hub, name: &str) {
    let connector = notes(hub, name);
    let id = park(&connector, name, "A-2");
    // A repeat meanwhile changes nothing.
    assert_eq!(connector.accept("note.on_submit", &note(name, "A-2")), id);
    let created = hub.api("POST", "/v2/documents/Awaited%20Order", Some(&json!({ "name": "A-2" })));
    created.data(201);
    is_free(hub, &id);
    assert_eq!(hub.document("Waiting Note", name).data(200)["revision"], 1);
}

fn an_update_of_what_does_not_exist_waits_for_it(hub: &Hub, name: &str) {
    let update = json!({
        "event": "order.on_update",
        "effect": {
            "action": "update",
            "doctype": "Updated Order",
            "name": "/name",
            "mapping": { "copy": ["grand_total"] },
        },
    });
    let connector = hub.connector(name, json!({ "rules": [update, mirror("order.*", "Updated Order")] }));
    let id = connector.accept("order.on_update", &order("U-1", 0, 2, 2.0));
    hub.wait_until(&id, "parked");
    connector.settle("order.after_insert", &order("U-1", 0, 1, 1.0), "done");
    is_free(hub, &id);
    let document = hub.document("Updated Order", "U-1").data(200).clone();
    assert_eq!((document["grand_total"].as_f64(), document["revision"].as_u64()), (Some(2.0), Some(2)));
}

fn the_sweep_leaves_what_is_not_due(hub: &Hub, name: &str) {
    let connector = notes(hub, name);
    let id = park(&connector, name, "A-3");
    let before = hub.parked(&id).data(200).clone();
    hub.aws.invoke("EventWorker", &json!({ "trigger": "sweep" }));
    assert_eq!(hub.parked(&id).data(200), &before);
    hub.api("POST", "/v2/documents/Awaited%20Order", Some(&json!({ "name": "A-3" }))).data(201);
    wait_for("the note to be free", SETTLE, || match hub.document("Waiting Note", name).status {
        200 => Ok(()),
        status => Err(status),
    });
}
