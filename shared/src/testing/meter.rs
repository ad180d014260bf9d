//! What calls of DynamoDB cost.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::{
    Client,
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
        put_item::{PutItemInput, PutItemOutput},
        transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};

/// Adds up calls and units.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Tally>);

/// Calls, write units and read units.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Tally {
    pub calls: u32,
    /// In halves.
    pub writes: u32,
    pub reads: u32,
}

#[derive(Debug)]
struct Metered(Arc<Meter>);

impl Intercept for Metered {
    fn name(&self) -> &'static str {
        "Metered"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        macro_rules! ask {
            ($($input:ty),+) => { $(if let Some(input) = context.input_mut().downcast_mut::<$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            })+ };
        }
        ask!(
            BatchGetItemInput,
            BatchWriteItemInput,
            GetItemInput,
            PutItemInput,
            UpdateItemInput,
            DeleteItemInput,
            TransactWriteItemsInput
        );
        self.0.0.lock().unwrap().calls += 1;
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        let halves = |all: &[ConsumedCapacity]| {
            let units: f64 = all.iter().filter_map(|one| one.capacity_units).sum();
            // There is no other way from one to the other.
            format!("{:.0}", units * 2.0).parse::<u32>().unwrap_or(u32::MAX)
        };
        let mut tally = self.0.0.lock().unwrap();
        if let Some(output) = output.downcast_ref::<GetItemOutput>() {
            tally.reads += halves(output.consumed_capacity.as_slice());
        }
        if let Some(output) = output.downcast_ref::<BatchGetItemOutput>() {
            tally.reads += halves(output.consumed_capacity());
        }
        macro_rules! writes {
            ($($output:ty),+) => { $(if let Some(output) = output.downcast_ref::<$output>() {
                tally.writes += halves(output.consumed_capacity.as_slice());
            })+ };
        }
        writes!(PutItemOutput, UpdateItemOutput, DeleteItemOutput);
        if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
            tally.writes += halves(output.consumed_capacity());
        }
        if let Some(output) = output.downcast_ref::<BatchWriteItemOutput>() {
            tally.writes += halves(output.consumed_capacity());
        }
        Ok(())
    }
}

impl Meter {
    /// `client`, counted from now on.
    pub fn of(client: &Client) -> (Client, Arc<Self>) {
        let meter = Arc::new(Self::default());
        let config = client.config().to_builder().interceptor(Metered(meter.clone())).build();
        (Client::from_conf(config), meter)
    }

    /// What was counted since the last time.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
