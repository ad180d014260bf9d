//! Commits of a work that is done once.

use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

use super::{
    super::{
        Change, Commit, Committed, DocType, Document, DocumentKey, DocumentStore, Filters, Stored, Target,
        Work, Write,
    },
    Advance, by_series, key, only, put,
};
use crate::ErrorCode;

fn sales_order() -> DocType {
    DocType::new("Sales Order").unwrap()
}

/// The work `id`: noted with a source, or recognised by its id.
fn work(id: &str, by_note: bool) -> Work {
    Work { id: id.to_owned(), noted: by_note.then_some(1), among: Filters::default() }
}

/// A commit that does `work`, with what is stored of its source where that notes it.
fn doing(work: &Work, source: Option<&Stored>) -> Commit {
    let mut new = by_series("WORK-.####", 10);
    if work.noted.is_none() {
        new.target = Target::Named(DocumentKey::new("Sales Order", work.id.as_str()).unwrap());
        return Commit { work: Some(work.clone()), ..Commit::of(new) };
    }
    let writes = vec![new, put(source, "W-source", json!({ "billed": work.id }))];
    Commit { writes, event: None, receipt: None, work: Some(work.clone()) }
}

fn first(committed: Committed) -> Document {
    match committed {
        Committed::Now(documents) => documents.into_iter().next().flatten().expect("a document"),
        other => panic!("not committed: {other:?}"),
    }
}

async fn source(store: &dyn DocumentStore) -> Option<Stored> {
    store.read(&key("W-source")).await.unwrap()
}

async fn orders(store: &dyn DocumentStore) -> usize {
    store.count(&sales_order(), &Filters::default()).await.unwrap().count
}

/// The name of what `work` made, by the way in which the store knows.
async fn made(store: &dyn DocumentStore, work: &Work) -> Option<String> {
    let of_id = store.made(&sales_order(), work).await.unwrap();
    if work.noted.is_none() {
        return of_id.map(|document| document.key.name.to_string());
    }
    assert_eq!(of_id, None, "works are noted, and not recognised by their ids");
    let source = store.get(&key("W-source")).await.unwrap()?;
    work.made_of(&source).map(ToOwned::to_owned)
}

/// All of the contract of works.
pub async fn check(store: &dyn DocumentStore, advance: Advance<'_>, by_note: bool) {
    only(store.commit(Commit::of(put(None, "W-source", json!({})))).await.unwrap());
    what_is_done_again_is_told(store, by_note).await;
    of_two_at_once_one_has_an_effect(store, advance, by_note).await;
    if by_note {
        a_note_stays_until_the_source_is_gone(store).await;
    }
}

async fn what_is_done_again_is_told(store: &dyn DocumentStore, by_note: bool) {
    let (one, other) = (work("job_1.0", by_note), work("job_1.1", by_note));
    assert_eq!(made(store, &one).await, None);
    let (stale, before) = (source(store).await, orders(store).await);
    let document = first(store.commit(doing(&one, stale.as_ref())).await.unwrap());
    assert_eq!(made(store, &one).await.as_deref(), Some(document.key.name.as_str()));
    match store.commit(doing(&one, stale.as_ref())).await {
        Ok(again) => assert_eq!(first(again).key, document.key),
        Err(error) => assert_eq!((error.code(), by_note), (ErrorCode::RevisionConflict, true)),
    }
    assert_eq!(orders(store).await, before + 1);
    assert_eq!(made(store, &other).await, None);
    let second = first(store.commit(doing(&other, source(store).await.as_ref())).await.unwrap());
    assert_ne!(second.key, document.key);
    assert_eq!(made(store, &one).await.as_deref(), Some(document.key.name.as_str()));
}

async fn of_two_at_once_one_has_an_effect(store: &dyn DocumentStore, advance: Advance<'_>, by_note: bool) {
    let work = work("job_2.0", by_note);
    let (stale, before) = (source(store).await, orders(store).await);
    let mut names = Vec::new();
    for result in join_all((0..6).map(|_| store.commit(doing(&work, stale.as_ref())))).await {
        match result {
            Ok(committed) => names.push(first(committed).key.name.to_string()),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    names.dedup();
    assert_eq!((names.len(), orders(store).await), (1, before + 1), "{names:?}");
    advance(SignedDuration::from_mins(3));
    assert_eq!(made(store, &work).await, names.pop());
}

async fn a_note_stays_until_the_source_is_gone(store: &dyn DocumentStore) {
    let of_job = |job: usize| work(&format!("job_{job}.7"), true);
    for job in 10..35 {
        store.commit(doing(&of_job(job), source(store).await.as_ref())).await.unwrap();
    }
    let stored = source(store).await;
    only(store.commit(Commit::of(put(stored.as_ref(), "W-source", json!({ "n": 1 })))).await.unwrap());
    for job in 10..35 {
        // Of 25 works, the newest 20.
        assert_eq!(made(store, &of_job(job)).await.is_some(), job >= 15, "{job}");
    }
    let stored = source(store).await;
    let target = Target::Named(key("W-source"));
    let applied = stored.as_ref().unwrap().applied().clone();
    let delete = Write::over(target, stored.as_ref(), Change::Delete, applied, "someone");
    store.commit(Commit::of(delete)).await.unwrap();
    let back = put(source(store).await.as_ref(), "W-source", json!({}));
    assert!(only(store.commit(Commit::of(back)).await.unwrap()).events.is_empty());
    assert_eq!(made(store, &of_job(34)).await, None);
}
