//! Many deliveries of few events, in any order, at once, while workers die: still one effect an event.

use std::{collections::BTreeMap, env, sync::Mutex, thread, time::Duration};

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    hub::{Connector, Hub, encode, event_id, order},
    wait::wait_for,
    workers,
};

/// Events of a storm.
const EVENTS: usize = 100;
/// Deliveries of each.
const REPEATS: usize = 10;
/// Senders at a time.
const SENDERS: usize = 12;
/// How long a storm may take to calm down. Each kill hides its batch for 12 s.
const CALM: Duration = Duration::from_secs(150);
/// How long workers are killed.
const KILLING: Duration = Duration::from_secs(8);
/// Seeds of storms with kills, unless `CAUSEWAY_TEST_SEEDS` says how many.
const SEEDS: u64 = 2;

pub fn cases() -> Vec<Case> {
    let mut cases = cases![a_thousand_deliveries_of_a_hundred_events_have_a_hundred_effects];
    if workers::SUPPORTED {
        cases.extend((1..=number("CAUSEWAY_TEST_SEEDS").unwrap_or(SEEDS)).map(|n| {
            let statement = format!("each_event_has_one_effect_however_many_workers_are_killed_{n}");
            Case::new(module_path!(), &statement, move |hub, name| {
                each_event_has_one_effect_however_many_workers_are_killed(hub, name, n);
            })
        }));
        cases.extend(cases![each_comment_is_one_row_however_many_workers_are_killed]);
    }
    cases
}

pub fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// The seed of the `n`th storm, printed: given as the first one's, it sends the same storm again.
pub fn seed(name: &str, n: u64) -> u64 {
    let seed = number("CAUSEWAY_TEST_SEED").map_or_else(|| fastrand::u64(..1_000_000), |first| first + n - 1);
    println!("{name}: CAUSEWAY_TEST_SEED={seed}");
    seed
}

/// A connector that makes a new document, by series, of each event: one too many would be seen.
fn numbering<'a>(hub: &'a Hub, name: &str) -> (Connector<'a>, String) {
    let doctype = format!("Storm {name}");
    let rule = json!({
        "event": "*",
        "effect": {
            "action": "create",
            "doctype": doctype,
            "series": "STORM-.#####",
            "mapping": { "fields": [{ "to": "source", "from": "/name" }] },
        },
    });
    (hub.connector(name, json!({ "rules": [rule] })), doctype)
}

/// Delivers every body `REPEATS` times, in random order, by many senders at once. Returns the ids by body.
pub fn deliver_at_random(connector: &Connector<'_>, bodies: &[Value], seed: u64) -> BTreeMap<usize, String> {
    let mut deliveries: Vec<usize> = (0..bodies.len()).flat_map(|body| vec![body; REPEATS]).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut deliveries);
    let (deliveries, ids) = (Mutex::new(deliveries), Mutex::new(BTreeMap::new()));
    let next = || deliveries.lock().unwrap().pop();
    let send = || {
        while let Some(body) = next() {
            let id = event_id(&connector.deliver("storm", &bodies[body]));
            let known = ids.lock().unwrap().entry(body).or_insert_with(|| id.clone()).clone();
            assert_eq!(known, id, "one event has one id");
        }
    };
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(send);
        }
    });
    ids.into_inner().unwrap()
}

/// Asserts that every event ended as done, that nothing is parked, and that no message is left.
#[track_caller]
pub fn is_calm(connector: &Connector<'_>, ids: &BTreeMap<usize, String>) {
    wait_for("every event to be done", CALM, || {
        let done = connector.log("&status=done").len();
        if done == ids.len() { Ok(()) } else { Err(format!("{done} of {} are done", ids.len())) }
    });
    wait_for("the queues to be empty", CALM, || match connector.hub.aws.messages_on_queues() {
        0 => Ok(()),
        messages => Err(format!("{messages} messages")),
    });
    let log = connector.log("");
    assert_eq!(log.len(), ids.len(), "one entry an event");
    assert!(log.iter().all(|entry| entry["status"] == "done"), "{log:?}");
    assert_eq!(connector.parked(), Vec::<Value>::new());
}

