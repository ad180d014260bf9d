//! The composition root: the environment becomes clients, adapters and the one thing a function runs. Called
//! once, at init; nothing here happens per request.

mod providers;

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use jiff::SignedDuration;
use std::time::Duration;

use self::providers::{Home, Providers};
use crate::{
    Result,
    api::{Api, Guard, Queries, Services},
    auth::{Accounts, ApiKeys, Directory, Keyring},
    bulk::{
        BuiltInMaker, BulkMessage, BulkStore, BulkSweeper, BulkTransactions, ChunkWorker, Dispatcher, Maker,
        Pace, SiteMaker, dynamo::DynamoBulk,
    },
    cache::{Cache, dynamo::DynamoCache},
    clock::{Clock, SystemClock},
    config::{
        ApiConfig, BulkConfig, BulkPace, DocumentEventsConfig, Environment, IngestConfig, OutboundConfig,
        Tables, WorkerConfig,
    },
    connectors::{ConnectorCache, ConnectorRepository},
    documents::{DocumentKey, DocumentStore, dynamo::DynamoDocuments},
    erpnext::mapper::Mapping,
    events::{EventWorker, Ports},
    integration_log::{IntegrationLog, dynamo::DynamoLog},
    lease::dynamo::DynamoLeases,
    outbound::{CallLog, Governor, call_log::dynamo::DynamoCallLog},
    parking::{Discard, ParkingLot, Release, Replay, Sweeper, dynamo::DynamoParking},
    projections::{Projector, ReadModels, dynamo::DynamoReadModels, items::ItemSearch, sales::SalesReport},
    queue::{Queue, sqs::SqsQueue},
    rate_limit::{FailedAuthentications, RateLimiter, dynamo::DynamoCounters},
    secrets::{SecretStore, secretsmanager::SecretsManager},
    trigger::{bulk::BulkFunction, queue::WorkerFunction, stream::StreamFunction},
    webhook::{Ingest, IngestFunction},
};

/// How long connecting to AWS may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one try of a call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call with its tries may take: the ingest makes at most three, one after the other, within its 10 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);
/// How long init may spend on warming connections.
const WARM_TIMEOUT: Duration = Duration::from_secs(2);
/// A parked item that was sent is due again after this many visibility timeouts.
const RESEND_AFTER_VISIBILITIES: u32 = 2;

/// The AWS clients' shared configuration: one HTTP stack, every call with a timeout.
pub async fn aws() -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts).load().await
}

/// Opens the connections (TCP, TLS) that the first request would otherwise pay for, while init runs at full
/// speed and unbilled. What fails here fails again, visibly, in a request. Only towards AWS: the local stack
/// has no TLS to save.
async fn warm(aws: &SdkConfig, touches: impl Future<Output = ()>) {
    if aws.endpoint_url().is_some_and(|endpoint| endpoint.starts_with("http://")) {
        return;
    }
    if tokio::time::timeout(WARM_TIMEOUT, touches).await.is_err() {
        tracing::warn!("connections were not warm in time");
    }
}

/// Reads a document that does not exist: the cheapest call over the connection that reads will use.
async fn touch_documents(documents: &dyn DocumentStore) {
    if let Ok(key) = DocumentKey::new("Warm", "up") {
        note(documents.read(&key).await);
    }
}

fn note<T>(touched: Result<T>) {
    if let Err(error) = touched {
        tracing::warn!(error = ?error, "not reachable at init");
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn again_after(visibility: Duration) -> SignedDuration {
    SignedDuration::try_from(visibility * RESEND_AFTER_VISIBILITIES).unwrap_or(SignedDuration::from_mins(6))
}

fn queue(aws: &SdkConfig, url: &str) -> Arc<dyn Queue> {
    Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(aws), url))
}

/// What several functions are built from.
struct Adapters {
    clock: Arc<dyn Clock>,
    /// Causeway's own records: settings, users, roles, keys. Always in DynamoDB.
    records: Arc<dyn DocumentStore>,
    /// Everyone else's documents: the same store, or an ERPNext site.
    home: Home,
    governor: Arc<Governor>,
    directory: Arc<Directory>,
    log: Arc<dyn IntegrationLog>,
    calls: Arc<DynamoCallLog>,
    parking: Arc<dyn ParkingLot>,
    queue: Arc<dyn Queue>,
    release: Release,
}

impl Adapters {
    fn new(
        aws: &SdkConfig,
        dynamo: &aws_sdk_dynamodb::Client,
        tables: &Tables,
        queue_url: &str,
        outbound: &OutboundConfig,
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let parking: Arc<dyn ParkingLot> = Arc::new(DynamoParking::new(dynamo.clone(), tables));
        let queue = queue(aws, queue_url);
        let release = Release::new(Arc::clone(&parking), Arc::clone(&queue));
        let records: Arc<dyn DocumentStore> =
            Arc::new(DynamoDocuments::new(dynamo.clone(), tables.clone(), Arc::clone(&clock)));
        let calls = Arc::new(DynamoCallLog::new(dynamo.clone(), &tables.logs, Arc::clone(&clock)));
        let noted: Arc<dyn CallLog> = calls.clone();
        let providers = Providers { aws, dynamo, tables, clock: &clock, records: &records, calls: &noted };
        let governor = providers.governor(Arc::new(release.clone()));
        Ok(Self {
            home: providers.home(outbound, &governor)?,
            governor,
            directory: Arc::new(Directory::new(Arc::clone(&records), Arc::clone(&clock))),
            records,
            log: Arc::new(DynamoLog::new(dynamo.clone(), tables.clone(), Arc::clone(&clock))),
            calls,
            clock,
            parking,
            queue,
            release,
        })
    }
}

