//! How a connector is reached and how it does.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{breaker::BreakerHealth, connectors::found};
use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::One,
        input::Query,
        shown::{Time, segment},
    },
    erpnext,
    integration_log::{EntrySummary, EventStatus, LogQuery},
    outbound::{OutboundPolicy, governor::GovernorStatus},
    parking::{ParkedQuery, ParkedState, WaitsFor},
    trigger::http::Request,
    webhook::check_event_name,
};

/// How far back the health of a connector looks.
const HEALTH_WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// The most events that the health of a connector looks at, the latest.
const MAX_EVENTS: usize = 500;
/// So long after a breaker would have let a call through, and none came, it says nothing of now.
const QUIET: SignedDuration = SignedDuration::from_mins(15);
/// The most parked events of a state that are counted.
const MAX_PARKED: usize = 500;

/// How the address is to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressParams {
    /// The event that is posted there, where its name goes into the URL, e.g. `sales_order.on_submit`.
    event: Option<String>,
    /// The path only.
    #[serde(default)]
    exclude_uri: bool,
    /// `https`, whatever the request came by.
    #[serde(default)]
    force_https: bool,
}

/// Where a provider posts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WebhookAddress {
    /// The URL, or the path of it.
    address: String,
}

/// `GET /v2/connectors/{connector}/webhook-address`: what to enter at the provider.
pub async fn webhook_address(
    call: &Call<'_>,
    Query(params): Query<AddressParams>,
) -> Result<One<WebhookAddress>> {
    let connector = found(call).await?.name;
    let event = match params.event {
        None => String::new(),
        Some(event) => {
            check_event_name(&event)?;
            if event.contains('/') {
                let detail =
                    "a name with '/' cannot be in the URL: have the provider send it in a header or the body";
                return Err(Error::field("event", "invalid", detail));
            }
            format!("/{}", segment(&event))
        }
    };
    let path = format!("/webhooks/{connector}{event}");
    let base = if params.exclude_uri { String::new() } else { base_url(call, params.force_https) };
    Ok(One::of(WebhookAddress { address: format!("{base}{path}") }))
}

/// The URL of this API as its callers see it.
fn base_url(call: &Call<'_>, force_https: bool) -> String {
    let base = call.services.public_url.clone().unwrap_or_else(|| seen_url(call.request));
    match base.strip_prefix("http://") {
        Some(rest) if force_https => format!("https://{rest}"),
        _ => base,
    }
}

/// As the gateway saw it, which takes nothing but https unless it says otherwise.
fn seen_url(request: &Request) -> String {
    let scheme = request.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let scheme = scheme.filter(|scheme| *scheme == "http").unwrap_or("https");
    format!("{scheme}://{}", request.host.as_deref().unwrap_or("localhost"))
}

/// How a connector does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConnectorHealth {
    /// `disabled`; `failing`: its latest event failed, its breaker is not closed, or so many calls fail that it is about to open; `degraded`: something is dead or failed lately; else `ok`.
    status: &'static str,
    /// Its latest event, within a day.
    last_event: Option<LatestEvent>,
    /// Its latest event that failed, within a day.
    last_error: Option<LatestEvent>,
    /// What came lately.
    rate: EventRate,
    /// What is parked, by state; 500 means that many or more.
    parked: BTreeMap<&'static str, usize>,
    /// Events, its own and those of other connectors, that wait until its provider is well; 100 means that many or more.
    waiting_for_it: usize,
    /// The circuit breaker of its outbound calls; null as long as it made none.
    breaker: Option<BreakerHealth>,
    /// How many outbound calls there may be a second, all instances together; null as long as it made none.
    rate_per_second: Option<f64>,
    /// Until when the provider asked to be left alone, if it did.
    paused_until: Option<Time>,
}

/// An event, in short.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LatestEvent {
    /// Its id.
    id: String,
    /// Its name.
    event: String,
    /// Where it stands.
    status: EventStatus,
    /// When it was accepted.
    received_at: Time,
    /// What went wrong.
    error_code: Option<String>,
}

/// What came within a window, of the latest 500 events.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventRate {
    /// The window in seconds: a day, or as far back as the latest 500 events go.
    window_seconds: i64,
    /// Events within it.
    events: usize,
    /// Those of them that failed.
    failed: usize,
}

