//! `erpnext.selling.page.point_of_sale.point_of_sale`: what ERPNext's point of sale asks for, from the read models.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    args::{Args, Text, Whole},
    envelope::Message,
};
use crate::{
    Error, Result,
    api::{Call, input::MAX_LIMIT, v2::items},
    projections::items::ItemQuery,
};

/// How many items a page has when the caller does not say: what ERPNext's own page asks for.
const DEFAULT_LENGTH: usize = 40;
/// How often a page that ended early is gone on with.
const MAX_PAGES: usize = 4;

/// Which items.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Items {
    /// How many to pass over first.
    start: Option<Whole>,
    /// How many at most, 1 to 500; 40 if it is not given.
    page_length: Option<Whole>,
    /// The price list of `price_list_rate`; without one the profile's.
    price_list: Option<Text>,
    /// Only items of this group and of those below it.
    item_group: Option<Text>,
    /// The POS Profile: its price list, warehouse and groups.
    pos_profile: Option<Text>,
    /// Words, each the beginning of one of the item's code, name or barcodes.
    search_term: Option<Text>,
}

/// What `get_items` finds.
#[derive(Debug, Default, Serialize)]
pub struct FoundItems {
    items: Vec<Value>,
}

impl JsonSchema for FoundItems {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FoundItems".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<items::PosItemView>();
        json_schema!({ "type": "object", "properties": { "items": { "type": "array", "items": item } }, "required": ["items"] })
    }
}

/// `get_items`: a page of items with their prices and what is in stock.
pub async fn get_items(call: &Call<'_>, Args(asked): Args<Items>) -> Result<Message<FoundItems>> {
    let length = asked.page_length.map_or(DEFAULT_LENGTH, |Whole(length)| length);
    if !(1..=MAX_LIMIT).contains(&length) {
        return Err(Error::field("page_length", "invalid", format!("must be 1 to {MAX_LIMIT}")));
    }
    let text = |text: Option<Text>| text.map(|Text(text)| text);
    let mut query = ItemQuery {
        price_list: text(asked.price_list),
        item_group: text(asked.item_group),
        pos_profile: text(asked.pos_profile),
        search_term: text(asked.search_term),
        limit: length,
        cursor: None,
        start: asked.start.map_or(0, |Whole(start)| start),
    };
    let mut found = FoundItems::default();
    for _ in 0..MAX_PAGES {
        query.limit = length - found.items.len();
        let mut page = items::found(call, &query).await?.value()?;
        if let Value::Array(items) = page["data"].take() {
            found.items.extend(items);
        }
        query.start = 0;
        match page["page"]["next"].as_str() {
            Some(next) if found.items.len() < length => query.cursor = Some(next.to_owned()),
            _ => return Ok(Message(found)),
        }
    }
    Err(Error::field(
        "search_term",
        "invalid",
        "too much would have to be read to find it: ask for more of the word",
    ))
}
