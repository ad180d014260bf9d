//! What every document store must do, whatever it is made of. Each implementation runs all of it, and asserts beside it
//! what it promises more.
//!
//! A store may complete a document, drop nulls, and give revisions and names of its own. Documents that are named by
//! whoever writes them are of the DocTypes [`NAMED`]; those named by a series are Sales Orders, with what ERPNext wants
//! of one.

mod lists;
mod receipts;
pub mod works;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Applied, Change, Commit, Committed, DocStatus, DocType, Document, DocumentKey, DocumentStore, Fields,
    ListQuery, Order, OrderBy, Series, Stored, Target, Write,
};
use crate::{
    ErrorCode,
    integration_log::{EventCompletion, EventFacts, EventStatus},
    mapping::same_number,
    testing::start,
};

/// The DocTypes whose documents are named by whoever writes them.
pub const NAMED: [&str; 3] = ["Contract Note", "Listed", "Filtered"];

/// Moves the time of the store, and of all that it works with.
pub type Advance<'a> = &'a (dyn Fn(SignedDuration) + Sync);

pub fn fields(value: Value) -> Fields {
    let Value::Object(fields) = value else { panic!("fields are an object") };
    fields
}

pub fn key(name: &str) -> DocumentKey {
    DocumentKey::new(NAMED[0], name).unwrap()
}

/// A write of `value` to the document `name`, over what is `stored`.
pub fn put(stored: Option<&Stored>, name: &str, value: Value) -> Write {
    let change = Change::Put { fields: fields(value), docstatus: DocStatus::Draft };
    Write::over(
        Target::Named(key(name)),
        stored,
        change,
        Applied::from([("shop".into(), start())]),
        "someone",
    )
}

/// A commit of `write` as the effect of the event `id`.
pub fn of_event(id: &str, write: Write) -> Commit {
    let facts = EventFacts {
        id: id.into(),
        connector: "shop".into(),
        event: "order".into(),
        secret: "current".into(),
        received_at: start(),
        body_bytes: 2,
        redacted_body: "{}".into(),
    };
    let event = EventCompletion {
        facts,
        status: EventStatus::Done,
        document: write.target.key().cloned(),
        error: None,
        started_at: start(),
        finished_at: start(),
        release_parked: false,
    };
    Commit { event: Some(event), ..Commit::of(write) }
}

/// The one document that was written.
pub fn only(committed: Committed) -> Document {
    match committed {
        Committed::Now(mut documents) => documents.pop().flatten().expect("a document"),
        other => panic!("not committed: {other:?}"),
    }
}

/// All of the contract.
pub async fn check(store: &dyn DocumentStore, advance: Advance<'_>) {
    check_documents(store, advance).await;
    an_event_has_one_effect_at_once(store).await;
    gapless_series_have_no_gaps(store).await;
    receipts::check(store, advance).await;
}

/// What also holds where a store cannot tell two attempts at one creation apart while both are under way.
pub async fn check_documents(store: &dyn DocumentStore, advance: Advance<'_>) {
    what_is_written_is_read(store).await;
    a_change_needs_the_present_revision(store).await;
    a_name_exists_once(store).await;
    an_event_has_one_effect(store).await;
    a_delete_leaves_a_tombstone(store, advance).await;
    series_number_documents(store).await;
    lists_page_in_the_order_of_modified(store, advance).await;
    lists::check(store, advance).await;
}

/// Whether `held` says all that `given` says.
fn has(held: &Value, given: &Value) -> bool {
    match (held, given) {
        (Value::Object(held), Value::Object(given)) => given
            .iter()
            .filter(|(_, given)| !given.is_null())
            .all(|(field, given)| held.get(field).is_some_and(|held| has(held, given))),
        (Value::Array(held), Value::Array(given)) => {
            held.len() == given.len() && held.iter().zip(given).all(|(held, given)| has(held, given))
        }
        (held, given) => same_number(held, given),
    }
}

