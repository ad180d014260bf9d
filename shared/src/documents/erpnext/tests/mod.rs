//! The store in an ERPNext site, against a server that behaves as one.

mod at_random;
mod cost;
mod exactly_once;
mod lists;
mod unprepared;
mod worker;
mod writes;

use std::{sync::Arc, time::Duration};

use erpnext_site::{
    Answer, DocType as SiteDocType, Effect as Fate, Fault, Meanwhile, Site as Server, SiteOptions, hub,
};
use futures::StreamExt;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{super::contract, *};
use crate::{
    clock::ManualClock,
    documents::{Applied, Change, DocStatus, Fields, Stored, Target, Write, contract::NAMED},
    erpnext::{SiteConfig, credentials::FixedToken},
    integration_log::{EventStatus, IntegrationLog, dynamo::DynamoLog},
    outbound::{
        Governor, Outbound, OutboundPolicy, address::Exceptions, call_log::NoCallLog,
        transport::reqwest::ReqwestTransport,
    },
    testing::{Dynamo, start},
};

/// The DocTypes that events write to.
pub const DOCTYPES: [&str; 2] = ["Sales Order", "Contract Note"];

/// A store, its site and its tables.
pub struct Rig {
    pub server: Server,
    pub store: Arc<ErpnextDocuments>,
    pub site: Arc<Site>,
    pub log: DynamoLog,
    pub clock: Arc<ManualClock>,
    pub dynamo: Dynamo,
}

impl Rig {
    /// A store in a site whose DocTypes are prepared.
    pub async fn prepared() -> Self {
        Self::with(SiteOptions::default().prepared(NAMED).prepared(DOCTYPES)).await
    }

    /// A store in a site that nobody prepared.
    pub async fn unprepared() -> Self {
        Self::with(SiteOptions::default()).await
    }

    pub async fn with(options: SiteOptions) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let options =
            NAMED.into_iter().fold(options, |options, name| options.with(SiteDocType::prompt(name)));
        let server = Server::start(options).unwrap();
        server.stop_time_at(start());
        let site = Arc::new(site(&server, clock.clone(), 0));
        let tables = dynamo.tables.clone();
        let store = ErpnextDocuments::new(site.clone(), dynamo.client.clone(), tables.clone(), clock.clone());
        let log = DynamoLog::new(dynamo.client.clone(), tables, clock.clone());
        Self { server, store: Arc::new(store), site, log, clock, dynamo }
    }

    /// Another instance of the same.
    pub fn another(&self) -> ErpnextDocuments {
        let site = Arc::new(site(&self.server, self.clock.clone(), 1));
        let (client, tables) = (self.dynamo.client.clone(), self.dynamo.tables.clone());
        ErpnextDocuments::new(site, client, tables, self.clock.clone())
    }

    /// Moves the time of all.
    pub fn advance(&self, by: SignedDuration) {
        self.clock.advance(by);
        self.server.advance(by);
    }

    /// Commits `write` as the effect of nothing, and returns the document.
    pub async fn write(&self, write: Write) -> Document {
        contract::only(self.store.commit(Commit::of(write)).await.unwrap())
    }

    /// What is under `name` of the DocType of notes.
    pub async fn note(&self, name: &str) -> Option<Stored> {
        self.store.read(&contract::key(name)).await.unwrap()
    }

    pub async fn status(&self, event: &str) -> Option<EventStatus> {
        self.log.get(event).await.unwrap().map(|entry| entry.status)
    }
}

/// How long the client of a site waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than that.
pub const TOO_LONG: Duration = Duration::from_millis(2_500);

/// A client that tries twice.
pub fn site(server: &Server, clock: Arc<ManualClock>, seed: u64) -> Site {
    let seconds = u32::try_from(TIMEOUT.as_secs()).unwrap();
    let mut policy = OutboundPolicy {
        timeout_seconds: seconds,
        connect_timeout_seconds: seconds,
        ..OutboundPolicy::default()
    };
    policy.retry.attempts = 2;
    policy.retry.base_milliseconds = 1;
    let transport = ReqwestTransport::new(Exceptions::parse("127.0.0.0/8").unwrap()).unwrap();
    let outbound = Outbound::new(
        Arc::new(transport),
        Arc::new(Governor::unlimited(clock.clone())),
        Arc::new(NoCallLog),
        clock.clone(),
    )
    .with_random(fastrand::Rng::with_seed(seed));
    let user = hub();
    let token = FixedToken::new(&user.key, &user.secret).unwrap();
    let config = SiteConfig::new(&server.url()).unwrap();
    Site::new(config, Arc::new(token), Arc::new(outbound), Arc::new(policy), clock)
}

