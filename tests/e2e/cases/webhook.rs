//! What becomes of accepted webhooks: repeats, order, rotation, content.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{Case, cases};
use crate::{
    hub::{Hub, delete, event_id, mirror, order, secret},
    wait::wait_for,
};

pub fn cases() -> Vec<Case> {
    cases![
        a_secret_added_while_instances_are_warm_is_accepted,
        either_secret_verifies_during_a_rotation_and_the_log_names_it,
        a_repeat_has_the_same_id_and_one_effect,
        an_event_that_no_rule_fits_is_ignored_and_logged,
        bytes_that_are_no_text_are_verified_and_kept,
        a_form_becomes_a_document,
        an_array_becomes_events_of_their_own,
        a_secret_of_its_own_allows_the_delete_that_an_unsigned_name_may_not_ask_for,
    ]
}

fn a_repeat_has_the_same_id_and_one_effect(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("order.*", "Repeated Order")] }));
    let body = order("R-1", 0, 1, 5.0);
    let first = connector.accept("order.on_update", &body);
    for _ in 0..5 {
        assert_eq!(connector.accept("order.on_update", &body), first);
    }
    hub.wait_until(&first, "done");
    assert_eq!(connector.accept("order.on_update", &body), first);
    // What is sent after it is worked on after it, or at least beside it.
    connector.settle("order.on_update", &order("R-2", 0, 1, 5.0), "done");
    assert_eq!(hub.document("Repeated Order", "R-1").data(200)["revision"], 1);
    assert_eq!(connector.log("").len(), 2);
}

fn either_secret_verifies_during_a_rotation_and_the_log_names_it(hub: &Hub, name: &str) {
    let secrets = ["previous", "current"]
        .map(|kind| json!({ "name": format!("the {kind}"), "reference": format!("{name}/{kind}") }));
    let connector =
        hub.connector(name, json!({ "secrets": secrets, "rules": [mirror("*", "Rotated Order")] }));
    for (kind, second) in [("previous", 1), ("current", 2)] {
        let body = order(kind, 0, second, 1.0).to_string();
        let headers = connector.signed_by(kind, body.as_bytes());
        let id = event_id(&hub.post(&connector.path(None), &headers, body.as_bytes()));
        assert_eq!(hub.wait_until(&id, "done")["secret"], format!("the {kind}"));
    }
}

fn a_secret_added_while_instances_are_warm_is_accepted(hub: &Hub, name: &str) {
    let reference = format!("{name}/next");
    let secrets = json!([
        { "name": "current", "reference": format!("{name}/current") },
        { "name": "next", "reference": reference },
    ]);
    let connector = hub.connector(name, json!({ "secrets": secrets, "rules": [mirror("*", "Next Order")] }));
    connector.settle("order.insert", &order("W-1", 0, 1, 1.0), "done");
    let body = order("W-2", 0, 2, 1.0).to_string();
    let headers = connector.signed_by("next", body.as_bytes());
    let deliver = || hub.post(&connector.path(Some("order.insert")), &headers, body.as_bytes());
    deliver().is_problem(401, "signature_mismatch");
    hub.aws.add_webhook_secrets([(reference.clone(), secret(&reference))]);
    // An instance looks again at most every ten seconds, so that a forger cannot make it read for each try.
    let id = wait_for("the new secret to be accepted", Duration::from_secs(15), || {
        let answer = deliver();
        if answer.status == 202 { Ok(event_id(&answer)) } else { Err(answer.body) }
    });
    assert_eq!(hub.wait_until(&id, "done")["secret"], "next");
}

fn an_event_that_no_rule_fits_is_ignored_and_logged(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("order.*", "Order")] }));
    let entry = connector.settle("invoice.on_submit", &order("I-1", 1, 1, 1.0), "ignored");
    assert!(entry["document"].is_null(), "{entry}");
}

