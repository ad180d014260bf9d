//! The whole of Causeway in one process: the production code on a DynamoDB in memory, with a queue that counts.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use causeway::{
    Error, Result,
    auth::{Directory, Principal},
    cache::dynamo::DynamoCache,
    clock::{Clock, ManualClock},
    connectors::{ConnectorCache, ConnectorRepository, ConnectorSettings},
    documents::{
        Commit, Committed, Count, DocType, Document, DocumentKey, DocumentPlace, DocumentStore, Filters,
        ListQuery, Page, Stored, dynamo::DynamoDocuments,
    },
    events::{Disposition, EventWorker, Ports, Received},
    integration_log::dynamo::DynamoLog,
    parking::{Release, Replay, dynamo::DynamoParking},
    projections::{Projector, dynamo::DynamoReadModels},
    queue::{Message, Queue, Travels},
    secrets::{Secret, SecretBundle, SecretStore},
    trigger::http::{HttpFunction, Request},
    webhook::{Ingest, IngestFunction, signature::Scheme},
};
use causeway_bench::delivery::{Key, sign};
use http::{StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    database::{client, create_tables, serve},
    meter::Meter,
};

const SECRET: &[u8] = b"a secret of thirty-two characters";
/// SQS bills a request for each 64 KB of what it carries.
const SQS_CHUNK: usize = 64 * 1024;

pub use crate::database::Failed;

/// Production code with everything around it counted.
pub struct Stack {
    pub meter: Arc<Meter>,
    pub clock: Arc<ManualClock>,
    pub queue: Arc<CountingQueue>,
    pub faults: Arc<Faults>,
    pub client: Client,

    pub replay: Replay,
    ingest: IngestFunction,
    worker: EventWorker,
}

/// A queue whose messages stay until [`CountingQueue::receive`].
pub struct CountingQueue {
    meter: Arc<Meter>,
    messages: Mutex<VecDeque<String>>,
}

impl CountingQueue {
    fn keep(&self, name: &str, messages: &[Message]) -> Result<()> {
        let bodies = messages.iter().map(Message::encode).collect::<Result<Vec<_>>>()?;
        let bytes: usize = bodies.iter().map(String::len).sum();
        for _ in 0..bytes.div_ceil(SQS_CHUNK) {
            self.meter.call(name);
        }
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend(bodies);
        Ok(())
    }

    /// The next message.
    pub fn receive(&self) -> Option<String> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[async_trait]
impl Queue for CountingQueue {
    async fn send(&self, message: &Message) -> Result<()> {
        self.keep("SQS send", std::slice::from_ref(message))
    }

    async fn send_all(&self, messages: &[Message]) -> Result<()> {
        messages.chunks(10).try_for_each(|batch| self.keep("SQS send", batch))
    }

    async fn hide(&self, _receipt: &str, _wait: Duration) -> Result<()> {
        self.meter.call("SQS visibility");
        Ok(())
    }

    async fn delete(&self, _receipts: &[String]) -> Result<()> {
        self.meter.call("SQS delete");
        Ok(())
    }
}

/// The built-in store; its next commit can be told to fail.
pub struct Faults {
    store: DynamoDocuments,
    next: Mutex<Option<Error>>,
}

impl Faults {
    /// Makes the next commit fail before it reaches DynamoDB.
    pub fn fail_next(&self, error: Error) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn fault(&self) -> Option<Error> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl DocumentStore for Faults {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        self.store.read(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.store.list(query).await
    }

    async fn list_places(&self, query: &ListQuery) -> Result<Page<DocumentPlace>> {
        self.store.list_places(query).await
    }

    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.store.count(doctype, filters).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        match self.fault() {
            Some(error) => Err(error),
            None => self.store.commit(commit).await,
        }
    }
}

struct CountedSecrets(Arc<Meter>);

#[async_trait]
impl SecretStore for CountedSecrets {
    async fn bundle(&self, _id: &str) -> Result<SecretBundle> {
        self.0.call("Secrets Manager");
        Ok(SecretBundle::from([("erpnext/current".to_owned(), Secret::new(SECRET))]))
    }

