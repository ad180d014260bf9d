//! The search of a point of sale: items by words or by group, with price and stock.
//!
//! Called by the API. A page costs a query for each of the four shards of the word's or group's index and a batch
//! read of prices and stock; a list of a group with groups below it goes on group by group. It shows what the
//! stream has brought so far, a second or so behind the documents.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    super::key::part,
    super::{ReadModels, StoredRow, contribution::RowKey},
    group::{Branch, Tree},
    item::ItemRow,
    price::{choose, price_key},
    stock::{quantity, stock_key},
    walk::{Place, Source, Walk, Wanted},
    words::{PREFIX_CHARS, searched},
};
use crate::{
    Error, Result,
    clock::Clock,
    documents::{Document, DocumentKey, DocumentStore},
    dynamo::{cursor, position},
    mapping::number,
};

/// The furthest a page may begin by counting; beyond it, cursors lead on.
pub const MAX_START: usize = 1_000;
/// The most items of a page.
const MAX_LIMIT: usize = 500;
/// The longest place in a cursor, in bytes: what a sort key has.
const MAX_PLACE_BYTES: usize = 1_024;
/// The longest search term, in bytes.
const MAX_TERM_BYTES: usize = 200;
/// The DocType of the profiles of points of sale.
pub const PROFILES: &str = "POS Profile";
/// How often a page that hides what is not there looks for more.
const MAX_ROUNDS: usize = 10;

/// Which items.
#[derive(Debug, Clone, Default)]
pub struct ItemQuery {
    /// The price list; without one the profile's.
    pub price_list: Option<String>,
    /// Items of this group and those below it.
    pub item_group: Option<String>,
    /// The POS Profile: its price list, warehouse and groups.
    pub pos_profile: Option<String>,
    /// Words, each the beginning of a word of the item's code, name or barcodes; at least one of two characters.
    pub search_term: Option<String>,
    /// At most this many, 1 to 500.
    pub limit: usize,
    /// Where the last page ended, as it said itself.
    pub cursor: Option<String>,
    /// How many items to pass over, at most [`MAX_START`]: for clients that know no cursor.
    pub start: usize,
}

/// An item as a point of sale shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct PosItem {
    /// Its code.
    pub item_code: String,
    /// Its name.
    pub item_name: String,
    /// Its description, the first 300 bytes.
    pub description: Option<String>,
    /// The unit it is stocked in.
    pub stock_uom: Option<String>,
    /// Its group.
    pub item_group: Option<String>,
    /// Its picture.
    pub image: Option<String>,
    /// Its price today; without a price list its standard rate. `None` if it has none.
    pub price_list_rate: Option<Decimal>,
    /// The price's currency.
    pub currency: Option<String>,
    /// How much of it the profile's warehouse has; `None` without a warehouse.
    pub actual_qty: Option<Decimal>,
}

/// A page of items.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemPage {
    /// The items.
    pub items: Vec<PosItem>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
    /// Whether a limit ended the search before the page was full, or left groups out.
    pub partial: bool,
}

impl PosItem {
    /// The item as the API shows it; amounts are JSON numbers of the very digits.
    pub fn to_json(&self) -> Value {
        let amount = |amount: Option<Decimal>| amount.and_then(number::json).unwrap_or_default();
        json!({
            "item_code": self.item_code,
            "item_name": self.item_name,
            "description": self.description,
            "stock_uom": self.stock_uom,
            "item_group": self.item_group,
            "image": self.image,
            "price_list_rate": amount(self.price_list_rate),
            "currency": self.currency,
            "actual_qty": amount(self.actual_qty),
        })
    }
}

/// What a POS Profile says of a list.
#[derive(Debug, Default)]
struct Profile {
    price_list: Option<String>,
    warehouse: Option<String>,
    groups: Vec<String>,
    hides_unavailable: bool,
}

/// What a page is joined with.
struct Shelf {
    price_list: Option<String>,
    warehouse: Option<String>,
    today: Date,
}

/// Where to look, and for what.
struct Plan {
    sources: Vec<Source>,
    wanted: Wanted,
    partial: bool,
}

/// The search.
pub struct ItemSearch {
    models: Arc<dyn ReadModels>,
    documents: Arc<dyn DocumentStore>,
    clock: Arc<dyn Clock>,
}

impl ItemSearch {
    /// A search in `models`, which reads POS Profiles from `documents`.
    pub fn new(
        models: Arc<dyn ReadModels>,
        documents: Arc<dyn DocumentStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { models, documents, clock }
    }

