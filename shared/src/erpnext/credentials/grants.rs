//! Renews the tokens of OAuth, one instance at a time.
//!
//! An access token is used until shortly before its end. Whoever finds it spent looks whether another instance has
//! renewed it, takes the lease if not, and renews it. The site takes each refresh token once and answers with the next,
//! so the new pair is kept, sealed, before it is used. If the answer to a renewal is lost, the old refresh token is
//! used up and nobody has the new one: the site then says so (`invalid_grant`), and someone must authorise anew and put
//! the new refresh token into the secret. The log says which of the two happened.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::{
    endpoint::{Granted, NotGranted, TokenEndpoint},
    seal::Seal,
    secret::OAuthGrant,
    tokens::{KeptTokens, TokenStore},
};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    id,
    lease::{Lease, Leases},
};

/// How long before its end an access token is no longer used, at most.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// How long an access token lives where the answer does not say.
const DEFAULT_SECONDS: u32 = 3_600;
/// How long it is taken to live at most, whatever the answer says.
const MAX_SECONDS: u32 = 24 * 3_600;
/// How often another instance's renewal is looked for, and how long between.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
/// How long a refused grant is not tried again.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How often a new pair is written until it is there: it exists nowhere else.
const SAVES: usize = 3;

/// A pair of tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    /// What calls are authorised with.
    pub access_token: String,
    refresh_token: String,
    /// Until when the access token is used.
    pub good_until: Timestamp,
}

/// Renews tokens.
pub struct Grants {
    endpoint: TokenEndpoint,
    store: Arc<dyn TokenStore>,
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    /// The grant that the site refused last, until when that is believed, and what was said.
    refused: Mutex<Option<(String, Timestamp, Error)>>,
    /// A pair that could not be written.
    unsaved: Mutex<Option<KeptTokens>>,
}

impl Grants {
    /// Tokens that `endpoint` gives, kept in `store`; `leases` last longer than a renewal can take.
    pub fn new(
        endpoint: TokenEndpoint,
        store: Arc<dyn TokenStore>,
        leases: Arc<dyn Leases>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (refused, unsaved) = (Mutex::default(), Mutex::default());
        Self { endpoint, store, leases, clock, refused, unsaved }
    }

