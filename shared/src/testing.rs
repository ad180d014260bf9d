//! For unit tests: DynamoDB in the process, and ports in memory that can be told to fail.

pub mod lost;
pub mod meter;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    Error, Result,
    auth::{Directory, Principal},
    cache::dynamo::DynamoCache,
    clock::{Clock, ManualClock},
    config::Tables,
    connectors::{ConnectorCache, ConnectorRepository, ConnectorSettings},
    documents::{Document, DocumentKey, DocumentStore, dynamo::DynamoDocuments},
    events::{Disposition, EventWorker, Ports, Received},
    integration_log::{Entry, dynamo::DynamoLog},
    parking::{ParkedItem, Release, Replay, dynamo::DynamoParking},
    projections::{Projector, dynamo::DynamoReadModels},
    queue::{Body, InboundEvent, Message, Queue, Travels},
    secrets::{Secret, SecretBundle, SecretStore},
    trigger::http::Request,
};

/// A request without query, headers and body.
pub fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: HashMap::new(),
        headers: http::HeaderMap::new(),
        body: Ok(Vec::new()),
        request_id: None,
        source_address: None,
        host: None,
    }
}

/// The moment at which tests begin.
pub fn start() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

/// A DynamoDB with our tables, in this process, for one test.
pub struct Dynamo {
    pub client: Client,
    pub tables: Tables,
}

impl Dynamo {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let database = dynoxide::Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::for_tests())
            .endpoint_url(endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        let tables = Tables { documents: "documents".into(), logs: "logs".into(), state: "state".into() };
        create(&client, "documents", &["pk"], &[("by_modified", "mpk", "msk", &[])]).await;
        let shown = ["status", "event", "doctype", "docname", "attempts", "duration_ms", "error_code"];
        create(&client, "logs", &["pk", "sk"], &[("by_connector_day", "lpk", "lsk", &shown)]).await;
        let indexes: [Index<'_>; 3] =
            [("by_due", "dpk", "dsk", &[]), ("by_state", "spk", "ssk", &[]), ("by_wait", "wpk", "wsk", &[])];
        create(&client, "state", &["pk", "sk"], &indexes).await;
        Self { client, tables }
    }

    /// A projector to its read models.
    pub fn projector(&self, clock: &Arc<dyn Clock>) -> Arc<Projector> {
        let models = DynamoReadModels::new(self.client.clone(), &self.tables, clock.clone());
        let parking = DynamoParking::new(self.client.clone(), &self.tables);
        let derived = Arc::new(DynamoCache::new(self.client.clone(), &self.tables));
        Arc::new(Projector::new(Arc::new(models), Arc::new(parking), derived, clock.clone()))
    }
}

type Index<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

async fn create(client: &Client, table: &str, keys: &[&str], indexes: &[Index<'_>]) {
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    let indexed = indexes.iter().flat_map(|(_, hash, range, _)| [*hash, *range]);
    for name in keys.iter().copied().chain(indexed) {
        let definition =
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        request = request.attribute_definitions(definition.build().unwrap());
    }
    for (name, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        request = request.key_schema(key(name, kind));
    }
    for (name, hash, range, shown) in indexes {
        let projection = if shown.is_empty() {
            Projection::builder().projection_type(ProjectionType::KeysOnly).build()
        } else {
            let names = shown.iter().map(|name| (*name).to_owned()).collect();
            Projection::builder()
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(names))
                .build()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name(*name)
            .key_schema(key(hash, KeyType::Hash))
            .key_schema(key(range, KeyType::Range))
            .projection(projection);
        request = request.global_secondary_indexes(index.build().unwrap());
    }
    request.send().await.unwrap();
}

/// A queue in memory.
pub struct MemoryQueue<M = Message> {
    pub sent: Mutex<Vec<M>>,
    pub hidden: Mutex<Vec<(String, Duration)>>,
    pub deleted: Mutex<Vec<String>>,
    pub down: AtomicBool,
}

impl<M> Default for MemoryQueue<M> {
    fn default() -> Self {
        let (sent, hidden, deleted) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { sent, hidden, deleted, down: AtomicBool::new(false) }
    }
}

impl<M> MemoryQueue<M> {
    /// What was sent since the last call.
    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

#[async_trait]
impl<M: Travels> Queue<M> for MemoryQueue<M> {
    async fn send(&self, message: &M) -> Result<()> {
        self.send_all(std::slice::from_ref(message)).await
    }

    async fn send_all(&self, messages: &[M]) -> Result<()> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("SQS", "told to fail"));
        }
        // As the real one: a message goes through its text.
        let sent = messages.iter().map(|message| M::decode(&message.encode().unwrap()).unwrap());
        self.sent.lock().unwrap().extend(sent);
        Ok(())
    }

    async fn hide(&self, receipt: &str, wait: Duration) -> Result<()> {
        self.hidden.lock().unwrap().push((receipt.to_owned(), wait));
        Ok(())
    }

    async fn delete(&self, receipts: &[String]) -> Result<()> {
        self.deleted.lock().unwrap().extend_from_slice(receipts);
        Ok(())
    }
}

/// Secrets in memory, counting how often they are read.
#[derive(Default)]
pub struct MemorySecrets {
    pub texts: Mutex<BTreeMap<String, String>>,
    pub reads: AtomicUsize,
    pub down: AtomicBool,
}

#[async_trait]
impl SecretStore for MemorySecrets {
    async fn bundle(&self, _: &str) -> Result<SecretBundle> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("Secrets Manager", "told to fail"));
        }
        let texts = self.texts.lock().unwrap();
        Ok(texts.iter().map(|(name, text)| (name.clone(), Secret::new(text.as_str()))).collect())
    }

    async fn secret(&self, id: &str) -> Result<Secret> {
        self.bundle(id).await?.remove(id).ok_or_else(|| Error::internal("no such secret"))
    }
}

