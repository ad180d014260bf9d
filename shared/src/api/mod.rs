//! The HTTP API, v2: one table of routes, one wrapper around all handlers.
//!
//! [`Api::handle`] is called by the `api` function. It finds the route in [`ROUTES`], authenticates the API key,
//! asks for the permission the table names, runs the handler, turns errors into problems and logs one line.
//! A handler is a function of a [`Call`]; adding an endpoint is that function and its line in the table.

mod connectors;
mod documents;
mod health;
mod logs;
mod parked;
#[cfg(test)]
mod reference;
mod router;

pub use router::{Access, ROUTES, Route};

use std::sync::Arc;

use http::header;
use jiff::Timestamp;

use self::router::{Found, Routes};
use crate::{
    Error, ErrorCode, Result,
    auth::{Accounts, ApiKeys, Directory, Keyring, Permission, PresentedKey, Principal, permit},
    clock::Clock,
    connectors::ConnectorRepository,
    documents::{DocType, DocumentStore},
    error::Kind,
    integration_log::IntegrationLog,
    parking::{Discard, ParkingLot, Release, Replay},
    telemetry::metric::Line,
    trigger::http::{HttpFunction, Request, Response},
};

/// The most items a page has.
pub const MAX_LIMIT: usize = 500;
/// How many items a page has when the caller does not say.
const DEFAULT_LIMIT: usize = 20;

/// What the handlers work with.
pub struct Services {
    /// Documents.
    pub documents: Arc<dyn DocumentStore>,
    /// Connector settings.
    pub connectors: ConnectorRepository,
    /// Who a user is.
    pub directory: Arc<Directory>,
    /// Users and roles.
    pub accounts: Accounts,
    /// API keys.
    pub keyring: Keyring,
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
    keys: Arc<ApiKeys>,
    routes: Routes,
}

/// One authorised request, as a handler sees it.
pub struct Call<'a> {
    /// What to work with.
    pub services: &'a Services,
    /// The request.
    pub request: &'a Request,
    /// Who asks; nobody on a public route.
    pub principal: Option<Principal>,
    /// The path's parameters, percent-decoded.
    pub params: Vec<(String, String)>,
}

impl Call<'_> {
    /// The path's parameter `name`.
    pub fn param(&self, name: &str) -> Result<&str> {
        let found = self.params.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Error::internal(format!("the route has no {name:?}")))
    }

    /// The DocType in the path.
    pub fn doctype(&self) -> Result<DocType> {
        DocType::new(self.param("doctype")?)
    }

    /// The query's parameter `name`, if it is given.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.request.query.get(name).map(String::as_str)
    }

    /// The page size asked for.
    pub fn limit(&self) -> Result<usize> {
        let Some(text) = self.query("limit") else { return Ok(DEFAULT_LIMIT) };
        text.parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| Error::field("limit", "invalid", format!("must be 1 to {MAX_LIMIT}")))
    }

    /// Refuses query parameters the route does not know, and empty ones, so that a typing error or an unset
    /// variable is not an unfiltered answer.
    pub fn allow_query(&self, known: &[&str]) -> Result<()> {
        if let Some((name, _)) = self.request.query.iter().find(|(_, value)| value.is_empty()) {
            return Err(Error::field(name, "missing", "is given without a value"));
        }
        match self.request.query.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Error::field(
                name,
                "unknown",
                format!("is not a parameter here; there are: {}", known.join(", ")),
            )),
        }
    }

    /// Refuses a body where none is read, so that a filter in it is not taken for one.
    pub fn refuse_body(&self) -> Result<()> {
        if self.request.body()?.is_empty() {
            return Ok(());
        }
        Err(Error::field("", "unknown", "this route takes no body; its filters are query parameters"))
    }

    /// Who asks.
    pub fn principal(&self) -> Result<&Principal> {
        self.principal.as_ref().ok_or_else(|| Error::internal("a public route asks who calls"))
    }

    /// The name of who asks.
    pub fn user(&self) -> Result<&str> {
        Ok(&self.principal()?.user)
    }
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
    pub fn new(services: Services, keys: Arc<ApiKeys>) -> Result<Self> {
        Ok(Self { services, keys, routes: Routes::new()? })
    }

    async fn run(&self, found: &Found, request: &Request) -> Result<Response> {
        let route = found.route;
        let principal = match route.access {
            Access::Public => None,
            _ => Some(self.keys.caller(&PresentedKey::from_headers(&request.headers)?).await?.principal),
        };
        let call = Call { services: &self.services, request, principal, params: found.params.clone() };
        if let Some(principal) = &call.principal {
            authorise(principal, route, &call)?;
        }
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
fn authorise(principal: &Principal, route: &Route, call: &Call<'_>) -> Result<()> {
    match route.access {
        Access::Public => Ok(()),
        Access::ReadDocuments => permit(principal, Permission::Read(&call.doctype()?)),
        Access::CreateDocuments => permit(principal, Permission::Create(&call.doctype()?)),
        Access::ReadOperations => permit(principal, Permission::ReadOperations),
        Access::Replay => permit(principal, Permission::Replay),
        Access::ManageConnectors => permit(principal, Permission::ManageConnectors),
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