/// What follows documents, wherever it runs.
fn projector(
    dynamo: &aws_sdk_dynamodb::Client,
    tables: &Tables,
    parking: &Arc<dyn ParkingLot>,
    clock: &Arc<dyn Clock>,
) -> Arc<Projector> {
    let models: Arc<dyn ReadModels> =
        Arc::new(DynamoReadModels::new(dynamo.clone(), tables, Arc::clone(clock)));
    let cache = Arc::new(DynamoCache::new(dynamo.clone(), tables));
    Arc::new(Projector::new(models, Arc::clone(parking), cache, Arc::clone(clock)))
}

/// The `webhook-ingest` function, its connections warm.
pub async fn ingest() -> Result<IngestFunction> {
    let config = IngestConfig::read(&Environment::new(&variable))?;
    let aws = aws().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let dynamo = aws_sdk_dynamodb::Client::new(&aws);
    // The ingest reads settings only: the other tables are none of its business, and it has no permission.
    let tables = Tables { documents: config.documents_table, logs: String::new(), state: String::new() };
    let documents: Arc<dyn DocumentStore> =
        Arc::new(DynamoDocuments::new(dynamo, tables, Arc::clone(&clock)));
    let secrets: Arc<dyn SecretStore> =
        Arc::new(SecretsManager::new(aws_sdk_secretsmanager::Client::new(&aws)));
    let repository = ConnectorRepository::new(Arc::clone(&documents));
    let cache = ConnectorCache::new(repository, secrets, config.webhook_secrets_id, Arc::clone(&clock));
    let queue = Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&aws), &config.events_queue_url));
    let function = IngestFunction::new(Ingest::new(cache, queue.clone(), Arc::clone(&clock)), clock)?;
    warm(&aws, async {
        let ((), secrets, queue) = tokio::join!(touch_documents(&*documents), function.warm(), queue.touch());
        note(secrets);
        note(queue);
    })
    .await;
    Ok(function)
}

/// The `event-worker` function.
pub async fn worker() -> Result<WorkerFunction> {
    let config = WorkerConfig::read(&Environment::new(&variable))?;
    let aws = aws().await;
    let dynamo = aws_sdk_dynamodb::Client::new(&aws);
    let Adapters { clock, records, home, directory, log, calls, parking, queue, release, .. } =
        Adapters::new(&aws, &dynamo, &config.tables, &config.events_queue_url, &config.outbound)?;
    let connectors =
        ConnectorCache::settings_only(ConnectorRepository::new(Arc::clone(&records)), Arc::clone(&clock));
    let lease = SignedDuration::try_from(config.lease).unwrap_or(SignedDuration::from_secs(45));
    let leases = Arc::new(DynamoLeases::new(dynamo.clone(), &config.tables, Arc::clone(&clock), lease));
    let projector = projector(&dynamo, &config.tables, &parking, &clock);
    let sweeper = Sweeper::new(release.clone(), leases, Arc::clone(&clock), again_after(config.visibility));
    warm(&aws, touch_documents(&*records)).await;
    let documents = home.documents;
    let ports = Ports { documents, records, directory, log, parking, queue: Arc::clone(&queue), clock };
    let worker = Arc::new(EventWorker::new(ports, connectors, release, projector));
    Ok(WorkerFunction { worker, sweeper, queue, call_log: calls, dead_letter_arn: config.events_dlq_arn })
}

/// The `bulk-worker` function.
pub async fn bulk_worker() -> Result<BulkFunction> {
    let config = BulkConfig::read(&Environment::new(&variable))?;
    let aws = aws().await;
    let dynamo = aws_sdk_dynamodb::Client::new(&aws);
    let Adapters { clock, records, home, directory, calls, .. } =
        Adapters::new(&aws, &dynamo, &config.tables, &config.events_queue_url, &config.outbound)?;
    let bulk_queue = SqsQueue::new(aws_sdk_sqs::Client::new(&aws), &config.bulk_queue_url);
    let queue: Arc<dyn Queue<BulkMessage>> = Arc::new(bulk_queue);
    let store: Arc<dyn BulkStore> = Arc::new(DynamoBulk::new(dynamo, &config.tables));
    let BulkPace { chunks_per_user: window, chunk_size, records_at_once } = config.pace;
    let maker = maker(&home, records_at_once, &clock);
    let pace = Pace { window, patience: again_after(config.visibility), chunk_size };
    let dispatcher = Dispatcher::new(Arc::clone(&store), Arc::clone(&queue), Arc::clone(&clock), pace);
    let lease = SignedDuration::try_from(config.lease).unwrap_or(SignedDuration::from_secs(45));
    let sweeper = BulkSweeper::new(Arc::clone(&store), dispatcher.clone(), Arc::clone(&clock));
    let worker = ChunkWorker::new(store, maker, dispatcher.clone(), directory, clock, lease);
    warm(&aws, touch_documents(&*records)).await;
    Ok(BulkFunction { worker: Arc::new(worker), dispatcher, sweeper, queue, call_log: calls })
}

