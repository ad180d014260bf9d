//! Connectors: who sends us webhooks, how they sign, and what their events become.
//!
//! Settings are data ([`ConnectorSettings`], validated where they are written), read through
//! [`ConnectorRepository`] and remembered by [`ConnectorCache`].

mod cache;
mod circle;
mod repository;
mod settings;
mod validation;

pub use cache::{Connector, ConnectorCache, REFRESH_EVERY, TTL};
pub use repository::ConnectorRepository;
pub use settings::*;
pub use validation::check_name;
