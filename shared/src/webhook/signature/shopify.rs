//! Shopify: `X-Shopify-Hmac-Sha256: base64(HMAC-SHA256(body))`.
//!
//! Topic, shop and webhook id are headers of their own that nothing signs.

use super::{Algorithm, Encoding, header_hmac::HeaderHmac};

pub(super) const SCHEME: HeaderHmac<'static> = HeaderHmac {
    header: "X-Shopify-Hmac-Sha256",
    algorithm: Algorithm::Sha256,
    encoding: Encoding::Base64,
    prefix: "",
    timestamp_header: None,
};

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::{SignedDuration, Timestamp};

    use super::super::{Scheme, Verified, reference::named, verify};
    use crate::ErrorCode;

    // By OpenSSL: `printf '{"id":820982911946154508}' | openssl dgst -sha256 -hmac hush -binary | base64`.
    const BODY: &[u8] = br#"{"id":820982911946154508}"#;
    const SIGNATURE: &str = "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=";

    fn check(value: &str, body: &[u8]) -> Result<Verified, ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert("x-shopify-hmac-sha256", value.parse().unwrap());
        let tolerance = SignedDuration::from_secs(300);
        verify(&Scheme::Shopify, &headers, body, &[named("hush")], tolerance, Timestamp::UNIX_EPOCH)
            .map_err(|error| error.code())
    }

    #[test]
    fn a_signature_by_another_program_is_accepted() {
        assert_eq!(check(SIGNATURE, BODY), Ok(Verified { secret: 0, signed_id: None }));
    }

    #[test]
    fn forged_body_is_refused() {
        assert_eq!(check(SIGNATURE, br#"{"id":820982911946154509}"#), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn a_signature_in_hex_or_unpadded_is_malformed() {
        for value in [SIGNATURE.trim_end_matches('='), &"ab".repeat(32), ""] {
            assert_eq!(check(value, BODY), Err(ErrorCode::SignatureMalformed), "{value}");
        }
    }
}