/// Everything that may become of a request, by a name for messages.
pub fn fates() -> Vec<(&'static str, Fate)> {
    let garbage = || Answer::text(200, "text/html", "<html>logged in</html>");
    let late = Duration::from_millis(300);
    vec![
        ("answers too late to be heard", Fate::DelayAnswer(TOO_LONG)),
        ("begins too late to be heard", Fate::DelayBefore(TOO_LONG)),
        ("is in a long transaction", Fate::HoldCommit(late)),
        ("commits after the connection closed", Fate::LateCommit(late, Meanwhile::Drop)),
        ("commits after a proxy gave up", Fate::LateCommit(late, Meanwhile::Answer(Answer::proxy(504)))),
        ("is not reached", Fate::DropBefore),
        ("closes without an answer", Fate::DropAfter),
        ("closes in its answer", Fate::DropMidBody),
        ("is not there for the proxy", Fate::Answer(Answer::proxy(502))),
        ("answers, and the proxy does not", Fate::AnswerAfter(Answer::proxy(502))),
        ("answers nonsense and does nothing", Fate::Answer(garbage())),
        ("answers nonsense after the work", Fate::AnswerAfter(garbage())),
        ("has enough of us", Fate::Limited(2)),
        ("is in maintenance", Fate::Maintenance),
        ("waits for a lock", Fate::LockWait),
        ("never ends its answer", Fate::Flood(u64::MAX)),
        ("drips", Fate::Drip(Duration::from_millis(400))),
    ]
}

/// Checks each fate, a few at a time: what runs this has time limits to keep.
pub async fn each_fate<F: Future<Output = ()>>(check: impl Fn(&'static str, Fate) -> F) {
    let checks = fates().into_iter().map(|(name, fate)| check(name, fate));
    futures::stream::iter(checks).buffer_unordered(6).collect::<Vec<()>>().await;
}

/// Delivers an event until it has ended: each time another instance reads what is under `key` and commits what `plan`
/// makes of it. Minutes lie between.
pub async fn deliver(rig: &Rig, key: &DocumentKey, plan: &(dyn Fn(Option<&Stored>) -> Commit + Sync)) {
    for _ in 0..8 {
        let store = rig.another();
        let done = async {
            let stored = store.read(key).await?;
            store.commit(plan(stored.as_ref())).await
        };
        match done.await {
            Ok(Committed::Now(_) | Committed::Before) => return,
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        rig.advance(SignedDuration::from_mins(3));
    }
    panic!("the event does not end");
}

/// Waits for what commits late, and has nothing go wrong any more.
pub async fn settle(rig: &Rig) {
    rig.server.clear_faults();
    tokio::time::sleep(TOO_LONG.saturating_sub(TIMEOUT) + Duration::from_millis(200)).await;
}

/// The commit of the event `id` that adds the row of its name to the note that is `stored`.
pub fn row(id: &str, stored: Option<&Stored>) -> Commit {
    let Some(Stored::Live(note)) = stored else { panic!("the note is there") };
    let mut fields = note.fields.clone();
    let rows = fields.entry("rows").or_insert_with(|| json!([]));
    rows.as_array_mut().unwrap().push(json!({ "event": id }));
    let change = Change::Put { fields, docstatus: note.docstatus };
    let target = Target::Named(note.key.clone());
    contract::of_event(id, Write::over(target, stored, change, note.applied.clone(), "kim"))
}

/// The events whose rows the note `name` has.
pub fn rows(rig: &Rig, name: &str) -> Vec<String> {
    let note = rig.server.document("Contract Note", name).unwrap();
    let rows = note.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
    rows.iter().map(|row| row["event"].as_str().unwrap().to_owned()).collect()
}

/// The one write of a new Sales Order with this number.
pub fn order(po: &str) -> Write {
    let value = json!({ "po_no": po });
    let Value::Object(more) = value else { panic!("an object") };
    let mut write = contract::by_series("SAL-ORD-.YYYY.-", 1);
    if let Change::Put { fields, .. } = &mut write.change {
        fields.extend(more);
    }
    write.applied = Applied::from([("shop".to_owned(), start())]);
    write
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_a_prepared_site_keeps_the_contract() {
    let rig = Rig::prepared().await;
    contract::check(&*rig.store, &|by| rig.advance(by)).await;
    contract::works::check(&*rig.store, &|by| rig.advance(by), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_a_site_that_is_not_prepared_keeps_what_needs_no_mark() {
    let rig = Rig::unprepared().await;
    contract::check_documents(&*rig.store, &|by| rig.advance(by)).await;
    contract::works::check(&*rig.store, &|by| rig.advance(by), false).await;
}
