//! Under which policy a site is called.

use std::sync::Arc;

use async_trait::async_trait;

use super::CONNECTOR;
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

/// The policy in the settings of the connector [`CONNECTOR`], the default where there is no such connector.
pub struct ConnectorPolicy(Arc<ConnectorCache>);

impl ConnectorPolicy {
    /// The policy that `connectors` know.
    pub fn new(connectors: Arc<ConnectorCache>) -> Self {
        Self(connectors)
    }
}

#[async_trait]
impl PolicySource for ConnectorPolicy {
    async fn policy(&self) -> Result<OutboundPolicy> {
        let connector = self.0.get(CONNECTOR).await?;
        Ok(connector.map(|connector| connector.settings.outbound.clone()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        clock::Clock,
        testing::{Rig, settings},
    };

    #[tokio::test]
    async fn the_connector_s_settings_say_how_the_site_is_called() {
        let rig = Rig::new(&settings(json!({}))).await;
        let cache = || {
            let time: Arc<dyn Clock> = rig.clock.clone();
            let documents = rig.ports.documents.clone();
            let repository = crate::connectors::ConnectorRepository::new(documents);
            ConnectorPolicy::new(Arc::new(ConnectorCache::settings_only(repository, time)))
        };
        assert_eq!(cache().policy().await.unwrap(), OutboundPolicy::default());
        let erpnext = json!({
            "name": "erpnext", "outbound": { "timeout_seconds": 7 },
            "secrets": [{ "name": "current", "reference": "erpnext/current" }],
        });
        rig.configure(&settings(erpnext)).await;
        assert_eq!(cache().policy().await.unwrap().timeout_seconds, 7);
    }
}
