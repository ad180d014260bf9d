//! Lists as Frappe's clients ask for them: by offset and length, with as many pages read as that takes.
//!
//! `frappe.client.get_list` and `GET /api/resource/{doctype}` come here. A list is never cut in silence: where it
//! is longer than one answer may be, or too much would have to be read for it, the caller is told.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    args::{Flag, Json, Text, Whole},
    shown::{FrappeDocument, time},
};
use crate::{
    Error, Result,
    documents::{
        DocType, Document, DocumentStore, Filters, ListQuery, MAX_PAGE, MAX_PAGE_BYTES, Order, Page,
        Selection,
    },
};

/// How many documents a list has when the caller does not say: Frappe's own number.
const DEFAULT_LENGTH: usize = 20;
/// The most rows of an answer.
pub const MAX_ROWS: usize = 5_000;
/// How many pages a store may end early, since it had read much and found little, before the list is given up.
const MAX_PARTIAL_PAGES: usize = 4;

/// Which documents of a DocType, what of them, and in which order.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Listing {
    /// The fields to show: a list of names, `"*"` for all but tables; `name` if it is not given.
    fields: Option<Json>,
    /// Conditions that all hold: `{"status": "Open"}` or `[["qty", ">", 5]]`.
    filters: Option<Json>,
    /// Conditions of which one holds.
    or_filters: Option<Json>,
    /// `modified` or `name`, with `asc` or `desc`; `modified desc` if it is not given.
    order_by: Option<Text>,
    /// Not supported.
    group_by: Option<Text>,
    /// How many to pass over first, at most 10,000.
    limit_start: Option<Whole>,
    /// How many at most, 20 if it is not given; 0 for all, which are at most 5,000.
    limit_page_length: Option<Whole>,
    /// The same as `limit_page_length`.
    limit: Option<Whole>,
    /// Whether rows are objects or, without it, lists of values.
    as_dict: Option<Flag>,
}

/// A list, read from its arguments.
pub struct List {
    query: ListQuery,
    selection: Selection,
    as_dict: bool,
    /// How many are asked for; nothing for all.
    length: Option<usize>,
}

impl List {
    /// The list of `doctype` that is asked for.
    pub fn read(doctype: DocType, listing: &Listing) -> Result<Self> {
        if listing.group_by.is_some() {
            return Err(Error::field("group_by", "invalid", "is not supported: there are no groups here"));
        }
        let filters = filters(&doctype, listing.filters.as_ref(), listing.or_filters.as_ref())?;
        let order = listing.order_by.as_ref().map(|Text(text)| Order::read(text, &doctype)).transpose()?;
        let length = listing.limit_page_length.or(listing.limit).map_or(DEFAULT_LENGTH, |Whole(n)| n);
        let query = ListQuery {
            filters,
            order: order.unwrap_or(Order::NEWEST_FIRST),
            offset: listing.limit_start.map_or(0, |Whole(n)| n),
            ..ListQuery::new(doctype, MAX_PAGE)
        };
        query.check().map_err(|error| error.at("limit_start"))?;
        Ok(Self {
            selection: selection(&query.doctype, listing.fields.as_ref())?,
            query,
            as_dict: listing.as_dict.is_none_or(|Flag(yes)| yes),
            length: (length > 0).then_some(length),
        })
    }

    /// The first document that `filters` ask for, and `fields` of it.
    pub fn first(doctype: DocType, filters: Filters, fields: Option<&Json>) -> Result<Self> {
        let selection = selection(&doctype, fields)?;
        let query = ListQuery { filters, ..ListQuery::new(doctype, 1) };
        Ok(Self { query, selection, as_dict: true, length: Some(1) })
    }

    /// Its rows.
    pub async fn rows(self, store: &dyn DocumentStore) -> Result<Vec<Value>> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut query = self.query.clone();
        let wanted = self.length.unwrap_or(usize::MAX);
        let mut partial_pages = 0;
        loop {
            query.limit = MAX_PAGE.min(wanted - rows.len());
            let page = self.page(store, &query).await?;
            for row in page.items {
                bytes += row.to_string().len();
                rows.push(row);
            }
            partial_pages += usize::from(page.partial);
            match page.next {
                Some(next) if rows.len() < wanted => (query.cursor, query.offset) = (Some(next), 0),
                _ if bytes > MAX_PAGE_BYTES => return Err(too_long()),
                _ => return Ok(rows),
            }
            if rows.len() >= MAX_ROWS || bytes > MAX_PAGE_BYTES {
                return Err(too_long());
            }
            if partial_pages >= MAX_PARTIAL_PAGES {
                return Err(too_sparse());
            }
        }
    }

    async fn page(&self, store: &dyn DocumentStore, query: &ListQuery) -> Result<Page<Value>> {
        if self.selection.needs_documents() {
            return Ok(store.list(query).await?.map(|document| self.row(document)));
        }
        let page = store.list_places(query).await?;
        Ok(page.map(|place| {
            let modified = time(place.modified);
            self.shaped(self.selection.of_place(&place), &[("modified", modified)])
        }))
    }

    fn row(&self, document: Document) -> Value {
        let times = [("modified", time(document.modified)), ("creation", time(document.creation))];
        match &self.selection {
            Selection::Whole => {
                let mut fields = FrappeDocument::of(document).into_fields();
                // As Frappe's: the columns of the DocType's own table.
                fields.retain(|name, value| !value.is_array() && name != "doctype");
                self.shaped(Value::Object(fields), &[])
            }
            Selection::Fields(_) => self.shaped(self.selection.of(&document), &times),
        }
    }

    /// A row with its times as Frappe writes them, as an object or a list.
    fn shaped(&self, row: Value, times: &[(&str, String)]) -> Value {
        let Value::Object(mut fields) = row else { return row };
        for (name, text) in times {
            if let Some(value) = fields.get_mut(*name) {
                *value = text.as_str().into();
            }
        }
        if self.as_dict {
            Value::Object(fields)
        } else {
            fields.into_iter().map(|(_, value)| value).collect()
        }
    }
}

/// The filters that are given; a text that is no JSON is a name.
pub fn filters(doctype: &DocType, filters: Option<&Json>, or_filters: Option<&Json>) -> Result<Filters> {
    let by_name = |value: &Value| match value {
        // JSON that cannot be read stays a text, which is refused.
        Value::String(name) if !name.trim_start().starts_with(['[', '{']) => json!({ "name": name }),
        other => other.clone(),
    };
    let given = |json: Option<&Json>| json.map(|Json(value)| by_name(value));
    Filters::read(doctype, given(filters).as_ref(), given(or_filters).as_ref())
}

fn selection(doctype: &DocType, fields: Option<&Json>) -> Result<Selection> {
    match fields {
        // A library sends an empty list where its caller names none.
        Some(Json(fields)) if fields.as_array().is_none_or(|names| !names.is_empty()) => {
            Selection::read(fields, doctype)
        }
        _ => Ok(Selection::Fields(vec!["name".into()])),
    }
}

fn too_long() -> Error {
    let detail = format!(
        "the list has more than {MAX_ROWS} rows, or more than one answer holds: ask for less with limit_page_length \
         and go on with limit_start, or for fewer fields"
    );
    Error::field("limit_page_length", "too_long", detail)
}

fn too_sparse() -> Error {
    let detail =
        "too much would have to be read to find what they ask for: filter by name or modified as well";
    Error::field("filters", "invalid", detail)
}
