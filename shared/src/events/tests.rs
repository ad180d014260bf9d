//! What becomes of events, over in-process DynamoDB and a queue in memory.

mod outage;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{
    Error, ErrorCode, Result,
    auth::{Accounts, Directory, Role, User},
    clock::Clock,
    connectors::{ConnectorCache, ConnectorRepository, ConnectorSettings},
    documents::{
        Change, Commit, Committed, Count, DocStatus, DocType, Document, DocumentStore, Expect, Filters,
        ListQuery, Page, Stored, Target,
    },
    parking::{Cargo, Discard, ParkedItem, ParkedQuery, ParkedState, Sweeper, Swept, WaitsFor},
    queue::Message,
    testing::{AGAIN_AFTER, Rig, event, message, received, settings, start},
};

fn orders() -> ConnectorSettings {
    let effect = |action: &str| json!({ "action": action, "doctype": "Order", "name": "/order", "mapping": { "copy": ["n"] } });
    let mut linked = effect("upsert");
    linked["requires"] = json!([{ "doctype": "Customer", "name": "/customer" }]);
    settings(json!({ "rules": [
        { "event": "linked", "effect": linked },
        { "event": "customer", "effect": { "action": "upsert", "doctype": "Customer", "name": "/customer" } },
        { "event": "create", "effect": effect("create") },
        { "event": "update", "effect": effect("update") },
        { "event": "upsert", "effect": effect("upsert") },
        { "event": "submit", "effect": effect("submit") },
        { "event": "cancel", "effect": effect("cancel") },
        { "event": "delete", "effect": effect("delete") },
        { "event": "number", "effect": { "action": "create", "doctype": "Invoice", "series": "INV-.####" } },
        { "event": "row", "effect": { "action": "handler", "handler": "append_row", "options": {
            "doctype": "Order", "name": "/order", "table": "rows", "row": { "copy": ["n"] },
        } } },
        { "event": "strict", "effect": { "action": "upsert", "doctype": "Order", "name": "/order",
            "mapping": { "fields": [{ "to": "n", "from": "/needed", "required": true }] } } },
    ] }))
}

fn order(event: &str, at: i64, n: u32) -> Value {
    json!({ "event": event, "order": "O-1", "at": 1_795_000_000 + at, "n": n })
}

async fn status(rig: &Rig, id: &str) -> EventStatus {
    rig.entry(id).await.status
}

async fn n_of(rig: &Rig) -> Option<(Value, DocStatus, u64)> {
    let document = rig.document("Order", "O-1").await?;
    Some((document.fields.get("n").cloned().unwrap_or_default(), document.docstatus, document.revision))
}

#[tokio::test]
async fn an_event_becomes_a_document_and_its_repeat_nothing() {
    let rig = Rig::new(&orders()).await;
    let first = message("evt_1", &order("upsert", 0, 1));
    for _ in 0..3 {
        assert_eq!(rig.work(&first).await, Disposition::Done);
    }
    assert_eq!(n_of(&rig).await, Some((json!(1), DocStatus::Draft, 1)));
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.attempts), (EventStatus::Done, 1));
    assert_eq!(entry.document.unwrap().to_string(), "Order O-1");
    assert_eq!(rig.document("Order", "O-1").await.unwrap().modified_by, "integrations@causeway");
}

