//! What users can do to documents, and what they cannot.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    auth::Directory,
    clock::ManualClock,
    documents::{IdempotencyKey, dynamo::DynamoDocuments},
    testing::{Dynamo, start},
};

struct Bench {
    editor: Editor,
    store: Arc<dyn DocumentStore>,
    clock: Arc<ManualClock>,
    kim: Principal,
    _dynamo: Dynamo,
}

async fn principal(store: &Arc<dyn DocumentStore>, clock: &Arc<ManualClock>, user: &str) -> Principal {
    Directory::new(store.clone(), clock.clone()).principal(user).await.unwrap()
}

impl Bench {
    async fn new() -> Self {
        Self::with(|store| store).await
    }

    async fn with(wrap: impl FnOnce(Arc<dyn DocumentStore>) -> Arc<dyn DocumentStore>) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let store = DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock.clone());
        let store = wrap(Arc::new(store));
        let editor = Editor::new(store.clone(), clock.clone());
        let kim = principal(&store, &clock, "integrations@causeway").await;
        Self { editor, store, clock, kim, _dynamo: dynamo }
    }

    async fn create(&self, body: Value) -> Result<Document> {
        let new = NewDocument::read(doctype(), body, Dialect::Strict)?;
        Ok(self.editor.create(&self.kim, &new, None).await?.document)
    }

    async fn patch(&self, name: &str, body: Value) -> Result<Document> {
        let changes = Changes::merge_patch(&key(name), body)?;
        self.editor.update(&self.kim, &key(name), &changes).await
    }

    async fn set(&self, name: &str, body: Value) -> Result<Document> {
        self.editor.update(&self.kim, &key(name), &Changes::set(&key(name), body)?).await
    }

    async fn submit(&self, name: &str) -> Result<Document> {
        self.editor.submit(&self.kim, &key(name), None).await
    }

    async fn cancel(&self, name: &str) -> Result<Document> {
        self.editor.cancel(&self.kim, &key(name), None).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.editor.delete(&self.kim, &key(name), None).await
    }
}

fn doctype() -> DocType {
    DocType::new("Sales Order").unwrap()
}

fn key(name: &str) -> DocumentKey {
    DocumentKey::new("Sales Order", name).unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.unwrap_err().code()
}

/// The fields at fault.
fn faults<T: std::fmt::Debug>(result: Result<T>) -> Vec<String> {
    result.unwrap_err().field_errors().iter().map(|fault| fault.field.clone()).collect()
}

#[tokio::test]
async fn documents_are_named_by_name_series_or_at_random() {
    let bench = Bench::new().await;
    assert_eq!(bench.create(json!({ "name": "SO-1" })).await.unwrap().key, key("SO-1"));
    let series = json!({ "naming_series": "SAL-.YYYY.-" });
    let first = bench.create(series.clone()).await.unwrap();
    assert_eq!(first.key, key("SAL-2026-00001"));
    assert_eq!(first.fields["naming_series"], "SAL-.YYYY.-");
    let random = bench.create(json!({})).await.unwrap();
    assert_eq!(random.key.name.as_str().len(), 10);
    assert_eq!(code(bench.create(json!({ "name": "SO-1" })).await), ErrorCode::DocumentExists);
    // A copy of a document is another one for ERPNext.
    let copy = json!({ "name": "SAL-2026-00001", "naming_series": "SAL-.YYYY.-", "modified": "2020-01-01 00:00:00" });
    let named = NewDocument::read(doctype(), copy.clone(), Dialect::Frappe).unwrap();
    let copied = bench.editor.create(&bench.kim, &named, None).await.unwrap();
    assert_eq!(copied.document.key, key("SAL-2026-00002"));
    assert_eq!(faults(NewDocument::read(doctype(), copy, Dialect::Strict)), ["/modified"]);
}

