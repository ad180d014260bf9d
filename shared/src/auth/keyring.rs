//! API keys made and changed by those who manage users. A secret leaves here once, when it is made.
//!
//! Whoever makes or changes a key must be allowed to do all that its user may, so that nobody gives themselves a key
//! to more than they have.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    ApiKeys, Directory, Permission, Principal,
    api_key::{ADMIN_KEY_ID, ApiKey, StoredKey, check_description},
    built_in::{Place, page_after},
    permit,
    presented_key::SecretHash,
    principal::Account,
};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    documents::{DocumentStore, Expect, Page, Receipt, Recorded, Records, Saved},
    error::Faults,
    id::{IdKind, fresh},
    secrets::Secret,
};

/// The bytes of a secret, random.
const SECRET_BYTES: usize = 32;
/// How long the old secret is accepted after a rotation, in seconds, if nobody says.
pub const DEFAULT_GRACE_SECONDS: u32 = 3_600;
/// The longest that may be, in seconds.
pub const MAX_GRACE_SECONDS: u32 = 7 * 86_400;

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "user": "integrations@causeway", "description": "The shop" }))]
pub struct NewKey {
    /// As whom its callers act: the name of an enabled user.
    #[schemars(length(min = 1, max = 140))]
    pub user: String,
    /// What it is for, at most 140 characters.
    #[serde(default)]
    #[schemars(length(max = 140))]
    pub description: String,
    /// When it stops being accepted, in the future; never without it.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires_at: Option<Timestamp>,
}

/// What is to change in a key, as a JSON Merge Patch (RFC 7396); what is not there stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(example = serde_json::json!({ "enabled": false }), transform = without_defaults)]
pub struct KeyChanges {
    /// What it is for, at most 140 characters; `null` for nothing.
    #[serde(deserialize_with = "text_or_nothing")]
    #[schemars(length(max = 140))]
    pub description: Option<String>,
    /// When it stops being accepted, in the future; `null` for never.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires_at: ExpiryChange,
    /// Whether it is accepted.
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "bool")]
    pub enabled: Option<bool>,
}

/// What is not there stays as it is, which is no value that could be sent.
fn without_defaults(schema: &mut Schema) {
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        property.1.as_object_mut().map(|property| property.shift_remove("default"));
    }
}

/// What is there, `null` for the empty text.
fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}

/// What is there, which `null` is not.
fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some)
}

/// What becomes of a key's expiry. In JSON a time, or `null` for never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExpiryChange {
    /// It stays.
    #[default]
    Keep,
    /// The key is accepted until it is disabled or removed.
    Never,
    /// The key stops being accepted then.
    At(Timestamp),
}

impl<'de> Deserialize<'de> for ExpiryChange {
    /// What is not there is not read: it stays.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Never, Self::At))
    }
}

impl ExpiryChange {
    fn apply(self, expires_at: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Keep => expires_at,
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}

/// How a key gets a new secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(example = serde_json::json!({ "grace_seconds": 600 }))]
pub struct Rotation {
    /// For how many seconds the old secret is still accepted, 0 to 604,800 (seven days); 3,600 if it is not given. With
    /// 0 no old one is, not even one whose grace has not ended.
    #[schemars(range(min = 0, max = MAX_GRACE_SECONDS))]
    pub grace_seconds: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { grace_seconds: DEFAULT_GRACE_SECONDS }
    }
}

impl KeyChanges {
    /// Whether everything in them is as it must be at `now`, each fault naming its field. Asks nobody.
    pub fn validate(&self, now: Timestamp) -> Result<()> {
        let mut faults = Faults::default();
        check_description(&mut faults, self.description.as_deref().unwrap_or_default());
        check_expiry(&mut faults, self.expires_at.apply(None), now);
        faults.into_result()
    }
}

impl Rotation {
    /// Whether its grace is one that can be given.
    pub fn validate(self) -> Result<()> {
        let mut faults = Faults::default();
        let detail = format!("must be 0 to {MAX_GRACE_SECONDS}");
        faults.check(self.grace_seconds <= MAX_GRACE_SECONDS, "/grace_seconds", "invalid", detail);
        faults.into_result()
    }
}

