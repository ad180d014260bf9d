//! The Integration Log on DynamoDB: one item an event, `E#evt_…`, and a row for each failed attempt, `A#evt_…`.
//!
//! The item is the dedupe marker too: `completion` is the conditional update that ends an event, alone or in
//! the transaction of its effect. Lists go through the index [by day](by_day). The calls that were made for an event
//! are in the partition of its failed attempts: the [call log](crate::outbound::call_log)'s, whose sort keys are
//! greater than any time.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, Delete, ReturnValue, TransactWriteItem, Update},
};
use jiff::Timestamp;

use super::{
    Counted, Entry, EntrySummary, EventCompletion, EventFacts, EventStatus, FailedAttempt, Failure,
    IntegrationLog, LogPage, LogPosition, LogQuery, PastAttempt, Placed, RETENTION, Recorded,
    by_day::{self, ByDay, Span, place_of},
};
use crate::{
    Error, Result,
    clock::{Clock, rfc3339},
    config::Tables,
    documents::{DocumentKey, dynamo::RETURN_OLD},
    dynamo::{
        Attributes, Item, WRITE_UNIT, alone, body_within, cancellation, condition_failed, failed, n, s, size,
        time,
    },
    parking,
};

/// The most failed attempts an entry shows.
const MAX_HISTORY: i32 = 100;

/// How the sort keys of calls begin, which share the partition `A#…` with failed attempts.
pub const CALLS: &str = "C#";

/// The Integration Log in DynamoDB.
pub struct DynamoLog {
    client: Client,
    tables: Tables,
    clock: Arc<dyn Clock>,
}

/// The key of the entry of the event `id`.
pub fn key(id: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("E#{id}"))), ("sk".to_owned(), s("E"))])
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// Bytes of an entry, which stays within a write unit, besides its id and what the update sets: key names, sort key, prefix, attempts, `body`,
/// and an error that an earlier attempt may have left.
const UNSEEN_BYTES: usize = 64;
/// What a body gets at least, whatever else is in the entry.
const LEAST_BODY: usize = 256;

/// An update expression in the making.
#[derive(Default)]
struct Expression {
    set: Vec<String>,
    remove: Vec<&'static str>,
    values: HashMap<String, AttributeValue>,
    names: HashMap<String, String>,
    /// The redacted body, set last: it gets what the other attributes leave of a write unit.
    body: String,
}

impl Expression {
    /// Sets `name`; every name is aliased, since many are reserved words.
    fn set(&mut self, name: &'static str, value: AttributeValue) {
        self.set.push(format!("#{name} = :{name}"));
        self.names.insert(format!("#{name}"), name.to_owned());
        self.values.insert(format!(":{name}"), value);
    }

    fn remove(&mut self, name: &'static str) {
        self.names.insert(format!("#{name}"), name.to_owned());
        self.remove.push(name);
    }

    fn facts(&mut self, facts: &EventFacts) {
        self.set("event", s(&facts.event));
        self.set("secret", s(&facts.secret));
        self.set("body_bytes", n(facts.body_bytes));
        self.body.clone_from(&facts.redacted_body);
        let [lpk, lsk] = by_day::attributes(&facts.connector, facts.received_at, &facts.id, &facts.id);
        self.set("lpk", lpk);
        self.set("lsk", lsk);
    }

    fn document(&mut self, document: Option<&DocumentKey>) {
        if let Some(document) = document {
            self.set("doctype", s(document.doctype.as_str()));
            self.set("docname", s(document.name.as_str()));
        }
    }

    fn failure(&mut self, failure: Option<&Failure>) {
        match failure {
            Some(failure) => {
                self.set("error_code", s(&failure.code));
                self.set("error_detail", s(&failure.detail));
            }
            None => {
                self.remove("error_code");
                self.remove("error_detail");
            }
        }
    }

    /// Adds one to the attempts.
    fn count_attempt(&mut self) {
        self.set.push("attempts = if_not_exists(attempts, :zero) + :one".to_owned());
        self.values.insert(":zero".to_owned(), n(0));
        self.values.insert(":one".to_owned(), n(1));
    }

