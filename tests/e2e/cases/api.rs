//! The API's contract: problems, keys, permissions, pages.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Case, cases};
use crate::hub::{Hub, mirror, order};

pub fn cases() -> Vec<Case> {
    cases![
        health_needs_no_key,
        every_error_is_a_problem_with_a_stable_code,
        a_missing_or_wrong_key_is_401,
        system_doctypes_are_out_of_reach,
        documents_are_listed_page_by_page_without_loss,
        the_log_is_listed_page_by_page_without_loss,
        documents_are_created_by_name_by_series_and_without_either,
        faults_in_connector_settings_are_named_by_field,
        a_connector_says_where_to_post_and_how_it_does,
        only_json_is_taken_as_json,
    ]
}

fn health_needs_no_key(hub: &Hub, _: &str) {
    let answer = hub.api_with_key("GET", "/health", None, None);
    assert_eq!(answer.data(200)["status"], "ok");
}

fn every_error_is_a_problem_with_a_stable_code(hub: &Hub, _: &str) {
    hub.api("GET", "/v2/nothing", None).is_problem(404, "route_not_found");
    let answer = hub.api("DELETE", "/v2/documents/Order", None);
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, POST");
    hub.document("Order", "none").is_problem(404, "document_not_found");
    hub.api("GET", "/v2/connectors/none", None).is_problem(404, "unknown_connector");
    hub.api("GET", "/v2/integration-logs/evt_0", None).is_problem(404, "log_not_found");
    for (path, field) in [
        ("/v2/documents/Order?limit=0", "limit"),
        ("/v2/documents/Order?limit=501", "limit"),
        ("/v2/documents/Order?ordr=asc", "ordr"),
        ("/v2/documents/Order?order_by=total", "order_by"),
        ("/v2/integration-logs?status=gone", "status"),
        ("/v2/integration-logs?from=yesterday", "from"),
        ("/v2/parked?state=lost", "state"),
    ] {
        let answer = hub.api("GET", path, None);
        answer.is_problem(400, "invalid_input");
        assert_eq!(answer.body["errors"][0]["field"], field, "{path}: {}", answer.body);
    }
    let backwards =
        "/v2/integration-logs?connector=erpnext&from=2026-11-22T10:00:00Z&to=2026-11-22T09:00:00Z";
    hub.api("GET", backwards, None).is_problem(400, "invalid_input");
    for path in ["/v2/documents/Order?cursor=x", "/v2/parked?cursor=x", "/v2/integration-logs?cursor=x"] {
        hub.api("GET", path, None).is_problem(400, "invalid_input");
    }
}

fn a_missing_or_wrong_key_is_401(hub: &Hub, _: &str) {
    let ask = |key: Option<&str>| hub.api_with_key("GET", "/v2/connectors", None, key);
    let right = hub.stack.variables.get("API_KEY");
    let missing = ask(None);
    missing.is_problem(401, "api_key_missing");
    assert!(missing.header("www-authenticate").contains("ApiKey"), "{:?}", missing.headers);
    let wrong = format!("{}x", &right[..right.len() - 1]);
    for key in ["x", "key_admin", "key_admin.", "key_other.abc", &wrong, &format!("{right}x")] {
        ask(Some(key)).is_problem(401, "api_key_invalid");
    }
    ask(Some(right)).data(200);
    // A route that does not exist tells nothing more without a key.
    assert_eq!(hub.api_with_key("GET", "/v2/parked/evt_0", None, None).status, 401);
}

fn system_doctypes_are_out_of_reach(hub: &Hub, _: &str) {
    for doctype in ["Integration%20Settings", "integration%20settings", "User", "API%20Key", "Role"] {
        let path = format!("/v2/documents/{doctype}");
        hub.api("GET", &path, None).is_problem(403, "permission_denied");
        hub.api("GET", &format!("{path}/erpnext"), None).is_problem(403, "permission_denied");
        hub.api("POST", &path, Some(&json!({ "name": "x" }))).is_problem(403, "permission_denied");
    }
}

