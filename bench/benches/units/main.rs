//! What a webhook costs on AWS: calls, write and read units, log bytes and dollars, for each path it can take.
//!
//! The production code runs against a DynamoDB in this process that reports capacity as AWS does; an interceptor
//! in the client adds it up. The prices and the durations that are stated, not measured, are in [`prices`].

mod calls;
mod database;
mod guards;
mod mark;
mod meter;
mod paths;
mod prices;
mod stack;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use causeway_bench::table::Table;

use crate::{
    mark::{Line, Mark},
    meter::Tally,
    prices::Cost,
    stack::Failed,
};

/// Set in the process that drives the paths.
const DRIVING: &str = "CAUSEWAY_BENCH_DRIVING";
/// How the names of what the API's requests use begin.
const API: &str = "api: ";
/// The worker's batch when there is enough to do.
const FULL_BATCH: f64 = 10.0;

/// What the paths used, in the order they were gone, and how large items are.
#[derive(Default)]
struct Measured {
    paths: Vec<(String, Tally)>,
    sizes: Vec<String>,
}

impl Measured {
    fn get(&self, name: &str) -> Result<&Tally, Failed> {
        let found = self.paths.iter().find(|(path, _)| path == name);
        found.map(|(_, tally)| tally).ok_or_else(|| format!("the path {name:?} was not measured").into())
    }

    fn shown(&self) -> impl Iterator<Item = &(String, Tally)> {
        self.paths.iter().filter(|(name, _)| {
            !name.starts_with(['-', '+']) && ![API, calls::PREFIX].iter().any(|table| name.starts_with(table))
        })
    }

    fn guards(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.paths.iter().filter_map(|(name, tally)| Some((name.strip_prefix(guards::PREFIX)?, tally)))
    }

    fn add(&mut self, mark: Mark, log_bytes: f64) -> Result<(), Failed> {
        let mut tally = mark.tally;
        tally.log_bytes = log_bytes;
        if let Some(minus) = &mark.minus {
            tally = combined(&tally, self.get(minus)?, |a, b| a - b);
        }
        let count = mark.count;
        tally = combined(&tally, &Tally::default(), |a, _| a / count);
        if !mark.name.is_empty() {
            self.paths.push((mark.name, tally));
        }
        Ok(())
    }
}

fn combined(left: &Tally, right: &Tally, f: impl Fn(f64, f64) -> f64) -> Tally {
    let maps = |left: &BTreeMap<String, f64>, right: &BTreeMap<String, f64>| {
        let keys = left.keys().chain(right.keys());
        let value = |map: &BTreeMap<String, f64>, key: &String| map.get(key).copied().unwrap_or_default();
        keys.map(|key| (key.clone(), f(value(left, key), value(right, key)))).collect()
    };
    Tally {
        calls: maps(&left.calls, &right.calls),
        writes: maps(&left.writes, &right.writes),
        reads: maps(&left.reads, &right.reads),
        ingests: f(left.ingests, right.ingests),
        api: f(left.api, right.api),
        messages: f(left.messages, right.messages),
        log_bytes: f(left.log_bytes, right.log_bytes),
    }
}

/// Drives the paths in a child process, since what the functions log goes to stdout, and is measured too.
fn measure() -> Result<Measured, Failed> {
    let mut child =
        Command::new(std::env::current_exe()?).env(DRIVING, "1").stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("the child has no stdout")?;
    let mut measured = Measured::default();
    let mut log_bytes = 0_u32;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        match Line::read(&line)? {
            Line::Log => log_bytes += u32::try_from(line.len() + 1)?,
            Line::Size(size) => measured.sizes.push(size),
            Line::Mark(mark) => measured.add(mark, f64::from(std::mem::take(&mut log_bytes)))?,
        }
    }
    if child.wait()?.success() { Ok(measured) } else { Err("the paths could not be driven".into()) }
}

fn sum(map: &BTreeMap<String, f64>, prefix: &str) -> f64 {
    map.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
}

