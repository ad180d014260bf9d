//! Commits whose request may be repeated.

use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

use super::{
    super::{Answer, Commit, Committed, DocumentStore, IdempotencyKey, Receipt, Stored},
    Advance, by_series, key, put,
};
use crate::ErrorCode;

fn receipt(user: &str, name: &str, body: &str) -> Receipt {
    let key = IdempotencyKey::parse(name).unwrap();
    Receipt::new(user, "POST /v2/documents", key, &[body.as_bytes()], &[7; 32])
}

fn with(receipt: Receipt, commit: Commit) -> Commit {
    Commit { receipt: Some(receipt), ..commit }
}

/// All of the contract of receipts.
pub async fn check(store: &dyn DocumentStore, advance: Advance<'_>) {
    a_repeat_has_the_answer_of_the_first(store).await;
    repeats_at_once_have_one_effect(store).await;
    a_key_is_its_users_and_its_requests(store).await;
    what_failed_leaves_no_receipt(store).await;
    a_receipt_expires(store, advance).await;
}

async fn a_repeat_has_the_answer_of_the_first(store: &dyn DocumentStore) {
    let receipt = receipt("kim", "first", "{}").with_attachment(json!("shown once"));
    let commit = with(receipt, Commit::of(put(None, "R-1", json!({ "total": 9.90 }))));
    let Committed::Now(documents) = store.commit(commit.clone()).await.unwrap() else { panic!("not now") };
    // The document changed since, and is gone at last: the answer is that of its creation.
    let stored = store.read(&key("R-1")).await.unwrap();
    store.commit(Commit::of(put(stored.as_ref(), "R-1", json!({ "total": 1 })))).await.unwrap();
    let present = store.read(&key("R-1")).await.unwrap();
    assert_ne!(present, stored);
    let answer = Answer { documents, attachment: Some(json!("shown once")) };
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Answered(answer));
    assert_eq!(store.read(&key("R-1")).await.unwrap(), present);
}

async fn repeats_at_once_have_one_effect(store: &dyn DocumentStore) {
    for (name, block) in [("block", 10), ("single", 1)] {
        let commit =
            || with(receipt("kim", name, "{}"), Commit::of(by_series(&format!("{name}-.####"), block)));
        let mut names = Vec::new();
        let mut effects = 0;
        for result in join_all((0..20).map(|_| store.commit(commit()))).await {
            let documents = match result {
                Ok(Committed::Now(documents)) => {
                    effects += 1;
                    documents
                }
                Ok(Committed::Answered(answer)) => answer.documents,
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    let in_the_way = [ErrorCode::IdempotencyInFlight, ErrorCode::RevisionConflict];
                    assert!(in_the_way.contains(&error.code()), "{error:?}");
                    continue;
                }
            };
            names.extend(documents.into_iter().flatten().map(|document| document.key.name.to_string()));
        }
        names.dedup();
        assert_eq!((effects, names.len()), (1, 1), "{names:?}");
        // No number was lost to a repeat.
        let Committed::Now(next) = store.commit(Commit { receipt: None, ..commit() }).await.unwrap() else {
            panic!("not now")
        };
        let number = |name: &str| name.rsplit('-').next().unwrap().parse::<u32>().unwrap();
        let next = number(next[0].as_ref().unwrap().key.name.as_str());
        assert!(block > 1 || next == number(&names[0]) + 1, "{next} after {names:?}");
    }
}

async fn a_key_is_its_users_and_its_requests(store: &dyn DocumentStore) {
    let other = with(receipt("kim", "first", "{\"other\":1}"), Commit::of(put(None, "R-2", json!({}))));
    assert_eq!(store.commit(other).await.unwrap_err().code(), ErrorCode::IdempotencyKeyReused);
    assert_eq!(store.read(&key("R-2")).await.unwrap(), None);
    let someone = with(receipt("lee", "first", "{}"), Commit::of(put(None, "R-2", json!({}))));
    assert!(matches!(store.commit(someone).await.unwrap(), Committed::Now(_)));
}

async fn what_failed_leaves_no_receipt(store: &dyn DocumentStore) {
    let failed = with(receipt("kim", "second", "{}"), Commit::of(put(None, "R-2", json!({}))));
    assert_eq!(store.commit(failed).await.unwrap_err().code(), ErrorCode::DocumentExists);
    let good = with(receipt("kim", "second", "{}"), Commit::of(put(None, "R-3", json!({}))));
    assert!(matches!(store.commit(good).await.unwrap(), Committed::Now(_)));
}

async fn a_receipt_expires(store: &dyn DocumentStore, advance: Advance<'_>) {
    let again = |stored: Option<Stored>| {
        with(receipt("kim", "second", "{}"), Commit::of(put(stored.as_ref(), "R-3", json!({ "again": 1 }))))
    };
    let stored = store.read(&key("R-3")).await.unwrap();
    advance(SignedDuration::from_hours(24) - SignedDuration::from_secs(1));
    assert!(matches!(store.commit(again(stored.clone())).await.unwrap(), Committed::Answered(_)));
    advance(SignedDuration::from_secs(2));
    assert!(matches!(store.commit(again(stored)).await.unwrap(), Committed::Now(_)));
}
