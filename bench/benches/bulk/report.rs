//! What a worker's process tells of its job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meter::Tally;

/// Figures by name.
pub type Figures = BTreeMap<String, f64>;

/// What a worker's process used for a job.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// From the first message to the last.
    pub seconds: f64,
    /// Of the store of documents.
    pub documents: Used,
    /// Of the store of jobs.
    pub bookkeeping: Used,
    /// Requests of SQS.
    pub sqs: f64,
    /// What was resident before the first message, in kB.
    pub resident_kb: u64,
    /// What was resident at most, in kB.
    pub peak_kb: u64,
}

/// Calls and units.
#[derive(Debug, Serialize, Deserialize)]
pub struct Used {
    /// By service.
    pub calls: Figures,
    /// By table or `table/index`.
    pub writes: Figures,
    /// The same.
    pub reads: Figures,
}

impl From<Tally> for Used {
    fn from(Tally { calls, writes, reads, .. }: Tally) -> Self {
        Self { calls, writes, reads }
    }
}

/// The sum of those whose names begin with `prefix`.
pub fn sum(figures: &Figures, prefix: &str) -> f64 {
    figures.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, figure)| figure).sum()
}
