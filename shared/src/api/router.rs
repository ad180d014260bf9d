//! The one table of routes.

use futures::future::BoxFuture;
use matchit::Router;

use super::{Call, connectors, documents, health, logs, parked};
use crate::{Error, ErrorCode, Result, trigger::http::Response};

/// What a caller needs to be allowed to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// To read the path's DocType.
    ReadDocuments,
    /// To create documents of the path's DocType.
    CreateDocuments,
    /// To read logs and what is parked.
    ReadOperations,
    /// To replay what is parked.
    Replay,
    /// To manage connectors.
    ManageConnectors,
}

/// A handler: an authorised call to its response.
pub type Handler = for<'a> fn(&'a Call<'a>) -> BoxFuture<'a, Result<Response>>;

/// One route.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// What the caller needs.
    pub access: Access,
    /// What answers.
    pub handler: Handler,
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $handler:path;)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            access: Access::$access,
            handler: |call| Box::pin($handler(call)),
        },)*]
    };
}

/// Every route of the API.
pub const ROUTES: &[Route] = routes! {
    GET  "/health"                            Public           health::get;
    GET  "/v2/documents/{doctype}"            ReadDocuments    documents::list;
    POST "/v2/documents/{doctype}"            CreateDocuments  documents::create;
    GET  "/v2/documents/{doctype}/{*name}"    ReadDocuments    documents::get;
    GET  "/v2/integration-logs"               ReadOperations   logs::list;
    GET  "/v2/integration-logs/{id}"          ReadOperations   logs::get;
    GET  "/v2/parked"                         ReadOperations   parked::list;
    POST "/v2/parked/replay"                  Replay           parked::replay_all;
    GET  "/v2/parked/{id}"                    ReadOperations   parked::get;
    DELETE "/v2/parked/{id}"                  Replay           parked::discard;
    POST "/v2/parked/{id}/replay"             Replay           parked::replay;
    GET  "/v2/connectors"                     ManageConnectors connectors::list;
    GET  "/v2/connectors/{connector}"         ManageConnectors connectors::get;
    PUT  "/v2/connectors/{connector}"         ManageConnectors connectors::put;
};

/// The longest path: DynamoDB's keys, which ids of paths become, are at most 2,048 bytes.
const MAX_PATH_BYTES: usize = 1_900;

/// The table, ready to be searched.
pub struct Routes(Router<Vec<&'static Route>>);

/// A route and its parameters in the path.
pub struct Found {
    /// The route.
    pub route: &'static Route,
    /// Its parameters, percent-decoded.
    pub params: Vec<(String, String)>,
}

impl Routes {
    /// Reads the table.
    pub fn new() -> Result<Self> {
        let mut paths: Vec<(&str, Vec<&'static Route>)> = Vec::new();
        for route in ROUTES {
            match paths.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, routes)) => routes.push(route),
                None => paths.push((route.path, vec![route])),
            }
        }
        let mut router = Router::new();
        for (path, routes) in paths {
            router.insert(path, routes).map_err(Error::internal)?;
        }
        Ok(Self(router))
    }

    /// The route for a request.
    pub fn find(&self, method: &str, path: &str) -> Result<Found> {
        if path.len() > MAX_PATH_BYTES {
            return Err(Error::new(ErrorCode::RouteNotFound, "the path is longer than any name here"));
        }
        let missing = || Error::new(ErrorCode::RouteNotFound, format!("there is no route {path}"));
        let matched = self.0.at(path).map_err(|_| missing())?;
        let route = matched.value.iter().find(|route| route.method == method).ok_or_else(|| {
            Error::new(ErrorCode::MethodNotAllowed, format!("{path} does not take {method}"))
        })?;
        let params = matched
            .params
            .iter()
            .map(|(name, value)| {
                let value =
                    percent_encoding::percent_decode_str(value).decode_utf8().map_err(|_| missing())?;
                Ok((name.to_owned(), value.into_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Found { route, params })
    }

    /// The methods that `path` takes.
    pub fn allowed(&self, path: &str) -> Vec<&'static str> {
        self.0
            .at(path)
            .map(|matched| matched.value.iter().map(|route| route.method).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_and_slashes_are_found() {
        let found = Routes::new().unwrap().find("GET", "/v2/documents/Sales%20Order/ACC/2026/1").unwrap();
        assert_eq!(
            found.params,
            [("doctype".into(), "Sales Order".into()), ("name".into(), "ACC/2026/1".into())]
        );
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let routes = Routes::new().unwrap();
        let error = routes.find("DELETE", "/v2/documents/Item").err().unwrap();
        assert_eq!(error.code(), ErrorCode::MethodNotAllowed);
        assert_eq!(routes.allowed("/v2/documents/Item"), ["GET", "POST"]);
    }

    #[test]
    fn only_health_is_public() {
        let public: Vec<_> = ROUTES.iter().filter(|r| r.access == Access::Public).map(|r| r.path).collect();
        assert_eq!(public, ["/health"]);
    }
}
