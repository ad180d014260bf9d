//! What nobody recorded: life cycles, locks, what happens at once, and the faults. Each is what Frappe's source says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test: a panic is how it fails")]

use std::{
    thread,
    time::{Duration, Instant},
};

use erpnext_site::{
    Access, Answer, DocType, Effect, Fault, Field, Kind, MAPPERS, Meanwhile, PAYMENT, RateLimit, Site,
    SiteOptions, User, administrator, hub, reader,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// Status and body; `None` if the connection was closed.
type Told = Option<(u16, Value)>;

fn ask_as(site: &Site, user: &User, method: &str, path: &str, body: &Value) -> Told {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .into();
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{}", site.url(), path.replace(' ', "%20")))
        .header("Authorization", user.token())
        .header("Content-Type", "application/json")
        .body(text)
        .unwrap();
    let mut response = agent.run(request).ok()?;
    let body = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), serde_json::from_str(&body).unwrap_or_else(|_| json!(body))))
}

fn ask(site: &Site, method: &str, path: &str, body: &Value) -> Told {
    ask_as(site, &hub(), method, path, body)
}

fn given(told: Told) -> Value {
    let (status, body) = told.unwrap();
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

fn thrown(told: Told) -> (u16, String) {
    let (status, body) = told.unwrap();
    (status, body["exc_type"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

fn start() -> Site {
    Site::start(SiteOptions::default().with(DocType::prompt("Contract Note"))).unwrap()
}

fn order() -> Value {
    json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co", "delivery_date": "2026-11-30",
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10 }],
    })
}

const NOTES: &str = "/api/resource/Contract Note";
const ORDERS: &str = "/api/resource/Sales Order";

#[test]
fn a_document_of_a_series_ignores_the_name_it_is_given() {
    let site = start();
    let mut fields = order();
    fields["name"] = json!("MINE-1");
    let made = given(ask(&site, "POST", ORDERS, &fields));
    assert!(made["name"].as_str().unwrap().starts_with("SAL-ORD-"));
    assert_eq!(
        thrown(ask(&site, "GET", &format!("{ORDERS}/MINE-1"), &Value::Null)),
        refused(404, "DoesNotExistError")
    );
}

#[test]
fn a_document_named_by_its_caller_is_found_without_regard_to_case() {
    let site = start();
    given(ask(&site, "POST", NOTES, &json!({ "name": "Note A", "text": "x" })));
    let told = ask(&site, "POST", NOTES, &json!({ "name": "note a" }));
    assert_eq!(thrown(told), refused(409, "DuplicateEntryError"));
    assert_eq!(given(ask(&site, "GET", &format!("{NOTES}/NOTE A"), &Value::Null))["name"], "Note A");
    assert_eq!(thrown(ask(&site, "POST", NOTES, &json!({ "text": "x" }))), refused(417, "ValidationError"));
}

#[test]
fn a_second_customer_of_a_name_gets_another_name() {
    let site = start();
    let fields = json!({ "customer_name": "Hub Customer 0" });
    let names: Vec<Value> = (0..2)
        .map(|_| given(ask(&site, "POST", "/api/resource/Customer", &fields))["name"].clone())
        .collect();
    assert_eq!(names, ["Hub Customer 0 - 1", "Hub Customer 0 - 2"]);
}

#[test]
fn a_document_goes_from_draft_to_submitted_to_cancelled_and_no_other_way() {
    let site = start();
    let name = given(ask(&site, "POST", ORDERS, &order()))["name"].as_str().unwrap().to_owned();
    let path = format!("{ORDERS}/{name}");
    let put = |fields: Value| ask(&site, "PUT", &path, &fields);
    assert_eq!(thrown(put(json!({ "docstatus": 2 }))), refused(417, "DocstatusTransitionError"));
    assert_eq!(given(put(json!({ "docstatus": 1 })))["docstatus"], 1);
    assert_eq!(thrown(put(json!({ "docstatus": 0 }))), refused(417, "DocstatusTransitionError"));
    assert_eq!(thrown(put(json!({ "po_no": "new" }))), refused(417, "UpdateAfterSubmitError"));
    assert_eq!(thrown(ask(&site, "DELETE", &path, &Value::Null)), refused(417, "ValidationError"));
    assert_eq!(given(put(json!({ "docstatus": 2 })))["docstatus"], 2);
    assert_eq!(thrown(put(json!({ "po_no": "new" }))), refused(417, "ValidationError"));
    assert_eq!(ask(&site, "DELETE", &path, &Value::Null), Some((202, json!({ "data": "ok" }))));
    assert_eq!(thrown(ask(&site, "DELETE", &path, &Value::Null)), refused(404, "DoesNotExistError"));
}

