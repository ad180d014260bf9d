//! GitHub: `X-Hub-Signature-256: sha256=hex(HMAC-SHA256(body))`.
//!
//! The SHA-1 header `X-Hub-Signature` that GitHub still sends beside it is never read.

use super::{Algorithm, Encoding, header_hmac::HeaderHmac};

pub(super) const SCHEME: HeaderHmac<'static> = HeaderHmac {
    header: "X-Hub-Signature-256",
    algorithm: Algorithm::Sha256,
    encoding: Encoding::Hex,
    prefix: "sha256=",
    timestamp_header: None,
};

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::{SignedDuration, Timestamp};

    use super::super::{Scheme, Verified, reference::named, verify};
    use crate::{Error, ErrorCode};

    // The example of GitHub's documentation ("Validating webhook deliveries").
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(value: &str, body: &[u8]) -> Result<Verified, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", value.parse().unwrap());
        let tolerance = SignedDuration::from_secs(300);
        verify(&Scheme::Github, &headers, body, &[named(SECRET)], tolerance, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_documented_example_is_accepted() {
        assert_eq!(check(&format!("sha256={HEX}"), BODY).unwrap(), Verified { secret: 0, signed_id: None });
        assert!(check(&format!("sha256={}", HEX.to_uppercase()), BODY).is_ok(), "hex is read in either case");
    }

    #[test]
    fn forged_body_is_refused() {
        let error = check(&format!("sha256={HEX}"), b"Hello, World?").unwrap_err();
        assert_eq!(error.code(), ErrorCode::SignatureMismatch);
    }

    #[test]
    fn what_cannot_be_the_signature_is_malformed() {
        let short = &HEX[2..];
        for value in [
            HEX.to_owned(),
            format!("sha1={HEX}"),
            format!("SHA256={HEX}"),
            format!("sha256= {HEX}"),
            format!("sha256={short}"),
            format!("sha256={HEX}00"),
            format!("sha256={short}zz"),
            format!("sha256={HEX},sha256={HEX}"),
            "sha256=".to_owned(),
            String::new(),
        ] {
            let error = check(&value, BODY).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SignatureMalformed, "{value}");
        }
    }

    #[test]
    fn a_refusal_names_the_header_and_shows_neither_signature_nor_secret() {
        for value in [format!("sha256={HEX}"), format!("sha256={HEX}00"), HEX.to_owned()] {
            let error = check(&value, b"forged").unwrap_err();
            assert!(error.detail().contains("X-Hub-Signature-256"));
            assert!(!error.causes().contains(&HEX[..8]));
            assert!(!error.causes().contains(SECRET));
        }
    }
}
