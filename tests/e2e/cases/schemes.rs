//! Every signature scheme, from the signed request to the document.

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    hub::{Connector, Hub, event_id, mirror, now, order},
    signing::{sign, sign_ed25519},
    stack::repository,
};

pub fn cases() -> Vec<Case> {
    cases![
        a_frappe_webhook_becomes_a_document,
        a_github_webhook_becomes_an_issue,
        a_shopify_webhook_becomes_a_sales_order,
        a_stripe_webhook_becomes_a_payment_entry,
        a_standard_webhook_becomes_a_sales_invoice,
        a_standard_webhook_of_a_key_pair_needs_only_the_public_key,
        a_generic_webhook_becomes_a_shipment,
        recorded_erpnext_deliveries_mirror_their_documents,
    ]
}

/// Sends the sample of a seeded connector, and returns the log entry of its event, which is done, and its document.
fn send_sample(hub: &Hub, name: &str) -> (Value, Value) {
    let run = format!("{:x}", fastrand::u32(..));
    let text = std::fs::read_to_string(repository().join(format!("local/samples/{name}.json"))).unwrap();
    let sample: Value = serde_json::from_str(&text.replace("{run}", &run)).unwrap();
    let connector = hub.seeded(name);
    let body = sample["body"].to_string();
    let secret = hub.stack.variables.get(&format!("WEBHOOK_SECRET_{}", name.to_uppercase()));
    let mut headers = sign(&connector.scheme(), secret, body.as_bytes(), now(), &format!("msg_{run}"));
    headers.push(("Content-Type".into(), "application/json".into()));
    let own = sample["headers"].as_object().into_iter().flatten();
    headers.extend(own.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
    let id = event_id(&hub.post(&connector.path(None), &headers, body.as_bytes()));
    let entry = hub.wait_until(&id, "done");
    assert_eq!(entry["connector"], name);
    assert_eq!(entry["secret"], "current");
    let document = hub.document(text_of(&entry["document"]["doctype"]), text_of(&entry["document"]["name"]));
    let document = document.data(200).clone();
    assert_eq!(document["modified_by"], "integrations@causeway");
    (entry, document)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn a_frappe_webhook_becomes_a_document(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("order.*", "Frappe Order")] }));
    let entry = connector.settle("order.after_insert", &order("F-1", 0, 1, 9.99), "done");
    assert_eq!(entry["document"], json!({ "doctype": "Frappe Order", "name": "F-1" }));
    assert_eq!((entry["event"].as_str(), entry["attempts"].as_u64()), (Some("order.after_insert"), Some(1)));
    let document = hub.document("Frappe Order", "F-1").data(200).clone();
    assert_eq!(document["grand_total"], json!(9.99));
    assert_eq!((document["revision"].as_u64(), document["docstatus"].as_u64()), (Some(1), Some(0)));
}

fn a_github_webhook_becomes_an_issue(hub: &Hub, _: &str) {
    let (entry, issue) = send_sample(hub, "github");
    assert_eq!(entry["event"], "issues.opened");
    assert_eq!((text_of(&issue["name"]), text_of(&issue["status"])), ("acme/shop#7", "Open"));
}

fn a_shopify_webhook_becomes_a_sales_order(hub: &Hub, _: &str) {
    let (_, order) = send_sample(hub, "shopify");
    assert_eq!(order["name"], "SHOPIFY-820982911946154508");
    assert_eq!(order["items"][0]["item_code"], "IPOD2008GREEN");
}

fn a_stripe_webhook_becomes_a_payment_entry(hub: &Hub, _: &str) {
    let (_, payment) = send_sample(hub, "stripe");
    assert!(text_of(&payment["name"]).starts_with("ACC-PAY-"), "{payment}");
    assert_eq!(payment["paid_amount"].to_string(), "19.99");
}

