//! What is sent for a write, and what a site's rules come to.

use serde_json::json;

use super::*;
use crate::{
    ErrorCode,
    documents::{
        DocName,
        contract::{key, of_event, put},
    },
};

/// The body of the last request of this method.
fn sent(rig: &Rig, method: &str) -> Value {
    let all = rig.server.requests();
    let last = all.iter().rev().find(|request| request.method == method).unwrap();
    serde_json::from_str(&last.body).unwrap()
}

/// A write that takes a Sales Order to this status.
fn to_status(stored: &Stored, docstatus: DocStatus) -> Write {
    let Stored::Live(document) = stored else { panic!("it is there") };
    let change = Change::Put { fields: document.fields.clone(), docstatus };
    Write::over(Target::Named(document.key.clone()), Some(stored), change, Applied::new(), "kim")
}

fn at(docstatus: DocStatus, mut write: Write) -> Write {
    if let Change::Put { docstatus: status, .. } = &mut write.change {
        *status = docstatus;
    }
    write
}

#[tokio::test]
async fn only_what_changes_is_sent_with_the_lock_and_the_mark() {
    let rig = Rig::prepared().await;
    let first = rig.write(put(None, "N", json!({ "a": 1, "b": 2, "gone": 3 }))).await;
    rig.advance(SignedDuration::from_secs(1));
    let stored = rig.note("N").await;
    let write = put(stored.as_ref(), "N", json!({ "a": 1.0, "b": 5 }));
    rig.store.commit(of_event("evt_1", write)).await.unwrap();
    let Value::Object(body) = sent(&rig, "PUT") else { panic!("an object") };
    let fields: Vec<&str> = body.keys().map(String::as_str).collect();
    assert_eq!(fields, ["b", "gone", "causeway_mark", "modified"]);
    assert_eq!(body["modified"], json!("2026-11-23 14:30:00"));
    assert_eq!(first.revision, crate::erpnext::time::revision("2026-11-23 14:30:00").unwrap());
    let mark =
        rig.server.document("Contract Note", "N").unwrap()["causeway_mark"].as_str().unwrap().to_owned();
    assert_eq!(
        serde_json::from_str::<Value>(&mark).unwrap(),
        json!({ "applied": { "shop": "2026-11-23T09:00:00Z" }, "events": ["evt_1"], "by": "someone" })
    );
}

#[tokio::test]
async fn a_document_that_the_site_names_is_found_by_the_name_it_was_asked_for() {
    let rig = Rig::prepared().await;
    let asked = DocumentKey::new("Sales Order", "SHOP 77").unwrap();
    let write = Write { target: Target::Named(asked.clone()), ..order("PO-77") };
    let made = rig.write(write.clone()).await;
    assert_eq!(made.key.name.as_str(), "SAL-ORD-2026-00001");
    let stored = rig.store.read(&asked).await.unwrap().unwrap();
    assert_eq!(stored, Stored::Live(made.clone()));
    assert_eq!(rig.store.commit(Commit::of(write)).await.unwrap_err().code(), ErrorCode::DocumentExists);
    let changed = Write { target: Target::Named(asked.clone()), ..to_status(&stored, DocStatus::Submitted) };
    let submitted = rig.write(changed).await;
    assert_eq!((submitted.key, submitted.docstatus), (made.key.clone(), DocStatus::Submitted));
    let stored = rig.store.read(&asked).await.unwrap().unwrap();
    let cancelled = rig.write(to_status(&stored, DocStatus::Cancelled)).await;
    let target = Target::Named(asked.clone());
    let stored = Stored::Live(cancelled);
    let delete = Write::over(target, Some(&stored), Change::Delete, Applied::new(), "kim");
    assert_eq!(rig.store.commit(Commit::of(delete)).await.unwrap(), Committed::Now(vec![None]));
    for gone in [asked, made.key] {
        assert!(matches!(rig.store.read(&gone).await.unwrap(), Some(Stored::Deleted(_))), "{gone}");
    }
}

