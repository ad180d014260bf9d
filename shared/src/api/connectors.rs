//! Connector settings. Secrets are named here, never shown or set: they live in Secrets Manager.

use http::{StatusCode, header};
use serde_json::Value;

use super::Call;
use crate::{Error, ErrorCode, Result, connectors::ConnectorSettings, trigger::http::Response};

/// `GET /v2/connectors`.
pub async fn list(call: &Call<'_>) -> Result<Response> {
    call.allow_query(&["limit", "cursor"])?;
    let cursor = call.query("cursor").map(ToOwned::to_owned);
    let page = call.services.connectors.list(call.limit()?, cursor).await?;
    let items: Vec<Value> = page.items.iter().map(|record| shown(&record.value)).collect::<Result<_>>()?;
    Ok(Response::page(&items, page.next.as_deref(), false))
}

/// `GET /v2/connectors/{connector}`.
pub async fn get(call: &Call<'_>) -> Result<Response> {
    let name = call.param("connector")?;
    let missing = || Error::new(ErrorCode::UnknownConnector, format!("there is no connector {name:?}"));
    let record = call.services.connectors.get(name).await?.ok_or_else(missing)?;
    Ok(Response::data(StatusCode::OK, shown(&record.value)?))
}

/// `PUT /v2/connectors/{connector}`: creates or replaces settings, all or nothing.
pub async fn put(call: &Call<'_>) -> Result<Response> {
    let name = call.param("connector")?;
    let settings = read(call, name)?;
    let services = call.services;
    let saved = services.connectors.put(&settings, call.principal()?, &services.directory, None).await?;
    let created = saved.created;
    let response =
        Response::data(if created { StatusCode::CREATED } else { StatusCode::OK }, shown(&settings)?);
    Ok(if created {
        response.with_header(header::LOCATION, &format!("/v2/connectors/{name}"))
    } else {
        response
    })
}

fn read(call: &Call<'_>, name: &str) -> Result<ConnectorSettings> {
    let Value::Object(mut fields) = call.request.json()? else {
        return Err(Error::field("", "invalid", "must be a JSON object"));
    };
    let given = fields.entry("name").or_insert_with(|| name.into());
    if given.as_str() != Some(name) {
        return Err(Error::field("/name", "invalid", "is not the name of the path"));
    }
    // From text: a number in a JSON value does not fit every setting, its text does.
    let text = crate::dynamo::json(&Value::Object(fields))?;
    let reader = &mut serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(reader).map_err(|fault| {
        let field = pointer(fault.path());
        // The place in the text is one in ours, not in what was sent.
        let detail = fault.inner().to_string();
        let detail = detail.split(" at line ").next().unwrap_or_default();
        Error::field(field, "invalid", detail)
    })
}

/// Where in the settings a fault is, as a JSON pointer; of a part chosen by its type, where that part begins.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{key}"),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn shown(settings: &ConnectorSettings) -> Result<Value> {
    serde_json::to_value(settings).map_err(Error::internal)
}
