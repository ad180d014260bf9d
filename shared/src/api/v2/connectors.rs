//! Connector settings. Secrets are named here, never shown or set: they live in Secrets Manager.

use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::{Created, Many, One, Tagged},
        condition::Seen,
        input::{Json, Paging, Query},
        named::Sent,
    },
    connectors::ConnectorSettings,
    documents::Recorded,
};

/// `GET /v2/connectors`.
pub async fn list(call: &Call<'_>, Query(paging): Query<Paging>) -> Result<Many<ConnectorSettings>> {
    let page = call.services.connectors.list(paging.limit.get(), paging.cursor).await?;
    let items = page.items.into_iter().map(|record| record.value).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `GET /v2/connectors/{connector}`.
pub async fn get(call: &Call<'_>) -> Result<Tagged<One<ConnectorSettings>>> {
    let record = recorded(call).await?;
    Ok(Tagged::revision(record.revision, One::of(record.value)))
}

/// The settings of the connector in the path.
pub async fn found(call: &Call<'_>) -> Result<ConnectorSettings> {
    recorded(call).await.map(|record| record.value)
}

/// `PUT /v2/connectors/{connector}`: creates or replaces settings, all or nothing.
pub async fn put(
    call: &Call<'_>,
    Json(sent): Json<Sent<ConnectorSettings>>,
    seen: Seen,
) -> Result<Tagged<Created<ConnectorSettings>>> {
    let name = call.param("connector")?;
    let settings = sent.named(name)?;
    let (connectors, directory) = (&call.services.connectors, &call.services.directory);
    let expect = seen.expect(check(call, &settings), revision(call, name)).await?;
    // What else is wrong, the repository says all at once.
    check_place(call, &settings)?;
    let saved = connectors.put(&settings, call.principal()?, directory, expect).await;
    let saved = saved.map_err(|error| seen.refused(error))?;
    let location = format!("/v2/connectors/{name}");
    let answer = if saved.created { Created::at(location, settings) } else { Created::replaced(settings) };
    Ok(Tagged::revision(saved.record.revision, answer))
}

/// What is wrong with the settings, by themselves or where documents live.
fn check(call: &Call<'_>, settings: &ConnectorSettings) -> Result<()> {
    settings.validate()?;
    check_place(call, settings)
}

/// What is wrong with the settings where documents live.
fn check_place(call: &Call<'_>, settings: &ConnectorSettings) -> Result<()> {
    if call.services.documents_are_on_a_site() { settings.check_circles() } else { Ok(()) }
}

async fn recorded(call: &Call<'_>) -> Result<Recorded<ConnectorSettings>> {
    let name = call.param("connector")?;
    let missing = || Error::new(ErrorCode::UnknownConnector, format!("there is no connector {name:?}"));
    call.services.connectors.get(name).await?.ok_or_else(missing)
}

/// The revision of the connector `name`, if there is one.
async fn revision(call: &Call<'_>, name: &str) -> Result<Option<u64>> {
    Ok(call.services.connectors.get(name).await?.map(|record| record.revision))
}
