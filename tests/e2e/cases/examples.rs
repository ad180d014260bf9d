//! The programs that the documentation shows, run as they stand there.

use super::{Case, cases};
use crate::{hub::Hub, program::Program, stack::example};

/// What each prints, in this order. `*` is something of its own.
const STEPS: [&str; 8] = [
    "created *",
    "read * of Atelier Nord *",
    "paged through * in *",
    "not found, as expected",
    "created once",
    "found 1 with the filter",
    "updated to revision 2",
    "somebody was quicker: read it again, and decide",
];

/// The steps that the API can do already; all of them once it has `Idempotency-Key`, filters, and PATCH with
/// `If-Match`. This is the one place to change then.
const WORKING_STEPS: usize = 8;

pub fn cases() -> Vec<Case> {
    cases![
        the_curl_example_does_what_it_says,
        the_python_example_does_what_it_says,
        the_javascript_example_does_what_it_says,
        the_rust_example_does_what_it_says,
    ]
}

fn the_curl_example_does_what_it_says(hub: &Hub, _: &str) {
    does_what_it_says(Program::script(hub, "docs/examples/curl.sh"));
}

fn the_python_example_does_what_it_says(hub: &Hub, _: &str) {
    does_what_it_says(Program::script(hub, "docs/examples/python.py"));
}

fn the_javascript_example_does_what_it_says(hub: &Hub, _: &str) {
    does_what_it_says(Program::script(hub, "docs/examples/javascript.mjs"));
}

fn the_rust_example_does_what_it_says(hub: &Hub, _: &str) {
    let program = example("rust").unwrap_or_else(|reason| panic!("{reason}"));
    does_what_it_says(Program::new(hub, &program.to_string_lossy()));
}

#[track_caller]
fn does_what_it_says(program: Program) {
    let ended = program.run();
    let lines: Vec<&str> = ended.output.lines().collect();
    for (step, expected) in STEPS.iter().take(WORKING_STEPS).enumerate() {
        let line = lines.get(step).copied().unwrap_or_default();
        assert!(fits(line, expected), "{expected:?} was to be line {}: {}", step + 1, ended.output);
    }
    if WORKING_STEPS == STEPS.len() {
        assert!(ended.status.is_some_and(|status| status.success()), "{}", ended.output);
        assert_eq!(lines.len(), STEPS.len(), "{}", ended.output);
    }
}

/// Whether `line` is `pattern`, with something in the place of each `*`.
fn fits(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    for (i, part) in pattern.split('*').enumerate() {
        let Some(at) = rest.find(part) else { return false };
        if (i == 0) != (at == 0) && !part.is_empty() {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    pattern.ends_with('*') != rest.is_empty()
}
