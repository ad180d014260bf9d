//! Metrics as log lines (CloudWatch Embedded Metric Format): a line is the count, the timing and the record of
//! what happened in one, so that a webhook costs one line and not three.
//!
//! CloudWatch bills each combination of metric and dimension values, so each dimension stands for itself (by
//! connector, by outcome), what AWS counts anyway is not counted again, and everything else is a property:
//! Logs Insights searches those for nothing but the reading.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The CloudWatch namespace of all metrics.
pub const NAMESPACE: &str = "Causeway";

/// Values of one metric in one line, the most that CloudWatch takes.
const MAX_VALUES: usize = 100;

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

    /// Adds a dimension, by which alone each metric is shown: its values must be few, each is paid for.
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

    /// Adds a duration as a metric, in milliseconds.
    #[must_use]
    pub fn duration(mut self, name: &'static str, value: SignedDuration) -> Self {
        self.metrics.push(json!({ "Name": name, "Unit": "Milliseconds" }));
        self.fields.insert(name.to_owned(), milliseconds(value));
        self
    }

    /// Adds durations as the values of one metric, in milliseconds; the first hundred, which is what a line may have.
    #[must_use]
    pub fn durations(mut self, name: &'static str, values: impl Iterator<Item = SignedDuration>) -> Self {
        self.metrics.push(json!({ "Name": name, "Unit": "Milliseconds" }));
        self.fields.insert(name.to_owned(), values.take(MAX_VALUES).map(milliseconds).collect());
        self
    }

    /// Adds how long it took as the property `duration_ms`.
    #[must_use]
    pub fn took(mut self, value: SignedDuration) -> Self {
        self.fields.insert("duration_ms".to_owned(), milliseconds(value));
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

    /// The line as JSON; in Embedded Metric Format if it has a metric.
    pub fn to_json(&self) -> Value {
        let mut fields = self.fields.clone();
        if !self.metrics.is_empty() {
            let dimensions: Vec<[&str; 1]> = self.dimensions.iter().map(|name| [*name]).collect();
            fields.insert(
                "_aws".to_owned(),
                json!({
                    "Timestamp": self.at.as_millisecond(),
                    "CloudWatchMetrics": [{
                        "Namespace": NAMESPACE,
                        "Dimensions": dimensions,
                        "Metrics": self.metrics,
                    }],
                }),
            );
        }
        Value::Object(fields)
    }

    /// Writes the line to stdout, which is CloudWatch's log.
    #[expect(clippy::print_stdout, reason = "this is the one place that writes the log besides tracing")]
    pub fn emit(&self) {
        println!("{}", self.to_json());
    }
}

/// To the microsecond, which is as exact as anyone reads.
fn milliseconds(value: SignedDuration) -> Value {
    let micros = i64::try_from(value.as_micros()).unwrap_or(i64::MAX);
    json!(format!("{}.{:03}", micros / 1_000, (micros % 1_000).abs()).parse::<serde_json::Number>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_embedded_metric_format() {
        let line = Line::new("accepted", Timestamp::UNIX_EPOCH)
            .dimension("Connector", "erpnext")
            .dimension("Outcome", "accepted")
            .count("Webhooks", 1)
            .duration("Age", SignedDuration::from_micros(1_500))
            .took(SignedDuration::from_micros(90))
            .property("event_id", Some("evt_1"))
            .property("secret", None::<&str>)
            .to_json();
        let expected = r#"{
            "message": "accepted", "Connector": "erpnext", "Outcome": "accepted", "Webhooks": 1, "Age": 1.500,
            "duration_ms": 0.090, "event_id": "evt_1",
            "_aws": { "Timestamp": 0, "CloudWatchMetrics": [{
                "Namespace": "Causeway",
                "Dimensions": [["Connector"], ["Outcome"]],
                "Metrics": [{ "Name": "Webhooks", "Unit": "Count" }, { "Name": "Age", "Unit": "Milliseconds" }]
            }] }
        }"#;
        assert_eq!(line, serde_json::from_str::<Value>(expected).unwrap());
    }

    #[test]
    fn a_line_without_a_metric_is_a_plain_log_line() {
        let line = Line::new("request", Timestamp::UNIX_EPOCH).property("status", Some(200)).to_json();
        assert_eq!(line, json!({ "message": "request", "status": 200 }));
    }

    #[test]
    fn a_metric_has_at_most_a_hundred_values() {
        let many = (0..150).map(SignedDuration::from_millis);
        let line = Line::new("calls", Timestamp::UNIX_EPOCH).durations("CallTime", many).to_json();
        assert_eq!(line["CallTime"].as_array().unwrap().len(), 100);
        assert_eq!(line["CallTime"][2].to_string(), "2.000");
    }
}
