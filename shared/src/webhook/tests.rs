//! What the ingest accepts, refuses and asks of AWS.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    Error, ErrorCode, Result,
    auth::{Directory, Principal},
    clock::ManualClock,
    connectors::{ConnectorCache, ConnectorRepository, ConnectorSettings},
    documents::{
        Commit, Committed, Count, DocType, Document, DocumentKey, DocumentStore, Filters, ListQuery, Page,
        Stored, dynamo::DynamoDocuments,
    },
    queue::{Body, InboundEvent, Message},
    testing::{Dynamo, MemoryQueue, MemorySecrets, settings, start},
};

/// A store that counts its reads and can be told to fail.
struct Counting {
    inner: Arc<dyn DocumentStore>,
    reads: AtomicUsize,
    down: AtomicBool,
}

#[async_trait]
impl DocumentStore for Counting {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        self.inner.read(key).await
    }
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.inner.list(query).await
    }
    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.inner.count(doctype, filters).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.inner.commit(commit).await
    }
}

struct Rig {
    ingest: Ingest,
    store: Arc<Counting>,
    secrets: Arc<MemorySecrets>,
    queue: Arc<MemoryQueue>,
    clock: Arc<ManualClock>,
    repository: ConnectorRepository,
    directory: Directory,
    _dynamo: Dynamo,
}

async fn put(repository: &ConnectorRepository, directory: &Directory, settings: &ConnectorSettings) {
    let administrator = Principal::administrator().unwrap();
    repository.put(settings, &administrator, directory, None).await.unwrap();
}

const SECRET: &str = "hub-test-secret-1";

impl Rig {
    async fn new(settings: &ConnectorSettings) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let inner =
            Arc::new(DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock.clone()));
        let store = Arc::new(Counting { inner, reads: AtomicUsize::default(), down: AtomicBool::default() });
        let repository = ConnectorRepository::new(store.clone());
        let directory = Directory::new(store.clone(), clock.clone());
        put(&repository, &directory, settings).await;
        store.reads.store(0, Ordering::Relaxed);
        let secrets = Arc::new(MemorySecrets::default());
        secrets.texts.lock().unwrap().insert("shop/current".into(), SECRET.into());
        let queue = Arc::new(MemoryQueue::default());
        let cache = ConnectorCache::new(repository.clone(), secrets.clone(), "bundle".into(), clock.clone());
        let ingest = Ingest::new(cache, queue.clone(), clock.clone());
        Self { ingest, store, secrets, queue, clock, repository, directory, _dynamo: dynamo }
    }

    async fn post(&self, event: Option<&str>, secret: &str, body: &[u8]) -> Result<Accepted> {
        self.post_with(event, &signed(secret, body), body).await
    }

    async fn post_with(&self, event: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Accepted> {
        self.ingest.accept(Delivery { connector: "shop", event, headers, body }).await
    }

    fn sent(&self) -> Vec<InboundEvent> {
        let event = |message| match message {
            Message::Webhook(event) => event,
            Message::Parked { .. } => panic!("the ingest parks nothing"),
        };
        self.queue.take().into_iter().map(event).collect()
    }

    fn calls(&self) -> usize {
        self.store.reads.load(Ordering::Relaxed) + self.secrets.reads.load(Ordering::Relaxed)
    }
}

fn signed(secret: &str, body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    HeaderMap::from_iter([("x-frappe-webhook-signature".parse().unwrap(), signature.parse().unwrap())])
}

fn frappe() -> ConnectorSettings {
    let order = |action: &str| json!({ "action": action, "doctype": "Sales Order", "name": "/name" });
    settings(json!({
        "identity": { "by": "frappe" },
        "version": { "path": "/modified", "time_zone": "Asia/Kolkata" },
        "secrets": [
            { "name": "current", "reference": "shop/current" },
            { "name": "next", "reference": "shop/next" },
            { "name": "trash", "reference": "shop/trash", "event": "order.on_trash" },
        ],
        "rules": [
            { "event": "order.on_trash", "effect": order("delete") },
            { "event": "order.numbered", "effect": { "action": "create", "doctype": "Sales Order", "series": "SO-.####" } },
            { "event": "order.*", "effect": order("upsert") },
        ],
    }))
}

fn body() -> Vec<u8> {
    br#"{"name": "SO-1", "docstatus": 0, "modified": "2026-11-22 19:12:25.976321"}"#.to_vec()
}

