//! The site as an OAuth server: codes and refresh tokens work once, access tokens for their time. Answers are bare.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{options::OauthClient, request::Answer, value};

/// Tokens that are out.
#[derive(Debug)]
pub struct Oauth {
    clients: Vec<OauthClient>,
    codes: BTreeMap<String, String>,
    refresh: BTreeMap<String, String>,
    access: BTreeMap<String, (String, Timestamp)>,
}

fn secret() -> String {
    (0..30).map(|_| fastrand::alphanumeric()).collect()
}

fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, &json!({ "error": code }))
}

impl Oauth {
    /// With the clients' first refresh tokens.
    pub fn new(clients: Vec<OauthClient>) -> Self {
        let refresh =
            clients.iter().map(|client| (client.refresh_token.clone(), client.id.clone())).collect();
        Self { clients, codes: BTreeMap::new(), refresh, access: BTreeMap::new() }
    }

    fn client(&self, id: &str) -> Option<&OauthClient> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// A code as the page for consent gives it.
    pub fn code(&mut self, client: &str) -> String {
        let code = secret();
        self.codes.insert(code.clone(), client.to_owned());
        code
    }

    /// The refresh tokens that work.
    pub fn refresh_tokens(&self) -> Vec<String> {
        self.refresh.keys().cloned().collect()
    }

    /// No access token works any more; refresh tokens do.
    pub fn expire_access(&mut self) {
        self.access.clear();
    }

    /// For whom the bearer acts.
    pub fn bearer(&self, token: &str, now: Timestamp) -> Option<&str> {
        self.access.get(token).filter(|(_, until)| *until > now).map(|(user, _)| user.as_str())
    }

    /// Answers a method of `frappe.integrations.oauth2`; `None` for one that is not there.
    pub fn call(&mut self, method: &str, given: &Map<String, Value>, now: Timestamp) -> Option<Answer> {
        let of = |key: &str| given.get(key).map(value::text).unwrap_or_default();
        Some(match method {
            "get_token" => self.token(&of, now),
            "revoke_token" => {
                self.access.remove(&of("token"));
                self.refresh.remove(&of("token"));
                Answer::json(200, &json!({}))
            }
            "introspect_token" => Answer::json(200, &self.introspect(&of("token"), now)),
            _ => return None,
        })
    }

    fn introspect(&self, token: &str, now: Timestamp) -> Value {
        match self.access.get(token) {
            Some((_, until)) if *until > now => {
                json!({ "client_id": null, "trusted_client": 0, "active": true, "exp": until.as_second(), "scope": "all openid" })
            }
            _ => json!({ "active": false }),
        }
    }

    fn token(&mut self, of: &dyn Fn(&str) -> String, now: Timestamp) -> Answer {
        let Some(client) = self.client(&of("client_id")).cloned() else {
            return error(401, "invalid_client");
        };
        let given = of("client_secret");
        if !given.is_empty() && given != client.secret {
            return error(401, "invalid_client");
        }
        let (grants, grant, openid) = match of("grant_type").as_str() {
            "authorization_code" => (&mut self.codes, of("code"), true),
            "refresh_token" => (&mut self.refresh, of("refresh_token"), false),
            _ => return error(400, "unsupported_grant_type"),
        };
        if grants.get(&grant) != Some(&client.id) {
            return error(400, "invalid_grant");
        }
        grants.remove(&grant);
        Answer::json(200, &self.issue(&client, openid, now))
    }

    fn issue(&mut self, client: &OauthClient, openid: bool, now: Timestamp) -> Value {
        let (access, refresh) = (secret(), secret());
        let seconds = client.expires_in.as_secs();
        let until = now.checked_add(Duration::from_secs(seconds)).unwrap_or(now);
        self.access.insert(access.clone(), (client.user.clone(), until));
        self.refresh.insert(refresh.clone(), client.id.clone());
        let mut answer = json!({
            "access_token": access, "expires_in": seconds, "token_type": "Bearer", "scope": "all openid",
            "refresh_token": refresh,
        });
        if openid {
            answer["id_token"] = json!(secret());
        }
        answer
    }
}
