//! Connector settings. Secrets are named here, never shown or set: they live in Secrets Manager.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::{Created, Many, One},
        input::{self, Json, Paging, Query},
    },
    connectors::ConnectorSettings,
    documents::Fields,
};

/// A connector's settings as they are sent: the name may be left to the path.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct SentSettings(Fields);

impl JsonSchema for SentSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SentSettings".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = ConnectorSettings::json_schema(generator);
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| name != "name");
        }
        schema
    }
}

/// `GET /v2/connectors`.
pub async fn list(call: &Call<'_>, Query(paging): Query<Paging>) -> Result<Many<ConnectorSettings>> {
    let page = call.services.connectors.list(paging.limit.get(), paging.cursor).await?;
    let items = page.items.into_iter().map(|record| record.value).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `GET /v2/connectors/{connector}`.
pub async fn get(call: &Call<'_>) -> Result<One<ConnectorSettings>> {
    Ok(One::of(found(call).await?))
}

/// The settings of the connector in the path.
pub async fn found(call: &Call<'_>) -> Result<ConnectorSettings> {
    let name = call.param("connector")?;
    let missing = || Error::new(ErrorCode::UnknownConnector, format!("there is no connector {name:?}"));
    call.services.connectors.get(name).await?.map(|record| record.value).ok_or_else(missing)
}

/// `PUT /v2/connectors/{connector}`: creates or replaces settings, all or nothing.
pub async fn put(
    call: &Call<'_>,
    Json(SentSettings(fields)): Json<SentSettings>,
) -> Result<Created<ConnectorSettings>> {
    let name = call.param("connector")?;
    let settings = read(name, fields)?;
    let services = call.services;
    let saved = services.connectors.put(&settings, call.principal()?, &services.directory, None).await?;
    let location = format!("/v2/connectors/{name}");
    Ok(if saved.created { Created::at(location, settings) } else { Created::replaced(settings) })
}

fn read(name: &str, mut fields: Fields) -> Result<ConnectorSettings> {
    let given = fields.entry("name").or_insert_with(|| name.into());
    if given.as_str() != Some(name) {
        return Err(Error::field("/name", "invalid", "is not the name of the path"));
    }
    input::parse(&Value::Object(fields))
}