#[tokio::test]
async fn a_document_goes_through_its_statuses() {
    let rig = Rig::prepared().await;
    let submitted = rig.write(at(DocStatus::Submitted, order("PO-1"))).await;
    assert_eq!(submitted.docstatus, DocStatus::Submitted);
    let stored = Stored::Live(submitted.clone());
    let Change::Put { mut fields, docstatus } = to_status(&stored, DocStatus::Submitted).change else {
        panic!("a put")
    };
    fields.insert("customer".to_owned(), json!("Hub Customer 1"));
    let change = Change::Put { fields, docstatus };
    let target = Target::Named(submitted.key.clone());
    let write = Write::over(target, Some(&stored), change, Applied::new(), "kim");
    let refused = rig.store.commit(Commit::of(write)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DocstatusForbids);
    let target = Target::Named(submitted.key.clone());
    let delete = Write::over(target, Some(&stored), Change::Delete, Applied::new(), "kim");
    assert!(!rig.store.commit(Commit::of(delete)).await.unwrap_err().is_transient());
    let cancelled = rig.write(to_status(&stored, DocStatus::Cancelled)).await;
    assert_eq!(cancelled.docstatus, DocStatus::Cancelled);
    let refused = rig.store.commit(Commit::of(at(DocStatus::Cancelled, order("PO-2")))).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::StoreUnsupported);
}

#[tokio::test]
async fn a_cancellation_that_overtakes_its_submission_does_both() {
    let rig = Rig::prepared().await;
    let draft = Stored::Live(rig.write(order("PO-1")).await);
    let cancel = |stored: &Stored| of_event("evt_1", to_status(stored, DocStatus::Cancelled));
    // Refused in the middle: the document is submitted, and a repeat goes on from there.
    rig.server.fault(Fault::new(Fate::Maintenance).method("PUT").after(1).times(2));
    assert!(rig.store.commit(cancel(&draft)).await.unwrap_err().is_transient());
    let stored =
        rig.store.read(&DocumentKey::new("Sales Order", "SAL-ORD-2026-00001").unwrap()).await.unwrap();
    let stored = stored.unwrap();
    assert!(matches!(&stored, Stored::Live(document) if document.docstatus == DocStatus::Submitted));
    let cancelled = contract::only(rig.store.commit(cancel(&stored)).await.unwrap());
    assert_eq!(
        (cancelled.docstatus, cancelled.events.as_slice()),
        (DocStatus::Cancelled, ["evt_1".to_owned()].as_slice())
    );
}

/// A site would write the rows that come with it unchecked, and take them out of its stock.
#[tokio::test]
async fn a_cancellation_changes_nothing_else() {
    let rig = Rig::prepared().await;
    let stored = Stored::Live(rig.write(at(DocStatus::Submitted, order("PO-1"))).await);
    let mut write = to_status(&stored, DocStatus::Cancelled);
    if let Change::Put { fields, .. } = &mut write.change {
        fields["items"][0]["qty"] = json!(77);
        fields.insert("po_no".to_owned(), json!("PO-2"));
    }
    let cancelled = contract::only(rig.store.commit(of_event("evt_1", write)).await.unwrap());
    assert_eq!((cancelled.docstatus, &cancelled.fields["po_no"]), (DocStatus::Cancelled, &json!("PO-1")));
    let Value::Object(body) = sent(&rig, "PUT") else { panic!("an object") };
    let fields: Vec<&str> = body.keys().map(String::as_str).collect();
    assert_eq!(fields, ["docstatus", "causeway_mark", "modified"]);
}

