//! One effect an event, whatever goes wrong and wherever it stops.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::*;
use crate::{
    ErrorCode,
    documents::contract::{key, of_event, put},
};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_creation_there_is_one_document() {
    each_fate(|name, fate| async move {
        let rig = Rig::prepared().await;
        rig.server.fault(Fault::new(fate).method("POST").doctype("Sales Order").once());
        deliver(&rig, &key("none"), &|_| of_event("evt_1", order("PO-1"))).await;
        settle(&rig).await;
        assert_eq!(rig.server.count("Sales Order"), 1, "{name}");
        let made = &rig.server.documents("Sales Order")[0];
        assert_eq!(made["causeway_id"], json!("evt_1"), "{name}");
        assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done), "{name}");
        deliver(&rig, &key("none"), &|_| of_event("evt_1", order("PO-1"))).await;
        assert_eq!(rig.server.count("Sales Order"), 1, "{name}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_change_it_happens_once() {
    each_fate(|name, fate| async move {
        let rig = Rig::prepared().await;
        rig.write(put(None, "N", json!({}))).await;
        rig.server.fault(Fault::new(fate).method("PUT").once());
        deliver(&rig, &key("N"), &|stored| row("evt_1", stored)).await;
        settle(&rig).await;
        assert_eq!(rows(&rig, "N"), ["evt_1"], "{name}");
        assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done), "{name}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_deletion_the_document_is_gone_and_that_is_remembered() {
    each_fate(|name, fate| async move {
        let rig = Rig::prepared().await;
        let applied = rig.write(put(None, "N", json!({}))).await.applied;
        rig.server.fault(Fault::new(fate).method("DELETE").once());
        let delete = |stored: Option<&Stored>| {
            let write = Write::over(Target::Named(key("N")), stored, Change::Delete, applied.clone(), "kim");
            of_event("evt_1", write)
        };
        deliver(&rig, &key("N"), &delete).await;
        settle(&rig).await;
        assert_eq!(rig.server.count("Contract Note"), 0, "{name}");
        assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done), "{name}");
        let Some(Stored::Deleted(tombstone)) = rig.note("N").await else { panic!("{name}: no tombstone") };
        assert_eq!(tombstone.applied, applied, "{name}");
    })
    .await;
}

/// Lets `commit` go on until the site has done `until`, and drops it there: the answer is heard by nobody.
async fn die(rig: &Rig, commit: Commit, until: impl Fn() -> bool) {
    let store = rig.another();
    tokio::select! {
        biased;
        () = async {
            while !until() {
                tokio::task::yield_now().await;
            }
        } => {}
        done = store.commit(commit) => panic!("it did not die: {done:?}"),
    }
}

#[tokio::test]
async fn who_dies_after_a_creation_leaves_one_document_to_the_next() {
    let rig = Rig::prepared().await;
    die(&rig, of_event("evt_1", order("PO-1")), || rig.server.count("Sales Order") == 1).await;
    assert_eq!(rig.status("evt_1").await, None);
    let again = rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    let document = contract::only(again);
    assert_eq!((rig.server.count("Sales Order"), document.fields["po_no"].as_str()), (1, Some("PO-1")));
    assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done));
}

#[tokio::test]
async fn a_creation_that_is_refused_for_what_its_own_first_try_made_has_happened() {
    let rig = Rig::prepared().await;
    die(&rig, of_event("evt_1", order("PO-1")), || rig.server.count("Sales Order") == 1).await;
    let refusal = || {
        let billed = json!({ "exc_type": "ValidationError", "exception": "nothing is left to bill" });
        let answer = Answer::text(417, "application/json", &billed.to_string());
        Fault::new(Fate::Answer(answer)).method("POST").doctype("Sales Order").once()
    };
    rig.server.fault(refusal());
    let document = contract::only(rig.store.commit(of_event("evt_1", order("PO-1"))).await.unwrap());
    assert_eq!(document.fields["po_no"], "PO-1");
    assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done));
    rig.server.fault(refusal());
    let refused = rig.store.commit(of_event("evt_2", order("PO-2"))).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ProviderRefused, "another event's is refused");
}

