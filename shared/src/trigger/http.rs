//! API Gateway (HTTP API, payload 2.0): requests in, responses out.

use std::{collections::HashMap, convert::Infallible};

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

use super::{calls, queue::deadline};
use crate::{
    Error, ErrorCode, Result,
    error::Kind,
    outbound::{CallLog, Origin},
};

/// How long a caller is asked to wait before trying again when something is not available, in seconds, where
/// the error does not know better.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The header of every answer that has the id of its request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request, with its body's bytes as they were sent.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent, percent-encoded.
    pub path: String,
    /// The query's parameters; of a repeated one the last.
    pub query: HashMap<String, String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; an error if the gateway's base64 cannot be decoded.
    pub body: Result<Vec<u8>>,
    /// The gateway's id of the request.
    pub request_id: Option<String>,
    /// The address it came from, as the gateway saw it.
    pub source_address: Option<String>,
    /// The host it was sent to.
    pub host: Option<String>,
}

/// A function behind the gateway.
pub trait HttpFunction {
    /// Answers one request. It has no error: every failure is an answer.
    fn handle(&self, request: &Request) -> impl Future<Output = Response>;

    /// Where the calls to providers that it makes are noted, to be written before the answer goes out; `None` if it
    /// makes none.
    fn call_log(&self) -> Option<&dyn CallLog> {
        None
    }
}

/// Answers requests until the runtime ends. Calls that a request makes are the request's, until the function's deadline.
pub async fn run(function: &impl HttpFunction) -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let request = Request::from(event.payload);
        let owner = request.request_id.clone().unwrap_or(event.context.request_id);
        let deadline = deadline(event.context.deadline);
        let answer = Origin { owner: owner.clone(), deadline }.scope(function.handle(&request)).await;
        // By which the calls that were made for it are found.
        let response = answer.with_header(REQUEST_ID, &owner);
        if let Some(log) = function.call_log() {
            calls::write(log, deadline).await;
        }
        Ok::<_, Infallible>(ApiGatewayV2httpResponse::from(response))
    }))
    .await
}

impl From<ApiGatewayV2httpRequest> for Request {
    fn from(event: ApiGatewayV2httpRequest) -> Self {
        // As it was sent: the gateway's own parameters join repeated ones with commas, which reading them again
        // would tear JSON apart at.
        let query = event.raw_query_string.unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self {
            method: event.request_context.http.method.to_string(),
            path: event.raw_path.unwrap_or_default(),
            query: query.collect(),
            headers: event.headers,
            body: body(event.body, event.is_base64_encoded),
            request_id: event.request_context.request_id,
            source_address: event.request_context.http.source_ip,
            host: event.request_context.domain_name,
        }
    }
}

fn body(body: Option<String>, is_base64: bool) -> Result<Vec<u8>> {
    match body {
        None => Ok(Vec::new()),
        Some(text) if is_base64 => BASE64_STANDARD
            .decode(text)
            .map_err(|_| Error::new(ErrorCode::MalformedBody, "the gateway's base64 cannot be decoded")),
        Some(text) => Ok(text.into_bytes()),
    }
}

impl Request {
    /// Refuses a body that says it is something else than JSON.
    pub fn expect_json(&self) -> Result<()> {
        let sent = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = sent.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
            return Ok(());
        }
        let detail = match sent {
            None => "say Content-Type: application/json".to_owned(),
            Some(sent) => format!("the body is {sent:?}; send JSON with Content-Type: application/json"),
        };
        Err(Error::new(ErrorCode::UnsupportedContent, detail))
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        let bytes = self.body()?;
        if bytes.is_empty() {
            return Err(Error::new(ErrorCode::EmptyBody, "the body is empty; JSON is expected"));
        }
        serde_json::from_slice(bytes)
            .map_err(|e| Error::new(ErrorCode::MalformedBody, format!("the body is not JSON: {e}")))
    }

    /// The body's bytes.
    pub fn body(&self) -> Result<&[u8]> {
        match &self.body {
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(Error::new(error.code(), error.detail())),
        }
    }
}

/// A response with a JSON body.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers besides `Content-Type`.
    pub headers: HeaderMap,
    /// Its body; null where it is an asset or there is none.
    pub body: Value,
    asset: Option<&'static str>,
    content_type: &'static str,
}

impl Response {
    /// `{"data": …}` with `status`.
    pub fn data(status: StatusCode, data: impl Into<Value>) -> Self {
        Self::json(status, json!({ "data": data.into() }))
    }