#[tokio::test]
async fn a_missing_link_whose_name_holds_the_documents_own_is_no_conflict() {
    for rig in [Rig::prepared().await, Rig::unprepared().await] {
        rig.write(put(None, "1", json!({ "a": 1 }))).await;
        let said = json!({ "exc_type": "DoesNotExistError", "exception": "Error: Customer 11 not found" });
        let missing = Answer::text(404, "application/json", &said.to_string());
        rig.server.fault(Fault::new(Fate::Answer(missing)).method("PUT"));
        let write = put(rig.note("1").await.as_ref(), "1", json!({ "a": 2 }));
        let refused = rig.store.commit(of_event("evt_1", write)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ProviderRefused, "{refused}");
        assert!(refused.detail().contains("Customer 11"), "{refused}");
        let write = put(rig.note("1").await.as_ref(), "1", json!({ "a": 2 }));
        rig.server.delete("Contract Note", "1").unwrap();
        let gone = rig.store.commit(of_event("evt_1", write)).await.unwrap_err();
        assert_eq!(gone.code(), ErrorCode::RevisionConflict, "{gone}");
    }
}

#[tokio::test]
async fn a_name_that_a_site_keeps_otherwise_is_refused_before_it_is_sent() {
    let rig = Rig::prepared().await;
    let key = DocumentKey::new("Sales Order", "A<B").unwrap();
    let write = Write { target: Target::Named(key), ..order("PO-1") };
    let refused = rig.store.commit(of_event("evt_1", write)).await.unwrap_err();
    assert_eq!((refused.code(), rig.server.count("Sales Order")), (ErrorCode::InvalidInput, 0));
}

#[tokio::test]
async fn several_documents_are_created_together_or_not_at_all() {
    let rig = Rig::prepared().await;
    let both = |third: Write| Commit {
        writes: vec![order("PO-1"), order("PO-2"), third],
        event: None,
        receipt: None,
        work: None,
    };
    let with_event = |commit: Commit| Commit { event: of_event("evt_1", order("-")).event, ..commit };
    let bad = Write {
        change: Change::Put {
            fields: Fields::from_iter([("customer".to_owned(), json!("Nobody"))]),
            docstatus: DocStatus::Draft,
        },
        ..order("PO-3")
    };
    let refused = rig.store.commit(with_event(both(bad))).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused:?}");
    assert_eq!(rig.server.count("Sales Order"), 0);
    rig.server.fault(Fault::new(Fate::DropAfter).method("POST").path("insert_many").once());
    let good = || with_event(both(order("PO-3")));
    let Committed::Now(made) = rig.store.commit(good()).await.unwrap() else { panic!("it is done now") };
    let names: Vec<&str> = made.iter().flatten().map(|document| document.key.name.as_str()).collect();
    assert_eq!(names, ["SAL-ORD-2026-00001", "SAL-ORD-2026-00002", "SAL-ORD-2026-00003"]);
    assert_eq!(rig.store.commit(good()).await.unwrap(), Committed::Before);
    assert_eq!(rig.server.count("Sales Order"), 3);
}

#[tokio::test]
async fn what_a_site_cannot_do_at_once_is_refused_before_anything_is_done() {
    let rig = Rig::prepared().await;
    let note = rig.write(put(None, "N", json!({}))).await;
    let stored = Stored::Live(note);
    let change = put(Some(&stored), "N", json!({ "a": 1 }));
    for writes in [vec![change.clone(), order("PO-1")], vec![change.clone(), change]] {
        let refused =
            rig.store.commit(Commit { writes, event: None, receipt: None, work: None }).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StoreUnsupported);
    }
    let long = Write { target: Target::Named(key(&"x".repeat(141))), ..put(None, "-", json!({})) };
    assert_eq!(rig.store.commit(Commit::of(long)).await.unwrap_err().field_errors()[0].field, "name");
    assert_eq!(rig.server.count("Sales Order"), 0);
}

