//! Documents: list, get, create.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Result,
    api::{
        Call,
        answer::{Created, Many, One},
        input::{Json, Limit, Query},
    },
    documents::{Dialect, Document, DocumentKey, Fields, ListQuery, NewDocument, Order},
};

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
                "name": { "type": "string", "minLength": 1, "maxLength": 140 },
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
    order: Direction,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The oldest first.
    Asc,
    /// The newest first.
    #[default]
    Desc,
}

/// `GET /v2/documents/{doctype}`: by `modified`, newest first (`order=asc`: oldest first).
pub async fn list(call: &Call<'_>, Query(params): Query<ListParams>) -> Result<Many<DocumentView>> {
    let order = match params.order {
        Direction::Asc => Order::OLDEST_FIRST,
        Direction::Desc => Order::NEWEST_FIRST,
    };
    let query =
        ListQuery { order, cursor: params.cursor, ..ListQuery::new(call.doctype()?, params.limit.get()) };
    let page = call.services.documents.list(&query).await?;
    let items = page.items.iter().map(DocumentView::of).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `GET /v2/documents/{doctype}/{name}`.
pub async fn get(call: &Call<'_>) -> Result<One<DocumentView>> {
    let document = call.editor().get(call.principal()?, &call.key()?).await?;
    Ok(One::of(DocumentView::of(&document)))
}

/// `POST /v2/documents/{doctype}`: a new document, named by `name`, by `naming_series`, or by us.
pub async fn create(
    call: &Call<'_>,
    Json(NewFields(fields)): Json<NewFields>,
) -> Result<Created<DocumentView>> {
    let new = NewDocument::read(call.doctype()?, fields.into(), Dialect::Strict)?;
    let created = call.editor().create(call.principal()?, &new, None).await?;
    call.services.release.waiting_for(&created.document.key).await;
    Ok(Created::at(location(&created.document.key), DocumentView::of(&created.document)))
}

fn location(key: &DocumentKey) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("/v2/documents/{}/{}", encode(key.doctype.as_str()), encode(key.name.as_str()))
}
