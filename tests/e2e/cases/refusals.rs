//! What is refused: the exact status and code, nothing on the queue, nothing in the log.

use serde_json::json;

use super::{Case, cases};
use crate::{
    hub::{Connector, Hub, delete, mirror, now, order, secret},
    signing::{Headers, sign},
};

pub fn cases() -> Vec<Case> {
    cases![
        deliveries_that_are_not_genuine_leave_no_trace,
        times_outside_the_tolerance_are_refused,
        bodies_that_the_connector_does_not_take_are_refused,
        events_without_a_proper_name_are_refused,
        connectors_that_cannot_verify_refuse_everything,
        an_event_that_cannot_be_told_from_a_repeat_is_refused,
    ]
}

/// Asserts that nothing of what came before is in the log: a genuine delivery, sent last, is alone there.
#[track_caller]
fn only_the_genuine_one_is_logged(connector: &Connector<'_>, event: &str) {
    connector.settle(event, &order("GENUINE", 0, 59, 1.0), "done");
    connector.hub.wait_until_queues_are_empty();
    let log = connector.log("");
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(connector.parked(), Vec::<serde_json::Value>::new());
}

fn with(mut headers: Headers, name: &str, value: &str) -> Headers {
    headers.push((name.to_owned(), value.to_owned()));
    headers
}

fn deliveries_that_are_not_genuine_leave_no_trace(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("order.*", "Refused Order")] }));
    let path = connector.path(Some("order.on_update"));
    let body = order("X-1", 0, 1, 10.0).to_string();
    let genuine = connector.signed(body.as_bytes());
    let header = "X-Frappe-Webhook-Signature";
    let refuse = |headers: &Headers, body: &str, code: &str| {
        hub.post(&path, headers, body.as_bytes()).is_problem(401, code);
    };
    refuse(&vec![], &body, "signature_missing");
    refuse(&vec![(header.into(), String::new())], &body, "signature_malformed");
    refuse(&vec![(header.into(), "not base64".into())], &body, "signature_malformed");
    refuse(&vec![(header.into(), "AAAA".into())], &body, "signature_malformed");
    refuse(&genuine, &body.replace("10.0", "10.1"), "signature_mismatch");
    refuse(&connector.signed_by("previous", body.as_bytes()), &body, "signature_mismatch");
    hub.document("Refused Order", "X-1").is_problem(404, "document_not_found");
    only_the_genuine_one_is_logged(&connector, "order.on_update");
}

fn times_outside_the_tolerance_are_refused(hub: &Hub, name: &str) {
    let changes = json!({
        "scheme": { "type": "stripe" },
        "identity": { "by": "body" },
        "tolerance_seconds": 60,
        "rules": [mirror("*", "Timely Order")],
    });
    let connector = hub.connector(name, changes);
    let body = order("X-1", 0, 1, 10.0).to_string();
    let secret = secret(&format!("{name}/current"));
    let deliver = |at: i64| {
        let headers = sign(&connector.scheme(), &secret, body.as_bytes(), at, "");
        hub.post(&connector.path(None), &headers, body.as_bytes())
    };
    deliver(now() - 90).is_problem(401, "timestamp_stale");
    deliver(now() + 90).is_problem(401, "timestamp_stale");
    let malformed = vec![("Stripe-Signature".to_owned(), "t=soon,v1=00".to_owned())];
    let answer = hub.post(&connector.path(None), &malformed, body.as_bytes());
    assert_eq!(answer.status, 401, "{}", answer.body);
    deliver(now() - 30).data(202);
    connector.hub.wait_until_queues_are_empty();
    assert_eq!(connector.log("").len(), 1);
}

fn bodies_that_the_connector_does_not_take_are_refused(hub: &Hub, name: &str) {
    let rules = json!([mirror("order.*", "Refused Order")]);
    let connector = hub.connector(name, json!({ "max_body_bytes": 1000, "rules": rules }));
    let path = connector.path(Some("order.on_update"));
    let body = order("X-1", 0, 1, 10.0).to_string();
    hub.post(&path, &connector.signed(b""), b"").is_problem(400, "empty_body");
    let large = format!("{}{}", body, " ".repeat(1000));
    hub.post(&path, &connector.signed(large.as_bytes()), large.as_bytes()).is_problem(413, "body_too_large");
    let xml = with(connector.signed(body.as_bytes()), "Content-Type", "text/xml");
    hub.post(&path, &xml, body.as_bytes()).is_problem(415, "unsupported_content");
    hub.post(&path, &connector.signed(b"{"), b"{").is_problem(400, "malformed_body");
    only_the_genuine_one_is_logged(&connector, "order.on_update");
}

fn events_without_a_proper_name_are_refused(hub: &Hub, name: &str) {
    let rules = json!([delete("order.on_trash", "Refused Order"), mirror("order.*", "Refused Order")]);
    let connector = hub.connector(name, json!({ "rules": rules }));
    let body = order("X-1", 0, 1, 10.0);
    connector.deliver("order on update", &body).is_problem(400, "invalid_input");
    connector.deliver(&"x".repeat(129), &body).is_problem(400, "invalid_input");
    connector.deliver("order.on_trash", &body).is_problem(403, "event_unsigned");
    only_the_genuine_one_is_logged(&connector, "order.on_update");
}

fn connectors_that_cannot_verify_refuse_everything(hub: &Hub, name: &str) {
    let body = order("X-1", 0, 1, 10.0).to_string();
    let unknown = format!("no-{}", &name[..10]);
    hub.post(&format!("/webhooks/{unknown}"), &vec![], body.as_bytes()).is_problem(404, "unknown_connector");
    hub.post("/webhooks/No%20Name", &vec![], body.as_bytes()).is_problem(404, "unknown_connector");

    let disabled = hub.connector(name, json!({ "enabled": false }));
    disabled.deliver("order.on_update", &order("X-1", 0, 1, 10.0)).is_problem(403, "connector_disabled");

    let keyless = format!("keyless_{}", &name[..10]);
    let secrets = json!([{ "name": "current", "reference": format!("{keyless}/nowhere") }]);
    let keyless = hub.connector(&keyless, json!({ "secrets": secrets }));
    let answer = keyless.deliver("order.on_update", &order("X-1", 0, 1, 10.0));
    answer.is_problem(503, "secret_missing");
    assert!(!answer.header("retry-after").is_empty(), "the provider should try again: {:?}", answer.headers);
}

fn an_event_that_cannot_be_told_from_a_repeat_is_refused(hub: &Hub, name: &str) {
    let create = json!({
        "event": "order.*",
        "effect": { "action": "create", "doctype": "Refused Order", "series": "X-.#####" },
    });
    let by_field = json!({ "by": "field", "path": "/id" });
    let connector = hub.connector(name, json!({ "rules": [create] }));
    let without_modified = json!({ "name": "X-1" });
    connector.deliver("order.insert", &without_modified).is_problem(422, "event_unidentified");
    let other = hub.connector(&format!("by_{}", &name[..20]), json!({ "identity": by_field }));
    // Its secret is not there either, but first things first: nothing unverified is looked into.
    other.deliver("order.insert", &without_modified).is_problem(503, "secret_missing");
    only_the_genuine_one_is_logged(&connector, "order.insert");
}
