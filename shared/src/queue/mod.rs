//! Queue messages and the port they travel through.
//!
//! The ingest sends a [`Message::Webhook`] for each accepted event; the sweeper and the API send
//! [`Message::Parked`], which names a parked item instead of carrying it. Messages are versioned: a worker
//! parks one it cannot read, it never drops it.

mod body;
pub mod sqs;

pub use body::{Body, deflate, inflate};

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, ErrorCode, Result};

/// The largest message, in bytes, as SQS counts it (1 MiB).
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// The longest wait a message can have on the queue itself; longer ones are parked.
pub const MAX_QUEUE_DELAY: Duration = Duration::from_secs(900);

/// What travels on the events queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Message {
    /// An accepted event.
    #[serde(rename = "webhook.v1")]
    Webhook(InboundEvent),
    /// A parked item is due, released or replayed.
    #[serde(rename = "parked.v1")]
    Parked {
        /// Its id, the event's.
        id: String,
    },
}

/// A verified event, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboundEvent {
    /// `evt_…`, derived from what was signed.
    pub id: String,
    /// The connector it came through.
    pub connector: String,
    /// Its name.
    pub event: String,
    /// Whether the name itself was signed.
    pub signed_name: bool,
    /// The name of the secret that verified it.
    pub secret: String,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The content type that was sent, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body, byte for byte.
    pub body: Body,
    /// The delivery this event was one of, if it came in an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// What travels on a queue: JSON of a version that its type names.
pub trait Travels: Serialize + DeserializeOwned + Send + Sync {
    /// Whose work it is, where a queue is to be fair among several.
    fn group(&self) -> Option<&str> {
        None
    }

    /// The message as sent.
    fn encode(&self) -> Result<String> {
        let text = serde_json::to_string(self).map_err(Error::internal)?;
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(Error::new(
                ErrorCode::BodyTooLarge,
                format!("the event is {} bytes as a message; the limit is {MAX_MESSAGE_BYTES}", text.len()),
            ));
        }
        Ok(text)
    }

    /// Reads a message of any version we know.
    fn decode(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|e| Error::new(ErrorCode::MessageUnreadable, format!("not a message we know: {e}")))
    }
}

impl Travels for Message {}

/// A queue that this service may send to and work off.
#[async_trait]
pub trait Queue<M = Message>: Send + Sync {
    /// Sends one message; it is stored when this returns.
    async fn send(&self, message: &M) -> Result<()>;

    /// Sends many, in as few requests as the queue's limits allow. On an error some may have been sent.
    async fn send_all(&self, messages: &[M]) -> Result<()>;

    /// Hides a received message for `wait` from now on.
    async fn hide(&self, receipt: &str, wait: Duration) -> Result<()>;

    /// Deletes received messages.
    async fn delete(&self, receipts: &[String]) -> Result<()>;
}