#[tokio::test]
async fn who_dies_after_a_change_leaves_it_done_once() {
    let rig = Rig::prepared().await;
    rig.write(put(None, "N", json!({}))).await;
    let stored = rig.note("N").await;
    die(&rig, row("evt_1", stored.as_ref()), || !rows(&rig, "N").is_empty()).await;
    // With what it had read, and with what is there.
    let stale = rig.store.commit(row("evt_1", stored.as_ref())).await.unwrap();
    assert!(matches!(stale, Committed::Now(_)), "the document shows it");
    let stored = rig.note("N").await;
    assert_eq!(rig.store.commit(row("evt_1", stored.as_ref())).await.unwrap(), Committed::Before);
    die_and_replan(&rig).await;
    assert_eq!(rows(&rig, "N"), ["evt_1", "evt_2"]);
}

async fn die_and_replan(rig: &Rig) {
    let stored = rig.note("N").await;
    die(rig, row("evt_2", stored.as_ref()), || rows(rig, "N").len() == 2).await;
    let stored = rig.note("N").await;
    assert!(matches!(rig.store.commit(row("evt_2", stored.as_ref())).await.unwrap(), Committed::Now(_)));
}

#[tokio::test]
async fn who_dies_after_a_deletion_leaves_the_rest_to_the_next() {
    let rig = Rig::prepared().await;
    rig.write(put(None, "N", json!({}))).await;
    let delete = |stored: Option<&Stored>| {
        of_event("evt_1", Write::over(Target::Named(key("N")), stored, Change::Delete, Applied::new(), "kim"))
    };
    let stored = rig.note("N").await;
    die(&rig, delete(stored.as_ref()), || rig.server.count("Contract Note") == 0).await;
    assert_eq!(rig.note("N").await, None);
    deliver(&rig, &key("N"), &delete).await;
    assert!(matches!(rig.note("N").await, Some(Stored::Deleted(_))));
    assert_eq!(rig.status("evt_1").await, Some(EventStatus::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_at_once_make_one_document() {
    let rig = Rig::prepared().await;
    let stores: Vec<ErpnextDocuments> = (0..6).map(|_| rig.another()).collect();
    let done = join_all(stores.iter().map(|store| store.commit(of_event("evt_1", order("PO-1"))))).await;
    let done: Vec<Committed> = done.into_iter().map(Result::unwrap).collect();
    let now = done.iter().filter(|committed| matches!(committed, Committed::Now(_))).count();
    assert_eq!((now, rig.server.count("Sales Order")), (1, 1), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_at_once_change_a_document_once() {
    let rig = Rig::prepared().await;
    rig.write(put(None, "N", json!({}))).await;
    let (key, plan) = (key("N"), |stored: Option<&Stored>| row("evt_1", stored));
    join_all((0..4).map(|_| deliver(&rig, &key, &plan))).await;
    assert_eq!(rows(&rig, "N"), ["evt_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_at_once_each_have_their_effect() {
    let rig = Rig::prepared().await;
    rig.write(put(None, "N", json!({}))).await;
    let ids: Vec<String> = (0..5).map(|n| format!("evt_{n}")).collect();
    let key = key("N");
    let deliveries = ids.iter().map(|id| {
        let (rig, key) = (&rig, &key);
        async move { deliver(rig, key, &|stored| row(id, stored)).await }
    });
    join_all(deliveries).await;
    let mut there = rows(&rig, "N");
    there.sort();
    assert_eq!(there, ids);
}

#[tokio::test]
async fn what_someone_else_did_meanwhile_is_not_overwritten() {
    let rig = Rig::prepared().await;
    rig.write(put(None, "N", json!({ "a": 1 }))).await;
    let stored = rig.note("N").await;
    rig.server.change("Contract Note", "N", json!({ "a": 2 })).unwrap();
    let write = || put(stored.as_ref(), "N", json!({ "a": 3 }));
    for commit in [Commit::of(write()), of_event("evt_1", write())] {
        assert_eq!(rig.store.commit(commit).await.unwrap_err().code(), ErrorCode::RevisionConflict);
    }
    let target = Target::Named(key("N"));
    let delete = Write::over(target, stored.as_ref(), Change::Delete, Applied::new(), "kim");
    let refused = rig.store.commit(Commit::of(delete)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RevisionConflict);
    assert_eq!(rig.server.document("Contract Note", "N").unwrap()["a"], json!(2));
    assert_eq!(rig.status("evt_1").await, None);
}

/// A write that answers nothing has no second attempt that would recognise it: it must find out itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_users_write_whose_answer_was_lost_knows_its_own_effect() {
    for fate in [Fate::DropAfter, Fate::DropMidBody, Fate::AnswerAfter(Answer::proxy(502)), Fate::DropBefore]
    {
        let rig = Rig::prepared().await;
        rig.server.fault(Fault::new(fate.clone()).method("POST").path("Contract Note").once());
        rig.write(put(None, "N", json!({ "a": 1 }))).await;
        let stored = rig.note("N").await;
        rig.server.fault(Fault::new(fate.clone()).method("PUT").times(2));
        let written = rig.write(put(stored.as_ref(), "N", json!({ "a": 2 }))).await;
        assert_eq!(written.fields["a"], json!(2));
        assert_eq!(rig.note("N").await, Some(Stored::Live(written)));
        rig.server.fault(Fault::new(fate).method("POST").doctype("Sales Order").times(2));
        rig.write(order("PO-1")).await;
        assert_eq!(rig.server.count("Sales Order"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_stays_away_leaves_the_outcome_open_and_says_so() {
    let rig = Rig::prepared().await;
    rig.store.read(&key("N")).await.unwrap();
    rig.store.is_prepared(&key("N").doctype).await.unwrap();
    rig.server.fault(Fault::new(Fate::DropAfter).method("POST"));
    rig.server.fault(Fault::new(Fate::DropBefore));
    let error = rig.store.commit(of_event("evt_1", put(None, "N", json!({})))).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::OutcomeUnknown);
    rig.server.clear_faults();
    let done = rig.store.commit(of_event("evt_1", put(None, "N", json!({})))).await.unwrap();
    assert!(matches!(done, Committed::Now(_)));
    assert_eq!(rig.server.count("Contract Note"), 1);
}

/// Two requests of one key that are not the same must not share an answer, also if the first died in between.
#[tokio::test]
async fn a_request_that_died_answers_its_own_repeat_and_no_other() {
    use crate::documents::{IdempotencyKey, Receipt};
    let rig = Rig::prepared().await;
    let with = |body: &str| {
        let name = IdempotencyKey::parse("first").unwrap();
        let receipt = Receipt::new("kim", "POST /v2/documents", name, &[body.as_bytes()], &[7; 32]);
        Commit { receipt: Some(receipt), ..Commit::of(order("PO-1")) }
    };
    die(&rig, with("{}"), || rig.server.count("Sales Order") == 1).await;
    let other = rig.store.commit(with("{\"other\":1}")).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::DocumentExists);
    assert!(matches!(rig.store.commit(with("{}")).await.unwrap(), Committed::Now(_)));
    assert!(matches!(rig.store.commit(with("{}")).await.unwrap(), Committed::Answered(_)));
    assert_eq!(rig.server.count("Sales Order"), 1);
    // A day later the key is free for another one, and that is recognised too.
    for _ in 0..3 {
        rig.advance(SignedDuration::from_hours(25));
        let count = rig.server.count("Sales Order");
        die(&rig, with("{}"), || rig.server.count("Sales Order") == count + 1).await;
        assert!(matches!(rig.store.commit(with("{}")).await.unwrap(), Committed::Now(_)));
        assert_eq!(rig.server.count("Sales Order"), count + 1);
    }
}

#[tokio::test]
async fn an_event_that_was_parked_meanwhile_ends_with_its_effect() {
    let rig = Rig::prepared().await;
    let commit = of_event("evt_1", order("PO-1"));
    let facts = commit.event.as_ref().unwrap().facts.clone();
    rig.log.mark(&facts, EventStatus::Parked, None).await.unwrap();
    assert_eq!(rig.store.commit(commit.clone()).await.unwrap(), Committed::Parked);
    assert_eq!(rig.server.count("Sales Order"), 0);
    let mut released = commit;
    released.event.as_mut().unwrap().release_parked = true;
    assert!(matches!(rig.store.commit(released).await.unwrap(), Committed::Now(_)));
    // Parked while the call was under way.
    let commit = of_event("evt_2", order("PO-2"));
    let facts = commit.event.as_ref().unwrap().facts.clone();
    rig.server.fault(Fault::new(Fate::DelayAnswer(Duration::from_millis(500))).method("POST").once());
    let parking = async {
        while rig.server.count("Sales Order") < 2 {
            tokio::task::yield_now().await;
        }
        rig.log.mark(&facts, EventStatus::Parked, None).await.unwrap();
    };
    let (done, ()) = tokio::join!(rig.store.commit(commit), parking);
    assert!(matches!(done.unwrap(), Committed::Now(_)));
    assert_eq!(rig.status("evt_2").await, Some(EventStatus::Done));
}
