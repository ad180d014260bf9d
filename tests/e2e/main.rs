//! End-to-end tests: the compiled functions behind template.yaml, on a local AWS, tried from outside.
//!
//! One process starts one stack, runs all trials on it and stops it, whatever happens. Trials that disturb the
//! others (they kill workers, or restart everything) run after them, one by one. A trial that must not meet
//! another's data has its own connector and its own DocType. Then comes a second stack, whose documents live on an
//! ERPNext site: a server in this process that behaves as one, and fails as one when it is told to. A third one has its
//! DynamoDB behind a proxy in this process, which fails as DynamoDB does.
//!
//! `cargo test --test e2e -- FILTER` runs some of them; the functions must be built (`cargo build --workspace`).
//! Storms print their seed; `CAUSEWAY_TEST_SEED=n` sends one again, `CAUSEWAY_TEST_SEEDS=n` tries so many.
//! Where a trial failed, what the functions logged is left below the target directory, in `tmp/e2e-functions.log`,
//! `tmp/e2e-site-functions.log` or `tmp/e2e-faults-functions.log`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test: a panic is how a trial fails"
)]

mod aws;
mod cases;
mod client;
mod dynamodb;
mod hub;
mod program;
mod signing;
mod stack;
mod wait;
mod workers;

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use erpnext_site::{DocType, Site, SiteOptions};
use libtest_mimic::{Arguments, Trial, run};
use serde_json::json;

use crate::{
    cases::{
        Case,
        erpnext::{NAMED, NUMBERED},
    },
    dynamodb::Proxy,
    hub::Hub,
    stack::{Kind, Stack},
};

/// Trials at a time, when the caller does not say: they mostly wait.
const THREADS: usize = 8;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let built_in = || Stack::start(Kind::default()).map(Hub::new);
    let mut failed = try_out(&arguments, built_in, cases::calm(), cases::disturbing());
    failed |= try_out(&arguments, on_a_site, cases::on_a_site(), cases::disturbing_on_a_site());
    failed |= try_out(&arguments, with_faults, Vec::new(), cases::with_faults());
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Starts a hub, runs what is wanted of the trials on it, and stops it. Whether any failed.
fn try_out(
    arguments: &Arguments,
    start: impl FnOnce() -> Result<Hub, String>,
    calm: Vec<Case>,
    disturbing: Vec<Case>,
) -> bool {
    let wanted = calm.iter().chain(&disturbing).any(|case| is_wanted(arguments, &case.name));
    let hub = match (wanted && !arguments.list).then(start).transpose() {
        Ok(hub) => hub.map(Arc::new),
        Err(reason) => {
            println!("{reason}");
            return true;
        }
    };
    if let Some(hub) = &hub {
        hub.prepare(calm.iter().chain(&disturbing).map(|case| &*case.connector));
    }
    let side_by_side =
        Arguments { test_threads: Some(arguments.test_threads.unwrap_or(THREADS)), ..arguments.clone() };
    let one_by_one = Arguments { test_threads: Some(1), ..arguments.clone() };
    let calm = run(&side_by_side, trials(calm, hub.as_ref()));
    let disturbing = run(&one_by_one, trials(disturbing, hub.as_ref()));
    let failed = calm.has_failed() || disturbing.has_failed();
    if let Some(hub) = hub.filter(|_| failed) {
        keep_log(&hub);
    }
    failed
}

/// A hub whose documents live on an ERPNext site, set up as `docs/erpnext.md` says.
fn on_a_site() -> Result<Hub, String> {
    let numbered = SiteOptions::default().with(DocType::series(NUMBERED, "STORM-.#####"));
    let options = NAMED.iter().fold(numbered, |options, name| options.with(DocType::prompt(name)));
    let options = options.prepared(NAMED).prepared([NUMBERED, "Sales Order", "Sales Invoice"]);
    let site = Site::start(options).map_err(|error| error.to_string())?;
    let user = erpnext_site::hub();
    let environment =
        vec![("ERPNEXT_URL", site.url()), ("ERPNEXT_KEY", user.key), ("ERPNEXT_SECRET", user.secret)];
    // A call takes longer than a transaction, and a worker makes many at a time.
    let parameters = vec!["EventWorkerTimeoutSeconds=4".to_owned()];
    let stack = Stack::start(Kind { name: "-site", parameters, environment, ..Kind::default() })?;
    let hub = Hub::on(stack, site);
    // Before anything is called, since instances remember it for a minute: a timeout that leaves time for another try,
    // and an outage that is over within a trial.
    hub.seeded("erpnext").put(json!({ "outbound": {
        "timeout_seconds": 1,
        "connect_timeout_seconds": 1,
        "max_response_bytes": 1_048_576,
        "retry": { "attempts": 2, "base_milliseconds": 100 },
        "breaker": { "window_seconds": 20, "open_seconds": 3 },
        "rate": { "initial_per_second": 500, "maximum_per_second": 1_000 },
    } }));
    Ok(hub)
}

/// A hub whose DynamoDB fails when it is told to.
fn with_faults() -> Result<Hub, String> {
    let port = free_port().map_err(|error| error.to_string())?;
    let proxy = Proxy::start(port).map_err(|error| error.to_string())?;
    let environment = vec![("CAUSEWAY_DYNAMODB_URL", proxy.url())];
    let stack = Stack::start(Kind { name: "-faults", port: Some(port), environment, ..Kind::default() })?;
    Ok(Hub::behind(stack, proxy))
}

/// A port that nothing uses at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether the filters on the command line let a trial through, as libtest-mimic reads them.
fn is_wanted(arguments: &Arguments, name: &str) -> bool {
    let fits = |filter: &String| if arguments.exact { name == filter } else { name.contains(filter) };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

fn trials(cases: Vec<Case>, hub: Option<&Arc<Hub>>) -> Vec<Trial> {
    let trial = |case: Case| {
        let hub = hub.cloned();
        Trial::test(case.name, move || {
            (case.run)(&hub.expect("a trial that runs has a hub"), &case.connector);
            Ok(())
        })
    };
    cases.into_iter().map(trial).collect()
}

/// Writes what the functions logged to a file that stays.
fn keep_log(hub: &Hub) {
    let name = format!("e2e{}-functions.log", hub.stack.name());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lines: Vec<String> =
        hub.aws.log_lines().into_iter().map(|(group, line)| format!("{group} {}", line.trim_end())).collect();
    match fs::write(&path, lines.join("\n")) {
        Ok(()) => println!("What the functions logged is in {}.", path.display()),
        Err(error) => println!("{}: {error}", path.display()),
    }
}
