//! What an outage of a provider costs: the calls that fifty instances make to it while it is down, what they ask of
//! DynamoDB meanwhile, and how long it takes until all is well again.
//!
//! The governors are the production code, on a DynamoDB in this process that reports capacity as AWS does; time is
//! simulated. `OUTAGE_MINUTES` sets how long the provider is down.

#[path = "units/database.rs"]
mod database;
#[allow(dead_code, reason = "another benchmark counts more")]
#[path = "units/meter.rs"]
mod meter;

use std::{sync::Arc, time::Duration};

use causeway::{
    clock::ManualClock,
    outbound::{
        OutboundPolicy,
        governor::{Governor, Outcome, OutcomeKind, dynamo::DynamoGovernor},
    },
};
use causeway_bench::table::Table;
use jiff::SignedDuration;

use crate::{
    database::{Failed, client, create_tables, serve},
    meter::Meter,
};

/// Instances of functions that call the provider.
const INSTANCES: usize = 50;
/// How long the provider is down, in minutes, unless the environment says otherwise.
const MINUTES: u32 = 10;
/// Each instance has a request to make every two seconds, which is half of the highest rate.
const SECONDS_A_REQUEST: usize = 2;
/// How long it is well before.
const WARM_UP: u32 = 180;
/// How long it may take until all is well again.
const PATIENCE: u32 = 600;
/// Tries of a request.
const ATTEMPTS: u32 = 3;
/// The connector.
const SHOP: &str = "shop";

struct Bench {
    meter: Arc<Meter>,
    clock: Arc<ManualClock>,
    governors: Vec<Governor>,
    policy: OutboundPolicy,
}

/// What happened.
#[derive(Default, Clone, Copy)]
struct Counts {
    wanted: u32,
    admitted: u32,
    calls: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.wanted += other.wanted;
        self.admitted += other.admitted;
        self.calls += other.calls;
    }
}

impl Bench {
    async fn start() -> Result<Self, Failed> {
        let meter = Arc::new(Meter::default());
        let client = client(&serve().await?, &meter);
        let tables = create_tables(&client).await?;
        let clock = Arc::new(ManualClock::at("2026-11-23T09:00:00Z".parse()?));
        let store = Arc::new(DynamoGovernor::new(client, &tables));
        let governors = (0..INSTANCES).map(|_| Governor::new(store.clone(), clock.clone())).collect();
        Ok(Self { meter, clock, governors, policy: OutboundPolicy::default() })
    }

    /// A second in which the provider answers as `kind`.
    async fn second(&self, number: u32, kind: OutcomeKind) -> Counts {
        let mut counts = Counts::default();
        for (index, governor) in self.governors.iter().enumerate() {
            if (index + usize::try_from(number).unwrap_or_default()).is_multiple_of(SECONDS_A_REQUEST) {
                counts.add(self.request(governor, kind).await);
            }
        }
        self.clock.advance(SignedDuration::from_secs(1));
        counts
    }

    /// A request as the pipeline makes it.
    async fn request(&self, governor: &Governor, kind: OutcomeKind) -> Counts {
        let mut calls = 0;
        while calls < ATTEMPTS && (calls == 0 || governor.may_retry(SHOP)) {
            let Ok(permit) = governor.admit(SHOP, &self.policy).await else { break };
            calls += 1;
            let outcome = Outcome { kind, took: Duration::from_millis(200), rate: None };
            governor.report(permit, &self.policy, outcome).await;
            if kind == OutcomeKind::Healthy {
                break;
            }
        }
        Counts { wanted: 1, admitted: u32::from(calls > 0), calls }
    }

    /// Seconds until `end` says that it is enough; what happened, and how many there were.
    async fn phase(
        &self,
        table: &mut Table,
        name: &str,
        kind: OutcomeKind,
        end: impl Fn(u32, Counts) -> bool,
    ) -> Result<u32, Failed> {
        self.meter.take();
        let mut all = Counts::default();
        let mut seconds = 0;
        loop {
            let second = self.second(seconds, kind).await;
            all.add(second);
            seconds += 1;
            if end(seconds, second) {
                break;
            }
            if seconds > PATIENCE.max(60 * minutes()?) {
                return Err("it does not end".into());
            }
        }
        let tally = self.meter.take();
        let sum = |map: &std::collections::BTreeMap<String, f64>| map.values().sum::<f64>() + 0.0; // an empty sum is -0
        table.row([
            name.to_owned(),
            seconds.to_string(),
            all.wanted.to_string(),
            all.admitted.to_string(),
            all.calls.to_string(),
            format!("{:.0}", sum(&tally.calls)),
            format!("{:.0}", sum(&tally.writes)),
            format!("{:.0}", sum(&tally.reads)),
        ]);
        Ok(seconds)
    }
}

fn minutes() -> Result<u32, Failed> {
    match std::env::var("OUTAGE_MINUTES") {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(MINUTES),
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a benchmark's output")]
async fn main() -> Result<(), Failed> {
    let bench = Bench::start().await?;
    let mut table = Table::new([
        "the provider",
        "seconds",
        "requests",
        "let through",
        "calls",
        "DynamoDB calls",
        "WRU",
        "RRU",
    ]);
    let outage = 60 * minutes()?;
    bench.phase(&mut table, "is well", OutcomeKind::Healthy, |seconds, _| seconds == WARM_UP).await?;
    bench.phase(&mut table, "is well, a minute", OutcomeKind::Healthy, |seconds, _| seconds == 60).await?;
    bench.phase(&mut table, "is down", OutcomeKind::Failed, |seconds, _| seconds == outage).await?;
    let first = |_, second: Counts| second.calls > 0;
    let closed =
        bench.phase(&mut table, "is well again, until a call tries", OutcomeKind::Healthy, first).await?;
    let full = |_, second: Counts| second.admitted == second.wanted;
    let all = bench.phase(&mut table, "… until all calls go through", OutcomeKind::Healthy, full).await?;
    println!();
    table.print();
    println!("\nWell again after {} s, of which the breaker was open for {closed} s.", closed + all);
    Ok(())
}
