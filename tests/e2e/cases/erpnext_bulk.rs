//! Bulk transactions on an ERPNext site: the site maps and saves, and one invoice is made of an order, however workers
//! and the site fail.

use std::{collections::BTreeSet, thread, time::Duration};

use erpnext_site::{Effect, Fault, Meanwhile};
use serde_json::{Value, json};

use super::{
    Case,
    bulk::{ask, job, records, send_again, wait_until_over},
    cases,
    erpnext_outage::health,
    storm::{seed, while_workers_die},
};
use crate::{
    hub::{Hub, SETTLE},
    wait::wait_for,
    workers,
};

/// Orders of a storm.
const ORDERS: usize = 80;
/// Orders of which some are left when the site goes down.
const MANY: usize = 200;
/// How often each fault strikes a request. There are several, and a record takes some requests.
const OFTEN: f64 = 0.004;
/// How long the site is down: some tries of each chunk.
const DOWN: Duration = Duration::from_secs(5);

pub fn cases() -> Vec<Case> {
    let mut cases = cases![no_record_fails_while_the_site_is_down];
    if workers::SUPPORTED {
        cases.extend(cases![each_order_has_one_invoice_while_workers_die_and_answers_are_lost]);
    }
    cases
}

/// Submitted orders of the site.
fn orders(hub: &Hub, count: usize) -> Vec<String> {
    let order = json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co", "delivery_date": "2026-11-30", "docstatus": 1,
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10, "delivery_date": "2026-11-30" }],
    });
    let insert =
        |_| hub.site().insert("Sales Order", order.clone()).unwrap()["name"].as_str().unwrap().to_owned();
    (0..count).map(insert).collect()
}

/// Holds that each of `names` has one invoice on the site, and that the job knows it.
#[track_caller]
fn has_one_invoice_each(hub: &Hub, names: &[String], id: &str) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = hub.site().documents("Sales Invoice").into_iter().map(Value::Object);
    let mut made: Vec<(String, String)> = all
        .map(|invoice| (text(&invoice["items"][0]["sales_order"]), text(&invoice["name"])))
        .filter(|(order, _)| names.contains(order))
        .collect();
    made.sort();
    let sources: BTreeSet<&String> = made.iter().map(|(order, _)| order).collect();
    assert_eq!((made.len(), sources.len()), (names.len(), names.len()), "one invoice an order: {made:?}");
    let lines = records(hub, id, "succeeded");
    let mut told: Vec<(String, String)> =
        lines.iter().map(|line| (text(&line["name"]), text(&line["target"]["name"]))).collect();
    told.sort();
    assert_eq!(told, made, "the job tells what was made");
}

#[track_caller]
fn is_completed(over: &Value, count: usize) {
    assert_eq!(
        (&over["status"], &over["counts"]["succeeded"]),
        (&json!("completed"), &json!(count)),
        "{over}"
    );
}

fn each_order_has_one_invoice_while_workers_die_and_answers_are_lost(hub: &Hub, name: &str) {
    let seed = seed(name, 1);
    let names = orders(hub, ORDERS);
    let late = Effect::LateCommit(Duration::from_millis(300), Meanwhile::Drop);
    let saving = [late, Effect::DropBefore, Effect::DropAfter, Effect::DropMidBody, Effect::LockWait];
    for (n, effect) in saving.into_iter().enumerate() {
        hub.site().fault(Fault::new(effect).path("resource/Sales Invoice").sometimes(OFTEN, seed + n as u64));
    }
    for (n, effect) in [Effect::DropBefore, Effect::DropMidBody].into_iter().enumerate() {
        hub.site().fault(Fault::new(effect).path("make_sales_invoice").sometimes(OFTEN, seed + 9 + n as u64));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let id = while_workers_die(hub, seed, || {
        let id = ask(hub, &names);
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(random.u64(20..500)));
            // There is work while workers die, and two of them on one chunk now and then.
            send_again(hub, &id, random.u32(0..4));
        }
        id
    });
    let over = wait_until_over(hub, &id);
    hub.site().clear_faults();
    is_completed(&over, ORDERS);
    has_one_invoice_each(hub, &names, &id);
}

fn no_record_fails_while_the_site_is_down(hub: &Hub, _: &str) {
    let before = hub.site().count("Sales Invoice");
    let names = orders(hub, MANY);
    let id = ask(hub, &names);
    wait_for("some invoices", SETTLE, || match hub.site().count("Sales Invoice") - before {
        made if made >= MANY / 6 => Ok(()),
        made => Err(made.to_string()),
    });
    hub.site().fault(Fault::new(Effect::Maintenance));
    wait_for("the breaker to open", SETTLE, || match health(hub) {
        health if health["breaker"]["state"] == "open" => Ok(()),
        health => Err(health),
    });
    thread::sleep(DOWN);
    let made = hub.site().count("Sales Invoice") - before;
    assert!(made < MANY, "all was made before the site went down: nothing was tried");
    let meanwhile = job(hub, &id);
    assert_eq!(
        (&meanwhile["status"], &meanwhile["counts"]["failed"]),
        (&json!("running"), &json!(0)),
        "{meanwhile}"
    );
    hub.site().clear_faults();
    is_completed(&wait_until_over(hub, &id), MANY);
    has_one_invoice_each(hub, &names, &id);
}
