//! For tests: the whole API over in-process DynamoDB, and requests as API Gateway hands them on.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Api, Guard, Services};
use crate::{
    auth::{Accounts, ApiKeys, Keyring},
    clock::Clock,
    connectors::ConnectorRepository,
    parking::{Discard, Replay},
    rate_limit::{FailedAuthentications, Limits, RateLimiter, dynamo::DynamoCounters},
    testing::{MemorySecrets, Rig, request, settings},
    trigger::http::{HttpFunction, Request, Response},
};

/// The API over in-process DynamoDB.
pub struct Site {
    pub api: Api,
    pub rig: Rig,
}

/// The administrator's key, as Frappe's clients send it.
pub const TOKEN: &str = "token key_admin:s3cret";

impl Site {
    pub async fn start() -> Self {
        Self::limited(Limits::default(), false).await
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
        let services = Services {
            connectors: ConnectorRepository::new(documents.clone()),
            accounts: Accounts::new(documents.clone(), directory.clone()),
            keyring: Keyring::new(documents.clone(), directory.clone(), keys, clock.clone()),
            directory,
            documents,
            log: rig.ports.log.clone(),
            parking: rig.ports.parking.clone(),
            release: rig.release.clone(),
            replay: Replay::new(rig.release.clone(), rig.ports.log.clone()),
            discard: Discard::new(rig.ports.parking.clone(), rig.ports.log.clone(), clock.clone()),
            clock,
            public_url: None,
        };
        Self { api: Api::new(services, guard).unwrap(), rig }
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