async fn what_is_written_is_read(store: &dyn DocumentStore) {
    assert_eq!(store.read(&key("nothing")).await.unwrap(), None);
    let value = json!({ "customer": "B Müller & Søn 东京", "grand_total": 9.99, "items": [{ "qty": 1 }], "note": null });
    let written = only(store.commit(Commit::of(put(None, "SO-1", value.clone()))).await.unwrap());
    let read = store.get(&key("SO-1")).await.unwrap().unwrap();
    assert_eq!(read, written);
    assert!(has(&Value::Object(read.fields), &value));
    let large = json!({ "text": "a line that repeats\n".repeat(20_000) });
    store.commit(Commit::of(put(None, "SO-large", large.clone()))).await.unwrap();
    let read = store.get(&key("SO-large")).await.unwrap().unwrap();
    assert!(has(&Value::Object(read.fields), &large));
}

async fn a_change_needs_the_present_revision(store: &dyn DocumentStore) {
    let before = store.read(&key("SO-1")).await.unwrap();
    let first =
        only(store.commit(Commit::of(put(before.as_ref(), "SO-1", json!({ "n": 1 })))).await.unwrap());
    assert_ne!(Some(first.revision), before.as_ref().map(Stored::revision));
    let refused =
        store.commit(Commit::of(put(before.as_ref(), "SO-1", json!({ "n": 2 })))).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RevisionConflict);
    let present = store.read(&key("SO-1")).await.unwrap();
    let next =
        only(store.commit(Commit::of(put(present.as_ref(), "SO-1", json!({ "n": 3 })))).await.unwrap());
    assert!(next.modified > first.modified);
    assert_eq!(store.read(&key("SO-1")).await.unwrap(), Some(Stored::Live(next.clone())));
    assert!(next.fields.contains_key("n") && next.fields.get("customer").is_none_or(Value::is_null));
    assert_eq!(next.creation, first.creation);
}

async fn a_name_exists_once(store: &dyn DocumentStore) {
    let refused = store.commit(Commit::of(put(None, "SO-1", json!({})))).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DocumentExists);
}

async fn an_event_has_one_effect_at_once(store: &dyn DocumentStore) {
    let commit = of_event("evt_at_once", put(None, "SO-at-once", json!({ "n": 1 })));
    // As two workers would.
    let (a, b) = tokio::join!(store.commit(commit.clone()), store.commit(commit.clone()));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(
        matches!((&a, &b), (Committed::Now(_), Committed::Before) | (Committed::Before, Committed::Now(_))),
        "{a:?} {b:?}"
    );
}

async fn an_event_has_one_effect(store: &dyn DocumentStore) {
    let commit = of_event("evt_contract", put(None, "SO-event", json!({ "n": 1 })));
    let written = only(store.commit(commit.clone()).await.unwrap());
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Before);
    // Later, for a document that has changed since.
    let present = store.read(&key("SO-event")).await.unwrap();
    let again = of_event("evt_contract", put(present.as_ref(), "SO-event", json!({ "n": 2 })));
    assert_eq!(store.commit(again).await.unwrap(), Committed::Before);
    assert_eq!(store.get(&key("SO-event")).await.unwrap(), Some(written));
    // An effect that fails leaves the event open.
    let stale = of_event("evt_contract_2", put(None, "SO-event", json!({ "n": 3 })));
    assert_eq!(store.commit(stale).await.unwrap_err().code(), ErrorCode::DocumentExists);
    let good = of_event("evt_contract_2", put(present.as_ref(), "SO-event", json!({ "n": 4 })));
    assert!(matches!(store.commit(good).await.unwrap(), Committed::Now(_)));
}

async fn a_delete_leaves_a_tombstone(store: &dyn DocumentStore, advance: Advance<'_>) {
    let present = store.read(&key("SO-event")).await.unwrap();
    let applied = present.as_ref().unwrap().applied().clone();
    let delete = Write::over(
        Target::Named(key("SO-event")),
        present.as_ref(),
        Change::Delete,
        applied.clone(),
        "someone",
    );
    assert_eq!(store.commit(Commit::of(delete)).await.unwrap(), Committed::Now(vec![None]));
    assert_eq!(store.get(&key("SO-event")).await.unwrap(), None);
    let Some(Stored::Deleted(tombstone)) = store.read(&key("SO-event")).await.unwrap() else {
        panic!("no tombstone")
    };
    assert_eq!(tombstone.applied, applied);
    let stored = Stored::Deleted(tombstone);
    advance(SignedDuration::from_millis(1));
    let back = only(store.commit(Commit::of(put(Some(&stored), "SO-event", json!({})))).await.unwrap());
    assert!(back.revision > stored.revision());
}

