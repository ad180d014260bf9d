//! The queue on Amazon SQS.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry},
};

use super::{MAX_MESSAGE_BYTES, Message, Queue};
use crate::{Error, Result};

/// The most entries SQS takes in one batch.
const BATCH: usize = 10;
/// The longest visibility timeout SQS takes: 12 hours.
const MAX_VISIBILITY_SECONDS: u64 = 43_200;

/// One SQS queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `url`.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// A call that changes nothing and opens the connection that the first message will travel on.
    pub async fn touch(&self) -> Result<()> {
        let touch = self.client.get_queue_attributes().queue_url(&self.url);
        touch.send().await.map(drop).map_err(|e| Error::unavailable("SQS", e))
    }

    async fn send_batch(&self, bodies: Vec<String>) -> Result<()> {
        let entries = bodies
            .into_iter()
            .enumerate()
            .map(|(i, body)| {
                SendMessageBatchRequestEntry::builder().id(i.to_string()).message_body(body).build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::internal)?;
        let sent = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|e| Error::unavailable("SQS", e))?;
        match sent.failed().first() {
            None => Ok(()),
            Some(failed) => Err(Error::unavailable(
                "SQS",
                format!("{} of a batch refused: {}", sent.failed().len(), failed.code()),
            )),
        }
    }
}

/// Splits `bodies` so that each part is within the batch's count and total size.
fn batches(bodies: Vec<String>) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for body in bodies {
        match batches.last_mut() {
            Some(last) if last.len() < BATCH && bytes + body.len() <= MAX_MESSAGE_BYTES => {
                bytes += body.len();
                last.push(body);
            }
            _ => {
                bytes = body.len();
                batches.push(vec![body]);
            }
        }
    }
    batches
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, message: &Message) -> Result<()> {
        let body = message.encode()?;
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .send()
            .await
            .map_err(|e| Error::unavailable("SQS", e))?;
        Ok(())
    }

    async fn send_all(&self, messages: &[Message]) -> Result<()> {
        let bodies = messages.iter().map(Message::encode).collect::<Result<Vec<_>>>()?;
        for batch in batches(bodies) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    async fn hide(&self, receipt: &str, wait: Duration) -> Result<()> {
        let seconds = wait.as_secs().min(MAX_VISIBILITY_SECONDS);
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| Error::unavailable("SQS", e))?;
        Ok(())
    }

    async fn delete(&self, receipts: &[String]) -> Result<()> {
        for chunk in receipts.chunks(BATCH) {
            let entries = chunk
                .iter()
                .enumerate()
                .map(|(i, receipt)| {
                    DeleteMessageBatchRequestEntry::builder()
                        .id(i.to_string())
                        .receipt_handle(receipt)
                        .build()
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(Error::internal)?;
            self.client
                .delete_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|e| Error::unavailable("SQS", e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_ten_messages_and_one_mebibyte() {
        assert_eq!(batches(vec!["x".into(); 23]).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);
        let large = "x".repeat(400 * 1024);
        assert_eq!(batches(vec![large; 5]).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
