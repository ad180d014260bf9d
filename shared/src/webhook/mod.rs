//! Webhook ingestion: a provider's signed request becomes a queued event.
//!
//! [`Ingest::accept`] is called by the `webhook-ingest` function with the raw request. It looks the connector
//! up (memory first), verifies the signature over the raw bytes, names and identifies the event, and answers
//! only after the queue has it. Whatever is refused is refused with a code of its own and leaves no trace but
//! a log line and a count.

mod event;
mod function;
mod ingest;
mod payload;
pub mod signature;
#[cfg(test)]
mod tests;

pub use event::{MAX_EVENT_NAME_BYTES, check_destructive, check_name as check_event_name, scalar};
pub use function::{IngestFunction, ROUTES};
pub use ingest::{Accepted, Delivery, Ingest};
pub use payload::parse as parse_payload;
