//! What read models cost: the write units of following a document, and the calls and read units of each question,
//! at 100,000 items with prices and stock and 100,000 invoices.
//!
//! The production code follows the documents and answers, on a DynamoDB in this process that reports capacity as
//! AWS does. `READ_MODELS_DOCUMENTS` sets another number.

#[path = "../units/database.rs"]
mod database;
mod documents;
#[allow(dead_code, reason = "the other benchmark counts more")]
#[path = "../units/meter.rs"]
mod meter;

use std::{sync::Arc, time::Duration};

use causeway::{
    Result,
    cache::dynamo::DynamoCache,
    clock::ManualClock,
    documents::dynamo::DynamoDocuments,
    parking::dynamo::DynamoParking,
    projections::{
        Projector, ReadModels,
        batch::{Record, follow},
        dynamo::DynamoReadModels,
        items::{ItemQuery, ItemSearch},
        sales::{SalesQuery, SalesReport},
    },
};
use causeway_bench::table::Table;
use jiff::civil::{Date, date};
use tokio::time::Instant;

use crate::{
    database::{Failed, client, create_tables, serve},
    meter::{Meter, Tally},
};

/// How many of each kind there are, unless the environment says otherwise.
const DOCUMENTS: usize = 100_000;
/// Changes in a batch, as the template has it.
const BATCH: usize = 100;
/// How long one batch may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The page of ERPNext's point of sale.
const PAGE: usize = 40;

struct Bench {
    meter: Arc<Meter>,
    projector: Arc<Projector>,
    search: ItemSearch,
    report: SalesReport,
}

impl Bench {
    async fn start() -> Result<Self, Failed> {
        let meter = Arc::new(Meter::default());
        let client = client(&serve().await?, &meter);
        let tables = create_tables(&client).await?;
        let clock = Arc::new(ManualClock::at("2026-12-31T12:00:00Z".parse()?));
        let models: Arc<dyn ReadModels> =
            Arc::new(DynamoReadModels::new(client.clone(), &tables, clock.clone()));
        let parking = Arc::new(DynamoParking::new(client.clone(), &tables));
        let documents = Arc::new(DynamoDocuments::new(client.clone(), tables.clone(), clock.clone()));
        Ok(Self {
            meter,
            projector: Arc::new(Projector::new(
                models.clone(),
                parking,
                Arc::new(DynamoCache::new(client.clone(), &tables)),
                clock.clone(),
            )),
            search: ItemSearch::new(models.clone(), documents, clock.clone()),
            report: SalesReport::new(models, clock),
        })
    }

    /// Follows `count` documents, and writes down what one of them costs.
    async fn load(
        &self,
        table: &mut Table,
        what: &str,
        count: usize,
        document: impl Fn(usize) -> Result<Record>,
    ) -> Result<(), Failed> {
        self.meter.take();
        let began = Instant::now();
        for start in (0..count).step_by(BATCH) {
            let records = (start..count.min(start + BATCH)).map(&document).collect::<Result<Vec<_>>>()?;
            let expected = records.len();
            let followed = follow(&self.projector, records, Instant::now() + PATIENCE).await?;
            if followed.written != expected {
                return Err(format!("{what}: of {expected} documents {followed:?}").into());
            }
        }
        let (tally, took) = (self.meter.take(), began.elapsed());
        eprintln!("followed {count} of {what} in {took:.0?}");
        let each = |units: f64| format!("{:.2}", units / as_f64(count));
        let figures = [
            count.to_string(),
            each(tally.calls.values().sum()),
            each(tally.writes.values().sum()),
            each(tally.reads.values().sum()),
            format!("{:.0}", as_f64(count) / took.as_secs_f64()),
        ];
        table.row([what.to_owned()].into_iter().chain(figures));
        Ok(())
    }

    async fn find(&self, table: &mut Table, what: &str, query: ItemQuery) -> Result<Option<String>, Failed> {
        // Once for the tree of groups, which is remembered.
        self.search.find(&query).await?;
        self.meter.take();
        let began = Instant::now();
        let page = self.search.find(&query).await?;
        let shown = format!("{} items{}", page.items.len(), if page.partial { ", partial" } else { "" });
        row(table, what, &self.meter.take(), began.elapsed(), shown);
        Ok(page.next)
    }

