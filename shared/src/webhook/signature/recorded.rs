//! Deliveries as they came over the wire, read from `shared/fixtures/webhooks`.

use std::{fs, path::Path};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The secret that ERPNext signed the recorded deliveries with.
pub(super) const ERPNEXT_SECRET: &str = "hub-test-secret-1";

/// The headers and the body of `name`, an HTTP/1.1 request byte for byte.
pub(super) fn delivery(name: &str) -> (HeaderMap, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/webhooks").join(name);
    let raw = fs::read(path).unwrap();
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let headers: HeaderMap = head.split("\r\n").skip(1).map(header).collect();
    let body = raw[end + 4..].to_vec();
    assert_eq!(headers["content-length"], body.len().to_string(), "{name} is not as recorded");
    (headers, body)
}

fn header(line: &str) -> (HeaderName, HeaderValue) {
    let (name, value) = line.split_once(": ").unwrap();
    (name.parse().unwrap(), value.parse().unwrap())
}