    /// One page of `query`.
    pub async fn find(&self, query: &ItemQuery) -> Result<ItemPage> {
        check(query)?;
        let from: Option<Place> = query.cursor.as_deref().map(position).transpose()?;
        let profile = self.profile(query.pos_profile.as_deref()).await?;
        let plan = self.plan(query, &profile).await?;
        let from = from.map(|place| within(&plan.sources, place)).transpose()?;
        let shelf = Shelf {
            price_list: query.price_list.clone().or(profile.price_list),
            warehouse: profile.warehouse,
            today: self.clock.now().to_zoned(TimeZone::UTC).date(),
        };
        let hides = profile.hides_unavailable && shelf.warehouse.is_some();
        let chunk = if plan.wanted.words.is_empty() { query.limit.div_ceil(2).clamp(10, 250) } else { 100 };
        let mut walk = Walk::new(&*self.models, &plan.sources, &plan.wanted, chunk, from)?;
        let items = self.page(&mut walk, query, &shelf, hides).await?;
        let next = self.next(&mut walk).await?;
        Ok(ItemPage { items, next, partial: walk.partial || plan.partial })
    }

    async fn page(
        &self,
        walk: &mut Walk<'_>,
        query: &ItemQuery,
        shelf: &Shelf,
        hides: bool,
    ) -> Result<Vec<PosItem>> {
        let mut skip = query.start;
        // What is hidden does not count, and only the join tells.
        while skip > 0 && !hides && walk.next().await?.is_some() {
            skip -= 1;
        }
        let mut items = Vec::with_capacity(query.limit);
        for _ in 0..MAX_ROUNDS {
            let mut rows = Vec::new();
            while rows.len() < (query.limit - items.len() + skip).min(MAX_LIMIT) {
                let Some(row) = walk.next().await? else { break };
                rows.push(row);
            }
            let end = rows.is_empty();
            for (item, stocked) in self.join(rows, shelf).await? {
                let hidden = hides && stocked && item.actual_qty.is_none_or(|there| there <= Decimal::ZERO);
                match (hidden, skip) {
                    (true, _) => {}
                    (false, 0) => items.push(item),
                    (false, _) => skip -= 1,
                }
            }
            if end || items.len() >= query.limit {
                return Ok(items);
            }
        }
        walk.partial = true;
        Ok(items)
    }

    /// A cursor to where the walk is, if anything comes after it.
    async fn next(&self, walk: &mut Walk<'_>) -> Result<Option<String>> {
        let place = walk.place().cloned();
        if !walk.partial {
            let more = walk.next().await?.is_some();
            if !more && !walk.partial {
                return Ok(None);
            }
            if !more {
                // A limit came before the next item: what was passed over need not be read again.
                return walk.place().map(cursor).transpose();
            }
        }
        place.as_ref().map(cursor).transpose()
    }

    async fn profile(&self, name: Option<&str>) -> Result<Profile> {
        let Some(name) = name else { return Ok(Profile::default()) };
        let key = DocumentKey::new(PROFILES, name).map_err(|error| error.at("pos_profile"))?;
        match self.documents.get(&key).await? {
            Some(document) => Ok(Profile::of(&document)),
            None => Err(Error::field("pos_profile", "unknown", format!("{key} does not exist"))),
        }
    }

    /// The sources of a search: by word where there is one, else by group, else all.
    async fn plan(&self, query: &ItemQuery, profile: &Profile) -> Result<Plan> {
        let groups = self.groups(query.item_group.as_deref(), &profile.groups).await?;
        let partial = groups.as_ref().is_some_and(|branch| branch.partial);
        let groups = groups.map(|branch| branch.groups);
        let mut words = query.search_term.as_deref().map(searched).unwrap_or_default().into_iter();
        let (sources, wanted) = match (words.next(), groups) {
            (Some(word), groups) => (vec![Source::Word(word)], Wanted { words: words.collect(), groups }),
            (None, Some(groups)) => (groups.into_iter().map(Source::Group).collect(), Wanted::default()),
            (None, None) => (vec![Source::All], Wanted::default()),
        };
        Ok(Plan { sources, wanted, partial })
    }

    /// The groups a search is limited to: those asked for, of those the profile has. `None`: all.
    async fn groups(&self, asked: Option<&str>, profile: &[String]) -> Result<Option<Branch>> {
        if asked.is_none() && profile.is_empty() {
            return Ok(None);
        }
        // Read anew each time: what is found is kept as of the groups' version, so it must show them as they are.
        let tree = Tree::read(&*self.models).await?;
        let asked = asked.filter(|group| !tree.is_root(group)).map(|group| tree.branch(group));
        let mut allowed: Option<Branch> = None;
        for group in profile {
            if tree.is_root(group) {
                allowed = None;
                break;
            }
            let branch = tree.branch(group);
            let all = allowed.get_or_insert_with(|| Branch { groups: Vec::new(), partial: false });
            all.partial |= branch.partial;
            all.groups.extend(branch.groups);
        }
        Ok(match (asked, allowed) {
            (Some(mut asked), Some(allowed)) => {
                let names: BTreeSet<&String> = allowed.groups.iter().collect();
                asked.groups.retain(|group| names.contains(group));
                asked.partial |= allowed.partial;
                Some(asked)
            }
            (asked, allowed) => asked.or(allowed.map(distinct)),
        })
    }

