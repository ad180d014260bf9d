//! Tokens of OAuth in DynamoDB: one item a connector, `O#connector`.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, operation::put_item::PutItemError, primitives::Blob, types::AttributeValue};

use super::{KeptTokens, TokenStore};
use crate::{
    Result,
    clock::Clock,
    config::Tables,
    dynamo::{Attributes, Item, failed, n, s, time},
};

/// Tokens in the State table.
pub struct DynamoTokens {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
}

impl DynamoTokens {
    /// Tokens in `tables`.
    pub fn new(client: Client, tables: &Tables, clock: Arc<dyn Clock>) -> Self {
        Self { client, table: tables.state.clone(), clock }
    }
}

fn key(connector: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(format!("O#{connector}"))), ("sk".to_owned(), s("O"))])
}

#[async_trait]
impl TokenStore for DynamoTokens {
    async fn read(&self, connector: &str) -> Result<Option<KeptTokens>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(connector)));
        let Some(item) = request.consistent_read(true).send().await.map_err(failed)?.item else {
            return Ok(None);
        };
        let attributes = Attributes(&item);
        let sealed = item.get("sealed").and_then(|value| value.as_b().ok());
        Ok(Some(KeptTokens {
            generation: attributes.number("generation")?,
            origin: attributes.text("origin")?.to_owned(),
            sealed: sealed.map(|blob| blob.as_ref().to_vec()),
            is_begun: attributes.maybe("begun_at").is_some(),
        }))
    }

    async fn replace(&self, connector: &str, generation: u64, tokens: &KeptTokens) -> Result<bool> {
        let now = self.clock.now();
        let mut item = key(connector);
        item.insert("generation".to_owned(), n(tokens.generation));
        item.insert("origin".to_owned(), s(&tokens.origin));
        item.insert("changed_at".to_owned(), time(now));
        if let Some(sealed) = &tokens.sealed {
            item.insert("sealed".to_owned(), AttributeValue::B(Blob::new(sealed.as_slice())));
        }
        if tokens.is_begun {
            item.insert("begun_at".to_owned(), time(now));
        }
        let unchanged = match generation {
            0 => "attribute_not_exists(pk) OR generation = :generation",
            _ => "generation = :generation",
        };
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(unchanged)
            .expression_attribute_values(":generation", n(generation))
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(PutItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }
}
