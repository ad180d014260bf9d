//! Counts in DynamoDB: an item a class, user and window, `R#{class}#{user}` / start of the window, with the
//! window's count `n` and a count `b{slot}` for each slot. One conditional update counts; an item is one write unit.
//! An update that the SDK tries again may count twice: a limit is then reached early, never exceeded.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{Addition, Counters, Counts, Outcome};
use crate::{
    Result,
    config::Tables,
    dynamo::{Attributes, Item, failed, n, s},
};

/// How long after its window an item is kept, in seconds: DynamoDB deletes it some time after that.
const KEEP_SECONDS: i64 = 60;

/// Counters in the State table.
pub struct DynamoCounters {
    client: Client,
    table: String,
}

impl DynamoCounters {
    /// Counters in `tables`.
    pub fn new(client: Client, tables: &Tables) -> Self {
        Self { client, table: tables.state.clone() }
    }

    fn update(&self, addition: &Addition) -> UpdateItemFluentBuilder {
        let key = HashMap::from([
            ("pk".to_owned(), s(format!("R#{}#{}", addition.class, addition.subject))),
            ("sk".to_owned(), s(addition.window_start.to_string())),
        ]);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .expression_attribute_values(":expires", n(addition.window_ends_at.as_second() + KEEP_SECONDS))
            .expression_attribute_values(":window", n(addition.to_window))
            .expression_attribute_values(":room", n(addition.window_limit.saturating_sub(addition.to_window)))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let window = "(attribute_not_exists(n) OR n <= :room)";
        let Some(slot) = addition.slot.map(slot_name) else {
            return update
                .update_expression("SET expires = :expires ADD n :window")
                .condition_expression(window);
        };
        update
            .update_expression(format!("SET expires = :expires ADD n :window, {slot} :slot"))
            .condition_expression(format!(
                "{window} AND (attribute_not_exists({slot}) OR {slot} <= :slot_room)"
            ))
            .expression_attribute_values(":slot", n(addition.to_slot))
            .expression_attribute_values(
                ":slot_room",
                n(addition.slot_limit.saturating_sub(addition.to_slot)),
            )
    }
}

fn slot_name(slot: i64) -> String {
    format!("b{slot}")
}

fn counts(item: &Item, slot: Option<i64>) -> Result<Counts> {
    let attributes = Attributes(item);
    let window = attributes.number("n")?;
    let slot = slot.map_or(Ok(window), |slot| attributes.number(&slot_name(slot)))?;
    Ok(Counts { window, slot })
}

#[async_trait]
impl Counters for DynamoCounters {
    async fn add(&self, addition: &Addition) -> Result<Outcome> {
        match self.update(addition).send().await {
            Ok(answer) => counts(&answer.attributes.unwrap_or_default(), addition.slot).map(Outcome::Added),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    counts(refused.item().unwrap_or(&Item::new()), addition.slot).map(Outcome::Full)
                }
                _ => Err(failed(error)),
            },
        }
    }
}
