//! Why a call is not let through, and when to ask again.

use jiff::SignedDuration;

use crate::{Error, ErrorCode};

/// A call that is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// `breaker_open` or `provider_limited`.
    pub code: ErrorCode,
    why: &'static str,
    /// When to ask again.
    pub wait: SignedDuration,
}

impl Refusal {
    /// The breaker is open.
    pub fn broken(wait: SignedDuration) -> Self {
        Self { code: ErrorCode::BreakerOpen, why: "failed too often lately", wait }
    }

    /// The provider asked for a pause.
    pub fn paused(wait: SignedDuration) -> Self {
        Self { code: ErrorCode::ProviderLimited, why: "asked us to wait", wait }
    }

    /// The rate is used up.
    pub fn used_up(wait: SignedDuration) -> Self {
        Self { code: ErrorCode::ProviderLimited, why: "is called as often as it may be", wait }
    }

    /// The error that it is.
    pub fn error(self, connector: &str) -> Error {
        // A started second counts whole: who comes back in time is not refused again.
        let seconds = self.wait.as_millis().max(1).cast_unsigned().div_ceil(1_000);
        Error::new(self.code, format!("{connector} {}", self.why))
            .retry_after(u64::try_from(seconds).unwrap_or(u64::MAX))
    }
}
