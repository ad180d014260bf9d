//! For tests: the whole API over in-process DynamoDB, and requests as API Gateway hands them on.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Api, Guard, Queries, Services};
use crate::{
    auth::{Accounts, ApiKeys, Keyring},
    bulk::{BulkMessage, BulkTransactions, dynamo::DynamoBulk},
    cache::{Cache, dynamo::DynamoCache},
    clock::Clock,
    connectors::ConnectorRepository,
    erpnext::mapper::Mapping,
    outbound::{Governor, call_log::dynamo::DynamoCallLog, governor::dynamo::DynamoGovernor},
    parking::{Discard, Replay},
    projections::{dynamo::DynamoReadModels, items::ItemSearch, sales::SalesReport},
    rate_limit::{FailedAuthentications, Limits, RateLimiter, dynamo::DynamoCounters},
    testing::{MemoryQueue, MemorySecrets, Rig, request, settings},
    trigger::http::{HttpFunction, Request, Response},
};

/// The API over in-process DynamoDB.
pub struct Site {
    pub api: Api,
    pub rig: Rig,
    /// Where bulk transactions begin.
    pub bulk_queue: Arc<MemoryQueue<BulkMessage>>,
}

/// Records of a bulk transaction that are worked on together.
pub const CHUNK: usize = 3;

/// The administrator's key, as Frappe's clients send it.
pub const TOKEN: &str = "token key_admin:s3cret";

impl Site {
    pub async fn start() -> Self {
        Self::limited(Limits::default(), false).await
    }

    /// As where documents live on a site of their own.
    pub async fn without_read_models() -> Self {
        let mut site = Self::start().await;
        site.api.services.read_models = None;
        site
    }

    /// With these limits, and the limit on failed authentication or without it.
    pub async fn limited(limits: Limits, failed_authentication: bool) -> Self {
        let rig = Rig::new(&settings(json!({}))).await;
        let secrets = MemorySecrets::default();
        secrets.texts.lock().unwrap().insert("admin".into(), "s3cret".into());
        let clock: Arc<dyn Clock> = rig.clock.clone();
        let counters = Arc::new(DynamoCounters::new(rig.dynamo.client.clone(), &rig.dynamo.tables));
        let limiter = Arc::new(RateLimiter::new(limits, counters, clock.clone()));
        let (documents, directory) = (rig.ports.documents.clone(), rig.ports.directory.clone());
        let secrets = Arc::new(secrets);
        let keys = ApiKeys::new(secrets, "admin".into(), documents.clone(), directory.clone(), clock.clone());
        let keys = Arc::new(keys);
        let guard = Guard {
            keys: keys.clone(),
            limiter: limiter.clone(),
            failed_authentications: FailedAuthentications::new(limiter, clock.clone(), failed_authentication),
        };
        let models =
            Arc::new(DynamoReadModels::new(rig.dynamo.client.clone(), &rig.dynamo.tables, clock.clone()));
        let calls = Arc::new(DynamoCallLog::new(rig.dynamo.client.clone(), "logs", clock.clone()));
        let bulk_queue = Arc::new(MemoryQueue::default());
        let bulk = BulkTransactions::new(
            Arc::new(DynamoBulk::new(rig.dynamo.client.clone(), &rig.dynamo.tables)),
            Mapping::targets,
            bulk_queue.clone(),
            clock.clone(),
            CHUNK,
        );
        let services = Services {
            bulk,
            connectors: ConnectorRepository::new(documents.clone()),
            accounts: Accounts::new(documents.clone(), directory.clone()),
            keyring: Keyring::new(documents.clone(), directory.clone(), keys, clock.clone()),
            directory,
            documents,
            log: rig.ports.log.clone(),
            calls: calls.clone(),
            call_log: calls,
            governor: Arc::new(Governor::new(
                Arc::new(DynamoGovernor::new(rig.dynamo.client.clone(), &rig.dynamo.tables)),
                clock.clone(),
            )),
            parking: rig.ports.parking.clone(),
            release: rig.release.clone(),
            replay: Replay::new(rig.release.clone(), rig.ports.log.clone()),
            discard: Discard::new(rig.ports.parking.clone(), rig.ports.log.clone(), clock.clone()),
            read_models: Some(Queries {
                items: ItemSearch::new(models.clone(), rig.ports.records.clone(), clock.clone()),
                sales: SalesReport::new(models, clock.clone()),
            }),
            cache: Cache::new(
                Arc::new(DynamoCache::new(rig.dynamo.client.clone(), &rig.dynamo.tables)),
                clock.clone(),
            ),
            clock,
            public_url: None,
        };
        Self { api: Api::new(services, guard).unwrap(), rig, bulk_queue }
    }

    /// GET, as the administrator.
    pub async fn get(&self, path_and_query: &str) -> Response {
        self.send(asked("GET", path_and_query, Some(TOKEN), None)).await
    }

    pub async fn send(&self, request: Request) -> Response {
        self.api.handle(&request).await
    }
}

/// A request as API Gateway hands it on.
pub fn asked(method: &str, path_and_query: &str, token: Option<&str>, json: Option<&Value>) -> Request {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut request = request(method, path);
    request.query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if let Some(token) = token {
        request.headers.insert("authorization", token.parse().unwrap());
    }
    if let Some(json) = json {
        request.headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
        request.body = Ok(json.to_string().into_bytes());
    }
    request
}

