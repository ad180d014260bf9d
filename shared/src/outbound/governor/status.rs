//! How a connector's calls do, for people and the API.

use jiff::{SignedDuration, Timestamp};

use super::{
    shared::{Health, Shared, slice_at},
    store::Passage,
};
use crate::outbound::OutboundPolicy;

/// How a connector's calls do.
#[derive(Debug, Clone, PartialEq)]
pub struct GovernorStatus {
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Since when; `None` if it never changed.
    pub since: Option<Timestamp>,
    /// When an open breaker lets a call through to try.
    pub open_until: Option<Timestamp>,
    /// How the calls within the window went, since the breaker last changed.
    pub health: Health,
    /// The window, in seconds.
    pub window_seconds: u32,
    /// How many calls there may be a second.
    pub rate_per_second: f64,
    /// Until when the provider wants to be left alone.
    pub paused_until: Option<Timestamp>,
    /// How many retries there may be to a hundred calls.
    pub retry_budget_percent: u32,
    /// The last changes of the breaker, newest first.
    pub history: Vec<Passage>,
}

impl GovernorStatus {
    pub(super) fn of(
        shared: &Shared,
        history: Vec<Passage>,
        now: Timestamp,
        policy: &OutboundPolicy,
    ) -> Self {
        let slice = slice_at(now);
        let left = shared.paused_until().saturating_sub(now.as_second());
        let pause = (left > 0).then(|| SignedDuration::from_secs(left));
        Self {
            state: shared.breaker.state.as_str(),
            since: shared.breaker.since,
            open_until: shared.breaker.state.until(),
            health: shared.health(slice, &policy.breaker),
            window_seconds: policy.breaker.window_seconds,
            rate_per_second: shared.rate(slice, &policy.rate).per_second(),
            paused_until: pause.and_then(|left| now.checked_add(left).ok()),
            retry_budget_percent: policy.retry.budget_percent,
            history,
        }
    }

    /// The share of calls that failed, in percent; `None` without calls.
    pub fn failure_percent(&self) -> Option<u64> {
        (self.health.failed * 100).checked_div(self.health.calls)
    }
}
