//! Property-based tests from the OpenAPI document: whatever fits the description or breaks it, no answer is a 5xx,
//! and none is one that the document does not know.

use std::{env, path::Path, time::Duration};

use serde_json::json;

use super::{Case, cases};
use crate::{
    hub::{Hub, mirror, order},
    program::Program,
    stack::repository,
};

/// How long the run may take: a fifth of it is usual.
const LIMIT: Duration = Duration::from_secs(600);

/// It writes whatever it can think of, replays and discards: no other trial may run beside it, or after.
pub fn cases() -> Vec<Case> {
    cases![every_answer_is_the_one_that_the_openapi_document_describes]
}

fn every_answer_is_the_one_that_the_openapi_document_describes(hub: &Hub, name: &str) {
    something_to_find(hub, name);
    let seed = env::var("CAUSEWAY_TEST_SEED").unwrap_or_else(|_| fastrand::u32(..).to_string());
    println!("seed {seed}; CAUSEWAY_TEST_SEED={seed} asks the same again");
    let directory = repository().join("tests/spec");
    let url = hub.stack.variables.get("API_URL");
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spec");
    std::fs::create_dir_all(&report).unwrap();
    let output = Program::new(hub, "schemathesis")
        // It leaves files where it runs.
        .directory(&report)
        .env("PYTHONPATH", directory.to_string_lossy())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .arg("--config-file")
        .arg(directory.join("schemathesis.toml").to_string_lossy())
        .arg("run")
        .arg(format!("{url}/openapi.json"))
        .args(&["--url", url, "--seed", &seed, "--no-color", "--report", "junit"])
        .args(&["--report-dir", &report.to_string_lossy()])
        .args(&["--header", &format!("X-API-Key: {}", hub.stack.variables.get("API_KEY"))])
        .limit(LIMIT)
        .succeed();
    let summary = output.split("= SUMMARY =").last().unwrap_or_default();
    println!("{summary}");
    assert!(!output.contains("Authentication failed"), "it saw no more than 401: {output}");
}

/// An event in each state, so that lists have items and links lead somewhere.
fn something_to_find(hub: &Hub, name: &str) {
    let rules = json!([mirror("order.*", "Spec Order")]);
    let connector = hub.connector(name, json!({ "rules": rules }));
    connector.settle("order.on_update", &order("S-1", 0, 1, 10.0), "done");
    let bad =
        |n| connector.accept("order.on_update", &json!({ "name": format!("S-{n}"), "modified": "never" }));
    // More than a page: some are replayed or given up on the way.
    let dead: Vec<String> = (2..32).map(bad).collect();
    for id in dead {
        hub.wait_until(&id, "dead");
    }
}
