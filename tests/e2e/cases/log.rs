//! What the functions write to their logs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Case, cases};
use crate::hub::{Hub, mirror, order};

/// The shortest header value that may be a signature.
const SIGNATURE_BYTES: usize = 20;

pub fn cases() -> Vec<Case> {
    cases![an_events_lines_carry_its_id_and_its_metrics, no_line_holds_a_secret_a_key_or_a_signature,]
}

/// The lines of a function that are JSON.
fn json_lines(hub: &Hub, function: &str) -> Vec<Value> {
    let lines = hub.aws.log_lines();
    let own = lines.iter().filter(|(group, _)| group.ends_with(function));
    own.filter_map(|(_, line)| serde_json::from_str(line).ok()).collect()
}

fn an_events_lines_carry_its_id_and_its_metrics(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Told Order")] }));
    let id = connector.accept("order.insert", &order("T-1", 0, 1, 1.0));
    hub.wait_until(&id, "done");
    hub.wait_until_queues_are_empty();
    let line = |function: &str, message: &str| {
        let lines = json_lines(hub, function);
        let found = lines.into_iter().find(|line| line["event_id"] == *id && line["message"] == message);
        found.unwrap_or_else(|| panic!("{function} has no line {message:?} about {id}"))
    };
    let accepted = line("webhook-ingest", "webhook");
    let told = ["Connector", "Outcome", "event", "secret"].map(|field| accepted[field].as_str().unwrap());
    assert_eq!(told, [name, "accepted", "order.insert", "current"]);
    let done = line("event-worker", "event");
    let told = ["Connector", "Status", "event"].map(|field| done[field].as_str().unwrap());
    assert_eq!(told, [name, "done", "order.insert"]);
    for (line, metric) in [(&accepted, "Webhooks"), (&done, "Events")] {
        assert!(line["duration_ms"].is_number(), "{line}");
        assert_eq!(line[metric], 1, "{line}");
        counts(line, metric);
    }
}

/// Asserts that CloudWatch finds `metric`, and a value for each metric and dimension that the line declares.
#[track_caller]
fn counts(line: &Value, metric: &str) {
    let declared = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(declared["Namespace"], "Causeway", "{line}");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let metrics: Vec<Value> =
        list(&declared["Metrics"]).iter().map(|metric| metric["Name"].clone()).collect();
    assert!(metrics.contains(&json!(metric)), "{line}");
    assert!(metrics.iter().all(|name| line[name.as_str().unwrap()].is_number()), "{line}");
    let dimensions: Vec<Value> = list(&declared["Dimensions"]).iter().flat_map(list).collect();
    assert!(!dimensions.is_empty(), "{line}");
    assert!(dimensions.iter().all(|name| line[name.as_str().unwrap()].is_string()), "{line}");
}

/// The parts of `text` that could be a secret: runs of what base64 and hexadecimal are made of.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c)))
        .filter(|word| word.len() >= SIGNATURE_BYTES)
}

fn no_line_holds_a_secret_a_key_or_a_signature(hub: &Hub, _: &str) {
    let lines = hub.aws.log_lines();
    assert!(lines.len() > 20, "only {} lines were logged", lines.len());
    let mut secrets = hub.aws.webhook_secrets();
    let key = hub.stack.variables.get("API_KEY");
    secrets.push(key.rsplit('.').next().unwrap().to_owned());
    for (group, line) in &lines {
        let leaked = secrets.iter().find(|secret| line.contains(&***secret));
        assert_eq!(leaked, None, "{group}: {line}");
    }
    let sent = hub.header_values();
    let signatures: BTreeSet<&str> = sent.iter().flat_map(|value| words(value)).collect();
    for (group, line) in &lines {
        let leaked = words(line).find(|word| signatures.contains(word));
        assert!(leaked.is_none_or(is_content_type), "{leaked:?} in {group}: {line}");
    }
}

/// Header values that are no signatures, and may be logged.
fn is_content_type(value: &str) -> bool {
    value.starts_with("application/")
}
