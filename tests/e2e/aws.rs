//! The few AWS calls that trials make beside the functions, in AWS's own JSON protocol.

use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::{client::Client, hub::now, stack::Variables};

/// The most lines that one answer holds.
const MAX_LOG_LINES: usize = 10_000;
/// How far back lines are asked for: longer than a run takes.
const LOG_WINDOW_MS: i64 = 3_600_000;

/// The local AWS of one stack. It checks no signatures, so calls carry none.
pub struct Aws {
    client: Client,
    endpoint: String,
    variables: Variables,
    /// Held while the webhook secrets are read and written back.
    secrets: Mutex<()>,
}

impl Aws {
    /// The AWS that a stack with these variables runs on.
    pub fn new(variables: Variables) -> Self {
        let endpoint = variables.get("AWS_ENDPOINT_URL").to_owned();
        Self { client: Client::new(), endpoint, variables, secrets: Mutex::default() }
    }

    fn call(&self, target: &str, input: &Value) -> Value {
        let headers =
            [("X-Amz-Target", target), ("Content-Type", "application/x-amz-json-1.0")].map(owned).to_vec();
        let url = format!("{}/", self.endpoint);
        let answer = self.client.send("POST", &url, &headers, input.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.body
    }

    /// Adds secrets to the bundle that the ingest verifies with.
    pub fn add_webhook_secrets(&self, secrets: impl IntoIterator<Item = (String, String)>) {
        let _guard = self.secrets.lock().unwrap();
        let id = self.variables.get("WEBHOOK_SECRETS_ID");
        let stored = self.call("secretsmanager.GetSecretValue", &json!({ "SecretId": id }));
        let mut bundle: Map<String, Value> =
            serde_json::from_str(stored["SecretString"].as_str().unwrap()).unwrap();
        bundle.extend(secrets.into_iter().map(|(reference, secret)| (reference, secret.into())));
        let text = Value::Object(bundle).to_string();
        self.call("secretsmanager.PutSecretValue", &json!({ "SecretId": id, "SecretString": text }));
    }

    /// Every webhook secret there is.
    pub fn webhook_secrets(&self) -> Vec<String> {
        let id = self.variables.get("WEBHOOK_SECRETS_ID");
        let stored = self.call("secretsmanager.GetSecretValue", &json!({ "SecretId": id }));
        let bundle: Map<String, Value> =
            serde_json::from_str(stored["SecretString"].as_str().unwrap()).unwrap();
        bundle.values().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    }

    /// Sends a text straight to the events queue. Returns SQS's id of the message.
    pub fn send_to_queue(&self, body: &str) -> String {
        self.send("EVENTS_QUEUE_URL", body)
    }

    /// Sends a text straight to the dead-letter queue. Returns SQS's id of the message.
    pub fn send_to_dead_letters(&self, body: &str) -> String {
        self.send("EVENTS_DLQ_URL", body)
    }

    /// Sends a text straight to the bulk queue. Returns SQS's id of the message.
    pub fn send_to_bulk_queue(&self, body: &str) -> String {
        self.send("BULK_QUEUE_URL", body)
    }

    /// Messages on the bulk queue: waiting, being worked on, or delayed.
    pub fn messages_on_bulk_queue(&self) -> u64 {
        self.messages_on("BULK_QUEUE_URL")
    }

    fn send(&self, queue: &str, body: &str) -> String {
        let input = json!({ "QueueUrl": self.variables.get(queue), "MessageBody": body });
        self.call("AmazonSQS.SendMessage", &input)["MessageId"].as_str().unwrap().to_owned()
    }

    /// Messages on both queues together: waiting, being worked on, or delayed.
    pub fn messages_on_queues(&self) -> u64 {
        ["EVENTS_QUEUE_URL", "EVENTS_DLQ_URL"].into_iter().map(|queue| self.messages_on(queue)).sum()
    }

    fn messages_on(&self, queue: &str) -> u64 {
        let input = json!({ "QueueUrl": self.variables.get(queue), "AttributeNames": ["All"] });
        let attributes = self.call("AmazonSQS.GetQueueAttributes", &input)["Attributes"].clone();
        ["", "NotVisible", "Delayed"]
            .into_iter()
            .map(|kind| attributes[format!("ApproximateNumberOfMessages{kind}")].as_str().unwrap().to_owned())
            .map(|number| number.parse::<u64>().unwrap())
            .sum()
    }

    /// The rows of one partition of the State table.
    pub fn state(&self, partition: &str) -> Vec<Value> {
        let input = json!({
            "TableName": self.variables.get("STATE_TABLE"),
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": { ":p": { "S": partition } },
        });
        self.call("DynamoDB_20120810.Query", &input)["Items"].as_array().unwrap().clone()
    }

    /// Invokes the function whose name contains `name`, and waits for its answer.
    pub fn invoke(&self, name: &str, event: &Value) -> Value {
        self.try_invoke(name, event).unwrap_or_else(|failure| panic!("{name} failed: {failure}"))
    }

    /// The same; what it says where it fails.
    pub fn try_invoke(&self, name: &str, event: &Value) -> Result<Value, Value> {
        let functions =
            self.client.send("GET", &format!("{}/2015-03-31/functions", self.endpoint), &[], &[]).unwrap();
        let names = functions.body["Functions"].as_array().unwrap();
        let function = names
            .iter()
            .filter_map(|function| function["FunctionName"].as_str())
            .find(|function| function.contains(name))
            .unwrap_or_else(|| panic!("no function is called {name}"));
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.endpoint);
        let answer = self.client.send("POST", &url, &[], event.to_string().as_bytes()).unwrap();
        if answer.header("x-amz-function-error").is_empty() { Ok(answer.body) } else { Err(answer.body) }
    }

    /// Every line that the functions logged, as `(log group, line)`.
    pub fn log_lines(&self) -> Vec<(String, String)> {
        let groups = self.call("Logs_20140328.DescribeLogGroups", &json!({}))["logGroups"].clone();
        let names = groups.as_array().unwrap().iter().map(|group| group["logGroupName"].as_str().unwrap());
        let to = now() * 1000 + 1000;
        names.flat_map(|group| self.log_lines_of(group, to - LOG_WINDOW_MS, to)).collect()
    }

    /// The lines of one group between two times, both included, in milliseconds since 1970. The local AWS gives
    /// no more than a page of them and no token for the next, so a full page is asked for again in halves.
    fn log_lines_of(&self, group: &str, from: i64, to: i64) -> Vec<(String, String)> {
        let input = json!({ "logGroupName": group, "startTime": from, "endTime": to });
        let page = self.call("Logs_20140328.FilterLogEvents", &input);
        let events = page["events"].as_array().unwrap();
        if events.len() >= MAX_LOG_LINES && from < to {
            let middle = from + (to - from) / 2;
            let mut lines = self.log_lines_of(group, from, middle);
            lines.extend(self.log_lines_of(group, middle + 1, to));
            return lines;
        }
        let messages = events.iter().map(|event| event["message"].as_str().unwrap().to_owned());
        messages.map(|message| (group.to_owned(), message)).collect()
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
