//! What version 1 answers, beside what Frappe answered when it was recorded (`shared/fixtures/erpnext`).

use serde_json::{Value, json};

use crate::{
    api::rig::{Site, TOKEN, asked, follow},
    auth::Principal,
    trigger::http::{Request, Response},
};

macro_rules! recorded {
    ($name:literal) => {
        Recording::of(include_str!(concat!("../../../fixtures/erpnext/", $name, ".http")))
    };
}

/// What was recorded of Frappe.
struct Recording {
    status: u16,
    body: Value,
}

impl Recording {
    fn of(text: &str) -> Self {
        let (_, response) = text.split_once("--- RESPONSE ---").unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        let body = response.split_once("\n\n").unwrap().1;
        Self { status, body: serde_json::from_str(body).unwrap() }
    }

    /// Asserts that we answer the same status and exception, with the same members and messages of the same shape.
    #[track_caller]
    fn is_answered_by(&self, ours: &Response) {
        assert_eq!(ours.status.as_u16(), self.status, "{}", ours.body);
        assert_eq!(ours.body["exc_type"], self.body["exc_type"]);
        for (member, theirs) in self.body.as_object().unwrap() {
            let ours = &ours.body[member];
            assert_eq!(kind(ours), kind(theirs), "{member}: {ours}");
        }
        if self.body.get("_server_messages").is_some() {
            let (ours, theirs) = (first_message(&ours.body), first_message(&self.body));
            assert!(ours["message"].is_string() && theirs["message"].is_string());
            assert_eq!(ours["indicator"], "red");
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn first_message(body: &Value) -> Value {
    let texts: Vec<String> = serde_json::from_str(body["_server_messages"].as_str().unwrap()).unwrap();
    serde_json::from_str(&texts[0]).unwrap()
}

/// A form.
fn form(method: &str, path: &str, fields: &[(&str, &str)]) -> Request {
    let mut request = asked(method, path, Some(TOKEN), None);
    request.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    request.body =
        Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes());
    request
}

#[tokio::test]
async fn every_answer_says_that_version_1_is_deprecated() {
    let site = Site::start().await;
    for path in ["/api", "/api/method/ping", "/api/method/nothing", "/api/resource/Item/none", "/api/nothing"]
    {
        let answer = site.get(path).await;
        assert_eq!(answer.headers["deprecation"], "@1796083200", "{path}");
        assert_eq!(answer.headers["sunset"], "Fri, 01 Dec 2028 00:00:00 GMT");
        assert!(answer.headers["link"].to_str().unwrap().contains("rel=\"successor-version\""));
    }
    let ping = site.get("/api/v1/method/ping/?_=1760000000").await;
    assert_eq!(
        ping.body,
        json!({
            "message": "pong", "version": "1.0", "deprecated": true, "migration_guide": "/docs/v1-to-v2",
        })
    );
    for path in ["/health", "/v2"] {
        assert!(site.get(path).await.headers.get("deprecation").is_none());
    }
}

#[tokio::test]
async fn the_version_of_the_api_is_that_which_is_asked_for() {
    let site = Site::start().await;
    let first = site.get("/api").await.body;
    assert_eq!((&first["version"], &first["deprecated"]), (&json!("1.0"), &json!(true)));
    let second = site.get("/api?version=v2").await;
    assert_eq!(second.body["version"], "2.0");
    assert_eq!(second.body["features"], json!(["pagination", "filtering", "sorting"]));
    assert!(second.headers.get("deprecation").is_none());
    let third = site.get("/api?version=v3").await;
    assert_eq!((third.status.as_u16(), &third.body["exc_type"]), (400, &json!("ValidationError")));
    assert_eq!(third.body["code"], "unsupported_version");
}

#[tokio::test]
async fn version_2_takes_a_version_that_is_its_own_and_refuses_others() {
    let site = Site::start().await;
    assert_eq!(site.get("/v2/documents/Item?version=2.0&limit=1").await.status, 200);
    for query in ["version=1", "version=4"] {
        let answer = site.get(&format!("/v2/documents/Item?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("unsupported_version")));
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_refused_as_recorded() {
    let answer = Site::start().await.get("/api/method/erpnext.nope.nope").await;
    recorded!("59_err_method_missing").is_answered_by(&answer);
    let message = first_message(&answer.body)["message"].clone();
    assert!(message.as_str().unwrap().starts_with("Failed to get method for command erpnext.nope.nope"));
}

#[tokio::test]
async fn a_wrong_verb_is_403() {
    let site = Site::start().await;
    let answer = site.send(asked("DELETE", "/api/method/ping", Some(TOKEN), None)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["exc_type"]), (403, &json!("PermissionError")));
    assert_eq!(answer.headers["allow"], "GET, POST");
}

#[tokio::test]
async fn a_missing_and_a_wrong_key_are_refused_as_recorded() {
    let site = Site::start().await;
    let nobody = site.send(asked("GET", "/api/resource/Sales%20Order/x", None, None)).await;
    recorded!("52_err_no_auth").is_answered_by(&nobody);
    let stranger = site.send(asked("GET", "/api/resource/ToDo/x", Some("token aaa:bbb"), None)).await;
    recorded!("50_err_bad_token").is_answered_by(&stranger);
    assert!(stranger.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn who_calls_is_told_as_recorded() {
    let answer = Site::start().await.get("/api/method/frappe.auth.get_logged_user").await;
    recorded!("85_rate_limit_00").is_answered_by(&answer);
    assert_eq!(answer.body["message"], "Administrator");
}

#[tokio::test]
async fn a_form_to_the_site_itself_calls_the_method_in_cmd() {
    let site = Site::start().await;
    for path in ["", "/"] {
        let answer = site.send(form("POST", path, &[("cmd", "frappe.auth.get_logged_user")])).await;
        assert_eq!(answer.body["message"], "Administrator");
    }
    let answer = site.send(form("POST", "/", &[("cmd", "../v2")])).await;
    assert_eq!((answer.status.as_u16(), &answer.body["exc_type"]), (417, &json!("MandatoryError")));
}

#[tokio::test]
async fn a_document_that_is_not_there_is_refused_as_recorded() {
    let answer = Site::start().await.get("/api/resource/Sales%20Order/NOPE").await;
    recorded!("56_err_404_doc").is_answered_by(&answer);
    assert!(answer.body.get("exc").is_none());
}

/// Orders `A` (changed first) to `D`, of which one is large.
async fn orders() -> Site {
    let site = Site::start().await;
    for (name, customer, total) in [("A", "Nord", 5), ("B", "Süd", 10), ("C", "Nord", 1250), ("D", "", 0)] {
        let order = json!({
            "name": name, "customer": customer, "grand_total": total,
            "items": [{ "item_code": format!("ITEM-{name}"), "qty": total }],
        });
        let answer = site.send(asked("POST", "/v2/documents/Sales%20Order", Some(TOKEN), Some(&order))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        site.rig.clock.advance(jiff::SignedDuration::from_secs(1));
    }
    site
}

const ORDERS: &str = "/api/resource/Sales%20Order";

/// The names of a list's rows.
fn names(answer: &Response, member: &str) -> String {
    let rows = answer.body[member].as_array().unwrap_or_else(|| panic!("{}", answer.body));
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_list_shows_names_newest_first_unless_it_is_asked_for_more() {
    let site = orders().await;
    let plain = site.get(ORDERS).await;
    recorded!("22_list_default").is_answered_by(&plain);
    assert_eq!(plain.body["data"], json!([{"name": "D"}, {"name": "C"}, {"name": "B"}, {"name": "A"}]));
    let query = "fields=[\"name\",\"modified\",\"customer\",\"docstatus\",\"grand_total\"]\
        &filters=[[\"modified\",\">\",\"2026-11-23 09:00:00.500000\"]]&order_by=modified asc&limit_page_length=2";
    let asked = site.get(&format!("{ORDERS}?{query}")).await;
    recorded!("20_list_modified_gt").is_answered_by(&asked);
    assert_eq!(
        asked.body["data"][0],
        json!({
            "name": "B", "modified": "2026-11-23 09:00:01.000000", "customer": "Süd", "docstatus": 0,
            "grand_total": 10,
        })
    );
    assert_eq!(names(&asked, "data"), "B C");
}

#[tokio::test]
async fn filters_fields_and_pages_are_taken_in_every_form_that_clients_write() {
    let site = orders().await;
    for (query, expected) in [
        ("filters={\"customer\":\"Nord\"}", "C A"),
        ("filters=[[\"Sales Order\",\"grand_total\",\">=\",10]]", "C B"),
        ("filters=[[\"customer\",\"like\",\"s%\"]]", "B"),
        ("filters=[[\"customer\",\"not like\",\"n%25\"]]", "D B"),
        ("filters=[[\"name\",\"in\",[\"A\",\"B\",\"Z\"]]]", "B A"),
        ("filters={\"name\":[\"not in\",\"A,B\"]}", "D C"),
        ("filters={\"grand_total\":[\"between\",[5,10]]}", "B A"),
        ("filters=[[\"customer\",\"is\",\"not set\"]]", "D"),
        ("filters=[[\"Sales Order Item\",\"item_code\",\"=\",\"ITEM-C\"]]", "C"),
        ("or_filters=[[\"name\",\"=\",\"A\"],[\"grand_total\",\">\",1000]]", "C A"),
        ("order_by=name asc&limit_start=1&limit_page_length=2", "B C"),
        ("order_by=`tabSales Order`.`name` desc&limit=1", "D"),
        ("order_by=&filters=[]&limit_page_length=0", "D C B A"),
        ("fields=[\"*\"]&limit=1&unknown=1&debug=true", "D"),
        ("filters=B", "B"),
    ] {
        let query = query.replace("s%\"", "s%25\"");
        assert_eq!(names(&site.get(&format!("{ORDERS}?{query}")).await, "data"), expected, "{query}");
        let as_method = format!("/api/method/frappe.client.get_list?doctype=Sales Order&{query}");
        assert_eq!(names(&site.get(&as_method).await, "message"), expected, "{query}");
    }
    let rows = site.get(&format!("{ORDERS}?fields=[\"name\",\"grand_total\"]&limit=1&as_dict=False")).await;
    assert_eq!(rows.body["data"], json!([["D", 0]]));
    let whole = site.get(&format!("{ORDERS}?fields=*&limit=1")).await.body["data"][0].clone();
    assert_eq!((whole.get("items"), &whole["owner"]), (None, &json!("Administrator")));
}

#[tokio::test]
async fn what_a_list_cannot_do_is_refused_and_named() {
    let site = orders().await;
    let bad_field = site.get(&format!("{ORDERS}?fields=[\"sleep(1)\"]")).await;
    recorded!("71_err_bad_field").is_answered_by(&bad_field);
    for (query, exc_type, named) in [
        ("order_by=grand_total desc", "DataError", "modified"),
        ("filters=[[\"a\",\"descendants of\",\"b\"]]", "ValidationError", "descendants of"),
        ("filters=[[\"a\"", "ValidationError", "filters"),
        ("group_by=customer", "ValidationError", "group_by"),
        ("limit_start=10001", "ValidationError", "limit_start"),
        ("limit_page_length=some", "ValidationError", "whole number"),
    ] {
        let answer = site.get(&format!("{ORDERS}?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["exc_type"]), (417, &json!(exc_type)), "{query}");
        let message = first_message(&answer.body)["message"].clone();
        assert!(message.as_str().unwrap().contains(named), "{query}: {message}");
    }
}

#[tokio::test]
async fn documents_are_counted_and_looked_up_by_filters() {
    let site = orders().await;
    let method =
        |name: &str, query: &str| format!("/api/method/frappe.client.{name}?doctype=Sales Order&{query}");
    let told = async |name: &str, query: &str| site.get(&method(name, query)).await.body["message"].clone();
    assert_eq!(told("get_count", "").await, 4);
    assert_eq!(told("get_count", "filters={\"customer\":\"Nord\"}").await, 2);
    assert_eq!(
        told("get_value", "fieldname=grand_total&filters={\"name\":\"B\"}").await,
        json!({"grand_total": 10})
    );
    assert_eq!(
        told("get_value", "fieldname=[\"name\",\"customer\"]&filters=B&as_dict=0").await,
        json!(["B", "Süd"])
    );
    assert_eq!(told("get_value", "fieldname=customer&filters=B&as_dict=0").await, "Süd");
    assert_eq!(told("get_value", "fieldname=customer&filters=Z").await, json!({}));
    assert_eq!(told("get", "name=C").await["grand_total"], 1250);
    assert_eq!(told("get", "filters={\"customer\":\"Nord\"}").await["name"], "C");
    let missing = site.get(&method("get", "filters={\"customer\":\"West\"}")).await;
    assert_eq!((missing.status.as_u16(), &missing.body["exc_type"]), (404, &json!("DoesNotExistError")));
    let form = site
        .send(form(
            "POST",
            "/api/method/frappe.client.get_count",
            &[("doctype", "Sales Order"), ("debug", "True")],
        ))
        .await;
    assert_eq!(form.body["message"], 4);
    let without = site.get("/api/method/frappe.client.get_list").await;
    assert_eq!(without.body["exc_type"], "MandatoryError");
    let own = site.get("/api/method/frappe.client.get_list?doctype=User").await;
    assert_eq!((own.status.as_u16(), &own.body["exc_type"]), (403, &json!("PermissionError")));
}

/// What every document shows, whatever its fields.
const OF_EVERY_DOCUMENT: [&str; 7] =
    ["name", "owner", "creation", "modified", "modified_by", "docstatus", "doctype"];

/// Asserts that `document` shows what the recorded one shows of itself, with times written in the same way.
#[track_caller]
fn shows_itself_as(document: &Value, recorded: &Value) {
    for field in OF_EVERY_DOCUMENT {
        assert_eq!(kind(&document[field]), kind(&recorded[field]), "{field}: {document}");
    }
    for field in ["creation", "modified"] {
        let shape = |value: &Value| {
            let text = value.as_str().unwrap().to_owned();
            text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>()
        };
        assert_eq!(shape(&document[field]), shape(&recorded[field]));
    }
    assert!(document.get("revision").is_none());
}

/// `body` sent as JSON.
async fn send(site: &Site, method: &str, path: &str, body: &Value) -> Response {
    site.rig.clock.advance(jiff::SignedDuration::from_secs(1));
    site.send(asked(method, path, Some(TOKEN), Some(body))).await
}

async fn call(site: &Site, method: &str, body: &Value) -> Response {
    send(site, "POST", &format!("/api/method/frappe.client.{method}"), body).await
}

#[tokio::test]
async fn a_document_is_created_changed_and_deleted_as_recorded() {
    let site = Site::start().await;
    let order = json!({ "customer": "Hub Customer 0", "naming_series": "SAL-ORD-.YYYY.-", "docstatus": 1 });
    let created = send(&site, "POST", ORDERS, &order).await;
    let recording = recorded!("06_create_submit_sales_order");
    recording.is_answered_by(&created);
    shows_itself_as(&created.body["data"], &recording.body["data"]);
    assert_eq!(
        (&created.body["data"]["name"], &created.body["data"]["docstatus"]),
        (&json!("SAL-ORD-2026-00001"), &json!(1))
    );
    let recording = recorded!("26_doc");
    let read = site.get(&format!("{ORDERS}/SAL-ORD-2026-00001")).await;
    recording.is_answered_by(&read);
    assert_eq!(read.body["data"], created.body["data"]);

    let customer = "/api/resource/Customer/Hub%20Customer%201";
    let first =
        send(&site, "POST", "/api/resource/Customer", &json!({ "name": "Hub Customer 1", "language": "en" }))
            .await;
    let seen = first.body["data"]["modified"].clone();
    let changed = send(&site, "PUT", customer, &json!({ "customer_details": "x1", "modified": seen })).await;
    let recording = recorded!("73_put_with_modified");
    recording.is_answered_by(&changed);
    shows_itself_as(&changed.body["data"], &recording.body["data"]);
    assert_eq!(
        (&changed.body["data"]["customer_details"], &changed.body["data"]["language"]),
        (&json!("x1"), &json!("en"))
    );
    let stale = send(&site, "PUT", customer, &json!({ "customer_details": "x2", "modified": seen })).await;
    recorded!("74_put_stale_modified").is_answered_by(&stale);
    let last_wins = send(&site, "PUT", customer, &json!({ "data": "{\"customer_details\": null}" })).await;
    assert_eq!(last_wins.body["data"]["customer_details"], Value::Null);

    let deleted = site.send(asked("DELETE", customer, Some(TOKEN), None)).await;
    assert_eq!((deleted.status.as_u16(), &deleted.body["data"]), (202, &json!("ok")));
    assert_eq!(site.get(customer).await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_as_recorded() {
    let site = Site::start().await;
    let item = json!({ "name": "HUB-ITEM-0", "item_group": "Products" });
    assert_eq!(send(&site, "POST", "/api/resource/Item", &item).await.status.as_u16(), 200);
    let repeated = send(&site, "POST", "/api/resource/Item", &item).await;
    recorded!("63_err_409_dup").is_answered_by(&repeated);
}

#[tokio::test]
async fn a_document_goes_through_its_life_by_methods_as_recorded() {
    let site = Site::start().await;
    let doc = json!({ "doctype": "Sales Invoice", "name": "INV-1", "total": 60.50, "__islocal": 1, "items": [{"qty": 1}] });
    let inserted = call(&site, "insert", &json!({ "doc": doc })).await;
    let recording = recorded!("34_client_insert");
    recording.is_answered_by(&inserted);
    shows_itself_as(&inserted.body["message"], &recording.body["message"]);
    let mut whole = inserted.body["message"].clone();
    assert!(whole.get("__islocal").is_none());

    whole["remarks"] = "checked".into();
    let saved = call(&site, "save", &json!({ "doc": whole.to_string() })).await.body["message"].clone();
    assert_eq!(saved["remarks"], "checked");
    let stale = call(&site, "submit", &json!({ "doc": whole })).await;
    recorded!("36_client_submit_stale").is_answered_by(&stale);

    let submitted = call(&site, "submit", &json!({ "doc": saved })).await;
    let recording = recorded!("35_client_submit");
    recording.is_answered_by(&submitted);
    assert_eq!(
        (&submitted.body["message"]["docstatus"], &submitted.body["message"]["total"]),
        (&json!(1), &saved["total"])
    );

    let named = json!({ "doctype": "Sales Invoice", "name": "INV-1" });
    let forbidden = call(&site, "delete", &named).await;
    assert_eq!(
        (forbidden.status.as_u16(), &forbidden.body["exc_type"]),
        (417, &json!("DocstatusTransitionError"))
    );
    assert_eq!(call(&site, "cancel", &named).await.body["message"]["docstatus"], 2);
    let deleted = call(&site, "delete", &named).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.get("message")), (200, None));
    assert_eq!(call(&site, "cancel", &named).await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_part_of_a_document_is_not_saved_as_the_whole() {
    let site = Site::start().await;
    let made = call(
        &site,
        "save",
        &json!({ "doc": { "doctype": "Item", "name": "A", "a": 1, "b": 2, "__islocal": 1 } }),
    )
    .await;
    assert_eq!(made.body["message"]["name"], "A");
    for method in ["save", "submit"] {
        let part = call(&site, method, &json!({ "doc": { "doctype": "Item", "name": "A", "a": 3 } })).await;
        assert_eq!((part.status.as_u16(), &part.body["exc_type"]), (417, &json!("TimestampMismatchError")));
    }
    let kept = site.get("/api/resource/Item/A").await.body["data"].clone();
    assert_eq!((&kept["a"], &kept["b"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn values_are_set_one_or_several_at_a_time() {
    let site = Site::start().await;
    send(&site, "POST", "/api/resource/Item", &json!({ "name": "A", "qty": 1, "remark": "x" })).await;
    let set = async |more: Value| {
        let mut all = json!({ "doctype": "Item", "name": "A" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&site, "set_value", &all).await
    };
    assert_eq!(set(json!({ "fieldname": "qty", "value": 2 })).await.body["message"]["qty"], 2);
    assert_eq!(set(json!({ "fieldname": "remark", "value": "" })).await.body["message"]["remark"], "");
    assert_eq!(
        set(json!({ "fieldname": "remark", "value": null })).await.body["message"]["remark"],
        Value::Null
    );
    let several =
        set(json!({ "fieldname": "{\"qty\": 3, \"remark\": \"y\"}" })).await.body["message"].clone();
    assert_eq!((&several["qty"], &several["remark"]), (&json!(3), &json!("y")));
    let own = set(json!({ "fieldname": "owner", "value": "mallory" })).await;
    assert_eq!((own.status.as_u16(), &own.body["exc_type"]), (417, &json!("DataError")));
}

#[tokio::test]
async fn many_are_inserted_or_none() {
    let site = Site::start().await;
    let docs = json!({ "docs": [{ "doctype": "ToDo", "name": "c" }, { "doctype": "Note", "name": "d" }] });
    assert_eq!(call(&site, "insert_many", &docs).await.body["message"], json!(["c", "d"]));
    let one_bad = json!({ "docs": [{ "doctype": "ToDo", "name": "e" }, { "description": "no DocType" }] });
    recorded!("40_insert_many_one_bad").is_answered_by(&call(&site, "insert_many", &one_bad).await);
    let taken = json!({ "docs": [{ "doctype": "ToDo", "name": "e" }, { "doctype": "ToDo", "name": "c" }] });
    assert_eq!(call(&site, "insert_many", &taken).await.status.as_u16(), 409);
    let twice = json!({ "docs": [{ "doctype": "ToDo", "name": "e" }, { "doctype": "ToDo", "name": "e" }] });
    assert_eq!(call(&site, "insert_many", &twice).await.status.as_u16(), 409);
    assert_eq!(site.get("/api/resource/ToDo/e").await.status.as_u16(), 404);
    let too_many: Vec<Value> = (0..51).map(|_| json!({ "doctype": "ToDo" })).collect();
    assert_eq!(call(&site, "insert_many", &json!({ "docs": too_many })).await.status.as_u16(), 417);
    let all: Vec<Value> = (0..50).map(|_| json!({ "doctype": "ToDo", "naming_series": "TD-.###" })).collect();
    let names = call(&site, "insert_many", &json!({ "docs": all })).await.body["message"].clone();
    assert_eq!((&names[0], &names[49]), (&json!("TD-001"), &json!("TD-050")));
}

#[tokio::test]
async fn a_method_that_changes_something_is_not_called_by_get() {
    let site = Site::start().await;
    for method in ["insert", "insert_many", "save", "submit", "cancel", "delete", "set_value"] {
        let answer = site.get(&format!("/api/method/frappe.client.{method}?doctype=Item&name=A")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["exc_type"]),
            (403, &json!("PermissionError")),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_document_is_taken_from_a_form_as_libraries_send_it() {
    let site = Site::start().await;
    let doc = json!({ "doctype": "Client", "name": "A/1", "qty": 2 }).to_string();
    let created = site.send(form("POST", "/api/resource/Client", &[("data", &doc)])).await;
    assert_eq!(created.body["data"]["qty"], 2, "{}", created.body);
    let whole = site.get("/api/resource/Client/A/1").await.body["data"].to_string();
    let submitted = site.send(form("POST", "", &[("cmd", "frappe.client.submit"), ("doc", &whole)])).await;
    assert_eq!(submitted.body["message"]["docstatus"], 1, "{}", submitted.body);
    let bare = site.send(form("POST", "/api/resource/Client", &[("name", "B"), ("qty", "2")])).await;
    assert_eq!(bare.body["data"]["qty"], "2");
    let empty = site.send(asked("POST", "/api/resource/Client", Some(TOKEN), None)).await;
    assert_eq!((empty.status.as_u16(), &empty.body["code"]), (417, &json!("empty_body")));
}

#[tokio::test]
async fn nobody_reaches_causeways_own_doctypes_by_methods() {
    let site = Site::start().await;
    let own = json!({ "doctype": "API Key", "name": "k", "modified": "2026-11-23 09:00:00.000000" });
    for (method, body) in [
        ("insert", json!({ "doc": own })),
        ("insert_many", json!({ "docs": [own] })),
        ("save", json!({ "doc": own })),
        ("submit", json!({ "doc": own })),
        ("cancel", own.clone()),
        ("delete", own.clone()),
        ("set_value", json!({ "doctype": "API Key", "name": "k", "fieldname": "enabled", "value": 1 })),
        ("get", own.clone()),
        ("get_list", own.clone()),
        ("get_count", own.clone()),
        ("get_value", own.clone()),
    ] {
        let answer = call(&site, method, &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["exc_type"]),
            (403, &json!("PermissionError")),
            "{method}"
        );
    }
}

/// A key of `user`, in Frappe's form.
async fn token_of(site: &Site, user: &str) -> String {
    let new = serde_json::from_value(json!({ "user": user })).unwrap();
    let administrator = Principal::administrator().unwrap();
    let (key, secret) = site.api.services.keyring.create(&administrator, &new, None).await.unwrap();
    format!("token {}:{}", key.id, std::str::from_utf8(secret.expose()).unwrap())
}

#[tokio::test]
async fn who_may_only_read_changes_nothing_by_any_method() {
    let site = Site::start().await;
    let todo = json!({ "doctype": "ToDo", "name": "3qo42m56n7" });
    let whole = call(&site, "insert", &json!({ "doc": todo })).await.body["message"].clone();
    let token = token_of(&site, "auditor@causeway").await;
    let send = async |method: &str, path: &str, body: &Value| {
        site.send(asked(method, path, Some(&token), (!body.is_null()).then_some(body))).await
    };
    let path = "/api/resource/ToDo/3qo42m56n7";
    assert_eq!(send("GET", path, &Value::Null).await.status.as_u16(), 200);
    recorded!("78_delete").is_answered_by(&send("DELETE", path, &Value::Null).await);
    for (method, body) in [
        ("insert", json!({ "doc": { "doctype": "ToDo" } })),
        ("insert_many", json!({ "docs": [{ "doctype": "ToDo" }] })),
        ("save", json!({ "doc": whole })),
        ("submit", json!({ "doc": whole })),
        ("cancel", todo.clone()),
        ("delete", todo.clone()),
        ("set_value", json!({ "doctype": "ToDo", "name": "3qo42m56n7", "fieldname": "a", "value": 1 })),
    ] {
        let answer = send("POST", &format!("/api/method/frappe.client.{method}"), &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["exc_type"]),
            (403, &json!("PermissionError")),
            "{method}"
        );
    }
    let kept = site.get(path).await;
    assert_eq!(kept.body["data"], whole);
}

#[tokio::test]
async fn what_creates_may_be_repeated_with_an_idempotency_key() {
    let site = Site::start().await;
    let with_key = |path: &str, key: &str, body: &Value| {
        let mut request = asked("POST", path, Some(TOKEN), Some(body));
        request.headers.insert("idempotency-key", key.parse().unwrap());
        request
    };
    let new = json!({ "doctype": "ToDo", "naming_series": "TD-.#", "description": "once" });
    for (path, body, member) in [
        ("/api/resource/ToDo", new.clone(), "data"),
        ("/api/method/frappe.client.insert", json!({ "doc": new }), "message"),
        ("/api/method/frappe.client.insert_many", json!({ "docs": [new, new] }), "message"),
        ("/api/method/frappe.client.save", json!({ "doc": new }), "message"),
        ("/api/method/frappe.client.submit", json!({ "doc": new }), "message"),
    ] {
        let first = site.send(with_key(path, "k-1", &body)).await;
        let again = site.send(with_key(path, "k-1", &body)).await;
        assert_eq!((again.status.as_u16(), &again.body[member]), (200, &first.body[member]), "{path}");
        let other = site.send(with_key(path, "k-1", &json!({ "doc": {} }))).await;
        assert_ne!(other.status.as_u16(), 200);
    }
    assert_eq!(site.get("/api/method/frappe.client.get_count?doctype=ToDo").await.body["message"], 6);
}

#[tokio::test]
async fn the_point_of_sale_finds_its_items() {
    let site = Site::start().await;
    for (code, name) in [("LAP-1", "Laptop"), ("LAP-2", "Laptop sleeve")] {
        let item = json!({ "item_code": code, "item_name": name, "item_group": "Tools", "stock_uom": "Nos" });
        follow(&site, "Item", code, item).await;
    }
    let price =
        json!({ "item_code": "LAP-1", "price_list": "Retail", "price_list_rate": 999.5, "selling": 1 });
    follow(&site, "Item%20Price", "IP-1", price).await;
    let method = "/api/method/erpnext.selling.page.point_of_sale.point_of_sale.get_items";
    let all = site.get(&format!("{method}?start=0&page_length=40&price_list=Retail&search_term=lap")).await;
    let items = all.body["message"]["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["item_code"], &items[0]["price_list_rate"]),
        (2, &json!("LAP-1"), &json!(999.5))
    );
    let second = json!({ "start": 1, "page_length": 1, "price_list": "Retail", "item_group": "", "search_term": "lap" });
    let second = send(&site, "POST", method, &second).await;
    assert_eq!(second.body["message"]["items"][0]["item_code"], "LAP-2", "{}", second.body);
    let none = site.get(&format!("{method}?search_term=zzz")).await;
    assert_eq!(none.body["message"], json!({ "items": [] }));
    assert_eq!(site.get(&format!("{method}?page_length=501")).await.status.as_u16(), 417);
}

#[tokio::test]
async fn a_list_longer_than_an_answer_is_refused_and_not_cut() {
    let site = Site::start().await;
    let text = "x".repeat(700_000);
    for number in 0..5 {
        let large = json!({ "name": format!("L-{number}"), "text": text });
        let answer = site.send(asked("POST", "/v2/documents/Large", Some(TOKEN), Some(&large))).await;
        assert_eq!(answer.status, 201);
    }
    assert_eq!(names(&site.get("/api/resource/Large?limit_page_length=0").await, "data").len(), 19);
    let answer = site.get("/api/resource/Large?fields=[\"*\"]&limit_page_length=0").await;
    assert_eq!((answer.status.as_u16(), &answer.body["exc_type"]), (417, &json!("ValidationError")));
    assert!(answer.body["exception"].as_str().unwrap().contains("limit_page_length"));
    assert_eq!(names(&site.get("/api/resource/Large?fields=[\"*\"]&limit=2").await, "data"), "L-4 L-3");
}

#[tokio::test]
async fn a_limit_is_refused_as_frappe_refuses() {
    let limits =
        crate::rate_limit::Limits::parse(r#"{"read": {"limit": 1, "window_seconds": 60, "burst": 1}}"#);
    let site = Site::limited(limits.unwrap(), false).await;
    site.get("/api/method/frappe.auth.get_logged_user").await;
    let refused = site.get("/api/method/frappe.auth.get_logged_user").await;
    assert_eq!((refused.status.as_u16(), &refused.body["exc_type"]), (429, &json!("TooManyRequestsError")));
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn messages_cannot_carry_markup() {
    let answer = Site::start().await.get("/api/method/%3Cb%3E").await;
    assert!(!answer.body["_server_messages"].as_str().unwrap().contains('<'));
}
