//! The call log on DynamoDB: an item for the calls of an owner to a connector and a flush, in the Logs table beside the
//! owner's failed attempts; the index lists a connector's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::{
    CallHistory, CallLog, CallOutcome, CallQuery, CallRecord, CallSummary, Calls,
    noted::{MAX_OWNER_BYTES, Noted},
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
        // DynamoDB refuses keys that are longer than any could be.
        if owner.len() > MAX_OWNER_BYTES {
            return Ok(Vec::new());
        }
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

/// A line for each connector: how many calls, how many of them failed, and how long they took.
fn measure(noted: &Noted, now: Timestamp) {
    let mut connectors: BTreeMap<&str, Vec<&CallRecord>> = BTreeMap::new();
    for ((_, connector), group) in &noted.groups {
        connectors.entry(connector).or_default().extend(&group.calls);
    }
    for (connector, calls) in connectors {
        line(connector, &calls, now).emit();
    }
}

fn line(connector: &str, calls: &[&CallRecord], now: Timestamp) -> Line {
    // A refusal is the provider's good right, and what was withheld never reached it.
    let failed = |call: &&&CallRecord| {
        matches!(call.outcome, CallOutcome::Limited | CallOutcome::Failed | CallOutcome::Unknown)
    };
    let sent = calls.iter().filter(|call| call.outcome != CallOutcome::Withheld);
    let took =
        sent.map(|call| SignedDuration::from_millis(i64::try_from(call.duration_ms).unwrap_or(i64::MAX)));
    Line::new("calls", now)
        .dimension("Connector", connector)
        .count("Calls", calls.len() as u64)
        .count("CallFailures", calls.iter().filter(failed).count() as u64)
        .durations("CallTime", took)
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

#[cfg(test)]
mod tests {
    use super::{super::tests::record, *};
    use crate::testing::start;

    #[test]
    fn a_line_counts_calls_and_failures_and_has_the_time_of_what_was_sent() {
        let of = |outcome| CallRecord { outcome, ..record("evt_1") };
        let calls = CallOutcome::ALL.map(of);
        let line = line("erpnext", &calls.iter().collect::<Vec<_>>(), start()).to_json();
        assert_eq!((line["Calls"].as_u64(), line["CallFailures"].as_u64()), (Some(6), Some(3)));
        assert_eq!(line["CallTime"].as_array().unwrap().len(), 5);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"].to_string(), r#"[["Connector"]]"#);
    }
}
