//! The circuit breaker of a connector, as its health shows it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    api::shown::Time,
    outbound::governor::{GovernorStatus, Passage},
};

/// The circuit breaker of a connector's outbound calls.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BreakerHealth {
    /// `closed`, `open`: no call goes out, or `half_open`: one call tries if the provider is well.
    state: &'static str,
    /// Since when; null if it never opened.
    since: Option<Time>,
    /// When it lets a call try; null while it is closed. A moment that is over: the next call tries.
    until: Option<Time>,
    /// The window in which calls count, in seconds.
    window_seconds: u32,
    /// Calls within it, since the breaker last changed, as far as instances have reported them.
    calls: u64,
    /// Those that failed.
    failed: u64,
    /// Those that were slow.
    slow: u64,
    /// The share of those that failed, in percent; null without calls.
    failure_percent: Option<u64>,
    /// How many retries there may be to a hundred calls.
    retry_budget_percent: u32,
    /// Its last changes, newest first, at most 20.
    history: Vec<BreakerChange>,
}

/// A change of a circuit breaker.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BreakerChange {
    /// When.
    at: Time,
    /// From which state.
    from: String,
    /// To which.
    to: String,
    /// Why, for people.
    reason: String,
}

impl BreakerHealth {
    /// What is shown of `status`.
    pub fn of(status: GovernorStatus) -> Self {
        let failure_percent = status.failure_percent();
        Self {
            state: status.state,
            since: status.since.map(Time),
            until: status.open_until.map(Time),
            window_seconds: status.window_seconds,
            calls: status.health.calls,
            failed: status.health.failed,
            slow: status.health.slow,
            failure_percent,
            retry_budget_percent: status.retry_budget_percent,
            history: status.history.into_iter().map(BreakerChange::of).collect(),
        }
    }
}

impl BreakerChange {
    fn of(passage: Passage) -> Self {
        let Passage { at, from, to, reason } = passage;
        Self { at: Time(at), from, to, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use crate::{
        api::rig::Site,
        outbound::{
            OutboundPolicy,
            governor::{Governor, Outcome, OutcomeKind, dynamo::DynamoGovernor},
        },
    };

    #[tokio::test]
    async fn an_open_breaker_is_seen_in_the_connectors_health_with_its_reason() {
        let site = Site::start().await;
        let health = async || {
            let answer = site.get("/v2/connectors/shop/health").await;
            answer.body["data"].clone()
        };
        let before = health().await;
        assert_eq!((&before["breaker"], &before["rate_per_second"]), (&Value::Null, &Value::Null));
        let dynamo = &site.rig.dynamo;
        let store = Arc::new(DynamoGovernor::new(dynamo.client.clone(), &dynamo.tables));
        let governor = Governor::new(store, site.rig.clock.clone());
        let policy = OutboundPolicy::default();
        let failed = async || {
            let permit = governor.admit("shop", &policy).await.unwrap();
            let outcome = Outcome { kind: OutcomeKind::Failed, took: Duration::ZERO, rate: None };
            governor.report(permit, &policy, outcome).await;
        };
        failed().await;
        site.rig.clock.advance(SignedDuration::from_secs(5));
        failed().await;
        let shown = health().await;
        assert_eq!((&shown["status"], &shown["breaker"]["state"]), (&json!("failing"), &json!("closed")));
        for _ in 0..3 {
            failed().await;
        }
        site.rig.clock.advance(SignedDuration::from_secs(1));
        let shown = health().await;
        assert_eq!(shown["status"], "failing");
        assert_eq!(shown["rate_per_second"].to_string(), "10.0");
        assert_eq!(shown["waiting_for_it"], 0);
        assert_eq!(shown["breaker"]["state"], "open");
        assert_eq!(
            shown["breaker"]["history"],
            json!([{
                "at": "2026-11-23T09:00:05.000000Z",
                "from": "closed",
                "to": "open",
                "reason": "5 of 5 calls failed within 60 s",
            }])
        );
        assert_eq!(shown["breaker"]["until"], "2026-11-23T09:01:05.000000Z");
        // Nobody calls any more.
        site.rig.clock.advance(SignedDuration::from_mins(20));
        let shown = health().await;
        assert_eq!((&shown["status"], &shown["breaker"]["state"]), (&json!("ok"), &json!("open")));
    }
}
