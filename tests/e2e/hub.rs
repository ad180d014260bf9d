//! What a trial works with: the running hub from outside, as providers, clients and administrators see it.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use erpnext_site::Site;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    aws::Aws,
    client::{Answer, Client},
    dynamodb::Proxy,
    signing::{Headers, hex, sign},
    stack::Stack,
    wait::wait_for,
};

/// How long an event may take to settle: a worker that dies hides its messages for 12 s, perhaps more than once.
pub const SETTLE: Duration = Duration::from_secs(60);
/// The statuses after which nothing happens by itself.
const SETTLED: [&str; 6] = ["done", "superseded", "ignored", "rejected", "split", "dead"];

/// A hub.
pub struct Hub {
    /// What it runs on.
    pub stack: Stack,
    /// Its AWS.
    pub aws: Aws,
    client: Client,
    site: Option<Site>,
    dynamodb: Option<Proxy>,
    /// Every key and signature that was sent: none of them may be in a log.
    sent: Mutex<BTreeSet<String>>,
}

/// The secret that is kept under `reference`, the same in every run.
pub fn secret(reference: &str) -> String {
    hex(&Sha256::digest(reference))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Hub {
    /// The hub on `stack`, its documents in the built-in store.
    pub fn new(stack: Stack) -> Self {
        let aws = Aws::new(stack.variables.clone());
        Self { stack, aws, client: Client::new(), site: None, dynamodb: None, sent: Mutex::default() }
    }

    /// The hub on `stack`, its documents on `site`.
    pub fn on(stack: Stack, site: Site) -> Self {
        Self { site: Some(site), ..Self::new(stack) }
    }

    /// The hub on `stack`, whose DynamoDB is behind `dynamodb`.
    pub fn behind(stack: Stack, dynamodb: Proxy) -> Self {
        Self { dynamodb: Some(dynamodb), ..Self::new(stack) }
    }

    /// What its DynamoDB is behind.
    pub fn dynamodb(&self) -> &Proxy {
        self.dynamodb.as_ref().expect("the trial is one of those with faults")
    }

    /// The ERPNext site that its documents live on.
    pub fn site(&self) -> &Site {
        self.site.as_ref().expect("the trial is one of those on a site")
    }

    /// Gives each of `connectors` the secrets it may name: `current`, `previous`, and `own` for one event.
    pub fn prepare<'a>(&self, connectors: impl Iterator<Item = &'a str>) {
        let references =
            connectors.flat_map(|name| ["current", "previous", "own"].map(|kind| format!("{name}/{kind}")));
        self.aws.add_webhook_secrets(references.map(|reference| {
            let secret = secret(&reference);
            (reference, secret)
        }));
    }

    /// Calls the API as its administrator. `path` begins with `/` and is percent-encoded.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.api_with_key(method, path, body, Some(self.stack.variables.get("API_KEY")))
    }

    /// Calls the API with `key`, or without one.
    pub fn api_with_key(&self, method: &str, path: &str, body: Option<&Value>, key: Option<&str>) -> Answer {
        let headers: Vec<_> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
        self.ask(method, path, &headers, body)
    }

    /// Calls the API with exactly these headers, and a body that is JSON.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let named = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut headers: Headers = headers.iter().map(named).collect();
        self.sent.lock().unwrap().extend(headers.iter().map(|(_, value)| value.clone()));
        headers.extend(body.map(|_| ("Content-Type".to_owned(), "application/json".to_owned())));
        let body = body.map(Value::to_string).unwrap_or_default();
        self.client.send(method, &self.url(path), &headers, body.as_bytes()).unwrap()
    }

    /// Posts a webhook with exactly these headers.
    pub fn post(&self, path: &str, headers: &Headers, body: &[u8]) -> Answer {
        self.try_post(path, headers, body).unwrap()
    }

    /// The same; an error where nobody answers.
    pub fn try_post(&self, path: &str, headers: &Headers, body: &[u8]) -> Result<Answer, String> {
        self.sent.lock().unwrap().extend(headers.iter().map(|(_, value)| value.clone()));
        self.client.send("POST", &self.url(path), headers, body)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stack.variables.get("API_URL"))
    }

    /// Every header value that a webhook or a request to the API was sent with.
    pub fn header_values(&self) -> BTreeSet<String> {
        self.sent.lock().unwrap().clone()
    }

    /// The connector `name` with settings that are `changes` over what is usual here: Frappe's scheme, events
    /// named by the URL, versions by `modified`.
    #[track_caller]
    pub fn connector(&self, name: &str, changes: Value) -> Connector<'_> {
        let usual = json!({
            "user": "integrations@causeway",
            "scheme": { "type": "frappe" },
            "secrets": [{ "name": "current", "reference": format!("{name}/current") }],
            "identity": { "by": "frappe" },
            "version": { "path": "/modified", "time_zone": "UTC" },
            "retry": { "delays_seconds": [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5] },
            "rules": [],
        });
        let (Value::Object(mut settings), Value::Object(changes)) = (usual, changes) else {
            panic!("settings are objects")
        };
        settings.extend(changes);
        let connector = Connector { hub: self, name: name.to_owned(), settings: Mutex::new(settings) };
        connector.put(Value::Object(Map::new()));
        connector
    }

    /// A connector of `local/connectors`, which the stack was seeded with.
    pub fn seeded(&self, name: &str) -> Connector<'_> {
        let settings = self.api("GET", &format!("/v2/connectors/{name}"), None).data(200).clone();
        let settings = settings.as_object().unwrap().clone();
        Connector { hub: self, name: name.to_owned(), settings: Mutex::new(settings) }
    }

    /// The event's log entry; `None` before a worker has looked at it.
    pub fn entry(&self, id: &str) -> Option<Value> {
        let answer = self.api("GET", &format!("/v2/integration-logs/{id}"), None);
        (answer.status != 404).then(|| answer.data(200).clone())
    }

    /// The event's log entry once its status is `status`. An event that settles otherwise ends the trial at once.
    #[track_caller]
    pub fn wait_until(&self, id: &str, status: &str) -> Value {
        wait_for(&format!("{id} to be {status}"), SETTLE, || match self.entry(id) {
            Some(entry) if entry["status"] == status => Ok(entry),
            Some(entry) if SETTLED.contains(&entry["status"].as_str().unwrap_or_default()) => {
                panic!("{id} was to be {status}: {entry}")
            }
            Some(entry) => Err(entry.to_string()),
            None => Err("no log entry".to_owned()),
        })
    }

    /// What is parked under the event's id.
    pub fn parked(&self, id: &str) -> Answer {
        self.api("GET", &format!("/v2/parked/{id}"), None)
    }

    /// A document, or the problem that it is not there.
    pub fn document(&self, doctype: &str, name: &str) -> Answer {
        self.api("GET", &format!("/v2/documents/{}/{}", encode(doctype), encode(name)), None)
    }

    /// All pages of a list, `limit` items each.
    #[track_caller]
    pub fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit={limit}");
        let (mut items, mut next) = (Vec::new(), first.clone());
        loop {
            let answer = self.api("GET", &next, None);
            let page = answer.data(200).as_array().unwrap();
            assert!(page.len() <= limit, "{next}: a page of {} items", page.len());
            items.extend(page.iter().cloned());
            match answer.body["page"]["next"].as_str() {
                Some(cursor) => next = format!("{first}&cursor={}", encode(cursor)),
                None => return items,
            }
        }
    }

    /// Waits until both queues are empty.
    #[track_caller]
    pub fn wait_until_queues_are_empty(&self) {
        wait_for("the queues to be empty", SETTLE, || match self.aws.messages_on_queues() {
            0 => Ok(()),
            messages => Err(format!("{messages} messages")),
        });
    }
}

