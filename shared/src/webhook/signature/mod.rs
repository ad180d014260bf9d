//! Signature schemes: is this request from who it says it is from?
//!
//! [`verify`] is called by the ingest over the raw body, before anything else reads it. It fails closed: no
//! secret, no header, a malformed header or an old timestamp is a refusal. Comparisons are constant-time.
//!
//! One file per scheme says where the signature is and what is signed; `delivery` reads headers, `timestamp`
//! judges age, `encoding` decodes, `hmac` and `standard` compute, all with ring. `reference` signs with another
//! crypto library, and `properties` holds every scheme against it.

mod delivery;
mod encoding;
mod frappe;
mod generic;
mod github;
mod header_hmac;
mod hmac;
mod shopify;
mod standard;
mod stripe;
mod timestamp;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod reference;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, FieldError, Result, secrets::Secret};

use delivery::Delivery;
use timestamp::Window;

/// How a provider signs its webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scheme {
    /// `X-Frappe-Webhook-Signature: base64(HMAC-SHA256(body))`.
    Frappe,
    /// Any HMAC of the body, as described.
    Generic(GenericHmac),
    /// `X-Hub-Signature-256: sha256=hex(HMAC-SHA256(body))`.
    Github,
    /// `X-Shopify-Hmac-Sha256: base64(HMAC-SHA256(body))`.
    Shopify,
    /// `Stripe-Signature: t=…,v1=hex(HMAC-SHA256("{t}.{body}"))`, several `v1` allowed.
    Stripe,
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,… v1a,…`.
    Standard,
}

/// A generic HMAC scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenericHmac {
    /// The header that carries the signature.
    pub header: String,
    /// The hash.
    pub algorithm: Algorithm,
    /// How the signature is written.
    pub encoding: Encoding,
    /// What stands before it in the header, e.g. `sha256=`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The header with the time of signing (seconds since 1970); what is signed is then `{timestamp}.{body}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
}

/// The hash of a generic HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal, either case.
    Hex,
    /// Base64, standard alphabet, padded.
    Base64,
}

/// A secret that may have signed the request.
#[derive(Debug, Clone)]
pub struct NamedSecret {
    /// The name that the log shows.
    pub name: String,
    /// The secret as the provider shows it (with its `whsec_` or `whpk_` prefix, if any).
    pub secret: Secret,
}

/// What verification established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The index, in the slice given, of the secret that matched.
    pub secret: usize,
    /// The id that the scheme signs (Standard Webhooks).
    pub signed_id: Option<String>,
}

impl Scheme {
    /// The header that carries the signature.
    pub fn signature_header(&self) -> &str {
        match self {
            Self::Frappe => frappe::SCHEME.header,
            Self::Generic(generic) => &generic.header,
            Self::Github => github::SCHEME.header,
            Self::Shopify => shopify::SCHEME.header,
            Self::Stripe => stripe::HEADER,
            Self::Standard => standard::SIGNATURE_HEADER,
        }
    }

    /// Whether the scheme signs the time of signing, so that an old delivery can be refused.
    pub fn has_timestamp(&self) -> bool {
        match self {
            Self::Frappe | Self::Github | Self::Shopify => false,
            Self::Generic(generic) => generic.timestamp_header.is_some(),
            Self::Stripe | Self::Standard => true,
        }
    }

    /// What is wrong with the description of the scheme; `field` is a JSON pointer into the scheme itself.
    pub fn validate(&self) -> Vec<FieldError> {
        match self {
            Self::Generic(generic) => generic.validate(),
            Self::Frappe | Self::Github | Self::Shopify | Self::Stripe | Self::Standard => Vec::new(),
        }
    }

    fn can_use(&self, secret: &Secret) -> bool {
        match self {
            Self::Standard => standard::can_use(secret),
            _ => hmac::can_use(secret),
        }
    }

