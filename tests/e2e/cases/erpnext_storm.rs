//! Workers die at any instruction, and the site fails in every way at once: still one document an event.

use std::{collections::BTreeMap, time::Duration};

use erpnext_site::{Effect, Fault, Meanwhile};
use serde_json::{Value, json};

use super::{
    Case, cases,
    erpnext::NUMBERED,
    storm::{deliver_at_random, is_calm, seed, while_workers_die},
};
use crate::{
    hub::{Hub, order},
    workers,
};

/// Events of a storm.
const EVENTS: usize = 60;
/// How often each fault strikes a request.
const OFTEN: f64 = 0.04;

pub fn cases() -> Vec<Case> {
    if !workers::SUPPORTED {
        return Vec::new();
    }
    cases![each_event_is_one_document_of_the_site_while_workers_die_and_answers_are_lost]
}

fn each_event_is_one_document_of_the_site_while_workers_die_and_answers_are_lost(hub: &Hub, name: &str) {
    let rule = json!({
        "event": "*",
        "effect": {
            "action": "create",
            "doctype": NUMBERED,
            "series": "STORM-.#####",
            "mapping": { "fields": [{ "to": "source", "from": "/name" }] },
        },
    });
    let connector = hub.connector(name, json!({ "rules": [rule] }));
    let bodies: Vec<Value> = (0..EVENTS)
        .map(|n| order(&format!("{name}-{n}"), 0, u8::try_from(n % 60).unwrap_or_default(), 1.0))
        .collect();
    let seed = seed(name, 1);
    let late = Effect::LateCommit(Duration::from_millis(300), Meanwhile::Drop);
    let faults = [late, Effect::DropBefore, Effect::DropAfter, Effect::DropMidBody, Effect::LockWait];
    for (n, effect) in faults.into_iter().enumerate() {
        hub.site().fault(Fault::new(effect).doctype(NUMBERED).sometimes(OFTEN, seed + n as u64));
    }
    let ids = while_workers_die(hub, seed, || deliver_at_random(&connector, &bodies, seed));
    hub.site().clear_faults();
    assert_eq!(ids.len(), EVENTS);
    is_calm(&connector, &ids);
    let documents = hub.site().documents(NUMBERED).into_iter().map(Value::Object);
    let mut effects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for document in documents {
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        effects.entry(text("source")).or_default().push(text("name"));
    }
    let several: Vec<_> = effects.iter().filter(|(_, documents)| documents.len() > 1).collect();
    assert!(several.is_empty(), "more than one document: {several:?}");
    assert_eq!(effects.len(), EVENTS, "events with a document");
}
