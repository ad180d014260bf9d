//! Outbound calls: the one way by which anything of ours talks to a provider over HTTP.
//!
//! A client of a provider makes a [`Call`] and hands it to [`Outbound::call`]: the address is checked, the
//! [`Governor`] admits it (adaptive rate, circuit breaker, shared by all instances), it is sent within its timeout and
//! the function's deadline ([`Origin`]), tried again where that is safe and within the retry budget, and noted in the
//! [`CallLog`]. Policies are data, per connector ([`OutboundPolicy`]). What a provider's answer means, its own
//! [`Provider`] says: statuses alone mislead.

pub mod address;
mod call;
pub mod call_log;
pub mod governor;
mod http_provider;
mod origin;
#[cfg(test)]
mod outage_tests;
mod pipeline;
#[cfg(test)]
mod pipeline_tests;
pub mod policy;
mod rate_headers;
mod record;
mod retry_after;
pub mod transport;

pub use address::Exceptions;
pub use call::{Answer, Call, CallFailure, Effect, Provider, RateNotice, Repeat, Verdict};
pub use call_log::{CallLog, CallRecord};
pub use governor::{Governor, Outcome, Permit};
pub use http_provider::HttpProvider;
pub use origin::Origin;
pub use pipeline::Outbound;
pub use policy::OutboundPolicy;
pub use transport::{Limits, Transport, TransportError, reqwest::ReqwestTransport};
