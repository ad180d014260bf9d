//! API keys: `X-API-Key: <id>.<secret>`, or Frappe's `Authorization: token <id>:<secret>`.
//!
//! Of a key only the SHA-256 of its secret is compared, in constant time. The first key, `key_admin`, comes
//! from Secrets Manager, where the deployment made it.

use std::sync::Arc;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use super::Principal;
use crate::{Error, ErrorCode, Result, clock::Clock, secrets::SecretStore};

/// The id of the key the deployment made.
pub const ADMIN_KEY_ID: &str = "key_admin";

/// How long a key is used without reading it again.
const TTL: SignedDuration = SignedDuration::from_secs(60);

/// The least time between two extra reads, before a key is refused.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(10);

type Hash = [u8; SHA256_OUTPUT_LEN];

/// A key as a request presents it.
pub struct PresentedKey {
    id: String,
    hash: Hash,
}

impl PresentedKey {
    /// The key in `headers`; `api_key_missing` if there is none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some((id, secret)) = text("x-api-key").map(|key| key.split_once('.').unwrap_or((key, ""))) {
            return Ok(Self::new(id, secret));
        }
        let authorization = text("authorization").and_then(|value| value.split_once(' '));
        if let Some((scheme, key)) = authorization
            && scheme.eq_ignore_ascii_case("token")
        {
            let (id, secret) = key.trim().split_once(':').unwrap_or((key, ""));
            return Ok(Self::new(id, secret));
        }
        Err(Error::new(
            ErrorCode::ApiKeyMissing,
            "send the key as \"X-API-Key: <id>.<secret>\" or \"Authorization: token <id>:<secret>\"",
        ))
    }

    fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), hash: sha256(secret.as_bytes()) }
    }
}

/// The keys that are valid.
pub struct ApiKeys {
    secrets: Arc<dyn SecretStore>,
    admin_secret_id: String,
    clock: Arc<dyn Clock>,
    admin: Mutex<Option<(Hash, Timestamp)>>,
}

impl ApiKeys {
    /// The first key is in `secrets` under `admin_secret_id`.
    pub fn new(secrets: Arc<dyn SecretStore>, admin_secret_id: String, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, admin_secret_id, clock, admin: Mutex::new(None) }
    }

    /// Reads the first key before the first request needs it.
    pub async fn prefetch(&self) -> Result<()> {
        self.admin_hash(TTL).await.map(drop)
    }

    /// Who presents `key`; `api_key_invalid` if it is not valid.
    pub async fn principal(&self, key: &PresentedKey) -> Result<Principal> {
        let invalid = || Error::new(ErrorCode::ApiKeyInvalid, "the API key is not valid");
        if key.id != ADMIN_KEY_ID {
            return Err(invalid());
        }
        if same(&self.admin_hash(TTL).await?, &key.hash)
            || same(&self.admin_hash(REFRESH_EVERY).await?, &key.hash)
        {
            return Principal::named("Administrator");
        }
        Err(invalid())
    }

    /// The hash of the first key's secret, at most `age` old.
    async fn admin_hash(&self, age: SignedDuration) -> Result<Hash> {
        let now = self.clock.now();
        let mut admin = self.admin.lock().await;
        if let Some((hash, read_at)) = *admin
            && now.duration_since(read_at) < age
        {
            return Ok(hash);
        }
        let secret = self.secrets.secret(&self.admin_secret_id).await?;
        if secret.expose().is_empty() {
            return Err(Error::internal("the first API key is empty"));
        }
        let hash = sha256(secret.expose());
        *admin = Some((hash, now));
        Ok(hash)
    }
}

fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn same(a: &Hash, b: &Hash) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{
        clock::ManualClock,
        secrets::{Secret, SecretBundle},
    };

    struct OneSecret(Mutex<&'static str>);

    #[async_trait]
    impl SecretStore for OneSecret {
        async fn bundle(&self, _: &str) -> Result<SecretBundle> {
            Ok(SecretBundle::new())
        }
        async fn secret(&self, _: &str) -> Result<Secret> {
            Ok(Secret::new(*self.0.lock().await))
        }
    }

    fn presented(name: &'static str, value: &str) -> Result<PresentedKey> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        PresentedKey::from_headers(&headers)
    }

    fn keys(secret: &'static str) -> (ApiKeys, Arc<OneSecret>, Arc<ManualClock>) {
        let secrets = Arc::new(OneSecret(Mutex::new(secret)));
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        (ApiKeys::new(secrets.clone(), "admin".into(), clock.clone()), secrets, clock)
    }

    #[tokio::test]
    async fn the_first_key_is_accepted_in_both_forms() {
        let (keys, ..) = keys("s3cret");
        for key in
            [presented("x-api-key", "key_admin.s3cret"), presented("authorization", "token key_admin:s3cret")]
        {
            assert_eq!(keys.principal(&key.unwrap()).await.unwrap().user, "Administrator");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let (keys, ..) = keys("s3cret");
        for key in ["key_admin.s3cre", "key_admin.", "key_admin", "key_other.s3cret", ".s3cret"] {
            let error = keys.principal(&presented("x-api-key", key).unwrap()).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::ApiKeyInvalid, "{key}");
        }
        assert_eq!(presented("authorization", "Digest x").err().unwrap().code(), ErrorCode::ApiKeyMissing);
    }

    #[tokio::test]
    async fn a_rotated_key_works_without_a_restart() {
        let (keys, secrets, clock) = keys("old");
        keys.principal(&presented("x-api-key", "key_admin.old").unwrap()).await.unwrap();
        *secrets.0.lock().await = "new";
        clock.advance(SignedDuration::from_secs(11));
        keys.principal(&presented("x-api-key", "key_admin.new").unwrap()).await.unwrap();
    }
}
