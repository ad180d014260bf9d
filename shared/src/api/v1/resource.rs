//! `/api/resource/{DocType}[/{name}]`.

use serde_json::Value;

use super::{
    args::{Args, Fields, NoArguments},
    envelope::{Data, Deleted},
    list::{List, Listing},
    shown::FrappeDocument,
    writing,
};
use crate::{
    Result,
    api::{Call, input::Repeatable},
    documents::{Changes, not_found},
};

/// `GET /api/resource/{doctype}`.
pub async fn list(call: &Call<'_>, Args(listing): Args<Listing>) -> Result<Data<Vec<Value>>> {
    let list = List::read(call.doctype()?, &listing)?;
    Ok(Data(list.rows(&*call.services.documents).await?))
}

/// `GET /api/resource/{doctype}/{name}`.
pub async fn get(call: &Call<'_>, _: Args<NoArguments>) -> Result<Data<FrappeDocument>> {
    let key = call.key()?;
    let document = call.services.documents.get(&key).await?.ok_or_else(|| not_found(&key))?;
    Ok(Data(FrappeDocument::of(document)))
}

/// `POST /api/resource/{doctype}`.
pub async fn create(
    call: &Call<'_>,
    Fields(fields): Fields,
    Repeatable(receipt): Repeatable,
) -> Result<Data<FrappeDocument>> {
    writing::create(call, call.doctype()?, fields, receipt).await.map(Data)
}

/// `PUT /api/resource/{doctype}/{name}`: the given fields replace those of the document.
pub async fn update(call: &Call<'_>, Fields(fields): Fields) -> Result<Data<FrappeDocument>> {
    let key = call.key()?;
    let changes = Changes::set(&key, fields.into())?;
    writing::change(call, &key, &changes).await.map(Data)
}

/// `DELETE /api/resource/{doctype}/{name}`.
pub async fn delete(call: &Call<'_>, _: Args<NoArguments>) -> Result<Deleted> {
    call.editor().delete(call.principal()?, &call.key()?, None).await?;
    Ok(Deleted)
}
