//! A DynamoDB in this process, with the tables as the template has them, and clients whose capacity is counted.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Config, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextMut,
    },
    error::BoxError,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType,
    },
};
use causeway::config::Tables;

use crate::meter::{Interceptor, Meter};

/// Why a benchmark ended.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The member of a request by which DynamoDB knows its repeat, and one as long that it does not know.
const TOKEN: (&str, &str) = ("\"ClientRequestToken\":", "\"NoClientRequestTok\":");

/// Sends no tokens of transactions: the DynamoDB in the process goes through all those of the last ten minutes at
/// each new one, which takes minutes when there are 100,000. AWS keeps them, and bills nothing for it.
#[derive(Debug)]
struct NoTokens;

impl Intercept for NoTokens {
    fn name(&self) -> &'static str {
        "NoTokens"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let body = request.body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
        if let Some(body) = body.filter(|body| body.contains(TOKEN.0)) {
            let anew = body.replacen(TOKEN.0, TOKEN.1, 1);
            *request.body_mut() = anew.into();
        }
        Ok(())
    }
}

/// Starts a DynamoDB in this process; returns its endpoint.
pub async fn serve() -> Result<String, Failed> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let database = dynoxide::Database::memory()?;
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    Ok(endpoint)
}

/// A client of the DynamoDB at `endpoint`, counted.
pub fn client(endpoint: &str, meter: &Arc<Meter>) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .interceptor(Interceptor(Arc::clone(meter)))
        .interceptor(NoTokens)
        .build();
    Client::from_conf(config)
}

/// An index of the template: its name, its key, and what it holds besides.
type Index = (&'static str, [&'static str; 2], &'static [&'static str]);

const LOG_ENTRY: &[&str] =
    &["status", "event", "doctype", "docname", "attempts", "duration_ms", "error_code"];

/// The tables as the template has them.
pub async fn create_tables(client: &Client) -> Result<Tables, Failed> {
    create(client, "documents", &["pk"], &[("by_modified", ["mpk", "msk"], &[])]).await?;
    create(client, "logs", &["pk", "sk"], &[("by_connector_day", ["lpk", "lsk"], LOG_ENTRY)]).await?;
    let indexes: [Index; 3] = [
        ("by_due", ["dpk", "dsk"], &[]),
        ("by_state", ["spk", "ssk"], &[]),
        ("by_wait", ["wpk", "wsk"], &[]),
    ];
    create(client, "state", &["pk", "sk"], &indexes).await?;
    Ok(Tables { documents: "documents".to_owned(), logs: "logs".to_owned(), state: "state".to_owned() })
}

async fn create(client: &Client, table: &str, keys: &[&str], indexes: &[Index]) -> Result<(), Failed> {
    let names = keys.iter().copied().chain(indexes.iter().flat_map(|index| index.1));
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(keys)?));
    for name in names {
        let text = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        request = request.attribute_definitions(text.build()?);
    }
    for (name, keys, held) in indexes {
        let kind = if held.is_empty() { ProjectionType::KeysOnly } else { ProjectionType::Include };
        let held = held.iter().map(ToString::to_string).collect::<Vec<_>>();
        let projection = Projection::builder()
            .projection_type(kind)
            .set_non_key_attributes(Some(held).filter(|held| !held.is_empty()))
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(*name)
            .set_key_schema(Some(schema(keys)?))
            .projection(projection);
        request = request.global_secondary_indexes(index.build()?);
    }
    request.send().await?;
    Ok(())
}

fn schema(keys: &[&str]) -> Result<Vec<KeySchemaElement>, Failed> {
    let kinds = [KeyType::Hash, KeyType::Range];
    keys.iter()
        .zip(kinds)
        .map(|(name, kind)| Ok(KeySchemaElement::builder().attribute_name(*name).key_type(kind).build()?))
        .collect()
}