    /// The update of the event `id`, on the condition that its status, if it has one, is `allowed`.
    fn of(mut self, table: &str, id: &str, allowed: impl Fn(EventStatus) -> bool) -> Result<Update> {
        let set: usize = self.values.iter().map(|(name, value)| name.len() - 1 + size(value)).sum();
        let left = WRITE_UNIT.saturating_sub(set + id.len() + UNSEEN_BYTES);
        let body = body_within(&self.body, left.max(LEAST_BODY))?;
        self.set("body", body);
        let condition = self.condition(allowed);
        Update::builder()
            .table_name(table)
            .set_key(Some(key(id)))
            .update_expression(self.text())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(Some(self.values))
            .return_values_on_condition_check_failure(RETURN_OLD)
            .build()
            .map_err(Error::internal)
    }

    fn condition(&mut self, allowed: impl Fn(EventStatus) -> bool) -> String {
        let mut texts = Vec::new();
        for status in EventStatus::ALL.into_iter().filter(|status| allowed(*status)) {
            let name = format!(":is_{}", status.as_str());
            self.values.insert(name.clone(), s(status.as_str()));
            texts.push(name);
        }
        self.names.insert("#status".to_owned(), "status".to_owned());
        format!("attribute_not_exists(pk) OR #status IN ({})", texts.join(", "))
    }

    fn text(&self) -> String {
        let mut text = format!("SET {}", self.set.join(", "));
        if !self.remove.is_empty() {
            let names: Vec<String> = self.remove.iter().map(|name| format!("#{name}")).collect();
            text = format!("{text} REMOVE {}", names.join(", "));
        }
        text
    }
}

/// The update that ends an event unless it has ended, or is parked and is not released with it.
fn completion(table: &str, event: &EventCompletion) -> Result<Update> {
    let mut update = Expression::default();
    update.facts(&event.facts);
    update.set("status", s(event.status.as_str()));
    update.set("duration_ms", n(milliseconds(event.started_at, event.finished_at)));
    update.set("updated_at", time(event.finished_at));
    let expires = event.finished_at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
    update.set("expires", n(expires.as_second()));
    update.document(event.document.as_ref());
    update.failure(event.error.as_ref());
    update.count_attempt();
    update.of(table, &event.facts.id, |status| {
        !status.is_final() && (event.release_parked || !status.is_parked())
    })
}

/// What ends an event as part of a transaction: first its entry, then the parked item that goes with it.
pub fn in_transaction(tables: &Tables, event: &EventCompletion) -> Result<Vec<TransactWriteItem>> {
    let update = completion(&tables.logs, event)?;
    let mut items = vec![TransactWriteItem::builder().update(update).build()];
    if event.release_parked {
        let delete = Delete::builder()
            .table_name(&tables.state)
            .set_key(Some(parking::dynamo::key(&event.facts.id)))
            .build()
            .map_err(Error::internal)?;
        items.push(TransactWriteItem::builder().delete(delete).build());
    }
    Ok(items)
}

/// What an update came to: the new item, or the item that refused it.
enum Updated {
    Now(Item),
    Refused(Item),
}

impl DynamoLog {
    /// The log in `tables`.
    pub fn new(client: Client, tables: Tables, clock: Arc<dyn Clock>) -> Self {
        Self { client, tables, clock }
    }

