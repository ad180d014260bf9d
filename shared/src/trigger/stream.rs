//! The Documents table's stream: what starts `document-events`.
//!
//! The events are read by types of our own: those of `aws_lambda_events` bring a second date library and an old
//! base64, and one record that they cannot read fails the batch.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::queue::deadline;
use crate::{
    Error, Result,
    documents::dynamo::stream::{document_of, stored_in},
    projections::{
        Projector,
        batch::{self, Record},
    },
    telemetry::metric::Line,
};

/// A batch of the stream.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// The changes, in order for each document.
    #[serde(rename = "Records")]
    pub records: Vec<StreamRecord>,
}

/// A change of one item.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecord {
    /// `INSERT`, `MODIFY` or `REMOVE`.
    #[serde(default)]
    pub event_name: String,
    /// What changed.
    pub dynamodb: ItemChange,
}

/// What a change says of its item.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ItemChange {
    /// The item's key.
    pub keys: Value,
    /// The item after the change.
    #[serde(default)]
    pub new_image: Option<Map<String, Value>>,
    /// The change's place in the stream.
    #[serde(default)]
    pub sequence_number: String,
}

/// `document-events` behind its trigger.
pub struct StreamFunction {
    /// Follows the changes.
    pub projector: Arc<Projector>,
}

/// Follows the stream until the runtime ends.
pub async fn run(function: &StreamFunction) -> Result<(), lambda_runtime::Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        function.handle(event).await.map_err(lambda_runtime::Error::from)
    }))
    .await
}

impl StreamFunction {
    /// Handles one batch. Names the changes that are to be brought again; fails if that is all of them, which is
    /// what an outage looks like, and what the alarm on errors sees.
    pub async fn handle(&self, event: LambdaEvent<StreamEvent>) -> Result<Value> {
        let deadline = deadline(event.context.deadline);
        let count = event.payload.records.len();
        let records = event.payload.records.into_iter().filter_map(StreamRecord::change).collect();
        let followed = batch::follow(&self.projector, records, deadline).await?;
        Line::new("followed", Timestamp::now())
            .property("records", Some(count))
            .property("written", Some(followed.written))
            .property("unchanged", Some(followed.unchanged))
            .property("parked", Some(followed.parked))
            .property("again", Some(followed.again.len()))
            .emit();
        if !followed.again.is_empty() && followed.written + followed.unchanged + followed.parked == 0 {
            return Err(Error::unavailable("the read model", "no change of the batch could be written"));
        }
        let again: Vec<Value> =
            followed.again.into_iter().map(|place| json!({ "itemIdentifier": place })).collect();
        Ok(json!({ "batchItemFailures": again }))
    }
}

impl StreamRecord {
    /// The change of a document; `None` for other items, and for what DynamoDB removed: a document that is deleted
    /// leaves a tombstone, so that is a tombstone whose time is up.
    pub fn change(self) -> Option<Record> {
        let document = document_of(&self.dynamodb.keys)?;
        if self.event_name == "REMOVE" {
            return None;
        }
        let missing = || Error::internal("the stream brought no image of the document");
        let stored = self.dynamodb.new_image.ok_or_else(missing).and_then(|image| stored_in(&image));
        Some(Record { sequence: self.dynamodb.sequence_number, document, stored })
    }
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        testing::Dynamo,
    };

    fn event() -> LambdaEvent<StreamEvent> {
        let sample = include_str!("../../../events/document-events-stream.json");
        LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default())
    }

    #[tokio::test]
    async fn a_batch_is_followed_and_so_is_its_repeat() {
        let dynamo = Dynamo::start().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let function = StreamFunction { projector: dynamo.projector(&clock) };
        for _ in 0..2 {
            assert_eq!(function.handle(event()).await.unwrap(), json!({ "batchItemFailures": [] }));
        }
    }

    #[tokio::test]
    async fn without_state_the_batch_fails() {
        let mut dynamo = Dynamo::start().await;
        dynamo.tables.state = "another".to_owned();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let function = StreamFunction { projector: dynamo.projector(&clock) };
        assert!(function.handle(event()).await.is_err(), "it is brought again, and the alarm sees it");
    }

    #[test]
    fn what_dynamodb_removes_and_what_is_no_document_is_no_change() {
        let records = event().payload.records;
        let mut removed = records.into_iter().next().unwrap();
        removed.event_name = "REMOVE".to_owned();
        assert!(removed.change().is_none());
        let mut other = event().payload.records.remove(0);
        other.dynamodb.keys = json!({ "pk": { "S": "U#Item#barcode#1" } });
        assert!(other.change().is_none());
    }
}
