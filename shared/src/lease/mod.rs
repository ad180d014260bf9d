//! Leases: one holder at a time, across all instances, with a fencing token.
//!
//! A lease is held until it expires or is released. Each acquisition has a higher token than the one before,
//! so that whoever lost a lease without noticing can be told from its present holder.

pub mod dynamo;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Result;

/// A lease that was acquired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Grows with each acquisition of the name.
    pub token: u64,
    /// Until when it is held.
    pub expires_at: Timestamp,
}

/// Where leases are kept.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Acquires `name`; `None` while someone else holds it.
    async fn acquire(&self, name: &str) -> Result<Option<Lease>>;

    /// Gives it back. Harmless when it was lost.
    async fn release(&self, lease: &Lease) -> Result<()>;
}
