//! Identifiers: a prefix for the kind, then 32 hexadecimal digits.
//!
//! Event ids are derived from what the provider signed (UUIDv8, RFC 9562), so the same event has the same id
//! however often it is delivered. Ids of what we make ourselves are UUIDv7: random, and in the order of time.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    digest::{Context, Digest, SHA256},
    rand::{SecureRandom, SystemRandom},
};
use uuid::Uuid;

use crate::{Error, Result};

/// The kinds of things that carry an id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// An inbound event.
    Event,
    /// An API key.
    ApiKey,
    /// A change of a document that a read model could not follow.
    Change,
    /// A bulk transaction.
    Job,
}

impl IdKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Event => "evt_",
            Self::ApiKey => "key_",
            Self::Change => "chg_",
            Self::Job => "job_",
        }
    }

    /// Whether `text` is spelt as an id of this kind is.
    pub fn is_spelt(self, text: &str) -> bool {
        let digits = text.strip_prefix(self.prefix());
        digits.is_some_and(|digits| {
            digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

/// A new id, made at `now`.
pub fn fresh(kind: IdKind, now: Timestamp) -> Result<String> {
    let mut random = [0u8; 10];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::internal("there is no randomness"))?;
    let millis = u64::try_from(now.as_millisecond()).map_err(Error::internal)?;
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    Ok(format!("{}{}", kind.prefix(), id.simple()))
}

/// A document name for a DocType without a series: ten random characters, as Frappe's own.
pub fn random_name() -> String {
    // The end of a UUIDv7 is its random part.
    let id = Uuid::now_v7().simple().to_string();
    id[id.len() - 10..].to_owned()
}

/// What nothing else is called: 32 hexadecimal digits.
pub fn random() -> String {
    Uuid::now_v7().simple().to_string()
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

    #[test]
    fn fresh_ids_differ_and_are_in_the_order_of_time() {
        let at = |second| fresh(IdKind::ApiKey, Timestamp::from_second(second).unwrap()).unwrap();
        let (first, second) = (at(1_795_000_000), at(1_795_000_001));
        assert!(first < second && at(1_795_000_000) != first);
        assert!(IdKind::ApiKey.is_spelt(&first) && !IdKind::Event.is_spelt(&first));
        for other in ["key_", "key_admin", &first.to_uppercase(), &format!("{first}0")] {
            assert!(!IdKind::ApiKey.is_spelt(other), "{other}");
        }
    }
}