#[tokio::test]
async fn what_the_store_sets_is_refused_by_v2_and_ignored_by_v1() {
    let bench = Bench::new().await;
    let whole = json!({ "doctype": "Sales Order", "name": "SO-1", "owner": "mallory", "creation": "2020-01-01",
        "modified_by": "mallory", "revision": 77, "__islocal": 1, "customer": "x",
        "items": [{ "qty": 1, "__unsaved": 1 }] });
    let owned = ["/creation", "/owner", "/modified_by", "/revision"];
    assert_eq!(faults(bench.create(whole.clone()).await), owned);
    let new = NewDocument::read(doctype(), whole.clone(), Dialect::Frappe).unwrap();
    let made = bench.editor.create(&bench.kim, &new, None).await.unwrap().document;
    assert_eq!((made.owner.as_str(), made.revision), ("integrations@causeway", 1));
    assert_eq!(Value::Object(made.fields), json!({ "customer": "x", "items": [{ "qty": 1 }] }));
    assert_eq!(faults(bench.patch("SO-1", whole.clone()).await), owned);
    let set =
        bench.set("SO-1", json!({ "owner": "mallory", "customer": "y", "modified": "" })).await.unwrap();
    assert_eq!((set.owner.as_str(), set.revision), ("integrations@causeway", 2));
    for body in [json!({ "name": "SO-2" }), json!({ "doctype": "Customer" })] {
        assert_eq!(code(bench.patch("SO-1", body.clone()).await), ErrorCode::InvalidInput);
        assert_eq!(code(bench.set("SO-1", body).await), ErrorCode::InvalidInput);
    }
    for value in [json!("owner"), json!({ "docstatus": 1 }), json!("{\"name\": \"x\"}"), json!(7), json!("")]
    {
        assert_eq!(faults(Changes::set_value(&value, Some(json!(1)))), ["fieldname"], "{value}");
    }
}

