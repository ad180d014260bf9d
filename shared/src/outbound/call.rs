//! A call, its answer, and what the answer means.

use std::time::Duration;

use http::{HeaderMap, Request, Response};

use super::rate_headers;
use crate::Error;

/// A call to a provider.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose policy, breaker and rate it is under: the connector's name.
    pub connector: String,
    /// What logs and metrics call it, without names of things, e.g. `PUT /api/resource/{doctype}/{name}`.
    pub endpoint: String,
    /// The request, with an absolute URL.
    pub request: Request<Vec<u8>>,
    /// Whether it may be sent again.
    pub repeat: Repeat,
    /// Knows what answers mean.
    pub provider: &'static dyn Provider,
}

/// Whether a call may be sent again when nobody knows if it had its effect. GET and HEAD have none, and are sent again
/// always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing, or the provider recognises the repeat (an idempotency key, a unique field, a version).
    Safe,
    /// A repeat may have a second effect.
    Unsafe,
}

/// Whether a call that failed may have had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It had none.
    None,
    /// Nobody knows yet.
    Unknown,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did what was asked.
    Success,
    /// The provider is well and declines: the same call is declined again. The caller reads why.
    Refused,
    /// We ask too often. It had no effect.
    Limited,
    /// The provider is not well; later it may be.
    Failed(Effect),
}

/// What a provider says of its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateNotice {
    /// How much of the budget of its window is left, 0 to 1.
    pub left: f64,
    /// When the window ends, from now.
    pub resets_in: Duration,
}

/// What is particular to a provider.
pub trait Provider: std::fmt::Debug + Send + Sync {
    /// What `answer` means.
    fn judge(&self, answer: &Response<Vec<u8>>) -> Verdict;

    /// What its headers say of its limits; by default in the forms that many use. `Retry-After` is read for every
    /// provider.
    fn rate(&self, headers: &HeaderMap) -> Option<RateNotice> {
        rate_headers::read(headers)
    }
}

/// An answer that the provider meant: a success or a refusal.
#[derive(Debug)]
pub struct Answer {
    /// Status, headers, and the whole body.
    pub response: Response<Vec<u8>>,
    /// Whether it is a refusal.
    pub refused: bool,
    /// Whether an earlier try of the same call was lost and may have had its effect: a refusal may then be the echo of
    /// it (the document exists: we made it), so look before believing it.
    pub after_unknown: bool,
}

/// Why there is no answer. Each has an error with one of the codes of outbound calls, which says when another try
/// makes sense.
#[derive(Debug)]
pub enum CallFailure {
    /// Nothing was sent: the breaker is open, the rate used up, the deadline too near, the address refused, or the
    /// connection did not come about.
    Withheld(Error),
    /// The provider failed, and nothing changed.
    Failed(Error),
    /// It was sent, and nobody knows whether it had its effect: look it up before trying again.
    Unknown(Error),
}

impl CallFailure {
    /// The error.
    pub fn error(&self) -> &Error {
        match self {
            Self::Withheld(error) | Self::Failed(error) | Self::Unknown(error) => error,
        }
    }

    /// The same failure, its error changed by `change`.
    pub(super) fn map(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::Withheld(error) => Self::Withheld(change(error)),
            Self::Failed(error) => Self::Failed(change(error)),
            Self::Unknown(error) => Self::Unknown(change(error)),
        }
    }
}

impl From<CallFailure> for Error {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Withheld(error) | CallFailure::Failed(error) | CallFailure::Unknown(error) => error,
        }
    }
}
