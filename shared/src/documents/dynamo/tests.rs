//! The built-in store keeps the contract of all stores, and reads cancelled transactions right.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason};
use jiff::SignedDuration;
use serde_json::json;

use super::{
    super::contract::{self, by_series, of_event, only, put},
    *,
};
use crate::{
    clock::ManualClock,
    documents::{Applied, Change, DocStatus, Fields, Receipt},
    testing::{Dynamo, start},
};

async fn store() -> (DynamoDocuments, Arc<ManualClock>, Dynamo) {
    let dynamo = Dynamo::start().await;
    let clock = Arc::new(ManualClock::at(start()));
    (DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock.clone()), clock, dynamo)
}

#[tokio::test]
async fn the_built_in_store_keeps_the_contract() {
    let (store, clock, _dynamo) = store().await;
    contract::check(&store, &|by| clock.advance(by)).await;
    contract::works::check(&store, &|by| clock.advance(by), true).await;
}

#[tokio::test]
async fn documents_that_are_read_together_are_those_that_are_read_one_by_one() {
    let (store, ..) = store().await;
    for n in 0..120 {
        store.commit(Commit::of(put(None, &format!("N-{n}"), json!({ "n": n })))).await.unwrap();
    }
    let gone = store.read(&contract::key("N-7")).await.unwrap();
    let target = Target::Named(contract::key("N-7"));
    let delete = Write::over(target, gone.as_ref(), Change::Delete, Applied::new(), "someone");
    store.commit(Commit::of(delete)).await.unwrap();
    let mut keys: Vec<_> = (0..130).rev().map(|n| contract::key(&format!("N-{n}"))).collect();
    keys.push(contract::key("N-3"));
    let together = store.read_many(&keys).await.unwrap();
    for (key, found) in keys.iter().zip(together) {
        assert_eq!(found, store.read(key).await.unwrap(), "{key}");
    }
}

