//! The built-in document store, on DynamoDB.
//!
//! A document is one item, `D#doctype#name`; a keys-only index in the order of `modified`, sharded, serves
//! lists. A commit is one transaction over the documents, the event's log entry and its parked item, and the
//! request's receipt, so an effect and the record of it happen together. A single write with no such record is a
//! plain conditional put, at half the price.

#[cfg(test)]
mod tests;

mod item;
mod list;
mod numbers;
pub(super) mod receipt;
pub mod stream;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::put_item::PutItemError,
    types::{CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};

use self::{
    item::{document_key, expectation, item_of, stored_of},
    list::{Limits, Lists},
    numbers::{Numbers, Taken},
};
use super::{
    Commit, Committed, Count, DocType, Document, DocumentKey, DocumentPlace, DocumentStore, Expect, Filters,
    ListQuery, MAX_WRITES, Page, Stored, Target, Work, Write,
};
use crate::{
    Error, ErrorCode, Result,
    clock::Clock,
    config::Tables,
    dynamo::{Attributes, Consistency, batch_get, cancellation, condition_failed, failed, s, size},
    integration_log::{self, EventCompletion, EventStatus},
};

/// How many names of a series may be taken by others in a row before a commit gives up: a mirror of another
/// system may fill the same series.
const MAX_SKIPPED: usize = 50;

/// The most bytes a commit writes: a transaction takes 4 MB.
const MAX_COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// What an item of a commit weighs at most besides its body or answer, in bytes: names, times, the versions of sources.
const MAX_ITEM_OVERHEAD: usize = 4 * 1024;

/// The built-in document store.
pub struct DynamoDocuments {
    client: Client,
    tables: Tables,
    clock: Arc<dyn Clock>,
    numbers: Numbers,
}

/// A write whose target has its name.
struct Named {
    write: Write,
    key: DocumentKey,
    number: Option<Taken>,
}

impl DynamoDocuments {
    /// The store in `tables`.
    pub fn new(client: Client, tables: Tables, clock: Arc<dyn Clock>) -> Self {
        let numbers = Numbers::new(client.clone(), tables.state.clone());
        Self { client, tables, clock, numbers }
    }

    fn lists(&self) -> Lists<'_> {
        Lists { client: &self.client, table: &self.tables.documents, limits: Limits::DEFAULT }
    }

    /// Names what is to be named by a series.
    async fn name(&self, writes: Vec<Write>) -> Result<Vec<Named>> {
        let today = self.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let mut named = Vec::with_capacity(writes.len());
        for write in writes {
            let (key, number) = match &write.target {
                Target::Named(key) => (key.clone(), None),
                Target::Series { doctype, series, block } => {
                    let taken = self.numbers.take(&series.prefix(today), *block).await?;
                    let name = series.name(today, taken.number)?;
                    (DocumentKey { doctype: doctype.clone(), name }, Some(taken))
                }
            };
            named.push(Named { write, key, number });
        }
        Ok(named)
    }

    async fn put_alone(&self, put: Put, expect: Expect) -> Result<()> {
        let result = self
            .client
            .put_item()
            .table_name(&self.tables.documents)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_values(put.expression_attribute_values)
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(e))
                if matches!(e.err(), PutItemError::ConditionalCheckFailedException(_)) =>
            {
                Err(conflict(expect))
            }
            // A transaction is at work on it: nobody can say yet what is there.
            Err(SdkError::ServiceError(e))
                if matches!(e.err(), PutItemError::TransactionConflictException(_)) =>
            {
                Err(conflict(Expect::Revision(0)))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Moves series on whose next name someone else has given a document already; `false` if no series is used.
    async fn skip(&self, named: &[Named]) -> Result<bool> {
        let mut any = false;
        for taken in named.iter().filter_map(|named| named.number.as_ref()) {
            self.numbers.skip(taken).await?;
            any = true;
        }
        Ok(any)
    }

    fn give_back(&self, named: &[Named]) {
        for taken in named.iter().filter_map(|named| named.number.as_ref()) {
            self.numbers.give_back(taken);
        }
    }

    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Option<Vec<CancellationReason>>> {
        match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => Ok(None),
            Err(error) => cancellation(error).map(Some),
        }
    }

    fn items(
        &self,
        named: &[Named],
        puts: Vec<Put>,
        event: Option<&EventCompletion>,
        receipt: Option<Put>,
    ) -> Result<Vec<TransactWriteItem>> {
        let mut items: Vec<TransactWriteItem> =
            puts.into_iter().map(|put| TransactWriteItem::builder().put(put).build()).collect();
        // The event's entry comes first among the rest: `outcome` finds it by its place.
        if let Some(event) = event {
            items.extend(integration_log::dynamo::in_transaction(&self.tables, event)?);
        }
        for taken in named.iter().filter_map(|named| named.number.as_ref()) {
            if let Some(update) = self.numbers.in_transaction(taken)? {
                items.push(TransactWriteItem::builder().update(update).build());
            }
        }
        // The receipt comes last: `receipt::found` finds it there.
        items.extend(receipt.map(|put| TransactWriteItem::builder().put(put).build()));
        Ok(items)
    }
}

