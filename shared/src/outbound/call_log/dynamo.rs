//! The call log on DynamoDB: an item for the calls of an owner to a connector and a flush, in the Logs table beside the
//! owner's failed attempts; the index lists a connector's.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::{
    CallHistory, CallLog, CallOutcome, CallQuery, CallRecord, CallSummary, Calls,
    noted::{Group, Noted},
    stored,
};
use crate::{
    Result,
    clock::Clock,
    dynamo::{Item, batch_put, failed, s},
    integration_log::{
        LogPage, LogPosition, Placed, RETENTION,
        by_day::{ByDay, Span},
        dynamo::CALLS,
    },
    telemetry::metric::Line,
};

/// The most items of an owner that are read, the newest.
const MAX_ITEMS: i32 = 100;
/// The most calls of an owner that are shown, the newest.
const MAX_SHOWN: usize = 200;
/// Sorts after every sort key of a call.
const AFTER_CALLS: &str = "C$";

/// The call log in DynamoDB.
pub struct DynamoCallLog {
    client: Client,
    logs: String,
    clock: Arc<dyn Clock>,
    noted: Mutex<Noted>,
}

impl DynamoCallLog {
    /// The call log in the table `logs`.
    pub fn new(client: Client, logs: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { client, logs: logs.into(), clock, noted: Mutex::default() }
    }

    fn take(&self) -> Noted {
        std::mem::take(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The items of `owner`, newest first.
    async fn items_of(&self, owner: &str) -> Result<Vec<Item>> {
        let answer = self
            .client
            .query()
            .table_name(&self.logs)
            .key_condition_expression("pk = :p AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":p", stored::partition(owner))
            .expression_attribute_values(":from", s(CALLS))
            .expression_attribute_values(":to", s(AFTER_CALLS))
            .scan_index_forward(false)
            .limit(MAX_ITEMS)
            .send()
            .await
            .map_err(failed)?;
        Ok(answer.items.unwrap_or_default())
    }
}

#[async_trait]
impl CallLog for DynamoCallLog {
    fn note(&self, record: CallRecord) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).add(record);
    }

    async fn flush(&self) {
        let noted = self.take();
        if noted.is_empty() {
            return;
        }
        let now = self.clock.now();
        measure(&noted, now);
        let (items, mut lost) = items(&noted, now);
        if let Err(unwritten) = batch_put(&self.client, &self.logs, items).await {
            warn!(items = unwritten.items, error = ?unwritten.why, "calls could not be logged");
        }
        lost += noted.lost;
        if lost > 0 {
            warn!(calls = lost, "there were more calls than are logged");
        }
    }
}

/// What is to be written, and how many calls are not.
fn items(noted: &Noted, now: Timestamp) -> (Vec<Item>, u64) {
    let expires = now.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
    let (mut items, mut lost) = (Vec::with_capacity(noted.groups.len()), 0);
    for ((owner, connector), group) in &noted.groups {
        lost += group.omitted;
        match stored::item(owner, connector, group, expires) {
            Ok(item) => items.extend(item),
            Err(error) => {
                warn!(owner, connector, error = ?error, "calls could not be written down");
                lost += group.calls.len() as u64;
            }
        }
    }
    (items, lost)
}

/// A line for each connector and outcome: how many calls, and how long they took.
fn measure(noted: &Noted, now: Timestamp) {
    let calls = || noted.groups.values().flat_map(|group: &Group| &group.calls);
    let mut connectors: Vec<&str> = noted.groups.keys().map(|(_, connector)| connector.as_str()).collect();
    connectors.sort_unstable();
    connectors.dedup();
    for connector in connectors {
        for outcome in CallOutcome::ALL {
            let of_it = |call: &&CallRecord| call.connector == connector && call.outcome == outcome;
            let count = calls().filter(of_it).count() as u64;
            if count > 0 {
                let took = calls().filter(of_it).map(|call| {
                    SignedDuration::from_millis(i64::try_from(call.duration_ms).unwrap_or(i64::MAX))
                });
                Line::new("calls", now)
                    .dimension("Connector", connector)
                    .dimension("Outcome", outcome.as_str())
                    .count("Calls", count)
                    .durations("CallTime", took)
                    .emit();
            }
        }
    }
}

#[async_trait]
impl Calls for DynamoCallLog {
    async fn of(&self, owner: &str) -> Result<CallHistory> {
        let mut history = CallHistory::default();
        for item in self.items_of(owner).await? {
            let (mut calls, omitted) = stored::calls(&item)?;
            history.omitted += omitted;
            history.calls.append(&mut calls);
        }
        history.calls.sort_by_key(|call| call.at);
        let beyond = history.calls.len().saturating_sub(MAX_SHOWN);
        history.omitted += history.calls.drain(..beyond).count() as u64;
        Ok(history)
    }

    async fn lines_of(&self, owner: &str) -> Result<Vec<CallSummary>> {
        let mut lines =
            self.items_of(owner).await?.iter().map(stored::summary).collect::<Result<Vec<_>>>()?;
        lines.sort_by_key(|line| std::cmp::Reverse(line.position()));
        Ok(lines)
    }

    async fn list(&self, query: &CallQuery, before: Option<&LogPosition>) -> Result<LogPage<CallSummary>> {
        let index = ByDay { client: &self.client, table: &self.logs };
        let span = Span { from: query.from, to: query.to, limit: query.limit };
        let group = stored::group(&query.connector);
        index.list(&group, span, before, stored::summary, |line| query.wants(line)).await
    }
}

impl CallQuery {
    /// Whether a call among those of `line` came out as wanted.
    pub fn wants(&self, line: &CallSummary) -> bool {
        self.outcome.is_none_or(|outcome| line.outcomes.contains(&outcome))
    }
}
