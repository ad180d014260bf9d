//! The `webhook-ingest` function: requests of the gateway to [`Ingest`] and back, one log line each.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use matchit::Router;
use serde_json::json;
use tracing::{error, warn};

use super::{Accepted, Delivery, Ingest};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    error::Kind,
    telemetry::metric::Line,
    trigger::http::{HttpFunction, Request, Response},
};

/// The routes, as the template has them.
pub const ROUTES: [&str; 2] = ["/webhooks/{connector}", "/webhooks/{connector}/{event}"];

/// The function.
pub struct IngestFunction {
    ingest: Ingest,
    clock: Arc<dyn Clock>,
    routes: Router<()>,
}

impl HttpFunction for IngestFunction {
    async fn handle(&self, request: &Request) -> Response {
        let started_at = self.clock.now();
        let path = self.path(&request.path);
        let result = match &path {
            Some((connector, event)) => self.accept(request, connector, event.as_deref()).await,
            None => {
                Err(Error::new(ErrorCode::RouteNotFound, "webhooks go to /webhooks/{connector}[/{event}]"))
            }
        };
        let connector = path.as_ref().map_or("-", |(connector, _)| connector.as_str());
        self.log(started_at, connector, request, &result);
        match result {
            Ok(accepted) => Response::data(StatusCode::ACCEPTED, json!({ "id": accepted.id })),
            Err(error) => Response::problem(&error),
        }
    }
}

impl IngestFunction {
    /// The function around `ingest`.
    pub fn new(ingest: Ingest, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut routes = Router::new();
        for route in ROUTES {
            routes.insert(route, ()).map_err(Error::internal)?;
        }
        Ok(Self { ingest, clock, routes })
    }

    /// Does before the first request what need not wait for it.
    pub async fn warm(&self) -> Result<()> {
        self.ingest.warm().await
    }

    async fn accept(&self, request: &Request, connector: &str, event: Option<&str>) -> Result<Accepted> {
        let delivery = Delivery { connector, event, headers: &request.headers, body: request.body()? };
        self.ingest.accept(delivery).await
    }

    /// Connector and event of the path, percent-decoded.
    fn path(&self, path: &str) -> Option<(String, Option<String>)> {
        let matched = self.routes.at(path).ok()?;
        let decoded = |name| {
            let text = matched.params.get(name)?;
            percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        Some((decoded("connector")?, matched.params.get("event").and_then(|_| decoded("event"))))
    }

    fn log(&self, started_at: Timestamp, connector: &str, request: &Request, result: &Result<Accepted>) {
        let outcome = result.as_ref().map_or_else(|error| error.code().as_str(), |_| "accepted");
        // Only connectors that exist become a dimension: anyone can invent names, and each would be paid for.
        let exists = !matches!(outcome, "unknown_connector" | "route_not_found" | "dependency_unavailable");
        if let Err(error) = result {
            match error.code().kind() {
                Kind::Internal | Kind::Unavailable => error!(connector, error = ?error, "not accepted"),
                _ => warn!(connector, code = outcome, detail = error.detail(), "refused"),
            }
        }
        let accepted = result.as_ref().ok();
        let finished_at = self.clock.now();
        Line::new("webhook", finished_at)
            .dimension("Connector", if exists { connector } else { "-" })
            .dimension("Outcome", outcome)
            .count("Webhooks", 1)
            .took(finished_at.duration_since(started_at))
            .property("event_id", accepted.map(|a| a.id.as_str()))
            .property("event", accepted.map(|a| a.event.as_str()))
            .property("secret", accepted.map(|a| a.secret.as_str()))
            .property("bytes", request.body.as_ref().ok().map(Vec::len))
            .property("request_id", request.request_id.as_deref())
            .emit();
    }
}