    fn matching(&self, delivery: &Delivery<'_>, secrets: &[NamedSecret]) -> Result<Verified> {
        match self {
            Self::Frappe => frappe::SCHEME.verify(delivery, secrets),
            Self::Generic(generic) => generic.as_header_hmac().verify(delivery, secrets),
            Self::Github => github::SCHEME.verify(delivery, secrets),
            Self::Shopify => shopify::SCHEME.verify(delivery, secrets),
            Self::Stripe => stripe::verify(delivery, secrets),
            Self::Standard => standard::verify(delivery, secrets),
        }
    }
}

/// Checks that one of `secrets` signed `body` under `scheme`, not further than `tolerance` from `now`.
///
/// A secret that cannot be used (empty, or not in the scheme's form) is passed over, so that a slip during a
/// rotation does not refuse what the other secret signs; when none is left, nothing is accepted.
///
/// Errors: `secret_missing`, `empty_body`, `signature_missing`, `signature_malformed`, `signature_mismatch`,
/// `timestamp_malformed`, `timestamp_stale`; none says more of a signature than that.
pub fn verify(
    scheme: &Scheme,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[NamedSecret],
    tolerance: SignedDuration,
    now: Timestamp,
) -> Result<Verified> {
    if !secrets.iter().any(|named| scheme.can_use(&named.secret)) {
        return Err(Error::new(ErrorCode::SecretMissing, "the connector has no usable secret"));
    }
    if body.is_empty() {
        return Err(Error::new(ErrorCode::EmptyBody, "a signed delivery must have a body"));
    }
    scheme.matching(&Delivery { headers, body, window: Window { now, tolerance } }, secrets)
}

/// The refusal of a well-formed signature that no secret gives.
fn mismatch(header: &str) -> Error {
    Error::new(ErrorCode::SignatureMismatch, format!("no secret of the connector gives what {header} says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn refusal(secrets: &[&[u8]], body: &[u8]) -> ErrorCode {
        let secrets: Vec<_> = secrets.iter().map(|secret| reference::named(*secret)).collect();
        verify(&Scheme::Github, &HeaderMap::new(), body, &secrets, SignedDuration::from_secs(300), NOW)
            .unwrap_err()
            .code()
    }

    #[test]
    fn without_a_usable_secret_nothing_is_accepted() {
        assert_eq!(refusal(&[], b"x"), ErrorCode::SecretMissing);
        assert_eq!(refusal(&[b""], b"x"), ErrorCode::SecretMissing);
        assert_eq!(refusal(&[b"\0\0"], b"x"), ErrorCode::SecretMissing, "HMAC pads keys with zero bytes");
    }

    #[test]
    fn an_empty_body_is_refused() {
        assert_eq!(refusal(&[b"secret"], b""), ErrorCode::EmptyBody);
    }

    #[test]
    fn the_absence_of_a_secret_is_told_before_anything_about_the_request() {
        assert_eq!(refusal(&[], b""), ErrorCode::SecretMissing);
    }

    #[test]
    fn only_schemes_that_sign_a_time_have_a_timestamp() {
        let with_time = [Scheme::Stripe, Scheme::Standard];
        let without = [Scheme::Frappe, Scheme::Github, Scheme::Shopify];
        assert!(with_time.iter().all(Scheme::has_timestamp));
        assert!(!without.iter().any(Scheme::has_timestamp));
    }

    #[test]
    fn every_scheme_names_a_header_that_http_allows() {
        for scheme in [Scheme::Frappe, Scheme::Github, Scheme::Shopify, Scheme::Stripe, Scheme::Standard] {
            assert!(http::HeaderName::try_from(scheme.signature_header()).is_ok(), "{scheme:?}");
            assert_eq!(scheme.validate(), []);
        }
    }

    #[test]
    fn schemes_are_read_from_settings_by_their_type() {
        let scheme: Scheme = serde_json::from_str(r#"{"type": "github"}"#).unwrap();
        assert_eq!(scheme, Scheme::Github);
        let scheme: Scheme = serde_json::from_str(
            r#"{"type": "generic", "header": "X-Sig", "algorithm": "sha512", "encoding": "hex"}"#,
        )
        .unwrap();
        assert_eq!(scheme.signature_header(), "X-Sig");
        assert!(!scheme.has_timestamp());
    }
}
