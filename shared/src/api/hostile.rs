//! What nobody should send, sent to every route of the table: no answer is a 5xx, every refusal is a problem, and
//! each status is one that the OpenAPI document knows.

use std::collections::HashMap;

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Api, ROUTES, Route, openapi, rig::Site, v1};
use crate::{
    ErrorCode,
    rate_limit::Limits,
    trigger::http::{HttpFunction, Request},
};

const KEY: &str = "key_admin.s3cret";
/// More than the gateway lets through.
const HUGE: usize = 6 * 1024 * 1024;
const DEEP: usize = 10_000;

/// So many that no request here is refused for being one too many.
const LIMITS: &str = r#"{
    "read": {"limit": 1000000, "window_seconds": 3600, "burst": 1000000},
    "list": {"limit": 1000000, "window_seconds": 3600, "burst": 1000000},
    "write": {"limit": 1000000, "window_seconds": 3600, "burst": 1000000},
    "report": {"limit": 1000000, "window_seconds": 3600, "burst": 1000000},
    "admin": {"limit": 1000000, "window_seconds": 3600, "burst": 1000000}
}"#;

/// A request as a well-meaning caller sends it, to be spoilt.
fn request(route: &Route) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static(KEY));
    let takes_body = matches!(route.method, "POST" | "PUT" | "PATCH");
    if takes_body {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    Request {
        method: route.method.into(),
        path: path(route, "x"),
        query: HashMap::new(),
        headers,
        body: Ok(if takes_body { b"{}".to_vec() } else { Vec::new() }),
        request_id: None,
        source_address: Some("127.0.0.1".into()),
        host: None,
    }
}

/// The route's path with `value` in the place of each parameter.
fn path(route: &Route, value: &str) -> String {
    let segments =
        route.path.split('/').map(|segment| if segment.starts_with('{') { value } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The statuses that the document knows for a route.
fn documented(document: &Value, route: &Route) -> Vec<u16> {
    let path = route.path.replace("{*", "{");
    let responses = &document["paths"][path][route.method.to_lowercase()]["responses"];
    responses.as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect()
}

async fn check(api: &Api, document: &Value, route: &Route, request: &Request, what: &str) {
    let shown = what.chars().take(80).collect::<String>();
    let asked = format!("{} {} with {shown}", route.method, route.path);
    let response = api.handle(request).await;
    let (status, body) = (response.status.as_u16(), response.body.clone());
    assert!(status < 500, "{asked}: {status} {body}");
    assert!(documented(document, route).contains(&status), "{asked}: {status} is not documented: {body}");
    if status >= 400 {
        let sent = ApiGatewayV2httpResponse::from(response);
        let known = ErrorCode::ALL.iter().any(|code| body["code"] == code.as_str());
        if v1::speaks(route.path) {
            assert!(known && body["exc_type"].is_string(), "{asked}: {body}");
        } else {
            assert_eq!(sent.headers["content-type"], "application/problem+json", "{asked}");
            assert!(known && body["status"] == status && body["detail"].is_string(), "{asked}: {body}");
        }
        assert!(body.to_string().len() < 100_000, "{asked}: a refusal does not repeat what was sent");
    }
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let text = |name, text: &str| (name, text.as_bytes().to_vec());
    vec![
        text("no body", ""),
        text("half an object", "{"),
        text("null", "null"),
        text("an array", "[]"),
        text("a text", "\"x\""),
        text("a number beyond all floats", "{\"name\": 1e999999}"),
        text("a number of 100,000 digits", &format!("{{\"name\": {}}}", "9".repeat(100_000))),
        text("arrays in arrays", &format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP))),
        text("objects in objects", &format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP))),
        text("a deep field", &format!("{{\"a\": {}{}}}", "[".repeat(100), "]".repeat(100))),
        ("no UTF-8", b"{\"a\": \"\xff\xfe\"}".to_vec()),
        text("half a surrogate pair", "{\"a\": \"\\ud800\"}"),
        text("control characters", "{\"name\": \"\\u0000\", \"\\u0000\": 1}"),
        text("an empty name", "{\"\": 1, \"name\": \"\"}"),
        text("a name twice", "{\"a\": 1, \"a\": 2}"),
        text(
            "names of other kinds",
            "{\"name\": [], \"doctype\": {}, \"docstatus\": \"1\", \"naming_series\": 7}",
        ),
        text(
            "our own attributes",
            "{\"pk\": 1, \"sk\": 2, \"__proto__\": {}, \"$ref\": \"#\", \"rules\": null}",
        ),
        text("a huge name", &format!("{{\"{}\": 1}}", "x".repeat(HUGE))),
        text("a huge text", &format!("{{\"a\": \"{}\"}}", "x".repeat(HUGE))),
        text(
            "many fields",
            &format!("{{{}}}", (0..50_000).map(|n| format!("\"f{n}\":1")).collect::<Vec<_>>().join(",")),
        ),
        text("a byte order mark", "\u{feff}{}"),
    ]
}