#[tokio::test]
async fn deliveries_at_once_have_one_effect() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_0", &order("upsert", 0, 0))).await;
    let rows: Vec<Message> = (0..4).map(|n| message(&format!("evt_row_{n}"), &order("row", 0, n))).collect();
    let at_once = rows.iter().cycle().take(16).map(|row| rig.work(row));
    // Those that met too many other writes have been counted as failed attempts, and come again.
    futures::future::join_all(at_once).await;
    for row in &rows {
        assert_eq!(rig.work(row).await, Disposition::Done);
    }
    let document = rig.document("Order", "O-1").await.unwrap();
    let mut rows: Vec<u64> =
        document.fields["rows"].as_array().unwrap().iter().map(|row| row["n"].as_u64().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(rows, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_late_event_does_not_overwrite_a_newer_document() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_new", &order("upsert", 10, 2))).await;
    rig.work(&message("evt_old", &order("upsert", 5, 1))).await;
    assert_eq!(n_of(&rig).await, Some((json!(2), DocStatus::Draft, 1)));
    assert_eq!(status(&rig, "evt_old").await, EventStatus::Superseded);
}

#[tokio::test]
async fn a_version_ahead_of_its_arrival_does_not_make_later_events_late() {
    let rig = Rig::new(&orders()).await;
    let mut ahead = order("upsert", 0, 1);
    ahead["at"] = "9999-01-01T00:00:00Z".into();
    rig.work(&message("evt_1", &ahead)).await;
    rig.clock.advance(SignedDuration::from_mins(10));
    let mut next = order("upsert", 0, 2);
    next["at"] = rig.ports.clock.now().to_string().into();
    let mut event = event("evt_2", &next);
    event.received_at = rig.ports.clock.now();
    rig.work(&Message::Webhook(event)).await;
    assert_eq!(n_of(&rig).await.unwrap().0, json!(2));
}

#[tokio::test]
async fn a_message_that_can_be_read_at_last_is_parked_as_its_event() {
    let rig = Rig::new(&orders()).await;
    let good = message("evt_1", &order("upsert", 0, 1));
    let unreadable = ParkedItem {
        id: "evt_unreadable".into(),
        connector: "-".into(),
        cargo: Cargo::Unreadable { message: good.encode().unwrap() },
        state: ParkedState::Dead,
        parked_at: start(),
        due: None,
        waits: 0,
        failure: crate::integration_log::Failure { code: "message_unreadable".into(), detail: String::new() },
    };
    rig.ports.parking.park(&unreadable).await.unwrap();
    rig.replay.one("evt_unreadable").await.unwrap();
    rig.drain().await;
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    assert_eq!((rig.parked("evt_unreadable").await, rig.parked("evt_1").await), (None, None));
}

#[tokio::test]
async fn a_deleted_document_stays_deleted_for_late_events_and_comes_back_for_new_ones() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    rig.work(&message("evt_2", &order("delete", 10, 0))).await;
    // The last version and its deletion may carry the same time.
    rig.work(&message("evt_3", &order("upsert", 10, 2))).await;
    assert_eq!(n_of(&rig).await, None);
    assert_eq!(status(&rig, "evt_3").await, EventStatus::Superseded);
    rig.work(&message("evt_4", &order("upsert", 11, 3))).await;
    assert_eq!(n_of(&rig).await, Some((json!(3), DocStatus::Draft, 3)));
}

#[tokio::test]
async fn a_delete_that_overtakes_the_creation_wins() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_2", &order("delete", 10, 0))).await;
    rig.work(&message("evt_1", &order("create", 5, 1))).await;
    assert_eq!(n_of(&rig).await, None);
}

#[tokio::test]
async fn statuses_only_go_forward_and_a_cancel_may_overtake_its_submit() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    rig.work(&message("evt_3", &order("cancel", 20, 1))).await;
    rig.work(&message("evt_2", &order("submit", 10, 1))).await;
    assert_eq!(n_of(&rig).await.unwrap().1, DocStatus::Cancelled);
    assert_eq!(status(&rig, "evt_2").await, EventStatus::Superseded);
    // A submit that is newer is against the rules, and says so.
    rig.work(&message("evt_4", &order("submit", 30, 1))).await;
    let entry = rig.entry("evt_4").await;
    assert_eq!(
        (entry.status, entry.error.unwrap().code.as_str()),
        (EventStatus::Rejected, "docstatus_forbids")
    );
}

#[tokio::test]
async fn a_submitted_document_is_not_edited() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    rig.work(&message("evt_2", &order("submit", 1, 1))).await;
    rig.work(&message("evt_3", &order("update", 2, 9))).await;
    assert_eq!(n_of(&rig).await, Some((json!(1), DocStatus::Submitted, 2)));
    assert_eq!(status(&rig, "evt_3").await, EventStatus::Rejected);
}

