//! Standard Webhooks (<https://www.standardwebhooks.com>): `{id}.{timestamp}.{body}` is signed, in
//! `webhook-signature`, as `v1,base64(HMAC-SHA256)` or `v1a,base64(Ed25519)`, several of them space-delimited.
//!
//! The secret's form decides what it can verify: `whsec_…` only `v1`, `whpk_…` (a public key) only `v1a`, so
//! that a public key can never be taken for a shared secret.

use ring::signature::{ED25519, UnparsedPublicKey};

use super::{
    Algorithm, NamedSecret, Verified,
    delivery::{Delivery, malformed},
    encoding::base64,
    hmac, mismatch,
};
use crate::{Result, secrets::Secret};

pub(super) const SIGNATURE_HEADER: &str = "webhook-signature";
const ID_HEADER: &str = "webhook-id";
const TIMESTAMP_HEADER: &str = "webhook-timestamp";

/// The most signatures that are tried: a limit on the work one request can ask for.
const MAX_SIGNATURES: usize = 16;
/// The longest id: it becomes part of the event's identity.
const MAX_ID_BYTES: usize = 256;

/// A secret in the form that it computes with.
enum Key {
    Shared(Secret),
    Public([u8; 32]),
}

/// The signatures of the versions that we know.
#[derive(Default)]
struct Signatures {
    v1: Vec<[u8; 32]>,
    v1a: Vec<[u8; 64]>,
}

/// What is signed, in parts.
type Message<'a> = [&'a [u8]; 5];

pub(super) fn verify(delivery: &Delivery<'_>, secrets: &[NamedSecret]) -> Result<Verified> {
    let signatures = Signatures::parse(delivery.signature_part(SIGNATURE_HEADER)?)?;
    let id = id(delivery)?;
    let timestamp = delivery.timestamp(TIMESTAMP_HEADER)?;
    let message: Message<'_> = [id.as_bytes(), b".", timestamp.as_bytes(), b".", delivery.body];
    let signer = secrets
        .iter()
        .position(|named| key(&named.secret).is_some_and(|key| key.signed(&message, &signatures)))
        .ok_or_else(|| mismatch(SIGNATURE_HEADER))?;
    Ok(Verified { secret: signer, signed_id: Some(id.to_owned()) })
}

/// Whether `secret` has one of the two forms.
pub(super) fn can_use(secret: &Secret) -> bool {
    key(secret).is_some()
}

fn key(secret: &Secret) -> Option<Key> {
    let text = std::str::from_utf8(secret.expose()).ok()?;
    if let Some(public) = text.strip_prefix("whpk_") {
        return Some(Key::Public(base64(public)?.try_into().ok()?));
    }
    let shared = Secret::new(base64(text.strip_prefix("whsec_").unwrap_or(text))?);
    hmac::can_use(&shared).then_some(Key::Shared(shared))
}

impl Key {
    fn signed(&self, message: &Message<'_>, signatures: &Signatures) -> bool {
        match self {
            Self::Shared(secret) => hmac::signed(Algorithm::Sha256, secret, message, &signatures.v1),
            // Ed25519 reads its message twice and ring wants it in one piece: the only copy of a body here.
            Self::Public(key) if !signatures.v1a.is_empty() => {
                let (key, message) = (UnparsedPublicKey::new(&ED25519, key), message.concat());
                signatures.v1a.iter().any(|signature| key.verify(&message, signature).is_ok())
            }
            Self::Public(_) => false,
        }
    }
}

impl Signatures {
    fn parse(text: &str) -> Result<Self> {
        let mut found = Self::default();
        for item in text.split(' ') {
            match item.split_once(',').ok_or_else(|| refused("is not a list of version,signature"))? {
                ("v1", value) => found.v1.push(decode(value)?),
                ("v1a", value) => found.v1a.push(decode(value)?),
                _ => {}
            }
        }
        match found.v1.len() + found.v1a.len() {
            0 => Err(refused("has neither v1 nor v1a")),
            1..=MAX_SIGNATURES => Ok(found),
            _ => Err(refused("has too many signatures")),
        }
    }
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N]> {
    base64(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| refused("has a signature that is not base64 of its version's length"))
}

