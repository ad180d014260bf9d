//! API keys. A secret is shown once, in the answer to the request that made it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Result,
    api::{
        Call,
        answer::{Created, Many, Nothing, One, Tagged, Unkept},
        condition::{BUILT_IN, Seen},
        input::{Json, Paging, Query, Repeatable},
        shown::Time,
    },
    auth::{ApiKey, KeyChanges, NewKey, Rotation},
    secrets::Secret,
};

/// A key, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub struct KeyView {
    /// Its id, the first part of what a caller sends.
    id: String,
    /// As whom its callers act.
    user: String,
    /// What it is for.
    description: String,
    /// Whether it is accepted.
    enabled: bool,
    /// When it stops being accepted; null for never.
    expires_at: Option<Time>,
    /// Until when a secret of before the last rotation is still accepted; null if none is.
    previous_valid_until: Option<Time>,
    /// Whether it is the one that the deployment made, which is changed in Secrets Manager only.
    built_in: bool,
    /// Counts its changes; 0 for the one that is built in.
    revision: u64,
    /// When it was created; null for the one that is built in, as all that follows.
    creation: Option<Time>,
    /// Who created it.
    owner: Option<String>,
    /// When it was changed last.
    modified: Option<Time>,
    /// Who changed it last.
    modified_by: Option<String>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        let built_in = key.record.is_none();
        let (revision, dates, people) = key.record.map_or((BUILT_IN, None, None), |record| {
            let dates = (Time(record.created_at), Time(record.modified));
            (record.revision, Some(dates), Some((record.created_by, record.modified_by)))
        });
        let (creation, modified) = dates.unzip();
        let (owner, modified_by) = people.unzip();
        Self {
            id: key.id,
            user: key.user,
            description: key.description,
            enabled: key.enabled,
            expires_at: key.expires_at.map(Time),
            previous_valid_until: key.previous_valid_until.map(Time),
            built_in,
            revision,
            creation,
            owner,
            modified,
            modified_by,
        }
    }
}

/// A key with its new secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewApiKey")]
pub struct NewKeyView {
    #[serde(flatten)]
    shown: KeyView,
    /// What a caller sends as `X-API-Key`: `<id>.<secret>`. It is shown this once.
    key: String,
}

impl NewKeyView {
    fn of(key: ApiKey, secret: &Secret) -> Self {
        let sent = format!("{}.{}", key.id, String::from_utf8_lossy(secret.expose()));
        Self { shown: key.into(), key: sent }
    }
}

/// `GET /v2/api-keys`: the one that the deployment made, then the others, changed longest ago first.
pub async fn list(call: &Call<'_>, Query(paging): Query<Paging>) -> Result<Many<KeyView>> {
    let page = call.services.keyring.list(call.principal()?, paging.limit.get(), paging.cursor).await?;
    let items = page.items.into_iter().map(KeyView::from).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `GET /v2/api-keys/{id}`.
pub async fn get(call: &Call<'_>) -> Result<Tagged<One<KeyView>>> {
    let key = call.services.keyring.get(call.principal()?, call.param("id")?).await?;
    Ok(shown(key))
}

/// `POST /v2/api-keys`: makes one, and shows its secret.
pub async fn create(
    call: &Call<'_>,
    Json(new): Json<NewKey>,
    Repeatable(receipt): Repeatable,
) -> Result<Unkept<Tagged<Created<NewKeyView>>>> {
    let (key, secret) = call.services.keyring.create(call.principal()?, &new, receipt).await?;
    let location = format!("/v2/api-keys/{}", key.id);
    let revision = key.revision();
    Ok(Unkept(Tagged::revision(revision, Created::at(location, NewKeyView::of(key, &secret)))))
}

/// `PATCH /v2/api-keys/{id}`: changes what it is given.
pub async fn update(
    call: &Call<'_>,
    Json(changes): Json<KeyChanges>,
    seen: Seen,
) -> Result<Tagged<One<KeyView>>> {
    let id = call.param("id")?;
    let valid = changes.validate(call.services.clock.now());
    let expect = seen.expect(valid, revision(call, id)).await?;
    let key = call.services.keyring.update(call.principal()?, id, changes, expect).await;
    key.map(shown).map_err(|error| seen.refused(error))
}

/// `POST /v2/api-keys/{id}/rotate`: gives it a new secret, and shows it.
pub async fn rotate(
    call: &Call<'_>,
    Json(rotation): Json<Rotation>,
    seen: Seen,
    Repeatable(receipt): Repeatable,
) -> Result<Unkept<Tagged<One<NewKeyView>>>> {
    let id = call.param("id")?;
    let expect = seen.expect(rotation.validate(), revision(call, id)).await?;
    let rotated = call.services.keyring.rotate(call.principal()?, id, rotation, expect, receipt).await;
    let (key, secret) = rotated.map_err(|error| seen.refused(error))?;
    Ok(Unkept(Tagged::revision(key.revision(), One::of(NewKeyView::of(key, &secret)))))
}

/// `DELETE /v2/api-keys/{id}`.
pub async fn delete(call: &Call<'_>, seen: Seen) -> Result<Nothing> {
    let id = call.param("id")?;
    let expect = seen.expect(Ok(()), revision(call, id)).await?;
    let removed = call.services.keyring.remove(call.principal()?, id, expect).await;
    removed.map(|()| Nothing).map_err(|error| seen.refused(error))
}

fn shown(key: ApiKey) -> Tagged<One<KeyView>> {
    Tagged::revision(key.revision(), One::of(key.into()))
}

/// The revision of the key `id`, which must be there.
async fn revision(call: &Call<'_>, id: &str) -> Result<Option<u64>> {
    Ok(Some(call.services.keyring.get(call.principal()?, id).await?.revision()))
}
