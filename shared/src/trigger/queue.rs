//! SQS batches and the schedule: what starts the event worker.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::info;

use super::calls;
use crate::{
    Error, Result,
    events::{EventWorker, Received, batch},
    outbound::CallLog,
    parking::Sweeper,
    queue::Queue,
};

/// How long before the function's deadline work stops, so that the answer still goes out.
const RESERVE: Duration = Duration::from_millis(500);
/// `cargo lambda` gives a deadline in the past; then this long is assumed.
const ASSUMED_TIMEOUT: Duration = Duration::from_secs(30);

/// What the event worker is started with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// Messages.
    Batch(SqsEvent),
    /// The schedule.
    Scheduled {
        /// What is to be done.
        trigger: Task,
    },
}

/// What the schedule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Send what is parked and due.
    Sweep,
}

/// The event worker behind its triggers.
pub struct WorkerFunction {
    /// Works on messages.
    pub worker: Arc<EventWorker>,
    /// Sends what is due.
    pub sweeper: Sweeper,
    /// The queue the messages come from.
    pub queue: Arc<dyn Queue>,
    /// Where calls to providers are noted.
    pub call_log: Arc<dyn CallLog>,
    /// Messages from here are parked.
    pub dead_letter_arn: String,
}

/// Works until the runtime ends.
pub async fn run(function: &WorkerFunction) -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Trigger>| {
        function.handle(event).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}

impl WorkerFunction {
    /// Handles one invocation.
    pub async fn handle(&self, event: LambdaEvent<Trigger>) -> Result<Value> {
        let deadline = deadline(event.context.deadline);
        let answer = self.answer(event, deadline).await;
        calls::write(&*self.call_log, deadline).await;
        answer
    }

    async fn answer(&self, event: LambdaEvent<Trigger>, deadline: Instant) -> Result<Value> {
        match event.payload {
            Trigger::Scheduled { trigger: Task::Sweep } => {
                let swept = self.sweeper.sweep(half_way(event.context.deadline)).await?;
                info!(?swept, "swept");
                Ok(json!({}))
            }
            Trigger::Batch(batch) => {
                let messages =
                    batch.records.into_iter().map(|m| self.received(m)).collect::<Result<Vec<_>>>()?;
                let queue = Arc::clone(&self.queue);
                let again = batch::run(Arc::clone(&self.worker), queue, messages, deadline).await;
                let mut response = SqsBatchResponse::default();
                response.batch_item_failures = again.into_iter().map(failure).collect();
                serde_json::to_value(response).map_err(Error::internal)
            }
        }
    }

    fn received(&self, message: SqsMessage) -> Result<Received> {
        Ok(Received {
            receives: receives(&message.attributes),
            message_id: message.message_id.ok_or_else(|| Error::internal("an SQS message without an id"))?,
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            dead_letter: message.event_source_arn.as_deref() == Some(self.dead_letter_arn.as_str()),
        })
    }
}

/// How often a message was received, by its attributes.
pub(super) fn receives(attributes: &HashMap<String, String>) -> u32 {
    attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

pub(super) fn failure(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

/// When to stop, from the context's deadline in milliseconds since 1970.
pub(super) fn deadline(epoch_milliseconds: u64) -> Instant {
    Instant::now() + left(epoch_milliseconds).saturating_sub(RESERVE)
}

/// When a sweep begins no further chunk: half of the time is left for the one under way.
fn half_way(epoch_milliseconds: u64) -> Timestamp {
    let half = SignedDuration::try_from(left(epoch_milliseconds) / 2).unwrap_or_default();
    Timestamp::now().saturating_add(half).unwrap_or(Timestamp::MAX)
}

fn left(epoch_milliseconds: u64) -> Duration {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    epoch_milliseconds.checked_sub(now).map_or(ASSUMED_TIMEOUT, Duration::from_millis)
}