    /// The items of `rows` with price and stock, and whether there is a stock of them at all.
    async fn join(&self, rows: Vec<ItemRow>, shelf: &Shelf) -> Result<Vec<(PosItem, bool)>> {
        let mut keys = Vec::new();
        for row in &rows {
            keys.extend(shelf.keys(row)?);
        }
        let found = if keys.is_empty() { Vec::new() } else { self.models.get(keys).await? };
        let found: HashMap<RowKey, StoredRow> = found.into_iter().map(|row| (row.key.clone(), row)).collect();
        rows.into_iter().map(|row| shelf.item(row, &found)).collect()
    }
}

impl Profile {
    /// What is there is taken; a profile with fields we cannot read limits nothing.
    fn of(document: &Document) -> Self {
        let fields = &document.fields;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let groups = fields.get("item_groups").and_then(Value::as_array).into_iter().flatten();
        Self {
            price_list: text("selling_price_list").map(ToOwned::to_owned),
            warehouse: text("warehouse").map(ToOwned::to_owned),
            groups: groups.filter_map(|row| row["item_group"].as_str()).map(ToOwned::to_owned).collect(),
            hides_unavailable: fields
                .get("hide_unavailable_items")
                .is_some_and(|hide| hide == &Value::Bool(true) || number::of(hide) == Some(Decimal::ONE)),
        }
    }
}

impl Shelf {
    fn keys(&self, row: &ItemRow) -> Result<Vec<RowKey>> {
        let price = self.price_list.as_ref().map(|list| price_key(list, &row.code));
        let stock = self.warehouse.as_ref().map(|warehouse| stock_key(warehouse, &row.code));
        price.into_iter().chain(stock).collect()
    }

    fn item(&self, row: ItemRow, found: &HashMap<RowKey, StoredRow>) -> Result<(PosItem, bool)> {
        let (price_list_rate, currency) = match &self.price_list {
            None => (row.rate.as_deref().and_then(|rate| rate.parse().ok()), None),
            Some(list) => {
                let prices = found.get(&price_key(list, &row.code)?);
                let price =
                    prices.map(|prices| choose(prices, self.today, row.uom.as_deref())).transpose()?;
                price.flatten().map(|price| (Some(price.rate), price.currency)).unwrap_or_default()
            }
        };
        let actual_qty = match &self.warehouse {
            None => None,
            Some(warehouse) => {
                let bins = found.get(&stock_key(warehouse, &row.code)?);
                Some(bins.map(quantity).transpose()?.unwrap_or_default())
            }
        };
        let item = PosItem {
            item_code: row.code,
            item_name: row.name,
            description: row.description,
            stock_uom: row.uom,
            item_group: row.group,
            image: row.image,
            price_list_rate,
            currency,
            actual_qty,
        };
        Ok((item, row.stocked))
    }
}

/// The same groups, each once, in the order of their first place.
fn distinct(branch: Branch) -> Branch {
    let mut seen = BTreeSet::new();
    let groups = branch.groups.into_iter().filter(|group| seen.insert(group.clone())).collect();
    Branch { groups, partial: branch.partial }
}

fn check(query: &ItemQuery) -> Result<()> {
    if query.limit == 0 || query.limit > MAX_LIMIT {
        return Err(Error::field("limit", "invalid", format!("must be 1 to {MAX_LIMIT}")));
    }
    if query.start > MAX_START {
        return Err(Error::field(
            "start",
            "invalid",
            format!("must be at most {MAX_START}: use the cursor, or search more narrowly"),
        ));
    }
    for (field, text) in [("price_list", &query.price_list), ("item_group", &query.item_group)] {
        if text.as_deref().is_some_and(|text| part(text).is_err()) {
            return Err(Error::field(field, "too_long", "is longer than any name"));
        }
    }
    let Some(term) = query.search_term.as_deref() else { return Ok(()) };
    if term.len() > MAX_TERM_BYTES {
        return Err(Error::field(
            "search_term",
            "too_long",
            format!("must be at most {MAX_TERM_BYTES} bytes"),
        ));
    }
    if searched(term).is_empty() {
        return Err(Error::field(
            "search_term",
            "invalid",
            format!("must have a word of at least {PREFIX_CHARS} letters or digits"),
        ));
    }
    Ok(())
}

/// `place`, if it is in one of `sources`.
fn within(sources: &[Source], place: Place) -> Result<Place> {
    let inside = match sources.get(place.0) {
        Some(Source::Word(word)) => part(word).is_ok_and(|word| place.1.starts_with(&word)),
        Some(_) => true,
        None => false,
    };
    // What no row's place can be, DynamoDB refuses to begin after.
    let begins = place.1.chars().next().is_none_or(|first| (' '..char::MAX).contains(&first));
    if inside && begins && place.1.len() <= MAX_PLACE_BYTES {
        Ok(place)
    } else {
        Err(Error::field("cursor", "invalid", "is not a cursor of this list"))
    }
}
