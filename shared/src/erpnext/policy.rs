//! Under which policy a site is called.

use async_trait::async_trait;

use crate::{Result, outbound::OutboundPolicy};

/// Says how the site is called, now.
#[async_trait]
pub trait PolicySource: Send + Sync {
    /// The policy of the next call.
    async fn policy(&self) -> Result<OutboundPolicy>;
}

/// One policy for good: of tools and tests.
#[async_trait]
impl PolicySource for OutboundPolicy {
    async fn policy(&self) -> Result<OutboundPolicy> {
        Ok(self.clone())
    }
}
