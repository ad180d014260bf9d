//! Documents that live on an ERPNext site: what webhooks and callers do arrives there, once.

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    client::Answer,
    hub::{Connector, Hub, encode, event_id, mirror, order},
};

/// A DocType of the site that is named as one likes; others are beside it so that trials do not meet.
pub const NAMED: [&str; 4] = ["Site Order", "Site Note", "Odd Order", "Outage Order"];
/// A DocType of the site that is named by a series.
pub const NUMBERED: &str = "Storm Order";

pub fn cases() -> Vec<Case> {
    cases![
        a_webhook_becomes_a_document_of_the_site_and_its_repeat_nothing,
        a_late_webhook_changes_nothing_and_a_deleted_document_stays_deleted,
        an_event_waits_for_a_document_of_the_site_and_is_freed_by_its_webhook,
        an_event_waits_for_the_name_that_was_asked_for_although_the_site_gives_another,
        the_site_names_what_is_numbered_and_the_log_says_how,
        a_request_that_is_sent_again_makes_no_second_document,
        a_document_is_changed_by_whoever_saw_its_last_version,
        version_1_speaks_of_the_sites_documents_too,
        what_the_site_refuses_says_why,
        users_settings_and_logs_stay_where_they_are,
        the_calls_of_a_request_are_found_by_the_id_that_its_answer_has,
        the_calls_of_an_event_are_in_its_log_without_secrets,
        a_mirror_of_the_site_into_itself_is_refused,
    ]
}

/// The documents on the site whose `field` is `value`.
fn on_site(hub: &Hub, doctype: &str, field: &str, value: &str) -> Vec<Value> {
    let all = hub.site().documents(doctype).into_iter().map(Value::Object);
    all.filter(|document| document[field] == value).collect()
}

/// A connector that mirrors orders to the site, and deletes them.
fn orders<'a>(hub: &'a Hub, name: &str) -> Connector<'a> {
    let remove = crate::hub::delete("order.on_trash", "Site Order");
    let secrets = json!([
        { "name": "current", "reference": format!("{name}/current") },
        { "name": "trash", "reference": format!("{name}/own"), "event": "order.on_trash" },
    ]);
    hub.connector(name, json!({ "secrets": secrets, "rules": [remove, mirror("order.*", "Site Order")] }))
}

fn a_webhook_becomes_a_document_of_the_site_and_its_repeat_nothing(hub: &Hub, name: &str) {
    let connector = orders(hub, name);
    let delivery = order("W-1", 0, 1, 12.5);
    let entry = connector.settle("order.after_insert", &delivery, "done");
    assert_eq!(entry["document"], json!({ "doctype": "Site Order", "name": "W-1" }));
    let written = hub.site().document("Site Order", "W-1").unwrap();
    assert_eq!((&written["customer"], &written["grand_total"]), (&json!("Hub Customer 0"), &json!(12.5)));
    connector.settle("order.after_insert", &delivery, "done");
    hub.wait_until_queues_are_empty();
    assert_eq!(hub.site().document("Site Order", "W-1").unwrap(), written, "not even touched");
    connector.settle("order.on_update", &order("W-1", 0, 2, 13.0), "done");
    let read = hub.document("Site Order", "W-1").data(200).clone();
    assert_eq!(read["grand_total"].as_f64(), Some(13.0), "{read}");
}

fn a_late_webhook_changes_nothing_and_a_deleted_document_stays_deleted(hub: &Hub, name: &str) {
    let connector = orders(hub, name);
    connector.settle("order.on_update", &order("L-1", 0, 20, 20.0), "done");
    connector.settle("order.on_update", &order("L-1", 0, 10, 10.0), "superseded");
    assert_eq!(hub.site().document("Site Order", "L-1").unwrap()["grand_total"], 20.0);
    let trash = order("L-1", 0, 30, 20.0).to_string();
    let headers = connector.signed_by("own", trash.as_bytes());
    let gone = event_id(&hub.post(&connector.path(Some("order.on_trash")), &headers, trash.as_bytes()));
    hub.wait_until(&gone, "done");
    connector.settle("order.on_update", &order("L-1", 0, 25, 25.0), "superseded");
    assert_eq!(hub.site().document("Site Order", "L-1"), None);
}