#[tokio::test]
async fn a_create_of_what_exists_is_rejected_and_stays_so() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("create", 0, 1))).await;
    for _ in 0..2 {
        rig.work(&message("evt_2", &order("create", 1, 2))).await;
    }
    let entry = rig.entry("evt_2").await;
    assert_eq!((entry.status, entry.attempts), (EventStatus::Rejected, 1));
    // A repeat of the first is a repeat, although its document exists.
    rig.work(&message("evt_1", &order("create", 0, 1))).await;
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
}

#[tokio::test]
async fn an_event_without_a_rule_is_logged_as_ignored() {
    let rig = Rig::new(&orders()).await;
    assert_eq!(rig.work(&message("evt_1", &order("unheard", 0, 1))).await, Disposition::Done);
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Ignored);
}

#[tokio::test]
async fn numbers_of_a_series_go_to_events_once() {
    let rig = Rig::new(&orders()).await;
    for _ in 0..3 {
        rig.work(&message("evt_1", &json!({ "event": "number" }))).await;
    }
    rig.work(&message("evt_2", &json!({ "event": "number" }))).await;
    assert_eq!(rig.entry("evt_1").await.document.unwrap().name.as_str(), "INV-0001");
    assert_eq!(rig.entry("evt_2").await.document.unwrap().name.as_str(), "INV-0002");
}

#[tokio::test]
async fn the_log_names_the_document_that_was_made_although_other_names_were_taken() {
    let rig = Rig::new(&orders()).await;
    for number in 1..=3 {
        let change = Change::Put { fields: serde_json::Map::new(), docstatus: DocStatus::Draft };
        let key = DocumentKey::new("Invoice", format!("INV-{number:04}")).unwrap();
        let write =
            Write::over(Target::Named(key), None, change, crate::documents::Applied::new(), "someone");
        rig.ports.documents.commit(Commit::of(write)).await.unwrap();
    }
    rig.work(&message("evt_1", &json!({ "event": "number" }))).await;
    assert_eq!(rig.entry("evt_1").await.document.unwrap().name.as_str(), "INV-0004");
    assert_eq!(rig.document("Invoice", "INV-0004").await.unwrap().revision, 1);
}

#[tokio::test]
async fn an_event_waits_for_its_parent_and_is_freed_when_it_comes() {
    let rig = Rig::new(&orders()).await;
    let mut linked = order("linked", 0, 1);
    linked["customer"] = "C-1".into();
    assert_eq!(rig.work(&message("evt_1", &linked)).await, Disposition::Done);
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Parked);
    assert!(matches!(rig.parked("evt_1").await.unwrap().state, ParkedState::Waiting(WaitsFor::Document(_))));
    rig.work(&message("evt_2", &json!({ "event": "customer", "customer": "C-1", "at": 1_795_000_000 })))
        .await;
    rig.drain().await;
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    assert_eq!(rig.parked("evt_1").await, None);
    assert!(n_of(&rig).await.is_some());
}

#[tokio::test]
async fn what_waits_is_found_by_the_sweeper_if_nobody_freed_it() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("update", 0, 1))).await;
    // Created behind the worker's back: nobody frees what waits for it.
    let change = Change::Put { fields: serde_json::Map::new(), docstatus: DocStatus::Draft };
    let key = DocumentKey::new("Order", "O-1").unwrap();
    let write = Write::over(Target::Named(key), None, change, crate::documents::Applied::new(), "someone");
    rig.ports.documents.commit(Commit::of(write)).await.unwrap();
    let sweeper = sweeper(&rig);
    assert_eq!(sweeper.sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(0), "it is not due yet");
    rig.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(sweeper.sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(1));
    assert_eq!(
        sweeper.sweep(Timestamp::MAX).await.unwrap(),
        Swept::Sent(0),
        "it was sent, and is due again only later"
    );
    rig.drain().await;
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
}

#[tokio::test]
async fn an_event_whose_parent_never_comes_is_dead_after_a_week() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("update", 0, 1))).await;
    rig.clock.advance(SignedDuration::from_hours(24 * 8));
    assert_eq!(sweeper(&rig).sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(1));
    rig.drain().await;
    let item = rig.parked("evt_1").await.unwrap();
    assert_eq!((item.state, item.failure.code.as_str()), (ParkedState::Dead, "parent_missing"));
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Dead);
}