#[tokio::test]
async fn a_patch_merges_and_a_set_replaces() {
    let bench = Bench::new().await;
    let body = r#"{ "name": "SO-1", "a": { "x": 1, "y": 2 }, "b": [1, 2], "c": "c", "d": 1.50 }"#;
    bench.create(serde_json::from_str(body).unwrap()).await.unwrap();
    let patched =
        bench.patch("SO-1", json!({ "a": { "x": null, "z": { "n": null, "m": 1 } }, "b": [3], "c": null }));
    let fields = Value::Object(patched.await.unwrap().fields);
    assert_eq!(fields.to_string(), r#"{"a":{"y":2,"z":{"m":1}},"b":[3],"d":1.50}"#);
    let set = bench.set("SO-1", json!({ "a": null, "b": [4] })).await.unwrap();
    assert_eq!(Value::Object(set.fields).to_string(), r#"{"a":null,"b":[4],"d":1.50}"#);
    let whole = Changes::replace(&key("SO-1"), json!({ "e": 1 })).unwrap();
    let replaced = bench.editor.update(&bench.kim, &key("SO-1"), &whole).await.unwrap();
    assert_eq!(Value::Object(replaced.fields), json!({ "e": 1 }));
    for (fieldname, value) in
        [(json!("e"), json!(2)), (json!({ "e": 2 }), json!(null)), (json!("{\"e\": 2}"), json!(null))]
    {
        bench.set("SO-1", json!({ "e": 1 })).await.unwrap();
        let changes = Changes::set_value(&fieldname, Some(value)).unwrap();
        let document = bench.editor.update(&bench.kim, &key("SO-1"), &changes).await.unwrap();
        assert_eq!(document.fields["e"], 2);
    }
    assert_eq!(code(bench.patch("nobody", json!({})).await), ErrorCode::DocumentNotFound);
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let bench = Bench::new().await;
    let made = bench.create(json!({ "name": "SO-1", "total": 60, "note": null })).await.unwrap();
    bench.clock.advance(SignedDuration::from_secs(1));
    for body in [json!({}), json!({ "total": 60.0 }), json!({ "total": 60, "other": null })] {
        assert_eq!(bench.set("SO-1", body).await.unwrap(), made);
    }
    assert_eq!(bench.patch("SO-1", json!({ "total": 6e1, "absent": null })).await.unwrap(), made);
}

#[tokio::test]
async fn docstatus_goes_from_draft_to_submitted_to_cancelled() {
    let bench = Bench::new().await;
    bench.create(json!({ "name": "SO-1", "n": 1 })).await.unwrap();
    assert_eq!(code(bench.cancel("SO-1").await), ErrorCode::DocstatusForbids);
    let submitted = bench.submit("SO-1").await.unwrap();
    assert_eq!((submitted.docstatus, submitted.revision), (DocStatus::Submitted, 2));
    assert_eq!(bench.submit("SO-1").await.unwrap(), submitted, "again, and nothing moves");
    assert_eq!(code(bench.patch("SO-1", json!({ "n": 2 })).await), ErrorCode::DocstatusForbids);
    assert_eq!(code(bench.patch("SO-1", json!({ "docstatus": 0 })).await), ErrorCode::DocstatusForbids);
    assert_eq!(code(bench.set("SO-1", json!({ "docstatus": 2, "n": 2 })).await), ErrorCode::DocstatusForbids);
    assert_eq!(code(bench.delete("SO-1").await), ErrorCode::DocstatusForbids);
    let cancelled = bench.patch("SO-1", json!({ "docstatus": 2 })).await.unwrap();
    assert_eq!((cancelled.docstatus, cancelled.revision), (DocStatus::Cancelled, 3));
    assert_eq!(bench.cancel("SO-1").await.unwrap(), cancelled);
    assert_eq!(code(bench.submit("SO-1").await), ErrorCode::DocstatusForbids);
    assert_eq!(code(bench.set("SO-1", json!({ "n": 3 })).await), ErrorCode::DocstatusForbids);
    bench.delete("SO-1").await.unwrap();
    assert_eq!(code(bench.submit("SO-1").await), ErrorCode::DocumentNotFound);
    // With the same change, as ERPNext: a draft is changed and submitted, a document inserted and submitted.
    bench.create(json!({ "name": "SO-2", "n": 1 })).await.unwrap();
    let both = bench.patch("SO-2", json!({ "n": 2, "docstatus": 1 })).await.unwrap();
    assert_eq!((both.docstatus, &both.fields["n"]), (DocStatus::Submitted, &json!(2)));
    let at_once = bench.create(json!({ "docstatus": 1 })).await.unwrap();
    assert_eq!(at_once.docstatus, DocStatus::Submitted);
    assert_eq!(faults(bench.create(json!({ "docstatus": 2 })).await), ["/docstatus"]);
    assert_eq!(faults(bench.patch("SO-2", json!({ "docstatus": null })).await), ["/docstatus"]);
    // Frappe's client submits the whole document that it got as a draft.
    let draft = bench.create(json!({ "name": "SO-3", "n": 1 })).await.unwrap().to_json();
    let submit = Changes::replace(&key("SO-3"), draft).unwrap().with_status(DocStatus::Submitted);
    let submitted = bench.editor.update(&bench.kim, &key("SO-3"), &submit).await.unwrap();
    assert_eq!(submitted.docstatus, DocStatus::Submitted);
}

#[tokio::test]
async fn a_version_that_is_no_longer_there_is_not_overwritten() {
    let bench = Bench::new().await;
    let first = bench.create(json!({ "name": "SO-1", "n": 1 })).await.unwrap();
    let whole = first.to_json();
    bench.clock.advance(SignedDuration::from_secs(1));
    let second = bench.patch("SO-1", json!({ "n": 2 })).await.unwrap();
    let at = |revisions: &[u64]| Some(Expected::Revisions(revisions.to_vec()));
    let patch = |expected| {
        let changes = Changes::merge_patch(&key("SO-1"), json!({ "n": 3 })).unwrap().expecting(expected);
        let bench = &bench;
        async move { bench.editor.update(&bench.kim, &key("SO-1"), &changes).await }
    };
    assert_eq!(code(patch(at(&[1])).await), ErrorCode::PreconditionFailed);
    assert_eq!(code(patch(Some(Expected::Modified(first.modified))).await), ErrorCode::RevisionConflict);
    assert_eq!(code(bench.set("SO-1", whole.clone()).await), ErrorCode::RevisionConflict);
    let stale_submit = Changes::replace(&key("SO-1"), whole).unwrap().with_status(DocStatus::Submitted);
    let refused = bench.editor.update(&bench.kim, &key("SO-1"), &stale_submit).await;
    assert_eq!(code(refused), ErrorCode::RevisionConflict);
    assert_eq!(
        code(bench.editor.delete(&bench.kim, &key("SO-1"), at(&[1])).await),
        ErrorCode::PreconditionFailed
    );
    assert_eq!(patch(at(&[1, 2])).await.unwrap().revision, 3);
    // As Frappe writes it: without a zone.
    let local = crate::clock::rfc3339(bench.store.get(&key("SO-1")).await.unwrap().unwrap().modified)
        .replace('T', " ")
        .replace('Z', "");
    let set = bench.set("SO-1", json!({ "n": 4, "modified": local })).await.unwrap();
    assert!(set.modified > second.modified);
    assert_eq!(faults(bench.set("SO-1", json!({ "modified": "yesterday" })).await), ["/modified"]);
    bench.editor.delete(&bench.kim, &key("SO-1"), at(&[4])).await.unwrap();
}

#[tokio::test]
async fn nothing_is_done_without_the_permission() {
    let bench = Bench::new().await;
    let draft = bench.create(json!({ "name": "SO-1" })).await.unwrap();
    let auditor = principal(&bench.store, &bench.clock, "auditor@causeway").await;
    let editor = &bench.editor;
    assert_eq!(editor.get(&auditor, &key("SO-1")).await.unwrap(), draft);
    let new = NewDocument::read(doctype(), json!({}), Dialect::Strict).unwrap();
    let patch = Changes::merge_patch(&key("SO-1"), json!({ "n": 1 })).unwrap();
    let denied = ErrorCode::PermissionDenied;
    assert_eq!(code(editor.create(&auditor, &new, None).await), denied);
    assert_eq!(code(editor.update(&auditor, &key("SO-1"), &patch).await), denied);
    assert_eq!(code(editor.submit(&auditor, &key("SO-1"), None).await), denied);
    assert_eq!(code(editor.cancel(&auditor, &key("nobody"), None).await), denied);
    assert_eq!(code(editor.delete(&auditor, &key("SO-1"), None).await), denied);
    // Causeway's own DocTypes are nobody's.
    let admin = Principal::administrator().unwrap();
    let system = DocumentKey::new("API Key", "key_1").unwrap();
    let new = NewDocument::read(system.doctype.clone(), json!({}), Dialect::Strict).unwrap();
    assert_eq!(code(editor.get(&admin, &system).await), denied);
    assert_eq!(code(editor.create(&admin, &new, None).await), denied);
    assert_eq!(code(editor.update(&admin, &system, &patch).await), denied);
    assert_eq!(code(editor.delete(&admin, &system, None).await), denied);
    let query = ListQuery::new(system.doctype.clone(), 20);
    assert_eq!(code(editor.list(&admin, &query, &Selection::Whole).await), denied);
    assert_eq!(code(editor.count(&admin, &system.doctype, &Filters::default()).await), denied);
}

#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let bench = Bench::new().await;
    bench.create(json!({ "name": "SO-1" })).await.unwrap();
    let fields = ["a", "b", "c"];
    let patches = fields.map(|field| bench.patch("SO-1", json!({ field: 1 })));
    for result in join_all(patches).await {
        result.unwrap();
    }
    let document = bench.store.get(&key("SO-1")).await.unwrap().unwrap();
    assert!(fields.iter().all(|field| document.fields.contains_key(*field)), "{document:?}");
    assert_eq!(document.revision, 4);
}

#[tokio::test]
async fn a_deleted_name_can_be_used_again_and_late_events_stay_late() {
    let bench = Bench::new().await;
    let applied = Applied::from([("shop".to_owned(), start())]);
    let change = Change::Put { fields: crate::documents::Fields::new(), docstatus: DocStatus::Draft };
    let mirrored = Write::over(Target::Named(key("SO-1")), None, change, applied, "shop");
    bench.store.commit(Commit::of(mirrored)).await.unwrap();
    bench.delete("SO-1").await.unwrap();
    let back = bench.create(json!({ "name": "SO-1" })).await.unwrap();
    assert_eq!((back.applied["shop"], back.revision), (start(), 3));
    assert!(back.applied.contains_key("api"));
}

#[tokio::test]
async fn lists_show_what_is_selected() {
    let bench = Bench::new().await;
    for n in 0..3 {
        bench.clock.advance(SignedDuration::from_secs(1));
        bench.create(json!({ "name": format!("SO-{n}"), "n": n, "customer": "x" })).await.unwrap();
    }
    let list = |fields: Value| {
        let bench = &bench;
        async move {
            let selection = Selection::read(&fields, &doctype()).unwrap();
            let query = ListQuery::new(doctype(), 2);
            let page = bench.editor.list(&bench.kim, &query, &selection).await.unwrap();
            assert!(page.next.is_some());
            page.items
        }
    };
    assert_eq!(
        list(json!(["name", "n", "absent"])).await[0],
        json!({ "name": "SO-2", "n": 2, "absent": null })
    );
    let places = list(json!(["modified", "name"])).await;
    assert_eq!(places[1], json!({ "modified": "2026-11-23T09:00:02.000000Z", "name": "SO-1" }));
    let whole = list(json!("*")).await;
    assert_eq!(whole[0], bench.store.get(&key("SO-2")).await.unwrap().unwrap().to_json());
    let filters = Filters::read(&doctype(), Some(&json!({ "n": [">", 0] })), None).unwrap();
    let count = bench.editor.count(&bench.kim, &doctype(), &filters).await.unwrap();
    assert_eq!((count.count, count.approximate), (2, false));
}

/// A store whose commits happen and whose answer is lost, so many times.
struct Lossy(Arc<dyn DocumentStore>, AtomicUsize);

#[async_trait]
impl DocumentStore for Lossy {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        self.0.read(key).await
    }
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.0.list(query).await
    }
    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.0.count(doctype, filters).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let committed = self.0.commit(commit).await?;
        match self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::unavailable("DynamoDB", "the answer is lost")),
            Err(_) => Ok(committed),
        }
    }
}