/// Makes, shows and changes API keys.
pub struct Keyring {
    records: Records<StoredKey>,
    directory: Arc<Directory>,
    keys: Arc<ApiKeys>,
    clock: Arc<dyn Clock>,
}

impl Keyring {
    /// The keys in `store`, of the users in `directory`, which `keys` accepts.
    pub fn new(
        store: Arc<dyn DocumentStore>,
        directory: Arc<Directory>,
        keys: Arc<ApiKeys>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { records: Records::new(store), directory, keys, clock }
    }

    /// A page of keys: the one the deployment made, then the others, those changed longest ago first.
    pub async fn list(&self, by: &Principal, limit: usize, cursor: Option<String>) -> Result<Page<ApiKey>> {
        permit(by, Permission::ManageUsers)?;
        let now = self.clock.now();
        let place = Place::read(cursor.as_deref())?;
        page_after(vec![ApiKey::built_in()], place, limit, async |limit, cursor| {
            let page = self.records.list(limit, cursor).await?;
            let items = page.items.into_iter().map(|stored| ApiKey::of(stored, now)).collect();
            Ok(Page { items, next: page.next, partial: page.partial })
        })
        .await
    }

    /// The key `id`.
    pub async fn get(&self, by: &Principal, id: &str) -> Result<ApiKey> {
        permit(by, Permission::ManageUsers)?;
        if id == ADMIN_KEY_ID {
            return Ok(ApiKey::built_in());
        }
        let stored = self.records.get(id).await?.ok_or_else(|| missing(id))?;
        Ok(ApiKey::of(stored, self.clock.now()))
    }

    /// Makes a key, and its secret, which is shown this once: and to a repeat of the request, if it has a receipt.
    pub async fn create(
        &self,
        by: &Principal,
        new: &NewKey,
        receipt: Option<Receipt>,
    ) -> Result<(ApiKey, Secret)> {
        permit(by, Permission::ManageUsers)?;
        let now = self.clock.now();
        let account = self.directory.stored_account(&new.user).await?;
        let account = account.filter(|account| account.user.enabled);
        let mut faults = Faults::default();
        faults.check(account.is_some(), "/user", "unknown", "is no user, or a disabled one");
        check_expiry(&mut faults, new.expires_at, now);
        faults.into_result()?;
        check_covers(by, account.as_ref())?;
        let (secret, hash) = new_secret()?;
        let key = StoredKey {
            id: fresh(IdKind::ApiKey, now)?,
            user: new.user.clone(),
            user_since: account.and_then(|account| account.since),
            description: new.description.clone(),
            secret: hash,
            previous: Vec::new(),
            enabled: true,
            expires_at: new.expires_at,
        };
        let receipt = receipt.map(|receipt| receipt.with_attachment(shown(&secret)));
        let saved = self.records.put_once(&key, Some(Expect::Absent), &by.user, receipt).await?;
        let secret = secret_of(saved.attachment, secret)?;
        Ok((ApiKey::of(saved.record, now), secret))
    }

    /// Gives the key `id` a new secret, which is shown this once, and to a repeat of the request. The old one is
    /// accepted until its grace ends.
    pub async fn rotate(
        &self,
        by: &Principal,
        id: &str,
        rotation: Rotation,
        expect: Option<Expect>,
        receipt: Option<Receipt>,
    ) -> Result<(ApiKey, Secret)> {
        rotation.validate()?;
        let grace = rotation.grace_seconds;
        let now = self.clock.now();
        let valid_until =
            (grace > 0).then(|| now.saturating_add(SignedDuration::from_secs(grace.into())).unwrap_or(now));
        let (secret, hash) = new_secret()?;
        let receipt = receipt.map(|receipt| receipt.with_attachment(shown(&secret)));
        let rotate = |key: &mut StoredKey| key.rotate(hash, valid_until, now);
        let (key, attachment) = self.change(by, id, expect, receipt, rotate).await?;
        Ok((key, secret_of(attachment, secret)?))
    }

