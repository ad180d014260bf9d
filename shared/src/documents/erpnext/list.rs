//! Lists and counts, asked of the site in its own words.
//!
//! A filter means what the site's database makes of it: texts compare without regard to case, and names are in the
//! order of its collation. `modified` and `creation` are translated to the site's local time. Documents in a list have
//! their own fields and no rows, as in Frappe's own lists, and what only the ledger knows of them is not read.
//!
//! A cursor is the last place that was shown: `modified` as the site writes it, and the name. Documents that share a
//! `modified` are asked for by themselves first, so that the site compares the names.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{
        Count, DocName, DocType, Document, DocumentKey, DocumentPlace, Filter, Filters, ListQuery,
        MAX_PAGE_BYTES, Operand, Operator, OrderBy, Page,
    },
    ErpnextDocuments,
    update::modified_of,
};
use crate::{
    Error, ErrorCode, Result,
    dynamo::{cursor, json as text_of, position},
    erpnext::{
        Exception, Map, SiteError, SiteQuery,
        time::{SiteZone, modified_text, revision},
    },
};

/// How often a page is asked for more, where rows of documents that were shown already take its places.
const MAX_ROUNDS: usize = 5;
/// The longest name in a cursor, in bytes.
const MAX_NAME_BYTES: usize = 560;

/// A cursor: where the last page ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    /// Which list it is of, so that another one refuses it.
    list: String,
    /// The `modified` of the last document, as a revision.
    modified: u64,
    /// Its name.
    name: String,
    /// Whether others may share its `modified`.
    tied: bool,
}

impl ErpnextDocuments {
    /// A page of documents.
    pub(super) async fn documents(&self, query: &ListQuery) -> Result<Page<Document>> {
        let page = self.page(query, vec!["*".to_owned()]).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for map in page.items {
            items.push(self.document(&query.doctype, map).await?);
        }
        Ok(Page { items, next: page.next, partial: page.partial })
    }

    /// A page of places.
    pub(super) async fn places(&self, query: &ListQuery) -> Result<Page<DocumentPlace>> {
        let page = self.page(query, vec!["name".to_owned(), "modified".to_owned()]).await?;
        let zone = self.site.time_zone().await?;
        let mut items = Vec::with_capacity(page.items.len());
        for map in page.items {
            let name = DocName::new(name_of(&map)).map_err(|_| unreadable())?;
            let modified = zone.instant(modified_of(&map)).ok_or_else(unreadable)?;
            let key = DocumentKey { doctype: query.doctype.clone(), name };
            items.push(DocumentPlace { key, modified });
        }
        Ok(Page { items, next: page.next, partial: page.partial })
    }

    /// How many documents the filters ask for.
    pub(super) async fn count_of(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        if doctype.is_system() {
            return Ok(Count { count: 0, approximate: false });
        }
        let asked = self.asked(filters).await?;
        let count =
            self.site.count_any(doctype.as_str(), &asked.all, &asked.any).await.map_err(in_filters)?;
        Ok(Count { count: usize::try_from(count).unwrap_or(usize::MAX), approximate: false })
    }

    async fn page(&self, query: &ListQuery, fields: Vec<String>) -> Result<Page<Map>> {
        query.check()?;
        if query.doctype.is_system() {
            return Ok(Page { items: Vec::new(), next: None, partial: false });
        }
        let list = query.tag()?;
        let start: Option<Position> = query.cursor.as_deref().map(position).transpose()?;
        if start.as_ref().is_some_and(|start| start.list != list || start.name.len() > MAX_NAME_BYTES) {
            return Err(Error::field("cursor", "invalid", "is the cursor of another list"));
        }
        let asked = self.asked(&query.filters).await?;
        let site_query = SiteQuery {
            doctype: query.doctype.as_str().to_owned(),
            fields,
            filters: asked.all,
            or_filters: asked.any,
            order_by: order(query),
            ..SiteQuery::default()
        };
        let mut rows = Vec::new();
        let mut partial = false;
        for (place, part) in parts(query, start.as_ref())?.into_iter().enumerate() {
            let mut site_query = site_query.clone();
            site_query.filters.extend(part);
            site_query.start = if place == 0 { query.offset } else { 0 };
            partial |= !self.fill(&mut rows, query.limit + 1, site_query).await?;
            if rows.len() > query.limit {
                break;
            }
        }
        cut(rows, query, list, partial)
    }

