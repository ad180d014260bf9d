//! What the routes of users, roles and API keys do, seen from outside.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::rig::{Site, TOKEN, asked};
use crate::{
    rate_limit::Limits,
    testing::{settings, start},
    trigger::http::{Request, Response},
};

fn request(method: &str, path: &str, body: Option<&Value>, headers: &[(&'static str, &str)]) -> Request {
    let mut request = asked(method, path, Some(TOKEN), body);
    for (name, value) in headers {
        request.headers.insert(*name, value.parse().unwrap());
    }
    request
}

fn etag(response: &Response) -> &str {
    response.headers["etag"].to_str().unwrap()
}

fn told(response: &Response) -> (u16, &str) {
    (response.status.as_u16(), response.body["code"].as_str().unwrap_or_default())
}

impl Site {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&'static str, &str)],
    ) -> Response {
        self.send(request(method, path, body.as_ref(), headers)).await
    }

    /// A new key of the auditor's: its id and what is sent for it.
    async fn key(&self) -> (String, String) {
        let body = json!({ "user": "auditor@causeway", "description": "reads" });
        let made = self.ask("POST", "/v2/api-keys", Some(body), &[]).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
        let data = &made.body["data"];
        (data["id"].as_str().unwrap().into(), data["key"].as_str().unwrap().into())
    }

    /// The status that `key` gets.
    async fn try_key(&self, key: &str) -> u16 {
        let mut request = asked("GET", "/v2/me", None, None);
        request.headers.insert("x-api-key", key.parse().unwrap());
        self.send(request).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_key_is_made_shown_changed_rotated_and_removed() {
    let site = Site::start().await;
    let body =
        json!({ "user": "auditor@causeway", "description": "reads", "expires_at": "2030-01-01T00:00:00Z" });
    let made = site.ask("POST", "/v2/api-keys", Some(body), &[]).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let (id, key) = (made.body["data"]["id"].as_str().unwrap(), made.body["data"]["key"].as_str().unwrap());
    let path = format!("/v2/api-keys/{id}");
    assert_eq!(made.headers["location"], path.as_str());
    assert!(key.starts_with(&format!("{id}.")) && key.len() > id.len() + 40, "{key}");
    assert_eq!(made.headers["cache-control"], "no-store");
    let got = site.get(&path).await;
    assert_eq!((etag(&made), etag(&got)), ("\"1\"", "\"1\""));
    assert_eq!(got.body["data"]["expires_at"], "2030-01-01T00:00:00.000000Z");
    assert_eq!(got.body["data"]["owner"], "Administrator");
    assert!(got.body["data"].get("key").is_none() && got.body["data"].get("secret").is_none());

    let patch = json!({ "expires_at": null, "description": "still reads" });
    let changed = site.ask("PATCH", &path, Some(patch), &[("if-match", "\"1\"")]).await;
    assert_eq!((changed.status.as_u16(), etag(&changed)), (200, "\"2\""), "{}", changed.body);
    assert_eq!(changed.body["data"]["expires_at"], Value::Null);
    assert_eq!(changed.body["data"]["enabled"], true);

    let body = json!({ "grace_seconds": 60 });
    let rotated = site.ask("POST", &format!("{path}/rotate"), Some(body), &[]).await;
    assert_eq!((rotated.status.as_u16(), etag(&rotated)), (200, "\"3\""), "{}", rotated.body);
    let new = rotated.body["data"]["key"].as_str().unwrap().to_owned();
    assert_ne!(new, key);
    assert_eq!((site.try_key(key).await, site.try_key(&new).await), (200, 200));
    site.rig.clock.advance(SignedDuration::from_secs(61));
    assert_eq!((site.try_key(key).await, site.try_key(&new).await), (401, 200));

    let removed = site.ask("DELETE", &path, None, &[]).await;
    assert_eq!((removed.status.as_u16(), removed.body), (204, Value::Null));
    assert_eq!(site.try_key(&new).await, 401);
    assert_eq!(told(&site.get(&path).await), (404, "api_key_not_found"));
}

#[tokio::test]
async fn faults_of_a_key_name_their_fields() {
    let site = Site::start().await;
    let (id, _) = site.key().await;
    let path = format!("/v2/api-keys/{id}");
    let past = start().to_string();
    for (method, path, body, field) in [
        ("POST", "/v2/api-keys", json!({ "user": "nobody" }), "/user"),
        ("POST", "/v2/api-keys", json!({}), "/user"),
        ("POST", "/v2/api-keys", json!({ "user": "auditor@causeway", "secret": "mine" }), "/secret"),
        ("POST", "/v2/api-keys", json!({ "user": "auditor@causeway", "expires_at": past }), "/expires_at"),
        ("POST", "/v2/api-keys", json!({ "user": "auditor@causeway", "expires_at": "soon" }), "/expires_at"),
        ("POST", "/v2/api-keys", json!(["auditor@causeway"]), ""),
        ("PATCH", &path, json!([null, null]), ""),
        ("PATCH", &path, json!({ "enabled": null }), "/enabled"),
        ("PATCH", &path, json!({ "description": "x".repeat(141) }), "/description"),
        ("PATCH", &path, json!({ "user": "Administrator" }), "/user"),
        ("POST", &format!("{path}/rotate"), json!({ "grace_seconds": 604_801 }), "/grace_seconds"),
        ("POST", &format!("{path}/rotate"), json!({ "grace_seconds": -1 }), "/grace_seconds"),
    ] {
        let refused = site.ask(method, path, Some(body.clone()), &[]).await;
        assert_eq!(told(&refused), (400, "invalid_input"), "{method} {path} {body}: {}", refused.body);
        assert_eq!(refused.body["errors"][0]["field"], field, "{method} {path} {body}: {}", refused.body);
    }
}

#[tokio::test]
async fn the_first_key_is_shown_and_not_changed() {
    let site = Site::start().await;
    let first = &site.get("/v2/api-keys?limit=1").await.body["data"][0];
    assert_eq!((&first["id"], &first["built_in"]), (&json!("key_admin"), &json!(true)));
    for (method, path, body) in [
        ("PATCH", "/v2/api-keys/key_admin", Some(json!({ "enabled": false }))),
        ("POST", "/v2/api-keys/key_admin/rotate", Some(json!({}))),
        ("DELETE", "/v2/api-keys/key_admin", None),
        ("PUT", "/v2/users/Administrator", Some(json!({ "enabled": false }))),
        ("DELETE", "/v2/users/Administrator", None),
        ("PUT", "/v2/roles/System%20Manager", Some(json!({}))),
        ("DELETE", "/v2/roles/System%20Manager", None),
    ] {
        assert_eq!(site.ask(method, path, body, &[]).await.body["code"], "built_in", "{method} {path}");
    }
}

#[tokio::test]
async fn a_repeated_request_makes_one_key_and_shows_the_same_secret() {
    let site = Site::start().await;
    let once = [("idempotency-key", "make-1")];
    let body = json!({ "user": "auditor@causeway" });
    let first = site.ask("POST", "/v2/api-keys", Some(body.clone()), &once).await;
    let again = site.ask("POST", "/v2/api-keys", Some(body), &once).await;
    assert_eq!((again.status, &again.body, etag(&again)), (first.status, &first.body, etag(&first)));
    assert_eq!(site.get("/v2/api-keys").await.body["data"].as_array().unwrap().len(), 2);
    let other = site.ask("POST", "/v2/api-keys", Some(json!({ "user": "Administrator" })), &once).await;
    assert_eq!(told(&other), (422, "idempotency_key_reused"));

    let path = format!("/v2/api-keys/{}/rotate", first.body["data"]["id"].as_str().unwrap());
    let once = [("idempotency-key", "turn-1"), ("if-match", "\"1\"")];
    let turned = site.ask("POST", &path, Some(json!({})), &once).await;
    assert_eq!(turned.status.as_u16(), 200, "{}", turned.body);
    let again = site.ask("POST", &path, Some(json!({})), &once).await;
    assert_eq!(
        (again.status, &again.body),
        (turned.status, &turned.body),
        "though it is no longer revision 1"
    );
    let anew = site.ask("POST", &path, Some(json!({})), &[("if-match", "\"1\"")]).await;
    assert_eq!(told(&anew), (412, "precondition_failed"));
    assert_eq!(site.try_key(turned.body["data"]["key"].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn users_and_roles_are_created_replaced_and_removed() {
    let site = Site::start().await;
    let role = json!({ "documents": [{ "doctype": "Item", "read": true }] });
    let made = site.ask("PUT", "/v2/roles/Order%20Desk", Some(role), &[("if-none-match", "*")]).await;
    assert_eq!((made.status.as_u16(), etag(&made)), (201, "\"1\""), "{}", made.body);
    assert_eq!(made.headers["location"], "/v2/roles/Order%20Desk");
    let user = json!({ "name": "ann@example.com", "roles": ["Order Desk"] });
    let made = site.ask("PUT", "/v2/users/ann%40example.com", Some(user), &[]).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    assert_eq!(made.headers["location"], "/v2/users/ann%40example.com");
    let got = site.get("/v2/users/ann%40example.com").await;
    assert_eq!(got.body["data"], made.body["data"]);
    assert_eq!(got.body["data"]["roles"], json!(["Order Desk"]));

    let replaced = json!({ "full_name": "Ann", "roles": [] });
    let replaced = site.ask("PUT", "/v2/users/ann%40example.com", Some(replaced), &[]).await;
    assert_eq!((replaced.status.as_u16(), etag(&replaced)), (200, "\"2\""));
    let other = site.ask("PUT", "/v2/users/ann", Some(json!({ "name": "bob" })), &[]).await;
    assert_eq!(other.body["errors"][0]["field"], "/name");
    let unknown = site.ask("PUT", "/v2/users/bob", Some(json!({ "roles": ["Nothing"] })), &[]).await;
    assert_eq!(unknown.body["errors"][0]["field"], "/roles/0");

    for path in ["/v2/users/ann%40example.com", "/v2/roles/Order%20Desk"] {
        assert_eq!(site.ask("DELETE", path, None, &[]).await.status.as_u16(), 204);
        assert_eq!(site.ask("DELETE", path, None, &[]).await.status.as_u16(), 404);
    }
}

#[tokio::test]
async fn lists_begin_with_what_is_built_in_and_page() {
    let site = Site::start().await;
    for name in ["a", "b"] {
        site.ask("PUT", &format!("/v2/users/{name}"), Some(json!({})), &[]).await;
    }
    let (mut names, mut next) = (Vec::new(), "/v2/users?limit=2".to_owned());
    loop {
        let page = site.get(&next).await;
        let items = page.body["data"].as_array().unwrap();
        names.extend(items.iter().map(|user| user["name"].as_str().unwrap().to_owned()));
        match page.body["page"]["next"].as_str() {
            Some(cursor) => next = format!("/v2/users?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, ["Administrator", "integrations@causeway", "auditor@causeway", "a", "b"]);
}

#[tokio::test]
async fn conditions_hold_on_everything_that_has_a_revision() {
    let site = Site::start().await;
    let connector = serde_json::to_value(settings(json!({}))).unwrap();
    site.ask("PUT", "/v2/connectors/shop", Some(connector.clone()), &[]).await;
    site.ask("PUT", "/v2/users/ann", Some(json!({})), &[]).await;
    site.ask("PUT", "/v2/roles/Desk", Some(json!({})), &[]).await;
    for (path, body) in
        [("/v2/users/ann", json!({})), ("/v2/roles/Desk", json!({})), ("/v2/connectors/shop", connector)]
    {
        let failed = (412, "precondition_failed");
        for stale in [("if-match", "\"7\""), ("if-match", "\"5\", \"7\""), ("if-none-match", "*")] {
            assert_eq!(
                told(&site.ask("PUT", path, Some(body.clone()), &[stale]).await),
                failed,
                "{path} {stale:?}"
            );
        }
        let read = site.get(path).await;
        let current = etag(&read).to_owned();
        let known = site.ask("GET", path, None, &[("if-none-match", &current)]).await;
        assert_eq!(known.status.as_u16(), 304, "{path}");
        let changed = site.ask("PUT", path, Some(body.clone()), &[("if-match", &current)]).await;
        assert_eq!(changed.status.as_u16(), 200, "{path}: {}", changed.body);
        assert_ne!(etag(&changed), current, "{path}");
        assert_eq!(
            told(&site.ask("PUT", path, Some(body), &[("if-match", &current)]).await),
            failed,
            "{path}"
        );
    }
    assert_eq!(told(&site.ask("DELETE", "/v2/users/ann", None, &[("if-match", "\"1\"")]).await).0, 412);
    assert_eq!(told(&site.ask("PUT", "/v2/users/x", Some(json!({})), &[("if-match", "x")]).await).0, 400);
    assert_eq!(told(&site.ask("PUT", "/v2/users/x", Some(json!({})), &[("if-match", "*")]).await).0, 412);
}

#[tokio::test]
async fn a_built_in_role_is_replaced_as_it_was_seen() {
    let site = Site::start().await;
    let path = "/v2/roles/Auditor";
    assert_eq!(etag(&site.get(path).await), "\"0\"");
    let nothing = json!({ "documents": [] });
    let create_only = site.ask("PUT", path, Some(nothing.clone()), &[("if-none-match", "*")]).await;
    assert_eq!(create_only.status.as_u16(), 412, "it is there already");
    let replaced = site.ask("PUT", path, Some(nothing.clone()), &[("if-match", "\"0\"")]).await;
    assert_eq!(etag(&replaced), "\"1\"", "{}", replaced.body);
    let again = site.ask("PUT", path, Some(nothing), &[("if-match", "\"0\"")]).await;
    assert_eq!(again.status.as_u16(), 412);
    assert_eq!(site.ask("DELETE", path, None, &[]).await.status.as_u16(), 204);
    let stands = site.get(path).await;
    assert_eq!((etag(&stands), &stands.body["data"]["built_in"]), ("\"0\"", &json!(true)));
}

#[tokio::test]
async fn a_caller_is_told_who_they_are_and_what_they_may_do() {
    let site = Site::start().await;
    let me = site.get("/v2/me").await.body["data"].clone();
    assert_eq!((&me["user"], &me["key"]["id"]), (&json!("Administrator"), &json!("key_admin")));
    let (id, key) = site.key().await;
    let patch = json!({ "expires_at": "2030-01-01T00:00:00Z" });
    site.ask("PATCH", &format!("/v2/api-keys/{id}"), Some(patch), &[]).await;
    let mut request = asked("GET", "/v2/me", None, None);
    request.headers.insert("x-api-key", key.parse().unwrap());
    let me = site.send(request).await.body["data"].clone();
    let reads = json!({ "doctype": "*", "read": true, "create": false, "write": false, "delete": false, "submit": false });
    assert_eq!(
        me,
        json!({
            "user": "auditor@causeway", "roles": ["Auditor"], "documents": [reads],
            "operations": ["read_operations"], "key": { "id": id, "expires_at": "2030-01-01T00:00:00.000000Z" },
        })
    );
}

#[tokio::test]
async fn who_is_known_gets_in_from_an_address_where_others_guess() {
    let site = Site::limited(Limits::default(), true).await;
    let (_, key) = site.key().await;
    let (_, unknown_here) = site.key().await;
    let from_there = |key: &str| {
        let mut request = asked("GET", "/v2/me", None, None);
        request.headers.insert("x-api-key", key.parse().unwrap());
        request.source_address = Some("203.0.113.9".into());
        request
    };
    let status = async |key: &str| site.send(from_there(key)).await.status.as_u16();
    assert_eq!(status(&key).await, 200);
    let wrong = format!("{}x", &key[..key.len() - 1]);
    for _ in 0..22 {
        status("key_admin.guess").await;
    }
    assert_eq!(status(&wrong).await, 429);
    assert_eq!(status(&unknown_here).await, 429, "it would have to be looked up");
    assert_eq!((status(&key).await, status("key_admin.s3cret").await), (200, 200));
    site.rig.clock.advance(SignedDuration::from_secs(31));
    assert_eq!(status(&key).await, 429, "it is no longer known from memory");
}
