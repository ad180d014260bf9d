//! The keys that are valid: who presents one is its user.
//!
//! The API asks here for each request. The first key, `key_admin`, comes from Secrets Manager, where the deployment
//! made it; the others are records, remembered for [`TTL`], as their users are. So what is disabled, expired, rotated
//! or removed is refused after that at the latest. Before a key is refused it is read anew, at most every
//! [`REFRESH_EVERY`], so that a new secret works at once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::{
    Directory, PresentedKey, Principal, Seal,
    api_key::{ADMIN_KEY_ID, StoredKey, compare_with_nothing},
    memory::{Memory, TTL},
    presented_key::{SecretHash, invalid},
    principal::Account,
    user::ADMINISTRATOR,
};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    documents::{DocumentStore, Records},
    secrets::SecretStore,
};

/// How long the first key is used without reading it again.
const ADMIN_TTL: SignedDuration = SignedDuration::from_secs(60);
/// The least time between two extra reads of the first key, before it is refused.
const REFRESH_ADMIN_EVERY: SignedDuration = SignedDuration::from_secs(10);
/// The least time between two extra reads of another key, before it is refused.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// Someone who presented a valid key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As whom they act.
    pub principal: Principal,
    /// The id of their key.
    pub key_id: String,
    /// When their key stops being accepted, if it does.
    pub expires_at: Option<Timestamp>,
    /// What only they can give: see [`Seal`].
    pub seal: Seal,
}

/// The keys that are valid.
pub struct ApiKeys {
    secrets: Arc<dyn SecretStore>,
    admin_secret_id: String,
    admin: Mutex<Option<(SecretHash, Timestamp)>>,
    records: Records<StoredKey>,
    known: Memory<StoredKey>,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
}

fn caller(key: &PresentedKey, principal: Principal, expires_at: Option<Timestamp>) -> Caller {
    Caller { principal, key_id: key.id().to_owned(), expires_at, seal: key.seal().clone() }
}

/// Whether the key that is `stored`, whose secret was presented, lets in the user in `account`.
fn verdict(stored: &StoredKey, account: Option<Account>) -> Result<Verdict> {
    let Some(account) = account.filter(|account| account.since == stored.user_since) else {
        return Ok(Verdict::Refused);
    };
    match account.principal() {
        Ok(principal) => Ok(Verdict::Accepted(principal, stored.expires_at)),
        Err(error) if error.code() == ErrorCode::PermissionDenied => Ok(Verdict::Refused),
        Err(error) => Err(error),
    }
}

/// What a look at a key showed.
enum Verdict {
    Accepted(Principal, Option<Timestamp>),
    Refused,
    Unknown,
}

impl ApiKeys {
    /// The keys in `store`, of the users in `directory`; the first one is in `secrets` under `admin_secret_id`.
    pub fn new(
        secrets: Arc<dyn SecretStore>,
        admin_secret_id: String,
        store: Arc<dyn DocumentStore>,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            secrets,
            admin_secret_id,
            admin: Mutex::new(None),
            records: Records::new(store),
            known: Memory::new(Arc::clone(&clock)),
            directory,
            clock,
        }
    }

    /// Reads the first key before the first request needs it.
    pub async fn prefetch(&self) -> Result<()> {
        self.admin_hash(ADMIN_TTL).await.map(drop)
    }

    /// Who presents `key`; `api_key_invalid` if it is unknown, wrong, disabled or expired, or its user may not act.
    pub async fn caller(&self, key: &PresentedKey) -> Result<Caller> {
        let (principal, expires_at) = match key.id() {
            ADMIN_KEY_ID => (self.admin(key).await?, None),
            _ => self.user_of(key).await?,
        };
        Ok(caller(key, principal, expires_at))
    }

    /// Who presents `key`, if all that says so is remembered. Makes no call, so that it costs nothing to ask for those
    /// who might be guessing.
    pub fn remembered_caller(&self, key: &PresentedKey) -> Option<Caller> {
        if key.id() == ADMIN_KEY_ID {
            let admin = self.admin.try_lock().ok()?;
            let (hash, read_at) = admin.as_ref()?;
            let usable = self.clock.now().duration_since(*read_at) < ADMIN_TTL;
            let account = self.directory.remembered(ADMINISTRATOR)?;
            let accepted = usable && bool::from(hash.matches(key.hash()));
            return accepted.then(|| account.principal().ok()).flatten().map(|who| caller(key, who, None));
        }
        let stored = self.known.remembered(key.id())?;
        let accepted = stored.accepts(key.hash(), self.clock.now());
        match verdict(&stored, self.directory.remembered(&stored.user)) {
            Ok(Verdict::Accepted(principal, expires_at)) if accepted => {
                Some(caller(key, principal, expires_at))
            }
            _ => None,
        }
    }

    async fn admin(&self, key: &PresentedKey) -> Result<Principal> {
        for age in [ADMIN_TTL, REFRESH_ADMIN_EVERY] {
            if self.admin_hash(age).await?.matches(key.hash()).into() {
                return self.directory.principal(ADMINISTRATOR).await;
            }
        }
        Err(invalid())
    }

    async fn user_of(&self, key: &PresentedKey) -> Result<(Principal, Option<Timestamp>)> {
        for age in [TTL, REFRESH_EVERY] {
            match self.judge(key, age).await? {
                Verdict::Accepted(principal, expires_at) => return Ok((principal, expires_at)),
                Verdict::Refused => {}
                Verdict::Unknown => break,
            }
        }
        Err(invalid())
    }

    /// Looks at the key and its user as they were at most `age` ago.
    async fn judge(&self, key: &PresentedKey, age: SignedDuration) -> Result<Verdict> {
        let stored = self
            .known
            .get(key.id(), age, async || Ok(self.records.get(key.id()).await?.map(|record| record.value)));
        let Some(stored) = stored.await? else {
            compare_with_nothing(key.hash());
            return Ok(Verdict::Unknown);
        };
        if !stored.accepts(key.hash(), self.clock.now()) {
            return Ok(Verdict::Refused);
        }
        let account = self.directory.account(&stored.user, age).await?;
        verdict(&stored, account)
    }

    /// Forgets the key `id`, which has just been changed.
    pub(super) fn forget(&self, id: &str) {
        self.known.forget(id);
    }

    /// The hash of the first key's secret, at most `age` old.
    async fn admin_hash(&self, age: SignedDuration) -> Result<SecretHash> {
        let now = self.clock.now();
        let mut admin = self.admin.lock().await;
        if let Some((hash, read_at)) = &*admin
            && now.duration_since(*read_at) < age
        {
            return Ok(hash.clone());
        }
        let secret = self.secrets.secret(&self.admin_secret_id).await?;
        if secret.expose().is_empty() {
            return Err(Error::internal("the first API key is empty"));
        }
        let hash = SecretHash::of(secret.expose());
        *admin = Some((hash.clone(), now));
        Ok(hash)
    }
}