    /// Adds what `query` finds to `rows` until there are `wanted`. Whether all of it was asked for, as far as it was
    /// wanted.
    async fn fill(&self, rows: &mut Vec<Map>, wanted: usize, mut query: SiteQuery) -> Result<bool> {
        for _ in 0..MAX_ROUNDS {
            query.limit = wanted.saturating_sub(rows.len());
            if query.limit == 0 {
                return Ok(true);
            }
            let found = self.site.list(&query).await.map_err(in_filters)?;
            let ended = found.len() < query.limit;
            query.start += found.len();
            for row in found {
                // A document stands there once for each of its rows that a filter finds.
                if rows.last().is_none_or(|last| name_of(last) != name_of(&row)) {
                    rows.push(row);
                }
            }
            if ended {
                return Ok(true);
            }
        }
        Ok(rows.len() >= wanted)
    }

    /// `filters` in the site's words.
    async fn asked(&self, filters: &Filters) -> Result<Asked> {
        let is_time = |filter: &Filter| filter.child().is_none() && is_time(filter.field());
        let needs_zone = filters.all.iter().chain(&filters.any).any(is_time);
        let zone = if needs_zone { Some(self.site.time_zone().await?) } else { None };
        Asked::new(filters, zone.as_ref())
    }
}

/// Conditions as a site takes them.
#[derive(Debug, PartialEq)]
struct Asked {
    all: Vec<Value>,
    any: Vec<Value>,
}

impl Asked {
    fn new(filters: &Filters, zone: Option<&SiteZone>) -> Result<Self> {
        let mut all = Vec::with_capacity(filters.all.len());
        for filter in &filters.all {
            all.extend(in_site(filter, zone, true)?);
        }
        let mut any = Vec::with_capacity(filters.any.len());
        for filter in &filters.any {
            any.extend(in_site(filter, zone, false)?);
        }
        Ok(Self { all, any })
    }
}

/// `filters` that all hold as conditions of a list; those of times are not among them.
pub(super) fn conditions(filters: &Filters) -> Result<Vec<Value>> {
    Asked::new(filters, None).map(|asked| asked.all)
}

fn is_time(field: &str) -> bool {
    matches!(field, "modified" | "creation")
}

/// `filter` as one or, where it may be `split`, several conditions that all hold.
fn in_site(filter: &Filter, zone: Option<&SiteZone>, split: bool) -> Result<Vec<Value>> {
    if filter.child().is_none() && matches!(filter.field(), "revision" | "doctype") {
        let detail = format!("{:?} is no field that an ERPNext site can filter by", filter.field());
        return Err(Error::field("filters", "invalid", detail));
    }
    let zone = zone.filter(|_| filter.child().is_none() && is_time(filter.field()));
    let value = |operand: &Operand| match (zone, operand.time()) {
        (Some(zone), Some(at)) => zone.text(whole_microseconds(at)).into(),
        _ => match operand.value() {
            Value::Bool(yes) => u8::from(*yes).into(),
            Value::Null => "".into(),
            value => value.clone(),
        },
    };
    let values: Vec<Value> = filter.operands().iter().map(value).collect();
    let condition = |operator: &str, value: Value| match filter.child() {
        Some(child) => json!([child.as_str(), filter.field(), operator, value]),
        None => json!([filter.field(), operator, value]),
    };
    let operator = match filter.operator() {
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Like => "like",
        Operator::NotLike => "not like",
        Operator::In => return Ok(vec![condition("in", values.into())]),
        Operator::NotIn => return Ok(vec![condition("not in", values.into())]),
        Operator::Set => return Ok(vec![condition("is", "set".into())]),
        Operator::NotSet => return Ok(vec![condition("is", "not set".into())]),
        Operator::Between => {
            // Frappe knows ranges of days and times only, and reads their ends by the kind of the field.
            let days = values.iter().all(is_day_or_time) && filter.field() != "name";
            return match (days && !(split && zone.is_some()), <[Value; 2]>::try_from(values)) {
                (true, Ok(ends)) => Ok(vec![condition("between", Vec::from(ends).into())]),
                (false, Ok([from, to])) if split => Ok(vec![condition(">=", from), condition("<=", to)]),
                _ => {
                    let detail = "\"between\" among alternatives takes two days or times on an ERPNext site";
                    Err(Error::field("or_filters", "invalid", detail))
                }
            };
        }
    };
    let value = values.into_iter().next().unwrap_or_default();
    Ok(vec![condition(operator, value)])
}

