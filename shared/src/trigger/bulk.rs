//! The bulk queue and its schedule: what starts the bulk worker.

use std::{sync::Arc, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    calls,
    queue::{Task, Trigger, deadline, failure, receives},
};
use crate::{
    Error, Result,
    bulk::{BulkMessage, BulkSweeper, ChunkId, ChunkWorker, Dispatcher, Disposition},
    outbound::{CallLog, Origin},
    queue::{Queue, Travels},
};

/// A message comes back this long after an error, times its receipts: most errors pass in seconds, long before it would
/// be visible again by itself.
const AFTER_ERROR: Duration = Duration::from_secs(10);
/// The most receipts that make its wait longer: within the hundred that a message has, an outage may last an hour and a
/// half. Then the sweep has the job go on.
const LONGEST_AFTER: u32 = 6;

/// The bulk worker behind its triggers.
pub struct BulkFunction {
    /// Works on chunks.
    pub worker: Arc<ChunkWorker>,
    /// Takes jobs on.
    pub dispatcher: Dispatcher,
    /// Has jobs go on that came to a stop.
    pub sweeper: BulkSweeper,
    /// The queue the messages come from.
    pub queue: Arc<dyn Queue<BulkMessage>>,
    /// Where calls to providers are noted.
    pub call_log: Arc<dyn CallLog>,
}

/// Works until the runtime ends.
pub async fn run(function: &BulkFunction) -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Trigger>| {
        function.handle(event).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}

impl BulkFunction {
    /// Handles one invocation.
    pub async fn handle(&self, event: LambdaEvent<Trigger>) -> Result<Value> {
        let deadline = deadline(event.context.deadline);
        let answer = self.answer(event.payload, deadline).await;
        calls::write(&*self.call_log, deadline).await;
        answer
    }

    async fn answer(&self, trigger: Trigger, deadline: Instant) -> Result<Value> {
        match trigger {
            Trigger::Scheduled { trigger: Task::Sweep } => {
                let swept = self.sweeper.sweep(deadline).await?;
                info!(swept, "swept");
                Ok(json!({}))
            }
            Trigger::Batch(batch) => {
                let mut response = SqsBatchResponse::default();
                for message in batch.records {
                    let id = message.message_id.clone().unwrap_or_default();
                    if !self.work(message, deadline).await {
                        response.batch_item_failures.push(failure(id));
                    }
                }
                serde_json::to_value(response).map_err(Error::internal)
            }
        }
    }

    /// Works on one message; whether it is done with.
    async fn work(&self, message: SqsMessage, deadline: Instant) -> bool {
        let body = message.body.unwrap_or_default();
        let message_read = match BulkMessage::decode(&body) {
            Ok(message) => message,
            Err(error) => {
                // It only names what is kept: the sweep has the job go on.
                error!(error = ?error, "a message that cannot be read is given up");
                return true;
            }
        };
        let wait = match self.act(&message_read, deadline).await {
            Ok(Disposition::Done) => return true,
            Ok(Disposition::Again(wait)) => wait,
            Err(error) => {
                let wait = AFTER_ERROR * receives(&message.attributes).clamp(1, LONGEST_AFTER);
                warn!(error = ?error, ?wait, "a message comes back");
                wait
            }
        };
        let receipt = message.receipt_handle.unwrap_or_default();
        if let Err(error) = self.queue.hide(&receipt, wait).await {
            warn!(error = ?error, "its wait could not be set");
        }
        false
    }

    async fn act(&self, message: &BulkMessage, deadline: Instant) -> Result<Disposition> {
        match message {
            BulkMessage::Job { job, .. } => {
                self.dispatcher.advance(job, deadline).await.map(|()| Disposition::Done)
            }
            BulkMessage::Chunk { job, number, user } => {
                let chunk = ChunkId { job: job.clone(), number: *number };
                let origin = Origin { owner: job.clone(), deadline };
                let (worker, user) = (Arc::clone(&self.worker), user.clone());
                let work = origin.scope(async move { worker.work(&chunk, &user, deadline).await });
                // A panic ends the task, not the function: the claim it leaves ends by itself.
                tokio::spawn(work).await.map_err(Error::internal)?
            }
        }
    }
}
