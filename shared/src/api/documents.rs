//! Documents: list, get, create.

use http::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Call;
use crate::{
    Error, ErrorCode, FieldError, Result,
    auth::{Permission, permit},
    documents::{
        Change, Commit, Committed, DocName, DocStatus, DocType, Document, DocumentKey, Fields, ListQuery,
        Order, SYSTEM_FIELDS, Series, Stored, Target, Write, not_found,
    },
    trigger::http::Response,
};

/// Numbers of a series are taken by the API in blocks of this size.
const SERIES_BLOCK: u32 = 10;
/// How often a generated name that is taken is generated anew.
const MAX_NAMES: usize = 3;

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
    let page = call.services.documents.list(&query).await?;
    let items: Vec<Value> = page.items.iter().map(Document::to_json).collect();
    Ok(Response::page(&items, page.next.as_deref(), page.partial))
}

/// `GET /v2/documents/{doctype}/{name}`.
pub async fn get(call: &Call<'_>) -> Result<Response> {
    let key = DocumentKey { doctype: call.doctype()?, name: DocName::new(call.param("name")?)? };
    let document = call.services.documents.get(&key).await?.ok_or_else(|| not_found(&key))?;
    Ok(Response::data(StatusCode::OK, document.to_json()))
}

/// `POST /v2/documents/{doctype}`: a new document, named by `name`, by `naming_series`, or by us.
pub async fn create(call: &Call<'_>) -> Result<Response> {
    let new = NewDocument::read(call)?;
    if new.docstatus != DocStatus::Draft {
        let principal = call.principal.as_ref().ok_or_else(|| Error::internal("nobody creates"))?;
        permit(principal, Permission::Submit(&new.doctype))?;
    }
    let mut tries = MAX_NAMES;
    let mut stored = None;
    loop {
        // A tombstone's versions stay, so that late events of its source are still late.
        let mut applied = stored.as_ref().map(|stored: &Stored| stored.applied().clone()).unwrap_or_default();
        applied.insert("api".to_owned(), call.services.clock.now());
        let change = Change::Put { fields: new.fields.clone(), docstatus: new.docstatus };
        let write = Write::over(new.target()?, stored.as_ref(), change, applied, call.user()?);
        match call.services.documents.commit(Commit::of(write)).await {
            Ok(Committed::Now(mut documents)) => {
                let document =
                    documents.pop().flatten().ok_or_else(|| Error::internal("nothing was created"))?;
                call.services.release.waiting_for(&document.key).await;
                let location = location(&document.key);
                return Ok(Response::data(StatusCode::CREATED, document.to_json())
                    .with_header(header::LOCATION, &location));
            }
            Ok(_) => return Err(Error::internal("a creation was taken for an event")),
            Err(error) if error.code() == ErrorCode::DocumentExists && new.name.is_none() && tries > 1 => {
                tries -= 1;
            }
            Err(error) => stored = deleted(call, &new, error).await?,
        }
    }
}

/// The tombstone that is in the way of a creation, which may replace it; any other obstacle is the error.
async fn deleted(call: &Call<'_>, new: &NewDocument, error: Error) -> Result<Option<Stored>> {
    let Target::Named(key) = new.target()? else { return Err(error) };
    if error.code() != ErrorCode::DocumentExists {
        return Err(error);
    }
    match call.services.documents.read(&key).await? {
        Some(stored @ Stored::Deleted(_)) => Ok(Some(stored)),
        _ => Err(error),
    }
}

fn location(key: &DocumentKey) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("/v2/documents/{}/{}", encode(key.doctype.as_str()), encode(key.name.as_str()))
}

struct NewDocument {
    doctype: DocType,
    name: Option<DocName>,
    series: Option<Series>,
    docstatus: DocStatus,
    fields: Fields,
}

impl NewDocument {
    fn read(call: &Call<'_>) -> Result<Self> {
        let doctype = call.doctype()?;
        let Value::Object(mut fields) = call.request.json()? else {
            return Err(Error::field("", "invalid", "must be a JSON object of fields"));
        };
        let text = |value: Option<Value>, field: &str| match value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::field(field, "invalid", "must be a text")),
        };
        if let Some(given) = text(fields.shift_remove("doctype"), "/doctype")?
            && given != doctype.as_str()
        {
            return Err(Error::field("/doctype", "invalid", "is not the DocType of the path"));
        }
        let name = text(fields.shift_remove("name"), "/name")?
            .map(DocName::new)
            .transpose()
            .map_err(|e| e.at("/name"))?;
        // As in ERPNext, the series a document was named by stays one of its fields.
        let series = text(fields.get("naming_series").cloned(), "/naming_series")?;
        let series = series
            .filter(|_| name.is_none())
            .map(|series| Series::parse(&series))
            .transpose()
            .map_err(|e| e.at("/naming_series"))?;
        let docstatus = docstatus(fields.shift_remove("docstatus"))?;
        let set_by_us: Vec<FieldError> = SYSTEM_FIELDS
            .into_iter()
            .filter(|field| fields.contains_key(*field))
            .map(|field| FieldError {
                field: format!("/{field}"),
                code: "invalid",
                detail: "is set by the store".into(),
            })
            .collect();
        if !set_by_us.is_empty() {
            return Err(Error::fields(set_by_us));
        }
        Ok(Self { doctype, name, series, docstatus, fields })
    }

    fn target(&self) -> Result<Target> {
        let doctype = self.doctype.clone();
        Ok(match (&self.name, &self.series) {
            (Some(name), _) => Target::Named(DocumentKey { doctype, name: name.clone() }),
            (None, Some(series)) => Target::Series { doctype, series: series.clone(), block: SERIES_BLOCK },
            (None, None) => {
                Target::Named(DocumentKey { doctype, name: DocName::new(crate::id::random_name())? })
            }
        })
    }
}

fn docstatus(value: Option<Value>) -> Result<DocStatus> {
    let invalid = || Error::field("/docstatus", "invalid", "must be 0 (draft) or 1 (insert and submit)");
    match value {
        None => Ok(DocStatus::Draft),
        Some(value) => match value.as_u64() {
            Some(0) => Ok(DocStatus::Draft),
            Some(1) => Ok(DocStatus::Submitted),
            _ => Err(invalid()),
        },
    }
}