/// A figure without needless zeros.
fn figure(value: f64) -> String {
    let text = format!("{:.2}", value + 0.0); // an empty sum is -0
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn dollars(value: f64) -> String {
    format!("{:.2}", value + 0.0)
}

fn overview(measured: &Measured) {
    let mut table = Table::new([
        "path",
        "DynamoDB calls",
        "SQS sends",
        "WRU",
        "RRU",
        "log bytes",
        "$ per million",
        "without the document",
        "one by one",
    ]);
    for (name, tally) in measured.shown() {
        let (full, single) = (Cost::of(tally, FULL_BATCH), Cost::of(tally, 1.0));
        let figures = [
            sum(&tally.calls, "DynamoDB"),
            sum(&tally.calls, "SQS"),
            sum(&tally.writes, ""),
            sum(&tally.reads, ""),
            tally.log_bytes,
        ];
        let money = [full.total(), full.without_document(), single.total()].map(dollars);
        table.row([name.clone()].into_iter().chain(figures.map(figure)).chain(money));
    }
    table.print();
}

fn units(measured: &Measured) {
    let mut table = Table::new([
        "write units",
        "documents",
        "by_modified",
        "logs",
        "by_connector_day",
        "state",
        "by_due",
        "by_state",
        "by_wait",
        "refused",
    ]);
    let columns = [
        "documents",
        "documents/by_modified",
        "logs",
        "logs/by_connector_day",
        "state",
        "state/by_due",
        "state/by_state",
        "state/by_wait",
        meter::REFUSED,
    ];
    for (name, tally) in measured.shown() {
        let cell = |column: &str| tally.writes.get(column).copied().map(figure).unwrap_or_default();
        table.row([name.clone()].into_iter().chain(columns.map(cell)));
    }
    table.print();
}

fn parts(measured: &Measured) -> Result<(), Failed> {
    let mut table = Table::new([
        "$ per million",
        "API Gateway",
        "Lambda",
        "SQS",
        "document writes",
        "other writes",
        "reads",
        "logs",
        "total",
    ]);
    for name in ["insert", "update", "duplicate delivery", "ignored: no rule for it"] {
        let cost = Cost::of(measured.get(name)?, FULL_BATCH);
        let Cost { gateway, lambda, queue, documents, bookkeeping, reads, logs, .. } = cost;
        let money = [gateway, lambda, queue, documents, bookkeeping, reads, logs, cost.total()];
        table.row([name.to_owned()].into_iter().chain(money.map(dollars)));
    }
    table.print();
    Ok(())
}

fn guards(measured: &Measured) {
    let mut table = Table::new(["of the API's requests", "DynamoDB calls", "WRU", "RRU"]);
    for (name, tally) in measured.guards() {
        let figures = [sum(&tally.calls, "DynamoDB"), sum(&tally.writes, ""), sum(&tally.reads, "")];
        table.row([name.to_owned()].into_iter().chain(figures.map(figure)));
    }
    table.print();
}

/// What logging the calls to providers costs, an event.
fn calls(measured: &Measured) {
    let mut table = Table::new(["of the call log", "DynamoDB calls", "WRU", "RRU", "log bytes"]);
    for (name, tally) in &measured.paths {
        let Some(name) = name.strip_prefix(calls::PREFIX) else { continue };
        let figures =
            [sum(&tally.calls, "DynamoDB"), sum(&tally.writes, ""), sum(&tally.reads, ""), tally.log_bytes];
        table.row([name.to_owned()].into_iter().chain(figures.map(figure)));
    }
    table.print();
}

fn goals(measured: &Measured) -> Result<(), Failed> {
    let (insert, update) = (measured.get("insert")?, measured.get("update")?);
    let parked = measured.get("parked: its parent is missing")?;
    let cost = Cost::of(insert, FULL_BATCH);
    let single = Cost::of(insert, 1.0);
    let mut table = Table::new(["goal", "at most", "is", "margin", "verdict"]);
    for (goal, limit, is) in [
        ("insert, without the document's own writes ($ per million)", 4.5, cost.without_document()),
        ("insert, 1 KB document, 2 KB body ($ per million)", 7.0, cost.total()),
        ("the same, worker called for each message ($ per million)", 7.0, single.total()),
        ("insert (WRU)", 6.0, sum(&insert.writes, "")),
        ("update (WRU)", 7.0, sum(&update.writes, "")),
        ("parking: the parked item (WRU)", 5.0, sum(&parked.writes, "state")),
        ("parking: with its mark in the log (WRU)", 5.0, sum(&parked.writes, "")),
    ] {
        let verdict = if is <= limit { "met" } else { "missed" };
        table.row([goal.to_owned(), figure(limit), figure(is), figure(limit - is), verdict.to_owned()]);
    }
    table.print();
    Ok(())
}

/// What requests to the API cost in DynamoDB.
fn api(measured: &Measured) {
    let mut table = Table::new(["request", "DynamoDB calls", "WRU", "RRU"]);
    for (name, tally) in &measured.paths {
        let Some(name) = name.strip_prefix(API) else { continue };
        let figures = [sum(&tally.calls, "DynamoDB"), sum(&tally.writes, ""), sum(&tally.reads, "")];
        table.row([name.to_owned()].into_iter().chain(figures.map(figure)));
    }
    table.print();
}

#[expect(clippy::print_stdout, reason = "a benchmark's output")]
fn report(measured: &Measured) -> Result<(), Failed> {
    println!(
        "Prices: {}. Document {} bytes, body {} bytes.",
        prices::AS_OF,
        paths::DOCUMENT_BYTES,
        paths::BODY_BYTES
    );
    println!("The worker receives ten messages at a time; in the last column one.\n");
    overview(measured);
    println!();
    units(measured);
    println!();
    parts(measured)?;
    println!();
    goals(measured)?;
    println!();
    guards(measured);
    println!();
    calls(measured);
    println!("\nRequests to the API, in a DocType of 100 documents:\n");
    api(measured);
    println!("\nItem sizes, by attribute:");
    for size in &measured.sizes {
        println!("- {size}");
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    if std::env::var_os(DRIVING).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(paths::drive());
    }
    report(&measure()?)
}