fn receipt(key: &str, body: &str) -> Receipt {
    let key = IdempotencyKey::parse(key).unwrap();
    Receipt::new("kim", "POST /v2/documents/Sales Order", key, &[body.as_bytes()], &[7; 32])
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_repeated_with_the_same_answer() {
    let bench = Bench::with(|store| Arc::new(Lossy(store, AtomicUsize::new(1)))).await;
    for body in [json!({}), json!({ "naming_series": "ONCE-.###" }), json!({ "name": "SO-once" })] {
        let new = NewDocument::read(doctype(), body.clone(), Dialect::Strict).unwrap();
        let create = || bench.editor.create(&bench.kim, &new, Some(receipt(&body.to_string(), "b")));
        let first = create().await;
        let again = create().await.unwrap();
        assert!(again.repeat);
        match first {
            Ok(first) => assert_eq!((first.repeat, first.document), (false, again.document)),
            Err(error) => assert_eq!(error.code(), ErrorCode::DependencyUnavailable),
        }
    }
    let all = bench.store.list(&ListQuery::new(doctype(), 20)).await.unwrap().items;
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn of_many_equal_creations_at_once_one_document_comes() {
    let bench = Bench::new().await;
    let new = NewDocument::read(doctype(), json!({ "naming_series": "ONE-.###" }), Dialect::Strict).unwrap();
    let creations = (0..20).map(|_| bench.editor.create(&bench.kim, &new, Some(receipt("once", "{}"))));
    let results: Vec<Result<Created>> = join_all(creations).await;
    let made: Vec<Created> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(made.iter().filter(|created| !created.repeat).count(), 1);
    assert!(made.iter().all(|created| created.document == made[0].document));
    let other = bench.editor.create(&bench.kim, &new, Some(receipt("once", "another body"))).await;
    assert_eq!(code(other), ErrorCode::IdempotencyKeyReused);
    assert_eq!(bench.store.count(&doctype(), &Filters::default()).await.unwrap().count, 1);
}
