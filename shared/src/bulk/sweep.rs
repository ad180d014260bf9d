//! The sweep of jobs: has each that is not over go on, in case its message was never sent, a chunk was not heard of, or
//! one waits for its time.
//!
//! Called by the bulk worker's schedule, once a minute. Two at a time do no harm: a job is claimed by moving its time.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::warn;

use super::{BulkStore, Dispatcher};
use crate::{Result, clock::Clock};

/// The most jobs one sweep looks at: what is left is due in the next.
const MAX_SWEPT: usize = 1_000;
/// Jobs taken at a time.
const CHUNK: usize = 100;
/// A job is looked at this often while it is not over.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// The sweeper of jobs.
pub struct BulkSweeper {
    store: Arc<dyn BulkStore>,
    dispatcher: Dispatcher,
    clock: Arc<dyn Clock>,
}

impl BulkSweeper {
    /// A sweeper of the jobs in `store`.
    pub fn new(store: Arc<dyn BulkStore>, dispatcher: Dispatcher, clock: Arc<dyn Clock>) -> Self {
        Self { store, dispatcher, clock }
    }

    /// Looks at the jobs that are due, until `deadline`; how many.
    pub async fn sweep(&self, deadline: Instant) -> Result<usize> {
        let mut swept = 0;
        while swept < MAX_SWEPT && Instant::now() < deadline {
            let now = self.clock.now();
            let again = now.saturating_add(EVERY).unwrap_or(now);
            let due = self.store.claim_due(now, again, CHUNK).await?;
            if due.is_empty() {
                break;
            }
            for job in due {
                swept += 1;
                // One job that cannot go on keeps no other from it; it is due again.
                if let Err(error) = self.dispatcher.advance(&job, deadline).await {
                    warn!(job, error = ?error, "a job could not go on");
                }
            }
        }
        Ok(swept)
    }
}