#[async_trait]
impl DocumentStore for DynamoDocuments {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.documents)
            .key("pk", s(document_key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        answer.item.as_ref().map(stored_of).transpose()
    }

    async fn read_many(&self, keys: &[DocumentKey]) -> Result<Vec<Option<Stored>>> {
        let distinct: BTreeSet<String> = keys.iter().map(document_key).collect();
        let wanted = distinct.into_iter().map(|key| HashMap::from([("pk".to_owned(), s(key))])).collect();
        let items = batch_get(&self.client, &self.tables.documents, wanted, Consistency::Strong).await?;
        let mut found = HashMap::with_capacity(items.len());
        for item in &items {
            found.insert(Attributes(item).text("pk")?, stored_of(item)?);
        }
        Ok(keys.iter().map(|key| found.get(document_key(key).as_str()).cloned()).collect())
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.lists().documents(query).await
    }

    async fn list_places(&self, query: &ListQuery) -> Result<Page<DocumentPlace>> {
        self.lists().places(query).await
    }

    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.lists().count(doctype, filters).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        if commit.writes.len() > MAX_WRITES {
            return Err(Error::internal(format!("a commit has at most {MAX_WRITES} writes")));
        }
        let mut skipped = 0;
        loop {
            let named = self.name(commit.writes.clone()).await?;
            let result = self.commit_named(&named, &commit).await;
            match &result {
                // Certain not to be used: neither a repeat nor a conflict leaves a gap behind. After any other failure a
                // number may be in use, and is let go.
                Ok(Committed::Before | Committed::Parked | Committed::Answered(_)) => self.give_back(&named),
                Err(error) if is_certain(error) => {
                    self.give_back(&named);
                }
                Err(error) if error.code() == ErrorCode::DocumentExists && skipped < MAX_SKIPPED => {
                    if !self.skip(&named).await? {
                        return result;
                    }
                    skipped += 1;
                    continue;
                }
                _ => {}
            }
            return result;
        }
    }
}