#[tokio::test]
async fn a_signed_event_is_queued_whole_and_its_repeat_has_the_same_id() {
    let rig = Rig::new(&frappe()).await;
    let first = rig.post(Some("order.on_update"), SECRET, &body()).await.unwrap();
    rig.clock.advance(SignedDuration::from_hours(30));
    let second = rig.post(Some("order.on_update"), SECRET, &body()).await.unwrap();
    let other = rig.post(Some("order.on_change"), SECRET, &body()).await.unwrap();
    assert_eq!(first.id, second.id);
    assert_ne!(first.id, other.id, "one save fires several events with the same body");
    let sent = rig.sent();
    assert_eq!(sent[0].id, first.id);
    assert_eq!((sent[0].event.as_str(), sent[0].signed_name), ("order.on_update", false));
    assert_eq!((sent[0].secret.as_str(), &sent[0].body), ("current", &Body::encode(&body()).unwrap()));
}

#[tokio::test]
async fn a_warm_instance_asks_aws_only_to_queue_and_a_cold_one_twice_more() {
    let rig = Rig::new(&frappe()).await;
    rig.post(Some("order.on_update"), SECRET, &body()).await.unwrap();
    assert_eq!(rig.calls(), 2, "settings and secrets");
    for _ in 0..5 {
        rig.clock.advance(SignedDuration::from_secs(10));
        rig.post(Some("order.on_update"), SECRET, &body()).await.unwrap();
    }
    assert_eq!(rig.calls(), 2);
    rig.clock.advance(SignedDuration::from_secs(11));
    rig.post(Some("order.on_update"), SECRET, &body()).await.unwrap();
    assert_eq!(rig.calls(), 4, "after a minute they are read again");
    assert_eq!(rig.queue.take().len(), 7);
}

#[tokio::test]
async fn a_new_secret_works_at_once_and_a_forger_does_not_make_us_read() {
    let rig = Rig::new(&frappe()).await;
    rig.post(None, SECRET, &body()).await.unwrap();
    rig.clock.advance(SignedDuration::from_secs(11));
    rig.secrets.texts.lock().unwrap().insert("shop/next".into(), "rotated".into());
    let accepted = rig.post(None, "rotated", &body()).await.unwrap();
    assert_eq!(accepted.secret, "next");
    let calls = rig.calls();
    for _ in 0..10 {
        let refused = rig.post(None, "forged", &body()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::SignatureMismatch);
    }
    assert_eq!(rig.calls(), calls, "read less than ten seconds ago");
    rig.clock.advance(SignedDuration::from_secs(11));
    for _ in 0..10 {
        rig.post(None, "forged", &body()).await.unwrap_err();
    }
    assert_eq!(rig.calls(), calls + 2, "once in ten seconds");
}

