//! Identifiers: a prefix for the kind, then 32 hexadecimal digits.
//!
//! Event ids are derived from what the provider signed (UUIDv8, RFC 9562), so the same event has the same id
//! however often it is delivered.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{Context, Digest, SHA256};
use uuid::Uuid;

/// The kinds of things that carry an id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// An inbound event.
    Event,
}

impl IdKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Event => "evt_",
        }
    }
}

/// A document name for a DocType without a series: ten random characters, as Frappe's own.
pub fn random_name() -> String {
    // The end of a UUIDv7 is its random part.
    let id = Uuid::now_v7().simple().to_string();
    id[id.len() - 10..].to_owned()
}

/// The SHA-256 of `parts`. Each part is hashed with its length, so that `["a", "bc"]` and `["ab", "c"]` differ.
pub fn digest(parts: &[&[u8]]) -> Digest {
    let mut hash = Context::new(&SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish()
}

/// What `parts` always give, as 43 characters: their SHA-256, each part hashed with its length.
pub fn digest_text(parts: &[&[u8]]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(parts))
}

/// The id that `parts` always give: a UUIDv8 from their SHA-256, each part hashed with its length.
pub fn derive(kind: IdKind, parts: &[&[u8]]) -> String {
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest(parts).as_ref()[..16]);
    format!("{}{}", kind.prefix(), uuid::Builder::from_custom_bytes(bytes).into_uuid().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_depend_on_every_part_and_its_place() {
        let id = derive(IdKind::Event, &[b"erpnext", b"x"]);
        assert_eq!(id, derive(IdKind::Event, &[b"erpnext", b"x"]));
        assert_ne!(id, derive(IdKind::Event, &[b"erpnextx", b""]));
        assert_eq!(id.len(), 36);
    }
}
