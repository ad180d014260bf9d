//! Read models on DynamoDB, in the State table: rows under the keys that their projections give, and for each
//! document `PJ#{projection}#{doctype}#{name}`, which says what was applied of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, CancellationReason, Delete, Put, TransactWriteItem, Update},
};

use super::{
    Applied, Range, ReadModels, Rows, Step, Stepped, StoredRow,
    contribution::{COUNT, ENTRY, Operation, ROW, RowKey, TOTAL},
};
use crate::{
    Error, Result,
    clock::Clock,
    config::Tables,
    documents::DocumentKey,
    dynamo::{
        Attributes, Consistency, Item, batch_get, body, cancellation, condition_failed, failed, json, n, s,
    },
    parking,
};

/// Read models in DynamoDB.
pub struct DynamoReadModels {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
}

/// The condition of a step from nothing: an item past its time is nothing, though DynamoDB deletes it late.
const NOTHING: &str = "attribute_not_exists(pk) OR expires <= :now";

fn own_key(projection: &str, document: &DocumentKey) -> Item {
    let pk = format!("PJ#{projection}#{}#{}", document.doctype, document.name);
    HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s("PJ"))])
}

fn row_key(key: &RowKey) -> Item {
    HashMap::from([("pk".to_owned(), s(&key.pk)), ("sk".to_owned(), s(&key.sk))])
}

fn entry(name: &str) -> String {
    format!("{ENTRY}{name}")
}

