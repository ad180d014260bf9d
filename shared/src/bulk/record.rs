//! Records of a job, the chunks they are worked on in, and how each ended. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, documents::Fields, integration_log::Failure};

/// The most records of a chunk: what one transaction writes of it, its failures included, is at most 100 items.
pub const MAX_CHUNK: usize = 90;

/// The most attempts at a record.
pub const MAX_ATTEMPTS: u32 = 5;

/// A source that a document is to be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the job, from 0.
    #[serde(rename = "i")]
    pub index: u32,
    /// The name of the source.
    #[serde(rename = "n")]
    pub name: String,
    /// What the mapping is told besides, e.g. which rows.
    #[serde(rename = "a", default, skip_serializing_if = "Fields::is_empty")]
    pub args: Fields,
    /// Which attempt this is, from 1.
    #[serde(rename = "t", default = "first", skip_serializing_if = "is_first")]
    pub attempt: u32,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

/// Records that are worked on together.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Its number in the job, from 0.
    pub number: u32,
    /// Its records.
    pub records: Vec<Record>,
    /// How often a worker took it on and came to no end by a fault, this time among them.
    pub tries: u32,
    /// How often a worker took it on at all.
    pub claims: u32,
    /// The record that a worker was at, alone, when it was last heard of.
    pub suspect: Option<u32>,
    /// Records at which a worker died that worked on nothing else.
    pub poisoned: Vec<u32>,
    /// How records ended in tries that did not come to the end of all, by their index. They are not worked on again.
    pub so_far: BTreeMap<u32, Ended>,
    /// How each record ended, in their order; `None` while it is not done.
    pub outcomes: Option<Vec<Outcome>>,
    /// When it was done.
    pub done_at: Option<Timestamp>,
}

impl Chunk {
    /// Whether nothing can have been made of its records yet: no worker ever had them but the one that has it now.
    pub fn is_untouched(&self) -> bool {
        self.claims == 1 && self.records.iter().all(|record| record.attempt == 1)
    }
}

/// How a record ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// This document was made.
    #[serde(rename = "s")]
    Succeeded(String),
    /// Nothing was made. Why is kept apart, as a [`FailedRecord`].
    #[serde(rename = "f")]
    Failed,
    /// It was not begun.
    #[serde(rename = "c")]
    Cancelled,
}

/// What came of a record in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// This document was made.
    #[serde(rename = "s")]
    Made(String),
    /// Nothing was made.
    #[serde(rename = "f")]
    Refused {
        /// Why.
        #[serde(rename = "e")]
        failure: Failure,
        /// Whether another attempt may succeed.
        #[serde(rename = "r")]
        retryable: bool,
    },
    /// It was not begun.
    #[serde(rename = "c")]
    Cancelled,
}

impl Ended {
    /// What `error` means for a record.
    pub fn of(error: &Error) -> Self {
        Self::Refused { failure: Failure::of(error), retryable: is_retryable(error) }
    }

    /// What is kept of it with its chunk.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Made(target) => Outcome::Succeeded(target.clone()),
            Self::Refused { .. } => Outcome::Failed,
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

/// Whether it may pass by itself, or by what people can mend: a missing source, a permission, a rule of the site.
fn is_retryable(error: &Error) -> bool {
    use crate::ErrorCode::{InvalidInput, NothingToMap};
    !matches!(error.code(), NothingToMap | InvalidInput)
}

/// A record whose attempt failed, as Bulk Transaction Log Detail keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedRecord {
    /// The record, with the number of the attempt.
    pub record: Record,
    /// When it failed.
    pub at: Timestamp,
    /// Why.
    pub failure: Failure,
    /// Whether another attempt may succeed.
    pub retryable: bool,
    /// Whether it is tried again: what counts is the later attempt.
    pub retried: bool,
}

impl FailedRecord {
    /// Whether a retry takes it.
    pub fn may_retry(&self) -> bool {
        self.retryable && !self.retried && self.record.attempt < MAX_ATTEMPTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn a_record_takes_little_room() {
        let record = Record { index: 7, name: "SO-7".to_owned(), args: Fields::new(), attempt: 1 };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, r#"{"i":7,"n":"SO-7"}"#);
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn what_will_fail_the_same_way_again_is_not_retryable() {
        let retryable = |code| match Ended::of(&Error::new(code, "why")) {
            Ended::Refused { retryable, .. } => retryable,
            other => panic!("{other:?}"),
        };
        assert!(retryable(ErrorCode::DocumentNotFound) && retryable(ErrorCode::PermissionDenied));
        assert!(!retryable(ErrorCode::NothingToMap));
    }
}
