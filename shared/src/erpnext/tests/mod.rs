//! What a site answers, and what we make of it.

mod check;
mod credentials;
mod mapping;
mod setup;

use std::time::Duration;

use erpnext_site::{Answer, DocType, Effect, Fault, Meanwhile, SiteOptions};
use serde_json::{Value, json};

use super::{
    Exception, Map, SiteConfig, SiteError, SiteQuery,
    rig::{Rig, at, map, sales_order},
    time,
};
use crate::{
    Error, ErrorCode,
    outbound::{CallFailure, Repeat},
};

fn rig() -> Rig {
    Rig::start(SiteOptions::default().with(DocType::prompt("Note")))
}

fn named(name: &str) -> Map {
    map(json!({ "name": name, "title": "x" }))
}

fn refused(error: SiteError) -> Exception {
    match error {
        SiteError::Refused(refusal) => refusal.exception,
        SiteError::Call(failure) => panic!("{failure:?}"),
    }
}

fn names(rows: &[Map]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["name"].as_str()).collect()
}

#[tokio::test]
async fn a_document_comes_into_being_changes_and_goes() {
    let rig = rig();
    let made = rig.client.insert("Sales Order", sales_order(), Repeat::Unsafe).await.unwrap();
    let name = made["name"].as_str().unwrap();
    assert_eq!(rig.client.get("Sales Order", name).await.unwrap().unwrap()["modified"], made["modified"]);
    let change = map(json!({ "po_no": "PO 7", "modified": made["modified"] }));
    let changed = rig.client.update("Sales Order", name, change, Repeat::Unsafe).await.unwrap();
    assert_eq!((&changed["po_no"], &changed["customer"]), (&json!("PO 7"), &json!("Hub Customer 0")));
    let revision = |document: &Map| time::revision(document["modified"].as_str().unwrap()).unwrap();
    assert!(revision(&changed) > revision(&made));
    rig.client.delete("Sales Order", name).await.unwrap();
    assert_eq!(rig.client.get("Sales Order", name).await.unwrap(), None);
}

#[tokio::test]
async fn a_name_is_one_segment_whatever_is_in_it() {
    let rig = rig();
    for name in ["a/b", "50% off? #1 & more", "ü b+c", "%2e%2e", "a\\b", "..x", "x;y=z", "'\"()"] {
        rig.client.insert("Note", named(name), Repeat::Unsafe).await.unwrap();
        let read = rig.client.get("Note", name).await.unwrap().expect(name);
        assert_eq!(read["name"], name);
        rig.client.delete("Note", name).await.unwrap();
    }
    let error = rig.client.insert("Note", named("<b>"), Repeat::Unsafe).await.unwrap_err();
    assert_eq!(
        refused(error),
        Exception::Validation,
        "a name that no document may have is no name that is taken"
    );
    let before = rig.site.requests().len();
    for step in [".", "..", ""] {
        let error: Error = rig.client.get("Note", step).await.unwrap_err().into();
        assert_eq!(error.code(), ErrorCode::InvalidInput, "{step:?} would be another path");
    }
    assert_eq!(rig.site.requests().len(), before);
}

#[tokio::test]
async fn what_is_missing_is_told_from_what_is_missing_in_it() {
    let rig = rig();
    let lost = map(json!({ "customer": "Nobody" }));
    let mut order = sales_order();
    order.extend(lost);
    let error = rig.client.insert("Sales Order", order, Repeat::Unsafe).await.unwrap_err();
    assert!(error.is(&Exception::LinkMissing), "{error:?}");
    let error = Error::from(error);
    assert_eq!(error.code(), ErrorCode::ProviderRefused);
    assert!(error.detail().contains("Customer Nobody not found"), "{error}");
    let change = map(json!({ "title": "x" }));
    let error: Error = rig.client.update("Note", "none", change, Repeat::Unsafe).await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::DocumentNotFound);
    let error: Error = rig.client.delete("Note", "none").await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::DocumentNotFound);
}

#[tokio::test]
async fn a_stale_change_is_refused() {
    let rig = rig();
    let made = rig.client.insert("Note", named("n"), Repeat::Unsafe).await.unwrap();
    rig.site.change("Note", "n", json!({ "title": "y" })).unwrap();
    let change = map(json!({ "title": "z", "modified": made["modified"] }));
    let error: Error = rig.client.update("Note", "n", change, Repeat::Unsafe).await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::RevisionConflict);
}

#[tokio::test]
async fn a_list_is_filtered_ordered_and_paged() {
    let rig = rig();
    for (name, title) in [("a", "1"), ("b", "2"), ("c", "2"), ("d", "2")] {
        rig.site.insert("Note", json!({ "name": name, "title": title })).unwrap();
    }
    let query = SiteQuery {
        doctype: "Note".into(),
        fields: vec!["name".into(), "title".into()],
        filters: vec![json!(["title", "=", "2"])],
        or_filters: vec![json!(["name", "=", "c"]), json!(["name", "=", "d"])],
        order_by: "name desc".into(),
        start: 1,
        limit: 5,
    };
    let rows = rig.client.list(&query).await.unwrap();
    assert_eq!(names(&rows), ["c"]);
    assert_eq!(rows[0]["title"], "2");
    assert_eq!(rig.client.count("Note", &query.filters).await.unwrap(), 3);
    assert_eq!(rig.client.count("Note", &[]).await.unwrap(), 4);
}

