//! `/api/resource/{DocType}[/{name}]`.

use serde_json::Value;

use super::{
    args::{Args, NoArguments},
    envelope::Data,
    list::{List, Listing},
    shown::FrappeDocument,
};
use crate::{Result, api::Call, documents::not_found};

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
