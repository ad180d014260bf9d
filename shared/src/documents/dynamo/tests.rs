//! The built-in store keeps the contract of all stores, and reads cancelled transactions right.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason};
use serde_json::json;

use super::{super::contract, *};
use crate::{
    clock::ManualClock,
    documents::{Applied, Change, DocStatus, Fields},
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
    contract::check(&store, &clock).await;
}

#[tokio::test]
async fn a_document_that_does_not_fit_an_item_is_refused() {
    let (store, ..) = store().await;
    // Text that does not deflate.
    let mut noise = 1u64;
    let text: String = (0..600_000)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from(noise >> 58).unwrap())
        })
        .collect();
    let fields = Fields::from_iter([("text".to_owned(), json!(text))]);
    let change = Change::Put { fields, docstatus: DocStatus::Draft };
    let target = Target::Named(DocumentKey::new("Note", "large").unwrap());
    let write = Write::over(target, None, change, Applied::new(), "someone");
    let refused = store.commit(Commit { writes: vec![write], event: None }).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DocumentTooLarge);
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