/// Whether a text begins as a day does, as those of the days and times of a site do.
fn is_day_or_time(value: &Value) -> bool {
    let day = value.as_str().and_then(|text| text.get(..10));
    day.is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok())
}

fn whole_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn order(query: &ListQuery) -> String {
    let direction = if query.order.descending { "desc" } else { "asc" };
    match query.order.by {
        OrderBy::Modified => format!("modified {direction}, name {direction}"),
        OrderBy::Name => format!("name {direction}"),
    }
}

/// What comes after `start`, in parts that follow each other; each as conditions that all hold.
fn parts(query: &ListQuery, start: Option<&Position>) -> Result<Vec<Vec<Value>>> {
    let Some(start) = start else { return Ok(vec![Vec::new()]) };
    let beyond = if query.order.descending { "<" } else { ">" };
    let past_name = json!(["name", beyond, start.name]);
    if query.order.by == OrderBy::Name {
        return Ok(vec![vec![past_name]]);
    }
    let invalid = || Error::field("cursor", "invalid", "is not a cursor of this list");
    let modified = modified_text(start.modified).ok_or_else(invalid)?;
    let later = vec![json!(["modified", beyond, modified])];
    let tied = vec![json!(["modified", "=", modified]), past_name];
    Ok(if start.tied { vec![tied, later] } else { vec![later] })
}

/// The page that `rows` make, of which one more than fits says that there are more.
fn cut(mut rows: Vec<Map>, query: &ListQuery, list: String, partial: bool) -> Result<Page<Map>> {
    let (mut fit, mut bytes) = (0, 0);
    for row in rows.iter().take(query.limit) {
        bytes += text_of(row)?.len();
        if bytes > MAX_PAGE_BYTES && fit > 0 {
            break;
        }
        fit += 1;
    }
    let next = rows.get(fit).map(|row| modified_of(row).to_owned());
    rows.truncate(fit);
    let last = rows.last().filter(|_| next.is_some() || partial);
    let next = match last {
        None => None,
        Some(last) => Some(cursor(&Position {
            list,
            modified: revision(modified_of(last)).ok_or_else(unreadable)?,
            name: name_of(last).to_owned(),
            tied: next.is_none_or(|next| next == modified_of(last)),
        })?),
    };
    let partial = partial && next.is_some();
    Ok(Page { items: rows, next, partial })
}

