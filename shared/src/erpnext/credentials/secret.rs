//! The secret: how we prove to a site who we are.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::{Error, ErrorCode, Result};

/// The length of the key that tokens are sealed with, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// What the secret holds: one of two JSON objects.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SiteSecret {
    /// `{"key", "secret"}`: an API key of a user of the site.
    Token {
        /// The key.
        key: String,
        /// Its secret.
        secret: String,
    },
    /// `{"client_id", "client_secret", "refresh_token", "token_key"}`: a grant of OAuth.
    OAuth(OAuthGrant),
}

/// What a user granted to a client of OAuth.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct OAuthGrant {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The refresh token of the authorisation. It is used once; those that follow it we keep ourselves.
    pub refresh_token: String,
    /// The key that those are sealed with: 32 random bytes, base64. A key of its own, since the client secrets that
    /// sites give are short enough to be guessed by whoever has a copy of our tables.
    pub token_key: String,
}

impl fmt::Debug for SiteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token { .. } => "SiteSecret::Token(…)",
            Self::OAuth(_) => "SiteSecret::OAuth(…)",
        })
    }
}

impl fmt::Debug for OAuthGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OAuthGrant(…)")
    }
}

impl SiteSecret {
    /// Reads the secret's text. What is wrong with it is said without quoting it.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let unusable = |why: &str| {
            let detail = format!("the secret with the ERPNext credentials {why}");
            Error::new(ErrorCode::CredentialsRefused, detail)
        };
        let secret: Self = serde_json::from_slice(text).map_err(|_| {
            unusable(
                "must be {\"key\", \"secret\"} or \
                 {\"client_id\", \"client_secret\", \"refresh_token\", \"token_key\"}",
            )
        })?;
        match &secret {
            Self::Token { key, secret } if key.is_empty() || secret.is_empty() => {
                Err(unusable("holds no API key yet"))
            }
            Self::OAuth(grant) if grant.sealing_key().is_none() => {
                Err(unusable("has a \"token_key\" that is not 32 bytes in base64"))
            }
            _ => Ok(secret),
        }
    }
}

impl OAuthGrant {
    /// The key that tokens are sealed with.
    pub(super) fn sealing_key(&self) -> Option<[u8; KEY_BYTES]> {
        BASE64_STANDARD.decode(self.token_key.trim()).ok()?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_neither_prints() {
        let token = SiteSecret::parse(br#"{"key": "k3y-a", "secret": "s3cret"}"#).unwrap();
        let key = BASE64_STANDARD.encode([7; 32]);
        let text = format!(
            r#"{{"client_id": "c1ient", "client_secret": "s3cret", "refresh_token": "r3fresh", "token_key": "{key}"}}"#
        );
        let grant = SiteSecret::parse(text.as_bytes()).unwrap();
        for (secret, parts) in
            [(&token, vec!["k3y-a", "s3cret"]), (&grant, vec!["c1ient", "r3fresh", key.as_str()])]
        {
            let shown = format!("{secret:?} {secret:#?}");
            assert!(parts.iter().all(|part| !shown.contains(part)), "{shown}");
        }
        let SiteSecret::OAuth(grant) = grant else { panic!("a grant") };
        assert!(!format!("{grant:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_used_is_said_and_not_quoted() {
        for text in [
            "",
            "hunter2",
            "\"hunter2\"",
            "{}",
            r#"{"key": "hunter2"}"#,
            r#"{"key": "", "secret": "hunter2"}"#,
            r#"{"key": "hunter2", "secret": 1}"#,
            r#"{"client_id": "a", "client_secret": "hunter2", "refresh_token": "b", "token_key": "hunter2"}"#,
        ] {
            let error = SiteSecret::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::CredentialsRefused, "{text}");
            assert!(error.is_transient(), "it can be mended without sending anything again");
            assert!(!error.causes().contains("hunter2"), "{}", error.causes());
        }
    }
}