#[tokio::test]
async fn causeways_own_doctypes_are_not_in_the_site() {
    let rig = Rig::prepared().await;
    let user = DocumentKey::new("User", "Administrator").unwrap();
    assert_eq!(rig.store.read(&user).await.unwrap(), None);
    let query = ListQuery::new(user.doctype.clone(), 5);
    assert!(rig.store.list(&query).await.unwrap().items.is_empty());
    assert_eq!(rig.store.count(&user.doctype, &Filters::default()).await.unwrap().count, 0);
    let write = Write { target: Target::Named(user), ..put(None, "-", json!({})) };
    assert_eq!(rig.store.commit(Commit::of(write)).await.unwrap_err().code(), ErrorCode::StoreUnsupported);
    assert!(rig.server.requests().is_empty());
}

#[tokio::test]
async fn what_the_site_refuses_is_not_tried_again() {
    let rig = Rig::prepared().await;
    let of = |customer: &str, doctype: &str| {
        let fields = Fields::from_iter([
            ("customer".to_owned(), json!(customer)),
            ("item_code".to_owned(), json!("HUB-ITEM-0")),
            ("item_group".to_owned(), json!("Products")),
            ("stock_uom".to_owned(), json!("Nos")),
        ]);
        let key = DocumentKey { doctype: DocType::new(doctype).unwrap(), name: DocName::new("X 1").unwrap() };
        Write {
            target: Target::Named(key),
            change: Change::Put { fields, docstatus: DocStatus::Draft },
            ..order("-")
        }
    };
    // A link to nothing; a name that another field gives, and that is taken; a DocType that is not there.
    for write in [of("Nobody", "Sales Order"), of("-", "Item"), of("-", "No Such DocType")] {
        let refused = rig.store.commit(of_event("evt_1", write)).await.unwrap_err();
        assert!(!refused.is_transient() && refused.code() != ErrorCode::DocumentExists, "{refused:?}");
    }
    assert_eq!(rig.status("evt_1").await, None);
    let unknown = DocumentKey::new("No Such DocType", "X").unwrap();
    assert_eq!(rig.store.read(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn a_document_of_someone_elses_is_neither_ours_nor_overwritten() {
    let rig = Rig::prepared().await;
    rig.server.insert("Contract Note", json!({ "name": "N", "a": 1 })).unwrap();
    let refused = rig.store.commit(of_event("evt_1", put(None, "N", json!({ "a": 2 })))).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DocumentExists);
    let stored = rig.note("N").await;
    let Some(Stored::Live(document)) = &stored else { panic!("it is there") };
    assert!(document.applied.is_empty() && document.owner == "Administrator");
    let written = contract::only(
        rig.store.commit(of_event("evt_1", put(stored.as_ref(), "N", json!({ "a": 2 })))).await.unwrap(),
    );
    assert_eq!(written.events, ["evt_1"]);
}

#[tokio::test]
async fn the_hour_that_comes_twice_confuses_no_lock() {
    let options = SiteOptions::default().in_zone("Europe/Berlin").prepared(NAMED);
    let rig = Rig::with(options).await;
    rig.server.stop_time_at("2026-10-25T00:30:00.25Z".parse().unwrap());
    let summer = rig.write(put(None, "N", json!({ "a": 1 }))).await;
    assert_eq!(summer.modified.to_string(), "2026-10-25T00:30:00.25Z");
    let stale = rig.note("N").await;
    // The clocks say half past two again.
    rig.server.advance(SignedDuration::from_mins(59));
    let winter = rig.write(put(stale.as_ref(), "N", json!({ "a": 2 }))).await;
    assert!(winter.revision != summer.revision);
    let refused =
        rig.store.commit(Commit::of(put(stale.as_ref(), "N", json!({ "a": 3 })))).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RevisionConflict);
    let stored = rig.note("N").await;
    assert_eq!(stored, Some(Stored::Live(winter.clone())));
    rig.server.advance(SignedDuration::from_mins(30));
    let last = rig.write(put(stored.as_ref(), "N", json!({ "a": 4 }))).await;
    assert_eq!(last.fields["a"], json!(4));
    let query = ListQuery::new(key("N").doctype, 5);
    assert_eq!(rig.store.list(&query).await.unwrap().items, [last]);
}
