//! The store in an ERPNext site, against a server that behaves as one.

mod exactly_once;
mod lists;
mod reads;
mod unprepared;

use std::sync::Arc;

use erpnext_site::{DocType as SiteDocType, Field, Kind, Site as Server, SiteOptions, hub};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{super::contract, *};
use crate::{
    clock::ManualClock,
    documents::{Applied, Change, DocStatus, Fields, Series, Target, Write, contract::NAMED},
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

    pub async fn status(&self, event: &str) -> Option<EventStatus> {
        self.log.get(event).await.unwrap().map(|entry| entry.status)
    }
}

/// A client that gives up after a second and tries twice.
fn site(server: &Server, clock: Arc<ManualClock>, seed: u64) -> Site {
    let mut policy =
        OutboundPolicy { timeout_seconds: 1, connect_timeout_seconds: 1, ..OutboundPolicy::default() };
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
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_a_site_that_is_not_prepared_keeps_what_needs_no_mark() {
    let rig = Rig::unprepared().await;
    contract::check_documents(&*rig.store, &|by| rig.advance(by)).await;
}