/// A Sales Order that is named by `series`.
pub fn by_series(series: &str, block: u32) -> Write {
    let target = Target::Series {
        doctype: DocType::new("Sales Order").unwrap(),
        series: Series::parse(series).unwrap(),
        block,
    };
    let order = json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co", "delivery_date": "2026-11-30",
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 1, "rate": 10 }],
    });
    let change = Change::Put { fields: fields(order), docstatus: DocStatus::Draft };
    Write::over(target, None, change, Applied::new(), "someone")
}

async fn series_number_documents(store: &dyn DocumentStore) {
    let mut names = Vec::new();
    for _ in 0..25 {
        let document = only(store.commit(Commit::of(by_series("SAL-ORD-.YYYY.-", 10))).await.unwrap());
        names.push(document.key.name.to_string());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 25);
    assert_eq!(names[0], "SAL-ORD-2026-00001");
    // A repeated event takes no number.
    let first = only(store.commit(of_event("evt_series", by_series("SAL-ORD-.YYYY.-", 10))).await.unwrap());
    assert_eq!(
        store.commit(of_event("evt_series", by_series("SAL-ORD-.YYYY.-", 10))).await.unwrap(),
        Committed::Before
    );
    let next = only(store.commit(Commit::of(by_series("SAL-ORD-.YYYY.-", 10))).await.unwrap());
    let number = |document: &Document| document.key.name.as_str()[13..].parse::<u32>().unwrap();
    assert_eq!(number(&next), number(&first) + 1);
}

async fn gapless_series_have_no_gaps(store: &dyn DocumentStore) {
    let mut names = Vec::new();
    while names.len() < 10 {
        let at_once =
            futures::future::join_all((0..3).map(|_| store.commit(Commit::of(by_series("INV-.####", 1)))))
                .await;
        for result in at_once {
            match result {
                Ok(committed) => names.push(only(committed).key.name.to_string()),
                Err(error) => assert!(
                    matches!(error.code(), ErrorCode::RevisionConflict | ErrorCode::DocumentExists),
                    "{error:?}"
                ),
            }
        }
    }
    names.sort();
    let expected: Vec<String> = (1..=names.len()).map(|number| format!("INV-{number:04}")).collect();
    assert_eq!(names, expected);
}

async fn lists_page_in_the_order_of_modified(store: &dyn DocumentStore, advance: Advance<'_>) {
    let doctype = DocType::new(NAMED[1]).unwrap();
    let mut written: Vec<(Timestamp, String)> = Vec::new();
    for number in 0..23 {
        // Two of three share their time: ties are ordered by name.
        if number % 3 == 0 {
            advance(SignedDuration::from_millis(1));
        }
        let key = DocumentKey { doctype: doctype.clone(), ..key(&format!("L-{number:02}")) };
        let change = Change::Put { fields: Fields::new(), docstatus: DocStatus::Draft };
        let write = Write::over(Target::Named(key), None, change, Applied::new(), "someone");
        let document = only(store.commit(Commit::of(write)).await.unwrap());
        written.push((document.modified, document.key.name.to_string()));
    }
    written.sort();
    for newest_first in [false, true] {
        let mut listed = Vec::new();
        let mut cursor = None;
        loop {
            let order = Order { by: OrderBy::Modified, descending: newest_first };
            let query = ListQuery { order, cursor, ..ListQuery::new(doctype.clone(), 5) };
            let page = store.list(&query).await.unwrap();
            assert!(page.items.len() <= 5);
            listed.extend(
                page.items.into_iter().map(|document| (document.modified, document.key.name.to_string())),
            );
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if newest_first {
            listed.reverse();
        }
        assert_eq!(listed, written);
    }
    let bad = ListQuery { cursor: Some("nonsense".into()), ..ListQuery::new(doctype, 5) };
    assert_eq!(store.list(&bad).await.unwrap_err().code(), ErrorCode::InvalidInput);
}
