//! The port to the network: one request out, one answer in.

mod connecting;
pub mod reqwest;
mod resolver;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};

/// What one try may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connecting: resolving the name, TCP and TLS together. Where `total` is shorter, less.
    pub connect: Duration,
    /// All of it, the answer's body included.
    pub total: Duration,
    /// The answer's body, in bytes.
    pub max_response_bytes: usize,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum TransportError {
    /// The address is none that may be called; why.
    AddressRefused(String),
    /// It was not sent: no address, no connection, no TLS.
    NotSent(Box<dyn std::error::Error + Send + Sync>),
    /// It was sent, at least in part, and then there was no whole answer.
    Lost(Box<dyn std::error::Error + Send + Sync>),
    /// The answer is larger than the limit; its status is known.
    TooLarge(http::StatusCode),
}

/// Sends requests.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request` and reads the whole answer.
    async fn send(
        &self,
        request: &Request<Vec<u8>>,
        limits: Limits,
    ) -> Result<Response<Vec<u8>>, TransportError>;
}
