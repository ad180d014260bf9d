//! What the rate limiter and the cache add to a request of the API: calls and units.

use std::{collections::BTreeSet, sync::Arc};

use causeway::{
    cache::{Cache, CachePolicy, Invalidation, REPORT_TTL, dynamo::DynamoCache},
    config::Tables,
    documents::DocType,
    rate_limit::{Class, Limits, RateLimiter, dynamo::DynamoCounters},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    mark::Mark,
    stack::{Failed, Stack},
};

/// What the names of these paths begin with: they have a table of their own.
pub const PREFIX: &str = "+";
/// Requests of a class whose limit is counted in shares; the cost is of one.
const REQUESTS: u32 = 6_000;
/// Rows of the cached report.
const ROWS: usize = 100;

fn mark(stack: &Stack, name: &str, count: f64) {
    Mark { name: format!("{PREFIX}{name}"), count, minus: None, tally: stack.meter.take() }.write();
}

fn tables() -> Tables {
    Tables { documents: "documents".to_owned(), logs: "logs".to_owned(), state: "state".to_owned() }
}

/// Drives the limiter, then the cache.
pub async fn drive(stack: &Stack) -> Result<(), Failed> {
    stack.meter.take();
    limiter(stack).await?;
    cache(stack).await
}

async fn limiter(stack: &Stack) -> Result<(), Failed> {
    let counters = Arc::new(DynamoCounters::new(stack.client.clone(), &tables()));
    let limits = Limits::parse(
        r#"{"admin": {"limit": 2, "window_seconds": 3600}, "read": {"limit": 6000, "window_seconds": 3600}}"#,
    )?;
    let instance = || RateLimiter::new(limits.clone(), counters.clone(), stack.clock.clone());
    let first = instance();
    first.check(Class::Report, "ada").await?;
    mark(stack, "limit to 1,000, with a burst: allowed", 1.0);
    first.check(Class::Admin, "ada").await?;
    first.check(Class::Admin, "ada").await?;
    stack.meter.take();
    let second = instance();
    second.check(Class::Admin, "ada").await?;
    mark(stack, "… refused", 1.0);
    second.check(Class::Admin, "ada").await?;
    mark(stack, "… refused again", 1.0);
    for _ in 0..REQUESTS {
        first.check(Class::Read, "ada").await?;
    }
    mark(stack, "limit of 6,000: allowed", f64::from(REQUESTS));
    Ok(())
}

async fn cache(stack: &Stack) -> Result<(), Failed> {
    let shared = Arc::new(DynamoCache::new(stack.client.clone(), &tables()));
    let instance = || Cache::new(shared.clone(), stack.clock.clone());
    let depends_on = [DocType::new("Sales Invoice")?];
    let policy =
        |name, single_flight| CachePolicy { name, ttl: REPORT_TTL, depends_on: &depends_on, single_flight };
    let (search, report) = (policy("search", false), policy("report", true));
    let rows: Vec<Value> = (0..ROWS)
        .map(|row| json!({ "month": format!("2026-{row:02}"), "total": row * 31, "company": "ACME" }))
        .collect();
    let rows = || async { Ok(json!(rows)) };
    let (first, second) = (instance(), instance());
    first.get_or_compute(&search, &[], "all", rows).await?;
    mark(stack, "cache: miss", 1.0);
    first.get_or_compute(&report, &[], "all", rows).await?;
    mark(stack, "cache: miss with single flight", 1.0);
    first.get_or_compute(&report, &[], "all", rows).await?;
    mark(stack, "cache: hit in memory", 1.0);
    second.get_or_compute(&report, &[], "all", rows).await?;
    mark(stack, "cache: hit in State", 1.0);
    stack.clock.advance(SignedDuration::from_secs(5));
    first.get_or_compute(&report, &[], "all", rows).await?;
    mark(stack, "cache: hit in memory, after 5 s", 1.0);
    shared.changed(&BTreeSet::from(depends_on.clone())).await?;
    mark(stack, "cache: a DocType changed", 1.0);
    Ok(())
}
