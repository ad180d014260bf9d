//! By what a site knows us.
//!
//! [`SiteCredentials`] reads the secret ([`SiteSecret`]): an API key, or a grant of OAuth, whose tokens [`Grants`]
//! renews. [`Site`](super::Site) asks for a header with each call, and says when the site did not accept it.

mod endpoint;
mod grants;
mod seal;
mod secret;
mod stored;
pub mod tokens;

pub use endpoint::{Granted, NotGranted, TokenEndpoint};
pub use grants::Grants;
pub use secret::{OAuthGrant, SiteSecret};
pub use stored::SiteCredentials;

use async_trait::async_trait;
use http::HeaderValue;

use crate::{Error, Result};

/// Gives the credentials of a call.
#[async_trait]
pub trait Authorise: Send + Sync {
    /// The value of the header `Authorization`, marked as sensitive.
    async fn authorization(&self) -> Result<HeaderValue>;

    /// Hears that the site did not accept `refused`; other credentials, if there are any.
    async fn renewed(&self, refused: &HeaderValue) -> Result<Option<HeaderValue>>;
}

/// An API key and its secret, for good: of tools and tests.
#[derive(Debug, Clone)]
pub struct FixedToken(HeaderValue);

impl FixedToken {
    /// The token `key:secret`.
    pub fn new(key: &str, secret: &str) -> Result<Self> {
        sensitive(&format!("token {key}:{secret}")).map(Self)
    }

    /// The access token that OAuth gave.
    pub fn bearer(access_token: &str) -> Result<Self> {
        sensitive(&format!("Bearer {access_token}")).map(Self)
    }
}

#[async_trait]
impl Authorise for FixedToken {
    async fn authorization(&self) -> Result<HeaderValue> {
        Ok(self.0.clone())
    }

    async fn renewed(&self, _: &HeaderValue) -> Result<Option<HeaderValue>> {
        Ok(None)
    }
}

/// A header's value that no `Debug` shows.
fn sensitive(text: &str) -> Result<HeaderValue> {
    // The error would not quote it; but nothing about the value belongs into a log.
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::internal("the ERPNext credentials hold characters that no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}