#[test]
fn submitting_again_by_method_moves_modified() {
    let site = start();
    let made = given(ask(&site, "POST", ORDERS, &order()));
    let submit = |document: &Value| {
        let (status, body) =
            ask(&site, "POST", "/api/method/frappe.client.submit", &json!({ "doc": document })).unwrap();
        (status, body["message"].clone())
    };
    let (status, first) = submit(&made);
    assert_eq!((status, first["docstatus"].as_i64()), (200, Some(1)));
    let (status, second) = submit(&first);
    assert_eq!(status, 200);
    assert_ne!(second["modified"], first["modified"]);
    assert_eq!(submit(&first).0, 417, "stale");
}

#[test]
fn the_lock_compares_the_text_of_modified() {
    let site = start();
    site.stop_time_at("2026-07-01T10:00:00Z".parse().unwrap());
    let made = given(ask(&site, "POST", NOTES, &json!({ "name": "N" })));
    assert_eq!(made["modified"], "2026-07-01 15:30:00", "no fraction where it would be zero");
    let put =
        |modified: &str| ask(&site, "PUT", &format!("{NOTES}/N"), &json!({ "a": 1, "modified": modified }));
    assert_eq!(thrown(put("2026-07-01 15:30:00.000000")), refused(417, "TimestampMismatchError"));
    assert_eq!(given(put("2026-07-01 15:30:00"))["a"], 1);
    assert_eq!(thrown(put("2026-07-01 15:30:00")), refused(417, "TimestampMismatchError"));
}

#[test]
fn an_hour_repeats_at_the_end_of_daylight_saving() {
    let site = Site::start(SiteOptions::default().in_zone("Europe/Berlin")).unwrap();
    site.stop_time_at("2026-10-25T00:30:00.25Z".parse().unwrap());
    let first = site.insert("ToDo", json!({ "description": "a" })).unwrap();
    site.advance(SignedDuration::from_hours(1));
    let second = site.insert("ToDo", json!({ "description": "b" })).unwrap();
    assert_eq!(first["modified"], "2026-10-25 02:30:00.250000");
    assert_eq!(first["modified"], second["modified"]);
}

#[test]
fn of_four_at_once_one_has_the_unique_value() {
    let site = start();
    site.prepare("Sales Order");
    let mut fields = order();
    fields["causeway_id"] = json!("event-1");
    let mut kinds: Vec<(u16, String)> = thread::scope(|scope| {
        let asked: Vec<_> =
            (0..4).map(|_| scope.spawn(|| thrown(ask(&site, "POST", ORDERS, &fields)))).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    kinds.sort();
    let refused = refused(417, "UniqueValidationError");
    assert_eq!(kinds, [(200, String::new()), refused.clone(), refused.clone(), refused]);
    let filters = "filters=[[\"causeway_id\",\"=\",\"event-1\"]]".replace('"', "%22");
    assert_eq!(
        given(ask(&site, "GET", &format!("{ORDERS}?{filters}"), &Value::Null)).as_array().unwrap().len(),
        1
    );
    given(ask(&site, "POST", ORDERS, &order()));
    given(ask(&site, "POST", ORDERS, &order()));
}

#[test]
fn a_text_longer_than_its_column_and_a_name_with_brackets_are_refused() {
    let site = start();
    site.prepare("Contract Note");
    let post = |fields: Value| thrown(ask(&site, "POST", NOTES, &fields));
    let long = refused(417, "CharacterLengthExceededError");
    assert_eq!(post(json!({ "name": "N", "causeway_id": "x".repeat(141) })), long);
    assert_eq!(post(json!({ "name": "N".repeat(141) })), long);
    assert_eq!(post(json!({ "name": "<N>" })), refused(409, "NameError"));
    let most = "x".repeat(140);
    given(ask(
        &site,
        "POST",
        NOTES,
        &json!({ "name": most, "causeway_id": most, "causeway_mark": "x".repeat(2000) }),
    ));
}

#[test]
fn what_others_refer_to_is_neither_deleted_nor_cancelled() {
    let site = start();
    let order = source(&site, "Sales Order", false);
    let invoice = json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co",
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 1, "rate": 10, "sales_order": order }],
    });
    let invoice = site.insert("Sales Invoice", invoice).unwrap()["name"].as_str().unwrap().to_owned();
    let told = ask(&site, "DELETE", "/api/resource/Customer/Hub Customer 0", &Value::Null);
    assert_eq!(thrown(told), refused(417, "LinkExistsError"));
    let cancel = || ask(&site, "PUT", &format!("{ORDERS}/{order}"), &json!({ "docstatus": 2 }));
    let modified = || site.document("Sales Order", &order).unwrap()["modified"].clone();
    let before = modified();
    site.change("Sales Invoice", &invoice, json!({ "docstatus": 1 })).unwrap();
    assert_ne!(modified(), before, "an invoice counts in its order");
    assert_eq!(thrown(cancel()), refused(417, "LinkExistsError"));
    site.change("Sales Invoice", &invoice, json!({ "docstatus": 2 })).unwrap();
    assert_eq!(given(cancel())["docstatus"], 2);
}

