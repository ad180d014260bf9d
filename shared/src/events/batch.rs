//! A batch of queue messages: worked on side by side, each on its own, before the deadline.
//!
//! Called by the function's shell. A panic is the failed attempt of its message; what is not done by the
//! deadline is delivered again. Messages that were received often before go last, one by one, after the
//! others are deleted, so that one that kills the process takes no other with it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tracing::{error, warn};

use super::{Disposition, EventWorker, Received};
use crate::{outbound::Origin, queue::Queue};

/// A message received more often than this may be one that kills its worker.
const SUSPECT_RECEIVES: u32 = 3;

/// Works on `messages` until `deadline`. Returns the SQS ids of those that are to be delivered again: all but
/// the ones that are done.
pub async fn run(
    worker: Arc<EventWorker>,
    queue: Arc<dyn Queue>,
    messages: Vec<Received>,
    deadline: Instant,
) -> Vec<String> {
    let mut open: HashMap<String, Received> =
        messages.iter().map(|message| (message.message_id.clone(), message.clone())).collect();
    let (suspects, others): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.receives > SUSPECT_RECEIVES);
    let done = side_by_side(&worker, &queue, others, deadline).await;
    // Receipts of the dead-letter queue are none of this queue's.
    let done = done.iter().filter_map(|id| open.remove(id)).filter(|message| !message.dead_letter);
    let receipts: Vec<String> = done.map(|message| message.receipt).collect();
    if !suspects.is_empty() && !receipts.is_empty() {
        // A precaution: SQS deletes them at the end all the same.
        if let Err(error) = queue.delete(&receipts).await {
            warn!(error = ?error, "finished messages could not be deleted before the suspects");
        }
    }
    for suspect in suspects {
        for id in side_by_side(&worker, &queue, vec![suspect], deadline).await {
            open.remove(&id);
        }
    }
    open.into_keys().collect()
}

/// Works on `messages` at once. Returns the ids of those that are done.
async fn side_by_side(
    worker: &Arc<EventWorker>,
    queue: &Arc<dyn Queue>,
    messages: Vec<Received>,
    deadline: Instant,
) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for message in messages {
        let (worker, queue) = (Arc::clone(worker), Arc::clone(queue));
        tasks.spawn(async move {
            match guarded(&worker, &message, deadline).await {
                Disposition::Done => Some(message.message_id),
                Disposition::Keep => None,
                Disposition::Again(_) if message.dead_letter => None,
                Disposition::Again(wait) => {
                    hide(&*queue, &message, wait).await;
                    None
                }
            }
        });
    }
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(id) => done.extend(id),
            Err(error) => error!(%error, "a message's task failed"),
        }
    }
    done
}

/// Works on one message in a task of its own, so that a panic or the deadline ends only that.
async fn guarded(worker: &Arc<EventWorker>, message: &Received, deadline: Instant) -> Disposition {
    let work = {
        let (worker, message) = (Arc::clone(worker), message.clone());
        // Until the worker knows which event it is about, calls would be the message's.
        let origin = Origin { owner: message.message_id.clone(), deadline };
        tokio::spawn(origin.scope(async move { worker.work(&message).await }))
    };
    let abort = work.abort_handle();
    match tokio::time::timeout_at(deadline, work).await {
        Ok(Ok(disposition)) => disposition,
        Ok(Err(panic)) => {
            error!(message_id = message.message_id, error = %panic, "the worker panicked");
            worker.record_panic(message).await
        }
        Err(_) => {
            abort.abort();
            warn!(message_id = message.message_id, "out of time, SQS delivers it again");
            Disposition::Keep
        }
    }
}

/// Sets a message's wait. Where that fails it comes back when its visibility ends: sooner or later, never lost.
async fn hide(queue: &dyn Queue, message: &Received, wait: Duration) {
    if let Err(error) = queue.hide(&message.receipt, wait).await {
        warn!(message_id = message.message_id, error = ?error, "its wait could not be set");
    }
}