fn a_standard_webhook_becomes_a_sales_invoice(hub: &Hub, _: &str) {
    let (_, invoice) = send_sample(hub, "standard");
    assert_eq!(invoice["status"], "Paid");
}

fn a_standard_webhook_of_a_key_pair_needs_only_the_public_key(hub: &Hub, name: &str) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = format!("whpk_{}", BASE64_STANDARD.encode(key.verifying_key().to_bytes()));
    let reference = format!("{name}/public");
    hub.aws.add_webhook_secrets([(reference.clone(), public)]);
    let connector = hub.connector(
        name,
        json!({
            "scheme": { "type": "standard" },
            "secrets": [{ "name": "public", "reference": reference }],
            "identity": { "by": "signed_id" },
            "rules": [mirror("*", "Key Pair Order")],
        }),
    );
    let body = order("K-1", 0, 1, 1.0).to_string();
    let headers = sign_ed25519(&key, body.as_bytes(), now(), "msg_1");
    let id = accept_when_the_secret_is_known(&connector, &headers, &body);
    assert_eq!(hub.wait_until(&id, "done")["secret"], "public");
    let forged = sign_ed25519(&SigningKey::from_bytes(&[8; 32]), body.as_bytes(), now(), "msg_2");
    let answer = hub.post(&connector.path(None), &forged, body.as_bytes());
    // An instance that has not seen the secret yet cannot verify anything.
    assert!(matches!(answer.status, 401 | 503), "{}", answer.body);
}

/// A secret that was added just now is known at the latest when the instance may look again.
fn accept_when_the_secret_is_known(
    connector: &Connector<'_>,
    headers: &[(String, String)],
    body: &str,
) -> String {
    let limit = std::time::Duration::from_secs(12);
    crate::wait::wait_for("the secret to be known", limit, || {
        let answer = connector.hub.post(&connector.path(None), &headers.to_vec(), body.as_bytes());
        if answer.status == 202 { Ok(event_id(&answer)) } else { Err(answer.body) }
    })
}

fn a_generic_webhook_becomes_a_shipment(hub: &Hub, _: &str) {
    let (_, shipment) = send_sample(hub, "generic");
    assert_eq!(shipment["carrier"], "Example Freight");
}

fn recorded_erpnext_deliveries_mirror_their_documents(hub: &Hub, _: &str) {
    let erpnext = hub.seeded("erpnext");
    let sent = [
        ("erpnext_customer_insert", "customer.after_insert", "done"),
        ("erpnext_sales_order_insert", "sales_order.after_insert", "done"),
        ("erpnext_sales_order_submit", "sales_order.on_update", "done"),
        ("erpnext_sales_order_submit_on_change", "sales_order.on_change", "superseded"),
        ("erpnext_sales_order_cancel", "sales_order.on_change", "done"),
    ];
    for (recording, event, status) in sent {
        let (headers, body) = recorded(recording);
        let id = event_id(&hub.post(&erpnext.path(Some(event)), &headers, &body));
        hub.wait_until(&id, status);
    }
    let order = hub.document("Sales Order", "SAL-ORD-2026-00167").data(200).clone();
    assert_eq!((order["docstatus"].as_u64(), order["grand_total"].to_string()), (Some(2), "9.99".into()));
    hub.document("Customer", "B Müller & Søn “Zürich” 东京").data(200);
    let (headers, body) = recorded("erpnext_unsigned");
    let answer = hub.post(&erpnext.path(Some("sales_order.after_insert")), &headers, &body);
    answer.is_problem(401, "signature_missing");
}

/// A recorded delivery: the headers that ERPNext chose, and the body as it was signed.
fn recorded(name: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let path = repository().join(format!("shared/fixtures/webhooks/{name}.raw"));
    let raw = std::fs::read(path).unwrap();
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let headers = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
    let chosen = headers.filter(|(name, _)| name.starts_with("X-") || *name == "Content-Type");
    (chosen.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), raw[end + 4..].to_vec())
}