impl DynamoDocuments {
    async fn commit_named(&self, named: &[Named], commit: &Commit) -> Result<Committed> {
        let (mut event, receipt) = (commit.event.clone(), commit.receipt.as_ref());
        let now = self.clock.now();
        let note = note(named, commit.work.as_ref());
        let mut documents = Vec::with_capacity(named.len());
        let mut puts = Vec::with_capacity(named.len());
        for (place, Named { write, key, .. }) in named.iter().enumerate() {
            let note = note.as_ref().filter(|(noted, _)| *noted == place).map(|(_, note)| note.clone());
            let (item, document) = item_of(write, key, now, note)?;
            let put = Put::builder().table_name(&self.tables.documents).set_item(Some(item));
            puts.push(expectation(put, write.expect).build().map_err(Error::internal)?);
            documents.push(document);
        }
        if let Some(event) = &mut event
            && event.document.is_none()
        {
            event.document = named.first().map(|named| named.key.clone());
        }
        let receipt_put =
            receipt.map(|receipt| receipt::put(receipt, &documents, &self.tables.state, now)).transpose()?;
        check_size(puts.iter().chain(&receipt_put))?;
        let items = self.items(named, puts, event.as_ref(), receipt_put)?;
        match (items.len(), &event) {
            (0, _) => {}
            (1, None) if receipt.is_none() => {
                let put = items.into_iter().next().and_then(|item| item.put);
                let put = put.ok_or_else(|| Error::internal("the one write is a put"))?;
                self.put_alone(put, named[0].write.expect).await?;
            }
            _ => {
                if let Some(reasons) = self.transact(items).await? {
                    let found =
                        receipt.map(|receipt| receipt::found(receipt, &reasons)).transpose()?.flatten();
                    if let Some(found) = found {
                        return found.answer(self).await.map(Committed::Answered);
                    }
                    return outcome(named, event.is_some(), &reasons);
                }
            }
        }
        Ok(Committed::Now(documents))
    }
}

/// What is noted of `work`, and with which write's document.
fn note(named: &[Named], work: Option<&Work>) -> Option<(usize, String)> {
    let (work, made) = (work?, named.first()?);
    Some((work.noted?, work.note(made.key.name.as_str())))
}

/// Refuses what is more than one transaction takes.
fn check_size<'a>(puts: impl Iterator<Item = &'a Put>) -> Result<()> {
    let weight = |put: &Put| put.item().values().map(size).sum::<usize>() + MAX_ITEM_OVERHEAD;
    let bytes: usize = puts.map(weight).sum();
    if bytes <= MAX_COMMIT_BYTES {
        return Ok(());
    }
    let detail = format!(
        "the documents are {bytes} bytes together as they are stored; written at once they have at most {MAX_COMMIT_BYTES}"
    );
    Err(Error::new(ErrorCode::DocumentTooLarge, detail))
}

/// Whether a commit failed before anything was written: its request is, or may be, a repeat, a document changed
/// meanwhile, or is too large.
fn is_certain(error: &Error) -> bool {
    use ErrorCode::{DocumentTooLarge, IdempotencyInFlight, IdempotencyKeyReused, RevisionConflict};
    matches!(error.code(), IdempotencyInFlight | IdempotencyKeyReused | RevisionConflict | DocumentTooLarge)
}

/// What a cancelled transaction means. The event's own state decides first: once it has ended, whatever else
/// stood in the way does not matter.
fn outcome(named: &[Named], answers_event: bool, reasons: &[CancellationReason]) -> Result<Committed> {
    if answers_event && let Some(reason) = reasons.get(named.len()).filter(|reason| condition_failed(reason))
    {
        let status = reason.item.as_ref().and_then(|item| Attributes(item).maybe("status"));
        return match status.and_then(EventStatus::parse) {
            Some(status) if status.is_final() => Ok(Committed::Before),
            Some(status) if status.is_parked() => Ok(Committed::Parked),
            _ => Err(Error::internal("the event's entry refused its completion in no known state")),
        };
    }
    let refused = named.iter().zip(reasons).find(|(_, reason)| condition_failed(reason));
    if let Some((named, _)) = refused {
        return Err(conflict(named.write.expect));
    }
    let codes: Vec<&str> =
        reasons.iter().filter_map(|reason| reason.code()).filter(|code| *code != "None").collect();
    if codes.iter().any(|code| matches!(*code, "TransactionConflict" | "ConditionalCheckFailed")) {
        return Err(conflict(Expect::Revision(0)));
    }
    Err(Error::unavailable("DynamoDB", format!("the transaction was cancelled: {}", codes.join(", "))))
}

fn conflict(expect: Expect) -> Error {
    match expect {
        Expect::Absent => Error::new(ErrorCode::DocumentExists, "a document of that name exists"),
        Expect::Revision(_) => Error::new(ErrorCode::RevisionConflict, "the document changed meanwhile"),
    }
}

/// Asks for the item that a condition failed on, so that no second read is needed to know why.
pub const RETURN_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;