/// `GET /v2/connectors/{connector}/health`: from the log of the last day, what is parked, and its outbound calls.
pub async fn health(call: &Call<'_>) -> Result<One<ConnectorHealth>> {
    let Watched { name, enabled, policy } = watched(call).await?;
    let now = call.services.clock.now();
    let query = LogQuery {
        connector: name.clone(),
        from: now.saturating_sub(HEALTH_WINDOW).unwrap_or(now),
        to: now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(now),
        status: None,
        document: None,
        limit: MAX_EVENTS,
    };
    let awaited = WaitsFor::Connector(name.clone());
    let (page, parked, waiting, governed) = tokio::try_join!(
        call.services.log.list(&query, None),
        parked(call, &name),
        call.services.parking.waiting_for(&awaited, None),
        call.services.governor.status(&name, &policy)
    )?;
    let last_event = page.items.first().map(LatestEvent::of);
    let failures: Vec<&EntrySummary> = page.items.iter().filter(|entry| entry.error_code.is_some()).collect();
    let oldest = page.items.last().filter(|_| page.next_before.is_some());
    let since = oldest.map_or(query.from, |entry| entry.received_at);
    let calls = governed.as_ref().map_or(Calls::Well, |governed| Calls::of(governed, &policy, now));
    let fails = calls == Calls::Fail || page.items.first().is_some_and(|entry| entry.error_code.is_some());
    let dead = parked.get("dead").is_some_and(|count| *count > 0);
    let failed = dead || !failures.is_empty() || calls == Calls::SomeFail;
    let status = match (enabled, fails, failed) {
        (false, ..) => "disabled",
        (_, true, _) => "failing",
        (_, _, true) => "degraded",
        _ => "ok",
    };
    Ok(One::of(ConnectorHealth {
        status,
        last_event,
        last_error: failures.first().map(|entry| LatestEvent::of(entry)),
        rate: EventRate {
            window_seconds: now.duration_since(since).as_secs(),
            events: page.items.len(),
            failed: failures.len(),
        },
        parked,
        waiting_for_it: waiting.items.len(),
        rate_per_second: governed.as_ref().map(|governed| governed.rate_per_second),
        paused_until: governed.as_ref().and_then(|governed| governed.paused_until).map(Time),
        breaker: governed.map(BreakerHealth::of),
    }))
}

/// How the outbound calls do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    Well,
    SomeFail,
    Fail,
}

impl Calls {
    fn of(governed: &GovernorStatus, policy: &OutboundPolicy, now: Timestamp) -> Self {
        // Nobody calls any more: what an open breaker knew is of no use.
        let is_old = |until: Timestamp| until.saturating_add(QUIET).is_ok_and(|end| end <= now);
        let breaks = governed.state != "closed" && !governed.open_until.is_some_and(is_old);
        match governed.failure_percent() {
            _ if breaks => Self::Fail,
            Some(percent) if percent >= policy.breaker.failure_percent.into() => Self::Fail,
            Some(1..) => Self::SomeFail,
            _ => Self::Well,
        }
    }
}

/// Whose health it is.
struct Watched {
    name: String,
    enabled: bool,
    policy: OutboundPolicy,
}

/// The connector in the path. The site where documents live is one also without settings.
async fn watched(call: &Call<'_>) -> Result<Watched> {
    match found(call).await {
        Ok(settings) => {
            Ok(Watched { name: settings.name, enabled: settings.enabled, policy: settings.outbound })
        }
        Err(error) if error.code() == ErrorCode::UnknownConnector && is_site(call)? => Ok(Watched {
            name: erpnext::CONNECTOR.to_owned(),
            enabled: true,
            policy: OutboundPolicy::default(),
        }),
        Err(error) => Err(error),
    }
}

/// Whether the path means the ERPNext site, and there is one.
fn is_site(call: &Call<'_>) -> Result<bool> {
    Ok(call.param("connector")? == erpnext::CONNECTOR && call.services.documents_are_on_a_site())
}

async fn parked(call: &Call<'_>, connector: &str) -> Result<BTreeMap<&'static str, usize>> {
    let count = |state: &'static str| async move {
        let query = ParkedQuery {
            state: Some(state.to_owned()),
            connector: Some(connector.to_owned()),
            limit: MAX_PARKED,
            cursor: None,
        };
        call.services.parking.list(&query).await.map(|page| (state, page.items.len()))
    };
    let [delayed, waiting, dead] = ParkedState::NAMES;
    let (delayed, waiting, dead) = tokio::try_join!(count(delayed), count(waiting), count(dead))?;
    Ok(BTreeMap::from([delayed, waiting, dead]))
}

impl LatestEvent {
    fn of(entry: &EntrySummary) -> Self {
        Self {
            id: entry.id.clone(),
            event: entry.event.clone(),
            status: entry.status,
            received_at: Time(entry.received_at),
            error_code: entry.error_code.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use crate::api::rig::Site;

    #[tokio::test]
    async fn the_site_where_documents_live_has_a_health_without_being_configured_as_a_connector() {
        let path = "/v2/connectors/erpnext/health";
        let built_in = Site::start().await;
        assert_eq!(built_in.get(path).await.status, StatusCode::NOT_FOUND);
        let site = Site::without_read_models().await;
        let health = site.get(path).await;
        assert_eq!((health.status, &health.body["data"]["status"]), (StatusCode::OK, &"ok".into()));
        assert_eq!(site.get("/v2/connectors/another/health").await.status, StatusCode::NOT_FOUND);
    }
}
