//! Many events, much that goes wrong, and attempts that die anywhere: in the end each has had its effect once.

use std::{collections::BTreeMap, sync::Mutex};

use futures::future::join_all;

use super::*;
use crate::documents::contract::{key, of_event, put};

/// Events of each kind.
const EVENTS: usize = 24;
/// Attempts at once.
const WORKERS: usize = 4;
/// Attempts in all: many times what it takes.
const MAX_ATTEMPTS: usize = 3_000;

fn seed() -> u64 {
    std::env::var("CAUSEWAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123)
}

/// What goes wrong quickly: the test takes time enough.
fn set_faults(server: &Server, random: &mut fastrand::Rng) {
    let late = Duration::from_millis(40);
    let fates = [
        Fate::LateCommit(late, Meanwhile::Drop),
        Fate::LateCommit(late, Meanwhile::Answer(Answer::proxy(504))),
        Fate::HoldCommit(late),
        Fate::DropBefore,
        Fate::DropAfter,
        Fate::DropMidBody,
        Fate::Answer(Answer::proxy(502)),
        Fate::AnswerAfter(Answer::proxy(502)),
        Fate::AnswerAfter(Answer::text(200, "text/html", "<html>")),
        Fate::Maintenance,
        Fate::LockWait,
    ];
    for fate in fates {
        server.fault(Fault::new(fate.clone()).method("GET").sometimes(0.01, random.u64(..)));
        for method in ["POST", "PUT", "DELETE"] {
            server.fault(Fault::new(fate.clone()).method(method).sometimes(0.04, random.u64(..)));
        }
    }
}

/// One attempt at the event `id`, from reading to the end.
async fn attempt(rig: &Rig, id: &str) -> Result<Committed> {
    let store = &rig.store;
    let (kind, number) = id.trim_start_matches("evt_").split_once('_').unwrap();
    let name = format!("{kind}-{}", number.parse::<usize>().unwrap() % 3);
    match kind {
        "order" => store.commit(of_event(id, order(id))).await,
        "row" => {
            let stored = store.read(&key(&name)).await?;
            store.commit(row(id, stored.as_ref())).await
        }
        "named" => {
            let stored = store.read(&key(id)).await?;
            store.commit(of_event(id, put(stored.as_ref(), id, json!({ "n": 1 })))).await
        }
        _ => {
            let stored = store.read(&key(id)).await?;
            let write =
                Write::over(Target::Named(key(id)), stored.as_ref(), Change::Delete, Applied::new(), "kim");
            store.commit(of_event(id, write)).await
        }
    }
}

/// Attempts at events that have not ended, chosen at random, some of which die.
async fn work(rig: &Rig, open: &Mutex<Vec<String>>, attempts: &Mutex<usize>, mut random: fastrand::Rng) {
    loop {
        let id = {
            let open = open.lock().unwrap();
            let Some(id) = random.choice(open.iter()).cloned() else { return };
            let mut attempts = attempts.lock().unwrap();
            *attempts += 1;
            assert!(*attempts < MAX_ATTEMPTS, "these do not end: {open:?}");
            id
        };
        let dies_after = Duration::from_millis(if random.u8(..4) == 0 { random.u64(1..60) } else { 30_000 });
        match tokio::time::timeout(dies_after, attempt(rig, &id)).await {
            Ok(Ok(Committed::Now(_) | Committed::Before)) => {
                // It may be delivered once more all the same.
                if random.u8(..4) != 0 {
                    open.lock().unwrap().retain(|other| *other != id);
                }
            }
            Ok(Ok(other)) => panic!("{other:?}"),
            Ok(Err(error)) => {
                let in_the_way = error.code() == ErrorCode::DocumentExists;
                assert!(error.is_transient() || in_the_way, "{id}: {error:?}");
            }
            Err(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_have_one_effect_each_whatever_goes_wrong() {
    println!("CAUSEWAY_TEST_SEED={}", seed());
    let mut random = fastrand::Rng::with_seed(seed());
    let rig = Rig::prepared().await;
    for number in 0..3 {
        rig.write(put(None, &format!("row-{number}"), json!({}))).await;
    }
    let id = |kind: &str, number: usize| format!("evt_{kind}_{number:02}");
    for number in 0..EVENTS {
        rig.write(put(None, &id("gone", number), json!({}))).await;
    }
    let events: Vec<String> = ["order", "row", "named", "gone"]
        .into_iter()
        .flat_map(|kind| (0..EVENTS).map(move |number| format!("evt_{kind}_{number:02}")))
        .collect();
    set_faults(&rig.server, &mut random);
    let (open, attempts) = (Mutex::new(events.clone()), Mutex::new(0));
    join_all((0..WORKERS).map(|_| work(&rig, &open, &attempts, random.fork()))).await;
    settle(&rig).await;
    for id in &events {
        assert_eq!(rig.status(id).await, Some(EventStatus::Done), "{id}");
    }
    let mut orders: BTreeMap<String, usize> = BTreeMap::new();
    for order in rig.server.documents("Sales Order") {
        *orders.entry(order["po_no"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(orders.len(), EVENTS);
    assert!(orders.values().all(|count| *count == 1), "{orders:?}");
    let mut there: Vec<String> = (0..3).flat_map(|number| rows(&rig, &format!("row-{number}"))).collect();
    there.sort();
    assert_eq!(there, (0..EVENTS).map(|number| id("row", number)).collect::<Vec<_>>());
    let notes = rig.server.documents("Contract Note");
    let named = notes.iter().filter(|note| note["name"].as_str().unwrap().starts_with("evt_named")).count();
    assert_eq!((notes.len(), named), (3 + EVENTS, EVENTS), "what was to be deleted is gone");
}
