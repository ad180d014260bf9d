//! Reports, from sums that are kept as documents change.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    Result,
    api::{
        Call,
        answer::{Kept, OneOf},
        input::Query,
        shown::Day,
    },
    cache::{CachePolicy, REPORT_TTL},
    documents::DocType,
    projections::sales::{INVOICES, SalesQuery},
};

/// The DocTypes that the report is made of.
static DEPENDS_ON: LazyLock<Vec<DocType>> =
    LazyLock::new(|| DocType::new(INVOICES.doctype).into_iter().collect());

/// Which sales.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SalesParams {
    /// The company.
    company: String,
    /// The first day, `YYYY-MM-DD`.
    from_date: Day,
    /// The last day; today (UTC) if it is not given.
    to_date: Option<Day>,
}

/// A company's sales.
pub struct SalesView;

impl JsonSchema for SalesView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SalesReport".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let total = json!({ "type": "number", "description": "In the company's currency, digit for digit." });
        let invoices = json!({ "type": "integer", "description": "Submitted invoices, returns too." });
        schemars::json_schema!({
            "type": "object",
            "description": "A company's sales, from submitted Sales Invoices.",
            "properties": {
                "company": { "type": "string" },
                "from_date": { "type": "string", "format": "date" },
                "to_date": { "type": "string", "format": "date" },
                "totals": { "type": "object", "properties": { "total": total, "invoices": invoices } },
                "by_period": { "type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "period": { "type": "string", "description": "`YYYY-MM`; the first and the last may be in part." },
                        "total": total, "invoices": invoices,
                    },
                } },
                "by_customer": { "type": "array", "description": "The 500 with the most sales.", "items": {
                    "type": "object",
                    "properties": { "customer": { "type": "string" }, "total": total, "invoices": invoices },
                } },
                "other_customers": {
                    "type": "object",
                    "description": "Those who are not named.",
                    "properties": { "customers": { "type": "integer" }, "total": total, "invoices": invoices },
                },
            },
            "required": ["company", "from_date", "to_date", "totals", "by_period", "by_customer", "other_customers"],
        })
    }
}

/// `GET /v2/reports/sales`.
pub async fn sales(call: &Call<'_>, Query(params): Query<SalesParams>) -> Result<Kept<OneOf<SalesView>>> {
    let queries = call.services.queries()?;
    let now = call.services.clock.now();
    let to_date = params.to_date.map_or_else(|| now.to_zoned(TimeZone::UTC).date(), |day| day.0);
    let query = SalesQuery { company: params.company, from_date: params.from_date.0, to_date: Some(to_date) };
    let policy = CachePolicy { name: "sales", ttl: REPORT_TTL, depends_on: &DEPENDS_ON, single_flight: true };
    let arguments = [query.company.as_str(), &query.from_date.to_string(), &to_date.to_string()];
    let permissions = call.principal()?.fingerprint();
    let compute = || async { Ok(json!({ "data": queries.sales.read(&query).await?.to_json() })) };
    let cached = call.services.cache.get_or_compute(&policy, &arguments, &permissions, compute).await?;
    Ok(Kept::of(cached, now))
}
