//! The governor: how often a connector is called and whether at all, decided for all instances together.

use std::{sync::Arc, time::Duration};

use super::{OutboundPolicy, RateNotice};
use crate::{Result, clock::Clock};

/// Leave to make one call (its retries need their own).
#[derive(Debug)]
pub struct Permit {
    connector: String,
}

/// How a call went, as far as the provider's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// What came of it.
    pub kind: OutcomeKind,
    /// How long it took.
    pub took: Duration,
    /// What the provider says of its limits.
    pub rate: Option<RateNotice>,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The provider is well: it did it, or declined for a reason of the caller's own making.
    Healthy,
    /// It failed, or did not answer.
    Failed,
    /// It asked us to call less; not before this long, where it says so.
    Limited(Option<Duration>),
    /// Nothing was sent after all: it says nothing of the provider.
    Unsent,
}

/// The governor of all connectors, in one instance.
pub struct Governor {
    #[expect(dead_code, reason = "the shared state is read by it")]
    clock: Arc<dyn Clock>,
}

impl Governor {
    /// A governor that knows no limits.
    pub fn unlimited(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Admits a call to `connector`, or says why not and when to ask again: `breaker_open` or `provider_limited`.
    #[expect(clippy::unused_async, reason = "the shared state is read here")]
    pub async fn admit(&self, connector: &str, _policy: &OutboundPolicy) -> Result<Permit> {
        Ok(Permit { connector: connector.to_owned() })
    }

    /// Takes a retry out of the budget of `connector`; whether there was one.
    pub fn may_retry(&self, _connector: &str) -> bool {
        true
    }

    /// Hears how an admitted call went.
    #[expect(clippy::unused_async, reason = "what trips the breaker is written at once")]
    pub async fn report(&self, permit: Permit, _policy: &OutboundPolicy, _outcome: Outcome) {
        tracing::trace!(connector = permit.connector, "reported");
    }
}
