//! An API key as a request presents it. Its secret stays here only as what is derived from it.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{api_key::is_key_id, principal::hex};
use crate::{Error, ErrorCode, Result};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The longest header with a key, in bytes.
const MAX_HEADER_BYTES: usize = 1_024;
/// What the seal is derived for, so that it is good for nothing else.
const SEAL_PURPOSE: &[u8] = b"causeway idempotency v1";

/// The SHA-256 of a secret, as hexadecimal digits: what is stored, and all that is compared.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    /// The hash of `secret`.
    pub fn of(secret: &[u8]) -> Self {
        Self(hex(digest::digest(&digest::SHA256, secret).as_ref()))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> Choice {
        self.0.as_bytes().ct_eq(other.0.as_bytes())
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// Thirty-two bytes that only whoever presents the key's secret can give, and that are stored nowhere: what is encrypted
/// with them, nobody else reads. Gone from memory when it is dropped.
#[derive(Clone)]
pub struct Seal(Zeroizing<[u8; 32]>);

impl Seal {
    fn of(secret: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), SEAL_PURPOSE);
        let mut seal = Zeroizing::new([0; 32]);
        seal.copy_from_slice(tag.as_ref());
        Self(seal)
    }

    /// The bytes, for the one place that encrypts with them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// A key as a request presents it.
#[derive(Debug)]
pub struct PresentedKey {
    id: String,
    hash: SecretHash,
    seal: Seal,
}

impl PresentedKey {
    /// The key in `headers`. `X-API-Key: id.secret` counts if it is there, else `Authorization`: `token id:secret`,
    /// `Basic` with the base64 of `id:secret`, or `Bearer id.secret` (also `id:secret`).
    ///
    /// Fails with `api_key_missing` if there is neither, or another kind of authorization; with `api_key_invalid` if what
    /// is there cannot be a key, or a header is there twice.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self> {
        if let Some(text) = only(headers, &X_API_KEY)? {
            return Self::parse(text, &['.']);
        }
        let Some(text) = only(headers, &AUTHORIZATION)? else { return Err(missing()) };
        let (scheme, credentials) = text.split_once(' ').unwrap_or((text, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "token" => Self::parse(credentials.trim(), &[':']),
            "bearer" => Self::parse(credentials.trim(), &['.', ':']),
            "basic" => {
                let bytes =
                    BASE64_STANDARD.decode(credentials.trim()).map(Zeroizing::new).map_err(|_| invalid())?;
                Self::parse(std::str::from_utf8(&bytes).map_err(|_| invalid())?, &[':'])
            }
            _ => Err(missing()),
        }
    }

    /// The id and the secret are parted by the first of `separators`: no id has one.
    fn parse(text: &str, separators: &[char]) -> Result<Self> {
        let (id, secret) = text.split_once(separators).ok_or_else(invalid)?;
        if !is_key_id(id) || secret.is_empty() {
            return Err(invalid());
        }
        let secret = secret.as_bytes();
        Ok(Self { id: id.to_owned(), hash: SecretHash::of(secret), seal: Seal::of(secret) })
    }

    /// Which key it claims to be.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hash of the secret it brings.
    pub(super) fn hash(&self) -> &SecretHash {
        &self.hash
    }

    /// What is derived from the secret it brings.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }
}

/// The text of the header `name`, which may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.len() > MAX_HEADER_BYTES {
        return Err(invalid());
    }
    value.to_str().map(Some).map_err(|_| invalid())
}

fn missing() -> Error {
    Error::new(
        ErrorCode::ApiKeyMissing,
        "send the key as \"X-API-Key: <id>.<secret>\" or \"Authorization: token <id>:<secret>\"",
    )
}

