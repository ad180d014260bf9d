//! Dead events, and their second life.

use serde_json::{Value, json};

use super::{Case, cases};
use crate::hub::{Connector, Hub, encode, order};

pub fn cases() -> Vec<Case> {
    cases![
        an_event_that_the_mapping_does_not_fit_is_dead_until_the_settings_are_fixed_and_it_is_replayed,
        a_replay_takes_what_its_filter_names_and_no_more,
        a_replay_of_what_is_not_parked_is_told_so,
    ]
}

/// A rule that needs `field`.
fn needs(doctype: &str, field: &str) -> Value {
    let from = format!("/{field}");
    json!([{
        "event": "*",
        "effect": {
            "action": "upsert",
            "doctype": doctype,
            "name": "/name",
            "mapping": { "fields": [{ "to": "party", "from": from, "required": true }] },
        },
    }])
}

/// Changes the rule to one that fits; a replay right after it goes by the new one.
fn mend(connector: &Connector<'_>, doctype: &str) {
    connector.put(json!({ "rules": needs(doctype, "customer") }));
}

#[track_caller]
fn replay(hub: &Hub, query: &str) -> u64 {
    hub.api("POST", &format!("/v2/parked/replay?{query}"), None).data(202)["replayed"].as_u64().unwrap()
}

fn an_event_that_the_mapping_does_not_fit_is_dead_until_the_settings_are_fixed_and_it_is_replayed(
    hub: &Hub,
    name: &str,
) {
    let connector = hub.connector(name, json!({ "rules": needs("Fixed Order", "party") }));
    let entry = connector.settle("order.insert", &order("M-1", 0, 1, 1.0), "dead");
    assert_eq!(entry["error"]["code"], "mapping_failed");
    assert!(entry["error"]["detail"].as_str().unwrap().contains("party"), "{entry}");
    assert_eq!(entry["attempts"], 1);
    assert_eq!(entry["failed_attempts"][0]["error"], entry["error"]);
    let id = entry["id"].as_str().unwrap();
    let parked = hub.parked(id).data(200).clone();
    assert_eq!((parked["state"].as_str(), &parked["error"]), (Some("dead"), &entry["error"]));
    mend(&connector, "Fixed Order");
    let answer = hub.api("POST", &format!("/v2/parked/{id}/replay"), None);
    assert_eq!(answer.data(202)["id"], id);
    assert_eq!(answer.header("location"), format!("/v2/integration-logs/{id}"));
    hub.wait_until(id, "done");
    hub.parked(id).is_problem(404, "parked_not_found");
    assert_eq!(hub.document("Fixed Order", "M-1").data(200)["party"], "Hub Customer 0");
}

fn dead(connector: &Connector<'_>, count: u8) -> Vec<String> {
    let ids: Vec<String> =
        (1..=count).map(|i| connector.accept("order.insert", &order(&format!("B-{i}"), 0, i, 1.0))).collect();
    for id in &ids {
        connector.hub.wait_until(id, "dead");
    }
    ids
}

fn a_replay_takes_what_its_filter_names_and_no_more(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": needs("Replayed Order", "party") }));
    let ids = dead(&connector, 7);
    assert_eq!(replay(hub, &format!("connector={name}&state=waiting")), 0);
    assert_eq!(replay(hub, "connector=some-other"), 0);
    mend(&connector, "Replayed Order");
    let mut next = Some(String::new());
    let mut replayed = 0;
    while let Some(cursor) = next.take() {
        let path = format!("/v2/parked/replay?connector={name}&limit=3{cursor}");
        let answer = hub.api("POST", &path, None);
        replayed += answer.data(202)["replayed"].as_u64().unwrap();
        next = answer.body["data"]["next"].as_str().map(|cursor| format!("&cursor={}", encode(cursor)));
    }
    assert_eq!(replayed, 7);
    for id in &ids {
        hub.wait_until(id, "done");
    }
    assert_eq!(connector.parked(), Vec::<Value>::new());
    assert_eq!(replay(hub, &format!("connector={name}")), 0);
}

fn a_replay_of_what_is_not_parked_is_told_so(hub: &Hub, _: &str) {
    let id = "evt_00000000000000000000000000000000";
    hub.api("POST", &format!("/v2/parked/{id}/replay"), None).is_problem(404, "parked_not_found");
    hub.parked(id).is_problem(404, "parked_not_found");
}
