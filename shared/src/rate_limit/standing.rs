//! What the limiter decided, and how an answer says so: the header values of
//! draft-ietf-httpapi-ratelimit-headers (revision 11), and `Retry-After`.

use jiff::Timestamp;

use super::{
    Limit,
    window::{Window, seconds_until},
};
use crate::Error;

/// How many requests more there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// In the window.
    pub window: u64,
    /// In its slot.
    pub slot: u64,
}

/// Which of a class's two quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// The limit of the window.
    Window,
    /// The burst of a slot.
    Burst,
}

/// A decision on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may go on.
    Allowed(Standing),
    /// It may not.
    Refused(Refusal),
}

impl Decision {
    /// The value of `RateLimit-Policy`.
    pub fn policy(&self) -> String {
        match self {
            Self::Allowed(standing) => standing.policy(),
            Self::Refused(refusal) => refusal.policy(),
        }
    }

    /// The value of `RateLimit`; none if the request was not counted.
    pub fn rate_limit(&self) -> Option<String> {
        match self {
            Self::Allowed(standing) => standing.rate_limit(),
            Self::Refused(refusal) => Some(refusal.rate_limit()),
        }
    }

    /// The error that a refused request is; none if it may go on.
    pub fn error(&self) -> Option<Error> {
        match self {
            Self::Allowed(_) => None,
            Self::Refused(refusal) => Some(refusal.error()),
        }
    }
}

/// Where a user stands in a class after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub limit: Limit,
    /// How many requests more the window has room for; none if the request was not counted. Above a limit of
    /// 1,000 it is as of the last time this instance asked, so others may have used some since.
    pub remaining: Option<u64>,
    /// In how many seconds the window ends, at least 1.
    pub reset_seconds: u64,
    burst_remaining: Option<u64>,
    burst_reset_seconds: u64,
    slot_seconds: i64,
}

impl Standing {
    pub(super) fn new(limit: Limit, window: &Window, now: Timestamp, left: Option<Left>) -> Self {
        Self {
            limit,
            remaining: left.map(|left| left.window),
            reset_seconds: seconds_until(window.ends_at, now).max(1),
            burst_remaining: left.map(|left| left.slot),
            burst_reset_seconds: seconds_until(window.slot_ends_at, now).max(1),
            slot_seconds: window.slot_seconds,
        }
    }

    /// The value of `RateLimit-Policy`: `"read";q=6000;w=300, "read-burst";q=500;w=5`.
    pub fn policy(&self) -> String {
        let Limit { class, limit, window_seconds, burst, .. } = self.limit;
        let class = class.as_str();
        let policy = format!("\"{class}\";q={limit};w={window_seconds}");
        match burst {
            None => policy,
            Some(burst) => format!("{policy}, \"{class}-burst\";q={burst};w={}", self.slot_seconds),
        }
    }

    /// The value of `RateLimit`: `"read";r=5999;t=120, "read-burst";r=499;t=3`; none if nothing was counted.
    pub fn rate_limit(&self) -> Option<String> {
        let class = self.limit.class.as_str();
        let window = format!("\"{class}\";r={};t={}", self.remaining?, self.reset_seconds);
        Some(match self.limit.burst.and(self.burst_remaining) {
            None => window,
            Some(left) => format!("{window}, \"{class}-burst\";r={left};t={}", self.burst_reset_seconds),
        })
    }
}

/// A request that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What is used up.
    pub quota: Quota,
    pub(super) standing: Standing,
}

impl Refusal {
    /// When there is room again, in seconds, at least 1: the value of `Retry-After`.
    pub fn retry_after_seconds(&self) -> u64 {
        match self.quota {
            Quota::Window => self.standing.reset_seconds,
            Quota::Burst => self.standing.burst_reset_seconds,
        }
    }

    /// The value of `RateLimit-Policy`.
    pub fn policy(&self) -> String {
        self.standing.policy()
    }

    /// The value of `RateLimit`: the quota that is used up, and when it is whole again.
    pub fn rate_limit(&self) -> String {
        let class = self.standing.limit.class.as_str();
        let suffix = if self.quota == Quota::Burst { "-burst" } else { "" };
        format!("\"{class}{suffix}\";r=0;t={}", self.retry_after_seconds())
    }

    /// What the caller is told: `rate_limited`, with the time to wait.
    pub fn error(&self) -> Error {
        let Limit { class, limit, window_seconds, burst, .. } = self.standing.limit;
        let (limit, window) = match (self.quota, burst) {
            (Quota::Burst, Some(burst)) => (burst, self.standing.slot_seconds.unsigned_abs()),
            _ => (limit, window_seconds),
        };
        let detail = format!("{} requests of class {:?} in {window} s are used up", limit, class.as_str());
        Error::limited(detail, self.retry_after_seconds())
    }
}