#[tokio::test]
async fn an_unknown_connector_is_remembered() {
    let rig = Rig::new(&frappe()).await;
    let (headers, body) = (signed(SECRET, b"{}"), b"{}".as_slice());
    for connector in ["nobody", "nobody", "No Body!", "../shop", ""] {
        let refused = rig.ingest.accept(Delivery { connector, event: None, headers: &headers, body }).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::UnknownConnector, "{connector}");
    }
    assert_eq!(rig.store.reads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn each_refusal_has_its_code_and_queues_nothing() {
    let rig = Rig::new(&frappe()).await;
    let refused = async |headers: &HeaderMap, body: &[u8]| {
        rig.post_with(Some("order.on_update"), headers, body).await.unwrap_err().code()
    };
    let good = signed(SECRET, &body());
    assert_eq!(refused(&HeaderMap::new(), &body()).await, ErrorCode::SignatureMissing);
    assert_eq!(refused(&good, b"").await, ErrorCode::EmptyBody);
    assert_eq!(refused(&good, b"{}").await, ErrorCode::SignatureMismatch);
    let large = vec![b' '; 256 * 1024 + 1];
    assert_eq!(refused(&signed(SECRET, &large), &large).await, ErrorCode::BodyTooLarge);
    assert_eq!(refused(&signed(SECRET, b"<xml/>"), b"<xml/>").await, ErrorCode::MalformedBody);
    let mut xml = good.clone();
    xml.insert("content-type", "text/xml".parse().unwrap());
    assert_eq!(refused(&xml, &body()).await, ErrorCode::UnsupportedContent);
    let bad_name = rig.post(Some("a b"), SECRET, &body()).await.unwrap_err();
    assert_eq!(
        (bad_name.code(), bad_name.field_errors()[0].field.as_str()),
        (ErrorCode::InvalidInput, "event")
    );
    assert!(rig.sent().is_empty());
}

#[tokio::test]
async fn without_a_secret_nothing_is_accepted() {
    let rig = Rig::new(&frappe()).await;
    rig.secrets.texts.lock().unwrap().clear();
    assert_eq!(rig.post(None, "", &body()).await.unwrap_err().code(), ErrorCode::SecretMissing);
    let mut disabled = frappe();
    disabled.enabled = false;
    put(&rig.repository, &rig.directory, &disabled).await;
    rig.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(rig.post(None, SECRET, &body()).await.unwrap_err().code(), ErrorCode::ConnectorDisabled);
    assert!(rig.sent().is_empty());
}

#[tokio::test]
async fn when_aws_is_out_of_reach_the_provider_is_asked_to_come_back() {
    let rig = Rig::new(&frappe()).await;
    let code = async || rig.post(None, SECRET, &body()).await.unwrap_err().code();
    rig.store.down.store(true, Ordering::Relaxed);
    assert_eq!(code().await, ErrorCode::DependencyUnavailable);
    rig.store.down.store(false, Ordering::Relaxed);
    rig.secrets.down.store(true, Ordering::Relaxed);
    assert_eq!(code().await, ErrorCode::DependencyUnavailable);
    rig.secrets.down.store(false, Ordering::Relaxed);
    rig.queue.down.store(true, Ordering::Relaxed);
    assert_eq!(code().await, ErrorCode::DependencyUnavailable);
    rig.queue.down.store(false, Ordering::Relaxed);
    rig.post(None, SECRET, &body()).await.unwrap();
}

#[tokio::test]
async fn a_delete_needs_a_signed_name_or_a_secret_of_its_own() {
    let rig = Rig::new(&frappe()).await;
    rig.secrets.texts.lock().unwrap().insert("shop/trash".into(), "for the bin".into());
    let refused = rig.post(Some("order.on_trash"), SECRET, &body()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::EventUnsigned);
    let elsewhere = rig.post(Some("order.on_update"), "for the bin", &body()).await.unwrap_err();
    assert_eq!(elsewhere.code(), ErrorCode::SignatureMismatch, "it signs this event only");
    let accepted = rig.post(Some("order.on_trash"), "for the bin", &body()).await.unwrap();
    assert_eq!(accepted.secret, "trash");
    let named_inside = br#"{"name": "SO-1", "modified": "x", "event": "order.on_trash"}"#;
    rig.post(Some("order.on_update"), SECRET, named_inside).await.unwrap();
    let sent = rig.sent();
    assert!(sent.iter().all(|event| event.signed_name && event.event == "order.on_trash"), "{sent:?}");
}

#[tokio::test]
async fn a_frappe_body_without_modified_is_taken_only_where_a_repeat_does_no_harm() {
    let rig = Rig::new(&frappe()).await;
    let body = br#"{"name": "SO-1"}"#;
    let first = rig.post(Some("order.on_update"), SECRET, body).await.unwrap();
    rig.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(rig.post(Some("order.on_update"), SECRET, body).await.unwrap().id, first.id);
    rig.clock.advance(SignedDuration::from_mins(5));
    assert_ne!(rig.post(Some("order.on_update"), SECRET, body).await.unwrap().id, first.id);
    let refused = rig.post(Some("order.numbered"), SECRET, body).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::EventUnidentified);
}

#[tokio::test]
async fn bytes_that_are_no_text_reach_a_raw_connector() {
    let raw = settings(json!({ "content": "raw", "identity": { "by": "body" }, "rules": [] }));
    let rig = Rig::new(&raw).await;
    let bytes = [0xff, 0xfe, 0x00, 0x80];
    rig.post(Some("scan"), SECRET, &bytes).await.unwrap();
    let sent = rig.sent();
    assert_eq!(sent[0].body.decode().unwrap(), bytes);
    let payload: Value = parse_payload(raw.content, None, &bytes).unwrap();
    assert_eq!(payload["base64"], "//4AgA==");
}
