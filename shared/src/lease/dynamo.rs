//! Leases on DynamoDB: one item a name, `L#name`.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, types::ReturnValue};
use jiff::{SignedDuration, Timestamp};

use super::{Lease, Leases};
use crate::{
    Error, Result,
    clock::Clock,
    config::Tables,
    dynamo::{Attributes, Item, failed, n, s, time, update_refused},
};

/// Leases in DynamoDB.
pub struct DynamoLeases {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
    duration: SignedDuration,
}

fn key(name: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("L#{name}"))), ("sk".to_owned(), s("L"))])
}

impl DynamoLeases {
    /// Leases of `duration` in `tables`.
    pub fn new(client: Client, tables: &Tables, clock: Arc<dyn Clock>, duration: SignedDuration) -> Self {
        Self { client, table: tables.state.clone(), clock, duration }
    }
}

#[async_trait]
impl Leases for DynamoLeases {
    async fn acquire(&self, name: &str) -> Result<Option<Lease>> {
        let now = self.clock.now();
        let expires_at = now.saturating_add(self.duration).unwrap_or(now);
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(name)))
            .update_expression("SET expires_at = :expires ADD fence :one")
            .condition_expression("attribute_not_exists(pk) OR expires_at <= :now")
            .expression_attribute_values(":expires", time(expires_at))
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        match result {
            Ok(answer) => {
                let item = answer.attributes.ok_or_else(|| Error::internal("a lease was not returned"))?;
                Ok(Some(Lease {
                    name: name.to_owned(),
                    token: Attributes(&item).number("fence")?,
                    expires_at,
                }))
            }
            Err(error) if update_refused(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&lease.name)))
            .update_expression("SET expires_at = :past")
            .condition_expression("fence = :token")
            .expression_attribute_values(":past", time(Timestamp::UNIX_EPOCH))
            .expression_attribute_values(":token", n(lease.token))
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(error) if update_refused(&error) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}
