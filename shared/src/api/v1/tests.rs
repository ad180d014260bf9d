//! What version 1 answers, beside what Frappe answered when it was recorded (`shared/fixtures/erpnext`).

use serde_json::{Value, json};

use crate::{
    api::rig::{Site, TOKEN, asked},
    trigger::http::{Request, Response},
};

macro_rules! recorded {
    ($name:literal) => {
        Recording::of(include_str!(concat!("../../../fixtures/erpnext/", $name, ".http")))
    };
}

/// What was recorded of Frappe.
struct Recording {
    status: u16,
    body: Value,
}

impl Recording {
    fn of(text: &str) -> Self {
        let (_, response) = text.split_once("--- RESPONSE ---").unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        let body = response.split_once("\n\n").unwrap().1;
        Self { status, body: serde_json::from_str(body).unwrap() }
    }

    /// Asserts that we answer the same status and exception, with the same members and messages of the same shape.
    #[track_caller]
    fn is_answered_by(&self, ours: &Response) {
        assert_eq!(ours.status.as_u16(), self.status, "{}", ours.body);
        assert_eq!(ours.body["exc_type"], self.body["exc_type"]);
        for (member, theirs) in self.body.as_object().unwrap() {
            let ours = &ours.body[member];
            assert_eq!(kind(ours), kind(theirs), "{member}: {ours}");
        }
        if self.body.get("_server_messages").is_some() {
            let (ours, theirs) = (first_message(&ours.body), first_message(&self.body));
            assert!(ours["message"].is_string() && theirs["message"].is_string());
            assert_eq!(ours["indicator"], "red");
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn first_message(body: &Value) -> Value {
    let texts: Vec<String> = serde_json::from_str(body["_server_messages"].as_str().unwrap()).unwrap();
    serde_json::from_str(&texts[0]).unwrap()
}

/// A form.
fn form(method: &str, path: &str, fields: &[(&str, &str)]) -> Request {
    let mut request = asked(method, path, Some(TOKEN), None);
    request.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    request.body =
        Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes());
    request
}

#[tokio::test]
async fn every_answer_says_that_version_1_is_deprecated() {
    let site = Site::start().await;
    for path in ["/api", "/api/method/ping", "/api/method/nothing", "/api/resource/Item/none", "/api/nothing"]
    {
        let answer = site.get(path).await;
        assert_eq!(answer.headers["deprecation"], "@1796083200", "{path}");
        assert_eq!(answer.headers["sunset"], "Fri, 01 Dec 2028 00:00:00 GMT");
        assert!(answer.headers["link"].to_str().unwrap().contains("rel=\"successor-version\""));
    }
    let ping = site.get("/api/v1/method/ping/?_=1760000000").await;
    assert_eq!(
        ping.body,
        json!({
            "message": "pong", "version": "1.0", "deprecated": true, "migration_guide": "/docs/v1-to-v2",
        })
    );
    for path in ["/health", "/v2"] {
        assert!(site.get(path).await.headers.get("deprecation").is_none());
    }
}

#[tokio::test]
async fn the_version_of_the_api_is_that_which_is_asked_for() {
    let site = Site::start().await;
    let first = site.get("/api").await.body;
    assert_eq!((&first["version"], &first["deprecated"]), (&json!("1.0"), &json!(true)));
    let second = site.get("/api?version=v2").await;
    assert_eq!(second.body["version"], "2.0");
    assert_eq!(second.body["features"], json!(["pagination", "filtering", "sorting"]));
    assert!(second.headers.get("deprecation").is_none());
    let third = site.get("/api?version=v3").await;
    assert_eq!((third.status.as_u16(), &third.body["exc_type"]), (400, &json!("ValidationError")));
    assert_eq!(third.body["code"], "unsupported_version");
}

#[tokio::test]
async fn version_2_takes_a_version_that_is_its_own_and_refuses_others() {
    let site = Site::start().await;
    assert_eq!(site.get("/v2/documents/Item?version=2.0&limit=1").await.status, 200);
    for query in ["version=1", "version=4"] {
        let answer = site.get(&format!("/v2/documents/Item?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (400, &json!("unsupported_version")));
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_refused_as_recorded() {
    let answer = Site::start().await.get("/api/method/erpnext.nope.nope").await;
    recorded!("59_err_method_missing").is_answered_by(&answer);
    let message = first_message(&answer.body)["message"].clone();
    assert!(message.as_str().unwrap().starts_with("Failed to get method for command erpnext.nope.nope"));
}

#[tokio::test]
async fn a_wrong_verb_is_403() {
    let site = Site::start().await;
    let answer = site.send(asked("DELETE", "/api/method/ping", Some(TOKEN), None)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["exc_type"]), (403, &json!("PermissionError")));
    assert_eq!(answer.headers["allow"], "GET, POST");
}

#[tokio::test]
async fn a_missing_and_a_wrong_key_are_refused_as_recorded() {
    let site = Site::start().await;
    let nobody = site.send(asked("GET", "/api/resource/Sales%20Order/x", None, None)).await;
    recorded!("52_err_no_auth").is_answered_by(&nobody);
    let stranger = site.send(asked("GET", "/api/resource/ToDo/x", Some("token aaa:bbb"), None)).await;
    recorded!("50_err_bad_token").is_answered_by(&stranger);
    assert!(stranger.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn who_calls_is_told_as_recorded() {
    let answer = Site::start().await.get("/api/method/frappe.auth.get_logged_user").await;
    recorded!("85_rate_limit_00").is_answered_by(&answer);
    assert_eq!(answer.body["message"], "Administrator");
}

#[tokio::test]
async fn a_form_to_the_site_itself_calls_the_method_in_cmd() {
    let site = Site::start().await;
    for path in ["", "/"] {
        let answer = site.send(form("POST", path, &[("cmd", "frappe.auth.get_logged_user")])).await;
        assert_eq!(answer.body["message"], "Administrator");
    }
    let answer = site.send(form("POST", "/", &[("cmd", "../v2")])).await;
    assert_eq!((answer.status.as_u16(), &answer.body["exc_type"]), (417, &json!("MandatoryError")));
}

#[tokio::test]
async fn a_document_that_is_not_there_is_refused_as_recorded() {
    let answer = Site::start().await.get("/api/resource/Sales%20Order/NOPE").await;
    recorded!("56_err_404_doc").is_answered_by(&answer);
    assert!(answer.body.get("exc").is_none());
}

#[tokio::test]
async fn messages_cannot_carry_markup() {
    let answer = Site::start().await.get("/api/method/%3Cb%3E").await;
    assert!(!answer.body["_server_messages"].as_str().unwrap().contains('<'));
}
