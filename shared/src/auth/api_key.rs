//! API keys as they are stored and as they are shown. What is stored has hashes of secrets; what is shown has not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::Choice;

use super::{presented_key::SecretHash, user::ADMINISTRATOR};
use crate::{
    Error, Result,
    documents::{Record, Recorded},
    error::Faults,
    id::IdKind,
};

/// The id of the key the deployment made; its secret is in Secrets Manager.
pub const ADMIN_KEY_ID: &str = "key_admin";

/// The longest description of a key, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 140;

/// How many secrets of before a key keeps while their grace lasts.
const MAX_PREVIOUS: usize = 2;

/// Whether `id` is spelt as the id of a key is.
pub fn is_key_id(id: &str) -> bool {
    id == ADMIN_KEY_ID || IdKind::ApiKey.is_spelt(id)
}

/// A key as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, the first part of what a caller sends.
    pub id: String,
    /// As whom its callers act, and so what they may do.
    pub user: String,
    /// What it is for.
    pub description: String,
    /// Whether it is accepted.
    pub enabled: bool,
    /// When it stops being accepted, if it does.
    pub expires_at: Option<Timestamp>,
    /// Until when a secret of before the last rotation is still accepted.
    pub previous_valid_until: Option<Timestamp>,
    /// How it is stored; `None` for the key the deployment made, which cannot be changed here.
    pub record: Option<KeyRecord>,
}

/// How a key is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Counts its changes; the optimistic lock.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    pub modified: Timestamp,
    /// By whom.
    pub modified_by: String,
}

impl ApiKey {
    /// Counts its changes; 0 for the key the deployment made.
    pub fn revision(&self) -> u64 {
        self.record.as_ref().map_or(0, |record| record.revision)
    }

    /// The key the deployment made.
    pub(super) fn built_in() -> Self {
        Self {
            id: ADMIN_KEY_ID.to_owned(),
            user: ADMINISTRATOR.to_owned(),
            description: "The first key, made at deployment; its secret is in Secrets Manager".to_owned(),
            enabled: true,
            expires_at: None,
            previous_valid_until: None,
            record: None,
        }
    }

    /// What may be seen of a stored key.
    pub(super) fn of(stored: Recorded<StoredKey>, now: Timestamp) -> Self {
        let key = stored.value;
        let previous = key.previous.iter().map(|previous| previous.valid_until);
        Self {
            previous_valid_until: previous.filter(|until| now < *until).max(),
            id: key.id,
            user: key.user,
            description: key.description,
            enabled: key.enabled,
            expires_at: key.expires_at,
            record: Some(KeyRecord {
                revision: stored.revision,
                created_at: stored.creation,
                created_by: stored.owner,
                modified: stored.modified,
                modified_by: stored.modified_by,
            }),
        }
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKey {
    pub id: String,
    pub user: String,
    /// Which user of that name: a later one has nothing to do with the key.
    pub user_since: Option<Timestamp>,
    pub description: String,
    pub secret: SecretHash,
    pub previous: Vec<PreviousSecret>,
    pub enabled: bool,
    pub expires_at: Option<Timestamp>,
}

/// A secret that was replaced and is accepted for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviousSecret {
    pub secret: SecretHash,
    pub valid_until: Timestamp,
}

impl StoredKey {
    /// Whether the key is accepted with the secret of hash `presented` at `now`. Compares with every secret it has,
    /// whatever else is the case.
    pub fn accepts(&self, presented: &SecretHash, now: Timestamp) -> bool {
        let current = self.secret.matches(presented);
        let any = self.previous.iter().fold(current, |any, previous| {
            any | (previous.secret.matches(presented) & Choice::from(u8::from(now < previous.valid_until)))
        });
        let live = self.enabled && self.expires_at.is_none_or(|expires_at| now < expires_at);
        bool::from(any) && live
    }

    /// Gives the key a new secret. With an end in the future the old one is accepted until then, and those before it until
    /// theirs, though at most two; without one none of them is accepted any more.
    pub fn rotate(&mut self, secret: SecretHash, valid_until: Option<Timestamp>, now: Timestamp) {
        let replaced = std::mem::replace(&mut self.secret, secret);
        self.previous.retain(|previous| now < previous.valid_until);
        match valid_until {
            Some(valid_until) => {
                self.previous.insert(0, PreviousSecret { secret: replaced, valid_until });
                self.previous.truncate(MAX_PREVIOUS);
            }
            None => self.previous.clear(),
        }
    }
}

impl Record for StoredKey {
    const DOCTYPE: &'static str = "API Key";

    fn name(&self) -> &str {
        &self.id
    }

    fn check_name(name: &str) -> Result<()> {
        if IdKind::ApiKey.is_spelt(name) {
            return Ok(());
        }
        Err(Error::field("id", "invalid", "must be the id of an API key"))
    }

    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        check_description(&mut faults, &self.description);
        faults.into_result()
    }
}

/// Notes a description that is too long.
pub(super) fn check_description(faults: &mut Faults, description: &str) {
    let short = description.chars().count() <= MAX_DESCRIPTION_CHARS;
    let detail = format!("at most {MAX_DESCRIPTION_CHARS} characters");
    faults.check(short, "/description", "too_long", detail);
}

/// What a presented secret is compared with where there is no key, so that the work is the same.
pub(super) fn compare_with_nothing(presented: &SecretHash) {
    std::hint::black_box(SecretHash::of(&[]).matches(presented));
}
