//! Signs webhooks as each provider does, with RustCrypto: a second opinion on what the functions verify with ring.
//!
//! A scheme is what a connector's settings hold under `scheme`, e.g. `{"type": "github"}`.

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Sha256, Sha512};

/// Headers, in the order they are sent.
pub type Headers = Vec<(String, String)>;

/// The headers that make `body` a genuine delivery. `at`, in seconds since 1970, and `id` are signed by the
/// schemes that sign a time or an id, and ignored by the others.
pub fn sign(scheme: &Value, secret: &str, body: &[u8], at: i64, id: &str) -> Headers {
    let key = secret.as_bytes();
    match text(scheme, "type") {
        "frappe" => header("X-Frappe-Webhook-Signature", BASE64_STANDARD.encode(sha256(key, body))),
        "github" => header("X-Hub-Signature-256", format!("sha256={}", hex(&sha256(key, body)))),
        "shopify" => header("X-Shopify-Hmac-Sha256", BASE64_STANDARD.encode(sha256(key, body))),
        "stripe" => {
            let signature = hex(&sha256(key, &with_time(at, body)));
            header("Stripe-Signature", format!("t={at},v1={signature}"))
        }
        "standard" => standard(secret, body, at, id),
        "generic" => generic(scheme, key, body, at),
        other => panic!("no signer for the scheme {other:?}"),
    }
}

/// Standard Webhooks with a key pair: what a connector verifies with the public key alone.
pub fn sign_ed25519(key: &SigningKey, body: &[u8], at: i64, id: &str) -> Headers {
    let signature = key.sign(&[id.as_bytes(), b".", &with_time(at, body)].concat());
    standard_headers(format!("v1a,{}", BASE64_STANDARD.encode(signature.to_bytes())), at, id)
}

/// Standard Webhooks: the key is what `whsec_` precedes, decoded.
fn standard(secret: &str, body: &[u8], at: i64, id: &str) -> Headers {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let signature = sha256(&key, &[id.as_bytes(), b".", &with_time(at, body)].concat());
    standard_headers(format!("v1,{}", BASE64_STANDARD.encode(signature)), at, id)
}

fn standard_headers(signature: String, at: i64, id: &str) -> Headers {
    [("webhook-id", id.to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}

/// Whatever header, hash, encoding and prefix the settings name, with or without a signed time.
fn generic(scheme: &Value, key: &[u8], body: &[u8], at: i64) -> Headers {
    let time_header = scheme["timestamp_header"].as_str();
    let signed = if time_header.is_some() { with_time(at, body) } else { body.to_vec() };
    let digest = match text(scheme, "algorithm") {
        "sha512" => sha512(key, &signed),
        _ => sha256(key, &signed),
    };
    let encoded = match text(scheme, "encoding") {
        "hex" => hex(&digest),
        _ => BASE64_STANDARD.encode(digest),
    };
    let prefix = scheme["prefix"].as_str().unwrap_or_default();
    let mut headers = header(text(scheme, "header"), format!("{prefix}{encoded}"));
    headers.extend(time_header.map(|name| (name.to_owned(), at.to_string())));
    headers
}

fn header(name: &str, value: String) -> Headers {
    vec![(name.to_owned(), value)]
}

fn text<'a>(scheme: &'a Value, field: &str) -> &'a str {
    scheme[field].as_str().unwrap_or_else(|| panic!("the scheme {scheme} has no {field}"))
}

fn with_time(at: i64, body: &[u8]) -> Vec<u8> {
    [format!("{at}.").as_bytes(), body].concat()
}

fn sha256(key: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

fn sha512(key: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |four_bits: u8| char::from(b"0123456789abcdef"[usize::from(four_bits)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
