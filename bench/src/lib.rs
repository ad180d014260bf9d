//! What the benchmarks share: deliveries as providers send them, and ports that answer at once.
//!
//! The benchmarks themselves are in `benches/`; docs/benchmarks.md says what each measures and what came out.

pub mod connection;
pub mod delivery;
pub mod orders;
pub mod ports;
pub mod stack;
pub mod table;

/// Why a benchmark cannot go on.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;
