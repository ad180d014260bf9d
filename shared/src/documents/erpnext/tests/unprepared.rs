//! DocTypes without Causeway's fields: what still happens once, and the windows in which it does not.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    ErrorCode,
    documents::contract::{key, of_event, put},
};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_creation_there_is_one_document_if_a_repeat_waits_for_it() {
    each_fate(|name, fate| async move {
        let rig = Rig::unprepared().await;
        rig.server.fault(Fault::new(fate).method("POST").path("resource/Sales Order").once());
        // A late commit is visible when the repeat comes, minutes later.
        for _ in 0..8 {
            match rig.another().commit(of_event("evt_1", order("PO-1"))).await {
                Ok(Committed::Now(_) | Committed::Before) => break,
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(error.is_transient(), "{name}: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
            rig.advance(SignedDuration::from_mins(3));
        }
        settle(&rig).await;
        assert_eq!(rig.server.count("Sales Order"), 1, "{name}");
        assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done), "{name}");
    })
    .await;
}

/// Drops an attempt once the site has this many orders.
async fn die(rig: &Rig, commit: Commit, orders: usize) {
    let store = rig.another();
    tokio::select! {
        biased;
        () = async {
            while rig.server.count("Sales Order") < orders {
                tokio::task::yield_now().await;
            }
        } => {}
        done = store.commit(commit) => panic!("it did not die: {done:?}"),
    }
}

#[tokio::test]
async fn an_attempt_that_died_keeps_others_away_and_is_then_looked_for() {
    let rig = Rig::unprepared().await;
    die(&rig, of_event("evt_1", order("PO-1")), 1).await;
    let waits = rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap_err();
    assert_eq!((waits.code(), waits.retry_after_seconds()), (ErrorCode::OutcomeUnknown, Some(120)));
    rig.advance(SignedDuration::from_mins(2));
    let found = contract::only(rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap());
    assert_eq!(
        (rig.server.count("Sales Order"), found.events.as_slice()),
        (1, ["evt_1".to_owned()].as_slice())
    );
    assert_eq!(rig.store.read(&found.key).await.unwrap(), Some(Stored::Live(found)));
}

#[tokio::test]
async fn events_that_say_the_same_do_not_take_each_others_documents() {
    let rig = Rig::unprepared().await;
    // One that ended, two that died, and one of someone else's.
    rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    die(&rig, of_event("evt_2", order("PO-1")), 2).await;
    die(&rig, of_event("evt_3", order("PO-1")), 3).await;
    rig.advance(SignedDuration::from_mins(3));
    let second = contract::only(rig.store.commit(of_event("evt_2", order("PO-1"))).await.unwrap());
    let third = contract::only(rig.store.commit(of_event("evt_3", order("PO-1"))).await.unwrap());
    assert_eq!(second.key.name.as_str(), "SAL-ORD-2026-00002");
    assert_eq!(third.key.name.as_str(), "SAL-ORD-2026-00003");
    assert_eq!(rig.server.count("Sales Order"), 3);
}

/// The window that `docs/erpnext.md` names.
#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_commits_after_it_was_looked_for_is_made_twice() {
    let rig = Rig::unprepared().await;
    let late = Fate::LateCommit(Duration::from_millis(2_500), Meanwhile::Drop);
    rig.server.fault(Fault::new(late).method("POST").path("resource/Sales Order").once());
    let unknown = rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::OutcomeUnknown);
    rig.advance(SignedDuration::from_mins(3));
    rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    assert_eq!(rig.server.count("Sales Order"), 2);
}

