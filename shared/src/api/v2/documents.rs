//! Documents: list, count, get, create, change, delete.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    api::{
        Call,
        answer::{self, Many, Nothing, One, Tagged},
        condition::Seen,
        input::{Json, Limit, Query, Repeatable},
        shown::segment,
    },
    documents::{
        Changes, Created, Dialect, DocType, Document, DocumentKey, Fields, Filters, ListQuery, NewDocument,
        Order, Selection,
    },
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
                "name": { "type": "string", "minLength": 1, "maxLength": 560 },
                "naming_series": { "type": "string", "description": "As ERPNext writes it, e.g. `SAL-ORD-.YYYY.-`." },
                "docstatus": { "enum": [0, 1], "default": 0, "description": "1 inserts and submits in one call." },
            },
            "additionalProperties": true,
            "example": { "customer": "Atelier Nord", "grand_total": 1250.00 },
        })
    }
}

/// Which documents, in which order, and what of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// Which fields, as a JSON list of names or with commas between them; whole documents if it is not given.
    #[schemars(example = "[\"name\",\"customer\"]")]
    fields: Option<String>,
    /// Conditions that all hold, as JSON: `[["customer","=","Atelier Nord"],["grand_total",">",100]]`, or
    /// `{"customer": "Atelier Nord"}`.
    #[schemars(example = "[[\"docstatus\",\"=\",0]]")]
    filters: Option<String>,
    /// Conditions of which one holds, in the same form.
    or_filters: Option<String>,
    /// `modified` or `name`, with `asc` or `desc`; `modified desc` if it is not given.
    #[schemars(example = "name asc")]
    order_by: Option<String>,
}

/// Which documents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountParams {
    /// Conditions that all hold, as JSON, as for a list.
    #[schemars(example = "[[\"docstatus\",\"=\",0]]")]
    filters: Option<String>,
    /// Conditions of which one holds, in the same form.
    or_filters: Option<String>,
}

/// How many documents there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CountView {
    /// So many.
    count: usize,
    /// Whether there are more: a count ends at 10,000, or where a filter had to read 5,000 documents.
    approximate: bool,
}

/// What of a document is to change (RFC 7396).
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct MergePatch(Fields);

impl JsonSchema for MergePatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DocumentPatch".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "What of a document is to change (RFC 7396): null takes a field away.",
            "properties": {
                "docstatus": { "enum": [0, 1, 2], "description": "1 submits a draft, 2 cancels a submitted document." },
            },
            "additionalProperties": true,
            "example": { "delivery_date": "2026-12-01" },
        })
    }
}

/// JSON in a parameter of the query.
fn json(name: &str, text: Option<&str>) -> Result<Option<Value>> {
    let parse = |text: &str| {
        serde_json::from_str(text)
            .map_err(|fault| Error::field(name, "invalid", format!("is no JSON: {fault}")))
    };
    text.map(parse).transpose()
}

fn filters(doctype: &DocType, all: Option<&str>, any: Option<&str>) -> Result<Filters> {
    Filters::read(doctype, json("filters", all)?.as_ref(), json("or_filters", any)?.as_ref())
}

/// Names, as a JSON list or with commas between them.
fn selection(fields: Option<&str>, doctype: &DocType) -> Result<Selection> {
    let Some(text) = fields else { return Ok(Selection::Whole) };
    let names = if text.trim_start().starts_with('[') { json("fields", Some(text))? } else { None };
    Selection::read(&names.unwrap_or_else(|| text.into()), doctype)
}

/// `GET /v2/documents/{doctype}`: newest first, unless `order_by` says otherwise.
pub async fn list(call: &Call<'_>, Query(params): Query<ListParams>) -> Result<Many<DocumentView>> {
    let doctype = call.doctype()?;
    let selection = selection(params.fields.as_deref(), &doctype)?;
    let order = params.order_by.as_deref().map(|order| Order::read(order, &doctype)).transpose()?;
    let query = ListQuery {
        filters: filters(&doctype, params.filters.as_deref(), params.or_filters.as_deref())?,
        order: order.unwrap_or(Order::NEWEST_FIRST),
        cursor: params.cursor,
        ..ListQuery::new(doctype, params.limit.get())
    };
    let page = call.editor().list(call.principal()?, &query, &selection).await?;
    Ok(Many {
        items: page.items.into_iter().map(DocumentView).collect(),
        next: page.next,
        partial: page.partial,
    })
}

