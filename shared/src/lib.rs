//! Causeway's shared library: everything the Lambda functions have in common.
//!
//! Data flows one way: a function's handler calls a domain module, the domain calls a port (a trait),
//! and an adapter behind the port talks to AWS. Only the adapters (`dynamo.rs`, `sqs.rs`,
//! `secretsmanager.rs`) and [`app`] name an AWS SDK type. ARCHITECTURE.md has the map and the invariants.

pub mod api;
pub mod app;
pub mod auth;
mod bounded;
pub mod bulk;
pub mod cache;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod documents;
pub mod dynamo;
pub mod erpnext;
pub mod error;
pub mod etag;
pub mod events;
pub mod id;
pub mod integration_log;
pub mod lease;
pub mod mapping;
mod outage;
pub mod outbound;
pub mod parking;
pub mod projections;
pub mod queue;
pub mod rate_limit;
pub mod secrets;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod trigger;
pub mod webhook;

pub use error::{Error, ErrorCode, FieldError, Result};
