//! What operators see: JSON log lines (one an occurrence, with the event's id) and metrics in CloudWatch's
//! Embedded Metric Format, which cost no call.

pub mod metric;

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to stdout at `LOG_LEVEL` (default `info`). Called once by each function's `main`.
pub fn init() {
    let level = std::env::var("LOG_LEVEL").unwrap_or_default();
    let filter = EnvFilter::try_new(if level.is_empty() { "info" } else { &level })
        .unwrap_or_else(|_| EnvFilter::new("info"));
    fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_ansi(false)
        .init();
}