    /// `{"data": […], "page": {"next": …}}`, with `"partial": true` where a limit ended the search before the page was full.
    pub fn page(items: &[Value], next: Option<&str>, partial: bool) -> Self {
        let mut page = json!({ "next": next });
        if partial {
            page["partial"] = true.into();
        }
        Self::json(StatusCode::OK, json!({ "data": items, "page": page }))
    }

    /// `body` as it is, in no envelope of ours.
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self { status, headers: HeaderMap::new(), body, asset: None, content_type: "application/json" }
    }

    /// No body.
    pub fn empty(status: StatusCode) -> Self {
        Self::asset("", "").with_status(status)
    }

    /// A page or file that is part of the program.
    pub fn asset(content_type: &'static str, text: &'static str) -> Self {
        let headers = HeaderMap::new();
        Self { status: StatusCode::OK, headers, body: Value::Null, asset: Some(text), content_type }
    }

    /// The same headers, 304 and no body.
    #[must_use]
    pub fn not_modified(self) -> Self {
        Self { headers: self.headers, ..Self::empty(StatusCode::NOT_MODIFIED) }
    }

    /// With another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header; one that is not printable is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With another member in a body that is an object.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        if let Value::Object(members) = &mut self.body {
            members.insert(name.to_owned(), value);
        }
        self
    }

    /// The problem (RFC 9457) that `error` is to its caller.
    pub fn problem(error: &Error) -> Self {
        let status = status(error.code().kind());
        let code = error.code();
        let mut body = json!({
            "type": format!("/docs/errors#{}", code.as_str()),
            "title": code.title(),
            "status": status.as_u16(),
            "code": code.as_str(),
            "detail": error.detail(),
        });
        if !error.field_errors().is_empty() {
            body["errors"] = json!(error.field_errors());
        }
        Self { content_type: "application/problem+json", ..Self::json(status, body) }.with_retry_after(error)
    }

    /// With `Retry-After`, if `error` may pass by itself.
    #[must_use]
    pub fn with_retry_after(self, error: &Error) -> Self {
        let wait = match error.code().kind() {
            Kind::Unavailable => Some(error.retry_after_seconds().unwrap_or(RETRY_AFTER_SECONDS)),
            _ => error.retry_after_seconds(),
        };
        match wait {
            Some(seconds) => self.with_header(header::RETRY_AFTER, &seconds.to_string()),
            None => self,
        }
    }
}

/// The one place that gives a kind of error its status.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Precondition => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Limited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Response> for ApiGatewayV2httpResponse {
    fn from(response: Response) -> Self {
        let mut headers = response.headers;
        if !response.content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(response.content_type));
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let mut event = Self::default();
        event.status_code = i64::from(response.status.as_u16());
        event.headers = headers;
        let text = response.asset.map_or_else(|| response.body.to_string(), ToOwned::to_owned);
        event.body = Some(Body::Text(text));
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_bodies_are_decoded_to_their_bytes() {
        assert_eq!(body(Some("/wA=".into()), true).unwrap(), [0xff, 0]);
        assert_eq!(body(Some("/wA=".into()), false).unwrap(), b"/wA=");
        assert_eq!(body(Some("%".into()), true).unwrap_err().code(), ErrorCode::MalformedBody);
    }

    #[test]
    fn json_in_the_query_is_not_torn_apart_at_its_commas() {
        let event: ApiGatewayV2httpRequest = serde_json::from_value(json!({
            "rawPath": "/v2", "rawQueryString": "filters=[%5B%22a%22,%22=%22,%22b+c%22]]&limit=1&limit=2",
            "queryStringParameters": { "filters": "[[\"a\",\"=\",\"b c\"]]", "limit": "1,2" },
            "requestContext": { "http": { "method": "GET" } },
        }))
        .unwrap();
        let request = Request::from(event);
        assert_eq!(request.query["filters"], r#"[["a","=","b c"]]"#);
        assert_eq!(request.query["limit"], "2");
    }

    #[test]
    fn a_problem_names_code_status_and_fields_and_hides_the_cause() {
        let error = Error::field("/name", "missing", "is needed").because("the secret cause");
        let response = Response::problem(&error);
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert_eq!(response.body["errors"][0]["field"], "/name");
        assert!(!response.body.to_string().contains("secret cause"));
    }

    #[test]
    fn what_is_unavailable_asks_to_come_back() {
        let response = Response::problem(&Error::unavailable("SQS", "down"));
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers[header::RETRY_AFTER], "5");
    }

    #[test]
    fn who_asks_too_often_is_told_when_there_is_room_again() {
        let response = Response::problem(&Error::limited("too many reports", 1_234));
        assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers[header::RETRY_AFTER], "1234");
    }
}