/// The other one: where nothing in the document tells, a change whose attempt died is made again.
#[tokio::test]
async fn a_change_whose_attempt_died_is_made_again() {
    let rig = Rig::unprepared().await;
    rig.write(put(None, "N", json!({}))).await;
    let stored = rig.note("N").await;
    let store = rig.another();
    tokio::select! {
        biased;
        () = async {
            while rows(&rig, "N").is_empty() {
                tokio::task::yield_now().await;
            }
        } => {}
        done = store.commit(row("evt_1", stored.as_ref())) => panic!("it did not die: {done:?}"),
    }
    deliver(&rig, &key("N"), &|stored| row("evt_1", stored)).await;
    assert_eq!(rows(&rig, "N"), ["evt_1", "evt_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_recognised() {
    for fate in [Fate::DropAfter, Fate::DropMidBody, Fate::AnswerAfter(Answer::proxy(502))] {
        let rig = Rig::unprepared().await;
        rig.write(put(None, "N", json!({}))).await;
        rig.advance(SignedDuration::from_secs(1));
        rig.server.fault(Fault::new(fate).method("PUT").once());
        let stored = rig.note("N").await;
        rig.store.commit(row("evt_1", stored.as_ref())).await.unwrap();
        assert_eq!(rows(&rig, "N"), ["evt_1"]);
    }
}

#[tokio::test]
async fn the_ledger_knows_names_and_versions_that_the_site_does_not() {
    let rig = Rig::unprepared().await;
    let asked = DocumentKey::new("Sales Order", "SHOP 77").unwrap();
    let made = rig.write(Write { target: Target::Named(asked.clone()), ..order("PO-77") }).await;
    let Some(Stored::Live(found)) = rig.store.read(&asked).await.unwrap() else { panic!("it is there") };
    assert_eq!((&found.key, &found.applied), (&made.key, &made.applied));
    assert_eq!(made.applied, Applied::from([("shop".to_owned(), start())]));
}

/// Two sources at once: neither forgets what the other has applied.
#[tokio::test]
async fn versions_of_sources_are_merged() {
    let rig = Rig::unprepared().await;
    let of = |source: &str| Applied::from([(source.to_owned(), start())]);
    let first = rig.write(Write { applied: Applied::new(), ..put(None, "N", json!({})) }).await;
    let stored = Stored::Live(first);
    let a = Write { applied: of("a"), ..put(Some(&stored), "N", json!({ "a": 1 })) };
    let changed = rig.write(a).await;
    // What this one read of the ledger is older than that.
    let read = Stored::Live(Document { applied: Applied::new(), ..changed });
    rig.write(Write { applied: of("b"), ..put(Some(&read), "N", json!({ "a": 1, "b": 2 })) }).await;
    let Some(Stored::Live(both)) = rig.note("N").await else { panic!("it is there") };
    assert_eq!(both.applied.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn what_had_no_effect_gives_its_claim_back() {
    let rig = Rig::unprepared().await;
    rig.server.fault(Fault::new(Fate::Maintenance).method("POST").path("resource/Sales Order").times(2));
    assert!(rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap_err().is_transient());
    rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    assert_eq!(rig.server.count("Sales Order"), 1);
}

#[tokio::test]
async fn a_doctype_that_is_prepared_later_keeps_what_the_ledger_knows() {
    let rig = Rig::unprepared().await;
    let written = rig.write(put(None, "N", json!({ "a": 1 }))).await;
    rig.server.prepare("Contract Note");
    rig.advance(SignedDuration::from_mins(2));
    let stored = rig.note("N").await;
    assert_eq!(stored.as_ref().map(Stored::applied), Some(&written.applied));
    rig.store.commit(of_event("evt_1", put(stored.as_ref(), "N", json!({ "a": 2 })))).await.unwrap();
    let mark =
        rig.server.document("Contract Note", "N").unwrap()["causeway_mark"].as_str().unwrap().to_owned();
    assert!(mark.contains("evt_1") && mark.contains("shop"), "{mark}");
}

#[tokio::test]
async fn doctypes_with_and_without_the_fields_are_not_created_together() {
    let rig = Rig::unprepared().await;
    rig.server.prepare("Sales Order");
    let writes = vec![order("PO-1"), put(None, "N", json!({}))];
    let refused =
        rig.store.commit(Commit { writes, event: None, receipt: None, work: None }).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::StoreUnsupported);
    let both = || vec![put(None, "A", json!({})), put(None, "B", json!({}))];
    let commit = || Commit {
        event: of_event("evt_1", order("-")).event,
        ..Commit { writes: both(), event: None, receipt: None, work: None }
    };
    rig.server.fault(Fault::new(Fate::DropAfter).method("POST").path("insert_many").once());
    rig.store.commit(commit()).await.unwrap();
    assert_eq!(rig.server.count("Contract Note"), 2);
}

#[tokio::test]
async fn fields_that_someone_removed_are_noticed_where_they_are_looked_for() {
    let rig = Rig::prepared().await;
    assert_eq!(rig.note("N").await, None);
    rig.server.register(SiteDocType::prompt("Contract Note"));
    let noticed = rig.store.read(&key("N")).await.unwrap_err();
    assert!(noticed.is_transient(), "{noticed}: an event is tried again");
    assert_eq!(rig.note("N").await, None);
    rig.store.commit(of_event("evt_1", put(None, "N", json!({ "a": 1 })))).await.unwrap();
    assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done));
}
