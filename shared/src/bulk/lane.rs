//! A user's lane: which chunks of their jobs are in flight, and which come next. Pure.
//!
//! At most so many chunks of a user are in flight, whatever the number of their jobs, and their jobs take turns: a
//! small job does not wait for a big one, and nobody's jobs wait for anybody else's. A chunk that took off leaves the
//! lane when it is done; one that is not heard of until its time is sent again, since its message may never have been
//! sent. Sending twice does no harm.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The most jobs of a user that take turns; more wait until one has no chunk left to send.
pub const MAX_JOBS: usize = 200;

/// A chunk of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId {
    /// The job.
    pub job: String,
    /// The number of the chunk.
    pub number: u32,
}

/// The lane of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Jobs with chunks to send, whose turn it is first.
    #[serde(rename = "q", default)]
    queued: Vec<QueuedJob>,
    /// Chunks in flight, by job and number, and when they are sent again, in seconds since 1970.
    #[serde(rename = "f", default)]
    flying: BTreeMap<String, BTreeMap<u32, i64>>,
}

/// A job with chunks to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct QueuedJob {
    #[serde(rename = "j")]
    id: String,
    /// The chunk that is next.
    #[serde(rename = "n")]
    next: u32,
    /// The number after the last.
    #[serde(rename = "e")]
    end: u32,
}

impl Lane {
    /// Queues the chunks of `job` from `next` to below `end`. A job that is queued already goes on from where it is, to the
    /// new end. `false` if the lane has no room for another job.
    pub fn admit(&mut self, job: &str, next: u32, end: u32) -> bool {
        if let Some(known) = self.queued.iter_mut().find(|queued| queued.id == job) {
            known.end = known.end.max(end);
            return true;
        }
        if next >= end {
            return true;
        }
        if self.queued.len() >= MAX_JOBS {
            return false;
        }
        self.queued.push(QueuedJob { id: job.to_owned(), next, end });
        true
    }

    /// The number of the next chunk of `job` to take off, if it has chunks left to send.
    pub fn next_of(&self, job: &str) -> Option<u32> {
        self.queued.iter().find(|queued| queued.id == job).map(|queued| queued.next)
    }

    /// Takes a chunk that is done out.
    pub fn land(&mut self, chunk: &ChunkId) {
        if let Some(of_job) = self.flying.get_mut(&chunk.job) {
            of_job.remove(&chunk.number);
            if of_job.is_empty() {
                self.flying.remove(&chunk.job);
            }
        }
    }

    /// Puts off when a chunk in flight is sent again.
    pub fn put_off(&mut self, chunk: &ChunkId, until: Timestamp) {
        if let Some(again) = self.flying.get_mut(&chunk.job).and_then(|chunks| chunks.get_mut(&chunk.number))
        {
            *again = until.as_second();
        }
    }

    /// The chunks to send at `now`: those in flight that were not heard of, and then the next ones, the jobs by turns,
    /// until `window` are in flight. They are sent again after `patience`.
    pub fn take_off(&mut self, now: Timestamp, window: usize, patience: SignedDuration) -> Vec<ChunkId> {
        let again = now.saturating_add(patience).unwrap_or(now).as_second();
        let mut sent = Vec::new();
        for (job, chunks) in &mut self.flying {
            for (number, due) in chunks {
                if *due <= now.as_second() {
                    *due = again;
                    sent.push(ChunkId { job: job.clone(), number: *number });
                }
            }
        }
        let mut flying: usize = self.flying.values().map(BTreeMap::len).sum();
        while flying < window && !self.queued.is_empty() {
            let mut queued = self.queued.remove(0);
            let number = queued.next;
            self.flying.entry(queued.id.clone()).or_default().insert(number, again);
            sent.push(ChunkId { job: queued.id.clone(), number });
            flying += 1;
            queued.next += 1;
            if queued.next < queued.end {
                self.queued.push(queued);
            }
        }
        sent
    }

    /// Whether anything of `job` is in flight or to be sent.
    pub fn has(&self, job: &str) -> bool {
        self.flying.contains_key(job) || self.queued.iter().any(|queued| queued.id == job)
    }

    /// Whether nothing is in flight and nothing to be sent.
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.flying.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

    fn sent(lane: &mut Lane, now: Timestamp) -> Vec<(String, u32)> {
        lane.take_off(now, 3, PATIENCE).into_iter().map(|chunk| (chunk.job, chunk.number)).collect()
    }

    fn chunk(job: &str, number: u32) -> ChunkId {
        ChunkId { job: job.to_owned(), number }
    }

    #[test]
    fn a_small_job_does_not_wait_for_a_big_one() {
        let mut lane = Lane::default();
        assert!(lane.admit("big", 0, 1_000));
        assert_eq!(sent(&mut lane, start()).len(), 3);
        assert!(lane.admit("small", 0, 2));
        assert_eq!(sent(&mut lane, start()), [], "so many of a user are in flight");
        lane.land(&chunk("big", 0));
        lane.land(&chunk("big", 1));
        assert_eq!(sent(&mut lane, start()), [("big".to_owned(), 3), ("small".to_owned(), 0)]);
        lane.land(&chunk("big", 2));
        lane.land(&chunk("big", 3));
        assert_eq!(sent(&mut lane, start()), [("big".to_owned(), 4), ("small".to_owned(), 1)]);
    }

    #[test]
    fn what_is_not_heard_of_is_sent_again_and_what_landed_is_not() {
        let mut lane = Lane::default();
        lane.admit("a", 0, 2);
        assert_eq!(sent(&mut lane, start()).len(), 2);
        lane.land(&chunk("a", 0));
        assert_eq!(sent(&mut lane, start() + PATIENCE - SignedDuration::from_secs(1)), []);
        assert_eq!(sent(&mut lane, start() + PATIENCE), [("a".to_owned(), 1)]);
        lane.put_off(&chunk("a", 1), start() + PATIENCE * 9);
        assert_eq!(sent(&mut lane, start() + PATIENCE * 8), []);
        lane.land(&chunk("a", 1));
        assert!(lane.is_empty());
    }

    #[test]
    fn a_job_is_admitted_once_and_grows_by_a_retry() {
        let mut lane = Lane::default();
        lane.admit("a", 0, 5);
        sent(&mut lane, start());
        lane.admit("a", 0, 5);
        assert_eq!(lane.next_of("a"), Some(3), "it does not begin anew");
        lane.admit("a", 5, 7);
        for number in 0..7 {
            lane.land(&chunk("a", number));
            sent(&mut lane, start());
        }
        assert!(lane.is_empty());
    }

    #[test]
    fn it_is_small_as_it_is_stored() {
        let mut lane = Lane::default();
        lane.admit("job_019ab0000000700080000000000000ab", 0, 1_250);
        lane.take_off(start(), 8, PATIENCE);
        let text = serde_json::to_string(&lane).unwrap();
        assert!(text.len() < 300, "{text}");
        assert_eq!(serde_json::from_str::<Lane>(&text).unwrap(), lane);
    }
}