fn sweeper(rig: &Rig) -> Sweeper {
    let leases = Arc::new(crate::lease::dynamo::DynamoLeases::new(
        rig.dynamo.client.clone(),
        &rig.dynamo.tables,
        rig.clock.clone(),
        SignedDuration::from_secs(45),
    ));
    Sweeper::new(rig.release.clone(), leases, rig.clock.clone(), AGAIN_AFTER)
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_dead_with_the_reason_and_replayable() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("strict", 0, 1))).await;
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.attempts, entry.history.len()), (EventStatus::Dead, 1, 1));
    assert!(entry.error.unwrap().detail.contains("/needed"));
    // The rule is mended, the event replayed from the whole message.
    let mut mended = orders();
    mended.rules.retain(|rule| rule.event != "strict");
    let mut rule = mended.rules[4].clone();
    rule.event = "strict".into();
    mended.rules.push(rule);
    rig.configure(&mended).await;
    rig.replay.one("evt_1").await.unwrap();
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Queued);
    rig.drain().await;
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    assert_eq!(rig.parked("evt_1").await, None);
    assert_eq!(rig.replay.one("evt_1").await.unwrap_err().code(), ErrorCode::ParkedNotFound);
}

#[tokio::test]
async fn a_dead_event_that_is_given_up_ends_with_the_reason_and_stays_so() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("strict", 0, 1))).await;
    let discard = Discard::new(rig.ports.parking.clone(), rig.ports.log.clone(), rig.clock.clone());
    discard.one("evt_1", "Administrator gave it up: a test").await.unwrap();
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.error.unwrap().code.as_str()), (EventStatus::Rejected, "discarded"));
    assert_eq!(rig.parked("evt_1").await, None);
    assert_eq!(discard.one("evt_1", "again").await.unwrap_err().code(), ErrorCode::ParkedNotFound);
    let mut good = order("upsert", 0, 1);
    good["needed"] = 1.into();
    rig.work(&message("evt_1", &good)).await;
    assert_eq!(n_of(&rig).await, None, "a repeat of it does nothing");
}

#[tokio::test]
async fn the_dead_are_replayed_by_filter() {
    let rig = Rig::new(&orders()).await;
    for n in 0..7 {
        rig.work(&message(&format!("evt_{n}"), &order("strict", 0, n))).await;
    }
    let query = |connector: &str, cursor| ParkedQuery {
        state: Some("dead".into()),
        connector: Some(connector.into()),
        limit: 5,
        cursor,
    };
    assert_eq!(rig.replay.page(&query("other", None)).await.unwrap(), (0, None));
    let (replayed, next) = rig.replay.page(&query("shop", None)).await.unwrap();
    assert_eq!((replayed, next.is_some()), (5, true));
    assert_eq!(rig.replay.page(&query("shop", next)).await.unwrap(), (2, None));
    assert_eq!(rig.queue.take().len(), 7);
}

#[tokio::test]
async fn a_dead_event_is_done_by_a_new_delivery_of_it() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("strict", 0, 1))).await;
    let mut good = order("upsert", 0, 1);
    good["needed"] = 1.into();
    assert_eq!(rig.work(&message("evt_1", &good)).await, Disposition::Done);
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    assert_eq!(rig.parked("evt_1").await, None, "nothing of it stays parked");
}

#[tokio::test]
async fn a_parked_item_left_over_by_a_crash_goes_when_it_is_looked_at() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("strict", 0, 1))).await;
    let item = rig.parked("evt_1").await.unwrap();
    let mut good = order("upsert", 0, 1);
    good["needed"] = 1.into();
    rig.work(&message("evt_1", &good)).await;
    rig.ports.parking.park(&item).await.unwrap();
    // A replay finds out by itself.
    assert_eq!(rig.replay.one("evt_1").await.unwrap_err().code(), ErrorCode::ParkedNotFound);
    assert_eq!(rig.parked("evt_1").await, None);
    // So does a worker that is sent it.
    let orphan = ParkedItem { cargo: Cargo::Event(event("evt_1", &good)), ..item };
    rig.ports.parking.park(&orphan).await.unwrap();
    assert_eq!(rig.work(&Message::Parked { id: "evt_1".into() }).await, Disposition::Done);
    assert_eq!(rig.parked("evt_1").await, None);
}

