//! The HTTP API: one table of routes, one wrapper around all handlers.
//!
//! [`Api::handle`] is called by the `api` function. It finds the route in [`ROUTES`], authenticates the API key,
//! asks for the permission the table names, runs the handler, turns errors into problems and logs one line.
//! A handler is a function of a [`Call`] and its typed inputs; adding an endpoint is that function and its line
//! in the table.

pub mod answer;
mod call;
mod endpoint;
#[cfg(test)]
mod hostile;
pub mod input;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod reference;
mod router;
mod shown;
mod site;
mod v2;

pub use call::Call;
pub use router::{Access, ROUTES, Rate, Route};

use std::sync::Arc;

use http::header;
use jiff::Timestamp;

use self::router::{Found, Routes};
use crate::{
    Error, ErrorCode, Result,
    auth::{ApiKeys, Permission, PresentedKey},
    clock::Clock,
    connectors::ConnectorRepository,
    documents::DocumentStore,
    error::Kind,
    integration_log::IntegrationLog,
    parking::{Discard, ParkingLot, Release, Replay},
    telemetry::metric::Line,
    trigger::http::{HttpFunction, Request, Response},
};

/// What the handlers work with.
pub struct Services {
    /// Documents.
    pub documents: Arc<dyn DocumentStore>,
    /// Connector settings.
    pub connectors: ConnectorRepository,
    /// The Integration Log.
    pub log: Arc<dyn IntegrationLog>,
    /// What is parked.
    pub parking: Arc<dyn ParkingLot>,
    /// Frees what waits for a document.
    pub release: Release,
    /// Gives parked events another go.
    pub replay: Replay,
    /// Gives parked events up.
    pub discard: Discard,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The API.
pub struct Api {
    services: Services,
    keys: ApiKeys,
    routes: Routes,
}

impl HttpFunction for Api {
    async fn handle(&self, request: &Request) -> Response {
        let started_at = self.services.clock.now();
        let found = self.routes.find(&request.method, &request.path);
        let route = found.as_ref().ok().map_or("-", |found| found.route.path);
        let result = match &found {
            Ok(found) => self.run(found, request).await,
            Err(error) => Err(Error::new(error.code(), error.detail())),
        };
        let response = match &result {
            Ok(response) => response.clone(),
            Err(error) => problem(error, &self.routes.allowed(&request.path)),
        };
        self.log(started_at, route, request, &response, result.as_ref().err());
        response
    }
}

impl Api {
    /// The API over `services`, for callers with one of `keys`.
    pub fn new(services: Services, keys: ApiKeys) -> Result<Self> {
        Ok(Self { services, keys, routes: Routes::new()? })
    }

    async fn run(&self, found: &Found, request: &Request) -> Result<Response> {
        let route = found.route;
        let caller = match route.access {
            Access::Public => None,
            _ => Some(self.keys.principal(&PresentedKey::from_headers(&request.headers)?).await?),
        };
        let call = Call { services: &self.services, request, caller, params: found.params.clone() };
        authorise(route, &call)?;
        (route.handler)(&call).await
    }

    fn log(
        &self,
        started_at: Timestamp,
        route: &str,
        request: &Request,
        response: &Response,
        error: Option<&Error>,
    ) {
        if let Some(error) = error.filter(|e| matches!(e.code().kind(), Kind::Internal | Kind::Unavailable)) {
            tracing::error!(route, error = ?error, "request failed");
        }
        let finished_at = self.services.clock.now();
        // No metric: API Gateway counts requests, failures and their time already.
        Line::new("request", finished_at)
            .property("route", Some(format!("{} {route}", request.method)))
            .took(finished_at.duration_since(started_at))
            .property("status", Some(response.status.as_u16()))
            .property("code", error.map(|error| error.code().as_str()))
            .property("request_id", request.request_id.as_deref())
            .emit();
    }
}

/// Asks for the permission that the route's line in the table names.
fn authorise(route: &Route, call: &Call<'_>) -> Result<()> {
    match route.access {
        Access::Public | Access::Key => Ok(()),
        Access::Read => call.permit(Permission::Read(&call.doctype()?)),
        Access::Create => call.permit(Permission::Create(&call.doctype()?)),
        Access::Write => call.permit(Permission::Write(&call.doctype()?)),
        Access::Delete => call.permit(Permission::Delete(&call.doctype()?)),
        Access::ReadOperations => call.permit(Permission::ReadOperations),
        Access::Replay => call.permit(Permission::Replay),
        Access::ManageConnectors => call.permit(Permission::ManageConnectors),
    }
}

fn problem(error: &Error, allowed: &[&str]) -> Response {
    let response = Response::problem(error);
    match error.code() {
        ErrorCode::MethodNotAllowed => response.with_header(header::ALLOW, &allowed.join(", ")),
        ErrorCode::ApiKeyMissing | ErrorCode::ApiKeyInvalid => {
            response.with_header(header::WWW_AUTHENTICATE, "ApiKey realm=\"causeway\"")
        }
        _ => response,
    }
}