#[tokio::test]
async fn a_count_knows_alternatives_and_asks_for_the_permission_to_read() {
    let rig = rig();
    for (name, title) in [("a", "1"), ("b", "2"), ("c", "3")] {
        rig.site.insert("Note", json!({ "name": name, "title": title })).unwrap();
    }
    let any = [json!(["title", "=", "1"]), json!(["name", "in", ["a", "c"]])];
    assert_eq!(rig.client.count_any("Note", &[json!(["name", "!=", "b"])], &any).await.unwrap(), 2);
    let unknown = rig.client.count("Sales Order", &[json!(["nope", "=", 1])]).await.unwrap_err();
    assert_eq!(refused(unknown), Exception::Data);
}

#[tokio::test]
async fn names_that_a_site_counts_are_texts() {
    let rig = rig();
    let answer = |body: Value| {
        Fault::new(Effect::Answer(Answer::text(200, "application/json", &body.to_string()))).once()
    };
    rig.site.fault(answer(json!({ "data": [{ "name": 4 }, { "name": 5 }] })));
    let query = SiteQuery { doctype: "Note".to_owned(), limit: 2, ..SiteQuery::default() };
    assert_eq!(names(&rig.client.list(&query).await.unwrap()), ["4", "5"]);
    rig.site.fault(answer(json!({ "data": { "name": 12 } })));
    assert_eq!(rig.client.get("Note", "12").await.unwrap().unwrap()["name"], "12");
    rig.site.fault(answer(json!({ "message": [7, "b"] })));
    let made = rig.client.insert_many(vec![named("x"), named("b")], Repeat::Unsafe).await.unwrap();
    assert_eq!(made, ["7", "b"]);
}

#[tokio::test]
async fn a_list_with_more_filters_than_an_address_holds_is_the_same_list() {
    let rig = rig();
    rig.site.insert("Note", json!({ "name": "a" })).unwrap();
    let many: Vec<String> = (0..900).map(|i| format!("none-{i}")).chain(["a".to_owned()]).collect();
    let mut query = SiteQuery {
        doctype: "Note".into(),
        fields: vec!["name".into()],
        filters: vec![json!(["name", "in", many])],
        limit: 5,
        ..SiteQuery::default()
    };
    assert_eq!(names(&rig.client.list(&query).await.unwrap()), ["a"]);
    assert_eq!(rig.site.requested("POST", "frappe.client.get_list"), 1);
    query.filters = vec![json!(["name", "in", vec!["x"; 900]])];
    assert!(rig.client.list(&query).await.unwrap().is_empty());
}

#[tokio::test]
async fn many_documents_go_in_together_or_not_at_all() {
    let rig = rig();
    let note = |name: &str| map(json!({ "doctype": "Note", "name": name }));
    let made = rig.client.insert_many(vec![note("a"), note("b")], Repeat::Unsafe).await.unwrap();
    assert_eq!(made, ["a", "b"]);
    let error = rig.client.insert_many(vec![note("c"), note("a")], Repeat::Unsafe).await.unwrap_err();
    assert_eq!(refused(error), Exception::DuplicateEntry);
    assert_eq!(rig.site.count("Note"), 2);
    let error: Error = rig.client.insert_many(vec![note("x"); 201], Repeat::Unsafe).await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::StoreUnsupported);
}

#[tokio::test]
async fn who_we_are_and_the_zone_are_asked_once() {
    let rig = Rig::start(SiteOptions::default().in_zone("Europe/Berlin"));
    for _ in 0..2 {
        assert_eq!(rig.client.user().await.unwrap(), "hub@example.test");
        let zone = rig.client.time_zone().await.unwrap();
        assert_eq!(zone.instant("2026-11-22 19:00:00"), Some(at("2026-11-22T18:00:00Z")));
    }
    assert_eq!(rig.site.requests().len(), 2);
    assert_eq!(rig.client.versions().await.unwrap()["erpnext"], "15.50.0");
}