/// A document store that fails as told.
struct Faulty {
    inner: Arc<dyn DocumentStore>,
    /// Commits that fail before they happen.
    before: AtomicUsize,
    /// Commits that happen and whose answer is lost.
    after: AtomicUsize,
    /// Commits that panic.
    panics: AtomicUsize,
    /// What every commit fails with, until it is taken away.
    refusal: Mutex<Option<Error>>,
}

impl Faulty {
    fn over(inner: Arc<dyn DocumentStore>) -> Arc<Self> {
        let none = AtomicUsize::default;
        Arc::new(Self { inner, before: none(), after: none(), panics: none(), refusal: Mutex::default() })
    }
}

fn is_due(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

#[async_trait]
impl DocumentStore for Faulty {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        self.inner.read(key).await
    }
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.inner.list(query).await
    }
    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.inner.count(doctype, filters).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        assert!(!is_due(&self.panics), "told to panic");
        if let Some(refusal) = &*self.refusal.lock().unwrap() {
            return Err(refusal.repeated());
        }
        if is_due(&self.before) {
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        let committed = self.inner.commit(commit).await?;
        if is_due(&self.after) {
            return Err(Error::unavailable("DynamoDB", "the answer is lost"));
        }
        Ok(committed)
    }
}

async fn faulty_rig() -> (Rig, Arc<Faulty>) {
    let mut faulty = None;
    let rig = Rig::with_documents(&orders(), |store| {
        let wrapped = Faulty::over(store);
        faulty = Some(wrapped.clone());
        wrapped
    })
    .await;
    (rig, faulty.unwrap())
}

#[tokio::test]
async fn failures_follow_the_schedule_then_the_event_is_dead_with_the_reason() {
    let (rig, faulty) = faulty_rig().await;
    faulty.before.store(3, Ordering::Relaxed);
    let event = message("evt_1", &order("upsert", 0, 1));
    // The first wait fits the queue.
    assert_eq!(rig.work(&event).await, Disposition::Again(Duration::from_secs(2)));
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Retrying);
    // The second does not: the event is parked until then.
    assert_eq!(rig.work(&event).await, Disposition::Done);
    assert_eq!(rig.parked("evt_1").await.unwrap().due, Some(start() + SignedDuration::from_mins(30)));
    rig.clock.advance(SignedDuration::from_mins(31));
    assert_eq!(sweeper(&rig).sweep(Timestamp::MAX).await.unwrap(), Swept::Sent(1));
    rig.drain().await;
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.attempts), (EventStatus::Dead, 3));
    assert_eq!(entry.history.len(), 3);
    assert_eq!(entry.error.unwrap().code, "dependency_unavailable");
    // It is still whole: a replay brings it in, its attempts counted anew.
    rig.replay.one("evt_1").await.unwrap();
    rig.drain().await;
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.attempts), (EventStatus::Done, 1));
}

#[tokio::test]
async fn what_waits_is_freed_by_the_name_that_the_rule_gave_too() {
    let rig = Rig::with_documents(&orders(), |store| Arc::new(Renaming(store))).await;
    for (n, name) in [(1, "C-1"), (2, "Site C-1")] {
        let mut linked = order("linked", 0, n);
        linked["customer"] = name.into();
        linked["order"] = format!("O-{n}").into();
        rig.work(&message(&format!("evt_{n}"), &linked)).await;
        assert_eq!(status(&rig, &format!("evt_{n}")).await, EventStatus::Parked);
    }
    let customer = json!({ "event": "customer", "customer": "C-1", "at": 1_795_000_000 });
    rig.work(&message("evt_c", &customer)).await;
    assert_eq!(rig.queue.take().len(), 2, "those that wait for either name");
}

/// A store that names documents as it likes.
struct Renaming(Arc<dyn DocumentStore>);

#[async_trait]
impl DocumentStore for Renaming {
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
        let Committed::Now(documents) = committed else { return Ok(committed) };
        let renamed = documents.into_iter().map(|document| {
            document.map(|document| Document {
                key: DocumentKey::new(document.key.doctype.as_str(), format!("Site {}", document.key.name))
                    .unwrap(),
                ..document
            })
        });
        Ok(Committed::Now(renamed.collect()))
    }
}

