//! Numbers for naming series.
//!
//! A counter is an item in State. Instances take numbers in blocks, so that a series costs one write for many
//! documents and is no bottleneck; a crash leaves a gap. A series with a block of 1 must have no gaps: its
//! number is not taken beforehand but counted up in the document's own transaction.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValue, Update},
};

use crate::{
    Error, Result,
    dynamo::{Attributes, Item, alone, failed, n, s, update_refused},
};

/// A number that was taken from a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The series' counter.
    pub prefix: String,
    /// The number.
    pub number: u64,
    /// Whether it is only counted in the transaction that uses it.
    pub gapless: bool,
}

/// The counters.
pub struct Numbers {
    client: Client,
    table: String,
    /// Numbers taken and not used, by series.
    open: Mutex<HashMap<String, Vec<u64>>>,
    /// Held while a block is taken, so that those who need numbers at once share it.
    leasing: tokio::sync::Mutex<()>,
}

fn key(prefix: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("S#{prefix}"))), ("sk".to_owned(), s("S"))])
}

impl Numbers {
    /// Counters in `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, open: Mutex::default(), leasing: tokio::sync::Mutex::default() }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u64>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_open(&self, prefix: &str) -> Option<u64> {
        self.open().get_mut(prefix).and_then(Vec::pop)
    }

    /// The next number of the series `prefix`, from a block of `block`.
    pub async fn take(&self, prefix: &str, block: u32) -> Result<Taken> {
        let taken = |number, gapless| Taken { prefix: prefix.to_owned(), number, gapless };
        if block <= 1 {
            return Ok(taken(self.current(prefix).await? + 1, true));
        }
        if let Some(number) = self.next_open(prefix) {
            return Ok(taken(number, false));
        }
        let _turn = self.leasing.lock().await;
        if let Some(number) = self.next_open(prefix) {
            return Ok(taken(number, false));
        }
        let last = self.lease(prefix, block).await?;
        let first = last + 1 - u64::from(block);
        // Kept in falling order: the lowest is popped first.
        self.open().entry(prefix.to_owned()).or_default().splice(0..0, (first + 1..=last).rev());
        Ok(taken(first, false))
    }

    /// Returns a number that was not used after all.
    pub fn give_back(&self, taken: &Taken) {
        if taken.gapless {
            return;
        }
        let mut open = self.open();
        let numbers = open.entry(taken.prefix.clone()).or_default();
        numbers.push(taken.number);
        numbers.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Counts a gapless number whose name is taken by a document that was not named by the series. Of a block
    /// nothing is to be done: the next number is another one.
    pub async fn skip(&self, taken: &Taken) -> Result<()> {
        let Some(update) = self.in_transaction(taken)? else { return Ok(()) };
        match alone(&self.client, update).send().await {
            Err(error) if !update_refused(&error) => Err(failed(error)),
            // Refused: another instance has counted on already.
            _ => Ok(()),
        }
    }

    /// For a gapless number: the update that counts it, to be part of the document's transaction.
    pub fn in_transaction(&self, taken: &Taken) -> Result<Option<Update>> {
        if !taken.gapless {
            return Ok(None);
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(&taken.prefix)))
            .update_expression("SET last_number = :number")
            .condition_expression(
                "last_number = :previous OR (attribute_not_exists(pk) AND :previous = :zero)",
            )
            .expression_attribute_values(":number", n(taken.number))
            .expression_attribute_values(":previous", n(taken.number - 1))
            .expression_attribute_values(":zero", n(0));
        update.build().map(Some).map_err(Error::internal)
    }

    async fn current(&self, prefix: &str) -> Result<u64> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(prefix)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        answer.item.as_ref().map_or(Ok(0), |item| Attributes(item).number("last_number"))
    }

    async fn lease(&self, prefix: &str, block: u32) -> Result<u64> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(prefix)))
            .update_expression("ADD last_number :block")
            .expression_attribute_values(":block", AttributeValue::N(block.to_string()))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(failed)?;
        let item = answer.attributes.ok_or_else(|| Error::internal("a series' counter was not returned"))?;
        Attributes(&item).number("last_number")
    }
}
