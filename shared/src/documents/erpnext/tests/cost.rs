//! What a commit costs in DynamoDB: no call that could be saved.

use std::sync::Mutex;

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut},
    },
    error::BoxError,
    operation::{
        delete_item::{DeleteItemInput, DeleteItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        put_item::{PutItemInput, PutItemOutput},
        transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};
use serde_json::json;

use super::*;
use crate::documents::contract::{of_event, put};

/// Adds up calls and units.
#[derive(Debug, Default)]
struct Meter(Mutex<Tally>);

/// Calls, write units and read units.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Tally {
    calls: u32,
    /// In halves.
    writes: u32,
    reads: u32,
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
        ask!(GetItemInput, PutItemInput, UpdateItemInput, DeleteItemInput, TransactWriteItemsInput);
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
        macro_rules! writes {
            ($($output:ty),+) => { $(if let Some(output) = output.downcast_ref::<$output>() {
                tally.writes += halves(output.consumed_capacity.as_slice());
            })+ };
        }
        writes!(PutItemOutput, UpdateItemOutput, DeleteItemOutput);
        if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
            tally.writes += halves(output.consumed_capacity());
        }
        Ok(())
    }
}

/// A store whose calls are counted, and the meter.
fn metered(rig: &Rig) -> (ErpnextDocuments, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    let config = rig.dynamo.client.config().to_builder().interceptor(Metered(meter.clone())).build();
    let (client, tables) = (Client::from_conf(config), rig.dynamo.tables.clone());
    (ErpnextDocuments::new(rig.site.clone(), client, tables, rig.clock.clone()), meter)
}

fn take(meter: &Meter) -> Tally {
    std::mem::take(&mut meter.0.lock().unwrap())
}

#[tokio::test]
async fn an_event_costs_a_read_and_its_log_entry() {
    let rig = Rig::prepared().await;
    let (store, meter) = metered(&rig);
    store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    // The entry, and its place in the index; that it had not ended was read consistently.
    let once = take(&meter);
    assert_eq!((once.calls, once.writes), (2, 2 * 2));
    assert!(once.reads <= 2, "{once:?}");
    store.commit(of_event("evt_2", put(None, "N", json!({})))).await.unwrap();
    assert_eq!(take(&meter).writes, 2 * 2);
    // What carries a mark is known without the ledger.
    let stored = store.read(&contract::key("N")).await.unwrap();
    assert_eq!(take(&meter).calls, 0);
    store.commit(of_event("evt_3", put(stored.as_ref(), "N", json!({ "a": 1 })))).await.unwrap();
    let changed = take(&meter);
    assert_eq!((changed.calls, changed.writes), (2, 2 * 2));
    // A user's write leaves nothing but the document.
    let stored = store.read(&contract::key("N")).await.unwrap();
    store.commit(Commit::of(put(stored.as_ref(), "N", json!({ "a": 2 })))).await.unwrap();
    assert_eq!(take(&meter).calls, 0);
    // A repeat reads that it is one.
    store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    let repeat = take(&meter);
    assert_eq!((repeat.calls, repeat.writes), (1, 0));
}

#[tokio::test]
async fn what_is_not_prepared_costs_a_claim_and_an_entry_of_the_ledger_more() {
    let rig = Rig::unprepared().await;
    let (store, meter) = metered(&rig);
    store.commit(of_event("evt_1", order("PO-1"))).await.unwrap();
    // Claim 1; in a transaction the log's entry 2 and its index 1, the ledger's entry 2.
    let created = take(&meter);
    assert_eq!((created.calls, created.writes), (3, 6 * 2));
}
