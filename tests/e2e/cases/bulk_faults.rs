//! DynamoDB fails in every way that it has, while bulk workers die: still one invoice an order, and exact counts.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{
    Case,
    bulk::{has_one_invoice_each, make_orders},
    storm::{number, seed, while_workers_die},
};
use crate::{hub::Hub, wait::wait_for, workers};

/// Orders of a storm.
const ORDERS: usize = 400;
/// Records of a storm that name no order.
const MISSING: usize = 5;
/// How often a call to DynamoDB fails. Each is tried three times by itself.
const OFTEN: f64 = 0.08;
/// How long DynamoDB fails altogether, once in a storm: longer than a call is tried.
const OUTAGE: Duration = Duration::from_millis(3_500);
/// How long a job may take.
const OVER: Duration = Duration::from_secs(240);
/// Seeds of storms, unless `CAUSEWAY_TEST_SEEDS` says how many.
const SEEDS: u64 = 1;

pub fn cases() -> Vec<Case> {
    if !workers::SUPPORTED {
        return Vec::new();
    }
    let storms: [(&str, Storm); 2] = [
        ("each_order_has_one_invoice_while_dynamodb_fails_and_workers_are_killed", all_is_made),
        ("a_job_cancelled_while_dynamodb_fails_and_workers_are_killed_counts_what_it_made", some_is_made),
    ];
    let storm = |(statement, storm): (&'static str, Storm)| {
        (1..=number("CAUSEWAY_TEST_SEEDS").unwrap_or(SEEDS)).map(move |n| {
            Case::new(module_path!(), &format!("{statement}_{n}"), move |hub, name| storm(hub, name, n))
        })
    };
    storms.into_iter().flat_map(storm).collect()
}

type Storm = fn(&Hub, &str, u64);

/// Asks until the hub can answer; what it answers then. While DynamoDB fails it says so, and nothing worse.
#[track_caller]
fn in_time(hub: &Hub, method: &str, path: &str, key: &str, body: Option<&Value>) -> Value {
    let own = hub.stack.variables.get("API_KEY").to_owned();
    let headers = [("X-API-Key", own.as_str()), ("Idempotency-Key", key)];
    let headers = if method == "GET" { &headers[..1] } else { &headers[..] };
    wait_for(&format!("an answer to {method} {path}"), OVER, || {
        let answer = hub.ask(method, path, headers, body);
        match answer.status {
            200 | 202 => Ok(answer.body["data"].clone()),
            503 => Err(answer.body),
            other => panic!("{method} {path}: {other} {}", answer.body),
        }
    })
}

/// Waits until every record is done, while DynamoDB still fails now and then.
#[track_caller]
fn wait_until_over(hub: &Hub, id: &str) -> Value {
    wait_for("the bulk transaction to be over", OVER, || {
        let job = in_time(hub, "GET", &format!("/v2/bulk-transactions/{id}"), "", None);
        if job["counts"]["pending"] == 0 {
            return Ok(job);
        }
        // A sweep that fails is followed by another.
        let _failed = hub.aws.try_invoke("BulkWorker", &json!({ "trigger": "sweep" }));
        Err(job)
    })
}

/// Asks for invoices of `names`, and sends chunks again as SQS may, while DynamoDB fails and workers are killed. What
/// `meanwhile` does with the job comes after the outage. The job's id.
fn storm(hub: &Hub, names: &[String], seed: u64, meanwhile: impl Fn(&str)) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let body = json!({ "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": names });
    hub.dynamodb().fail(OFTEN, seed);
    while_workers_die(hub, seed, || {
        let key = format!("ask-{}", names[0]);
        let job = in_time(hub, "POST", "/v2/bulk-transactions", &key, Some(&body));
        let id = job["id"].as_str().unwrap();
        for n in 0..20 {
            thread::sleep(Duration::from_millis(random.u64(20..250)));
            let message = json!({ "type": "bulk.chunk.v1", "job": id, "number": random.u32(0..16), "user": "Administrator" });
            hub.aws.send_to_bulk_queue(&message.to_string());
            if n == 1 {
                hub.dynamodb().fail(1.0, seed + 1);
                thread::sleep(OUTAGE);
                hub.dynamodb().fail(OFTEN, seed + 2);
                meanwhile(id);
            }
        }
        id.to_owned()
    })
}

/// Waits for the end of the job, and of its messages; the job then.
fn end(hub: &Hub, id: &str) -> Value {
    let over = wait_until_over(hub, id);
    let failed = hub.dynamodb().clear();
    println!("{failed} calls to DynamoDB failed");
    assert!(failed >= 10, "only {failed} calls failed: nothing was tried");
    wait_for("the queue to be empty", OVER, || match hub.aws.messages_on_bulk_queue() {
        0 => Ok(()),
        messages => Err(format!("{messages} messages")),
    });
    let still = in_time(hub, "GET", &format!("/v2/bulk-transactions/{id}"), "", None);
    assert_eq!(still["counts"], over["counts"], "what is over stays so");
    over
}

fn all_is_made(hub: &Hub, name: &str, n: u64) {
    let seed = seed(name, n);
    let tag = format!("FAULTS-{n}-{seed}");
    let mut names = make_orders(hub, &tag, 0..ORDERS);
    names.extend((0..MISSING).map(|n| format!("{tag}-nobody-{n}")));
    fastrand::Rng::with_seed(seed).shuffle(&mut names);
    let id = storm(hub, &names, seed, |_| {});
    let over = end(hub, &id);
    let counts = &over["counts"];
    assert_eq!((&counts["succeeded"], &counts["failed"]), (&json!(ORDERS), &json!(MISSING)), "{over}");
    assert_eq!(over["status"], "completed_with_failures");
    has_one_invoice_each(hub, &tag, &id, ORDERS);
}

fn some_is_made(hub: &Hub, name: &str, n: u64) {
    let seed = seed(name, n);
    let tag = format!("CANCELLED-{n}-{seed}");
    let names = make_orders(hub, &tag, 0..ORDERS);
    let id = storm(hub, &names, seed, |id| {
        in_time(hub, "POST", &format!("/v2/bulk-transactions/{id}/cancel"), &format!("{tag}-cancel"), None);
    });
    let over = end(hub, &id);
    let count = |name: &str| usize::try_from(over["counts"][name].as_u64().unwrap()).unwrap();
    assert_eq!((count("succeeded") + count("cancelled"), count("failed")), (ORDERS, 0), "{over}");
    assert!(count("cancelled") > 0, "it was over before: {over}");
    has_one_invoice_each(hub, &tag, &id, count("succeeded"));
}