#[test]
fn a_custom_field_is_made_by_a_system_manager_and_once() {
    let site = start();
    let path = "/api/resource/Custom Field";
    let field =
        json!({ "dt": "Contract Note", "fieldname": "causeway_id", "fieldtype": "Data", "unique": 1 });
    let list = format!("{NOTES}?fields=%5B%22causeway_id%22%5D");
    assert_eq!(thrown(ask(&site, "GET", &list, &Value::Null)), refused(417, "DataError"));
    assert_eq!(thrown(ask(&site, "POST", path, &field)), refused(403, "PermissionError"));
    assert_eq!(
        given(ask_as(&site, &administrator(), "POST", path, &field))["name"],
        "Contract Note-causeway_id"
    );
    let again = ask_as(&site, &administrator(), "POST", path, &field);
    assert_eq!(thrown(again), refused(417, "ValidationError"));
    assert_eq!(given(ask(&site, "GET", &list, &Value::Null)), json!([]));
}

#[test]
fn a_system_manager_is_told_what_a_doctype_is() {
    let site = start();
    let list = "/api/resource/DocType?fields=%5B%22name%22,%22istable%22,%22issingle%22%5D&filters=%5B%5B%22name%22,%22in%22,%5B%22sales order item%22,%22Selling Settings%22,%22Contract Note%22%5D%5D%5D";
    let kinds = given(ask_as(&site, &administrator(), "GET", list, &Value::Null));
    let kind = |name: &str| {
        let row = kinds.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
        (row["istable"].clone(), row["issingle"].clone())
    };
    assert_eq!(kind("Sales Order Item"), (json!(1), json!(0)));
    assert_eq!(kind("Selling Settings"), (json!(0), json!(1)));
    assert_eq!(kind("Contract Note"), (json!(0), json!(0)));
    assert_eq!(thrown(ask(&site, "GET", list, &Value::Null)), refused(403, "PermissionError"));
}

#[test]
fn what_is_prepared_from_the_start_has_its_custom_fields_as_documents() {
    let site = Site::start(SiteOptions::default().prepared(["Customer"])).unwrap();
    assert!(site.document("Custom Field", "Customer-causeway_mark").is_some());
    assert_eq!(site.document("Custom Field", "Customer-causeway_id").unwrap()["unique"], 1);
}

#[test]
fn whether_a_user_may_is_told_by_their_roles_where_no_document_is_named() {
    let site = start();
    let may = |user: &User, right: &str| {
        let path = format!(
            "/api/method/frappe.client.has_permission?doctype=Sales Order&docname=&perm_type={right}"
        );
        let (status, body) = ask_as(&site, user, "GET", &path, &Value::Null).unwrap();
        assert_eq!(status, 200, "{body}");
        body["message"]["has_permission"].clone()
    };
    assert_eq!((may(&hub(), "create"), may(&reader(), "create")), (json!(true), json!(false)));
    assert_eq!(may(&reader(), "read"), true);
    let unnamed = "/api/method/frappe.client.has_permission?doctype=Sales Order";
    assert_eq!(thrown(ask(&site, "GET", unnamed, &Value::Null)), refused(500, "TypeError"));
}

