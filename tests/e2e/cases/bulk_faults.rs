//! DynamoDB fails in every way that it has, while bulk workers die: still one invoice an order, and exact counts, of a job
//! that is cancelled meanwhile too.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{
    Case,
    bulk::{has_one_invoice_each, make_orders, send_again},
    storm::{number, seed, while_workers_die},
};
use crate::{hub::Hub, wait::wait_for, workers};

/// Orders of a job.
const ORDERS: usize = 240;
/// Records of a job that name no order.
const MISSING: usize = 5;
/// How often a call to DynamoDB fails. Each is tried three times by itself.
const OFTEN: f64 = 0.08;
/// How long DynamoDB fails altogether, once in a storm: longer than a call is tried.
const OUTAGE: Duration = Duration::from_millis(3_500);
/// How long the jobs may take.
const OVER: Duration = Duration::from_secs(240);
/// Seeds of storms, unless `CAUSEWAY_TEST_SEEDS` says how many.
const SEEDS: u64 = 1;

pub fn cases() -> Vec<Case> {
    if !workers::SUPPORTED {
        return Vec::new();
    }
    (1..=number("CAUSEWAY_TEST_SEEDS").unwrap_or(SEEDS))
        .map(|n| {
            let statement =
                format!("each_order_has_one_invoice_while_dynamodb_fails_and_workers_are_killed_{n}");
            Case::new(module_path!(), &statement, move |hub, name| {
                each_order_has_one_invoice_while_dynamodb_fails_and_workers_are_killed(hub, name, n);
            })
        })
        .collect()
}

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

/// Asks for invoices of `names`; the job's id.
fn ask(hub: &Hub, names: &[String]) -> String {
    let body = json!({ "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": names });
    let job = in_time(hub, "POST", "/v2/bulk-transactions", &format!("ask-{}", names[0]), Some(&body));
    job["id"].as_str().unwrap().to_owned()
}

/// Asks for invoices of `names` and of `dropped`, and sends chunks again as SQS may, while DynamoDB fails and workers
/// are killed. After the outage the second job is cancelled. The ids of both.
fn storm(hub: &Hub, names: &[String], dropped: &[String], seed: u64) -> [String; 2] {
    let mut random = fastrand::Rng::with_seed(seed);
    hub.dynamodb().fail(OFTEN, seed);
    while_workers_die(hub, seed, || {
        let ids = [ask(hub, names), ask(hub, dropped)];
        for n in 0..20 {
            thread::sleep(Duration::from_millis(random.u64(20..250)));
            send_again(hub, &ids[random.usize(..ids.len())], random.u32(0..12));
            if n == 1 {
                hub.dynamodb().fail(1.0, seed + 1);
                thread::sleep(OUTAGE);
                hub.dynamodb().fail(OFTEN, seed + 2);
                let path = format!("/v2/bulk-transactions/{}/cancel", ids[1]);
                in_time(hub, "POST", &path, &format!("cancel-{}", dropped[0]), None);
            }
        }
        ids
    })
}

/// Waits for the end of the jobs, and of their messages; the jobs then.
fn ends(hub: &Hub, ids: &[String; 2]) -> [Value; 2] {
    let over = ids.each_ref().map(|id| wait_until_over(hub, id));
    let failed = hub.dynamodb().clear();
    println!("{failed} calls to DynamoDB failed");
    assert!(failed >= 10, "only {failed} calls failed: nothing was tried");
    wait_for("the queue to be empty", OVER, || match hub.aws.messages_on_bulk_queue() {
        0 => Ok(()),
        messages => Err(format!("{messages} messages")),
    });
    for (id, over) in ids.iter().zip(&over) {
        let still = in_time(hub, "GET", &format!("/v2/bulk-transactions/{id}"), "", None);
        assert_eq!(still["counts"], over["counts"], "what is over stays so");
    }
    over
}

fn each_order_has_one_invoice_while_dynamodb_fails_and_workers_are_killed(hub: &Hub, name: &str, n: u64) {
    let seed = seed(name, n);
    let (tag, dropped_tag) = (format!("FAULTS-{n}-{seed}"), format!("DROPPED-{n}-{seed}"));
    let mut names = make_orders(hub, &tag, 0..ORDERS);
    names.extend((0..MISSING).map(|n| format!("{tag}-nobody-{n}")));
    fastrand::Rng::with_seed(seed).shuffle(&mut names);
    let dropped = make_orders(hub, &dropped_tag, 0..ORDERS);
    let ids = storm(hub, &names, &dropped, seed);
    let [over, cancelled] = ends(hub, &ids);
    let count = |job: &Value, name: &str| usize::try_from(job["counts"][name].as_u64().unwrap()).unwrap();
    assert_eq!((count(&over, "succeeded"), count(&over, "failed")), (ORDERS, MISSING), "{over}");
    assert_eq!(over["status"], "completed_with_failures");
    has_one_invoice_each(hub, &tag, &ids[0], ORDERS);
    let made = count(&cancelled, "succeeded");
    assert_eq!(
        (made + count(&cancelled, "cancelled"), count(&cancelled, "failed")),
        (ORDERS, 0),
        "{cancelled}"
    );
    assert!(made < ORDERS, "it was over before it was cancelled: {cancelled}");
    has_one_invoice_each(hub, &dropped_tag, &ids[1], made);
}
