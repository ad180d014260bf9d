//! The common shape: one HMAC in one header, over the body or over `{timestamp}.{body}`.
//!
//! `frappe`, `github` and `shopify` are constants of this; `generic` builds one from settings.

use super::{
    Algorithm, Encoding, NamedSecret, Verified,
    delivery::{Delivery, malformed},
    hmac, mismatch,
};
use crate::Result;

/// Where the signature is and what it signs.
#[derive(Clone, Copy)]
pub(super) struct HeaderHmac<'a> {
    pub header: &'a str,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    pub prefix: &'a str,
    pub timestamp_header: Option<&'a str>,
}

impl HeaderHmac<'_> {
    pub fn verify(&self, delivery: &Delivery<'_>, secrets: &[NamedSecret]) -> Result<Verified> {
        let signature = self.signature(delivery)?;
        let timestamp = self.timestamp_header.map(|name| delivery.timestamp(name)).transpose()?;
        let with_time;
        let parts: &[&[u8]] = match timestamp {
            Some(text) => {
                with_time = [text.as_bytes(), b".", delivery.body];
                &with_time
            }
            None => &[delivery.body],
        };
        let signer = secrets
            .iter()
            .position(|named| hmac::signed(self.algorithm, &named.secret, parts, &[&signature]))
            .ok_or_else(|| mismatch(self.header))?;
        Ok(Verified { secret: signer, signed_id: None })
    }

    fn signature(&self, delivery: &Delivery<'_>) -> Result<Vec<u8>> {
        let text = delivery
            .signature_part(self.header)?
            .strip_prefix(self.prefix)
            .ok_or_else(|| malformed(self.header, &format!("does not start with {}", self.prefix)))?;
        let signature = self
            .encoding
            .decode(text)
            .ok_or_else(|| malformed(self.header, &format!("is not {}", self.encoding.name())))?;
        if signature.len() == self.algorithm.signature_bytes() {
            Ok(signature)
        } else {
            Err(malformed(self.header, "does not have the length of a signature"))
        }
    }
}