impl DynamoReadModels {
    /// The read models in `tables`.
    pub fn new(client: Client, tables: &Tables, clock: Arc<dyn Clock>) -> Self {
        Self { client, table: tables.state.clone(), clock }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// The item that says what is applied with `step`, on condition that nothing else was.
    fn own(&self, step: &Step) -> Result<Put> {
        let mut item = own_key(step.projection, &step.document);
        item.extend([
            ("rev".to_owned(), n(step.applied.revision)),
            ("v".to_owned(), n(step.applied.version)),
            ("marks".to_owned(), body(&json(&step.applied.marks)?)?),
        ]);
        if let Some(expires) = step.expires {
            item.insert("expires".to_owned(), n(expires));
        }
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match step.seen {
            None => put.condition_expression(NOTHING).expression_attribute_values(":now", n(self.now())),
            Some(seen) => {
                // Parked meanwhile: the step has to be decided anew, so that it takes the parked item with it.
                let held = match step.releases {
                    None => "rev = :seen AND attribute_not_exists(parked)",
                    Some(_) => "rev = :seen",
                };
                put.condition_expression(held).expression_attribute_values(":seen", n(seen))
            }
        };
        put.build().map_err(Error::internal)
    }

    async fn put_alone(&self, put: Put) -> Result<Stepped> {
        let result = self
            .client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_values(put.expression_attribute_values)
            .send()
            .await;
        match result {
            Ok(_) => Ok(Stepped::Done),
            Err(SdkError::ServiceError(e))
                if matches!(e.err(), PutItemError::ConditionalCheckFailedException(_)) =>
            {
                Ok(Stepped::Overtaken)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn items(&self, step: &Step) -> Result<Vec<TransactWriteItem>> {
        // What was applied comes first: `outcome` finds it by its place.
        let mut items = vec![TransactWriteItem::builder().put(self.own(step)?).build()];
        if let Some(parked) = &step.releases {
            items.push(self.delete(parking::dynamo::key(parked))?);
        }
        for operation in &step.operations {
            items.push(self.item(operation)?);
        }
        Ok(items)
    }

    fn delete(&self, key: Item) -> Result<TransactWriteItem> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build())
    }

    fn item(&self, operation: &Operation) -> Result<TransactWriteItem> {
        let update = |key: &RowKey| Update::builder().table_name(&self.table).set_key(Some(row_key(key)));
        let update = match operation {
            Operation::Put { key, body } => {
                let mut item = row_key(key);
                item.insert(ROW.to_owned(), s(body));
                let put = Put::builder().table_name(&self.table).set_item(Some(item));
                return Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build());
            }
            Operation::Delete { key } => return self.delete(row_key(key)),
            Operation::Set { key, name, body } => update(key)
                .update_expression("SET #entry = :body")
                .expression_attribute_names("#entry", entry(name))
                .expression_attribute_values(":body", s(body)),
            Operation::Unset { key, name } => update(key)
                .update_expression("REMOVE #entry")
                .expression_attribute_names("#entry", entry(name)),
            Operation::Add { key, total, count } => update(key)
                .update_expression("ADD #total :total, #count :count")
                .expression_attribute_names("#total", TOTAL)
                .expression_attribute_names("#count", COUNT)
                .expression_attribute_values(":total", n(total.normalize()))
                .expression_attribute_values(":count", n(count)),
        };
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    }
}

/// What a cancelled transaction means for the step.
fn outcome(reasons: &[CancellationReason]) -> Result<Stepped> {
    if reasons.first().is_some_and(condition_failed) {
        return Ok(Stepped::Overtaken);
    }
    let codes: BTreeSet<&str> =
        reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None").collect();
    let busy = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    if codes.iter().any(|code| busy.contains(code)) {
        return Ok(Stepped::Busy);
    }
    // A row that grew too large, or a number beyond 38 digits: it will not pass by itself.
    let codes = codes.into_iter().collect::<Vec<_>>().join(", ");
    Err(Error::internal(format!("the step was refused: {codes}")))
}

fn applied_of(item: &Item) -> Result<Applied> {
    let attributes = Attributes(item);
    let marks = attributes.body("marks")?;
    Ok(Applied {
        revision: attributes.number("rev")?,
        version: u32::try_from(attributes.number("v")?).map_err(Error::internal)?,
        marks: if marks.is_empty() { Vec::new() } else { attributes.json("marks")? },
        parked: item.contains_key("parked"),
    })
}

fn row_of(item: Item) -> Result<StoredRow> {
    let attributes = Attributes(&item);
    let key = RowKey { pk: attributes.text("pk")?.to_owned(), sk: attributes.text("sk")?.to_owned() };
    let mut values = BTreeMap::new();
    for (name, value) in item {
        match value {
            AttributeValue::S(text) | AttributeValue::N(text) => values.insert(name, text),
            _ => None,
        };
    }
    Ok(StoredRow { key, values })
}

#[async_trait]
impl ReadModels for DynamoReadModels {
    async fn applied(&self, projection: &str, document: &DocumentKey) -> Result<Option<Applied>> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(own_key(projection, document)))
            .consistent_read(true);
        let Some(item) = get.send().await.map_err(failed)?.item else { return Ok(None) };
        let expires = item.get("expires").and_then(|at| at.as_n().ok()).and_then(|at| at.parse::<i64>().ok());
        if expires.is_some_and(|expires| expires <= self.now()) {
            return Ok(None);
        }
        applied_of(&item).map(Some)
    }

    async fn step(&self, step: &Step) -> Result<Stepped> {
        if step.operations.is_empty() && step.releases.is_none() {
            return self.put_alone(self.own(step)?).await;
        }
        let write = self.client.transact_write_items().set_transact_items(Some(self.items(step)?));
        match write.send().await {
            Ok(_) => Ok(Stepped::Done),
            Err(error) => outcome(&cancellation(error)?),
        }
    }

    async fn note_parked(&self, projection: &str, document: &DocumentKey) -> Result<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(own_key(projection, document)))
            .update_expression(
                "SET parked = :yes, rev = if_not_exists(rev, :none), v = if_not_exists(v, :none)",
            )
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":none", n(0))
            .send()
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn rows(&self, range: &Range) -> Result<Rows> {
        let start =
            range.after.as_ref().map(|sk| row_key(&RowKey { pk: range.partition.clone(), sk: sk.clone() }));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :p AND sk BETWEEN :low AND :high")
            .expression_attribute_values(":p", s(&range.partition))
            .expression_attribute_values(":low", s(&range.low))
            .expression_attribute_values(":high", s(&range.high))
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .limit(i32::try_from(range.limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(failed)?;
        let rows = answer.items.unwrap_or_default().into_iter().map(row_of).collect::<Result<_>>()?;
        Ok(Rows { rows, more: answer.last_evaluated_key.is_some() })
    }

    async fn get(&self, keys: Vec<RowKey>) -> Result<Vec<StoredRow>> {
        let keys: BTreeSet<RowKey> = keys.into_iter().collect();
        let keys = keys.iter().map(row_key).collect();
        batch_get(&self.client, &self.table, keys, Consistency::Strong)
            .await?
            .into_iter()
            .map(row_of)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn reasons(codes: &[&str]) -> Vec<CancellationReason> {
        codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect()
    }

    /// DynamoDB reports these; the in-process one never does.
    #[test]
    fn a_step_that_met_another_transaction_is_tried_again() {
        for met in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            assert_eq!(outcome(&reasons(&["None", met])).unwrap(), Stepped::Busy);
        }
        assert_eq!(
            outcome(&reasons(&["ConditionalCheckFailed", "TransactionConflict"])).unwrap(),
            Stepped::Overtaken
        );
        let refused = outcome(&reasons(&["None", "ValidationError"])).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InternalError, "it is parked, and does not hold up the stream");
    }
}
