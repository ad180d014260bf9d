//! Metrics as log lines (CloudWatch Embedded Metric Format): a line is the count, the timing and the record of
//! what happened in one, so that a webhook costs one line and not three.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The CloudWatch namespace of all metrics.
pub const NAMESPACE: &str = "Causeway";

/// One line: metrics under dimensions, with properties that can be searched but are no dimensions.
#[derive(Debug, Clone)]
pub struct Line {
    at: Timestamp,
    dimensions: Vec<&'static str>,
    metrics: Vec<Value>,
    fields: Map<String, Value>,
}

impl Line {
    /// A line about `message` at `at`.
    pub fn new(message: &str, at: Timestamp) -> Self {
        let fields = Map::from_iter([("message".to_owned(), message.into())]);
        Self { at, dimensions: Vec::new(), metrics: Vec::new(), fields }
    }

    /// Adds a dimension: its values must be few, each combination is a metric that is paid for.
    #[must_use]
    pub fn dimension(mut self, name: &'static str, value: &str) -> Self {
        self.dimensions.push(name);
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a count.
    #[must_use]
    pub fn count(mut self, name: &'static str, value: u64) -> Self {
        self.metrics.push(json!({ "Name": name, "Unit": "Count" }));
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a duration, in milliseconds.
    #[must_use]
    pub fn duration(mut self, name: &'static str, value: SignedDuration) -> Self {
        self.metrics.push(json!({ "Name": name, "Unit": "Milliseconds" }));
        let milliseconds = value.as_secs_f64() * 1_000.0;
        self.fields.insert(name.to_owned(), json!(milliseconds));
        self
    }

    /// Adds a property; nothing where there is no value.
    #[must_use]
    pub fn property(mut self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.fields.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The line as JSON.
    pub fn to_json(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": self.at.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [self.dimensions],
                    "Metrics": self.metrics,
                }],
            }),
        );
        Value::Object(fields)
    }

    /// Writes the line to stdout, which is CloudWatch's log.
    #[expect(clippy::print_stdout, reason = "this is the one place that writes the log besides tracing")]
    pub fn emit(&self) {
        println!("{}", self.to_json());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_embedded_metric_format() {
        let line = Line::new("accepted", Timestamp::UNIX_EPOCH)
            .dimension("Connector", "erpnext")
            .count("Webhooks", 1)
            .duration("Duration", SignedDuration::from_micros(1_500))
            .property("event_id", Some("evt_1"))
            .property("secret", None::<&str>)
            .to_json();
        assert_eq!(
            line,
            json!({
                "_aws": { "Timestamp": 0, "CloudWatchMetrics": [{
                    "Namespace": "Causeway",
                    "Dimensions": [["Connector"]],
                    "Metrics": [{ "Name": "Webhooks", "Unit": "Count" }, { "Name": "Duration", "Unit": "Milliseconds" }],
                }]},
                "message": "accepted", "Connector": "erpnext", "Webhooks": 1, "Duration": 1.5, "event_id": "evt_1",
            })
        );
    }
}