/// A rule for notes that need their order.
fn note_of(doctype: &str) -> Value {
    json!({
        "event": "note.*",
        "effect": {
            "action": "upsert",
            "doctype": "Site Note",
            "name": "/name",
            "requires": [{ "doctype": doctype, "name": "/against" }],
            "mapping": { "copy": ["against"] },
        },
    })
}

/// Delivers a note, which must wait for its order.
#[track_caller]
fn park(connector: &Connector<'_>, note: &str, against: &str) -> String {
    let body = json!({ "name": note, "against": against, "modified": "2026-11-22 19:12:25.000001" });
    let id = connector.accept("note.on_submit", &body);
    assert_eq!(connector.hub.wait_until(&id, "parked")["error"]["code"], "parent_missing");
    id
}

fn an_event_waits_for_the_name_that_was_asked_for_although_the_site_gives_another(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [note_of("Sales Order")] }));
    let id = park(&connector, "N-2", "ASKED-1");
    let body = json!({
        "name": "ASKED-1", "customer": "Hub Customer 0", "company": "Hub Test Co", "delivery_date": "2026-12-01",
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 1, "rate": 10 }],
    });
    let made = hub.api("POST", "/v2/documents/Sales%20Order", Some(&body)).data(201).clone();
    assert_ne!(made["name"], "ASKED-1", "it is named by a series");
    hub.wait_until(&id, "done");
    assert_eq!(hub.document("Sales Order", "ASKED-1").data(200)["name"], made["name"]);
}

fn an_event_waits_for_a_document_of_the_site_and_is_freed_by_its_webhook(hub: &Hub, name: &str) {
    let rules = json!([mirror("order.*", "Site Order"), note_of("Site Order")]);
    let connector = hub.connector(name, json!({ "rules": rules }));
    let id = park(&connector, "N-1", "P-1");
    connector.settle("order.after_insert", &order("P-1", 0, 1, 1.0), "done");
    hub.wait_until(&id, "done");
    assert_eq!(hub.site().document("Site Note", "N-1").unwrap()["against"], "P-1");
}

fn the_site_names_what_is_numbered_and_the_log_says_how(hub: &Hub, name: &str) {
    let create = json!({
        "event": "*",
        "effect": {
            "action": "create",
            "doctype": "Sales Order",
            "series": "SAL-ORD-.YYYY.-.#####",
            "mapping": { "copy": ["customer", "company", "po_no", "delivery_date", "items"] },
        },
    });
    let connector = hub.connector(name, json!({ "rules": [create] }));
    let mut body = order(name, 0, 1, 1.0);
    body["company"] = "Hub Test Co".into();
    body["po_no"] = name.into();
    body["delivery_date"] = "2026-12-01".into();
    body["items"] = json!([{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10 }]);
    let entry = connector.settle("order.placed", &body, "done");
    let made = on_site(hub, "Sales Order", "po_no", name);
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(entry["document"]["name"], made[0]["name"]);
    assert!(made[0]["name"].as_str().unwrap().starts_with("SAL-ORD-"), "{}", made[0]);
    assert_eq!(made[0]["grand_total"].as_f64(), Some(20.0), "what the site computes");
    let read = hub.document("Sales Order", made[0]["name"].as_str().unwrap()).data(200).clone();
    assert_eq!(read["items"][0]["qty"].as_f64(), Some(2.0), "{read}");
}

/// Posts an order with an idempotency key.
fn place(hub: &Hub, key: &str, body: &Value) -> Answer {
    let api_key = hub.stack.variables.get("API_KEY").to_owned();
    let headers = [("X-API-Key", api_key.as_str()), ("Idempotency-Key", key)];
    hub.ask("POST", "/v2/documents/Site%20Order", &headers, Some(body))
}

