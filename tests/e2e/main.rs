//! End-to-end tests: the compiled functions behind template.yaml, on a local AWS, tried from outside.
//!
//! One process starts one stack, runs all trials on it and stops it, whatever happens. Trials that disturb the
//! others (they kill workers, or restart everything) run after them, one by one. A trial that must not meet
//! another's data has its own connector and its own DocType.
//!
//! `cargo test --test e2e -- FILTER` runs some of them; the functions must be built (`cargo build --workspace`).
//! Storms print their seed; `CAUSEWAY_TEST_SEED=n` sends one again, `CAUSEWAY_TEST_SEEDS=n` tries so many.
//! Where a trial failed, what the functions logged is left in `tmp/e2e-functions.log` below the target directory.

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
mod hub;
mod program;
mod signing;
mod stack;
mod wait;
mod workers;

use std::{fs, path::Path, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial, run};

use crate::{cases::Case, hub::Hub, stack::Stack};

/// Trials at a time, when the caller does not say: they mostly wait.
const THREADS: usize = 8;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let hub = match start(&arguments).transpose() {
        Ok(hub) => hub.map(Arc::new),
        Err(reason) => {
            println!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let side_by_side =
        Arguments { test_threads: Some(arguments.test_threads.unwrap_or(THREADS)), ..arguments.clone() };
    let one_by_one = Arguments { test_threads: Some(1), ..arguments };
    let calm = run(&side_by_side, trials(cases::calm(), hub.as_ref()));
    let disturbing = run(&one_by_one, trials(cases::disturbing(), hub.as_ref()));
    let failed = calm.has_failed() || disturbing.has_failed();
    if let Some(hub) = hub.filter(|_| failed) {
        keep_log(&hub);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The hub that the trials run on; `None` where none of them is to run.
fn start(arguments: &Arguments) -> Option<Result<Hub, String>> {
    let cases: Vec<Case> = [cases::calm(), cases::disturbing()].into_iter().flatten().collect();
    if arguments.list || !cases.iter().any(|case| is_wanted(arguments, &case.name)) {
        return None;
    }
    Some(Stack::start().map(Hub::new).inspect(|hub| hub.prepare(cases.iter().map(|case| &*case.connector))))
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
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-functions.log");
    let lines: Vec<String> =
        hub.aws.log_lines().into_iter().map(|(group, line)| format!("{group} {}", line.trim_end())).collect();
    match fs::write(&path, lines.join("\n")) {
        Ok(()) => println!("What the functions logged is in {}.", path.display()),
        Err(error) => println!("{}: {error}", path.display()),
    }
}