    async fn update(&self, update: Update) -> Result<Updated> {
        let result = alone(&self.client, update).return_values(ReturnValue::UpdatedNew).send().await;
        match result {
            Ok(answer) => Ok(Updated::Now(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Updated::Refused(refused.item.clone().unwrap_or_default()))
                }
                _ => Err(failed(error)),
            },
        }
    }

    /// Ends an event and takes it out of the parking, in one transaction.
    async fn finish_parked(&self, event: &EventCompletion) -> Result<Recorded> {
        let items = in_transaction(&self.tables, event)?;
        let Err(error) = self.client.transact_write_items().set_transact_items(Some(items)).send().await
        else {
            return Ok(Recorded::Now);
        };
        let reasons = cancellation(error)?;
        match reasons.first().filter(|reason| condition_failed(reason)) {
            Some(reason) => Ok(reason.item.as_ref().map_or(Recorded::Before, refused)),
            None => Err(Error::unavailable("DynamoDB", "the transaction met another one")),
        }
    }

    async fn add_attempt(&self, facts: &EventFacts, attempt: &FailedAttempt, number: u64) -> Result<()> {
        let expires = attempt.finished_at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX);
        let item = HashMap::from([
            ("pk".to_owned(), s(format!("A#{}", facts.id))),
            ("sk".to_owned(), s(format!("{}#{number}", rfc3339(attempt.finished_at)))),
            ("duration_ms".to_owned(), n(milliseconds(attempt.started_at, attempt.finished_at))),
            ("error_code".to_owned(), s(&attempt.failure.code)),
            ("error_detail".to_owned(), s(&attempt.failure.detail)),
            ("expires".to_owned(), n(expires.as_second())),
        ]);
        let put = self.client.put_item().table_name(&self.tables.logs).set_item(Some(item));
        put.send().await.map(drop).map_err(failed)
    }

    async fn history(&self, id: &str) -> Result<Vec<PastAttempt>> {
        let answer = self
            .client
            .query()
            .table_name(&self.tables.logs)
            .key_condition_expression("pk = :p AND sk < :calls")
            .expression_attribute_values(":p", s(format!("A#{id}")))
            .expression_attribute_values(":calls", s(CALLS))
            .scan_index_forward(false)
            .limit(MAX_HISTORY)
            .send()
            .await
            .map_err(failed)?;
        answer.items.unwrap_or_default().iter().rev().map(past_attempt).collect()
    }
}

#[async_trait]
impl IntegrationLog for DynamoLog {
    async fn finish(&self, event: &EventCompletion) -> Result<Recorded> {
        if event.release_parked {
            return self.finish_parked(event).await;
        }
        Ok(match self.update(completion(&self.tables.logs, event)?).await? {
            Updated::Now(_) => Recorded::Now,
            Updated::Refused(item) => refused(&item),
        })
    }

    async fn record_failure(&self, facts: &EventFacts, attempt: &FailedAttempt) -> Result<Counted> {
        let mut update = Expression::default();
        update.facts(facts);
        let status = if attempt.parked { EventStatus::Parked } else { EventStatus::Retrying };
        update.set("status", s(status.as_str()));
        update.set("duration_ms", n(milliseconds(attempt.started_at, attempt.finished_at)));
        update.set("updated_at", time(attempt.finished_at));
        update.failure(Some(&attempt.failure));
        update.count_attempt();
        let allowed = |status: EventStatus| !status.is_final() && (attempt.parked || !status.is_parked());
        match self.update(update.of(&self.tables.logs, &facts.id, allowed)?).await? {
            Updated::Now(item) => {
                let attempts = Attributes(&item).number("attempts")?;
                self.add_attempt(facts, attempt, attempts).await?;
                Ok(Counted::Attempts(u32::try_from(attempts).unwrap_or(u32::MAX)))
            }
            Updated::Refused(item) => Ok(match refused(&item) {
                Recorded::Parked => Counted::Parked,
                _ => Counted::Ended,
            }),
        }
    }

    async fn mark(&self, facts: &EventFacts, status: EventStatus, error: Option<&Failure>) -> Result<bool> {
        let mut update = Expression::default();
        update.facts(facts);
        update.set("status", s(status.as_str()));
        update.set("updated_at", time(self.clock.now()));
        if error.is_some() {
            update.failure(error);
        }
        if status == EventStatus::Queued {
            update.set("attempts", n(0));
        }
        let update = update.of(&self.tables.logs, &facts.id, |status| !status.is_final())?;
        Ok(matches!(self.update(update).await?, Updated::Now(_)))
    }

    async fn get(&self, id: &str) -> Result<Option<Entry>> {
        let get = self
            .client
            .get_item()
            .table_name(&self.tables.logs)
            .set_key(Some(key(id)))
            .consistent_read(true)
            .send();
        let (answer, history) = tokio::join!(get, self.history(id));
        let Some(item) = answer.map_err(failed)?.item else { return Ok(None) };
        entry(&item, history?).map(Some)
    }