fn a_request_that_is_sent_again_makes_no_second_document(hub: &Hub, name: &str) {
    let body = json!({ "name": "K-1", "customer": name, "grand_total": 5 });
    let first = place(hub, name, &body);
    first.data(201);
    let again = place(hub, name, &body);
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = json!({ "name": "K-2", "customer": name });
    place(hub, name, &other).is_problem(422, "idempotency_key_reused");
    place(hub, &format!("{name}-2"), &body).is_problem(409, "document_exists");
    assert_eq!(on_site(hub, "Site Order", "customer", name).len(), 1);
}

fn a_document_is_changed_by_whoever_saw_its_last_version(hub: &Hub, _: &str) {
    let path = "/v2/documents/Site%20Order/C-1";
    let api_key = hub.stack.variables.get("API_KEY").to_owned();
    let tagged = |method: &str, tag: &str, body: Option<&Value>| {
        hub.ask(method, path, &[("X-API-Key", &api_key), ("If-Match", tag)], body)
    };
    let made = hub.api("POST", "/v2/documents/Site%20Order", Some(&json!({ "name": "C-1", "note": "a" })));
    made.data(201);
    let first = made.header("etag").to_owned();
    let changed = tagged("PATCH", &first, Some(&json!({ "note": "b" })));
    assert_eq!(changed.data(200)["note"], "b");
    tagged("PATCH", &first, Some(&json!({ "note": "c" }))).is_problem(412, "precondition_failed");
    // Someone works on the site meanwhile.
    hub.site().change("Site Order", "C-1", json!({ "note": "by hand" })).unwrap();
    tagged("PATCH", changed.header("etag"), Some(&json!({ "note": "d" })))
        .is_problem(412, "precondition_failed");
    let listed = hub.all(
        &format!(
            "/v2/documents/Site%20Order?filters={}&fields={}",
            encode(r#"[["note","=","by hand"]]"#),
            encode(r#"["name","note"]"#)
        ),
        10,
    );
    assert_eq!(listed, [json!({ "name": "C-1", "note": "by hand" })]);
    let counted = hub.api(
        "GET",
        &format!("/v2/counts/Site%20Order?filters={}", encode(r#"[["name","=","C-1"]]"#)),
        None,
    );
    assert_eq!(counted.data(200)["count"], 1, "{}", counted.body);
    let now = hub.document("Site Order", "C-1");
    assert_eq!(tagged("DELETE", now.header("etag"), None).status, 204);
    hub.document("Site Order", "C-1").is_problem(404, "document_not_found");
    assert_eq!(hub.site().document("Site Order", "C-1"), None);
}

fn version_1_speaks_of_the_sites_documents_too(hub: &Hub, _: &str) {
    let resource = "/api/resource/Site%20Order";
    let made = hub.api("POST", resource, Some(&json!({ "name": "V-1", "note": "a" }))).data(200).clone();
    assert_eq!(made["name"], "V-1");
    hub.api("PUT", &format!("{resource}/V-1"), Some(&json!({ "note": "frappe" }))).data(200);
    let listed =
        hub.api("GET", &format!("{resource}?filters={}", encode(r#"[["note","=","frappe"]]"#)), None);
    assert_eq!(listed.data(200), &json!([{ "name": "V-1" }]));
    let read = hub.api("GET", &format!("{resource}/V-1"), None).data(200).clone();
    assert_eq!((&read["note"], &read["doctype"]), (&json!("frappe"), &json!("Site Order")));
    assert_eq!(hub.api("DELETE", &format!("{resource}/V-1"), None).status, 202);
    assert_eq!(hub.site().document("Site Order", "V-1"), None);
}

fn what_the_site_refuses_says_why(hub: &Hub, name: &str) {
    let create = json!({
        "event": "*",
        "effect": {
            "action": "create",
            "doctype": "Sales Order",
            "series": "SAL-ORD-.YYYY.-.#####",
            "mapping": { "copy": ["customer"] },
        },
    });
    let connector = hub.connector(name, json!({ "rules": [create] }));
    let mut body = order(name, 0, 1, 1.0);
    body["customer"] = "Nobody We Know".into();
    let id = connector.accept("order.placed", &body);
    let entry = hub.wait_until(&id, "dead");
    assert_eq!(entry["error"]["code"], "provider_refused", "{entry}");
    assert!(entry["error"]["detail"].as_str().unwrap().len() > 20, "{entry}");
    let answer =
        hub.api("POST", "/v2/documents/Sales%20Order", Some(&json!({ "customer": "Nobody We Know" })));
    answer.is_problem(422, "provider_refused");
}

fn users_settings_and_logs_stay_where_they_are(hub: &Hub, _: &str) {
    hub.site().forget_requests();
    for path in ["/v2/users", "/v2/roles", "/v2/connectors", "/v2/api-keys", "/v2/parked", "/v2/me"] {
        assert_eq!(hub.api("GET", path, None).status, 200, "{path}");
    }
    let role = json!({ "documents": [{ "doctype": "Site Order", "read": true }] });
    assert!(matches!(hub.api("PUT", "/v2/roles/Site%20Reader", Some(&role)).status, 200 | 201));
    for doctype in ["User", "Role", "API Key", "Integration Settings"] {
        let path = format!("/v2/documents/{}", encode(doctype));
        hub.api("GET", &path, None).is_problem(403, "permission_denied");
        hub.api("POST", &path, Some(&json!({ "name": "x" }))).is_problem(403, "permission_denied");
    }
    for doctype in ["/User", "/Role"] {
        assert_eq!(hub.site().requested("GET", doctype) + hub.site().requested("POST", doctype), 0);
    }
    let items = hub.api("GET", "/v2/items", None);
    items.is_problem(422, "store_unsupported");
    hub.api("GET", "/v2/reports/sales?company=Hub&from_date=2026-11-01", None)
        .is_problem(422, "store_unsupported");
}

fn the_calls_of_a_request_are_found_by_the_id_that_its_answer_has(hub: &Hub, _: &str) {
    let answer = hub.document("Site Order", "NOT-THERE");
    answer.is_problem(404, "document_not_found");
    let calls = hub.api("GET", &format!("/v2/calls/{}", encode(answer.header("x-request-id"))), None);
    let call = &calls.data(200)["calls"][0];
    assert_eq!((&call["status"], &call["outcome"]), (&json!(404), &json!("refused")), "{call}");
}

fn the_calls_of_an_event_are_in_its_log_without_secrets(hub: &Hub, name: &str) {
    let connector = orders(hub, name);
    let entry = connector.settle("order.after_insert", &order("T-1", 0, 1, 1.0), "done");
    let id = entry["id"].as_str().unwrap();
    let calls = crate::wait::wait_for("the calls to be logged", crate::hub::SETTLE, || {
        let entry = hub.entry(id).unwrap();
        match entry["calls"].as_array() {
            Some(calls) if !calls.is_empty() => Ok(calls.clone()),
            _ => Err(entry),
        }
    });
    let made: Vec<_> = calls
        .iter()
        .filter(|call| call["endpoint"].as_str().unwrap().starts_with("POST /api/resource"))
        .collect();
    assert_eq!(made.len(), 1, "{calls:?}");
    assert_eq!((&made[0]["status"], &made[0]["outcome"]), (&json!(200), &json!("success")), "{}", made[0]);
    let user = erpnext_site::hub();
    let logged = hub.aws.log_lines().into_iter().map(|(_, line)| line).collect::<String>();
    for secret in [user.secret.as_str(), &format!("{}:{}", user.key, user.secret)] {
        assert!(!Value::from(calls.clone()).to_string().contains(secret), "a secret is in the call log");
        assert!(!logged.contains(secret), "a secret is in a function's log");
    }
}

fn a_mirror_of_the_site_into_itself_is_refused(hub: &Hub, _: &str) {
    // What `make seed` would put for the built-in store.
    let mirror: Value = serde_json::from_str(include_str!("../../../local/connectors/erpnext.json")).unwrap();
    let answer = hub.api("PUT", "/v2/connectors/erpnext", Some(&mirror));
    answer.is_problem(400, "invalid_input");
    assert_eq!(answer.body["errors"][0]["code"], "circle");
    let left = hub.api("GET", "/v2/connectors/erpnext", None).data(200).clone();
    assert_eq!(left["rules"], json!([]), "seeded without rules");
}
