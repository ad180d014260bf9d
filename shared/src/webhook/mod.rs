//! Webhook ingestion: a provider's signed request becomes a queued event.

pub mod signature;
