//! Connector settings. Secrets are named here, never shown or set: they live in Secrets Manager.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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

/// A connector's settings; docs/connectors.md says what they hold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingsView(Fields);

impl JsonSchema for SettingsView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConnectorSettings".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "How one provider's webhooks are verified and what becomes of them.",
            "additionalProperties": true,
        })
    }
}

/// `GET /v2/connectors`.
pub async fn list(call: &Call<'_>, Query(paging): Query<Paging>) -> Result<Many<SettingsView>> {
    let page = call.services.connectors.list(paging.limit.get(), paging.cursor).await?;
    let items = page.items.iter().map(shown).collect::<Result<_>>()?;
    Ok(Many { items, next: page.next, partial: false })
}

/// `GET /v2/connectors/{connector}`.
pub async fn get(call: &Call<'_>) -> Result<One<SettingsView>> {
    let name = call.param("connector")?;
    let missing = || Error::new(ErrorCode::UnknownConnector, format!("there is no connector {name:?}"));
    let settings = call.services.connectors.get(name).await?.ok_or_else(missing)?;
    Ok(One::of(shown(&settings)?))
}

/// `PUT /v2/connectors/{connector}`: creates or replaces settings, all or nothing.
pub async fn put(
    call: &Call<'_>,
    Json(SettingsView(fields)): Json<SettingsView>,
) -> Result<Created<SettingsView>> {
    let name = call.param("connector")?;
    let settings = read(name, fields)?;
    let created = call.services.connectors.put(&settings, call.user()?, &*call.services.clock).await?;
    let shown = shown(&settings)?;
    Ok(if created { Created::at(format!("/v2/connectors/{name}"), shown) } else { Created::replaced(shown) })
}

fn read(name: &str, mut fields: Fields) -> Result<ConnectorSettings> {
    let given = fields.entry("name").or_insert_with(|| name.into());
    if given.as_str() != Some(name) {
        return Err(Error::field("/name", "invalid", "is not the name of the path"));
    }
    input::parse(&Value::Object(fields))
}

fn shown(settings: &ConnectorSettings) -> Result<SettingsView> {
    let value = serde_json::to_value(settings).map_err(Error::internal)?;
    crate::dynamo::object(value).map(SettingsView)
}