#[test]
fn fields_that_a_doctype_does_not_have_are_dropped_in_silence() {
    let site = start();
    let mut fields = order();
    fields["causeway_id"] = json!("event-1");
    fields["nonsense"] = json!(1);
    let made = given(ask(&site, "POST", ORDERS, &fields));
    assert_eq!((made.get("causeway_id"), made.get("nonsense")), (None, None));
}

#[test]
fn who_may_only_read_changes_nothing() {
    let site = start();
    assert_eq!(
        thrown(ask_as(&site, &reader(), "POST", NOTES, &json!({ "name": "N" }))),
        refused(403, "PermissionError")
    );
    site.insert("Contract Note", json!({ "name": "N" })).unwrap();
    let path = format!("{NOTES}/N");
    assert_eq!(
        thrown(ask_as(&site, &reader(), "PUT", &path, &json!({ "a": 1 }))),
        refused(403, "PermissionError")
    );
    assert_eq!(
        thrown(ask_as(&site, &reader(), "DELETE", &path, &Value::Null)),
        refused(403, "PermissionError")
    );
    assert_eq!(given(ask_as(&site, &reader(), "GET", &path, &Value::Null))["name"], "N");
    let nobody = User::new("x", "1", "2", Access::Nothing);
    assert_eq!(
        thrown(ask_as(&site, &nobody, "GET", &path, &Value::Null)),
        refused(401, "AuthenticationError")
    );
}

#[test]
fn a_method_that_changes_something_does_not_answer_get() {
    let site = start();
    let told =
        ask(&site, "GET", "/api/method/frappe.client.cancel?doctype=Sales%20Order&name=x", &Value::Null);
    assert_eq!(thrown(told), refused(403, "PermissionError"));
}

