//! `/api/resource/{DocType}[/{name}]`.

use super::{
    args::{Args, NoArguments},
    envelope::Data,
    shown::FrappeDocument,
};
use crate::{Result, api::Call, documents::not_found};

/// `GET /api/resource/{doctype}/{name}`.
pub async fn get(call: &Call<'_>, _: Args<NoArguments>) -> Result<Data<FrappeDocument>> {
    let key = call.key()?;
    let document = call.services.documents.get(&key).await?.ok_or_else(|| not_found(&key))?;
    Ok(Data(FrappeDocument::of(document)))
}
