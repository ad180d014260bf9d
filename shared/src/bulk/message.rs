//! What travels on the bulk queue. A message only names what is kept, so one that is lost is made again.

use serde::{Deserialize, Serialize};

use crate::queue::Travels;

/// A message on the bulk queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum BulkMessage {
    /// A job is to begin, or to go on.
    #[serde(rename = "bulk.job.v1")]
    Job {
        /// The job.
        job: String,
        /// Whose it is: fair queues share among users.
        user: String,
    },
    /// A chunk is to be worked on.
    #[serde(rename = "bulk.chunk.v1")]
    Chunk {
        /// The job.
        job: String,
        /// The number of the chunk.
        number: u32,
        /// Whose it is.
        user: String,
    },
}

impl Travels for BulkMessage {
    fn group(&self) -> Option<&str> {
        match self {
            Self::Job { user, .. } | Self::Chunk { user, .. } => Some(user),
        }
    }
}