#[test]
fn filters_reach_rows_and_ranges() {
    let site = start();
    for (name, code, qty) in [("A", "X-1", 1), ("B", "X-2", 5), ("C", "Y-1", 9)] {
        let rows = json!([{ "doctype": "Contract Row", "code": code, "qty": qty }]);
        site.insert("Contract Note", json!({ "name": name, "number": qty, "rows": rows })).unwrap();
    }
    let names = |filters: Value| {
        let filters = form(&filters.to_string());
        let rows = given(ask(
            &site,
            "GET",
            &format!("{NOTES}?filters={filters}&order_by=name%20desc"),
            &Value::Null,
        ));
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<String>()
    };
    assert_eq!(names(json!([["Contract Row", "code", "like", "x-%"]])), "BA");
    assert_eq!(names(json!({ "number": [">", 1] })), "CB");
    assert_eq!(names(json!([["number", ">=", 2], ["number", "<=", 9], ["name", "not in", ["C"]]])), "B");
    let all = json!([["creation", "between", ["2000-01-01", "2999-01-01"]], ["name", "!=", "B"]]);
    assert_eq!(names(all), "CA");
    let numbers = format!("{NOTES}?filters={}", form(r#"[["number", "between", [2, 9]]]"#));
    let (status, refused) = ask(&site, "GET", &numbers, &Value::Null).unwrap();
    assert_eq!((status, &refused["exc_type"]), (500, &json!("ProgrammingError")), "a range is of days");
    assert_eq!(names(json!([["missing", "is", "not set"]])), "CBA");
}

fn form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn more_than_two_hundred_inserts_are_refused() {
    let site = start();
    let many = |count: usize| {
        let docs: Vec<Value> =
            (0..count).map(|n| json!({ "doctype": "ToDo", "description": n.to_string() })).collect();
        ask(&site, "POST", "/api/method/frappe.client.insert_many", &json!({ "docs": docs }))
    };
    assert_eq!(thrown(many(201)), refused(417, "ValidationError"));
    assert_eq!(many(200).unwrap().1["message"].as_array().unwrap().len(), 200);
    assert_eq!(site.count("ToDo"), 200);
}

/// A document that a mapper takes, submitted where it has to be.
fn source(site: &Site, doctype: &str, draft: bool) -> String {
    let items = json!([{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10, "delivery_date": "2026-11-30" }]);
    let fields = json!({
        "customer": "Hub Customer 0", "supplier": "Hub Supplier 0", "party_name": "Hub Customer 0",
        "company": "Hub Test Co", "docstatus": i32::from(!draft), "items": items,
    });
    site.insert(doctype, fields).unwrap()["name"].as_str().unwrap().to_owned()
}

#[test]
fn every_pair_maps_until_nothing_is_left() {
    let site = start();
    for mapper in MAPPERS {
        let name = source(&site, mapper.from, mapper.to == "Packing Slip");
        let map = || {
            let told = ask(
                &site,
                "POST",
                &format!("/api/method/{}", mapper.method),
                &json!({ "source_name": name }),
            );
            let (status, body) = told.unwrap();
            assert_eq!(status, 200, "{mapper:?}: {body}");
            body["message"].clone()
        };
        let mut target = map();
        assert_eq!(target["doctype"], mapper.to);
        let row = target["items"][0].clone();
        assert_eq!(row["qty"], 2.0, "{mapper:?}");
        if !mapper.source.is_empty() {
            assert_eq!(row[mapper.source], name, "{mapper:?}");
        }
        target["docstatus"] = json!(1);
        let told = ask(&site, "POST", "/api/method/frappe.client.insert", &json!({ "doc": target }));
        assert_eq!(told.as_ref().map(|told| told.0), Some(200), "{mapper:?}: {told:?}");
        if !mapper.source_row.is_empty() {
            assert_eq!(map()["items"], json!([]), "{mapper:?}");
        }
    }
    for doctype in ["Sales Order", "Sales Invoice", "Purchase Order", "Purchase Invoice"] {
        let name = source(&site, doctype, false);
        let told =
            ask(&site, "POST", &format!("/api/method/{PAYMENT}"), &json!({ "dt": doctype, "dn": name }));
        let mut payment = told.unwrap().1["message"].clone();
        assert_eq!(payment["references"][0]["reference_name"], name);
        payment["docstatus"] = json!(1);
        let told = ask(&site, "POST", "/api/method/frappe.client.insert", &json!({ "doc": payment }));
        assert_eq!(told.as_ref().map(|told| told.0), Some(200), "{told:?}");
        let told =
            ask(&site, "POST", &format!("/api/method/{PAYMENT}"), &json!({ "dt": doctype, "dn": name }));
        assert_eq!(thrown(told), refused(417, "ValidationError"));
    }
}

fn note(site: &Site, name: &str) -> Told {
    ask(site, "POST", NOTES, &json!({ "name": name }))
}

fn until(what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < Duration::from_secs(5), "it did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_fault_has_its_effect_or_none() {
    let gone = Answer::proxy(504);
    let faults = [
        (Effect::DropBefore, None, false),
        (Effect::DropAfter, None, true),
        (Effect::DropMidBody, None, true),
        (Effect::Answer(Answer::proxy(502)), Some(502), false),
        (Effect::Answer(Answer::text(200, "application/json", "{\"data\": {")), Some(200), false),
        (Effect::AnswerAfter(gone.clone()), Some(504), true),
        (Effect::Limited(7), Some(429), false),
        (Effect::Maintenance, Some(503), false),
        (Effect::LockWait, Some(500), false),
        (Effect::Flood(3_000_000), Some(200), true),
        (Effect::Drip(Duration::from_millis(1)), Some(200), true),
        (Effect::DelayBefore(Duration::from_millis(20)), Some(200), true),
        (Effect::DelayAnswer(Duration::from_millis(20)), Some(200), true),
        (Effect::HoldCommit(Duration::from_millis(20)), Some(200), true),
    ];
    let site = start();
    for (index, (effect, status, done)) in faults.into_iter().enumerate() {
        let name = format!("N{index}");
        let shown = format!("{effect:?}");
        site.fault(Fault::new(effect).method("POST").doctype("Contract Note").once());
        site.forget_requests();
        assert_eq!(note(&site, &name).map(|(status, _)| status), status, "{shown}");
        assert_eq!(site.document("Contract Note", &name).is_some(), done, "{shown}");
        assert_eq!(site.requests()[0].had_effect, done, "{shown}");
    }
    for (index, meanwhile) in [Meanwhile::Drop, Meanwhile::Answer(gone)].into_iter().enumerate() {
        let name = format!("L{index}");
        site.fault(Fault::new(Effect::LateCommit(Duration::from_millis(30), meanwhile)).once());
        note(&site, &name);
        assert!(site.document("Contract Note", &name).is_none());
        until(|| site.document("Contract Note", &name).is_some());
    }
}

#[test]
fn a_body_without_an_end_does_not_end() {
    let site = start();
    site.fault(Fault::new(Effect::Flood(u64::MAX)).once());
    assert_eq!(ask(&site, "GET", NOTES, &Value::Null), None, "ureq stops at 10 MB");
}

#[test]
fn a_caller_who_hangs_up_has_had_the_effect() {
    let site = start();
    site.fault(Fault::new(Effect::DelayBefore(Duration::from_millis(200))).once());
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_millis(50))).build().into();
    let request =
        agent.post(format!("{}/api/resource/ToDo", site.url())).header("Authorization", hub().token());
    assert!(request.send("{\"description\": \"a\"}").is_err());
    assert_eq!(site.count("ToDo"), 0);
    until(|| site.count("ToDo") == 1);
}