    async fn list(&self, query: &LogQuery, before: Option<&LogPosition>) -> Result<LogPage> {
        let index = ByDay { client: &self.client, table: &self.tables.logs };
        let span = Span { from: query.from, to: query.to, limit: query.limit };
        index.list(&query.connector, span, before, summary, |entry| query.wants(entry)).await
    }
}

impl LogQuery {
    fn wants(&self, entry: &EntrySummary) -> bool {
        self.status.is_none_or(|status| entry.status == status)
            && self.document.as_ref().is_none_or(|document| entry.document.as_ref() == Some(document))
    }
}

impl Placed for EntrySummary {
    fn position(&self) -> LogPosition {
        LogPosition { received_at: self.received_at, id: self.id.clone() }
    }
}

fn refused(item: &Item) -> Recorded {
    match Attributes(item).maybe("status").and_then(EventStatus::parse) {
        Some(status) if status.is_parked() => Recorded::Parked,
        _ => Recorded::Before,
    }
}

fn status_of(item: &Item) -> Result<EventStatus> {
    let text = Attributes(item).text("status")?;
    EventStatus::parse(text).ok_or_else(|| Error::internal(format!("a stored event has the status {text:?}")))
}

fn document_of(item: &Item) -> Result<Option<DocumentKey>> {
    let attributes = Attributes(item);
    match (attributes.maybe("doctype"), attributes.maybe("docname")) {
        (Some(doctype), Some(name)) => DocumentKey::new(doctype, name).map(Some),
        _ => Ok(None),
    }
}

fn failure_of(item: &Item) -> Option<Failure> {
    let attributes = Attributes(item);
    let code = attributes.maybe("error_code")?.to_owned();
    Some(Failure { code, detail: attributes.maybe("error_detail").unwrap_or_default().to_owned() })
}

fn connector_of(attributes: Attributes<'_>) -> Result<String> {
    Ok(by_day::group_of(attributes)?.to_owned())
}

fn summary(item: &Item) -> Result<EntrySummary> {
    let attributes = Attributes(item);
    let (received_at, id) = place_of(attributes)?;
    let connector = connector_of(attributes)?;
    Ok(EntrySummary {
        id: id.to_owned(),
        connector,
        event: attributes.text("event")?.to_owned(),
        status: status_of(item)?,
        received_at,
        document: document_of(item)?,
        attempts: u32::try_from(attributes.number("attempts")?).unwrap_or(u32::MAX),
        duration_ms: attributes.number("duration_ms")?,
        error_code: attributes.maybe("error_code").map(ToOwned::to_owned),
    })
}

fn entry(item: &Item, history: Vec<PastAttempt>) -> Result<Entry> {
    let attributes = Attributes(item);
    let id = attributes.text("pk")?.trim_start_matches("E#").to_owned();
    Ok(Entry {
        facts: EventFacts {
            id,
            connector: connector_of(attributes)?,
            event: attributes.text("event")?.to_owned(),
            secret: attributes.text("secret")?.to_owned(),
            received_at: place_of(attributes)?.0,
            body_bytes: usize::try_from(attributes.number("body_bytes")?).unwrap_or(usize::MAX),
            redacted_body: attributes.body("body")?,
        },
        status: status_of(item)?,
        document: document_of(item)?,
        attempts: u32::try_from(attributes.number("attempts")?).unwrap_or(u32::MAX),
        duration_ms: attributes.number("duration_ms")?,
        error: failure_of(item),
        updated_at: attributes.time("updated_at")?,
        history,
    })
}

fn past_attempt(item: &Item) -> Result<PastAttempt> {
    let attributes = Attributes(item);
    Ok(PastAttempt {
        at: crate::dynamo::parse_time(attributes.text("sk")?.split('#').next().unwrap_or_default())?,
        duration_ms: attributes.number("duration_ms")?,
        error: failure_of(item).ok_or_else(|| Error::internal("a failed attempt has no error"))?,
    })
}
