//! Documents: list, get, create.

use http::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Call;
use crate::{
    Error, Result,
    auth::Principal,
    documents::{Dialect, DocName, DocumentKey, Editor, ListQuery, NewDocument, Order, Selection},
    trigger::http::Response,
};

/// `GET /v2/documents/{doctype}`: by `modified`, newest first (`order=asc`: oldest first).
pub async fn list(call: &Call<'_>) -> Result<Response> {
    call.allow_query(&["limit", "cursor", "order"])?;
    let order = match call.query("order") {
        None | Some("desc") => Order::NEWEST_FIRST,
        Some("asc") => Order::OLDEST_FIRST,
        Some(_) => return Err(Error::field("order", "invalid", "must be \"asc\" or \"desc\"")),
    };
    let query = ListQuery {
        order,
        cursor: call.query("cursor").map(ToOwned::to_owned),
        ..ListQuery::new(call.doctype()?, call.limit()?)
    };
    let page = editor(call).list(principal(call)?, &query, &Selection::Whole).await?;
    Ok(Response::page(&page.items, page.next.as_deref(), page.partial))
}

/// `GET /v2/documents/{doctype}/{name}`.
pub async fn get(call: &Call<'_>) -> Result<Response> {
    let key = DocumentKey { doctype: call.doctype()?, name: DocName::new(call.param("name")?)? };
    let document = editor(call).get(principal(call)?, &key).await?;
    Ok(Response::data(StatusCode::OK, document.to_json()))
}

/// `POST /v2/documents/{doctype}`: a new document, named by `name`, by `naming_series`, or by us.
pub async fn create(call: &Call<'_>) -> Result<Response> {
    let new = NewDocument::read(call.doctype()?, call.request.json()?, Dialect::Strict)?;
    let created = editor(call).create(principal(call)?, &new, None).await?;
    let document = created.document;
    call.services.release.waiting_for(&document.key).await;
    let location = location(&document.key);
    Ok(Response::data(StatusCode::CREATED, document.to_json()).with_header(header::LOCATION, &location))
}

fn editor(call: &Call<'_>) -> Editor {
    Editor::new(call.services.documents.clone(), call.services.clock.clone())
}

fn principal<'a>(call: &'a Call<'_>) -> Result<&'a Principal> {
    call.principal.as_ref().ok_or_else(|| Error::internal("a public route asks for documents"))
}

fn location(key: &DocumentKey) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("/v2/documents/{}/{}", encode(key.doctype.as_str()), encode(key.name.as_str()))
}