/// `GET /v2/counts/{doctype}`.
pub async fn count(call: &Call<'_>, Query(params): Query<CountParams>) -> Result<One<CountView>> {
    let doctype = call.doctype()?;
    let filters = filters(&doctype, params.filters.as_deref(), params.or_filters.as_deref())?;
    let count = call.editor().count(call.principal()?, &doctype, &filters).await?;
    Ok(One::of(CountView { count: count.count, approximate: count.approximate }))
}

/// `GET /v2/documents/{doctype}/{name}`.
pub async fn get(call: &Call<'_>) -> Result<Tagged<One<DocumentView>>> {
    let document = call.editor().get(call.principal()?, &call.key()?).await?;
    Ok(tagged(&document))
}

/// `PATCH /v2/documents/{doctype}/{name}`: a merge patch. With `If-Match`, of the version that was seen only.
pub async fn patch(
    call: &Call<'_>,
    seen: Seen,
    Json(MergePatch(fields)): Json<MergePatch>,
) -> Result<Tagged<One<DocumentView>>> {
    let key = call.key()?;
    let changes = Changes::merge_patch(&key, fields.into())?.expecting(seen.expected()?);
    let document = call.editor().update(call.principal()?, &key, &changes).await?;
    Ok(tagged(&document))
}

/// `DELETE /v2/documents/{doctype}/{name}`, unless it is submitted.
pub async fn delete(call: &Call<'_>, seen: Seen) -> Result<Nothing> {
    call.editor().delete(call.principal()?, &call.key()?, seen.expected()?).await?;
    Ok(Nothing)
}

fn tagged(document: &Document) -> Tagged<One<DocumentView>> {
    Tagged::revision(document.revision, One::of(DocumentView::of(document)))
}

/// `POST /v2/documents/{doctype}`: a new document, named by `name`, by `naming_series`, or by us.
pub async fn create(
    call: &Call<'_>,
    Repeatable(receipt): Repeatable,
    Json(NewFields(fields)): Json<NewFields>,
) -> Result<Tagged<answer::Created<DocumentView>>> {
    let new = NewDocument::read(call.doctype()?, fields.into(), Dialect::Strict)?;
    let Created { document, .. } = call.editor().create(call.principal()?, &new, receipt).await?;
    call.free(&new, &document).await;
    let shown = DocumentView::of(&document);
    Ok(Tagged::revision(document.revision, answer::Created::at(location(&document.key), shown)))
}