#[tokio::test]
async fn an_answer_says_what_is_left_and_a_refusal_when_to_come_back() {
    let limits = Limits::parse(r#"{"admin": {"limit": 2, "window_seconds": 60, "burst": 2}}"#).unwrap();
    let site = Site::limited(limits, false).await;
    let first = site.get("/v2/connectors").await;
    assert_eq!(first.status.as_u16(), 200);
    assert!(first.headers["ratelimit-policy"].to_str().unwrap().contains("q=2;w=60"), "{:?}", first.headers);
    assert!(first.headers["ratelimit"].to_str().unwrap().contains("r=1"), "{:?}", first.headers);
    site.get("/v2/connectors").await;
    let refused = site.get("/v2/connectors").await;
    assert_eq!(refused.status.as_u16(), 429);
    assert_eq!(refused.body["code"], "rate_limited");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(site.get("/v2/parked").await.status.as_u16(), 200, "another class has its own limit");
}

#[tokio::test]
async fn an_address_that_guesses_keys_is_refused_after_a_while() {
    let site = Site::limited(Limits::default(), true).await;
    let guess = || {
        let mut request = asked("GET", "/v2/parked", Some("token key_admin:guess"), None);
        request.source_address = Some("203.0.113.9".into());
        request
    };
    let mut statuses = Vec::new();
    for _ in 0..22 {
        statuses.push(site.send(guess()).await.status.as_u16());
    }
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[21], 429);
    let mut elsewhere = guess();
    elsewhere.source_address = Some("203.0.113.10".into());
    assert_eq!(site.send(elsewhere).await.status.as_u16(), 401);
}

/// Creates a document, and has the read models follow it.
pub async fn follow(site: &Site, doctype: &str, name: &str, fields: Value) {
    let path = format!("/v2/documents/{doctype}");
    let mut body = fields;
    body["name"] = name.into();
    let answer = site.send(asked("POST", &path, Some(TOKEN), Some(&body))).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.body);
    let key = crate::documents::DocumentKey::new(doctype.replace("%20", " "), name).unwrap();
    let stored = site.rig.ports.documents.read(&key).await.unwrap().unwrap();
    let clock: Arc<dyn Clock> = site.rig.clock.clone();
    let record =
        crate::projections::batch::Record { sequence: "1".into(), document: key, stored: Ok(stored) };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    crate::projections::batch::follow(&site.rig.dynamo.projector(&clock), vec![record], deadline)
        .await
        .unwrap();
}

fn invoice(total: &str) -> Value {
    json!({
        "company": "Hub", "customer": "Nord", "posting_date": "2026-11-05", "docstatus": 1,
        "base_grand_total": serde_json::from_str::<Value>(total).unwrap(),
    })
}

#[tokio::test]
async fn a_report_is_kept_until_an_invoice_changes_and_says_what_is_known_already() {
    let site = Site::start().await;
    let path = "/v2/reports/sales?company=Hub&from_date=2026-11-01&to_date=2026-11-30";
    follow(&site, "Sales%20Invoice", "I-1", invoice("100.10")).await;
    let first = site.get(path).await;
    assert_eq!(first.body["data"]["totals"]["total"].to_string(), "100.1");
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let mut again = asked("GET", path, Some(TOKEN), None);
    again.headers.insert("if-none-match", tag.parse().unwrap());
    let again = site.send(again).await;
    assert_eq!((again.status.as_u16(), &again.body), (304, &Value::Null));
    assert_eq!(again.headers["etag"], tag.as_str());

    follow(&site, "Sales%20Invoice", "I-2", invoice("0.05")).await;
    site.rig.clock.advance(jiff::SignedDuration::from_secs(6));
    let changed = site.get(path).await;
    assert_eq!(changed.body["data"]["totals"]["total"].to_string(), "100.15");
    assert_eq!(changed.body["data"]["by_customer"][0]["invoices"], 2);
    assert_ne!(changed.headers["etag"], tag.as_str());
}

#[tokio::test]
async fn where_no_read_model_follows_the_documents_its_routes_say_so() {
    let site = Site::without_read_models().await;
    for path in [
        "/v2/items",
        "/v2/reports/sales?company=Hub&from_date=2026-11-01",
        "/api/method/erpnext.selling.page.point_of_sale.point_of_sale.get_items?start=0&page_length=5",
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status.as_u16(), if path.starts_with("/v2") { 422 } else { 417 }, "{path}");
        assert!(answer.body.to_string().contains("ERPNext site"), "{path}: {}", answer.body);
    }
    assert_eq!(
        site.get("/v2/documents/Item").await.status.as_u16(),
        200,
        "documents can be listed all the same"
    );
}

#[tokio::test]
async fn items_are_found_with_their_prices_and_what_there_is_of_them() {
    let site = Site::start().await;
    let item =
        json!({ "item_code": "LAP-1", "item_name": "Laptop", "item_group": "Tools", "stock_uom": "Nos" });
    follow(&site, "Item", "LAP-1", item).await;
    let price =
        json!({ "item_code": "LAP-1", "price_list": "Retail", "price_list_rate": 999.90, "selling": 1 });
    follow(&site, "Item%20Price", "IP-1", price).await;
    let found = site.get("/v2/items?search_term=lap&price_list=Retail").await;
    assert_eq!(found.body["data"][0]["item_code"], "LAP-1", "{}", found.body);
    assert_eq!(found.body["data"][0]["price_list_rate"].to_string(), "999.9");
    assert_eq!(found.headers["vary"], "Authorization, X-API-Key", "a client keeps it for one key");
    let nothing = site.get("/v2/items?search_term=zzz").await;
    assert_eq!(nothing.body, json!({ "data": [], "page": { "next": null } }));
    assert_eq!(site.get("/v2/items?search_term=z").await.body["errors"][0]["field"], "search_term");
}
