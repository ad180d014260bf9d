//! The one table of routes: from it come the router, the permission check, the rate limits' classes and the
//! OpenAPI document.

use futures::future::BoxFuture;
use matchit::Router;

use super::{
    Call,
    endpoint::invoke,
    site,
    v1::{auth, bulk_transaction, client, point_of_sale, resource, service},
    v2::{
        bulk_transactions, calls, connector_status, connectors, documents, items, keys, logs, me, parked,
        reports, roles, root, users,
    },
};
#[cfg(test)]
use super::{endpoint::describe, openapi::Operation};
use crate::{Error, ErrorCode, Result, rate_limit::Class, trigger::http::Response};

/// What a caller needs to be allowed to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A valid key; what it may do is asked where the input says what it is about.
    Key,
    /// To read the path's DocType.
    Read,
    /// To read this DocType.
    ReadOf(&'static str),
    /// To create documents of the path's DocType.
    Create,
    /// To change documents of the path's DocType.
    Write,
    /// To delete documents of the path's DocType.
    Delete,
    /// To read logs and what is parked.
    ReadOperations,
    /// To replay what is parked.
    Replay,
    /// To manage connectors.
    ManageConnectors,
    /// To manage users, roles and API keys.
    ManageUsers,
    /// A valid key, and this for the DocType that the arguments name: the handler asks.
    Named(&'static str),
    /// To read the DocType of the sources and to create the one that is made, which the input names: the handler asks.
    Transact,
}

/// A handler: an authorised call to its response.
pub type Handler = for<'a> fn(&'a Call<'a>) -> BoxFuture<'a, Result<Response>>;

/// One route.
pub struct Route {
    /// What it is about; the OpenAPI document's tag.
    pub group: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// What the caller needs.
    pub access: Access,
    /// Which rate limit it counts towards; none if it costs nothing.
    pub rate: Option<Class>,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The failures that are its own, besides those of every route of its kind.
    pub failures: &'static [ErrorCode],
    /// What answers.
    pub handler: Handler,
    /// Says what the handler takes and gives.
    #[cfg(test)]
    pub describe: fn(&mut Operation<'_>),
}

macro_rules! class {
    (Free) => {
        None
    };
    ($class:ident) => {
        Some(Class::$class)
    };
}

macro_rules! routes {
    ($($group:literal {
        $($method:ident $path:literal $access:ident$(($verb:literal))? $rate:ident $handler:path, $summary:literal
            $(, [$($failure:ident),* $(,)?])?;)*
    })*) => {
        &[$($(Route {
            group: $group,
            method: stringify!($method),
            path: $path,
            access: Access::$access$(($verb))?,
            rate: class!($rate),
            summary: $summary,
            failures: &[$($(ErrorCode::$failure),*)?],
            handler: |call| invoke(call, $handler),
            #[cfg(test)]
            describe: |operation| describe(&$handler, operation),
        },)*)*]
    };
}

/// Every route of the API.
#[rustfmt::skip]
pub const ROUTES: &[Route] = routes! {
    "Documents" {
        GET  "/v2/documents/{doctype}" Read List documents::list, "Lists documents of a DocType";
        POST "/v2/documents/{doctype}" Create Write documents::create, "Creates a document",
            [DocumentExists, DocumentTooLarge];
        GET  "/v2/documents/{doctype}/{*name}" Read Read documents::get, "Gets a document", [DocumentNotFound];
        PATCH "/v2/documents/{doctype}/{*name}" Write Write documents::patch, "Changes, submits or cancels a document",
            [DocumentNotFound, DocstatusForbids, DocumentTooLarge, RevisionConflict];
        DELETE "/v2/documents/{doctype}/{*name}" Delete Write documents::delete, "Deletes a document",
            [DocumentNotFound, DocstatusForbids, RevisionConflict];
        GET  "/v2/counts/{doctype}" Read List documents::count, "Counts documents of a DocType";
    }
    "Bulk transactions" {
        POST "/v2/bulk-transactions" Transact Write bulk_transactions::create, "Makes documents of many others";
        GET  "/v2/bulk-transactions" Key List bulk_transactions::list, "Lists bulk transactions, newest first";
        POST "/v2/bulk-transactions/retry" Key Write bulk_transactions::retry_all,
            "Tries what failed on a day again";
        GET  "/v2/bulk-transactions/{id}" Key Read bulk_transactions::get, "Gets a bulk transaction", [JobNotFound];
        GET  "/v2/bulk-transactions/{id}/records" Key List bulk_transactions::records,
            "Lists what came of its records", [JobNotFound];
        POST "/v2/bulk-transactions/{id}/cancel" Key Write bulk_transactions::cancel,
            "Cancels what is not done of it", [JobNotFound, PermissionDenied];
        POST "/v2/bulk-transactions/{id}/retry" Key Write bulk_transactions::retry, "Tries what failed of it again",
            [JobNotFound, JobCancelled, PermissionDenied];
    }
    "Read models" {
        GET "/v2/items" ReadOf("Item") List items::list, "Lists items as a point of sale asks for them";
        GET "/v2/reports/sales" ReadOf("Sales Invoice") Report reports::sales,
            "Sums a company's sales up, by period and by customer";
    }
    "Operations" {
        GET  "/v2/integration-logs" ReadOperations List logs::list, "Lists events, newest first";
        GET  "/v2/integration-logs/{id}" ReadOperations Read logs::get, "Gets an event's life", [LogNotFound];
        GET  "/v2/calls" ReadOperations List calls::list, "Lists calls to providers, newest first";
        GET  "/v2/calls/{owner}" ReadOperations Read calls::get,
            "Gets the calls made for an event, a job or a request", [LogNotFound];
        GET  "/v2/parked" ReadOperations List parked::list, "Lists what is parked";
        POST "/v2/parked/replay" Replay Write parked::replay_all, "Gives a page of parked events another go";
        GET  "/v2/parked/{id}" ReadOperations Read parked::get, "Gets a parked event", [ParkedNotFound];
        DELETE "/v2/parked/{id}" Replay Write parked::discard, "Gives a parked event up", [ParkedNotFound];
        POST "/v2/parked/{id}/replay" Replay Write parked::replay, "Gives a parked event another go", [ParkedNotFound];
    }
    "Connectors" {
        GET "/v2/connectors" ManageConnectors Admin connectors::list, "Lists connectors";
        GET "/v2/connectors/{connector}" ManageConnectors Admin connectors::get, "Gets a connector's settings",
            [UnknownConnector];
        PUT "/v2/connectors/{connector}" ManageConnectors Admin connectors::put, "Creates or replaces a connector's settings",
            [RevisionConflict];
        GET "/v2/connectors/{connector}/webhook-address" ManageConnectors Admin connector_status::webhook_address,
            "Gets the address a provider posts to", [UnknownConnector];
        GET "/v2/connectors/{connector}/health" ManageConnectors Admin connector_status::health,
            "How a connector does", [UnknownConnector];
    }
    "Users, roles and API keys" {
        GET "/v2/me" Key Read me::get, "Who asks, and what they may do";
        GET "/v2/api-keys" ManageUsers Admin keys::list, "Lists API keys";
        POST "/v2/api-keys" ManageUsers Admin keys::create, "Makes an API key, and shows its secret this once";
        GET "/v2/api-keys/{id}" ManageUsers Admin keys::get, "Gets an API key", [ApiKeyNotFound];
        PATCH "/v2/api-keys/{id}" ManageUsers Admin keys::update, "Changes an API key",
            [ApiKeyNotFound, BuiltIn, RevisionConflict];
        DELETE "/v2/api-keys/{id}" ManageUsers Admin keys::delete, "Removes an API key",
            [ApiKeyNotFound, BuiltIn, RevisionConflict];
        POST "/v2/api-keys/{id}/rotate" ManageUsers Admin keys::rotate, "Gives an API key a new secret, and shows it this once",
            [ApiKeyNotFound, BuiltIn, RevisionConflict];
        GET "/v2/users" ManageUsers Admin users::list, "Lists users";
        GET "/v2/users/{user}" ManageUsers Admin users::get, "Gets a user", [UserNotFound];
        PUT "/v2/users/{user}" ManageUsers Admin users::put, "Creates or replaces a user", [BuiltIn, RevisionConflict];
        DELETE "/v2/users/{user}" ManageUsers Admin users::delete, "Removes a user, whose keys work no more",
            [UserNotFound, BuiltIn, RevisionConflict];
        GET "/v2/roles" ManageUsers Admin roles::list, "Lists roles";
        GET "/v2/roles/{role}" ManageUsers Admin roles::get, "Gets a role", [RoleNotFound];
        PUT "/v2/roles/{role}" ManageUsers Admin roles::put, "Creates or replaces a role", [BuiltIn, RevisionConflict];
        DELETE "/v2/roles/{role}" ManageUsers Admin roles::delete, "Removes a role",
            [RoleNotFound, BuiltIn, RevisionConflict];
    }
    "Version 1" {
        GET "/api" Public Free service::version, "What a version of the API is";
        POST "/" Public Free service::no_command, "Calls the method that a form names in cmd";
        GET  "/api/method/ping" Public Free service::ping, "pong";
        POST "/api/method/ping" Public Free service::ping, "pong";
        GET  "/api/method/frappe.auth.get_logged_user" Key Read auth::get_logged_user, "Who the key belongs to";
        POST "/api/method/frappe.auth.get_logged_user" Key Read auth::get_logged_user, "Who the key belongs to";
        GET  "/api/resource/{doctype}" Read List resource::list, "Lists documents of a DocType";
        POST "/api/resource/{doctype}" Create Write resource::create, "Creates a document",
            [DocumentExists, DocumentTooLarge, DocstatusForbids];
        GET  "/api/resource/{doctype}/{*name}" Read Read resource::get, "Gets a document", [DocumentNotFound];
        PUT  "/api/resource/{doctype}/{*name}" Write Write resource::update, "Changes a document",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
        DELETE "/api/resource/{doctype}/{*name}" Delete Write resource::delete, "Deletes a document",
            [DocumentNotFound, DocstatusForbids, RevisionConflict];
        GET  "/api/method/erpnext.selling.page.point_of_sale.point_of_sale.get_items" ReadOf("Item") List
            point_of_sale::get_items, "Lists items as a point of sale asks for them";
        POST "/api/method/erpnext.selling.page.point_of_sale.point_of_sale.get_items" ReadOf("Item") List
            point_of_sale::get_items, "Lists items as a point of sale asks for them";
        POST "/api/method/erpnext.utilities.bulk_transaction.transaction_processing" Transact Write
            bulk_transaction::transaction_processing, "Makes documents of many others";
        POST "/api/method/erpnext.utilities.bulk_transaction.retry" Key Write bulk_transaction::retry,
            "Tries what failed on a day again";
        GET  "/api/method/frappe.client.get_list" Named("read") List client::get_list, "Lists documents";
        POST "/api/method/frappe.client.get_list" Named("read") List client::get_list, "Lists documents";
        GET  "/api/method/frappe.client.get_count" Named("read") List client::get_count, "Counts documents";
        POST "/api/method/frappe.client.get_count" Named("read") List client::get_count, "Counts documents";
        GET  "/api/method/frappe.client.get" Named("read") Read client::get, "Gets a document by name or filters",
            [DocumentNotFound];
        POST "/api/method/frappe.client.get" Named("read") Read client::get, "Gets a document by name or filters",
            [DocumentNotFound];
        GET  "/api/method/frappe.client.get_value" Named("read") Read client::get_value, "Gets fields of a document";
        POST "/api/method/frappe.client.get_value" Named("read") Read client::get_value, "Gets fields of a document";
        POST "/api/method/frappe.client.insert" Named("create") Write client::insert, "Creates a document",
            [DocumentExists, DocumentTooLarge, DocstatusForbids];
        POST "/api/method/frappe.client.insert_many" Named("create") Write client::insert_many,
            "Creates documents, all or none", [DocumentExists, DocumentTooLarge, DocstatusForbids];
        POST "/api/method/frappe.client.save" Named("write") Write client::save, "Saves a document that was read",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
        PUT  "/api/method/frappe.client.save" Named("write") Write client::save, "Saves a document that was read",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
        POST "/api/method/frappe.client.submit" Named("submit") Write client::submit, "Saves and submits a document",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
        PUT  "/api/method/frappe.client.submit" Named("submit") Write client::submit, "Saves and submits a document",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
        POST "/api/method/frappe.client.cancel" Named("submit") Write client::cancel, "Cancels a document",
            [DocumentNotFound, DocstatusForbids, RevisionConflict];
        PUT  "/api/method/frappe.client.cancel" Named("submit") Write client::cancel, "Cancels a document",
            [DocumentNotFound, DocstatusForbids, RevisionConflict];
        POST "/api/method/frappe.client.delete" Named("delete") Write client::delete, "Deletes a document",
            [DocumentNotFound, DocstatusForbids, RevisionConflict];
        DELETE "/api/method/frappe.client.delete" Named("delete") Write client::delete, "Deletes a document",
            [DocumentNotFound, DocstatusForbids, RevisionConflict];
        POST "/api/method/frappe.client.set_value" Named("write") Write client::set_value, "Sets fields of a document",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
        PUT  "/api/method/frappe.client.set_value" Named("write") Write client::set_value, "Sets fields of a document",
            [DocumentNotFound, DocumentTooLarge, DocstatusForbids, RevisionConflict];
    }
    "Service" {
        GET "/health" Public Free site::health, "Whether the API answers";
        GET "/openapi.json" Public Free site::openapi, "This description";
        GET "/docs" Public Free site::docs, "This description as a page, to read and to try";
        GET "/docs/app.css" Public Free site::style, "The style of the pages";
        GET "/docs/app.js" Public Free site::script, "The script of the page";
        GET "/docs/{guide}" Public Free site::guide, "A guide, as a page";
        GET "/v2" Public Free root::get, "Version and features of this API";
    }
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
    fn only_what_says_nothing_about_anyone_is_public() {
        let public: Vec<_> = ROUTES.iter().filter(|r| r.access == Access::Public).map(|r| r.path).collect();
        let site = ["/openapi.json", "/docs", "/docs/app.css", "/docs/app.js", "/docs/{guide}"];
        let v1 = ["/api", "/", "/api/method/ping", "/api/method/ping"];
        assert_eq!(public, [&v1[..], &["/health"], &site, &["/v2"]].concat());
    }
}
