//! The HTTP API: one table of routes, one wrapper around all handlers.
//!
//! [`Api::handle`] is called by the `api` function. It finds the route in [`ROUTES`], checks the version that is
//! asked for, authenticates the API key, asks for the permission the table names, counts the request towards its
//! limit, runs the handler, turns errors into what the version's callers expect (problems, or below `/api` Frappe's
//! own shape) and logs one line. A handler is a function of a [`Call`] and its typed inputs; adding an endpoint is
//! that function and its line in the table.

#[cfg(test)]
mod access_tests;
pub mod answer;
#[cfg(test)]
mod bulk_tests;
mod call;
mod condition;
mod endpoint;
mod guard;
#[cfg(test)]
mod hostile;
pub mod input;
mod named;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod rig;
mod router;
mod shown;
mod site;
mod v1;
mod v2;
mod version;

pub use call::Call;
pub use guard::Guard;
pub use router::{Access, ROUTES, Route};

use std::sync::Arc;

use http::header;
use jiff::Timestamp;

use self::{
    router::{Found, Routes},
    version::Version,
};
use crate::{
    Error, ErrorCode, Result,
    auth::{Accounts, Directory, Keyring, Permission},
    bulk::BulkTransactions,
    cache::Cache,
    clock::Clock,
    connectors::ConnectorRepository,
    documents::{DocType, DocumentStore},
    error::Kind,
    etag::{Condition, ETag},
    integration_log::IntegrationLog,
    outbound::{CallLog, Governor, call_log::Calls},
    parking::{Discard, ParkingLot, Release, Replay},
    projections::{items::ItemSearch, sales::SalesReport},
    rate_limit::Decision,
    telemetry::metric::Line,
    trigger::http::{HttpFunction, Request, Response},
};

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
    /// The calls to providers that were logged.
    pub calls: Arc<dyn Calls>,
    /// Where those that requests make are noted.
    pub call_log: Arc<dyn CallLog>,
    /// What is parked.
    pub parking: Arc<dyn ParkingLot>,
    /// Frees what waits for a document.
    pub release: Release,
    /// Gives parked events another go.
    pub replay: Replay,
    /// Gives parked events up.
    pub discard: Discard,
    /// Documents made of many others.
    pub bulk: BulkTransactions,
    /// What is read from read models; nothing where documents live on a site of their own.
    pub read_models: Option<Queries>,
    /// Results that were costly.
    pub cache: Cache,
    /// How connectors' providers are called.
    pub governor: Arc<Governor>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The URL that callers know the API by, where it is not the one that the gateway sees.
    pub public_url: Option<String>,
}

/// Queries over read models.
pub struct Queries {
    /// Finds items.
    pub items: ItemSearch,
    /// Sums sales up.
    pub sales: SalesReport,
}

impl Services {
    /// Whether documents live on a site of their own, which no read model follows.
    pub fn documents_are_on_a_site(&self) -> bool {
        self.read_models.is_none()
    }

    /// Queries over read models, or that there are none and who to ask instead.
    pub fn queries(&self) -> Result<&Queries> {
        self.read_models.as_ref().ok_or_else(|| {
            let detail = "the documents live on an ERPNext site, which no read model follows: \
                          ask the site itself, or list the documents";
            Error::new(ErrorCode::StoreUnsupported, detail)
        })
    }
}

/// The API.
pub struct Api {
    services: Services,
    guard: Guard,
    routes: Routes,
}

impl HttpFunction for Api {
    fn call_log(&self) -> Option<&dyn CallLog> {
        Some(&*self.services.call_log)
    }

    async fn handle(&self, request: &Request) -> Response {
        let started_at = self.services.clock.now();
        let path = v1::address(request);
        let asked = Version::asked(request, &path);
        let found = self.routes.find(&request.method, &path);
        let route = found.as_ref().ok().map_or("-", |found| found.route.path);
        let (result, counted) = match (&asked, &found) {
            (Ok(_), Ok(found)) => self.run(found, request).await,
            (Err(error), _) | (_, Err(error)) => (Err(error.repeated()), None),
        };
        let response = match &result {
            Ok(response) => response.clone(),
            Err(error) => self.refusal(error, &path),
        };
        let response = guard::with_limits(response, counted.as_ref());
        let is_v1 = v1::speaks(&path) && !matches!(asked, Ok(Some(Version::V2)));
        let response = if is_v1 { v1::notice::add(response) } else { response };
        self.log(started_at, route, request, &response, result.as_ref().err());
        response
    }
}

impl Api {
    /// The API over `services`, for callers whom `guard` lets in.
    pub fn new(services: Services, guard: Guard) -> Result<Self> {
        Ok(Self { services, guard, routes: Routes::new()? })
    }

    /// Runs the route, and says how the request was counted.
    async fn run(&self, found: &Found, request: &Request) -> (Result<Response>, Option<Decision>) {
        let (route, mut counted) = (found.route, None);
        let result = async {
            let caller = self.guard.authenticate(route, request).await?;
            let call = Call {
                services: &self.services,
                route: (route.method, route.path),
                request,
                caller,
                params: found.params.clone(),
            };
            authorise(route, &call)?;
            counted = self.guard.count(route, call.caller.as_ref()).await?;
            guard::refused(counted.as_ref())?;
            (route.handler)(&call).await.and_then(|response| unless_known(request, response))
        };
        (result.await, counted)
    }

    /// What `error` is to the callers of `path`.
    fn refusal(&self, error: &Error, path: &str) -> Response {
        let response = failure(error, path);
        match error.code() {
            ErrorCode::MethodNotAllowed => {
                response.with_header(header::ALLOW, &self.routes.allowed(path).join(", "))
            }
            ErrorCode::ApiKeyMissing | ErrorCode::ApiKeyInvalid => {
                response.with_header(header::WWW_AUTHENTICATE, "ApiKey realm=\"causeway\"")
            }
            _ => response,
        }
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

/// 304 instead of what the caller has already.
fn unless_known(request: &Request, response: Response) -> Result<Response> {
    let known = request.headers.get(header::IF_NONE_MATCH).filter(|_| request.method == "GET");
    let (Some(known), Some(tag)) = (known, response.headers.get(header::ETAG)) else { return Ok(response) };
    let condition = Condition::parse("If-None-Match", known.to_str().unwrap_or_default())?;
    let tag = tag.to_str().ok().and_then(ETag::parse);
    Ok(if condition.allows_answer(tag.as_ref()) { response } else { response.not_modified() })
}

/// `error` in the dialect of `path`.
fn failure(error: &Error, path: &str) -> Response {
    if v1::speaks(path) { v1::dialect::refusal(error, path) } else { Response::problem(error) }
}

/// Asks for the permission that the route's line in the table names.
fn authorise(route: &Route, call: &Call<'_>) -> Result<()> {
    match route.access {
        Access::Public | Access::Key | Access::Named(_) | Access::Transact => Ok(()),
        Access::ReadOf(doctype) => call.permit(Permission::Read(&DocType::new(doctype)?)),
        Access::Read => call.permit(Permission::Read(&call.doctype()?)),
        Access::Create => call.permit(Permission::Create(&call.doctype()?)),
        Access::Write => call.permit(Permission::Write(&call.doctype()?)),
        Access::Delete => call.permit(Permission::Delete(&call.doctype()?)),
        Access::ReadOperations => call.permit(Permission::ReadOperations),
        Access::Replay => call.permit(Permission::Replay),
        Access::ManageConnectors => call.permit(Permission::ManageConnectors),
        Access::ManageUsers => call.permit(Permission::ManageUsers),
    }
}
