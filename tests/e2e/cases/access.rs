//! Users, roles and API keys, as those who manage them and those who use them see them.

use std::{
    thread::sleep,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    client::Answer,
    hub::{Hub, encode},
    wait::wait_for,
};

/// After this a change of a user, role or key is felt in every instance.
const FELT: Duration = Duration::from_secs(30);
/// What a loaded machine takes beyond that.
const SLACK: Duration = Duration::from_secs(15);

pub fn cases() -> Vec<Case> {
    cases![
        a_changed_role_is_felt_within_half_a_minute,
        a_disabled_key_is_refused_within_half_a_minute_and_works_again_at_once,
        a_disabled_users_keys_are_refused_within_half_a_minute,
        a_rotated_key_works_until_its_grace_ends,
        a_key_expires,
        a_key_works_in_every_form_and_does_what_its_user_may,
        a_repeated_creation_of_a_key_shows_the_same_secret,
        two_who_change_a_user_do_not_overwrite_each_other,
    ]
}

/// A user of the hub with a role and a key of their own.
struct Clerk<'a> {
    hub: &'a Hub,
    name: String,
    doctype: String,
    key_path: String,
    key: String,
}

impl<'a> Clerk<'a> {
    /// One who may read and create documents of one DocType.
    #[track_caller]
    fn new(hub: &'a Hub, name: &str) -> Self {
        let (name, doctype) = (format!("{name}@example.com"), format!("Order of {name}"));
        let mut clerk = Self { hub, name, doctype, key_path: String::new(), key: String::new() };
        clerk.put_role(true);
        let user = json!({ "full_name": "A clerk", "roles": [clerk.name] });
        hub.api("PUT", &clerk.user_path(), Some(&user)).data(201);
        let answer = hub.api("POST", "/v2/api-keys", Some(&json!({ "user": clerk.name })));
        let made = answer.data(201);
        answer.header("location").clone_into(&mut clerk.key_path);
        assert_eq!(clerk.key_path, format!("/v2/api-keys/{}", made["id"].as_str().unwrap()));
        made["key"].as_str().unwrap().clone_into(&mut clerk.key);
        clerk
    }

    #[track_caller]
    fn put_role(&self, reads: bool) {
        let rule = json!({ "doctype": self.doctype, "read": reads, "create": true });
        let role = json!({ "documents": [rule] });
        let answer = self.hub.api("PUT", &format!("/v2/roles/{}", encode(&self.name)), Some(&role));
        assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    }

    fn user_path(&self) -> String {
        format!("/v2/users/{}", encode(&self.name))
    }

    fn documents(&self) -> String {
        format!("/v2/documents/{}", encode(&self.doctype))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.hub.api_with_key(method, path, body, Some(&self.key))
    }

    /// Waits until `key` gets this status for the list of the clerk's documents.
    #[track_caller]
    fn wait_until(&self, key: &str, status: u16, limit: Duration) {
        wait_for(&format!("{status} for {}", self.name), limit, || {
            let answer = self.hub.api_with_key("GET", &self.documents(), None, Some(key));
            if answer.status == status { Ok(()) } else { Err(format!("{} {}", answer.status, answer.body)) }
        });
    }
}

/// What was sent for a key, split.
fn parts(key: &str) -> (&str, &str) {
    key.split_once('.').unwrap()
}

fn base64(text: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(text)
}

fn a_key_works_in_every_form_and_does_what_its_user_may(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    let (id, secret) = parts(&clerk.key);
    let forms = [
        ("X-API-Key", format!("{id}.{secret}")),
        ("Authorization", format!("token {id}:{secret}")),
        ("Authorization", format!("Basic {}", base64(&format!("{id}:{secret}")))),
        ("Authorization", format!("Bearer {id}.{secret}")),
    ];
    for (header, value) in forms {
        let answer = hub.ask("GET", "/v2/me", &[(header, &value)], None);
        let me = answer.data(200);
        assert_eq!((&me["user"], &me["key"]["id"]), (&json!(clerk.name), &json!(id)), "{value}");
        assert_eq!(me["documents"][0]["doctype"], clerk.doctype, "{me}");
        let wrong = format!("{}x", &value[..value.len() - 1]);
        hub.ask("GET", "/v2/me", &[(header, &wrong)], None).is_problem(401, "api_key_invalid");
    }
    let made = clerk.ask("POST", &clerk.documents(), Some(&json!({ "name": "A-1" })));
    assert_eq!(made.data(201)["owner"], clerk.name);
    let own = format!("{}/A-1", clerk.documents());
    clerk.ask("GET", &own, None).data(200);
    for (method, path, body) in [
        ("PATCH", &*own, Some(json!({ "note": "x" }))),
        ("DELETE", &own, None),
        ("POST", &clerk.documents(), Some(json!({ "name": "A-2", "docstatus": 1 }))),
        ("GET", "/v2/documents/Sales%20Order", None),
        ("POST", "/v2/documents/Sales%20Order", Some(json!({ "name": "A-1" }))),
        ("GET", "/v2/documents/User", None),
        ("GET", "/v2/connectors", None),
        ("GET", "/v2/integration-logs", None),
        ("GET", "/v2/parked", None),
        ("GET", "/v2/users", None),
        ("PUT", "/v2/roles/Mine", Some(json!({ "operations": ["manage_users"] }))),
        ("GET", "/v2/api-keys", None),
        ("POST", "/v2/api-keys", Some(json!({ "user": "Administrator" }))),
        ("POST", &format!("{}/rotate", clerk.key_path), Some(json!({}))),
    ] {
        clerk.ask(method, path, body.as_ref()).is_problem(403, "permission_denied");
    }
}

