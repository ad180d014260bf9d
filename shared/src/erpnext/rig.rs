//! For tests: a site that behaves as ERPNext, and our client of it over the real network.

use std::sync::Arc;

use erpnext_site::SiteOptions;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Authorise, Map, Site, SiteConfig, credentials::FixedToken};
use crate::{
    clock::{Clock, ManualClock},
    outbound::{
        Governor, Outbound, OutboundPolicy, address::Exceptions, call_log::NoCallLog,
        transport::reqwest::ReqwestTransport,
    },
    testing::start,
};

/// A site, and a client of it.
pub(super) struct Rig {
    pub site: erpnext_site::Site,
    pub client: Site,
    pub clock: Arc<ManualClock>,
}

impl Rig {
    /// Calls as the hub's user.
    pub fn start(options: SiteOptions) -> Self {
        Self::start_as(options, &erpnext_site::hub())
    }

    /// Calls as `user`.
    pub fn start_as(options: SiteOptions, user: &erpnext_site::User) -> Self {
        let credentials = Arc::new(FixedToken::new(&user.key, &user.secret).unwrap());
        let (site, clock) = (erpnext_site::Site::start(options).unwrap(), Arc::new(ManualClock::at(start())));
        let client = client(&site, credentials, &clock);
        Self { site, client, clock }
    }
}

/// A client of `site`.
pub(super) fn client(
    site: &erpnext_site::Site,
    credentials: Arc<dyn Authorise>,
    clock: &Arc<ManualClock>,
) -> Site {
    Site::new(config(site), credentials, outbound(clock), Arc::new(quick()), clock.clone())
}

/// Where `site` is.
pub(super) fn config(site: &erpnext_site::Site) -> SiteConfig {
    SiteConfig::new(&site.url()).unwrap()
}

/// The way out, to this machine too.
pub(super) fn outbound(clock: &Arc<ManualClock>) -> Arc<Outbound> {
    let time: Arc<dyn Clock> = clock.clone();
    let transport = ReqwestTransport::new(Exceptions::parse("127.0.0.0/8").unwrap()).unwrap();
    let governor = Arc::new(Governor::unlimited(time.clone()));
    Arc::new(Outbound::new(Arc::new(transport), governor, Arc::new(NoCallLog), time))
}

/// A policy under which tests need not wait.
pub(super) fn quick() -> OutboundPolicy {
    let mut policy = OutboundPolicy { timeout_seconds: 2, ..OutboundPolicy::default() };
    policy.retry.base_milliseconds = 10;
    policy
}

/// An object.
pub(super) fn map(value: Value) -> Map {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

/// A Sales Order that the site takes.
pub(super) fn sales_order() -> Map {
    map(json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co", "delivery_date": "2026-11-30",
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10, "delivery_date": "2026-11-30" }],
    }))
}

/// An instant.
pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