fn refused(why: &str) -> crate::Error {
    malformed(SIGNATURE_HEADER, why)
}

/// The id, which callers store. That it may hold a `.` makes `{id}.{timestamp}` ambiguous only towards a body
/// that itself starts with a number and a `.`, which the sender would have to have signed.
fn id<'a>(delivery: &Delivery<'a>) -> Result<&'a str> {
    let id = delivery.signature_part(ID_HEADER)?;
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(malformed(ID_HEADER, &format!("is not 1 to {MAX_ID_BYTES} bytes long")));
    }
    if id.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(malformed(ID_HEADER, "has control characters"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use jiff::{SignedDuration, Timestamp};

    use super::super::{
        Scheme, Verified,
        reference::{Key, named},
        verify,
    };
    use crate::ErrorCode;

    // The example of the Standard Webhooks reference libraries, and their Ed25519 example's seed and signature.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SEED: &[u8; 32] = b"TESTSIGNINGKEYDONOTUSETHISFORANY";
    const V1A: &str =
        "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";

    fn public_key() -> String {
        String::from_utf8(Key::Seed(*SEED).shown_for(&Scheme::Standard)).unwrap()
    }

    /// The example's headers with another signature.
    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static(ID));
        headers.insert("webhook-timestamp", TIME.into());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn check(secrets: &[&str], headers: &HeaderMap, body: &[u8]) -> Result<Verified, ErrorCode> {
        let secrets: Vec<_> = secrets.iter().map(|secret| named(*secret)).collect();
        let (tolerance, now) = (SignedDuration::from_secs(300), Timestamp::from_second(TIME).unwrap());
        verify(&Scheme::Standard, headers, body, &secrets, tolerance, now).map_err(|error| error.code())
    }

    fn code(secrets: &[&str], signature: &str) -> Option<ErrorCode> {
        check(secrets, &headers(signature), BODY).err()
    }

    #[test]
    fn the_published_example_is_accepted_with_its_id() {
        let verified = check(&[SECRET], &headers(V1), BODY);
        assert_eq!(verified, Ok(Verified { secret: 0, signed_id: Some(ID.into()) }));
    }

    #[test]
    fn the_published_ed25519_example_is_accepted() {
        let verified = check(&[SECRET, &public_key()], &headers(V1A), BODY);
        assert_eq!(verified, Ok(Verified { secret: 1, signed_id: Some(ID.into()) }));
    }

    #[test]
    fn the_prefix_of_a_shared_secret_is_optional() {
        assert_eq!(code(&[SECRET.strip_prefix("whsec_").unwrap()], V1), None);
    }

    #[test]
    fn forged_body_is_refused() {
        for signature in [V1, V1A] {
            let checked = check(&[SECRET, &public_key()], &headers(signature), br#"{"test": 2432232315}"#);
            assert_eq!(checked, Err(ErrorCode::SignatureMismatch));
        }
    }

    #[test]
    fn a_key_verifies_its_own_version_only() {
        assert_eq!(code(&[&public_key()], V1), Some(ErrorCode::SignatureMismatch));
        assert_eq!(code(&[SECRET], V1A), Some(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn a_public_key_is_never_a_shared_secret() {
        let public = public_key();
        let as_shared = Key::Shared(super::base64(public.strip_prefix("whpk_").unwrap()).unwrap());
        let message = format!("{ID}.{TIME}.{}", str::from_utf8(BODY).unwrap());
        let forged = as_shared.sign(super::Algorithm::Sha256, message.as_bytes());
        let forged = format!("v1,{}", base64::Engine::encode(&super::super::reference::BASE64, forged));
        assert_eq!(code(&[&public], &forged), Some(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn any_signature_of_the_list_may_match() {
        let other = format!("v1,{}=", "A".repeat(43));
        assert_eq!(code(&[SECRET], &format!("{other} {V1A} {V1}")), None);
        assert_eq!(code(&[SECRET], &format!("{V1} {other}")), None);
    }

    #[test]
    fn unknown_versions_are_ignored() {
        assert_eq!(code(&[SECRET], &format!("v2,nonsense {V1} x,")), None);
        assert_eq!(code(&[SECRET], "v2,nonsense"), Some(ErrorCode::SignatureMalformed));
    }

    #[test]
    fn what_cannot_be_the_signature_is_malformed() {
        let value = V1.strip_prefix("v1,").unwrap();
        for signature in [
            String::new(),
            value.to_owned(),
            "v1,".to_owned(),
            format!("V1,{value}"),
            format!("v1={value}"),
            format!("v1a,{value}"),
            format!("v1,{}", V1A.strip_prefix("v1a,").unwrap()),
            format!("{V1} "),
            format!("{V1}  {V1}"),
            format!("{V1},{V1}"),
            format!("v1, {value}"),
            V1.trim_end_matches('=').to_owned(),
            V1.replace("OE=", "OF="),
            V1.replace('+', "-"),
        ] {
            assert_eq!(code(&[SECRET], &signature), Some(ErrorCode::SignatureMalformed), "{signature}");
        }
    }

    #[test]
    fn too_many_signatures_are_refused_even_if_one_is_right() {
        let other = format!("v1,{}= ", "A".repeat(43));
        assert_eq!(code(&[SECRET], &format!("{}{V1}", other.repeat(15))), None);
        let too_many = format!("{}{V1}", other.repeat(16));
        assert_eq!(code(&[SECRET], &too_many), Some(ErrorCode::SignatureMalformed));
    }

    #[test]
    fn every_header_is_needed_once() {
        for (name, absent, twice) in [
            ("webhook-id", ErrorCode::SignatureMissing, ErrorCode::SignatureMalformed),
            ("webhook-signature", ErrorCode::SignatureMissing, ErrorCode::SignatureMalformed),
            ("webhook-timestamp", ErrorCode::TimestampMalformed, ErrorCode::TimestampMalformed),
        ] {
            let mut without = headers(V1);
            let value = without.remove(name).unwrap();
            assert_eq!(check(&[SECRET], &without, BODY), Err(absent), "{name}");
            let mut doubled = headers(V1);
            doubled.append(name, value);
            assert_eq!(check(&[SECRET], &doubled, BODY), Err(twice), "{name}");
        }
    }

    #[test]
    fn another_id_or_time_is_refused() {
        for (name, value) in [("webhook-id", "msg_q"), ("webhook-timestamp", "1614265331")] {
            let mut moved = headers(V1);
            moved.insert(name, value.parse().unwrap());
            assert_eq!(check(&[SECRET], &moved, BODY), Err(ErrorCode::SignatureMismatch), "{name}");
        }
    }

    #[test]
    fn an_old_delivery_is_stale() {
        let mut old = headers(V1);
        old.insert("webhook-timestamp", (TIME - 301).into());
        assert_eq!(check(&[SECRET], &old, BODY), Err(ErrorCode::TimestampStale));
    }

    #[test]
    fn an_id_that_cannot_be_stored_is_malformed() {
        for id in [String::new(), "a".repeat(257), "a\tb".to_owned(), "é".to_owned()] {
            let mut changed = headers(V1);
            changed.insert("webhook-id", HeaderValue::from_bytes(id.as_bytes()).unwrap());
            assert_eq!(check(&[SECRET], &changed, BODY), Err(ErrorCode::SignatureMalformed), "{id}");
        }
    }

    #[test]
    fn a_secret_in_no_known_form_counts_as_missing() {
        for secret in
            ["whsec_", "whsec_AAAA", "whsec_not base64", "whpk_AAAA", "whsk_MfKQ9r8GKYqrTwjUPD8I", "é"]
        {
            assert_eq!(code(&[secret], V1), Some(ErrorCode::SecretMissing), "{secret}");
            let verified = check(&[secret, SECRET], &headers(V1), BODY);
            assert_eq!(verified.map(|verified| verified.secret), Ok(1), "{secret}");
        }
    }
}
