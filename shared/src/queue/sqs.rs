//! The queue on Amazon SQS.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry},
};

use super::{MAX_MESSAGE_BYTES, Queue, Travels};
use crate::{Error, Result, id::digest_text};

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

    async fn send_batch(&self, messages: Vec<Encoded>) -> Result<()> {
        let entries = messages
            .into_iter()
            .enumerate()
            .map(|(i, (body, group))| {
                let entry = SendMessageBatchRequestEntry::builder().id(i.to_string()).message_body(body);
                entry.set_message_group_id(group).build()
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

/// A message's body, and the group that it is in.
type Encoded = (String, Option<String>);

/// The group of a fair queue for `whose` work: of the characters and the length that SQS takes.
fn group(whose: &str) -> String {
    digest_text(&[whose.as_bytes()])
}

/// Splits `messages` so that each part is within the batch's count and total size.
fn batches(messages: Vec<Encoded>) -> Vec<Vec<Encoded>> {
    let mut batches: Vec<Vec<Encoded>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let size = message.0.len();
        match batches.last_mut() {
            Some(last) if last.len() < BATCH && bytes + size <= MAX_MESSAGE_BYTES => {
                bytes += size;
                last.push(message);
            }
            _ => {
                bytes = size;
                batches.push(vec![message]);
            }
        }
    }
    batches
}

#[async_trait]
impl<M: Travels> Queue<M> for SqsQueue {
    async fn send(&self, message: &M) -> Result<()> {
        let body = message.encode()?;
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .set_message_group_id(message.group().map(group))
            .send()
            .await
            .map_err(|e| Error::unavailable("SQS", e))?;
        Ok(())
    }

    async fn send_all(&self, messages: &[M]) -> Result<()> {
        let encoded = |message: &M| Ok((message.encode()?, message.group().map(group)));
        for batch in batches(messages.iter().map(encoded).collect::<Result<Vec<_>>>()?) {
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
        assert_eq!(
            batches(vec![("x".into(), None); 23]).iter().map(Vec::len).collect::<Vec<_>>(),
            [10, 10, 3]
        );
        let large = "x".repeat(400 * 1024);
        assert_eq!(batches(vec![(large, None); 5]).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
