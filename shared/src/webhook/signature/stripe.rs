//! Stripe: `Stripe-Signature: t=…,v1=hex(HMAC-SHA256("{t}.{body}"))`.
//!
//! While a secret is rolled Stripe sends one `v1` for each; `v0` is a test signature and, like keys we do not
//! know, is never looked at. The secret is used as Stripe shows it, `whsec_` included.

use super::{
    Algorithm, Encoding, NamedSecret, Verified,
    delivery::{Delivery, malformed},
    hmac, mismatch,
};
use crate::{Error, ErrorCode, Result};

pub(super) const HEADER: &str = "Stripe-Signature";

/// The most signatures that are tried: a limit on the work one request can ask for.
const MAX_SIGNATURES: usize = 16;

/// The header taken apart.
struct Parts<'a> {
    timestamp: &'a str,
    signatures: Vec<Vec<u8>>,
}

pub(super) fn verify(delivery: &Delivery<'_>, secrets: &[NamedSecret]) -> Result<Verified> {
    let parts = parse(delivery.signature_part(HEADER)?)?;
    delivery.window.check(HEADER, parts.timestamp)?;
    let message: [&[u8]; 3] = [parts.timestamp.as_bytes(), b".", delivery.body];
    let signer = secrets
        .iter()
        .position(|named| hmac::signed(Algorithm::Sha256, &named.secret, &message, &parts.signatures))
        .ok_or_else(|| mismatch(HEADER))?;
    Ok(Verified { secret: signer, signed_id: None })
}

fn parse(text: &str) -> Result<Parts<'_>> {
    let mut timestamp = None;
    let mut signatures = Vec::new();
    for item in text.split(',') {
        match item.split_once('=').ok_or_else(|| malformed(HEADER, "is not a list of key=value"))? {
            ("t", _) if timestamp.is_some() => return Err(malformed(HEADER, "has more than one t")),
            ("t", value) => timestamp = Some(value),
            ("v1", value) => signatures.push(signature(value)?),
            _ => {}
        }
    }
    if signatures.is_empty() {
        return Err(malformed(HEADER, "has no v1"));
    }
    if signatures.len() > MAX_SIGNATURES {
        return Err(malformed(HEADER, "has too many signatures"));
    }
    let timestamp = timestamp
        .ok_or_else(|| Error::new(ErrorCode::TimestampMalformed, format!("the header {HEADER} has no t")))?;
    Ok(Parts { timestamp, signatures })
}

fn signature(text: &str) -> Result<Vec<u8>> {
    Encoding::Hex
        .decode(text)
        .filter(|bytes| bytes.len() == Algorithm::Sha256.signature_bytes())
        .ok_or_else(|| malformed(HEADER, "has a v1 that is not a hexadecimal signature"))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::{SignedDuration, Timestamp};

    use super::super::{Scheme, Verified, reference::named, verify};
    use crate::ErrorCode;

    const SECRET: &str = "whsec_test_secret";
    const BODY: &[u8] = br#"{"id":"evt_test"}"#;
    // By OpenSSL: `printf '1492774577.{"id":"evt_test"}' | openssl dgst -sha256 -hmac whsec_test_secret`.
    const V1: &str = "22f7d74836ddad3284a2b80853dd2fe731655c1bfddcff3c3666a500cf3abd80";
    const T: &str = "t=1492774577";

    fn other() -> String {
        "0".repeat(64)
    }

    fn check(value: &str) -> Result<Verified, ErrorCode> {
        check_at(value, BODY, 1_492_774_577)
    }

    fn check_at(value: &str, body: &[u8], now: i64) -> Result<Verified, ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert("stripe-signature", value.parse().unwrap());
        let (tolerance, now) = (SignedDuration::from_secs(300), Timestamp::from_second(now).unwrap());
        let secrets = [named("whsec_older"), named(SECRET)];
        verify(&Scheme::Stripe, &headers, body, &secrets, tolerance, now).map_err(|error| error.code())
    }

    #[test]
    fn a_signature_by_another_program_is_accepted() {
        assert_eq!(check(&format!("{T},v1={V1}")), Ok(Verified { secret: 1, signed_id: None }));
    }

    #[test]
    fn any_v1_may_match_in_any_order() {
        let other = other();
        assert!(check(&format!("{T},v1={other},v1={V1}")).is_ok());
        assert!(check(&format!("v1={V1},v1={other},{T}")).is_ok());
    }

    #[test]
    fn v0_and_unknown_keys_are_ignored() {
        assert!(check(&format!("{T},v1={V1},v0=nonsense,x=,y==")).is_ok());
        assert_eq!(check(&format!("{T},v0={V1}")), Err(ErrorCode::SignatureMalformed));
    }

    #[test]
    fn forged_body_is_refused() {
        let checked = check_at(&format!("{T},v1={V1}"), br#"{"id":"evt_tesu"}"#, 1_492_774_577);
        assert_eq!(checked, Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn old_and_future_deliveries_are_stale() {
        for now in [1_492_774_577 - 301, 1_492_774_577 + 301] {
            let checked = check_at(&format!("{T},v1={V1}"), BODY, now);
            assert_eq!(checked, Err(ErrorCode::TimestampStale), "{now}");
        }
    }

    #[test]
    fn a_moved_timestamp_is_refused() {
        assert_eq!(check(&format!("t=1492774578,v1={V1}")), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn there_must_be_exactly_one_timestamp() {
        assert_eq!(check(&format!("v1={V1}")), Err(ErrorCode::TimestampMalformed));
        assert_eq!(check(&format!("t=,v1={V1}")), Err(ErrorCode::TimestampMalformed));
        assert_eq!(check(&format!("{T},{T},v1={V1}")), Err(ErrorCode::SignatureMalformed));
    }

    #[test]
    fn what_cannot_be_the_signature_is_malformed() {
        let short = &V1[1..];
        for value in [
            String::new(),
            T.to_owned(),
            V1.to_owned(),
            format!("{T},v1={short}"),
            format!("{T},v1={V1}0"),
            format!("{T},v1=z{short}"),
            format!("{T}, v1={V1}"),
            format!("{T},v1={V1},"),
            format!("{T},V1={V1}"),
            format!("{T},v1={V1},v1={short}"),
        ] {
            assert_eq!(check(&value), Err(ErrorCode::SignatureMalformed), "{value}");
        }
    }

    #[test]
    fn too_many_signatures_are_refused_even_if_one_is_right() {
        let list = |count: usize| format!("{T},{}v1={V1}", format!("v1={},", other()).repeat(count - 1));
        assert!(check(&list(16)).is_ok());
        assert_eq!(check(&list(17)), Err(ErrorCode::SignatureMalformed));
    }
}
