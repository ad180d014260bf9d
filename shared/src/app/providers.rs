//! What calls providers, and the store of documents behind it where that is an ERPNext site.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use jiff::SignedDuration;

use crate::{
    Result,
    clock::Clock,
    config::{ErpnextConfig, OutboundConfig, Tables},
    connectors::{ConnectorCache, ConnectorRepository},
    documents::{DocumentStore, erpnext::ErpnextDocuments},
    erpnext::{
        ConnectorPolicy, PolicySource, Site,
        credentials::{Grants, SiteCredentials, TokenEndpoint, tokens::dynamo::DynamoTokens},
    },
    lease::{Leases, dynamo::DynamoLeases},
    outbound::{
        CallLog, Governor, Outbound,
        governor::{OnClosed, dynamo::DynamoGovernor},
        transport::reqwest::ReqwestTransport,
    },
    secrets::secretsmanager::SecretsManager,
};

/// How long the renewal of a site's tokens is one instance's alone: longer than any function works.
const RENEWAL_LEASE: SignedDuration = SignedDuration::from_secs(60);

/// What calls are made with.
pub struct Providers<'a> {
    /// The clients' configuration.
    pub aws: &'a SdkConfig,
    /// The database.
    pub dynamo: &'a Client,
    /// Its tables.
    pub tables: &'a Tables,
    /// The time.
    pub clock: &'a Arc<dyn Clock>,
    /// Causeway's own records, which say how each connector is called.
    pub records: &'a Arc<dyn DocumentStore>,
    /// Where every try is noted.
    pub calls: &'a Arc<dyn CallLog>,
}

/// Where documents live.
pub struct Home {
    /// Their store.
    pub documents: Arc<dyn DocumentStore>,
    /// The ERPNext site behind it, if it is one.
    pub site: Option<Arc<Site>>,
}

impl Providers<'_> {
    /// Decides for all instances together who is called how often; `listener` hears when a breaker closes.
    pub fn governor(&self, listener: Arc<dyn OnClosed>) -> Arc<Governor> {
        let store = Arc::new(DynamoGovernor::new(self.dynamo.clone(), self.tables));
        Arc::new(Governor::new(store, Arc::clone(self.clock)).on_closed(listener))
    }

    /// Where documents live: in the site, if the configuration has one, else with the records. Only where something is
    /// called is there something to call with: it reads all root certificates of the system.
    pub fn home(&self, config: &OutboundConfig, governor: &Arc<Governor>) -> Result<Home> {
        let Some(erpnext) = &config.erpnext else {
            return Ok(Home { documents: Arc::clone(self.records), site: None });
        };
        let transport = Arc::new(ReqwestTransport::new(config.exceptions.clone())?);
        let (calls, clock) = (Arc::clone(self.calls), Arc::clone(self.clock));
        let outbound = Arc::new(Outbound::new(transport, Arc::clone(governor), calls, clock));
        let site = Arc::new(self.site(erpnext, &outbound));
        let (client, tables) = (self.dynamo.clone(), self.tables.clone());
        let documents = ErpnextDocuments::new(Arc::clone(&site), client, tables, Arc::clone(self.clock));
        Ok(Home { documents: Arc::new(documents), site: Some(site) })
    }

    fn site(&self, config: &ErpnextConfig, outbound: &Arc<Outbound>) -> Site {
        let repository = ConnectorRepository::new(Arc::clone(self.records));
        let connectors = ConnectorCache::settings_only(repository, Arc::clone(self.clock));
        let policies: Arc<dyn PolicySource> = Arc::new(ConnectorPolicy::new(Arc::new(connectors)));
        let leases: Arc<dyn Leases> = Arc::new(DynamoLeases::new(
            self.dynamo.clone(),
            self.tables,
            Arc::clone(self.clock),
            RENEWAL_LEASE,
        ));
        let endpoint = TokenEndpoint::new(config.site.clone(), Arc::clone(outbound), Arc::clone(&policies));
        let grants = Grants::new(
            endpoint,
            Arc::new(DynamoTokens::new(self.dynamo.clone(), self.tables, Arc::clone(self.clock))),
            leases,
            Arc::clone(self.clock),
        );
        let secrets = Arc::new(SecretsManager::new(aws_sdk_secretsmanager::Client::new(self.aws)));
        let id = config.credentials_id.as_str();
        let credentials = Arc::new(SiteCredentials::new(secrets, id, grants, Arc::clone(self.clock)));
        Site::new(config.site.clone(), credentials, Arc::clone(outbound), policies, Arc::clone(self.clock))
    }
}
