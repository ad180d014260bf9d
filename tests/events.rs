//! The sample events in `events/` are what the functions are triggered with: each is read as its function reads
//! it. Use them with `cargo lambda invoke --data-file events/NAME.json FUNCTION`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test: a panic is how it fails")]

#[allow(dead_code, reason = "it signs for the end-to-end tests too")]
#[path = "e2e/signing.rs"]
mod signing;

use std::{collections::BTreeSet, fs, path::Path};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use causeway::{
    documents::Stored,
    queue::{InboundEvent, Message, Travels},
    trigger::{
        http::Request,
        queue::{Task, Trigger},
        stream::{StreamEvent, StreamRecord},
    },
};
use serde_json::{Value, json};

/// The secret of the recorded deliveries, which the local stack has too.
const SECRET: &str = "hub-test-secret-1";

/// Every sample, each with its test below.
const SAMPLES: [&str; 9] = [
    "api-get-document",
    "bulk-worker-sweep",
    "document-events-stream",
    "event-worker-dlq",
    "event-worker-parked",
    "event-worker-sqs",
    "event-worker-sweep",
    "webhook-ingest",
    "webhook-ingest-base64",
];

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../events"))
}

fn sample(name: &str) -> String {
    assert!(SAMPLES.contains(&name), "{name} is missing among the samples");
    fs::read_to_string(directory().join(format!("{name}.json"))).unwrap()
}

fn request(name: &str) -> Request {
    let event: ApiGatewayV2httpRequest = serde_json::from_str(&sample(name)).unwrap();
    event.into()
}

/// The messages of a batch, each with the ARN of its queue.
fn batch(name: &str) -> Vec<(Message, String)> {
    match serde_json::from_str(&sample(name)).unwrap() {
        Trigger::Batch(batch) => batch
            .records
            .into_iter()
            .map(|record| {
                assert!(record.message_id.is_some() && record.receipt_handle.is_some(), "{name}");
                (Message::decode(&record.body.unwrap()).unwrap(), record.event_source_arn.unwrap())
            })
            .collect(),
        Trigger::Scheduled { .. } => panic!("{name} is no batch"),
    }
}

fn event(message: &Message) -> &InboundEvent {
    match message {
        Message::Webhook(event) => event,
        Message::Parked { id } => panic!("names the parked item {id}"),
    }
}

/// Asserts that the request is signed as ERPNext signs.
#[track_caller]
fn is_signed(request: &Request) {
    let expected = signing::sign(&json!({ "type": "frappe" }), SECRET, request.body().unwrap(), 0, "");
    for (name, value) in expected {
        assert_eq!(request.headers[name], value);
    }
}

#[test]
fn every_sample_has_a_test() {
    let files = fs::read_dir(directory()).unwrap().map(|file| file.unwrap().file_name());
    let files: BTreeSet<String> =
        files.map(|name| name.to_str().unwrap().trim_end_matches(".json").to_owned()).collect();
    assert_eq!(files, SAMPLES.map(ToOwned::to_owned).into());
}

#[test]
fn webhook_ingest_is_a_delivery_with_erpnexts_own_signature() {
    let request = request("webhook-ingest");
    let asked = (request.method.as_str(), request.path.as_str());
    assert_eq!(asked, ("POST", "/webhooks/erpnext/sales_order.after_insert"));
    is_signed(&request);
    let payload: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
    assert_eq!(payload["name"], "SAL-ORD-2026-00167");
}

#[test]
fn webhook_ingest_base64_is_a_delivery_whose_body_the_gateway_encoded() {
    let request = request("webhook-ingest-base64");
    assert_eq!(request.path, "/webhooks/erpnext/customer.after_insert");
    is_signed(&request);
    let payload: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
    assert_eq!(payload["event"], "customer.created");
}

#[test]
fn api_get_document_asks_with_a_key() {
    let request = request("api-get-document");
    assert_eq!(request.method, "GET");
    assert_eq!(request.path, "/v2/documents/Sales%20Order/SAL-ORD-2026-00167");
    assert!(request.headers["x-api-key"].to_str().unwrap().starts_with("key_admin."));
}

#[test]
fn event_worker_sqs_is_a_batch_of_accepted_events() {
    let batch = batch("event-worker-sqs");
    let names: Vec<&str> = batch.iter().map(|(message, _)| event(message).event.as_str()).collect();
    assert_eq!(names, ["sales_order.after_insert", "customer.created"]);
    for (message, queue) in &batch {
        assert!(queue.contains("EventsQueue"), "{queue}");
        let event = event(message);
        assert_eq!((event.connector.as_str(), event.id.len()), ("erpnext", 36));
        serde_json::from_slice::<Value>(&event.body.decode().unwrap()).unwrap();
    }
    let bodies = ["webhook-ingest", "webhook-ingest-base64"].map(|name| request(name).body.unwrap());
    let carried: Vec<Vec<u8>> =
        batch.iter().map(|(message, _)| event(message).body.decode().unwrap()).collect();
    assert_eq!(carried, bodies, "they are what became of the webhook samples");
}

#[test]
fn event_worker_parked_names_a_parked_item() {
    let batch = batch("event-worker-parked");
    assert!(matches!(&batch[..], [(Message::Parked { id }, _)] if id.starts_with("evt_")), "{batch:?}");
}

#[test]
fn event_worker_dlq_comes_from_the_dead_letter_queue() {
    let batch = batch("event-worker-dlq");
    let [(message, queue)] = &batch[..] else { panic!("{batch:?}") };
    assert!(queue.contains("EventsDlq"), "{queue}");
    assert_eq!(event(message).event, "sales_order.on_update");
}

#[test]
fn sweeps_are_what_the_schedules_send() {
    for name in ["event-worker-sweep", "bulk-worker-sweep"] {
        let trigger: Trigger = serde_json::from_str(&sample(name)).unwrap();
        assert!(matches!(trigger, Trigger::Scheduled { trigger: Task::Sweep }), "{trigger:?}");
    }
}

#[test]
fn document_events_stream_is_a_batch_of_changed_documents() {
    let event: StreamEvent = serde_json::from_str(&sample("document-events-stream")).unwrap();
    let changes: Vec<_> = event.records.into_iter().filter_map(StreamRecord::change).collect();
    let documents: Vec<String> = changes.iter().map(|change| change.document.to_string()).collect();
    assert_eq!(documents, ["Item SKU-001", "Sales Invoice ACC-SINV-2026-00001", "Item SKU-000"]);
    let stored: Vec<Stored> = changes.into_iter().map(|change| change.stored.unwrap()).collect();
    let [Stored::Live(_), Stored::Live(invoice), Stored::Deleted(gone)] = &stored[..] else {
        panic!("{stored:?}")
    };
    assert_eq!((invoice.fields["base_grand_total"].to_string().as_str(), gone.revision), ("9.99", 3));
}