    /// Tokens of `grant` that are good, other than the access token `refused`.
    pub(super) async fn current(&self, grant: &OAuthGrant, refused: Option<&str>) -> Result<Tokens> {
        let keys = Keys::of(grant, self.endpoint.connector())?;
        self.check_refused(&keys)?;
        let lease_name = format!("oauth-{}", self.endpoint.connector());
        for _ in 0..LOOKS {
            let kept = self.store.read(self.endpoint.connector()).await?;
            if let Some(tokens) = self.good(&keys, kept.as_ref(), refused) {
                return Ok(tokens);
            }
            if let Some(lease) = self.leases.acquire(&lease_name).await? {
                let renewed = self.renew_if_needed(grant, &keys, refused).await;
                self.give_back(&lease).await;
                return renewed;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let detail = "another instance is renewing the OAuth tokens of the ERPNext site";
        Err(Error::new(ErrorCode::ProviderUnavailable, detail).retry_after(2))
    }

    /// Under the lease.
    async fn renew_if_needed(
        &self,
        grant: &OAuthGrant,
        keys: &Keys,
        refused: Option<&str>,
    ) -> Result<Tokens> {
        let kept = self.store.read(self.endpoint.connector()).await?;
        let unsaved = self.unsaved().take();
        let kept = match (kept, unsaved) {
            (Some(kept), Some(unsaved)) if kept.generation + 1 == unsaved.generation => {
                self.save(kept.generation, &unsaved).await?;
                Some(unsaved)
            }
            (kept, _) => kept,
        };
        match self.good(keys, kept.as_ref(), refused) {
            Some(tokens) => Ok(tokens),
            None => self.renew(grant, keys, kept).await,
        }
    }

    async fn renew(&self, grant: &OAuthGrant, keys: &Keys, kept: Option<KeptTokens>) -> Result<Tokens> {
        let generation = kept.as_ref().map_or(0, |kept| kept.generation);
        let mine = kept.filter(|kept| kept.origin == keys.origin);
        let was_begun = mine.as_ref().is_some_and(|kept| kept.is_begun);
        let sealed = mine.and_then(|kept| kept.sealed);
        let last = sealed.as_deref().and_then(|sealed| keys.open(sealed));
        if sealed.is_some() && last.is_none() {
            warn!(
                connector = self.endpoint.connector(),
                "the OAuth tokens were sealed with another token_key"
            );
        }
        let refresh_token = last.map_or_else(|| grant.refresh_token.clone(), |tokens| tokens.refresh_token);
        let begun = KeptTokens { generation, origin: keys.origin.clone(), sealed, is_begun: true };
        self.replace(generation, &begun).await?;
        let asked_at = self.clock.now();
        match self.endpoint.renew(grant, &refresh_token).await {
            Ok(granted) => {
                let tokens = Tokens::of(granted, asked_at, refresh_token);
                let sealed = Some(keys.seal(&tokens)?);
                let kept = KeptTokens { generation: generation + 1, sealed, is_begun: false, ..begun };
                self.save(generation, &kept).await?;
                info!(
                    connector = self.endpoint.connector(),
                    generation = kept.generation,
                    "renewed the OAuth tokens"
                );
                Ok(tokens)
            }
            Err(NotGranted::Refused(said)) => Err(self.refuse(keys, &said, was_begun)),
            Err(NotGranted::Lost(error)) => {
                error!(
                    connector = self.endpoint.connector(),
                    error = ?error,
                    "the answer to a renewal of the OAuth tokens was lost: if the site says invalid_grant next, \
                     authorise anew and put the new refresh token into the secret"
                );
                Err(error)
            }
            Err(NotGranted::Unsent(error)) => {
                if !was_begun {
                    self.replace(generation, &KeptTokens { is_begun: false, ..begun }).await?;
                }
                Err(error)
            }
        }
    }

    /// The kept tokens, if they are of this grant, not `refused`, and good for some time.
    fn good(&self, keys: &Keys, kept: Option<&KeptTokens>, refused: Option<&str>) -> Option<Tokens> {
        let kept = kept.filter(|kept| kept.origin == keys.origin)?;
        let tokens = keys.open(kept.sealed.as_deref()?)?;
        let is_good = self.clock.now() < tokens.good_until && refused != Some(tokens.access_token.as_str());
        is_good.then_some(tokens)
    }

    /// Writes a new pair, and tries hard: it exists nowhere else.
    async fn save(&self, generation: u64, kept: &KeptTokens) -> Result<()> {
        let mut saved = self.replace(generation, kept).await;
        for _ in 1..SAVES {
            if saved.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            saved = self.replace(generation, kept).await;
        }
        if let Err(error) = &saved {
            error!(
                connector = self.endpoint.connector(),
                error = ?error,
                "new OAuth tokens could not be written: only this instance has them"
            );
            *self.unsaved() = Some(kept.clone());
        }
        saved
    }

    async fn replace(&self, generation: u64, kept: &KeptTokens) -> Result<()> {
        if self.store.replace(self.endpoint.connector(), generation, kept).await? {
            return Ok(());
        }
        let detail = "the OAuth tokens of the ERPNext site were renewed by someone else meanwhile";
        Err(Error::new(ErrorCode::ProviderUnavailable, detail).retry_after(1))
    }

    /// What a refused grant means, remembered for a while so that not every call asks again.
    fn refuse(&self, keys: &Keys, said: &str, was_begun: bool) -> Error {
        let why = if was_begun && said == "invalid_grant" {
            ": the answer to an earlier renewal was lost, and with it the refresh token that follows"
        } else {
            ""
        };
        let detail = format!(
            "the ERPNext site does not renew the OAuth tokens ({said}){why}. \
             Authorise anew and put the new refresh token into the secret"
        );
        let error = Error::new(ErrorCode::CredentialsRefused, detail);
        error!(connector = self.endpoint.connector(), error = ?error, "the OAuth grant is refused");
        let until = self.clock.now().saturating_add(REFUSED_FOR).unwrap_or(Timestamp::MAX);
        let repeated = error.repeated();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((keys.origin.clone(), until, error));
        repeated
    }

    fn check_refused(&self, keys: &Keys) -> Result<()> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match &*refused {
            Some((origin, until, error)) if *origin == keys.origin && self.clock.now() < *until => {
                Err(error.repeated())
            }
            _ => Ok(()),
        }
    }

    fn unsaved(&self) -> std::sync::MutexGuard<'_, Option<KeptTokens>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn give_back(&self, lease: &Lease) {
        if let Err(error) = self.leases.release(lease).await {
            warn!(connector = self.endpoint.connector(), error = ?error, "the lease was not given back: it ends by itself");
        }
    }
}

impl Tokens {
    fn of(granted: Granted, asked_at: Timestamp, last_refresh_token: String) -> Self {
        let seconds = granted.expires_in.unwrap_or(DEFAULT_SECONDS).min(MAX_SECONDS);
        let lives = SignedDuration::from_secs(seconds.into());
        let margin = MARGIN.min(lives / 10);
        Self {
            access_token: granted.access_token,
            refresh_token: granted.refresh_token.unwrap_or(last_refresh_token),
            good_until: asked_at.saturating_add(lives - margin).unwrap_or(asked_at),
        }
    }
}

/// What the secret's grant is known by, and its tokens sealed with.
struct Keys {
    origin: String,
    seal: Seal,
}

impl Keys {
    fn of(grant: &OAuthGrant, connector: &str) -> Result<Self> {
        let key = grant.sealing_key().ok_or_else(|| Error::internal("the token_key is not 32 bytes"))?;
        let origin = id::digest_text(&[grant.client_id.as_bytes(), grant.refresh_token.as_bytes()]);
        Ok(Self { origin, seal: Seal::new(&key, connector)? })
    }

    fn seal(&self, tokens: &Tokens) -> Result<Vec<u8>> {
        self.seal.seal(&serde_json::to_vec(tokens).map_err(Error::internal)?)
    }

    fn open(&self, sealed: &[u8]) -> Option<Tokens> {
        serde_json::from_slice(&self.seal.open(sealed)?).ok()
    }
}
