//! Messages that no worker can use, and messages that the queue gave up.

use causeway::{
    id::{IdKind, derive},
    queue::{Body, InboundEvent, Message, Travels},
};
use serde_json::json;

use super::{Case, cases};
use crate::{
    hub::{Hub, SETTLE, mirror, order},
    wait::wait_for,
};

pub fn cases() -> Vec<Case> {
    cases![
        garbage_on_the_queue_is_parked_and_the_good_ones_beside_it_are_done,
        an_event_in_the_dead_letter_queue_is_parked_and_can_be_replayed,
        garbage_in_the_dead_letter_queue_is_parked,
    ]
}

/// Waits until the message that SQS calls `message_id` is parked as dead.
#[track_caller]
fn is_parked_unread(hub: &Hub, message_id: &str) -> serde_json::Value {
    let id = derive(IdKind::Event, &[b"unreadable", message_id.as_bytes()]);
    let parked = wait_for("garbage to be parked", SETTLE, || {
        let answer = hub.parked(&id);
        if answer.status == 200 { Ok(answer.body["data"].clone()) } else { Err(answer.body) }
    });
    assert_eq!((parked["state"].as_str(), parked["connector"].as_str()), (Some("dead"), Some("-")));
    assert_eq!(parked["error"]["code"], "message_unreadable");
    parked
}

fn garbage_on_the_queue_is_parked_and_the_good_ones_beside_it_are_done(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Good Order")] }));
    let garbage = ["{", "null", r#"{"type": "webhook.v9", "id": "evt_1"}"#, r#"{"type": "webhook.v1"}"#];
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (i, garbage) in (1..).zip(garbage) {
        bad.push(hub.aws.send_to_queue(garbage));
        good.push(connector.accept("order.insert", &order(&format!("G-{i}"), 0, i, 1.0)));
    }
    for id in &good {
        hub.wait_until(id, "done");
    }
    for id in &bad {
        is_parked_unread(hub, id);
    }
}

fn an_event_in_the_dead_letter_queue_is_parked_and_can_be_replayed(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Given up Order")] }));
    let body = order("GU-1", 0, 1, 1.0).to_string();
    let id = derive(IdKind::Event, &[name.as_bytes(), b"given up"]);
    let message = Message::Webhook(InboundEvent {
        id: id.clone(),
        connector: connector.name.clone(),
        event: "order.insert".into(),
        signed_name: false,
        secret: "current".into(),
        received_at: "2026-11-22T19:12:25Z".parse().unwrap(),
        content_type: None,
        body: Body::encode(body.as_bytes()).unwrap(),
        parent: None,
    });
    hub.aws.send_to_dead_letters(&message.encode().unwrap());
    assert_eq!(hub.wait_until(&id, "dead")["error"]["code"], "poison_message");
    assert_eq!(hub.parked(&id).data(200)["state"], "dead");
    hub.document("Given up Order", "GU-1").is_problem(404, "document_not_found");
    hub.api("POST", &format!("/v2/parked/{id}/replay"), None).data(202);
    hub.wait_until(&id, "done");
    hub.document("Given up Order", "GU-1").data(200);
}

fn garbage_in_the_dead_letter_queue_is_parked(hub: &Hub, name: &str) {
    let message_id = hub.aws.send_to_dead_letters(&format!("garbage of {name}"));
    is_parked_unread(hub, &message_id);
}
