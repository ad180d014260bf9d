//! Counts calls and capacity units, without the code under test knowing.
//!
//! An interceptor asks DynamoDB for the consumed capacity of every request and adds the answers up. A write
//! whose condition fails is billed too, but its answer gives no capacity: it is computed from the item that
//! refused it. Index writes of a transaction are billed once, the table's own twice; both as DynamoDB reports.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut},
    },
    error::BoxError,
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        batch_write_item::{BatchWriteItemInput, BatchWriteItemOutput},
        delete_item::{DeleteItemInput, DeleteItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        put_item::{PutItemError, PutItemInput, PutItemOutput},
        query::{QueryInput, QueryOutput},
        transact_write_items::{
            TransactWriteItemsError::TransactionCanceledException as Cancelled, TransactWriteItemsInput,
            TransactWriteItemsOutput,
        },
        update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput},
    },
    types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity},
};
use causeway::dynamo::Item;

/// Where the units of refused writes are counted.
pub const REFUSED: &str = "refused";

/// Everything that a path used.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests by service and operation.
    pub calls: BTreeMap<String, f64>,
    /// Write units by table or `table/index`.
    pub writes: BTreeMap<String, f64>,
    /// Read units by table or `table/index`.
    pub reads: BTreeMap<String, f64>,
    /// Invocations of the ingest.
    pub ingests: f64,
    /// Invocations of the API.
    pub api: f64,
    /// Messages that the worker received.
    pub messages: f64,
    /// Bytes of the log lines of all functions, with their line ends.
    pub log_bytes: f64,
}

/// Where it is added up.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Tally>);

impl Meter {
    /// Starts anew, and returns what was counted until now.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut self.tally())
    }

    /// Counts one call.
    pub fn call(&self, name: &str) {
        *self.tally().calls.entry(name.to_owned()).or_default() += 1.0;
    }

    /// Changes the tally.
    pub fn add(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally());
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consumed(&self, write: bool, capacity: &[ConsumedCapacity]) {
        let mut tally = self.tally();
        let units = if write { &mut tally.writes } else { &mut tally.reads };
        for capacity in capacity {
            let table = capacity.table_name().unwrap_or_default();
            let own = capacity.table().and_then(aws_sdk_dynamodb::types::Capacity::capacity_units);
            *units.entry(table.to_owned()).or_default() += own.unwrap_or_default();
            for (index, capacity) in capacity.global_secondary_indexes().into_iter().flatten() {
                *units.entry(format!("{table}/{index}")).or_default() +=
                    capacity.capacity_units().unwrap_or_default();
            }
        }
    }

    /// A refused write: billed like a write of the item that is there, of one unit at least.
    fn refused(&self, item: Option<&Item>, factor: f64) {
        *self.tally().writes.entry(REFUSED.to_owned()).or_default() += factor * item.map_or(1.0, write_units);
    }
}

/// How many units a write of `item` takes.
#[expect(clippy::cast_precision_loss, reason = "an item is at most 400 KB")]
pub fn write_units(item: &Item) -> f64 {
    item_bytes(item).div_ceil(1024).max(1) as f64
}

/// The size of an item as DynamoDB bills it.
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| name.len() + 1 + value_bytes(value)).sum::<usize>()
        }
        _ => 1,
    }
}

/// Sets the wish for capacity on whichever of the inputs it is.
macro_rules! ask {
    ($context:expr, $($input:ty),+) => {
        $(if let Some(input) = $context.input_mut().downcast_mut::<$input>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Indexes);
        })+
    };
}

/// Calls `$found` with the capacity of whichever of the outputs it is.
macro_rules! answer {
    ($meter:expr, $output:expr, $write:expr, $($type:ty),+) => {
        $(if let Some(output) = $output.downcast_ref::<$type>() {
            $meter.consumed($write, output.consumed_capacity.as_slice());
        })+
    };
}

/// Counts a write whose condition failed, whichever of the errors it is.
macro_rules! refused {
    ($meter:expr, $error:expr, $($type:ident),+) => {
        $(if let Some($type::ConditionalCheckFailedException(refused)) = $error.downcast_ref() {
            $meter.refused(refused.item(), 1.0);
        })+
    };
}

/// The interceptor of the DynamoDB client.
#[derive(Debug)]
pub struct Interceptor(pub std::sync::Arc<Meter>);

impl Intercept for Interceptor {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask!(context, GetItemInput, QueryInput, PutItemInput, UpdateItemInput, DeleteItemInput);
        ask!(context, TransactWriteItemsInput, BatchGetItemInput, BatchWriteItemInput);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.call("DynamoDB");
        match context.output_or_error() {
            Ok(output) => {
                answer!(self.0, output, false, GetItemOutput, QueryOutput);
                answer!(self.0, output, true, PutItemOutput, UpdateItemOutput, DeleteItemOutput);
                if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
                    self.0.consumed(true, output.consumed_capacity());
                }
                if let Some(output) = output.downcast_ref::<BatchWriteItemOutput>() {
                    self.0.consumed(true, output.consumed_capacity());
                }
                if let Some(output) = output.downcast_ref::<BatchGetItemOutput>() {
                    self.0.consumed(false, output.consumed_capacity());
                }
            }
            Err(error) => {
                if let Some(error) = error.as_operation_error() {
                    refused!(self.0, error, PutItemError, UpdateItemError);
                    if let Some(Cancelled(cancelled)) = error.downcast_ref() {
                        let reasons = cancelled.cancellation_reasons();
                        for reason in reasons {
                            self.0.refused(reason.item(), 2.0);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
