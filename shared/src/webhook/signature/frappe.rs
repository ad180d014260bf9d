//! Frappe and ERPNext: `X-Frappe-Webhook-Signature: base64(HMAC-SHA256(body))`.
//!
//! Frappe signs the bytes that Python's `json.dumps` wrote, and neither event, time nor id: several events of
//! one save carry the same signature.

use super::{Algorithm, Encoding, header_hmac::HeaderHmac};

pub(super) const SCHEME: HeaderHmac<'static> = HeaderHmac {
    header: "X-Frappe-Webhook-Signature",
    algorithm: Algorithm::Sha256,
    encoding: Encoding::Base64,
    prefix: "",
    timestamp_header: None,
};

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jiff::{SignedDuration, Timestamp};

    use super::super::{
        Scheme, Verified,
        recorded::{ERPNEXT_SECRET, delivery},
        reference::named,
        verify,
    };
    use crate::ErrorCode;

    fn check(secrets: &[&str], headers: &HeaderMap, body: &[u8]) -> Result<Verified, ErrorCode> {
        let secrets: Vec<_> = secrets.iter().map(|secret| named(*secret)).collect();
        let tolerance = SignedDuration::from_secs(300);
        verify(&Scheme::Frappe, headers, body, &secrets, tolerance, Timestamp::now())
            .map_err(|error| error.code())
    }

    #[test]
    fn what_erpnext_sent_is_accepted() {
        for name in [
            "erpnext_customer_insert.raw",
            "erpnext_sales_order_insert.raw",
            "erpnext_sales_order_submit.raw",
            "erpnext_sales_order_submit_on_change.raw",
            "erpnext_sales_order_cancel.raw",
        ] {
            let (headers, body) = delivery(name);
            let verified = check(&["older", ERPNEXT_SECRET], &headers, &body);
            assert_eq!(verified, Ok(Verified { secret: 1, signed_id: None }), "{name}");
        }
    }

    #[test]
    fn an_unsigned_delivery_is_refused() {
        let (headers, body) = delivery("erpnext_unsigned.raw");
        assert_eq!(check(&[ERPNEXT_SECRET], &headers, &body), Err(ErrorCode::SignatureMissing));
    }

    #[test]
    fn another_secret_is_refused() {
        let (headers, body) = delivery("erpnext_customer_insert.raw");
        assert_eq!(check(&["hub-test-secret-2"], &headers, &body), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn forged_body_is_refused() {
        let (headers, body) = delivery("erpnext_sales_order_submit.raw");
        let forged = String::from_utf8(body).unwrap().replace("9.99", "0.01");
        assert_eq!(check(&[ERPNEXT_SECRET], &headers, forged.as_bytes()), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn the_signature_of_another_delivery_is_refused() {
        let (headers, _) = delivery("erpnext_sales_order_submit.raw");
        let (_, body) = delivery("erpnext_sales_order_cancel.raw");
        assert_eq!(check(&[ERPNEXT_SECRET], &headers, &body), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn the_same_json_in_other_bytes_is_refused() {
        let (headers, body) = delivery("erpnext_customer_insert.raw");
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let rewritten = serde_json::to_vec(&value).unwrap();
        assert_eq!(check(&[ERPNEXT_SECRET], &headers, &rewritten), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn an_empty_secret_beside_the_right_one_does_no_harm() {
        let (headers, body) = delivery("erpnext_customer_insert.raw");
        assert_eq!(check(&["", ERPNEXT_SECRET], &headers, &body).unwrap().secret, 1);
    }
}
