//! Deliveries: bodies of an exact size, and the headers that sign them.

use base64::{Engine, prelude::BASE64_STANDARD};
use causeway::{
    Error, Result,
    webhook::signature::{Algorithm, Encoding, GenericHmac, Scheme},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Map, Value, json};

/// The words that pad a body: prose deflates about as well as what people type into ERPNext.
const WORDS: [&str; 24] = [
    "deliver",
    "before",
    "noon",
    "pallet",
    "fragile",
    "invoice",
    "Berlin",
    "warehouse",
    "net",
    "thirty",
    "days",
    "call",
    "driver",
    "gate",
    "seven",
    "customs",
    "cleared",
    "steel",
    "bracket",
    "blue",
    "replacement",
    "warranty",
    "partial",
    "urgent",
];

/// Prose of exactly `bytes` bytes, the same for the same `seed`.
pub fn prose(mut seed: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        // The constants of Knuth's MMIX generator.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = usize::try_from(seed >> 33).unwrap_or_default() % WORDS.len();
        text.push_str(WORDS[word]);
        text.push(' ');
    }
    text.truncate(bytes);
    text
}

/// The fields of a Sales Order that rules copy into the document.
pub const DOCUMENT_FIELDS: [&str; 12] = [
    "customer",
    "customer_name",
    "company",
    "currency",
    "transaction_date",
    "delivery_date",
    "grand_total",
    "total_taxes_and_charges",
    "status",
    "po_no",
    "contact_email",
    "terms",
];

/// A Sales Order as an ERPNext webhook sends it: the [`DOCUMENT_FIELDS`] are `document` bytes of JSON, all of it
/// is `body` bytes. `seed` varies names and prose.
pub fn sales_order(
    event: &str,
    name: &str,
    modified: Timestamp,
    seed: u64,
    document: usize,
    body: usize,
) -> Value {
    let mut order = document_fields(seed);
    pad(&mut order, "terms", seed, document);
    order.insert("event".to_owned(), event.into());
    order.insert("doctype".to_owned(), "Sales Order".into());
    order.insert("name".to_owned(), name.into());
    order.insert("docstatus".to_owned(), 0.into());
    order.insert("modified".to_owned(), modified.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string().into());
    order.insert("items".to_owned(), json!([item(seed), item(seed + 1)]));
    pad(&mut order, "remarks", seed + 7, body);
    Value::Object(order)
}

fn document_fields(seed: u64) -> Map<String, Value> {
    let customer = format!("CUST-{seed:05}");
    let fields = json!({
        "customer": customer, "customer_name": format!("Hub Customer {seed} GmbH"), "company": "Causeway Ltd",
        "currency": "EUR", "transaction_date": "2026-11-23", "delivery_date": "2026-11-30",
        "grand_total": 1_190.35, "total_taxes_and_charges": 190.05, "status": "To Deliver and Bill",
        "po_no": format!("PO-{}", seed * 37), "contact_email": format!("orders-{seed}@example.com"), "terms": "",
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn item(seed: u64) -> Value {
    json!({
        "name": format!("{:010x}", seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24),
        "item_code": format!("STL-{seed:04}"), "item_name": "Steel bracket", "description": prose(seed, 60),
        "qty": 12.0, "uom": "Nos", "rate": 41.68, "amount": 500.15, "warehouse": "Stores - CW",
        "delivery_date": "2026-11-30", "conversion_factor": 1.0,
    })
}

/// Adds prose under `field` until `map` is `bytes` bytes of JSON; adds none where it is larger already.
fn pad(map: &mut Map<String, Value>, field: &str, seed: u64, bytes: usize) {
    map.insert(field.to_owned(), "".into());
    let missing = bytes.saturating_sub(Value::Object(map.clone()).to_string().len());
    map.insert(field.to_owned(), prose(seed, missing).into());
}

/// What a provider signs with.
pub enum Key {
    /// A shared secret.
    Shared(Vec<u8>),
    /// An Ed25519 key pair (Standard Webhooks only).
    Pair(Ed25519KeyPair),
}

impl Key {
    /// The secret as its provider shows it.
    pub fn shown(&self, scheme: &Scheme) -> Vec<u8> {
        match (self, scheme) {
            (Self::Shared(key), Scheme::Standard) => {
                format!("whsec_{}", BASE64_STANDARD.encode(key)).into_bytes()
            }
            (Self::Shared(key), _) => key.clone(),
            (Self::Pair(pair), _) => {
                format!("whpk_{}", BASE64_STANDARD.encode(pair.public_key())).into_bytes()
            }
        }
    }
}

/// A generic scheme with the longer hash and a signed time.
pub fn generic_sha512() -> Scheme {
    Scheme::Generic(GenericHmac {
        header: "x-signature".to_owned(),
        algorithm: Algorithm::Sha512,
        encoding: Encoding::Hex,
        prefix: "sha512=".to_owned(),
        timestamp_header: Some("x-timestamp".to_owned()),
    })
}

/// The headers that make `body` a genuine delivery at `now`.
pub fn sign(scheme: &Scheme, key: &Key, id: &str, now: Timestamp, body: &[u8]) -> Result<HeaderMap> {
    let time = now.as_second();
    let headers = match scheme {
        Scheme::Frappe | Scheme::Shopify => {
            vec![(
                scheme.signature_header().to_owned(),
                BASE64_STANDARD.encode(mac(key, hmac::HMAC_SHA256, &[body])),
            )]
        }
        Scheme::Github => {
            vec![(
                scheme.signature_header().to_owned(),
                format!("sha256={}", hex(&mac(key, hmac::HMAC_SHA256, &[body]))),
            )]
        }
        Scheme::Stripe => {
            let signed = mac(key, hmac::HMAC_SHA256, &[format!("{time}.").as_bytes(), body]);
            vec![(scheme.signature_header().to_owned(), format!("t={time},v1={}", hex(&signed)))]
        }
        Scheme::Standard => standard(key, id, time, body),
        Scheme::Generic(generic) => {
            let signed = mac(key, hmac::HMAC_SHA512, &[format!("{time}.").as_bytes(), body]);
            vec![
                (generic.timestamp_header.clone().unwrap_or_default(), time.to_string()),
                (generic.header.clone(), format!("{}{}", generic.prefix, hex(&signed))),
            ]
        }
    };
    headers.into_iter().map(header).collect()
}

fn standard(key: &Key, id: &str, time: i64, body: &[u8]) -> Vec<(String, String)> {
    let before = format!("{id}.{time}.");
    let version = if matches!(key, Key::Shared(_)) { "v1" } else { "v1a" };
    let signed = mac(key, hmac::HMAC_SHA256, &[before.as_bytes(), body]);
    vec![
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), time.to_string()),
        ("webhook-signature".to_owned(), format!("{version},{}", BASE64_STANDARD.encode(signed))),
    ]
}

fn header((name, value): (String, String)) -> Result<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name).map_err(Error::internal)?;
    Ok((name, HeaderValue::try_from(value).map_err(Error::internal)?))
}

fn mac(key: &Key, algorithm: hmac::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    match key {
        Key::Shared(key) => {
            let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
            for part in parts {
                context.update(part);
            }
            context.sign().as_ref().to_vec()
        }
        Key::Pair(pair) => pair.sign(&parts.concat()).as_ref().to_vec(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