/// The error of every key that is not accepted: it does not say why.
pub(super) fn invalid() -> Error {
    Error::new(ErrorCode::ApiKeyInvalid, "the API key is not valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "key_0190aaaabbbb7cccdddd0123456789ab";

    fn presented(headers: &[(&'static str, &str)]) -> Result<PresentedKey> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        PresentedKey::from_headers(&map)
    }

    fn one(name: &'static str, value: &str) -> Result<PresentedKey> {
        presented(&[(name, value)])
    }

    #[test]
    fn a_key_is_the_same_in_every_form() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{ID}:s3.cr:t")));
        let forms = [
            ("x-api-key", format!("{ID}.s3.cr:t")),
            ("authorization", format!("token {ID}:s3.cr:t")),
            ("authorization", format!("Token  {ID}:s3.cr:t")),
            ("authorization", basic),
            ("authorization", format!("Bearer {ID}.s3.cr:t")),
            ("authorization", format!("bearer {ID}:s3.cr:t")),
        ];
        for (name, value) in forms {
            let key = one(name, &value).unwrap();
            assert_eq!(key.id(), ID, "{value}");
            assert!(bool::from(key.hash().matches(&SecretHash::of(b"s3.cr:t"))), "{value}");
        }
        assert_eq!(one("x-api-key", "key_admin.s").unwrap().id(), "key_admin");
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_a_look() {
        let wrong = [
            ("x-api-key", ID.to_owned()),
            ("x-api-key", format!("{ID}.")),
            ("x-api-key", format!("{ID}:s")),
            ("x-api-key", ".s".into()),
            ("x-api-key", "key_other.s".into()),
            ("x-api-key", format!("{}.s", ID.to_uppercase())),
            ("x-api-key", format!("{ID}.{}", "s".repeat(1_024))),
            ("x-api-key", "é".into()),
            ("authorization", "token".into()),
            ("authorization", format!("token {ID}.s")),
            ("authorization", format!("Basic {ID}:s")),
            ("authorization", "Basic /////w==".into()),
            ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.".into()),
        ];
        for (name, value) in wrong {
            assert_eq!(one(name, &value).unwrap_err().code(), ErrorCode::ApiKeyInvalid, "{name}: {value}");
        }
        for value in ["Digest x", "AWS4-HMAC-SHA256 x", ""] {
            assert_eq!(one("authorization", value).unwrap_err().code(), ErrorCode::ApiKeyMissing, "{value}");
        }
        assert_eq!(presented(&[]).unwrap_err().code(), ErrorCode::ApiKeyMissing);
    }

    #[test]
    fn the_key_header_counts_before_the_other_and_none_may_be_there_twice() {
        let good = format!("{ID}.s");
        let both = presented(&[("authorization", "token key_admin:s"), ("x-api-key", &good)]).unwrap();
        assert_eq!(both.id(), ID);
        // A key that is wrong is not made good by another header.
        let wrong = presented(&[("x-api-key", "nonsense"), ("authorization", "token key_admin:s")]);
        assert_eq!(wrong.unwrap_err().code(), ErrorCode::ApiKeyInvalid);
        for name in ["x-api-key", "authorization"] {
            let twice = presented(&[(name, &good), (name, &good)]);
            assert_eq!(twice.unwrap_err().code(), ErrorCode::ApiKeyInvalid, "{name}");
        }
    }

    #[test]
    fn the_seal_is_another_function_of_the_secret_than_what_is_stored() {
        use ::hmac::{KeyInit, Mac};
        let key = one("x-api-key", &format!("{ID}.s3cret")).unwrap();
        let mut second_opinion = ::hmac::Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap();
        second_opinion.update(b"causeway idempotency v1");
        assert_eq!(key.seal().expose().as_slice(), second_opinion.finalize().into_bytes().as_slice());
        let other = one("x-api-key", &format!("{ID}.s3creT")).unwrap();
        assert_ne!(key.seal().expose(), other.seal().expose());
    }

    #[test]
    fn no_secret_is_printed() {
        let key = one("x-api-key", &format!("{ID}.s3cret")).unwrap();
        let printed = format!("{key:?}");
        let hash = hex(digest::digest(&digest::SHA256, b"s3cret").as_ref());
        assert!(!printed.contains("s3cret") && !printed.contains(&hash), "{printed}");
        assert!(printed.contains("Seal(…)") && printed.contains("SecretHash(…)"), "{printed}");
    }
}
