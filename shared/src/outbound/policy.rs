//! How a connector is called: data, a part of its settings.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FieldError;

/// The most tries of a call.
pub const MAX_ATTEMPTS: u32 = 5;
/// The longest timeout, in seconds: longer than any function has.
const MAX_TIMEOUT_SECONDS: u32 = 60;
/// Answers are held in memory, several at a time.
const RESPONSE_BYTES: RangeInclusive<usize> = 1_024..=32 * 1024 * 1024;
/// The highest rate that can be configured, in calls a second.
const MAX_PER_SECOND: u32 = 1_000;

/// How a connector is called. What is left out has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundPolicy {
    /// How long a try may take, in seconds, 1 to 60.
    pub timeout_seconds: u32,
    /// How long connecting may take, in seconds, TLS included, 1 to the timeout.
    pub connect_timeout_seconds: u32,
    /// The largest answer that is read, in bytes, 1 KB to 32 MB.
    pub max_response_bytes: usize,
    /// When a call is tried again.
    pub retry: RetryPolicy,
    /// When calls stop for a while.
    pub breaker: BreakerPolicy,
    /// How many calls there are a second.
    pub rate: RatePolicy,
}

/// When a call is tried again at once. What has to wait longer goes back to where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// How often a call is tried in all, 1 to 5.
    pub attempts: u32,
    /// The longest wait before the second try, in milliseconds, 1 to 1,000; it doubles with each, up to a second. Full
    /// jitter: each wait is drawn between nothing and that.
    pub base_milliseconds: u32,
    /// How many retries there may be to a hundred calls, all instances together, 0 to 100.
    pub budget_percent: u32,
}

/// The circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerPolicy {
    /// The calls of how long count, in seconds, 20 to 600.
    pub window_seconds: u32,
    /// With fewer calls in the window it does not open, 1 to 1,000.
    pub minimum_calls: u32,
    /// It opens when this share of the calls failed, in percent, 1 to 100.
    pub failure_percent: u32,
    /// A call that takes longer is slow, in seconds, 1 to 60.
    pub slow_call_seconds: u32,
    /// It opens when this share of the calls is slow, in percent, 1 to 100.
    pub slow_call_percent: u32,
    /// How long it stays open before one call tries again, in seconds, 1 to 3,600.
    pub open_seconds: u32,
}

/// The adaptive rate, all instances together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RatePolicy {
    /// Calls a second to begin with, 1 to the maximum.
    pub initial_per_second: u32,
    /// Calls a second at most, to 1,000.
    pub maximum_per_second: u32,
}

impl Default for OutboundPolicy {
    fn default() -> Self {
        Self {
            timeout_seconds: 15,
            connect_timeout_seconds: 3,
            max_response_bytes: 8 * 1024 * 1024,
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
            rate: RatePolicy::default(),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, base_milliseconds: 1_000, budget_percent: 20 }
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            window_seconds: 60,
            minimum_calls: 5,
            failure_percent: 50,
            slow_call_seconds: 10,
            slow_call_percent: 80,
            open_seconds: 60,
        }
    }
}

impl Default for RatePolicy {
    fn default() -> Self {
        Self { initial_per_second: 10, maximum_per_second: 50 }
    }
}

impl OutboundPolicy {
    /// Whether it is what holds where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, each fault named from here (`/retry/attempts`).
    pub fn validate(&self) -> Vec<FieldError> {
        let Self { timeout_seconds, connect_timeout_seconds, max_response_bytes, retry, breaker, rate } =
            self;
        let mut faults = Vec::new();
        let mut within = |field: &str, value: u32, range: RangeInclusive<u32>| {
            if !range.contains(&value) {
                let detail = format!("must be {} to {}", range.start(), range.end());
                faults.push(FieldError { field: field.to_owned(), code: "invalid", detail });
            }
        };
        within("/timeout_seconds", *timeout_seconds, 1..=MAX_TIMEOUT_SECONDS);
        within("/connect_timeout_seconds", *connect_timeout_seconds, 1..=(*timeout_seconds).max(1));
        within("/retry/attempts", retry.attempts, 1..=MAX_ATTEMPTS);
        within("/retry/base_milliseconds", retry.base_milliseconds, 1..=1_000);
        within("/retry/budget_percent", retry.budget_percent, 0..=100);
        within("/breaker/window_seconds", breaker.window_seconds, 20..=600);
        within("/breaker/minimum_calls", breaker.minimum_calls, 1..=1_000);
        within("/breaker/failure_percent", breaker.failure_percent, 1..=100);
        within("/breaker/slow_call_seconds", breaker.slow_call_seconds, 1..=60);
        within("/breaker/slow_call_percent", breaker.slow_call_percent, 1..=100);
        within("/breaker/open_seconds", breaker.open_seconds, 1..=3_600);
        within("/rate/maximum_per_second", rate.maximum_per_second, 1..=MAX_PER_SECOND);
        within("/rate/initial_per_second", rate.initial_per_second, 1..=rate.maximum_per_second.max(1));
        if !RESPONSE_BYTES.contains(max_response_bytes) {
            let detail = format!("must be {} to {}", RESPONSE_BYTES.start(), RESPONSE_BYTES.end());
            faults.push(FieldError { field: "/max_response_bytes".to_owned(), code: "invalid", detail });
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_where_nothing_is_said_is_valid() {
        assert_eq!(OutboundPolicy::default().validate(), []);
        assert_eq!(serde_json::from_str::<OutboundPolicy>("{}").unwrap(), OutboundPolicy::default());
    }

    #[test]
    fn every_fault_names_its_field() {
        let nothing: OutboundPolicy = serde_json::from_str(
            r#"{"timeout_seconds": 0, "connect_timeout_seconds": 0, "max_response_bytes": 0,
            "retry": {"attempts": 0, "base_milliseconds": 0, "budget_percent": 101},
            "breaker": {"window_seconds": 0, "minimum_calls": 0, "failure_percent": 0, "slow_call_seconds": 0,
                "slow_call_percent": 0, "open_seconds": 0},
            "rate": {"initial_per_second": 0, "maximum_per_second": 0}}"#,
        )
        .unwrap();
        let faults = nothing.validate();
        assert_eq!(faults.len(), 14, "each of its fields: {faults:?}");
        let settings = serde_json::to_value(&nothing).unwrap();
        for fault in &faults {
            assert!(settings.pointer(&fault.field).is_some(), "{}", fault.field);
        }
    }

    #[test]
    fn parts_fit_each_other() {
        let faults = |text: &str| {
            let faults = serde_json::from_str::<OutboundPolicy>(text).unwrap().validate();
            faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert_eq!(faults(r#"{"timeout_seconds": 2}"#), ["/connect_timeout_seconds"]);
        assert_eq!(faults(r#"{"rate": {"initial_per_second": 60}}"#), ["/rate/initial_per_second"]);
    }
}
