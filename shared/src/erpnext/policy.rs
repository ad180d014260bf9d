//! Under which policy a site is called.

use async_trait::async_trait;

use crate::{Result, connectors::ConnectorCache, outbound::OutboundPolicy};

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

/// The policy in a connector's settings, as an instance remembers them; the usual one where there is no such connector.
pub struct ConnectorPolicy {
    connectors: ConnectorCache,
    connector: &'static str,
}

impl ConnectorPolicy {
    /// The policy of `connector`.
    pub fn new(connectors: ConnectorCache, connector: &'static str) -> Self {
        Self { connectors, connector }
    }
}

#[async_trait]
impl PolicySource for ConnectorPolicy {
    async fn policy(&self) -> Result<OutboundPolicy> {
        let connector = self.connectors.get(self.connector).await?;
        Ok(connector.map(|connector| connector.settings.outbound.clone()).unwrap_or_default())
    }
}