/// Percent-encodes whatever is not a letter or digit.
pub fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    encoded.collect()
}

/// A connector that a trial sends webhooks through.
pub struct Connector<'a> {
    /// Where it is.
    pub hub: &'a Hub,
    /// Its name.
    pub name: String,
    settings: Mutex<Map<String, Value>>,
}

impl Connector<'_> {
    /// Changes its settings.
    #[track_caller]
    pub fn put(&self, changes: Value) {
        let Value::Object(changes) = changes else { panic!("settings are objects") };
        let mut settings = self.settings.lock().unwrap();
        settings.extend(changes);
        let answer =
            self.hub.api("PUT", &format!("/v2/connectors/{}", self.name), Some(&settings.clone().into()));
        assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.question, answer.body);
    }

    /// How it is signed.
    pub fn scheme(&self) -> Value {
        self.settings.lock().unwrap()["scheme"].clone()
    }

    /// Where its webhooks go.
    pub fn path(&self, event: Option<&str>) -> String {
        let event = event.map(|event| format!("/{}", encode(event))).unwrap_or_default();
        format!("/webhooks/{}{event}", self.name)
    }

    /// The headers that its current secret signs `body` with.
    pub fn signed(&self, body: &[u8]) -> Headers {
        self.signed_by("current", body)
    }

    /// The headers that one of its secrets signs `body` with.
    pub fn signed_by(&self, kind: &str, body: &[u8]) -> Headers {
        let secret = secret(&format!("{}/{kind}", self.name));
        sign(&self.scheme(), &secret, body, now(), &format!("msg_{}", hex(&Sha256::digest(body))))
    }

    /// Delivers a signed body.
    pub fn deliver(&self, event: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.hub.post(&self.path(Some(event)), &self.signed(body.as_bytes()), body.as_bytes())
    }

    /// Delivers a signed body, which must be accepted, and returns the event's id.
    #[track_caller]
    pub fn accept(&self, event: &str, body: &Value) -> String {
        event_id(&self.deliver(event, body))
    }

    /// Delivers a signed body and waits until its event is `status`.
    #[track_caller]
    pub fn settle(&self, event: &str, body: &Value, status: &str) -> Value {
        let id = self.accept(event, body);
        self.hub.wait_until(&id, status)
    }

    /// Its log entries of `status`, all of them.
    #[track_caller]
    pub fn log(&self, filter: &str) -> Vec<Value> {
        self.hub.all(&format!("/v2/integration-logs?connector={}{filter}", self.name), 500)
    }

    /// Its parked events.
    #[track_caller]
    pub fn parked(&self) -> Vec<Value> {
        self.hub.all(&format!("/v2/parked?connector={}", self.name), 500)
    }
}

/// The id of the event in an answer that accepts it.
#[track_caller]
pub fn event_id(answer: &Answer) -> String {
    let id = answer.data(202)["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("evt_"), "{id}");
    id
}

/// A rule that mirrors documents of `doctype` for every event that `event` fits.
pub fn mirror(event: &str, doctype: &str) -> Value {
    json!({
        "event": event,
        "effect": {
            "action": "upsert",
            "doctype": doctype,
            "name": "/name",
            "docstatus": "/docstatus",
            "mapping": { "copy": ["customer", "grand_total"] },
        },
    })
}

/// A rule that deletes documents of `doctype`.
pub fn delete(event: &str, doctype: &str) -> Value {
    json!({ "event": event, "effect": { "action": "delete", "doctype": doctype, "name": "/name" } })
}

/// The body of a Sales Order as ERPNext sends it, at a second of a fixed minute.
pub fn order(name: &str, docstatus: u8, second: u8, total: f64) -> Value {
    json!({
        "name": name,
        "docstatus": docstatus,
        "modified": format!("2026-11-22 19:12:{second:02}.000000"),
        "customer": "Hub Customer 0",
        "grand_total": total,
    })
}
