//! Where the tokens of OAuth are kept between calls, for all instances: one item a connector.
//!
//! A refresh token is used once: the answer to its use has the next. So the item counts generations, and is changed
//! only by who knows the present one. That a renewal was begun is written down before it is sent: if its answer is
//! lost, so is the grant, and then it can be said why.

pub mod dynamo;

use async_trait::async_trait;

use crate::Result;

/// What is kept of a connector's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptTokens {
    /// Counts the renewals.
    pub generation: u64,
    /// A digest of the refresh token that it all began with: another one in the secret is a new beginning.
    pub origin: String,
    /// The tokens, sealed; none before the first renewal.
    pub sealed: Option<Vec<u8>>,
    /// Whether a renewal was begun of which no end is known.
    pub is_begun: bool,
}

/// Keeps tokens.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// What is kept for `connector`, as it is now.
    async fn read(&self, connector: &str) -> Result<Option<KeptTokens>>;

    /// Writes `tokens` in the place of those of `generation` (0: of none, or of those never renewed); whether they were
    /// still those.
    async fn replace(&self, connector: &str, generation: u64, tokens: &KeptTokens) -> Result<bool>;
}
