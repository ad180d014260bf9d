//! A queue in memory that counts the requests of SQS that it stands for.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use causeway::{
    Result,
    bulk::BulkMessage,
    queue::{Queue, Travels},
};

/// Messages of one request of SQS.
const BATCH: usize = 10;
/// Requests for a message beside its sending: it is received and deleted alone, a chunk being a batch.
const TAKEN: usize = 2;

/// Messages as they travel.
#[derive(Default)]
pub struct MemoryQueue(Mutex<Held>);

#[derive(Default)]
struct Held {
    messages: VecDeque<String>,
    requests: usize,
}

impl MemoryQueue {
    /// The next message.
    pub fn receive(&self) -> Option<String> {
        let mut held = self.held();
        let message = held.messages.pop_front()?;
        held.requests += TAKEN;
        Some(message)
    }

    /// Requests until now.
    pub fn requests(&self) -> usize {
        self.held().requests
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue<BulkMessage> for MemoryQueue {
    async fn send(&self, message: &BulkMessage) -> Result<()> {
        self.send_all(std::slice::from_ref(message)).await
    }

    async fn send_all(&self, messages: &[BulkMessage]) -> Result<()> {
        let encoded = messages.iter().map(BulkMessage::encode).collect::<Result<Vec<_>>>()?;
        let mut held = self.held();
        held.requests += encoded.len().div_ceil(BATCH);
        held.messages.extend(encoded);
        Ok(())
    }

    async fn hide(&self, _: &str, _: Duration) -> Result<()> {
        self.held().requests += 1;
        Ok(())
    }

    async fn delete(&self, _: &[String]) -> Result<()> {
        Ok(())
    }
}
