//! Documents: list, get, create.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, ErrorCode, FieldError, Result,
    api::{
        Call,
        answer::{Created, Many, One},
        input::{Json, Limit, Query},
    },
    auth::Permission,
    documents::{
        Change, Commit, Committed, DocName, DocStatus, DocType, Document, DocumentKey, Fields, ListQuery,
        SYSTEM_FIELDS, Series, Stored, Target, Write, not_found,
    },
};

/// Numbers of a series are taken by the API in blocks of this size.
const SERIES_BLOCK: u32 = 10;
/// How often a generated name that is taken is generated anew.
const MAX_NAMES: usize = 3;

/// A document: its fields, flat, with those that every document has.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct DocumentView(Value);

impl DocumentView {
    /// As the API shows `document`.
    pub fn of(document: &Document) -> Self {
        Self(document.to_json())
    }
}

impl JsonSchema for DocumentView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "A document: its fields, flat, with those that every document has.",
            "properties": {
                "doctype": { "type": "string", "description": "Its DocType." },
                "name": { "type": "string", "description": "Its name within the DocType." },
                "docstatus": { "enum": [0, 1, 2], "description": "0 draft, 1 submitted, 2 cancelled." },
                "creation": { "type": "string", "format": "date-time", "description": "When it was created, UTC." },
                "owner": { "type": "string", "description": "Who created it." },
                "modified": { "type": "string", "format": "date-time", "description": "When it was changed last, UTC." },
                "modified_by": { "type": "string", "description": "Who changed it last." },
                "revision": { "type": "integer", "minimum": 1, "description": "Counts its changes." },
            },
            "additionalProperties": true,
        })
    }
}

/// What a document is created from: its fields, flat.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct NewFields(Fields);

impl JsonSchema for NewFields {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NewDocument".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "A new document: its fields, flat. Named by `name`, by `naming_series`, or by ten random characters.",
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 560 },
                "naming_series": { "type": "string", "description": "As ERPNext writes it, e.g. `SAL-ORD-.YYYY.-`." },
                "docstatus": { "enum": [0, 1], "default": 0, "description": "1 inserts and submits in one call." },
            },
            "additionalProperties": true,
            "example": { "customer": "Atelier Nord", "grand_total": 1250.00 },
        })
    }
}

/// Which documents, in which order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// By `modified`: newest first (`desc`) or oldest first (`asc`).
    #[serde(default)]
    order: Order,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The oldest first.
    Asc,
    /// The newest first.
    #[default]
    Desc,
}

/// `GET /v2/documents/{doctype}`: by `modified`, newest first (`order=asc`: oldest first).
pub async fn list(call: &Call<'_>, Query(params): Query<ListParams>) -> Result<Many<DocumentView>> {
    let query = ListQuery {
        doctype: call.doctype()?,
        limit: params.limit.get(),
        newest_first: params.order == Order::Desc,
        cursor: params.cursor,
    };
    let page = call.services.documents.list(&query).await?;
    let items = page.items.iter().map(DocumentView::of).collect();
    Ok(Many { items, next: page.next, partial: false })
}

/// `GET /v2/documents/{doctype}/{name}`.
pub async fn get(call: &Call<'_>) -> Result<One<DocumentView>> {
    let key = call.key()?;
    let document = call.services.documents.get(&key).await?.ok_or_else(|| not_found(&key))?;
    Ok(One::of(DocumentView::of(&document)))
}

/// `POST /v2/documents/{doctype}`: a new document, named by `name`, by `naming_series`, or by us.
pub async fn create(
    call: &Call<'_>,
    Json(NewFields(fields)): Json<NewFields>,
) -> Result<Created<DocumentView>> {
    let new = NewDocument::of(call.doctype()?, fields)?;
    if new.docstatus != DocStatus::Draft {
        call.permit(Permission::Submit(&new.doctype))?;
    }
    let mut tries = MAX_NAMES;
    let mut stored = None;
    loop {
        // A tombstone's versions stay, so that late events of its source are still late.
        let mut applied = stored.as_ref().map(|stored: &Stored| stored.applied().clone()).unwrap_or_default();
        applied.insert("api".to_owned(), call.services.clock.now());
        let change = Change::Put { fields: new.fields.clone(), docstatus: new.docstatus };
        let write = Write::over(new.target()?, stored.as_ref(), change, applied, call.user()?);
        match call.services.documents.commit(Commit { writes: vec![write], event: None }).await {
            Ok(Committed::Now(mut documents)) => {
                let document =
                    documents.pop().flatten().ok_or_else(|| Error::internal("nothing was created"))?;
                call.services.release.waiting_for(&document.key).await;
                return Ok(Created::at(location(&document.key), DocumentView::of(&document)));
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
    fn of(doctype: DocType, mut fields: Fields) -> Result<Self> {
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
