//! Bulk workers die at any instruction, messages come twice and in any order: still one invoice an order, and exact counts.

use std::{thread, time::Duration};

use serde_json::json;

use super::{
    Case,
    bulk::{ask, has_one_invoice_each, make_orders, send_again, wait_until_over},
    storm::{number, seed, while_workers_die},
};
use crate::{hub::Hub, wait::wait_for, workers};

/// Orders of a storm.
const ORDERS: usize = 600;
/// Seeds of storms, unless `CAUSEWAY_TEST_SEEDS` says how many.
const SEEDS: u64 = 2;
/// How long until no message is left.
const CALM: Duration = Duration::from_secs(120);

pub fn cases() -> Vec<Case> {
    if !workers::SUPPORTED {
        return Vec::new();
    }
    (1..=number("CAUSEWAY_TEST_SEEDS").unwrap_or(SEEDS))
        .map(|n| {
            let statement = format!("each_order_has_one_invoice_however_many_workers_are_killed_{n}");
            Case::new(module_path!(), &statement, move |hub, name| {
                each_order_has_one_invoice_however_many_workers_are_killed(hub, name, n);
            })
        })
        .collect()
}

fn each_order_has_one_invoice_however_many_workers_are_killed(hub: &Hub, name: &str, n: u64) {
    let seed = seed(name, n);
    // Storms with the same seed are told apart too: the stack is the same for all.
    let tag = format!("STORM-{n}-{seed}");
    let mut names = make_orders(hub, &tag, 0..ORDERS);
    let missing: Vec<String> = (0..7).map(|n| format!("{tag}-nobody-{n}")).collect();
    names.extend(missing.iter().cloned());
    fastrand::Rng::with_seed(seed).shuffle(&mut names);
    let mut random = fastrand::Rng::with_seed(seed);
    let id = while_workers_die(hub, seed, || {
        let id = ask(hub, &names);
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(random.u64(20..250)));
            send_again(hub, &id, random.u32(0..10));
        }
        id
    });
    let over = wait_until_over(hub, &id);
    let counts = &over["counts"];
    assert_eq!((&counts["succeeded"], &counts["failed"]), (&json!(ORDERS), &json!(7)), "{over}");
    assert_eq!(over["status"], "completed_with_failures");
    wait_for("the queue to be empty", CALM, || match hub.aws.messages_on_bulk_queue() {
        0 => Ok(()),
        messages => Err(format!("{messages} messages")),
    });
    has_one_invoice_each(hub, &tag, &id, ORDERS);
}
