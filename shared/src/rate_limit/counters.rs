//! The port behind which all instances count.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Limit, window::Window};
use crate::Result;

/// Permits to count, unless that is more than there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The class.
    pub class: &'static str,
    /// Whose requests: a user or an address.
    pub subject: String,
    /// When the window began, in seconds since the epoch.
    pub window_start: i64,
    /// When it ends: the counts are worth nothing then.
    pub window_ends_at: Timestamp,
    /// The window's slot, if slots are counted.
    pub slot: Option<i64>,
    /// How many to add to the window's count.
    pub to_window: u64,
    /// How many to add to the slot's.
    pub to_slot: u64,
    /// The most that the window's count may be after that.
    pub window_limit: u64,
    /// The most that the slot's may be.
    pub slot_limit: u64,
}

impl Addition {
    pub(super) fn new(limit: Limit, window: &Window, subject: &str, to_window: u64, to_slot: u64) -> Self {
        Self {
            class: limit.class.as_str(),
            subject: subject.to_owned(),
            window_start: window.start,
            window_ends_at: window.ends_at,
            slot: limit.burst.map(|_| window.slot),
            to_window,
            to_slot,
            window_limit: limit.limit,
            slot_limit: limit.burst.unwrap_or(limit.limit),
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// In the window.
    pub window: u64,
    /// In its slot.
    pub slot: u64,
}

/// What became of an [`Addition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was counted; the counts after it.
    Added(Counts),
    /// There is no room for all of it; the counts without it.
    Full(Counts),
}

/// Where requests are counted.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Counts `addition`, in one step, if both counts stay within their limits.
    async fn add(&self, addition: &Addition) -> Result<Outcome>;
}