fn name_of(map: &Map) -> &str {
    map.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn unreadable() -> Error {
    Error::new(ErrorCode::ProviderUnavailable, "the ERPNext site shows a list that cannot be read")
}

/// The refusal of a query: it is the filters that the caller chose.
fn in_filters(error: SiteError) -> Error {
    match error {
        SiteError::Refused(refusal) if refusal.exception == Exception::Data => {
            Error::field("filters", "invalid", refusal.message)
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so() -> DocType {
        DocType::new("Sales Order").unwrap()
    }

    fn asked(filters: &Value, or_filters: Option<&Value>) -> Result<Asked> {
        let zone = SiteZone::named("Asia/Kolkata");
        Asked::new(&Filters::read(&so(), Some(filters), or_filters).unwrap(), zone.as_ref())
    }

    #[test]
    fn filters_are_said_in_the_sites_words() {
        let asked = asked(
            &json!([
                ["status", "=", "Open"],
                ["Sales Order Item", "qty", ">", 5],
                ["name", "in", ["a", "b"]],
                ["po_no", "is", "set"],
                ["disabled", "=", true],
                ["title", "not like", "x%"],
                ["transaction_date", "between", ["2026-01-01", "2026-01-31"]],
            ]),
            Some(&json!({ "customer": "A", "modified": ["between", ["2026-11-23", "2026-11-23"]] })),
        )
        .unwrap();
        let all = json!([
            ["status", "=", "Open"],
            ["Sales Order Item", "qty", ">", 5],
            ["name", "in", ["a", "b"]],
            ["po_no", "is", "set"],
            ["disabled", "=", 1],
            ["title", "not like", "x%"],
            ["transaction_date", "between", ["2026-01-01", "2026-01-31"]],
        ]);
        let any = json!([
            ["customer", "=", "A"],
            ["modified", "between", ["2026-11-23 05:30:00", "2026-11-24 05:29:59.999999"]],
        ]);
        assert_eq!((Value::from(asked.all), Value::from(asked.any)), (all, any));
    }

    #[test]
    fn a_range_of_anything_but_days_is_said_by_its_ends() {
        let filters = json!([
            ["grand_total", "between", [5, 50]],
            ["name", "between", ["A", "C"]],
            ["Sales Order Item", "qty", "between", [1, 2]],
        ]);
        let expected = json!([
            ["grand_total", ">=", 5],
            ["grand_total", "<=", 50],
            ["name", ">=", "A"],
            ["name", "<=", "C"],
            ["Sales Order Item", "qty", ">=", 1],
            ["Sales Order Item", "qty", "<=", 2],
        ]);
        assert_eq!(Value::from(asked(&filters, None).unwrap().all), expected);
        let among = json!({ "grand_total": ["between", [5, 50]] });
        assert_eq!(asked(&json!({}), Some(&among)).unwrap_err().field_errors()[0].field, "or_filters");
    }

    #[test]
    fn the_stores_times_are_said_in_the_sites_zone() {
        let filters = json!([
            ["modified", ">", "2026-11-23T09:00:00.000001Z"],
            ["creation", "between", ["2026-11-23", "2026-11-23T12:00:00Z"]],
            ["modified", "like", "2026-11%"],
        ]);
        let expected = json!([
            ["modified", ">", "2026-11-23 14:30:00.000001"],
            ["creation", ">=", "2026-11-23 05:30:00"],
            ["creation", "<=", "2026-11-23 17:30:00"],
            ["modified", "like", "2026-11%"],
        ]);
        assert_eq!(Value::from(asked(&filters, None).unwrap().all), expected);
    }

    #[test]
    fn what_a_site_cannot_filter_by_is_refused_by_its_name() {
        for field in ["revision", "doctype"] {
            let error = asked(&json!({ field: 1 }), None).unwrap_err();
            assert_eq!(error.field_errors()[0].field, "filters");
            assert!(error.detail().contains(field));
        }
    }

    fn row(name: &str, modified: &str) -> Map {
        Map::from_iter([("name".to_owned(), name.into()), ("modified".to_owned(), modified.into())])
    }

    #[test]
    fn a_page_goes_on_where_it_ended() {
        let query = ListQuery::new(so(), 2);
        let rows = |second: &str| {
            vec![row("a", "2026-01-01 00:00:00"), row("b", second), row("c", "2026-01-01 00:00:01")]
        };
        let position = |page: &Page<Map>| position::<Position>(page.next.as_ref().unwrap()).unwrap();
        let page = cut(rows("2026-01-01 00:00:00.500000"), &query, "l".into(), false).unwrap();
        assert_eq!((position(&page).name.as_str(), position(&page).tied), ("b", false));
        assert_eq!(
            Value::from(parts(&query, Some(&position(&page))).unwrap()[0].clone()),
            json!([["modified", "<", "2026-01-01 00:00:00.500000"]])
        );
        let page = cut(rows("2026-01-01 00:00:01"), &query, "l".into(), false).unwrap();
        assert!(position(&page).tied, "another one shares its time");
        assert_eq!(parts(&query, Some(&position(&page))).unwrap().len(), 2);
        let all = cut(rows("2026-01-01 00:00:01")[..2].to_vec(), &query, "l".into(), false).unwrap();
        assert_eq!((all.next, all.items.len()), (None, 2));
    }

    #[test]
    fn a_page_that_grows_too_large_ends_early() {
        let query = ListQuery::new(so(), 10);
        let large = |name: &str| {
            let mut row = row(name, "2026-01-01 00:00:00");
            row.insert("text".to_owned(), "x".repeat(MAX_PAGE_BYTES / 2).into());
            row
        };
        let page = cut(vec![large("a"), large("b"), large("c")], &query, "l".into(), false).unwrap();
        assert_eq!(page.items.len(), 1);
        assert!(page.next.is_some());
    }
}
