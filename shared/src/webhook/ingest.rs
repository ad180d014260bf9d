//! From a raw request to a queued event.

use std::sync::Arc;

use http::HeaderMap;
use jiff::SignedDuration;

use super::{
    event,
    payload::{accepts, parse},
    signature::{NamedSecret, Verified, verify},
};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    connectors::{Connector, ConnectorCache},
    queue::{Body, InboundEvent, Message, Queue},
};

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The connector named by the URL.
    pub connector: &'a str,
    /// The event named by the URL, if any.
    pub event: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, byte for byte.
    pub body: &'a [u8],
}

/// An event the queue has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The event's id.
    pub id: String,
    /// Its name.
    pub event: String,
    /// The name of the secret that verified it.
    pub secret: String,
}

/// Webhook ingestion.
pub struct Ingest {
    connectors: ConnectorCache,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
}

impl Ingest {
    /// Ingestion of deliveries for `connectors` into `queue`.
    pub fn new(connectors: ConnectorCache, queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) -> Self {
        Self { connectors, queue, clock }
    }

    /// Does before the first request what need not wait for it.
    pub async fn warm(&self) -> Result<()> {
        self.connectors.prefetch_secrets().await
    }

    /// Verifies, identifies and queues a delivery. When this returns, the queue has it.
    pub async fn accept(&self, delivery: Delivery<'_>) -> Result<Accepted> {
        let connector = self.connector(delivery.connector).await?;
        check_shape(&connector, &delivery)?;
        let (connector, verified) = self.verify(connector, &delivery).await?;
        let event = self.identify(&connector, &verified, &delivery)?;
        let accepted =
            Accepted { id: event.id.clone(), event: event.event.clone(), secret: event.secret.clone() };
        self.queue.send(&Message::Webhook(event)).await?;
        Ok(accepted)
    }

    async fn connector(&self, name: &str) -> Result<Arc<Connector>> {
        let unknown = || Error::new(ErrorCode::UnknownConnector, format!("there is no connector {name:?}"));
        if crate::connectors::check_name(name).is_err() {
            return Err(unknown());
        }
        let connector = self.connectors.get(name).await?.ok_or_else(unknown)?;
        if !connector.settings.enabled {
            return Err(Error::new(
                ErrorCode::ConnectorDisabled,
                format!("the connector {name:?} is disabled"),
            ));
        }
        Ok(connector)
    }

    /// Verifies with what is in memory; before refusing, once more with what is stored now.
    async fn verify(
        &self,
        connector: Arc<Connector>,
        delivery: &Delivery<'_>,
    ) -> Result<(Arc<Connector>, Signed)> {
        let refused = match self.verify_with(&connector, delivery) {
            Ok(signed) => return Ok((connector, signed)),
            Err(error) => error,
        };
        if !matches!(refused.code(), ErrorCode::SignatureMismatch | ErrorCode::SecretMissing) {
            return Err(refused);
        }
        match self.connectors.refresh(delivery.connector).await? {
            Some(fresh) if fresh.settings.enabled => {
                let signed = self.verify_with(&fresh, delivery)?;
                Ok((fresh, signed))
            }
            _ => Err(refused),
        }
    }

    fn verify_with(&self, connector: &Connector, delivery: &Delivery<'_>) -> Result<Signed> {
        let for_event = |event: &Option<String>| event.is_none() || event.as_deref() == delivery.event;
        let usable: Vec<_> = connector.secrets.iter().filter(|(_, event)| for_event(event)).collect();
        let secrets: Vec<NamedSecret> = usable.iter().map(|(secret, _)| secret.clone()).collect();
        if secrets.is_empty() && !connector.secrets.is_empty() {
            return Err(Error::new(
                ErrorCode::SignatureMismatch,
                "no secret of this connector is for this event",
            ));
        }
        let tolerance = SignedDuration::from_secs(i64::from(connector.settings.tolerance_seconds));
        let verified = verify(
            &connector.settings.scheme,
            delivery.headers,
            delivery.body,
            &secrets,
            tolerance,
            self.clock.now(),
        )?;
        let (secret, event) = usable
            .get(verified.secret)
            .ok_or_else(|| Error::internal("the verified secret is not one of those given"))?;
        Ok(Signed { secret: secret.name.clone(), secret_event: event.clone(), verified })
    }

    fn identify(
        &self,
        connector: &Connector,
        signed: &Signed,
        delivery: &Delivery<'_>,
    ) -> Result<InboundEvent> {
        let settings = &connector.settings;
        let received_at = self.clock.now();
        let content_type = content_type(delivery.headers);
        let payload = parse(settings.content, content_type, delivery.body)?;
        let name = event::name(
            settings,
            &payload,
            delivery.headers,
            delivery.event,
            signed.secret_event.as_deref(),
        )?;
        event::check_destructive(settings, &name.text, name.signed)?;
        let id = event::identify(settings, &name, &payload, delivery.body, &signed.verified, received_at)?;
        Ok(InboundEvent {
            id,
            connector: settings.name.clone(),
            event: name.text,
            signed_name: name.signed,
            secret: signed.secret.clone(),
            received_at,
            content_type: content_type.map(ToOwned::to_owned),
            body: Body::encode(delivery.body)?,
            parent: None,
        })
    }
}

struct Signed {
    secret: String,
    secret_event: Option<String>,
    verified: Verified,
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty())
}

/// What can be refused before any computation over the body.
fn check_shape(connector: &Connector, delivery: &Delivery<'_>) -> Result<()> {
    if let Some(event) = delivery.event {
        event::check_name(event)?;
    }
    if delivery.body.is_empty() {
        return Err(Error::new(ErrorCode::EmptyBody, "the body is empty"));
    }
    let limit = connector.settings.max_body_bytes;
    if delivery.body.len() > limit {
        return Err(Error::new(
            ErrorCode::BodyTooLarge,
            format!("the body is {} bytes; this connector takes {limit}", delivery.body.len()),
        ));
    }
    let content_type = content_type(delivery.headers);
    if !accepts(connector.settings.content, content_type) {
        return Err(Error::new(
            ErrorCode::UnsupportedContent,
            format!("this connector does not take {}", content_type.unwrap_or_default()),
        ));
    }
    Ok(())
}