    /// Changes the key `id`.
    pub async fn update(
        &self,
        by: &Principal,
        id: &str,
        changes: KeyChanges,
        expect: Option<Expect>,
    ) -> Result<ApiKey> {
        changes.validate(self.clock.now())?;
        let apply = |key: &mut StoredKey| {
            key.description = changes.description.unwrap_or_else(|| std::mem::take(&mut key.description));
            key.expires_at = changes.expires_at.apply(key.expires_at);
            key.enabled = changes.enabled.unwrap_or(key.enabled);
        };
        Ok(self.change(by, id, expect, None, apply).await?.0)
    }

    /// Removes the key `id`: it is not accepted any more, nowhere after 30 seconds.
    pub async fn remove(&self, by: &Principal, id: &str, expect: Option<Expect>) -> Result<()> {
        let stored = self.changeable(by, id).await?;
        let expect = expect.unwrap_or(Expect::Revision(stored.revision));
        self.records.remove(id, Some(expect), &by.user).await?;
        self.keys.forget(id);
        Ok(())
    }

    async fn change(
        &self,
        by: &Principal,
        id: &str,
        expect: Option<Expect>,
        receipt: Option<Receipt>,
        apply: impl FnOnce(&mut StoredKey),
    ) -> Result<(ApiKey, Option<Value>)> {
        let mut stored = self.changeable(by, id).await?;
        apply(&mut stored.value);
        // What was read must still be there, whatever the caller has seen: a rotation must not undo another's.
        let expect = expect.unwrap_or(Expect::Revision(stored.revision));
        let saved = self.records.put_once(&stored.value, Some(expect), &by.user, receipt).await;
        self.keys.forget(id);
        let Saved { record, attachment, .. } = saved?;
        Ok((ApiKey::of(record, self.clock.now()), attachment))
    }

    /// The key `id`, which `by` may change.
    async fn changeable(&self, by: &Principal, id: &str) -> Result<Recorded<StoredKey>> {
        permit(by, Permission::ManageUsers)?;
        if id == ADMIN_KEY_ID {
            let detail = "the first API key is changed where it is kept, in Secrets Manager";
            return Err(Error::new(ErrorCode::BuiltIn, detail));
        }
        let stored = self.records.get(id).await?.ok_or_else(|| missing(id))?;
        check_covers(by, self.directory.stored_account(&stored.value.user).await?.as_ref())?;
        Ok(stored)
    }
}

fn check_covers(by: &Principal, account: Option<&Account>) -> Result<()> {
    by.check_covers(account.iter().flat_map(|account| account.roles.iter().map(Arc::as_ref)))
}

fn check_expiry(faults: &mut Faults, expires_at: Option<Timestamp>, now: Timestamp) {
    let ahead = expires_at.is_none_or(|expires_at| now < expires_at);
    faults.check(ahead, "/expires_at", "invalid", "must be in the future");
}

fn missing(id: &str) -> Error {
    Error::new(ErrorCode::ApiKeyNotFound, format!("there is no API key {id:?}"))
}

/// A secret as its receipt has it.
fn shown(secret: &Secret) -> Value {
    String::from_utf8_lossy(secret.expose()).into()
}

/// The secret that the first request made, where this one was its repeat, else the one it `made`.
fn secret_of(attachment: Option<Value>, made: Secret) -> Result<Secret> {
    match attachment {
        None => Ok(made),
        Some(Value::String(text)) => Ok(Secret::new(text)),
        Some(_) => Err(Error::internal("the receipt of a new secret has none")),
    }
}

/// A new secret and its hash.
fn new_secret() -> Result<(Secret, SecretHash)> {
    let mut bytes = Zeroizing::new([0u8; SECRET_BYTES]);
    SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| Error::internal("there is no randomness"))?;
    let text = BASE64_URL_SAFE_NO_PAD.encode(bytes.as_slice());
    let hash = SecretHash::of(text.as_bytes());
    Ok((Secret::new(text), hash))
}
