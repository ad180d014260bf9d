//! Where a site gives tokens for a refresh token: `frappe.integrations.oauth2.get_token`.
//!
//! Its answers are bare, without `message`, and its errors those of OAuth (`{"error": "invalid_grant"}`, 400).

use std::sync::Arc;

use http::{Method, Request, header};
use serde::Deserialize;

use super::secret::OAuthGrant;
use crate::{
    Error, ErrorCode, Result,
    erpnext::{ERPNEXT, Map, PolicySource, SiteConfig},
    outbound::{Call, CallFailure, Outbound, Repeat},
};

const METHOD: &str = "/api/method/frappe.integrations.oauth2.get_token";
/// The longest reason of a site that is passed on, in characters.
const MAX_REASON_CHARS: usize = 100;

/// Asks for tokens.
pub struct TokenEndpoint {
    site: SiteConfig,
    outbound: Arc<Outbound>,
    policies: Arc<dyn PolicySource>,
}

/// What a site answers.
#[derive(Deserialize)]
pub struct Granted {
    /// What calls are authorised with.
    pub access_token: String,
    /// What the next tokens are asked for with; none: as before.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// How long the access token works, in seconds.
    #[serde(default)]
    pub expires_in: Option<u32>,
}

/// Why there are no new tokens.
#[derive(Debug)]
pub enum NotGranted {
    /// The site refused, for this reason.
    Refused(String),
    /// The answer was lost, and the refresh token may be used up.
    Lost(Error),
    /// Nothing was asked, or nothing changed.
    Unsent(Error),
}

impl From<NotGranted> for Error {
    fn from(no: NotGranted) -> Self {
        match no {
            NotGranted::Refused(reason) => Self::new(
                ErrorCode::CredentialsRefused,
                format!("the ERPNext site does not renew the OAuth tokens ({reason})"),
            ),
            NotGranted::Lost(error) | NotGranted::Unsent(error) => error,
        }
    }
}

impl TokenEndpoint {
    /// That of `site`, over `outbound`.
    pub fn new(site: SiteConfig, outbound: Arc<Outbound>, policies: Arc<dyn PolicySource>) -> Self {
        Self { site, outbound, policies }
    }

    /// The connector that the site is.
    pub(super) fn connector(&self) -> &str {
        &self.site.connector
    }

    /// Uses up `refresh_token`.
    pub async fn renew(&self, grant: &OAuthGrant, refresh_token: &str) -> Result<Granted, NotGranted> {
        let policy = self.policies.policy().await.map_err(NotGranted::Unsent)?;
        let call = self.call(grant, refresh_token).map_err(NotGranted::Unsent)?;
        let answer = match self.outbound.call(&call, &policy).await {
            Ok(answer) => answer,
            Err(CallFailure::Unknown(error)) => return Err(NotGranted::Lost(error)),
            Err(failure) => return Err(NotGranted::Unsent(failure.into())),
        };
        let body = answer.response.body();
        if answer.refused {
            let said: Map = serde_json::from_slice(body).unwrap_or_default();
            let reason = said.get("error").and_then(|code| code.as_str()).unwrap_or("no reason");
            return Err(NotGranted::Refused(reason.chars().take(MAX_REASON_CHARS).collect()));
        }
        // The parse error may quote a token, so it is not passed on.
        serde_json::from_slice(body).map_err(|_| {
            let detail = "the ERPNext site renewed the OAuth tokens with an answer that has none";
            NotGranted::Lost(Error::new(ErrorCode::OutcomeUnknown, detail))
        })
    }

    fn call(&self, grant: &OAuthGrant, refresh_token: &str) -> Result<Call> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token),
                ("client_id", &grant.client_id),
                ("client_secret", &grant.client_secret),
            ])
            .finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{METHOD}", self.site.url.as_str().trim_end_matches('/')))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into_bytes())
            .map_err(Error::internal)?;
        Ok(Call {
            connector: self.site.connector.clone(),
            endpoint: format!("POST {METHOD}"),
            request,
            // The second time, a refresh token is refused.
            repeat: Repeat::Unsafe,
            provider: &ERPNEXT,
        })
    }
}
