//! Credentials from the secret store.
//!
//! They are used from memory for [`TTL`], and read again at once when the site does not accept them: a secret that was
//! changed works with the first call that needs it. While the secret store does not answer, what is remembered stays.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tracing::warn;

use super::{Authorise, Grants, SiteSecret, grants::Tokens, sensitive};
use crate::{Result, clock::Clock, secrets::SecretStore};

/// How long the secret is used without asking again.
const TTL: SignedDuration = SignedDuration::from_mins(5);
/// The least time between two reads, and between two renewals that a refusal asked for.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// The credentials that a secret holds.
pub struct SiteCredentials {
    secrets: Arc<dyn SecretStore>,
    secret_id: String,
    grants: Grants,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    secret: Option<(SiteSecret, Timestamp)>,
    tokens: Option<Tokens>,
    renewed_at: Option<Timestamp>,
}

impl SiteCredentials {
    /// The credentials in the secret `secret_id`; where it is a grant of OAuth, `grants` renew its tokens.
    pub fn new(
        secrets: Arc<dyn SecretStore>,
        secret_id: impl Into<String>,
        grants: Grants,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { secrets, secret_id: secret_id.into(), grants, clock, state: Mutex::default() }
    }

    /// The secret, at most `age` old.
    async fn secret(&self, state: &mut State, age: SignedDuration) -> Result<SiteSecret> {
        let now = self.clock.now();
        let known = state.secret.as_ref();
        if let Some((secret, _)) = known.filter(|(_, read_at)| now.duration_since(*read_at) < age) {
            return Ok(secret.clone());
        }
        let read = self.secrets.secret(&self.secret_id).await;
        match (read.and_then(|text| SiteSecret::parse(text.expose())), known) {
            (Ok(secret), _) => {
                if known.is_some_and(|(old, _)| *old != secret) {
                    state.tokens = None;
                }
                state.secret = Some((secret.clone(), now));
                Ok(secret)
            }
            (Err(error), Some((secret, _))) => {
                warn!(error = ?error, "the ERPNext credentials cannot be read anew: those remembered are used");
                let secret = secret.clone();
                // Not asked for with every call meanwhile.
                state.secret = Some((secret.clone(), now));
                Ok(secret)
            }
            (Err(error), None) => Err(error),
        }
    }
}

#[async_trait]
impl Authorise for SiteCredentials {
    async fn authorization(&self) -> Result<HeaderValue> {
        let mut state = self.state.lock().await;
        let grant = match self.secret(&mut state, TTL).await? {
            SiteSecret::Token { key, secret } => return sensitive(&format!("token {key}:{secret}")),
            SiteSecret::OAuth(grant) => grant,
        };
        let now = self.clock.now();
        let tokens = match state.tokens.clone().filter(|tokens| now < tokens.good_until) {
            Some(tokens) => tokens,
            None => self.grants.current(&grant, None).await?,
        };
        let header = bearer(&tokens)?;
        state.tokens = Some(tokens);
        Ok(header)
    }

    async fn renewed(&self, refused: &HeaderValue) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        let grant = match self.secret(&mut state, REFRESH_EVERY).await? {
            SiteSecret::Token { key, secret } => {
                let header = sensitive(&format!("token {key}:{secret}"))?;
                return Ok((header != *refused).then_some(header));
            }
            SiteSecret::OAuth(grant) => grant,
        };
        let now = self.clock.now();
        let known = match &state.tokens {
            Some(tokens) => Some((bearer(tokens)?, tokens.access_token.clone())),
            None => None,
        };
        let refused_token = match known {
            // Another call of this instance was faster.
            Some((header, _)) if header != *refused => return Ok(Some(header)),
            Some((_, token)) => Some(token),
            None => None,
        };
        let too_soon = state.renewed_at.is_some_and(|at| now.duration_since(at) < REFRESH_EVERY);
        if refused_token.is_some() && too_soon {
            return Ok(None);
        }
        state.renewed_at = Some(now);
        let tokens = self.grants.current(&grant, refused_token.as_deref()).await?;
        let header = bearer(&tokens)?;
        state.tokens = Some(tokens);
        Ok((header != *refused).then_some(header))
    }
}

fn bearer(tokens: &Tokens) -> Result<HeaderValue> {
    sensitive(&format!("Bearer {}", tokens.access_token))
}