#[test]
fn a_long_transaction_is_stamped_before_it_is_seen() {
    let site = start();
    site.fault(Fault::new(Effect::HoldCommit(Duration::from_millis(100))).once());
    thread::scope(|scope| {
        let slow = scope.spawn(|| note(&site, "slow"));
        until(|| site.requests().len() == 1);
        thread::sleep(Duration::from_millis(20));
        given(note(&site, "quick"));
        given(slow.join().unwrap());
    });
    let modified =
        |name: &str| site.document("Contract Note", name).unwrap()["modified"].as_str().unwrap().to_owned();
    assert!(modified("slow") < modified("quick"));
}

#[test]
fn a_fault_strikes_as_often_as_it_is_told() {
    let site = start();
    site.fault(Fault::new(Effect::Maintenance).method("GET").path("Contract").after(1).times(2));
    let told: Vec<u16> = (0..4).map(|_| ask(&site, "GET", NOTES, &Value::Null).unwrap().0).collect();
    assert_eq!(told, [200, 503, 503, 200]);
    let seeded = |site: &Site| {
        site.clear_faults();
        site.fault(Fault::new(Effect::Maintenance).sometimes(0.5, 7));
        (0..20).map(|_| ask(site, "GET", NOTES, &Value::Null).unwrap().0).collect::<Vec<u16>>()
    };
    let first = seeded(&site);
    assert!(first.contains(&200) && first.contains(&503));
    assert_eq!(first, seeded(&site), "the same seed, the same faults");
}

#[test]
fn a_paused_site_lets_requests_wait_and_counts_them() {
    let site = start();
    site.pause();
    thread::scope(|scope| {
        let asked: Vec<_> = (0..3)
            .map(|n| {
                let site = &site;
                scope.spawn(move || note(site, &format!("N{n}")))
            })
            .collect();
        until(|| site.requested("POST", "Contract Note") == 3);
        assert_eq!(site.count("Contract Note"), 0);
        site.fault(Fault::new(Effect::DelayBefore(Duration::from_millis(50))));
        site.resume();
        for one in asked {
            given(one.join().unwrap());
        }
    });
    assert_eq!(site.most_at_once(), 3);
}

#[test]
fn a_closed_site_refuses_connections_and_keeps_what_it_has() {
    let site = start();
    given(note(&site, "N"));
    for _ in 0..2 {
        site.close();
        let refused = std::net::TcpStream::connect(site.url().trim_start_matches("http://"));
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        site.open();
        assert_eq!(given(ask(&site, "GET", &format!("{NOTES}/N"), &Value::Null))["name"], "N");
    }
}

#[test]
fn a_used_up_budget_is_refused_until_the_window_ends() {
    let rate_limit = Some(RateLimit { limit_micros: 100, window_seconds: 10, cost_micros: 40 });
    let site = Site::start(SiteOptions { rate_limit, ..SiteOptions::default() }).unwrap();
    site.stop_time_at("2026-01-01T00:00:04Z".parse().unwrap());
    let ping = || ask(&site, "GET", "/api/method/ping", &Value::Null).unwrap().0;
    assert_eq!([ping(), ping(), ping(), ping()], [200, 200, 200, 429]);
    site.advance(SignedDuration::from_secs(6));
    assert_eq!(ping(), 200);
}

#[test]
fn a_closed_doctype_of_a_test_has_its_fields_and_no_other() {
    let site = start();
    site.register(DocType::prompt("Closed Note").closed().with(Field::new("amount", Kind::Float)));
    let made =
        given(ask(&site, "POST", "/api/resource/Closed Note", &json!({ "name": "N", "amount": 1, "x": 2 })));
    assert_eq!((made["amount"].to_string(), made.get("x")), ("1.0".to_owned(), None));
}
