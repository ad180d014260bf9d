//! Every route of the table, asked by everyone who might: who gets in is what is written here, by the address, and
//! not what the table says. A route that is new is refused until it is written here too.

use serde_json::{Value, json};

use super::{
    ROUTES, Route,
    rig::{Site, TOKEN, asked},
    v1,
};
use crate::testing::start;

/// What a route takes to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Key,
    Read(&'static str),
    Create,
    /// To read the DocType and to create the other.
    Make,
    Write,
    Delete,
    Submit,
    ReadOperations,
    Replay,
    ManageConnectors,
    ManageUsers,
}

/// The DocType that stands in all addresses and arguments.
const DOCTYPE: &str = "Sales Order";
/// The one that is made of it.
const MADE: &str = "Sales Invoice";

/// What must be needed for a route.
fn need(route: &Route) -> Need {
    let segments: Vec<&str> = route.path.split('/').skip(1).collect();
    match (route.method, segments.as_slice()) {
        (_, ["health" | "openapi.json" | "v2" | "api" | ""] | ["docs", ..] | ["api", "method", "ping"]) => {
            Need::Nothing
        }
        // Others' bulk transactions are as if they were not there.
        ("GET", ["v2", "bulk-transactions"])
        | (
            _,
            ["v2", "bulk-transactions", _, ..]
            | ["v2", "me"]
            | ["api", "method", "frappe.auth.get_logged_user"],
        ) => Need::Key,
        (_, ["v2", "api-keys" | "users" | "roles", ..]) => Need::ManageUsers,
        (_, ["v2", "connectors", ..]) => Need::ManageConnectors,
        ("GET", ["v2", "integration-logs" | "calls" | "parked", ..]) => Need::ReadOperations,
        (_, ["v2", "parked", ..]) => Need::Replay,
        ("POST", ["v2", "bulk-transactions"]) => Need::Make,
        (_, ["v2", "items"]) => Need::Read("Item"),
        (_, ["v2", "reports", "sales"]) => Need::Read("Sales Invoice"),
        (method, ["v2", "documents" | "counts", ..] | ["api", "resource", ..]) => document(method, &segments),
        (_, ["api", "method", method]) => called(method),
        other => panic!("{other:?}: what does it need?"),
    }
}

fn document(method: &str, segments: &[&str]) -> Need {
    match (method, segments.last()) {
        (_, Some(&("submit" | "cancel"))) => Need::Submit,
        ("GET", _) => Need::Read(DOCTYPE),
        ("POST", _) => Need::Create,
        ("PUT" | "PATCH", _) => Need::Write,
        ("DELETE", _) => Need::Delete,
        other => panic!("{other:?}: what does it need?"),
    }
}

fn called(method: &str) -> Need {
    match method.rsplit('.').next().unwrap() {
        "transaction_processing" => Need::Make,
        "retry" => Need::Key,
        "get_items" => Need::Read("Item"),
        "get" | "get_list" | "get_count" | "get_value" => Need::Read(DOCTYPE),
        "insert" | "insert_many" => Need::Create,
        "save" | "set_value" => Need::Write,
        "delete" => Need::Delete,
        "submit" | "cancel" => Need::Submit,
        _ => panic!("{method}: what does it need?"),
    }
}

/// What someone must be let in for.
type May = fn(Need) -> bool;

/// Someone who asks.
struct Caller {
    name: &'static str,
    token: Option<String>,
    may: May,
}

fn is_a_change(need: Need) -> bool {
    matches!(need, Need::Create | Need::Make | Need::Write | Need::Delete | Need::Submit)
}

impl Site {
    async fn put(&self, path: &str, body: Value) {
        let answer = self.send(asked("PUT", path, Some(TOKEN), Some(&body))).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
    }