/// Rules of `ROUTES` hold for all; what a route does with a body that is merely odd is its own business.
async fn try_all(requests: impl Fn(&Route) -> Vec<(String, Request)>) {
    let site = Site::limited(Limits::parse(LIMITS).unwrap(), false).await;
    let (api, document) = (&site.api, openapi::document());
    for route in ROUTES {
        for (what, request) in requests(route) {
            check(api, &document, route, &request, &what).await;
        }
    }
}

#[tokio::test]
async fn no_body_brings_a_route_down() {
    try_all(|route| {
        let with =
            |(what, body): (&str, Vec<u8>)| (what.to_owned(), Request { body: Ok(body), ..request(route) });
        let takes_body = matches!(route.method, "POST" | "PUT" | "PATCH");
        bodies().into_iter().filter(|(_, body)| takes_body || body.len() < 1000).map(with).collect()
    })
    .await;
}

#[tokio::test]
async fn no_content_type_brings_a_route_down() {
    let kinds = [
        "",
        "text/xml",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded",
        ";;;",
        "\u{fc}",
    ];
    try_all(|route| {
        let with = |kind: &str| {
            let mut request = request(route);
            request.headers.insert("content-type", HeaderValue::from_bytes(kind.as_bytes()).unwrap());
            (format!("Content-Type {kind:?}"), request)
        };
        kinds.into_iter().map(with).collect()
    })
    .await;
}

#[tokio::test]
async fn no_query_brings_a_route_down() {
    let long = "x".repeat(100_000);
    let values = [
        "",
        "-1",
        "0",
        "99999999999999999999",
        "1e3",
        "null",
        "[]",
        "\u{0}",
        "%",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "-9999-01-01T00:00:00Z",
        "IjIwMjYiXQ",
        "WyJ4Il0",
        "\u{1f4a3}",
        &long,
    ];
    let document = openapi::document();
    try_all(|route| {
        let operation = &document["paths"][route.path.replace("{*", "{")][route.method.to_lowercase()];
        let known = operation["parameters"].as_array().unwrap().iter().filter(|p| p["in"] == "query");
        let names: Vec<&str> =
            known.filter_map(|p| p["name"].as_str()).chain(["unknown", "", "\u{0}", &long]).collect();
        let with = |(name, value): (&str, &str)| {
            let query = HashMap::from([(name.to_owned(), value.to_owned())]);
            (format!("{name:?} = {value:?}"), Request { query, ..request(route) })
        };
        names.iter().flat_map(|name| values.map(|value| (*name, value))).map(with).collect()
    })
    .await;
}

#[tokio::test]
async fn no_path_brings_a_route_down() {
    let long = "x".repeat(1_800);
    let values = [
        "%ff",
        "%00",
        "%2e%2e",
        "..",
        "%2F",
        "a%",
        "%zz",
        "%20",
        "%20x%20",
        "%23",
        "D%23x",
        "%E2%80%AE",
        "%F0%9F%92%A3",
        "*",
        "{}",
        "User",
        "user",
        "API%20Key",
        "-",
        "%0A",
        "%0d%0aX-Injected:%201",
        &long,
        "",
    ];
    try_all(|route| {
        let with = |value: &str| {
            (format!("{value:?} in its path"), Request { path: path(route, value), ..request(route) })
        };
        let has_parameters = route.path.contains('{');
        values.into_iter().filter(|_| has_parameters).map(with).collect()
    })
    .await;
}

#[tokio::test]
async fn no_key_brings_a_route_down() {
    let long = "x".repeat(100_000);
    let keys: [(&'static str, &[u8]); 12] = [
        ("x-api-key", b""),
        ("x-api-key", b"."),
        ("x-api-key", b"key_admin"),
        ("x-api-key", b"key_admin.\xff"),
        ("x-api-key", long.as_bytes()),
        ("authorization", b""),
        ("authorization", b"token"),
        ("authorization", b"token :"),
        ("authorization", b"Basic !"),
        ("authorization", b"Basic Og=="),
        ("authorization", b"Bearer \xff"),
        ("cookie", b"sid=x"),
    ];
    try_all(|route| {
        let with = |(name, value): (&'static str, &[u8])| {
            let mut request = request(route);
            request.headers.remove("x-api-key");
            request.headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
            (format!("{name}: {}", String::from_utf8_lossy(value)), request)
        };
        keys.into_iter().map(with).collect()
    })
    .await;
}