fn bytes_that_are_no_text_are_verified_and_kept(hub: &Hub, name: &str) {
    let rule = json!({
        "event": "*",
        "effect": {
            "action": "upsert",
            "doctype": "Raw File",
            "name": { "value": name },
            "mapping": { "copy": ["base64", "content_type"] },
        },
    });
    let changes = json!({
        "scheme": { "type": "github" },
        "content": "raw",
        "identity": { "by": "body" },
        "version": null,
        "rules": [rule],
    });
    let connector = hub.connector(name, changes);
    let body: Vec<u8> = (0..=255).rev().collect();
    let mut headers = connector.signed(&body);
    headers.push(("Content-Type".into(), "application/octet-stream".into()));
    let id = event_id(&hub.post(&connector.path(Some("file.uploaded")), &headers, &body));
    hub.wait_until(&id, "done");
    let document = hub.document("Raw File", name).data(200).clone();
    assert_eq!(document["base64"], BASE64_STANDARD.encode(&body));
    assert_eq!(document["content_type"], "application/octet-stream");
}

fn a_form_becomes_a_document(hub: &Hub, name: &str) {
    let changes = json!({
        "content": "form",
        "identity": { "by": "field", "path": "/id" },
        "version": null,
        "rules": [mirror("*", "Form Order")],
    });
    let connector = hub.connector(name, changes);
    let body = b"id=1&name=FORM-1&customer=B+M%C3%BCller";
    let mut headers = connector.signed(body);
    headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
    let id = event_id(&hub.post(&connector.path(None), &headers, body));
    hub.wait_until(&id, "done");
    assert_eq!(hub.document("Form Order", "FORM-1").data(200)["customer"], "B Müller");
}

fn an_array_becomes_events_of_their_own(hub: &Hub, name: &str) {
    let changes = json!({
        "identity": { "by": "body" },
        "version": null,
        "split": { "path": "/orders", "id": "/id", "event": "/event" },
        "rules": [mirror("order.*", "Split Order")],
    });
    let connector = hub.connector(name, changes);
    let orders: Vec<_> = (1..=12)
        .map(|i| json!({ "id": i, "event": "order.created", "name": format!("S-{i}"), "customer": "C" }))
        .collect();
    connector.settle("batch", &json!({ "orders": orders }), "split");
    let children = wait_for("the orders of the array", crate::hub::SETTLE, || {
        let done = connector.log("&status=done");
        if done.len() == 12 { Ok(done) } else { Err(format!("{} done", done.len())) }
    });
    assert!(children.iter().all(|entry| entry["event"] == "order.created"), "{children:?}");
    // The same orders in another delivery are known.
    connector.settle("batch", &json!({ "orders": orders, "again": true }), "split");
    connector.hub.wait_until_queues_are_empty();
    assert_eq!(hub.document("Split Order", "S-12").data(200)["revision"], 1);
}

fn a_secret_of_its_own_allows_the_delete_that_an_unsigned_name_may_not_ask_for(hub: &Hub, name: &str) {
    let secrets = json!([
        { "name": "current", "reference": format!("{name}/current") },
        { "name": "trash", "reference": format!("{name}/own"), "event": "order.on_trash" },
    ]);
    let rules = json!([delete("order.on_trash", "Trashed Order"), mirror("order.*", "Trashed Order")]);
    let connector = hub.connector(name, json!({ "secrets": secrets, "rules": rules }));
    connector.settle("order.after_insert", &order("T-1", 0, 1, 1.0), "done");
    let trash = order("T-1", 0, 2, 1.0);
    connector.deliver("order.on_trash", &trash).is_problem(403, "event_unsigned");
    let body = trash.to_string();
    let headers = connector.signed_by("own", body.as_bytes());
    // The secret is for this event and no other.
    let elsewhere = hub.post(&connector.path(Some("order.on_update")), &headers, body.as_bytes());
    elsewhere.is_problem(401, "signature_mismatch");
    hub.document("Trashed Order", "T-1").data(200);
    let id = event_id(&hub.post(&connector.path(Some("order.on_trash")), &headers, body.as_bytes()));
    assert_eq!(hub.wait_until(&id, "done")["secret"], "trash");
    hub.document("Trashed Order", "T-1").is_problem(404, "document_not_found");
}
