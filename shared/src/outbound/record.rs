//! What the call log is told of a try: enough to understand it, and no secret.

use http::{HeaderMap, Request, Response, header};
use jiff::Timestamp;
use url::Url;

use super::{
    Call, CallRecord, Origin, TransportError,
    call_log::{CallOutcome, redacted_body, redacted_url},
};

/// Whose calls they are that nothing started which says so.
const NOBODY: &str = "none";

/// The record of a try that began at `at`, before anything came of it.
pub fn begun(call: &Call, attempt: u32, at: Timestamp) -> CallRecord {
    CallRecord {
        owner: Origin::current().map_or_else(|| NOBODY.to_owned(), |origin| origin.owner),
        at,
        connector: call.connector.clone(),
        endpoint: call.endpoint.clone(),
        url: url(&call.request),
        attempt,
        status: None,
        duration_ms: 0,
        request_bytes: call.request.body().len(),
        response_bytes: 0,
        request_body: body(call.request.headers(), call.request.body()),
        response_body: String::new(),
        outcome: CallOutcome::Withheld,
        error: None,
    }
}

/// Adds the answer, as far as there is one.
pub fn answered(record: &mut CallRecord, sent: &Result<Response<Vec<u8>>, TransportError>) {
    match sent {
        Ok(answer) => {
            record.status = Some(answer.status().as_u16());
            record.response_bytes = answer.body().len();
            record.response_body = body(answer.headers(), answer.body());
        }
        Err(TransportError::TooLarge(status)) => record.status = Some(status.as_u16()),
        Err(_) => {}
    }
}

fn body(headers: &HeaderMap, bytes: &[u8]) -> String {
    redacted_body(headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()), bytes)
}

fn url(request: &Request<Vec<u8>>) -> String {
    // What is no URL may be anything.
    Url::parse(&request.uri().to_string()).map_or_else(|_| "[not a URL]".to_owned(), |url| redacted_url(&url))
}
