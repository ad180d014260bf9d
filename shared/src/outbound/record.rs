//! What the call log is told of a try: enough to understand it, and no secret.

use http::{Request, Response};
use jiff::Timestamp;
use url::Url;

use super::{Call, CallRecord, Origin, TransportError};
use crate::integration_log::{is_secret_name, redact};

/// What stands where a secret was.
const HIDDEN: &str = "redacted";
/// The longest URL that is kept, in characters.
const MAX_URL_CHARS: usize = 1_000;
/// The longest body that is read to redact it, in bytes; of a longer one only its size is kept.
const MAX_REDACTED_BYTES: usize = 256 * 1024;
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
        request_body: body(call.request.body()),
        response_body: String::new(),
        outcome: "withheld",
        error: None,
    }
}

/// Adds the answer, as far as there is one.
pub fn answered(record: &mut CallRecord, sent: &Result<Response<Vec<u8>>, TransportError>) {
    match sent {
        Ok(answer) => {
            record.status = Some(answer.status().as_u16());
            record.response_bytes = answer.body().len();
            record.response_body = body(answer.body());
        }
        Err(TransportError::TooLarge(status)) => record.status = Some(status.as_u16()),
        Err(_) => {}
    }
}

fn body(bytes: &[u8]) -> String {
    match bytes.len() {
        0 => String::new(),
        length if length > MAX_REDACTED_BYTES => format!("[{length} bytes]"),
        _ => redact(bytes),
    }
}

/// The URL without user, password, fragment and the values of parameters that look secret.
fn url(request: &Request<Vec<u8>>) -> String {
    let Ok(mut url) = Url::parse(&request.uri().to_string()) else { return "[not a URL]".to_owned() };
    // They fail for URLs that can have none.
    let _none = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    if url.query_pairs().any(|(name, _)| is_secret_name(&name)) {
        let shown: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if is_secret_name(&name) { HIDDEN.to_owned() } else { value.into_owned() };
                (name.into_owned(), value)
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.as_str().chars().take(MAX_URL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str) -> String {
        url(&Request::builder().uri(uri).body(Vec::new()).unwrap())
    }

    #[test]
    fn a_url_is_kept_without_its_secrets() {
        assert_eq!(
            shown("https://erp.example.com/api?limit=5&Api-Key=hunter2&sid=x&access_token=hunter2"),
            "https://erp.example.com/api?limit=5&Api-Key=redacted&sid=x&access_token=redacted"
        );
        assert!(!shown("https://user:hunter2@erp.example.com/").contains("hunter2"));
        let plain = "https://erp.example.com/api/resource/Item?filters=%5B%5B%22a%22%5D%5D";
        assert_eq!(shown(plain), plain, "as it was sent");
    }

    #[test]
    fn bodies_are_redacted_and_of_large_ones_the_size_is_kept() {
        assert_eq!(body(b""), "");
        assert_eq!(body(br#"{"api_secret":"hunter2"}"#), r#"{"api_secret":"[redacted]"}"#);
        assert_eq!(body(&vec![b'1'; MAX_REDACTED_BYTES + 1]), "[262145 bytes]");
    }
}
