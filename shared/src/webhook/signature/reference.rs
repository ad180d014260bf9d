//! The second opinion: signs deliveries as providers do, with RustCrypto and none of the code under test.

use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, STANDARD},
};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Sha256, Sha512};

use super::{Algorithm, Encoding, NamedSecret, Scheme};
use crate::secrets::Secret;

pub(super) const BASE64: GeneralPurpose = STANDARD;

/// A secret under a name that tests do not care for.
pub(super) fn named(secret: impl AsRef<[u8]>) -> NamedSecret {
    NamedSecret { name: "test".into(), secret: Secret::new(secret.as_ref()) }
}

/// What a provider signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// The bytes of an HMAC key.
    Shared(Vec<u8>),
    /// The seed of an Ed25519 key pair (Standard Webhooks only).
    Seed([u8; 32]),
}

/// What a provider signs.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub id: String,
    pub time: i64,
    pub body: Vec<u8>,
}

impl Key {
    /// The secret as the provider shows it to its customer.
    pub fn shown_for(&self, scheme: &Scheme) -> Vec<u8> {
        match (self, scheme) {
            (Self::Shared(key), Scheme::Standard) => format!("whsec_{}", BASE64.encode(key)).into_bytes(),
            (Self::Shared(key), _) => key.clone(),
            (Self::Seed(seed), _) => {
                let public = SigningKey::from_bytes(seed).verifying_key();
                format!("whpk_{}", BASE64.encode(public.as_bytes())).into_bytes()
            }
        }
    }

    /// The raw signature of `message`.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        match (self, algorithm) {
            (Self::Shared(key), Algorithm::Sha256) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
            (Self::Shared(key), Algorithm::Sha512) => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
            (Self::Seed(seed), _) => SigningKey::from_bytes(seed).sign(message).to_bytes().to_vec(),
        }
    }
}

/// The raw signature that `key` gives `event` under `scheme`.
pub(super) fn sign(scheme: &Scheme, key: &Key, event: &Event) -> Vec<u8> {
    let Event { id, time, body } = event;
    let before = match scheme {
        Scheme::Standard => format!("{id}.{time}."),
        scheme if scheme.has_timestamp() => format!("{time}."),
        _ => String::new(),
    };
    let algorithm = match scheme {
        Scheme::Generic(generic) => generic.algorithm,
        _ => Algorithm::Sha256,
    };
    key.sign(algorithm, &[before.as_bytes(), body].concat())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// `signature` as the text of the scheme's header.
pub(super) fn write(scheme: &Scheme, key: &Key, event: &Event, signature: &[u8]) -> String {
    let base64 = BASE64.encode(signature);
    let hex = hex(signature);
    match (scheme, key) {
        (Scheme::Frappe | Scheme::Shopify, _) => base64,
        (Scheme::Github, _) => format!("sha256={hex}"),
        (Scheme::Stripe, _) => format!("t={},v1={hex}", event.time),
        (Scheme::Standard, Key::Shared(_)) => format!("v1,{base64}"),
        (Scheme::Standard, Key::Seed(_)) => format!("v1a,{base64}"),
        (Scheme::Generic(generic), _) => match generic.encoding {
            Encoding::Hex => format!("{}{hex}", generic.prefix),
            Encoding::Base64 => format!("{}{base64}", generic.prefix),
        },
    }
}

/// All headers of a delivery of `event` whose signature header says `text`.
pub(super) fn headers(scheme: &Scheme, event: &Event, text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let name: HeaderName = scheme.signature_header().parse().unwrap();
    headers.insert(name, text.parse().unwrap());
    match scheme {
        Scheme::Standard => {
            headers.insert("webhook-id", event.id.parse().unwrap());
            headers.insert("webhook-timestamp", event.time.into());
        }
        Scheme::Generic(generic) => {
            if let Some(name) = &generic.timestamp_header {
                headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from(event.time));
            }
        }
        Scheme::Frappe | Scheme::Github | Scheme::Shopify | Scheme::Stripe => {}
    }
    headers
}