/// Connector settings from JSON, with what every connector needs.
pub fn settings(more: Value) -> ConnectorSettings {
    let mut all = json!({
        "name": "shop",
        "user": "integrations@causeway",
        "scheme": { "type": "frappe" },
        "secrets": [{ "name": "current", "reference": "shop/current" }],
        "event": { "body": "/event" },
        "identity": { "by": "field", "path": "/id" },
        "version": { "path": "/at" },
        "retry": { "delays_seconds": [2, 1800] },
    });
    let Value::Object(more) = more else { panic!("settings are an object") };
    all.as_object_mut().unwrap().extend(more);
    let settings: ConnectorSettings = serde_json::from_str(&all.to_string()).unwrap();
    settings.validate().unwrap();
    settings
}

/// An event worker over in-process DynamoDB and a queue in memory.
pub struct Rig {
    pub dynamo: Dynamo,
    pub ports: Ports,
    pub queue: Arc<MemoryQueue>,
    pub clock: Arc<ManualClock>,
    pub worker: Arc<EventWorker>,
    pub release: Release,
    pub replay: Replay,
    repository: ConnectorRepository,
}

/// After this long a parked item that was sent is due again, in tests.
pub const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(6);

impl Rig {
    /// A worker for the connector `settings`.
    pub async fn new(settings: &ConnectorSettings) -> Self {
        Self::with_documents(settings, |store| store).await
    }

    /// A worker whose document store is wrapped.
    pub async fn with_documents(
        settings: &ConnectorSettings,
        wrap: impl FnOnce(Arc<dyn DocumentStore>) -> Arc<dyn DocumentStore>,
    ) -> Self {
        Self::over(settings, |store, _, _| wrap(store)).await
    }

    /// A worker for documents in the store that `choose` makes of the built-in one, its tables and the time. What is
    /// Causeway's own stays in the built-in one.
    pub async fn over(
        settings: &ConnectorSettings,
        choose: impl FnOnce(Arc<dyn DocumentStore>, &Dynamo, &Arc<ManualClock>) -> Arc<dyn DocumentStore>,
    ) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let time: Arc<dyn Clock> = clock.clone();
        let queue = Arc::new(MemoryQueue::default());
        let store: Arc<dyn DocumentStore> =
            Arc::new(DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), time.clone()));
        let repository = ConnectorRepository::new(store.clone());
        let directory = Arc::new(Directory::new(store.clone(), time.clone()));
        let administrator = Principal::administrator().unwrap();
        repository.put(settings, &administrator, &directory, None).await.unwrap();
        let ports = Ports {
            documents: choose(store.clone(), &dynamo, &clock),
            records: store,
            directory,
            log: Arc::new(DynamoLog::new(dynamo.client.clone(), dynamo.tables.clone(), time.clone())),
            parking: Arc::new(DynamoParking::new(dynamo.client.clone(), &dynamo.tables)),
            queue: queue.clone(),
            clock: time.clone(),
        };
        let release = Release::new(ports.parking.clone(), queue.clone());
        let cache = ConnectorCache::settings_only(repository.clone(), time.clone());
        let projector = dynamo.projector(&time);
        let worker = Arc::new(EventWorker::new(ports.clone(), cache, release.clone(), projector));
        let replay = Replay::new(release.clone(), ports.log.clone());
        Self { dynamo, ports, queue, clock, worker, release, replay, repository }
    }

    /// Replaces the connector's settings; an instance may remember the old ones for a while.
    pub async fn configure(&self, settings: &ConnectorSettings) {
        let administrator = Principal::administrator().unwrap();
        self.repository.put(settings, &administrator, &self.ports.directory, None).await.unwrap();
    }

    /// Works on one message.
    pub async fn work(&self, message: &Message) -> Disposition {
        self.worker.work(&received(message, 1)).await
    }

    /// Works on what is in the queue until it is empty.
    pub async fn drain(&self) {
        for _ in 0..100 {
            let messages = self.queue.take();
            if messages.is_empty() {
                return;
            }
            for message in messages {
                assert_eq!(self.work(&message).await, Disposition::Done);
            }
        }
        panic!("the queue does not drain");
    }

    /// The log entry of an event.
    pub async fn entry(&self, id: &str) -> Entry {
        self.ports.log.get(id).await.unwrap().unwrap_or_else(|| panic!("{id} is not in the log"))
    }

    /// The parked item of an event.
    pub async fn parked(&self, id: &str) -> Option<ParkedItem> {
        self.ports.parking.get(id).await.unwrap()
    }

    /// A document.
    pub async fn document(&self, doctype: &str, name: &str) -> Option<Document> {
        self.ports.documents.get(&DocumentKey::new(doctype, name).unwrap()).await.unwrap()
    }
}

/// `message` as SQS delivers it for the `receives`th time.
pub fn received(message: &Message, receives: u32) -> Received {
    let body = message.encode().unwrap();
    Received {
        message_id: format!("m-{}", body.len()),
        receipt: "r".into(),
        body,
        receives,
        dead_letter: false,
    }
}

/// A signed event of the connector `shop`, called what its body's `event` says.
pub fn event(id: &str, body: &Value) -> InboundEvent {
    InboundEvent {
        id: id.to_owned(),
        connector: "shop".into(),
        event: body["event"].as_str().unwrap_or("event").to_owned(),
        signed_name: true,
        secret: "current".into(),
        received_at: start(),
        content_type: None,
        body: Body::encode(body.to_string().as_bytes()).unwrap(),
        parent: None,
    }
}

/// That event as a message.
pub fn message(id: &str, body: &Value) -> Message {
    Message::Webhook(event(id, body))
}
