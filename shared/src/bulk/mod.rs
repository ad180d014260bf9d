//! Bulk transactions: documents made of many others, each record an outcome of its own, whatever breaks.
//!
//! The API accepts a [`BulkRequest`] as a [`Job`]: its records in chunks, then its header, which is the point of no
//! return, then a message. The worker's [`Dispatcher`] lets chunks take off, a few of each user at a time ([`Lane`]);
//! the [`ChunkWorker`] claims one, has a [`Maker`] make a document of each record, and writes down how each ended in
//! one transaction with the job's counts. A message only names what is kept, so the sweep can make any of them again.
//!
//! Guaranteed:
//! - For one job, one document is made of a record: the source (or the new document, on a site) says so itself.
//! - Counts are written with the outcomes they count, under a claim, so they are exact under repeats.
//! - A job whose header is written ends, or shows why it does not.

mod chunk_worker;
mod dispatcher;
pub mod dynamo;
mod job;
mod lane;
mod maker;
mod message;
pub mod pairs;
mod record;
mod request;
mod store;
mod sweep;
mod transactions;

pub use chunk_worker::{ChunkWorker, Disposition};
pub use dispatcher::{Dispatcher, Pace};
pub use job::{Done, Job, JobStatus, KEPT, Start};
pub use lane::{ChunkId, Lane};
pub use maker::{BuiltInMaker, Maker, Order, SiteMaker, Sources};
pub use message::BulkMessage;
pub use record::{Chunk, Ended, FailedRecord, MAX_ATTEMPTS, MAX_CHUNK, Outcome, Record};
pub use request::{BulkRequest, MAX_RECORDS, MAX_REQUEST_BYTES};
pub use store::{BulkStore, Claim, Claimed, Creation, JobQuery, SeenLane};
pub use sweep::BulkSweeper;
pub use transactions::{
    Accepted, BulkTransactions, JobFilter, RecordLine, RecordQuery, RecordStatus, Targets,
};

#[cfg(test)]
mod tests;