    async fn key_of(&self, user: &str, expires_at: Option<&str>) -> (String, String) {
        let body = json!({ "user": user, "expires_at": expires_at });
        let answer = self.send(asked("POST", "/v2/api-keys", Some(TOKEN), Some(&body))).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.body);
        let key = answer.body["data"]["key"].as_str().unwrap();
        (answer.body["data"]["id"].as_str().unwrap().into(), format!("token {}", key.replacen('.', ":", 1)))
    }

    async fn callers(&self) -> Vec<Caller> {
        let clerks = json!([{ "doctype": DOCTYPE, "read": true, "create": true }]);
        self.put("/v2/roles/Clerk", json!({ "documents": clerks })).await;
        for user in ["clerk", "idle", "gone"] {
            self.put(&format!("/v2/users/{user}"), json!({ "roles": ["Clerk"] })).await;
        }
        self.put("/v2/users/idle", json!({ "roles": [] })).await;
        let mut callers = vec![
            Caller { name: "System Manager", token: Some(TOKEN.into()), may: |_| true },
            Caller { name: "nobody", token: None, may: |need| need == Need::Nothing },
        ];
        let more: [(&str, &str, May); 4] = [
            ("Integration User", "integrations@causeway", |need| {
                is_a_change(need)
                    || matches!(need, Need::Nothing | Need::Key | Need::Read(_) | Need::ReadOperations)
            }),
            ("Auditor", "auditor@causeway", |need| {
                matches!(need, Need::Nothing | Need::Key | Need::Read(_) | Need::ReadOperations)
            }),
            ("Clerk", "clerk", |need| {
                matches!(need, Need::Nothing | Need::Key | Need::Read(DOCTYPE) | Need::Create)
            }),
            ("no role", "idle", |need| matches!(need, Need::Nothing | Need::Key)),
        ];
        for (name, user, may) in more {
            callers.push(Caller { name, token: Some(self.key_of(user, None).await.1), may });
        }
        let nothing = |need| need == Need::Nothing;
        let (_, of_the_gone) = self.key_of("gone", None).await;
        self.put("/v2/users/gone", json!({ "roles": ["Clerk"], "enabled": false })).await;
        callers.push(Caller { name: "a disabled user", token: Some(of_the_gone), may: nothing });
        let soon = start().saturating_add(jiff::SignedDuration::from_secs(60)).unwrap();
        let (_, expired) = self.key_of("auditor@causeway", Some(&soon.to_string())).await;
        callers.push(Caller { name: "an expired key", token: Some(expired), may: nothing });
        let (id, disabled) = self.key_of("auditor@causeway", None).await;
        let off = json!({ "enabled": false });
        let path = format!("/v2/api-keys/{id}");
        assert!(self.send(asked("PATCH", &path, Some(TOKEN), Some(&off))).await.status.is_success());
        callers.push(Caller { name: "a disabled key", token: Some(disabled), may: nothing });
        self.rig.clock.advance(jiff::SignedDuration::from_secs(61));
        callers
    }
}

/// A request to the route, about things that are not there.
fn request(route: &Route, token: Option<&str>) -> crate::trigger::http::Request {
    let filled = |segment: &str| match segment {
        "{doctype}" => "Sales%20Order".to_owned(),
        segment if segment.starts_with('{') => "x1".to_owned(),
        segment => segment.to_owned(),
    };
    let path = route.path.split('/').map(filled).collect::<Vec<_>>().join("/");
    let takes_body = matches!(route.method, "POST" | "PUT" | "PATCH");
    // A method of version 1 learns from its arguments what it is about, and ignores those of others.
    let document = json!({ "doctype": DOCTYPE, "name": "x1", "modified": "2026-11-22 19:12:00.000000" });
    let arguments = json!({
        "doctype": DOCTYPE, "name": "x1", "fieldname": "remark", "value": "x", "filters": {},
        "doc": document, "docs": [document],
        "data": [{ "name": "x1" }], "from_doctype": DOCTYPE, "to_doctype": MADE,
    });
    if path == "/v2/bulk-transactions" && takes_body {
        let body = json!({ "from_doctype": DOCTYPE, "to_doctype": MADE, "records": ["x1"] });
        return asked(route.method, &path, token, Some(&body));
    }
    if !v1::speaks(route.path) {
        return asked(route.method, &path, token, takes_body.then(|| json!({})).as_ref());
    }
    if takes_body {
        return asked(route.method, &path, token, Some(&arguments));
    }
    asked(route.method, &format!("{path}?doctype=Sales%20Order&name=x1&fieldname=remark"), token, None)
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let site = Site::start().await;
    let mut wrong = Vec::new();
    for caller in site.callers().await {
        for route in ROUTES {
            let need = need(route);
            let response = site.send(request(route, caller.token.as_deref())).await;
            let status = response.status.as_u16();
            let allowed = !matches!(status, 401 | 403);
            if allowed != (caller.may)(need) || status >= 500 {
                let (name, method, path) = (caller.name, route.method, route.path);
                wrong.push(format!("{name}: {method} {path} ({need:?}): {status} {}", response.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
