//! How a connector is called: data, a part of its settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a connector is called. What is left out has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundPolicy {
    /// How long a try may take, in seconds, 1 to 60.
    pub timeout_seconds: u32,
    /// How long connecting may take, in seconds, 1 to the timeout.
    pub connect_timeout_seconds: u32,
    /// The largest answer that is read, in bytes.
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
    /// The longest wait before the second try, in milliseconds; it doubles with each, up to a second. Full jitter.
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
    /// With fewer calls in the window it does not open.
    pub minimum_calls: u32,
    /// It opens when this share of the calls failed, in percent.
    pub failure_percent: u32,
    /// A call that takes longer is slow, in seconds.
    pub slow_call_seconds: u32,
    /// It opens when this share of the calls is slow, in percent.
    pub slow_call_percent: u32,
    /// How long it stays open before one call tries again, in seconds.
    pub open_seconds: u32,
}

/// The adaptive rate, all instances together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RatePolicy {
    /// Calls a second to begin with.
    pub initial_per_second: u32,
    /// Calls a second at most.
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
