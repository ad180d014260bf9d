//! Bulk transactions: many orders become invoices, each an outcome of its own.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    hub::{Hub, encode},
    wait::wait_for,
};

/// Documents that one request creates.
const BATCH: usize = 50;
/// How long a job may take; each kill hides its chunk for 12 s.
const OVER: Duration = Duration::from_secs(240);

pub fn cases() -> Vec<Case> {
    cases![
        every_order_becomes_an_invoice_and_a_retry_mends_what_failed,
        what_is_billed_is_not_billed_again,
        a_cancelled_job_begins_nothing_more_and_counts_what_it_made,
        the_same_request_has_the_same_job,
        a_request_that_cannot_be_done_names_what_is_wrong,
        version_1_takes_what_frappe_s_clients_send,
    ]
}

/// The orders `{tag}-0` to `{tag}-{count}`, of the customer `tag`, submitted.
pub fn make_orders(hub: &Hub, tag: &str, range: std::ops::Range<usize>) -> Vec<String> {
    let names: Vec<String> = range.map(|n| format!("{tag}-{n}")).collect();
    for some in names.chunks(BATCH) {
        let orders: Vec<Value> = some.iter().map(|name| order(name, tag)).collect();
        let body = json!({ "docs": orders });
        let answer = hub.api("POST", "/api/method/frappe.client.insert_many", Some(&body));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    names
}

fn order(name: &str, customer: &str) -> Value {
    let row = |idx: usize, qty: usize, rate: usize| {
        json!({
            "name": format!("{name}-{idx}"), "idx": idx, "item_code": format!("ITEM-{idx}"), "uom": "Nos",
            "qty": qty, "rate": rate, "amount": qty * rate, "billed_amt": 0, "delivered_qty": 0,
        })
    };
    json!({
        "doctype": "Sales Order", "name": name, "docstatus": 1, "customer": customer, "company": "Hub Test Co",
        "currency": "USD", "conversion_rate": 1, "transaction_date": "2026-11-23",
        "total": 25, "net_total": 25, "grand_total": 25, "items": [row(1, 2, 10), row(2, 1, 5)],
    })
}

/// Asks for invoices of `names`; the job's id.
pub fn ask(hub: &Hub, names: &[String]) -> String {
    let body = json!({ "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": names });
    let answer = hub.api("POST", "/v2/bulk-transactions", Some(&body));
    let job = answer.data(202);
    assert_eq!(answer.header("location"), format!("/v2/bulk-transactions/{}", job["id"].as_str().unwrap()));
    job["id"].as_str().unwrap().to_owned()
}

pub fn job(hub: &Hub, id: &str) -> Value {
    hub.api("GET", &format!("/v2/bulk-transactions/{id}"), None).data(200).clone()
}

/// Waits until every record is done. The sweep comes when it comes, so it is called.
#[track_caller]
pub fn wait_until_over(hub: &Hub, id: &str) -> Value {
    wait_for("the bulk transaction to be over", OVER, || {
        let job = job(hub, id);
        let counts = &job["counts"];
        if counts["pending"] == 0 {
            return Ok(job);
        }
        hub.aws.invoke("BulkWorker", &json!({ "trigger": "sweep" }));
        Err(job)
    })
}

/// Sends the message of a chunk once more, as SQS may: of any, also of one that is done or was never there.
pub fn send_again(hub: &Hub, id: &str, number: u32) {
    let message = json!({ "type": "bulk.chunk.v1", "job": id, "number": number, "user": "Administrator" });
    hub.aws.send_to_bulk_queue(&message.to_string());
}

/// All records of a job that stand so.
pub fn records(hub: &Hub, id: &str, status: &str) -> Vec<Value> {
    hub.all(&format!("/v2/bulk-transactions/{id}/records?status={status}"), 500)
}

/// Holds that each record has one invoice of its own, and that there is no other one.
#[track_caller]
pub fn has_one_invoice_each(hub: &Hub, tag: &str, id: &str, count: usize) {
    let lines = records(hub, id, "succeeded");
    assert_eq!(lines.len(), count, "as many as are counted");
    let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let sources: BTreeSet<String> = lines.iter().map(|line| text(line, "name")).collect();
    let targets: BTreeSet<String> = lines.iter().map(|line| text(&line["target"], "name")).collect();
    assert_eq!((sources.len(), targets.len()), (count, count), "each has its own");
    let filters = encode(&json!([["customer", "=", tag]]).to_string());
    let invoices = hub.all(&format!("/v2/documents/Sales%20Invoice?filters={filters}"), 500);
    let names: BTreeSet<String> = invoices.iter().map(|invoice| text(invoice, "name")).collect();
    assert_eq!(names, targets, "no invoice is missing, none is doubled");
    for invoice in invoices {
        let orders: BTreeSet<Option<&str>> =
            invoice["items"].as_array().unwrap().iter().map(|row| row["sales_order"].as_str()).collect();
        assert_eq!((orders.len(), invoice["items"].as_array().unwrap().len()), (1, 2), "{invoice}");
    }
}

fn every_order_becomes_an_invoice_and_a_retry_mends_what_failed(hub: &Hub, _: &str) {
    let tag = "BULK-A";
    let mut names = make_orders(hub, tag, 0..195);
    names.extend((195..200).map(|n| format!("{tag}-{n}")));
    let id = ask(hub, &names);
    let over = wait_until_over(hub, &id);
    assert_eq!(over["status"], "completed_with_failures", "{over}");
    assert_eq!((&over["counts"]["succeeded"], &over["counts"]["failed"]), (&json!(195), &json!(5)));
    assert!(over["records_per_second"].as_f64().unwrap() > 0.0);
    let failed = records(hub, &id, "failed");
    assert!(failed.iter().all(|line| line["error"]["code"] == "document_not_found"), "{failed:?}");
    make_orders(hub, tag, 195..200);
    hub.api("POST", &format!("/v2/bulk-transactions/{id}/retry"), None).data(202);
    wait_for("the retry to succeed", OVER, || match job(hub, &id) {
        job if job["status"] == "completed" => Ok(()),
        job => Err(job),
    });
    has_one_invoice_each(hub, tag, &id, 200);
    let order = hub.document("Sales Order", "BULK-A-0");
    assert_eq!(order.data(200)["per_billed"], json!(100), "{}", order.body);
}

fn what_is_billed_is_not_billed_again(hub: &Hub, _: &str) {
    let tag = "BULK-B";
    let names = make_orders(hub, tag, 0..10);
    wait_until_over(hub, &ask(hub, &names));
    let again = ask(hub, &names);
    let over = wait_until_over(hub, &again);
    assert_eq!((&over["status"], &over["counts"]["failed"]), (&json!("failed"), &json!(10)), "{over}");
    let failed = records(hub, &again, "failed");
    assert!(failed.iter().all(|line| line["error"]["code"] == "nothing_to_map"), "{failed:?}");
}

fn a_cancelled_job_begins_nothing_more_and_counts_what_it_made(hub: &Hub, _: &str) {
    let tag = "BULK-C";
    let names = make_orders(hub, tag, 0..300);
    let id = ask(hub, &names);
    let cancelled = hub.api("POST", &format!("/v2/bulk-transactions/{id}/cancel"), None);
    assert_eq!(cancelled.data(200)["id"], json!(id));
    let over = wait_until_over(hub, &id);
    let count = |name: &str| over["counts"][name].as_u64().unwrap();
    assert_eq!(
        (&over["status"], count("succeeded") + count("cancelled")),
        (&json!("cancelled"), 300),
        "{over}"
    );
    assert!(count("cancelled") > 0, "{over}");
    let made = usize::try_from(count("succeeded")).unwrap();
    has_one_invoice_each(hub, tag, &id, made);
}

fn the_same_request_has_the_same_job(hub: &Hub, _: &str) {
    let names = make_orders(hub, "BULK-D", 0..3);
    let key = hub.stack.variables.get("API_KEY").to_owned();
    let headers = [("X-API-Key", key.as_str()), ("Idempotency-Key", "bulk-d")];
    let body = json!({ "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": names });
    let ask = || hub.ask("POST", "/v2/bulk-transactions", &headers, Some(&body));
    let (first, again) = (ask(), ask());
    assert_eq!(first.data(202)["id"], again.data(202)["id"]);
    wait_until_over(hub, first.data(202)["id"].as_str().unwrap());
}

fn a_request_that_cannot_be_done_names_what_is_wrong(hub: &Hub, _: &str) {
    let refused = |body: &Value, status: u16, code: &str| {
        hub.api("POST", "/v2/bulk-transactions", Some(body)).is_problem(status, code);
    };
    let body = |from: &str, to: &str, records: &Value| json!({ "from_doctype": from, "to_doctype": to, "records": records });
    refused(&body("Sales Order", "Customer", &json!(["A"])), 400, "invalid_input");
    refused(&body("Sales Order", "Sales Invoice", &json!([])), 400, "invalid_input");
    refused(&body("Sales Order", "Sales Invoice", &json!([{ "args": {} }])), 400, "invalid_input");
    refused(&body("User", "Sales Invoice", &json!(["A"])), 403, "permission_denied");
    let many: Vec<String> = (0..100_001).map(|n| n.to_string()).collect();
    refused(&body("Sales Order", "Sales Invoice", &json!(many)), 413, "body_too_large");
}

fn version_1_takes_what_frappe_s_clients_send(hub: &Hub, _: &str) {
    let names = make_orders(hub, "BULK-E", 0..4);
    let data: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    let body = json!({
        "data": Value::from(data).to_string(), "from_doctype": "Sales Order", "to_doctype": "Sales Invoice",
    });
    let path = "/api/method/erpnext.utilities.bulk_transaction.transaction_processing";
    let answer = hub.api("POST", path, Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let filters = encode(&json!([["customer", "=", "BULK-E"]]).to_string());
    wait_for("the invoices", OVER, || {
        let count = hub.api("GET", &format!("/v2/counts/Sales%20Invoice?filters={filters}"), None);
        if count.data(200)["count"] == 4 { Ok(()) } else { Err(count.body.clone()) }
    });
}
