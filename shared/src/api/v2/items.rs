//! Items, as a point of sale asks for them.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Error, Result,
    api::{
        Call,
        answer::{Kept, PageOf},
        input::{Limit, Query},
    },
    cache::{CachePolicy, Cached, DEFAULT_TTL},
    documents::DocType,
    projections::items::{GROUPS, ITEMS, ItemQuery, PRICES, PROFILES, PosItem, STOCK},
};

/// The DocTypes that an answer is made of.
static DEPENDS_ON: LazyLock<Vec<DocType>> = LazyLock::new(|| {
    let names = [ITEMS.doctype, PRICES.doctype, STOCK.doctype, GROUPS.doctype, PROFILES];
    names.into_iter().filter_map(|name| DocType::new(name).ok()).collect()
});

/// Which items.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// The price list of `price_list_rate`; without one the profile's, else the items' standard rates.
    price_list: Option<String>,
    /// Only items of this group and of those below it.
    item_group: Option<String>,
    /// The POS Profile: its price list, warehouse and groups.
    pos_profile: Option<String>,
    /// Words, each the beginning of one of the item's code, name or barcodes; one has two characters at least.
    search_term: Option<String>,
}

/// An item as a point of sale shows it.
pub struct PosItemView;

impl JsonSchema for PosItemView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PosItem".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "An item as a point of sale shows it.",
            "properties": {
                "item_code": { "type": "string" },
                "item_name": { "type": "string" },
                "description": { "type": ["string", "null"], "description": "The first 300 bytes." },
                "stock_uom": { "type": ["string", "null"] },
                "item_group": { "type": ["string", "null"] },
                "image": { "type": ["string", "null"] },
                "price_list_rate": { "type": ["number", "null"], "description": "Its price today, digit for digit." },
                "currency": { "type": ["string", "null"] },
                "actual_qty": { "type": ["number", "null"], "description": "In the profile's warehouse; null without one." },
            },
            "required": ["item_code", "item_name"],
        })
    }
}

/// `GET /v2/items`.
pub async fn list(call: &Call<'_>, Query(params): Query<ItemParams>) -> Result<Kept<PageOf<PosItemView>>> {
    let query = ItemQuery {
        price_list: params.price_list,
        item_group: params.item_group,
        pos_profile: params.pos_profile,
        search_term: params.search_term,
        limit: params.limit.get(),
        cursor: params.cursor,
        start: 0,
    };
    Ok(Kept::of(found(call, &query).await?, call.services.clock.now()))
}

/// A page of `query`, from the cache or from the read models, in its envelope.
pub async fn found(call: &Call<'_>, query: &ItemQuery) -> Result<Cached> {
    let queries = call.services.queries()?;
    let policy =
        CachePolicy { name: "items", ttl: DEFAULT_TTL, depends_on: &DEPENDS_ON, single_flight: false };
    let today = call.services.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    let arguments = serde_json::to_string(&json!([
        query.price_list,
        query.item_group,
        query.pos_profile,
        query.search_term,
        query.limit,
        query.cursor,
        query.start,
        today,
    ]))
    .map_err(Error::internal)?;
    let permissions = call.principal()?.fingerprint();
    let compute = || async {
        let page = queries.items.find(query).await?;
        let items: Vec<Value> = page.items.iter().map(PosItem::to_json).collect();
        let mut end = json!({ "next": page.next });
        if page.partial {
            end["partial"] = true.into();
        }
        Ok(json!({ "data": items, "page": end }))
    };
    call.services.cache.get_or_compute(&policy, &[&arguments], &permissions, compute).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::derived_from;

    #[test]
    fn what_an_answer_is_made_of_drops_it_when_it_changes() {
        for doctype in DEPENDS_ON.iter() {
            assert!(derived_from().any(|derived| derived == doctype.as_str()), "{doctype}");
        }
    }
}