#[tokio::test]
async fn an_effect_whose_answer_was_lost_happens_once() {
    let (rig, faulty) = faulty_rig().await;
    faulty.after.store(1, Ordering::Relaxed);
    let event = message("evt_1", &order("upsert", 0, 1));
    assert_eq!(rig.work(&event).await, Disposition::Done, "the log says it has ended");
    assert_eq!(rig.work(&event).await, Disposition::Done);
    assert_eq!(n_of(&rig).await, Some((json!(1), DocStatus::Draft, 1)));
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
}

#[tokio::test]
async fn what_waits_is_freed_although_the_creator_lost_its_answer_or_died() {
    let (rig, faulty) = faulty_rig().await;
    let customer = |id: &str, name: &str| {
        message(id, &json!({ "event": "customer", "customer": name, "at": 1_795_000_000 }))
    };
    for (n, name) in [(1, "C-1"), (2, "C-2")] {
        let mut linked = order("linked", 0, n);
        linked["customer"] = name.into();
        linked["order"] = format!("O-{n}").into();
        rig.work(&message(&format!("evt_{n}"), &linked)).await;
    }
    faulty.after.store(1, Ordering::Relaxed);
    rig.work(&customer("evt_c1", "C-1")).await;
    rig.drain().await;
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    // Committed, and dead before it freed anything: the message is delivered again.
    rig.work(&customer("evt_c2", "C-2")).await;
    rig.queue.take();
    rig.work(&customer("evt_c2", "C-2")).await;
    rig.drain().await;
    assert_eq!(status(&rig, "evt_2").await, EventStatus::Done);
}

#[tokio::test]
async fn a_panic_is_the_failed_attempt_of_its_message_alone() {
    let (rig, faulty) = faulty_rig().await;
    faulty.panics.store(1, Ordering::Relaxed);
    let one = received(&message("evt_1", &order("upsert", 0, 1)), 1);
    let again = run_batch(&rig, vec![one]).await;
    assert_eq!(again.len(), 1);
    assert_eq!(rig.queue.hidden.lock().unwrap().as_slice(), [("r".to_owned(), Duration::from_secs(2))]);
    let entry = rig.entry("evt_1").await;
    assert_eq!((entry.status, entry.error.unwrap().code.as_str()), (EventStatus::Retrying, "internal_error"));
}

async fn run_batch(rig: &Rig, messages: Vec<Received>) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    batch::run(rig.worker.clone(), rig.queue.clone(), messages, deadline).await
}

#[tokio::test]
async fn what_is_not_done_by_the_deadline_is_delivered_again() {
    let rig = Rig::new(&orders()).await;
    let one = received(&message("evt_1", &order("upsert", 0, 1)), 1);
    let id = one.message_id.clone();
    assert_eq!(batch::run(rig.worker.clone(), rig.queue.clone(), vec![one], Instant::now()).await, [id]);
}

#[tokio::test]
async fn an_unreadable_message_is_parked_beside_good_ones() {
    let rig = Rig::new(&orders()).await;
    let good = received(&message("evt_1", &order("upsert", 0, 1)), 1);
    let bad = Received { body: "{\"type\":\"webhook.v9\"}".into(), message_id: "bad".into(), ..good.clone() };
    assert_eq!(run_batch(&rig, vec![bad, good]).await, Vec::<String>::new());
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    let query = ParkedQuery { state: None, connector: Some("-".into()), limit: 10, cursor: None };
    let parked = rig.ports.parking.list(&query).await.unwrap().items;
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].failure.code, "message_unreadable");
    // Replayed it is still unreadable, and still there.
    rig.replay.one(&parked[0].id).await.unwrap();
    rig.drain().await;
    assert_eq!(rig.ports.parking.list(&query).await.unwrap().items[0].state, ParkedState::Dead);
}