    async fn secret(&self, _id: &str) -> Result<Secret> {
        self.0.call("Secrets Manager");
        Ok(Secret::new(SECRET))
    }
}

impl Stack {
    /// A stack with `settings` as its one connector.
    pub async fn start(settings: &ConnectorSettings) -> Result<Self, Failed> {
        let meter = Arc::new(Meter::default());
        let client = client(&serve().await?, &meter);
        let tables = create_tables(&client).await?;
        let clock = Arc::new(ManualClock::at(Timestamp::now()));
        let store = DynamoDocuments::new(client.clone(), tables.clone(), clock.clone());
        let faults = Arc::new(Faults { store, next: Mutex::default() });
        let directory = Arc::new(Directory::new(faults.clone(), clock.clone()));
        let administrator = Principal::administrator()?;
        ConnectorRepository::new(faults.clone()).put(settings, &administrator, &directory, None).await?;
        let log = Arc::new(DynamoLog::new(client.clone(), tables.clone(), clock.clone()));
        let parking = Arc::new(DynamoParking::new(client.clone(), &tables));
        let queue = Arc::new(CountingQueue { meter: Arc::clone(&meter), messages: Mutex::default() });
        let release = Release::new(parking.clone(), queue.clone());
        let replay = Replay::new(release.clone(), log.clone());
        let ports = Ports {
            documents: faults.clone(),
            records: faults.clone(),
            directory,
            log,
            parking,
            queue: queue.clone(),
            clock: clock.clone(),
        };
        let cache = ConnectorCache::settings_only(ConnectorRepository::new(faults.clone()), clock.clone());
        let models = Arc::new(DynamoReadModels::new(client.clone(), &tables, clock.clone()));
        let projector = Projector::new(
            models,
            ports.parking.clone(),
            Arc::new(DynamoCache::new(client.clone(), &tables)),
            clock.clone(),
        );
        let worker = EventWorker::new(ports, cache, release, Arc::new(projector));
        let ingest = cold_ingest(&meter, &faults, &queue, &clock)?;
        Ok(Self { meter, clock, queue, faults, client, replay, ingest, worker })
    }

    /// Replaces the ingest by one that has just started, with the calls that init makes on AWS to open its
    /// connections (`app::ingest` makes them over TLS only).
    pub async fn restart_ingest(&mut self) -> Result<()> {
        self.ingest = cold_ingest(&self.meter, &self.faults, &self.queue, &self.clock)?;
        self.faults.read(&DocumentKey::new("Warm", "up")?).await?;
        self.meter.call("SQS attributes");
        self.ingest.warm().await
    }

    /// Delivers `body`, signed; returns the event's id.
    pub async fn deliver(&self, body: &Value) -> Result<String, Failed> {
        let bytes = body.to_string().into_bytes();
        let mut headers = sign(&Scheme::Frappe, &Key::Shared(SECRET.to_vec()), "", self.clock.now(), &bytes)?;
        headers.insert(header::CONTENT_TYPE, "application/json".parse()?);
        let request = Request {
            method: "POST".to_owned(),
            path: "/webhooks/erpnext".to_owned(),
            query: HashMap::new(),
            headers,
            body: Ok(bytes),
            request_id: Some("JKJaXmPLvHcESHA=".to_owned()),
            source_address: None,
            host: None,
        };
        let response = self.ingest.handle(&request).await;
        self.meter.add(|tally| tally.ingests += 1.0);
        if response.status != StatusCode::ACCEPTED {
            return Err(format!("the delivery was refused: {}", response.body).into());
        }
        Ok(response.body["data"]["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Works until the queue is empty; messages that are to come again do so after their wait.
    pub async fn drain(&self) -> Result<(), Failed> {
        while let Some(body) = self.queue.receive() {
            let mut receives = 1;
            loop {
                self.meter.add(|tally| tally.messages += 1.0);
                let received = Received {
                    message_id: format!("message-{receives}"),
                    receipt: "receipt".to_owned(),
                    body: body.clone(),
                    receives,
                    dead_letter: false,
                };
                match self.worker.work(&received).await {
                    Disposition::Done => break,
                    Disposition::Again(wait) => {
                        self.queue.hide("receipt", wait).await?;
                        self.clock.advance(SignedDuration::try_from(wait)?);
                    }
                    Disposition::Keep => return Err("an event could not be recorded".into()),
                }
                receives += 1;
            }
        }
        Ok(())
    }
}

fn cold_ingest(
    meter: &Arc<Meter>,
    documents: &Arc<Faults>,
    queue: &Arc<CountingQueue>,
    clock: &Arc<ManualClock>,
) -> Result<IngestFunction> {
    let repository = ConnectorRepository::new(documents.clone());
    let secrets = Arc::new(CountedSecrets(Arc::clone(meter)));
    let cache = ConnectorCache::new(repository, secrets, "webhooks".to_owned(), clock.clone());
    IngestFunction::new(Ingest::new(cache, queue.clone(), clock.clone()), clock.clone())
}
