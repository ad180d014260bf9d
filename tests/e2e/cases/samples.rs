//! The sample events in `events/`, given to the running functions.

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{hub::Hub, stack::repository};

pub fn cases() -> Vec<Case> {
    cases![sample_events_are_answered_by_their_functions]
}

fn sample(name: &str) -> Value {
    let path = repository().join(format!("events/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn json_text(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

fn sample_events_are_answered_by_their_functions(hub: &Hub, _: &str) {
    for name in ["webhook-ingest", "webhook-ingest-base64"] {
        let answer = hub.aws.invoke("WebhookIngest", &sample(name));
        assert_eq!(answer["statusCode"], 202, "{name}: {answer}");
    }
    let answer: Value = json_text(&hub.aws.invoke("WebhookIngest", &sample("webhook-ingest"))["body"]);
    let queued = json_text(&sample("event-worker-sqs")["Records"][0]["body"]);
    assert_eq!(answer["data"]["id"], queued["id"], "the queue's sample is what becomes of the webhook's");
    let mut question = sample("api-get-document");
    assert_eq!(hub.aws.invoke("Api", &question)["statusCode"], 401);
    question["headers"]["x-api-key"] = hub.stack.variables.get("API_KEY").into();
    let answer = hub.aws.invoke("Api", &question);
    assert!(matches!(answer["statusCode"].as_u64(), Some(200 | 404)), "{answer}");
    for name in ["event-worker-sqs", "event-worker-parked", "event-worker-dlq"] {
        let answer = hub.aws.invoke("EventWorker", &sample(name));
        assert_eq!(answer["batchItemFailures"], json!([]), "{name}: {answer}");
    }
    hub.aws.invoke("EventWorker", &sample("event-worker-sweep"));
    hub.aws.invoke("BulkWorker", &sample("bulk-worker-sweep"));
}