/// What makes documents of others, where they live.
fn maker(home: &Home, at_once: Option<usize>, clock: &Arc<dyn Clock>) -> Arc<dyn Maker> {
    let documents = Arc::clone(&home.documents);
    match &home.site {
        Some(site) => {
            let at_once = at_once.unwrap_or(SiteMaker::AT_ONCE);
            Arc::new(SiteMaker::new(Arc::clone(site), documents, at_once))
        }
        None => {
            let at_once = at_once.unwrap_or(BuiltInMaker::AT_ONCE);
            Arc::new(BuiltInMaker::new(documents, Arc::clone(clock), at_once))
        }
    }
}

/// The `document-events` function.
pub async fn document_events() -> Result<StreamFunction> {
    let config = DocumentEventsConfig::read(&Environment::new(&variable))?;
    let aws = aws().await;
    let dynamo = aws_sdk_dynamodb::Client::new(&aws);
    // It reads documents from the stream and writes no log: those tables are none of its business.
    let tables = Tables { documents: String::new(), logs: String::new(), state: config.state_table };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parking: Arc<dyn ParkingLot> = Arc::new(DynamoParking::new(dynamo.clone(), &tables));
    let projector = projector(&dynamo, &tables, &parking, &clock);
    warm(&aws, async { note(parking.get("warm").await) }).await;
    Ok(StreamFunction { projector })
}

/// The `api` function.
pub async fn api() -> Result<Api> {
    let config = ApiConfig::read(&Environment::new(&variable))?;
    let aws = aws().await;
    let dynamo = aws_sdk_dynamodb::Client::new(&aws);
    let Adapters { clock, records, home, directory, log, calls, governor, parking, release, .. } =
        Adapters::new(&aws, &dynamo, &config.tables, &config.events_queue_url, &config.outbound)?;
    let secrets: Arc<dyn SecretStore> =
        Arc::new(SecretsManager::new(aws_sdk_secretsmanager::Client::new(&aws)));
    let keys = Arc::new(ApiKeys::new(
        secrets,
        config.admin_api_key_id,
        Arc::clone(&records),
        Arc::clone(&directory),
        Arc::clone(&clock),
    ));
    let accounts = Accounts::new(Arc::clone(&records), Arc::clone(&directory));
    let keyring =
        Keyring::new(Arc::clone(&records), Arc::clone(&directory), Arc::clone(&keys), Arc::clone(&clock));
    let replay = Replay::new(release.clone(), Arc::clone(&log));
    let discard = Discard::new(Arc::clone(&parking), Arc::clone(&log), Arc::clone(&clock));
    let connectors = ConnectorRepository::new(Arc::clone(&records));
    warm(&aws, async {
        let ((), key) = tokio::join!(touch_documents(&*records), keys.prefetch());
        note(key);
    })
    .await;
    let counters = Arc::new(DynamoCounters::new(dynamo.clone(), &config.tables));
    let limiter = Arc::new(RateLimiter::new(config.rate_limits, counters, Arc::clone(&clock)));
    let failed_authentications = FailedAuthentications::new(
        Arc::clone(&limiter),
        Arc::clone(&clock),
        config.limit_failed_authentication,
    );
    let guard = Guard { keys, limiter, failed_authentications };
    let models: Arc<dyn ReadModels> =
        Arc::new(DynamoReadModels::new(dynamo.clone(), &config.tables, Arc::clone(&clock)));
    let read_models = config.outbound.erpnext.is_none().then(|| Queries {
        items: ItemSearch::new(Arc::clone(&models), records, Arc::clone(&clock)),
        sales: SalesReport::new(models, Arc::clone(&clock)),
    });
    let bulk = BulkTransactions::new(
        Arc::new(DynamoBulk::new(dynamo.clone(), &config.tables)),
        // The same pairs are made in the built-in store and on a site.
        Mapping::targets,
        Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&aws), &config.bulk_queue_url)),
        Arc::clone(&clock),
        config.bulk_chunk_size,
    );
    let shared_cache = Arc::new(DynamoCache::new(dynamo, &config.tables));
    let services = Services {
        connectors,
        directory,
        accounts,
        keyring,
        log,
        calls: calls.clone(),
        call_log: calls,
        governor,
        parking,
        release,
        replay,
        discard,
        bulk,
        read_models,
        cache: Cache::new(shared_cache, Arc::clone(&clock)),
        documents: home.documents,
        clock,
        public_url: config.public_url,
    };
    Api::new(services, guard)
}