#[tokio::test]
async fn a_message_that_never_comes_to_an_end_is_parked_as_poison() {
    let rig = Rig::new(&orders()).await;
    let message = message("evt_1", &order("upsert", 0, 1));
    assert_eq!(rig.worker.work(&received(&message, 20)).await, Disposition::Done);
    let item = rig.parked("evt_1").await.unwrap();
    assert_eq!((item.state, item.failure.code.as_str()), (ParkedState::Dead, "poison_message"));
    // One that is only delivered often, because it ended long ago, is not.
    rig.replay.one("evt_1").await.unwrap();
    rig.drain().await;
    assert_eq!(rig.worker.work(&received(&message, 40)).await, Disposition::Done);
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Done);
    assert_eq!(rig.parked("evt_1").await, None);
}

#[tokio::test]
async fn what_lands_in_the_dead_letter_queue_is_parked() {
    let rig = Rig::new(&orders()).await;
    let mut dead = received(&message("evt_1", &order("upsert", 0, 1)), 1);
    dead.dead_letter = true;
    assert_eq!(rig.worker.work(&dead).await, Disposition::Done);
    assert_eq!(rig.parked("evt_1").await.unwrap().state, ParkedState::Dead);
    assert_eq!(n_of(&rig).await, None);
}

#[tokio::test]
async fn messages_received_often_go_last_when_the_others_are_deleted() {
    let rig = Rig::new(&orders()).await;
    let mut suspect = received(&message("evt_1", &order("upsert", 0, 1)), 5);
    suspect.message_id = "suspect".into();
    let good = Received { receipt: "good".into(), ..received(&message("evt_2", &order("upsert", 1, 2)), 1) };
    assert!(run_batch(&rig, vec![suspect, good]).await.is_empty());
    assert_eq!(rig.queue.deleted.lock().unwrap().as_slice(), ["good"]);
}

#[tokio::test]
async fn an_unsigned_name_does_not_delete_even_if_it_was_queued() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    let mut forged = event("evt_2", &order("delete", 5, 0));
    forged.signed_name = false;
    rig.work(&Message::Webhook(forged)).await;
    assert!(n_of(&rig).await.is_some());
    assert_eq!(rig.entry("evt_2").await.error.unwrap().code, "event_unsigned");
}

#[tokio::test]
async fn an_effect_the_user_may_not_do_is_rejected() {
    let mut readers = orders();
    readers.user = "auditor@causeway".into();
    let rig = Rig::new(&readers).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    let entry = rig.entry("evt_1").await;
    assert_eq!(
        (entry.status, entry.error.unwrap().code.as_str()),
        (EventStatus::Rejected, "permission_denied")
    );
}

#[tokio::test]
async fn an_event_whose_connectors_user_was_disabled_is_rejected() {
    let rig = Rig::new(&orders()).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    let record = json!({ "name": "integrations@causeway", "enabled": false });
    let disabled: User = serde_json::from_str(&record.to_string()).unwrap();
    let accounts = Accounts::new(rig.ports.documents.clone(), rig.ports.directory.clone());
    accounts.put_user(&Principal::administrator().unwrap(), &disabled, None).await.unwrap();
    rig.work(&message("evt_2", &order("upsert", 1, 2))).await;
    let entry = rig.entry("evt_2").await;
    assert_eq!(
        (entry.status, entry.error.unwrap().code.as_str()),
        (EventStatus::Rejected, "permission_denied")
    );
    assert_eq!(n_of(&rig).await.unwrap().0, json!(1));
}