#[tokio::test]
async fn a_failure_says_whether_anything_may_have_changed() {
    let rig = rig();
    let proxy = Answer::proxy;
    for (effect, may_have_changed) in [
        (Effect::DropBefore, true),
        (Effect::DropAfter, true),
        (Effect::DropMidBody, true),
        (Effect::Answer(proxy(502)), true),
        (Effect::Answer(proxy(504)), true),
        (Effect::LateCommit(Duration::ZERO, Meanwhile::Answer(proxy(504))), true),
        (Effect::AnswerAfter(Answer::text(200, "text/html", "<html>Welcome</html>")), true),
        (Effect::Flood(20 * 1024 * 1024), true),
        (Effect::Maintenance, false),
        (Effect::LockWait, false),
        (Effect::Limited(30), false),
        (Effect::Answer(proxy(503)), false),
    ] {
        let shown = format!("{effect:?}");
        rig.site.fault(Fault::new(effect));
        let error = rig.client.insert("Note", map(json!({})), Repeat::Unsafe).await.unwrap_err();
        rig.site.clear_faults();
        match error {
            SiteError::Call(CallFailure::Unknown(error)) => {
                assert!(may_have_changed, "{shown}: {error:?}");
            }
            SiteError::Call(CallFailure::Failed(error)) => {
                assert!(!may_have_changed, "{shown}: {error:?}");
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_may_be_sent_again_is_and_finds_a_site_that_changed_its_mind() {
    let rig = rig();
    rig.site.fault(Fault::new(Effect::DropAfter).times(2));
    assert!(rig.client.get("Note", "none").await.unwrap().is_none());
    rig.site.clear_faults();
    rig.site.fault(Fault::new(Effect::LockWait).times(2));
    rig.client.insert("Note", named("a"), Repeat::Unsafe).await.unwrap();
    assert_eq!(rig.site.requested("POST", "Note"), 3);
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_done() {
    let rig = rig();
    rig.site.insert("Note", json!({ "name": "a" })).unwrap();
    rig.site.fault(Fault::new(Effect::DropAfter).once());
    rig.client.delete("Note", "a").await.unwrap();
    assert_eq!((rig.site.count("Note"), rig.site.requested("DELETE", "Note")), (0, 2));
}

#[tokio::test]
async fn a_refusal_that_may_be_the_echo_of_a_lost_try_says_so() {
    let rig = rig();
    rig.site.fault(Fault::new(Effect::DropAfter).once());
    match rig.client.insert("Note", named("a"), Repeat::Safe).await.unwrap_err() {
        SiteError::Refused(refusal) => {
            assert_eq!((refusal.exception, refusal.after_unknown), (Exception::DuplicateEntry, true));
        }
        other @ SiteError::Call(_) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn money_keeps_its_digits() {
    let rig = rig();
    let mut note = named("a");
    note.insert("amount".into(), "12345678901234567.891".parse::<serde_json::Number>().unwrap().into());
    rig.client.insert("Note", note, Repeat::Unsafe).await.unwrap();
    let sent = &rig.site.requests()[0].body;
    assert!(sent.contains("12345678901234567.891"), "{sent}");
}

#[test]
fn a_site_s_url_says_where_and_nothing_else() {
    for url in
        ["https://erp.example.com", "https://erp.example.com/", " http://10.0.0.1:8000", "https://x/base/"]
    {
        assert!(SiteConfig::new(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "erp.example.com",
        "ftp://erp.example.com",
        "https://",
        "https://me:pw@erp.example.com",
        "https://erp.example.com/?a=b",
        "https://erp.example.com/#a",
        "file:///etc/passwd",
    ] {
        let error = SiteConfig::new(url).unwrap_err();
        assert!(!error.detail().contains("pw@"), "{error}");
    }
}

#[tokio::test]
async fn a_site_below_a_path_is_called_there() {
    let rig = rig();
    let config = SiteConfig::new(&format!("{}/base/", rig.site.url())).unwrap();
    let credentials = std::sync::Arc::new(super::credentials::FixedToken::new("a", "b").unwrap());
    let outbound = super::rig::outbound(&rig.clock);
    let policies = std::sync::Arc::new(super::rig::quick());
    let client = super::Site::new(config, credentials, outbound, policies, rig.clock.clone());
    assert!(client.get("Note", "a").await.is_err());
    assert_eq!(rig.site.requests()[0].path, "/base/api/resource/Note/a");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_no_answer() {
    let rig = rig();
    for body in [json!({}), json!({ "data": null }), json!({ "data": [1] }), json!({ "message": { "a": 1 } })]
    {
        rig.site.fault(Fault::new(Effect::Answer(Answer::json(200, &body))).once());
        let error = rig.client.get("Note", "a").await.unwrap_err();
        assert!(matches!(error, SiteError::Call(CallFailure::Failed(_))), "{body}: {error:?}");
        rig.site.fault(Fault::new(Effect::Answer(Answer::json(200, &body))).once());
        let error = rig.client.insert("Note", Map::new(), Repeat::Safe).await.unwrap_err();
        assert!(matches!(error, SiteError::Call(CallFailure::Unknown(_))), "{body}: {error:?}");
        rig.site.fault(Fault::new(Effect::Answer(Answer::json(200, &body))).once());
        let query = SiteQuery { doctype: "Note".into(), ..SiteQuery::default() };
        assert!(rig.client.list(&query).await.is_err(), "{body}");
    }
    let value = rig.client.call("ping", Map::new(), Repeat::Safe).await.unwrap();
    assert_eq!(value, Value::from("pong"));
}