#[tokio::test]
async fn who_needs_numbers_at_once_shares_a_block() {
    let (store, ..) = store().await;
    let commits = (0..30).map(|_| store.commit(Commit::of(by_series("BLOCK-.####", 30))));
    let made = futures::future::join_all(commits).await;
    let mut names: Vec<String> =
        made.into_iter().map(|committed| only(committed.unwrap()).key.name.to_string()).collect();
    names.sort();
    assert_eq!(names, (1..=30).map(|n| format!("BLOCK-{n:04}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_written_is_kept_to_the_letter_and_counted() {
    let (store, ..) = store().await;
    let value = json!({ "customer": "B Müller & Søn 东京", "grand_total": 9.99, "items": [{ "qty": 1 }], "note": null });
    let written = only(store.commit(Commit::of(put(None, "SO-1", value.clone()))).await.unwrap());
    assert_eq!(written.fields, contract::fields(value));
    let who = (written.revision, written.owner.as_str(), written.modified_by.as_str());
    assert_eq!(who, (1, "someone", "someone"));
    let stored = store.read(&contract::key("SO-1")).await.unwrap();
    let next = only(store.commit(Commit::of(put(stored.as_ref(), "SO-1", json!({})))).await.unwrap());
    assert_eq!(next.revision, 2);
    let stored = store.read(&contract::key("SO-1")).await.unwrap();
    let target = Target::Named(contract::key("SO-1"));
    let delete = Write::over(target, stored.as_ref(), Change::Delete, Applied::new(), "someone");
    store.commit(Commit::of(delete)).await.unwrap();
    let stored = store.read(&contract::key("SO-1")).await.unwrap();
    assert_eq!(stored.as_ref().map(Stored::revision), Some(3));
    let back = only(store.commit(Commit::of(put(stored.as_ref(), "SO-1", json!({})))).await.unwrap());
    assert_eq!(back.revision, 4);
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_take_the_order_of_changes_back() {
    let (store, clock, _dynamo) = store().await;
    let first = only(store.commit(Commit::of(put(None, "SO-1", json!({})))).await.unwrap());
    clock.advance(SignedDuration::from_secs(-5));
    let stored = store.read(&contract::key("SO-1")).await.unwrap();
    let next = only(store.commit(Commit::of(put(stored.as_ref(), "SO-1", json!({ "n": 3 })))).await.unwrap());
    assert!(next.modified > first.modified);
    assert_eq!(next.creation, first.creation);
}

#[tokio::test]
async fn series_pass_over_names_that_are_taken() {
    let (store, ..) = store().await;
    for (series, block) in [("BLOCK-.####", 10), ("SINGLE-.####", 1)] {
        let prefix = series.trim_end_matches(".####");
        for number in 2..=14 {
            let key = DocumentKey::new("Sales Order", format!("{prefix}{number:04}")).unwrap();
            let write = Write { target: Target::Named(key), ..put(None, "-", json!({})) };
            store.commit(Commit::of(write)).await.unwrap();
        }
        let mut names = Vec::new();
        for n in 0..3 {
            let commit = of_event(&format!("evt_{prefix}{n}"), by_series(series, block));
            names.push(only(store.commit(commit).await.unwrap()).key.name.to_string());
        }
        assert_eq!(names, [1, 15, 16].map(|number| format!("{prefix}{number:04}")));
    }
}

/// Text of `length` bytes that deflates by a quarter at most.
fn noise(length: usize) -> String {
    let mut noise = 1u64;
    (0..length)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from(noise >> 58).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_document_that_does_not_fit_an_item_is_refused() {
    let (store, ..) = store().await;
    let fields = Fields::from_iter([("text".to_owned(), json!(noise(600_000)))]);
    let change = Change::Put { fields, docstatus: DocStatus::Draft };
    let target = Target::Named(DocumentKey::new("Note", "large").unwrap());
    let write = Write::over(target, None, change, Applied::new(), "someone");
    let refused = store.commit(Commit::of(write)).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DocumentTooLarge);
}

#[tokio::test]
async fn documents_that_do_not_fit_one_transaction_are_refused_and_their_numbers_come_back() {
    let (store, ..) = store().await;
    let text = noise(400_000);
    let write = |text: &str| {
        let fields = Fields::from_iter([("text".to_owned(), json!(text))]);
        let change = Change::Put { fields, docstatus: DocStatus::Draft };
        let series = crate::documents::Series::parse("N-.#").unwrap();
        let target = Target::Series { doctype: DocType::new("Note").unwrap(), series, block: 10 };
        Write::over(target, None, change, Applied::new(), "someone")
    };
    let writes = vec![write(&text); 14];
    let refused = store.commit(Commit { writes, event: None, receipt: None, work: None }).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DocumentTooLarge);
    let Committed::Now(documents) = store.commit(Commit::of(write("small"))).await.unwrap() else {
        panic!("it is written");
    };
    assert_eq!(documents[0].as_ref().unwrap().key.name.as_str(), "N-1");
}

fn reason(code: &str) -> CancellationReason {
    CancellationReason::builder().code(code).build()
}

fn one() -> Vec<Named> {
    let key = DocumentKey::new("Note", "one").unwrap();
    let change = Change::Put { fields: Fields::new(), docstatus: DocStatus::Draft };
    let write = Write::over(Target::Named(key.clone()), None, change, Applied::new(), "someone");
    vec![Named { write, key, number: None }]
}

/// DynamoDB reports these; the in-process one never does.
#[test]
fn a_transaction_that_met_another_one_is_tried_again() {
    let named = one();
    for reasons in [["TransactionConflict", "None"], ["None", "TransactionConflict"]] {
        let error = outcome(&named, true, &reasons.map(reason)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::RevisionConflict);
    }
    let error = outcome(&named, true, &["ThrottlingError", "None"].map(reason)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DependencyUnavailable);
}

#[test]
fn an_event_that_has_ended_decides_before_a_document_that_changed() {
    let named = one();
    let ended = |status: &str| {
        CancellationReason::builder()
            .code("ConditionalCheckFailed")
            .item("status", AttributeValue::S(status.into()))
            .build()
    };
    let reasons = |status| [reason("ConditionalCheckFailed"), ended(status)];
    assert_eq!(outcome(&named, true, &reasons("done")).unwrap(), Committed::Before);
    assert_eq!(outcome(&named, true, &reasons("dead")).unwrap(), Committed::Parked);
}

fn receipt() -> Receipt {
    let key = crate::documents::IdempotencyKey::parse("once").unwrap();
    Receipt::new("kim", "POST /x", key, &[b"{}"], &[7; 32])
}

/// DynamoDB reports these; the in-process one never does.
#[test]
fn a_repeat_that_meets_the_first_one_is_in_flight_and_other_conflicts_are_tried_again() {
    let found = |codes: [&str; 2]| receipt::found(&receipt(), &codes.map(reason));
    assert_eq!(found(["None", "TransactionConflict"]).unwrap_err().code(), ErrorCode::IdempotencyInFlight);
    // Gone when DynamoDB wanted to show it.
    assert_eq!(found(["None", "ConditionalCheckFailed"]).unwrap_err().code(), ErrorCode::IdempotencyInFlight);
    assert_eq!(found(["TransactionConflict", "None"]).unwrap(), None);
    assert_eq!(found(["ConditionalCheckFailed", "None"]).unwrap(), None);
}

#[tokio::test]
async fn a_stored_receipt_expires_and_holds_nothing_readable() {
    let (store, _, dynamo) = store().await;
    let fields = Fields::from_iter([("text".to_owned(), json!("nobody may read this"))]);
    let change = Change::Put { fields, docstatus: DocStatus::Draft };
    let target = Target::Named(DocumentKey::new("Note", "private").unwrap());
    let write = Write::over(target, None, change, Applied::new(), "kim");
    store.commit(Commit { receipt: Some(receipt()), ..Commit::of(write) }).await.unwrap();
    let items = dynamo.client.scan().table_name("state").send().await.unwrap().items.unwrap();
    let [item] = items.as_slice() else { panic!("one item: {items:?}") };
    assert!(item["pk"].as_s().unwrap().starts_with("I#"));
    let expires: i64 = item["expires"].as_n().unwrap().parse().unwrap();
    assert_eq!(expires, start().as_second() + 24 * 3600);
    let bytes = item["answer"].as_b().unwrap().as_ref();
    for text in ["nobody", "private", "Note", "kim"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()));
        assert!(!item["pk"].as_s().unwrap().contains(text));
    }
}

#[tokio::test]
async fn an_answer_too_large_to_keep_is_the_document_as_it_is() {
    let (store, ..) = store().await;
    let key = DocumentKey::new("Note", "large").unwrap();
    // Two that fit an item each, and whose answer does not.
    let writes: Vec<Write> = ["large", "other"]
        .map(|name| {
            let change = Change::Put {
                fields: Fields::from_iter([("text".to_owned(), json!(noise(300_000)))]),
                docstatus: DocStatus::Draft,
            };
            let target = Target::Named(DocumentKey::new("Note", name).unwrap());
            Write::over(target, None, change, Applied::new(), "kim")
        })
        .into();
    let commit = Commit { writes, event: None, receipt: Some(receipt()), work: None };
    store.commit(commit.clone()).await.unwrap();
    let stored = store.read(&key).await.unwrap();
    let change = Change::Put { fields: Fields::new(), docstatus: DocStatus::Draft };
    let update = Write::over(Target::Named(key.clone()), stored.as_ref(), change, Applied::new(), "kim");
    store.commit(Commit::of(update)).await.unwrap();
    let Committed::Answered(answer) = store.commit(commit).await.unwrap() else { panic!("not answered") };
    assert_eq!(
        answer.documents[0].as_ref().map(|document| (&document.key, document.revision)),
        Some((&key, 2))
    );
    assert_eq!(answer.documents[1].as_ref().map(|document| document.revision), Some(1));
}