fn documents_are_listed_page_by_page_without_loss(hub: &Hub, _: &str) {
    let created: BTreeSet<String> = (0..45).map(|i| format!("PAGE/{i:02} ü")).collect();
    for name in &created {
        let answer = hub.api("POST", "/v2/documents/Paged%20Order", Some(&json!({ "name": name, "n": 1 })));
        assert_eq!(answer.data(201)["name"], **name);
    }
    for order in ["asc", "desc"] {
        let listed = hub.all(&format!("/v2/documents/Paged%20Order?order_by=modified%20{order}"), 7);
        assert_eq!(listed.len(), created.len(), "{order}");
        let names: BTreeSet<String> =
            listed.iter().map(|document| document["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, created, "{order}");
        let times: Vec<&str> = listed.iter().map(|document| document["modified"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| if order == "asc" { a <= b } else { a >= b }), "{times:?}");
    }
}

fn the_log_is_listed_page_by_page_without_loss(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Logged Order")] }));
    let ids: BTreeSet<String> =
        (0..25).map(|i| connector.accept("order.insert", &order(&format!("L-{i}"), 0, i, 1.0))).collect();
    for id in &ids {
        hub.wait_until(id, "done");
    }
    let path = format!("/v2/integration-logs?connector={name}");
    let listed = hub.all(&path, 4);
    let listed_ids: BTreeSet<String> =
        listed.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((listed.len(), &listed_ids), (ids.len(), &ids));
    let times: Vec<&str> = listed.iter().map(|entry| entry["received_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    let one = hub.all(&format!("{path}&doctype=Logged%20Order&name=L-3"), 10);
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(hub.all(&format!("{path}&status=dead"), 10), Vec::<Value>::new());
    // Over all connectors it is among the rest.
    let everything = hub.all("/v2/integration-logs", 100);
    let found = everything.iter().filter(|entry| entry["connector"] == name).count();
    assert_eq!(found, ids.len());
}

fn documents_are_created_by_name_by_series_and_without_either(hub: &Hub, _: &str) {
    let create = |body: Value| hub.api("POST", "/v2/documents/Api%20Order", Some(&body));
    let named = create(json!({ "name": "A/1 ü", "customer": "C" }));
    assert_eq!(named.data(201)["customer"], "C");
    let found = hub.api("GET", named.header("location"), None);
    assert_eq!(found.data(200), named.data(201));
    create(json!({ "name": "A/1 ü" })).is_problem(409, "document_exists");
    let numbered = create(json!({ "naming_series": "API-.YYYY.-.###" }));
    assert!(numbered.data(201)["name"].as_str().unwrap().starts_with("API-20"), "{}", numbered.body);
    assert_eq!(create(json!({ "x": 1 })).data(201)["name"].as_str().unwrap().len(), 10);
    assert_eq!(create(json!({ "docstatus": 1 })).data(201)["docstatus"], 1);
    for (body, field) in [
        (json!({ "docstatus": 2 }), "/docstatus"),
        (json!({ "revision": 3 }), "/revision"),
        (json!({ "doctype": "Other" }), "/doctype"),
        (json!({ "name": 1 }), "/name"),
    ] {
        let answer = create(body);
        answer.is_problem(400, "invalid_input");
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.body);
    }
    hub.api("POST", "/v2/documents/Api%20Order", None).is_problem(400, "empty_body");
}

fn faults_in_connector_settings_are_named_by_field(hub: &Hub, name: &str) {
    let settings = json!({
        "user": "mallory",
        "scheme": { "type": "generic", "header": "X Y", "algorithm": "sha256", "encoding": "hex" },
        "secrets": [{ "name": "a", "reference": "other/secret" }],
        "identity": { "by": "signed_id" },
        "max_body_bytes": 0,
        "rules": [
            { "event": "a*b", "effect": { "action": "handler", "handler": "nothing" } },
            { "event": "*", "effect": { "action": "upsert", "doctype": "User", "name": "no pointer" } },
        ],
    });
    let path = format!("/v2/connectors/{name}");
    let answer = hub.api("PUT", &path, Some(&settings));
    answer.is_problem(400, "invalid_input");
    let errors = answer.body["errors"].as_array().unwrap();
    let fields: BTreeSet<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    for field in [
        "/user",
        "/scheme/header",
        "/secrets/0/reference",
        "/identity",
        "/max_body_bytes",
        "/rules/0/event",
        "/rules/0/effect/handler",
        "/rules/1/effect/doctype",
        "/rules/1/effect/name",
    ] {
        assert!(fields.contains(field), "{field} is not among {fields:?}");
    }
    hub.api("GET", &path, None).is_problem(404, "unknown_connector");
    hub.api("PUT", &path, Some(&json!({ "user": "x", "shceme": {} }))).is_problem(400, "invalid_input");
    hub.api("PUT", "/v2/connectors/Not%20A%20Name", Some(&settings)).is_problem(400, "invalid_input");
}

fn a_connector_says_where_to_post_and_how_it_does(hub: &Hub, connector: &str) {
    let rules = json!([mirror("*", "Order")]);
    let posting = hub.connector(connector, json!({ "rules": rules }));
    let address = |query: &str| {
        let path = format!("/v2/connectors/{connector}/webhook-address{query}");
        hub.api("GET", &path, None).data(200)["address"].as_str().unwrap().to_owned()
    };
    let path = format!("/webhooks/{connector}");
    assert_eq!(address(""), format!("{}{path}", hub.stack.variables.get("API_URL")));
    assert!(
        address("?force_https=true").starts_with("https://127.0.0.1"),
        "{}",
        address("?force_https=true")
    );
    assert_eq!(address("?exclude_uri=true&event=order.on_submit"), format!("{path}/order.on_submit"));

    let health = || hub.api("GET", &format!("/v2/connectors/{connector}/health"), None).data(200).clone();
    assert_eq!(health()["status"], "ok");
    assert_eq!(health()["last_event"], Value::Null);
    let event = posting.accept("order.on_update", &order("HEALTH-1", 0, 1, 10.0));
    hub.wait_until(&event, "done");
    assert_eq!(health()["last_event"]["id"], event.as_str());
    assert_eq!(health()["rate"]["events"], 1);
    hub.api("GET", "/v2/connectors/none/health", None).is_problem(404, "unknown_connector");
}

fn only_json_is_taken_as_json(hub: &Hub, _: &str) {
    let key = ("X-API-Key".to_owned(), hub.stack.variables.get("API_KEY").to_owned());
    let form = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let answer = hub.post("/v2/documents/Order", &vec![key, form], b"{\"name\": \"x\"}");
    answer.is_problem(415, "unsupported_content");
}
