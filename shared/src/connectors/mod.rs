//! Connectors: who sends us webhooks, how they sign, and what their events become. Settings are data.

mod settings;

pub use settings::*;