#[tokio::test]
async fn an_event_acts_as_the_user_that_its_connector_names() {
    let rig = Rig::new(&orders()).await;
    let accounts = Accounts::new(rig.ports.documents.clone(), rig.ports.directory.clone());
    let administrator = Principal::administrator().unwrap();
    let role =
        json!({ "name": "Drafter", "documents": [{ "doctype": "Order", "create": true, "write": true }] });
    let role: Role = serde_json::from_str(&role.to_string()).unwrap();
    accounts.put_role(&administrator, &role, None).await.unwrap();
    let user: User = serde_json::from_str(r#"{"name":"shop@example.com","roles":["Drafter"]}"#).unwrap();
    accounts.put_user(&administrator, &user, None).await.unwrap();
    rig.configure(&ConnectorSettings { user: user.name.clone(), ..orders() }).await;
    rig.work(&message("evt_1", &order("upsert", 0, 1))).await;
    assert_eq!(rig.document("Order", "O-1").await.unwrap().modified_by, "shop@example.com");
    rig.work(&message("evt_2", &order("submit", 1, 1))).await;
    assert_eq!(rig.entry("evt_2").await.error.unwrap().code, "permission_denied");
}

/// Nothing is known of who acts: that is no refusal, and passes.
#[tokio::test]
async fn an_event_whose_user_cannot_be_read_is_tried_again() {
    let rig = Rig::new(&orders()).await;
    let broken = Arc::new(Directory::new(Arc::new(Unreadable), rig.clock.clone()));
    let ports = Ports { directory: broken, ..rig.ports.clone() };
    let settings = ConnectorCache::settings_only(
        ConnectorRepository::new(rig.ports.documents.clone()),
        rig.clock.clone(),
    );
    let time: Arc<dyn Clock> = rig.clock.clone();
    let worker = EventWorker::new(ports, settings, rig.release.clone(), rig.dynamo.projector(&time));
    let received = received(&message("evt_1", &order("upsert", 0, 1)), 1);
    assert_eq!(worker.work(&received).await, Disposition::Again(Duration::from_secs(2)));
    assert_eq!(status(&rig, "evt_1").await, EventStatus::Retrying);
}

/// A store that cannot be reached.
struct Unreadable;

#[async_trait]
impl DocumentStore for Unreadable {
    async fn read(&self, _: &DocumentKey) -> Result<Option<Stored>> {
        Err(Error::unavailable("DynamoDB", "told to fail"))
    }
    async fn list(&self, _: &ListQuery) -> Result<Page<Document>> {
        Err(Error::unavailable("DynamoDB", "told to fail"))
    }
    async fn count(&self, _: &DocType, _: &Filters) -> Result<Count> {
        Err(Error::unavailable("DynamoDB", "told to fail"))
    }
    async fn commit(&self, _: Commit) -> Result<Committed> {
        Err(Error::unavailable("DynamoDB", "told to fail"))
    }
}

#[tokio::test]
async fn an_array_becomes_events_of_their_own_once() {
    let mut split = orders();
    split.split = Some(crate::connectors::Split {
        path: String::new(),
        id: Some("/id".into()),
        event: Some("/event".into()),
    });
    let rig = Rig::new(&split).await;
    let mut elements = vec![order("upsert", 0, 1), order("upsert", 1, 2), order("unheard", 2, 3)];
    for (n, element) in elements.iter_mut().enumerate() {
        element["id"] = format!("e{n}").into();
    }
    let delivery = message("evt_array", &Value::Array(elements));
    for _ in 0..2 {
        assert_eq!(rig.work(&delivery).await, Disposition::Done);
    }
    assert_eq!(status(&rig, "evt_array").await, EventStatus::Split);
    let children = rig.queue.take();
    assert_eq!(children.len(), 6, "a repeat of the delivery sends them again");
    for child in &children {
        rig.work(child).await;
    }
    assert_eq!(n_of(&rig).await, Some((json!(2), DocStatus::Draft, 2)));
}

#[test]
fn elements_without_an_id_are_told_apart_by_their_place() {
    let delivery = event("evt_array", &json!([{ "id": null }, { "id": "" }, { "n": 3 }, { "id": 4 }]));
    let split = crate::connectors::Split { path: String::new(), id: Some("/id".into()), event: None };
    let payload = serde_json::from_slice(&delivery.body.decode().unwrap()).unwrap();
    let mut ids: Vec<String> =
        split::children(&delivery, &split, &payload).unwrap().into_iter().map(|child| child.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn an_event_of_a_connector_that_is_gone_is_kept() {
    let rig = Rig::new(&orders()).await;
    let mut orphan = event("evt_1", &order("upsert", 0, 1));
    orphan.connector = "gone".into();
    rig.work(&Message::Webhook(orphan)).await;
    assert_eq!(rig.parked("evt_1").await.unwrap().failure.code, "unknown_connector");
}

#[test]
fn expectations_follow_what_is_stored() {
    let key = DocumentKey::new("Order", "O-1").unwrap();
    let write =
        Write::over(Target::Named(key), None, Change::Delete, crate::documents::Applied::new(), "someone");
    assert_eq!((write.expect, write.creates()), (Expect::Absent, false));
}