/// Asserts that there is one document an event.
#[track_caller]
fn has_one_effect_each(connector: &Connector<'_>, doctype: &str) {
    let documents = connector.hub.all(&format!("/v2/documents/{}", encode(doctype)), 500);
    let mut effects: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for document in &documents {
        effects.entry(document["source"].as_str().unwrap()).or_default().push(&document["name"]);
    }
    let several: Vec<_> = effects.iter().filter(|(_, documents)| documents.len() > 1).collect();
    assert!(several.is_empty(), "more than one effect: {several:?}");
    assert_eq!(effects.len(), EVENTS, "events with an effect");
    assert!(documents.iter().all(|document| document["revision"] == 1), "each was written once");
}

fn bodies(name: &str) -> Vec<Value> {
    (0..EVENTS).map(|i| order(&format!("{name}-{i}"), 0, u8::try_from(i % 60).unwrap(), 1.0)).collect()
}

fn a_thousand_deliveries_of_a_hundred_events_have_a_hundred_effects(hub: &Hub, name: &str) {
    let (connector, doctype) = numbering(hub, name);
    let ids = deliver_at_random(&connector, &bodies(name), seed(name, 1));
    assert_eq!(ids.len(), EVENTS);
    is_calm(&connector, &ids);
    has_one_effect_each(&connector, &doctype);
}

fn each_event_has_one_effect_however_many_workers_are_killed(hub: &Hub, name: &str, n: u64) {
    let (connector, doctype) = numbering(hub, name);
    let seed = seed(name, n);
    let ids = while_workers_die(hub, seed, || deliver_at_random(&connector, &bodies(name), seed));
    is_calm(&connector, &ids);
    has_one_effect_each(&connector, &doctype);
}

/// Does something while workers are killed, which goes on for some seconds at least.
pub fn while_workers_die<T>(hub: &Hub, seed: u64, work: impl FnOnce() -> T) -> T {
    let (result, kills) = workers::kill_during(hub.stack.root(), seed, KILLING, work);
    println!("{kills} workers were killed");
    assert!(kills >= 3, "only {kills} workers were killed: nothing was tried");
    result
}

fn each_comment_is_one_row_however_many_workers_are_killed(hub: &Hub, name: &str) {
    const COMMENTS: usize = 30;
    let doctype = "Stormy Issue";
    let append = json!({
        "event": "storm",
        "effect": {
            "action": "handler",
            "handler": "append_row",
            "options": {
                "doctype": doctype,
                "name": "/issue",
                "table": "comments",
                "row": { "fields": [{ "to": "content", "from": "/content", "required": true }] },
            },
        },
    });
    let connector =
        hub.connector(name, json!({ "identity": { "by": "body" }, "version": null, "rules": [append] }));
    hub.api("POST", &format!("/v2/documents/{}", encode(doctype)), Some(&json!({ "name": name }))).data(201);
    let bodies: Vec<Value> =
        (0..COMMENTS).map(|i| json!({ "issue": name, "content": format!("comment {i}") })).collect();
    let seed = seed(name, 1);
    let ids = while_workers_die(hub, seed, || deliver_at_random(&connector, &bodies, seed));
    is_calm(&connector, &ids);
    let issue = hub.document(doctype, name).data(200).clone();
    let mut rows: Vec<&str> =
        issue["comments"].as_array().unwrap().iter().map(|row| row["content"].as_str().unwrap()).collect();
    rows.sort_unstable();
    let mut expected: Vec<String> = (0..COMMENTS).map(|i| format!("comment {i}")).collect();
    expected.sort_unstable();
    assert_eq!(rows, expected);
    assert_eq!(issue["revision"], COMMENTS + 1, "each row is one revision");
}
