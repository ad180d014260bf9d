//! The bulk queue and its schedule: what starts the bulk worker.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    calls,
    queue::{Task, Trigger, deadline, failure},
};
use crate::{
    Error, Result,
    bulk::{BulkMessage, BulkSweeper, ChunkId, ChunkWorker, Dispatcher, Disposition},
    outbound::{CallLog, Origin},
    queue::{Queue, Travels},
};

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
        match self.act(&message_read, deadline).await {
            Ok(Disposition::Done) => true,
            Ok(Disposition::Again(wait)) => {
                let receipt = message.receipt_handle.unwrap_or_default();
                if let Err(error) = self.queue.hide(&receipt, wait).await {
                    warn!(error = ?error, "its wait could not be set");
                }
                false
            }
            Err(error) => {
                warn!(error = ?error, "a message comes back");
                false
            }
        }
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