    async fn sales(&self, table: &mut Table, what: &str, from: Date, to: Date) -> Result<(), Failed> {
        let query = SalesQuery { company: documents::COMPANY.to_owned(), from_date: from, to_date: Some(to) };
        self.meter.take();
        let began = Instant::now();
        let sales = self.report.read(&query).await?;
        let shown = format!("{} invoices", sales.sales.invoices);
        row(table, what, &self.meter.take(), began.elapsed(), shown);
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of documents")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

fn row(table: &mut Table, what: &str, tally: &Tally, took: Duration, shown: String) {
    let figures = [
        format!("{:.0}", tally.calls.values().sum::<f64>()),
        format!("{:.1}", tally.reads.values().sum::<f64>()),
        shown,
        format!("{:.1}", took.as_secs_f64() * 1_000.0),
    ];
    table.row([what.to_owned()].into_iter().chain(figures));
}

async fn questions(bench: &Bench, count: usize) -> Result<Table, Failed> {
    let mut table = Table::new(["question", "calls", "read units", "shows", "ms here"]);
    let plain = ItemQuery { limit: PAGE, ..ItemQuery::default() };
    let priced = ItemQuery { price_list: Some("Standard Selling".to_owned()), ..plain.clone() };
    let search = |term: &str| ItemQuery { search_term: Some(term.to_owned()), ..priced.clone() };
    let group = |group: &str| ItemQuery { item_group: Some(group.to_owned()), ..priced.clone() };
    let one = documents::code(count / 3);
    bench.find(&mut table, "items: a whole code", search(&one)).await?;
    bench.find(&mut table, "items: the beginning of a code", search(&one[..one.len() - 2])).await?;
    bench.find(&mut table, "items: a word that one in 20 has", search("shirt")).await?;
    bench.find(&mut table, "items: two words, one in 200", search("blue shirt")).await?;
    bench.find(&mut table, "items: a rare word and a common one", search(&format!("{one} blue"))).await?;
    bench.find(&mut table, "items: a group", group("Group 07")).await?;
    let next = bench.find(&mut table, "items: the root group, all of them", group("All Item Groups")).await?;
    let second = ItemQuery { cursor: next, ..group("All Item Groups") };
    bench.find(&mut table, "items: its second page", second).await?;
    bench
        .find(&mut table, "items: from the 400th on, by counting", ItemQuery { start: 400, ..priced.clone() })
        .await?;
    bench.find(&mut table, "items: all, without prices", plain).await?;
    let year = |month, day| date(2026, month, day);
    bench.sales(&mut table, "sales: 1 month", year(5, 1), year(5, 31)).await?;
    bench.sales(&mut table, "sales: 3 months", year(4, 1), year(6, 30)).await?;
    bench.sales(&mut table, "sales: 3 months from a 15th to a 14th", year(3, 15), year(6, 14)).await?;
    bench.sales(&mut table, "sales: 12 months", year(1, 1), year(12, 31)).await?;
    Ok(table)
}

#[expect(clippy::print_stdout, reason = "a benchmark's output")]
async fn run() -> Result<(), Failed> {
    let count = std::env::var("READ_MODELS_DOCUMENTS").map_or(Ok(DOCUMENTS), |text| text.parse())?;
    let bench = Bench::start().await?;
    let mut load = Table::new([
        "documents",
        "count",
        "calls each",
        "write units each",
        "read units each",
        "a second here",
    ]);
    bench.load(&mut load, "Item Group", documents::GROUPS + 1, documents::item_group).await?;
    bench.load(&mut load, "Item, 6 words", count, documents::item).await?;
    bench.load(&mut load, "Item Price", count, documents::price).await?;
    bench.load(&mut load, "Bin", count, documents::bin).await?;
    bench.load(&mut load, "Sales Invoice", count, documents::invoice).await?;
    load.print();
    println!();
    questions(&bench, count).await?.print();
    Ok(())
}

fn main() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run())
}
