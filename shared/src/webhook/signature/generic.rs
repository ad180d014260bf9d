//! Any provider whose scheme can be described: an HMAC in a header of the connector's choice.

use http::HeaderName;

use super::{GenericHmac, header_hmac::HeaderHmac};
use crate::FieldError;

/// The longest prefix a description may have, in bytes.
const MAX_PREFIX_BYTES: usize = 64;

impl GenericHmac {
    pub(super) fn as_header_hmac(&self) -> HeaderHmac<'_> {
        HeaderHmac {
            header: &self.header,
            algorithm: self.algorithm,
            encoding: self.encoding,
            prefix: &self.prefix,
            timestamp_header: self.timestamp_header.as_deref(),
        }
    }

    /// What is wrong with the description: one that no request could satisfy must not be saved.
    pub(super) fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        errors.extend(header_name("/header", &self.header));
        errors.extend(prefix(&self.prefix));
        if let Some(name) = &self.timestamp_header {
            errors.extend(header_name("/timestamp_header", name));
            if name.eq_ignore_ascii_case(&self.header) {
                errors.push(invalid("/timestamp_header", "must be another header than the signature's"));
            }
        }
        errors
    }
}

fn header_name(field: &str, name: &str) -> Option<FieldError> {
    HeaderName::try_from(name).is_err().then(|| invalid(field, "is not the name of an HTTP header"))
}

fn prefix(prefix: &str) -> Option<FieldError> {
    if prefix.len() > MAX_PREFIX_BYTES {
        let detail = format!("must not be longer than {MAX_PREFIX_BYTES} bytes");
        return Some(FieldError { field: "/prefix".into(), code: "too_long", detail });
    }
    let visible = prefix.bytes().all(|byte| byte.is_ascii_graphic());
    (!visible).then(|| invalid("/prefix", "must be visible ASCII characters"))
}

fn invalid(field: &str, detail: &str) -> FieldError {
    FieldError { field: field.into(), code: "invalid", detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};
    use jiff::{SignedDuration, Timestamp};

    use super::super::{Algorithm, Encoding, Scheme, Verified, reference::named, verify};
    use super::*;
    use crate::ErrorCode;

    const BODY: &[u8] = b"amount=10";
    // By OpenSSL: `printf '1700000000.amount=10' | openssl dgst -sha512 -hmac s3cret`.
    const WITH_TIME: &str = "a67a3c44197c790be6b127fda241cce96bcdb3253bd25ca1d44f4a11a0d195516106b03451abe467b88118335a2a11eb72ba0dfa26e2ead1e42a544c2858a063";
    // By OpenSSL: `printf 'amount=10' | openssl dgst -sha512 -hmac s3cret`.
    const WITHOUT_TIME: &str = "ac40b1279a0164d903bf070f2de2930ad6df87b155ae0a3dc8b8424c7cc80c4e7dfec923ef84890f5579ec44bb4de69f0ffb2f69678cb93feff4d9ef0173e0b9";

    fn scheme() -> GenericHmac {
        GenericHmac {
            header: "X-Sig".into(),
            algorithm: Algorithm::Sha512,
            encoding: Encoding::Hex,
            prefix: "hmac:".into(),
            timestamp_header: Some("X-Sig-Time".into()),
        }
    }

    fn check(scheme: GenericHmac, headers: &[(&str, &str)]) -> Result<Verified, ErrorCode> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let secrets = [named("s3cret")];
        verify(&Scheme::Generic(scheme), &headers, BODY, &secrets, SignedDuration::from_secs(300), now)
            .map_err(|error| error.code())
    }

    fn faults(change: impl FnOnce(&mut GenericHmac)) -> Vec<(String, &'static str)> {
        let mut generic = scheme();
        change(&mut generic);
        Scheme::Generic(generic).validate().into_iter().map(|fault| (fault.field, fault.code)).collect()
    }

    #[test]
    fn a_signature_over_time_and_body_is_accepted() {
        let signature = format!("hmac:{WITH_TIME}");
        let verified = check(scheme(), &[("x-sig", &signature), ("x-sig-time", "1700000000")]);
        assert_eq!(verified, Ok(Verified { secret: 0, signed_id: None }));
    }

    #[test]
    fn without_a_timestamp_header_the_body_alone_is_signed() {
        let plain = GenericHmac { prefix: String::new(), timestamp_header: None, ..scheme() };
        assert!(check(plain.clone(), &[("x-sig", WITHOUT_TIME)]).is_ok());
        assert_eq!(check(plain, &[("x-sig", WITH_TIME)]), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn a_moved_timestamp_is_refused() {
        let signature = format!("hmac:{WITH_TIME}");
        for (time, code) in [
            ("1700000001", ErrorCode::SignatureMismatch),
            ("01700000000", ErrorCode::SignatureMismatch),
            ("1700000301", ErrorCode::TimestampStale),
            ("1699999699", ErrorCode::TimestampStale),
            ("now", ErrorCode::TimestampMalformed),
        ] {
            let checked = check(scheme(), &[("x-sig", &signature), ("x-sig-time", time)]);
            assert_eq!(checked, Err(code), "{time}");
        }
    }

    #[test]
    fn a_missing_or_repeated_timestamp_is_malformed() {
        let signature = format!("hmac:{WITH_TIME}");
        let sig = ("x-sig", signature.as_str());
        let time = ("x-sig-time", "1700000000");
        assert_eq!(check(scheme(), &[sig]), Err(ErrorCode::TimestampMalformed));
        assert_eq!(check(scheme(), &[sig, time, time]), Err(ErrorCode::TimestampMalformed));
    }

    #[test]
    fn a_signature_of_the_other_hash_is_malformed() {
        let signature = format!("hmac:{}", &WITH_TIME[..64]);
        let checked = check(scheme(), &[("x-sig", &signature), ("x-sig-time", "1700000000")]);
        assert_eq!(checked, Err(ErrorCode::SignatureMalformed));
    }

    #[test]
    fn a_sound_description_has_no_faults() {
        assert_eq!(faults(|_| ()), []);
        assert_eq!(faults(|generic| generic.prefix.clear()), []);
        assert_eq!(faults(|generic| generic.timestamp_header = None), []);
    }

    #[test]
    fn names_that_are_no_headers_are_faults() {
        for name in ["", "X Sig", "X-Sig:", "Überschrift", "X\n"] {
            assert_eq!(faults(|generic| generic.header = name.into()), [("/header".into(), "invalid")]);
            let in_time = faults(|generic| generic.timestamp_header = Some(name.into()));
            assert_eq!(in_time, [("/timestamp_header".into(), "invalid")]);
        }
    }

    #[test]
    fn one_header_for_both_signature_and_time_is_a_fault() {
        let found = faults(|generic| generic.timestamp_header = Some("x-SIG".into()));
        assert_eq!(found, [("/timestamp_header".into(), "invalid")]);
    }

    #[test]
    fn a_prefix_that_no_header_can_carry_is_a_fault() {
        for prefix in ["é=", "sha512 ", "a\n"] {
            assert_eq!(faults(|generic| generic.prefix = prefix.into()), [("/prefix".into(), "invalid")]);
        }
        assert_eq!(faults(|generic| generic.prefix = "p".repeat(65)), [("/prefix".into(), "too_long")]);
    }
}