fn location(key: &DocumentKey) -> String {
    format!("/v2/documents/{}/{}", segment(key.doctype.as_str()), segment(key.name.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::future::join_all;
    use serde_json::json;

    use super::*;
    use crate::{
        api::rig::{Site, TOKEN, asked},
        trigger::http::Response,
    };

    const ORDERS: &str = "/v2/documents/Sales%20Order";

    async fn send(
        site: &Site,
        method: &str,
        path: &str,
        header: Option<(&'static str, &str)>,
        body: Option<&Value>,
    ) -> Response {
        let mut request = asked(method, path, Some(TOKEN), body);
        if let Some((name, value)) = header {
            request.headers.insert(name, value.parse().unwrap());
        }
        site.send(request).await
    }

    async fn site_with_orders(count: u32) -> Site {
        let site = Site::start().await;
        for number in 0..count {
            let body = json!({ "name": format!("SO-{number}"), "customer": format!("C{}", number % 2), "total": number });
            assert_eq!(send(&site, "POST", ORDERS, None, Some(&body)).await.status, 201);
        }
        site
    }

    fn names(response: &Response) -> Vec<&str> {
        let items = response.body["data"].as_array().unwrap_or_else(|| panic!("{}", response.body));
        items.iter().map(|item| item["name"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_list_takes_filters_fields_and_an_order_and_goes_on_by_its_cursor() {
        let site = site_with_orders(6).await;
        let listed = |query: &str| format!("{ORDERS}?{query}");
        let odd = site
            .get(&listed("filters=[[\"customer\",\"=\",\"C1\"]]&order_by=name asc&fields=name,total"))
            .await;
        assert_eq!(
            odd.body["data"],
            json!([
                { "name": "SO-1", "total": 1 }, { "name": "SO-3", "total": 3 }, { "name": "SO-5", "total": 5 },
            ])
        );
        let some = site
            .get(&listed("or_filters=[[\"name\",\"=\",\"SO-0\"],[\"total\",\">\",4]]&order_by=name desc"))
            .await;
        assert_eq!(names(&some), ["SO-5", "SO-0"]);
        let first = site.get(&listed("limit=4&order_by=name asc")).await;
        let next = first.body["page"]["next"].as_str().unwrap().to_owned();
        let second = site.get(&listed(&format!("limit=4&order_by=name asc&cursor={next}"))).await;
        assert_eq!(names(&second), ["SO-4", "SO-5"]);
        assert_eq!(
            site.get(&listed(&format!("limit=4&cursor={next}"))).await.body["errors"][0]["field"],
            "cursor"
        );
        for (query, field) in [
            ("filters=nonsense", "filters"),
            ("filters=[[\"a\",\"descendants of\",\"b\"]]", "filters"),
            ("or_filters=[[]]", "or_filters"),
            ("order_by=total desc", "order_by"),
            ("fields=[1]", "fields"),
        ] {
            let refused = site.get(&listed(query)).await;
            assert_eq!(
                (refused.status.as_u16(), &refused.body["errors"][0]["field"]),
                (400, &json!(field)),
                "{query}"
            );
        }
        let count = site.get("/v2/counts/Sales%20Order?filters={\"customer\":\"C0\"}").await;
        assert_eq!(count.body["data"], json!({ "count": 3, "approximate": false }));
    }

    #[tokio::test]
    async fn of_many_changes_to_one_version_one_is_made() {
        let site = site_with_orders(1).await;
        let path = format!("{ORDERS}/SO-0");
        let tag = site.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
        let changes = (0..10).map(|n| {
            let (site, path, tag) = (&site, &path, &tag);
            async move {
                let body = json!({ "note": n });
                send(site, "PATCH", path, Some(("if-match", tag)), Some(&body)).await.status.as_u16()
            }
        });
        let mut statuses = BTreeMap::<u16, u32>::new();
        for status in join_all(changes).await {
            *statuses.entry(status).or_default() += 1;
        }
        assert_eq!(statuses, BTreeMap::from([(200, 1), (412, 9)]));
        let now = site.get(&path).await;
        assert_eq!(now.body["data"]["revision"], 2);
        let stale = send(&site, "DELETE", &path, Some(("if-match", &tag)), None).await;
        assert_eq!((stale.status.as_u16(), &stale.body["code"]), (412, &json!("precondition_failed")));
        let known = now.headers["etag"].to_str().unwrap();
        assert_eq!(send(&site, "GET", &path, Some(("if-none-match", known)), None).await.status, 304);
        assert_eq!(send(&site, "DELETE", &path, Some(("if-match", known)), None).await.status, 204);
        assert_eq!(site.get(&path).await.status, 404);
    }

    #[tokio::test]
    async fn a_patch_merges_submits_and_cancels() {
        let site = site_with_orders(1).await;
        let path = format!("{ORDERS}/SO-0");
        let patch = |body: Value| {
            let (site, path) = (&site, &path);
            async move { send(site, "PATCH", path, None, Some(&body)).await }
        };
        let changed = patch(json!({ "customer": null, "note": "x" })).await;
        assert_eq!(
            (changed.body["data"].get("customer"), &changed.body["data"]["note"]),
            (None, &json!("x"))
        );
        assert_eq!(patch(json!({ "docstatus": 1 })).await.body["data"]["docstatus"], 1);
        assert_eq!(patch(json!({ "note": "late" })).await.body["code"], "docstatus_forbids");
        assert_eq!(send(&site, "DELETE", &path, None, None).await.body["code"], "docstatus_forbids");
        assert_eq!(patch(json!({ "docstatus": 2 })).await.body["data"]["docstatus"], 2);
        assert_eq!(patch(json!({ "revision": 9 })).await.body["errors"][0]["field"], "/revision");
    }

    #[tokio::test]
    async fn equal_creations_at_once_are_one_and_another_body_is_refused() {
        let site = Site::start().await;
        let body = json!({ "naming_series": "SO-.#", "customer": "Nord" });
        let key = Some(("idempotency-key", "7d1c"));
        let create = |_| {
            let (site, body) = (&site, &body);
            async move { send(site, "POST", ORDERS, key, Some(body)).await }
        };
        let answers = join_all((0..12).map(create)).await;
        let made: Vec<&Response> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert!(made.len() + answers.iter().filter(|answer| answer.status == 409).count() == 12);
        assert!(
            made.iter().all(|answer| answer.body == made[0].body
                && answer.headers["location"] == made[0].headers["location"])
        );
        assert_eq!(names(&site.get(ORDERS).await).len(), 1);
        let other = send(&site, "POST", ORDERS, key, Some(&json!({ "customer": "Süd" }))).await;
        assert_eq!((other.status.as_u16(), &other.body["code"]), (422, &json!("idempotency_key_reused")));
        let bad = send(&site, "POST", ORDERS, Some(("idempotency-key", "")), Some(&body)).await;
        assert_eq!(bad.status, 400, "{}", bad.body);
    }
}