fn a_rotated_key_works_until_its_grace_ends(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    let body = json!({ "grace_seconds": 4 });
    let rotated = hub.api("POST", &format!("{}/rotate", clerk.key_path), Some(&body));
    let new = rotated.data(200)["key"].as_str().unwrap().to_owned();
    assert_ne!(new, clerk.key);
    clerk.wait_until(&new, 200, Duration::from_secs(2));
    clerk.wait_until(&clerk.key, 200, Duration::ZERO);
    clerk.wait_until(&clerk.key, 401, FELT + SLACK);
    clerk.wait_until(&new, 200, Duration::ZERO);
    let shown = hub.api("GET", &clerk.key_path, None);
    assert!(shown.data(200).get("key").is_none(), "{}", shown.body);
    let hidden = parts(&new).1;
    assert!(!hub.api("GET", "/v2/api-keys?limit=500", None).body.to_string().contains(hidden));
}

fn a_disabled_key_is_refused_within_half_a_minute_and_works_again_at_once(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    clerk.wait_until(&clerk.key, 200, Duration::from_secs(2));
    hub.api("PATCH", &clerk.key_path, Some(&json!({ "enabled": false }))).data(200);
    clerk.wait_until(&clerk.key, 401, FELT + SLACK);
    hub.api("PATCH", &clerk.key_path, Some(&json!({ "enabled": true }))).data(200);
    clerk.wait_until(&clerk.key, 200, Duration::from_secs(3));
    assert_eq!(hub.api("DELETE", &clerk.key_path, None).status, 204);
    clerk.wait_until(&clerk.key, 401, FELT + SLACK);
    hub.api("GET", &clerk.key_path, None).is_problem(404, "api_key_not_found");
}

fn a_disabled_users_keys_are_refused_within_half_a_minute(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    clerk.wait_until(&clerk.key, 200, Duration::from_secs(2));
    let disabled = json!({ "enabled": false, "roles": [clerk.name] });
    hub.api("PUT", &clerk.user_path(), Some(&disabled)).data(200);
    clerk.wait_until(&clerk.key, 401, FELT + SLACK);
    let refused = hub.api("POST", "/v2/api-keys", Some(&json!({ "user": clerk.name })));
    refused.is_problem(400, "invalid_input");
}

fn a_key_expires(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    let past = json!({ "expires_at": "2026-01-01T00:00:00Z" });
    hub.api("PATCH", &clerk.key_path, Some(&past)).is_problem(400, "invalid_input");
    let soon = SystemTime::now() + Duration::from_secs(5);
    let soon = jiff::Timestamp::try_from(soon).unwrap().to_string();
    hub.api("PATCH", &clerk.key_path, Some(&json!({ "expires_at": soon }))).data(200);
    clerk.wait_until(&clerk.key, 200, Duration::ZERO);
    clerk.wait_until(&clerk.key, 401, FELT + SLACK);
    hub.api("PATCH", &clerk.key_path, Some(&json!({ "expires_at": null }))).data(200);
    clerk.wait_until(&clerk.key, 200, Duration::from_secs(3));
}

fn a_changed_role_is_felt_within_half_a_minute(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    clerk.wait_until(&clerk.key, 200, Duration::from_secs(2));
    clerk.put_role(false);
    clerk.wait_until(&clerk.key, 403, FELT + SLACK);
    clerk.put_role(true);
    clerk.wait_until(&clerk.key, 200, FELT + SLACK);
}

fn a_repeated_creation_of_a_key_shows_the_same_secret(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    let api_key = hub.stack.variables.get("API_KEY");
    let headers = [("X-API-Key", api_key), ("Idempotency-Key", name)];
    let body = json!({ "user": clerk.name, "description": "made once" });
    let make = || hub.ask("POST", "/v2/api-keys", &headers, Some(&body));
    let (first, second) = (make(), make());
    assert_eq!(first.data(201), second.data(201));
    clerk.wait_until(first.body["data"]["key"].as_str().unwrap(), 200, Duration::from_secs(2));
    // The list's index lags.
    sleep(Duration::from_secs(1));
    let keys = hub.all("/v2/api-keys", 50);
    assert_eq!(
        keys.iter().filter(|key| key["user"] == clerk.name).count(),
        2,
        "the clerk's own, and one more"
    );
}

fn two_who_change_a_user_do_not_overwrite_each_other(hub: &Hub, name: &str) {
    let clerk = Clerk::new(hub, name);
    let (path, api_key) = (clerk.user_path(), hub.stack.variables.get("API_KEY"));
    let seen = hub.api("GET", &path, None);
    let tag = seen.header("etag").to_owned();
    let put = |full_name: &str| {
        let body = json!({ "full_name": full_name, "roles": [clerk.name] });
        hub.ask("PUT", &path, &[("X-API-Key", api_key), ("If-Match", &tag)], Some(&body))
    };
    put("Ann").data(200);
    put("Bob").is_problem(412, "precondition_failed");
    assert_eq!(hub.api("GET", &path, None).data(200)["full_name"], "Ann");
    let known = hub.ask("GET", &path, &[("X-API-Key", api_key), ("If-None-Match", "\"2\"")], None);
    assert_eq!(known.status, 304, "{}", known.body);
}
