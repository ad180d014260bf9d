//! HTTP, one blocking call at a time: a trial reads from top to bottom.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderMap, Request},
};

/// How long an answer may take. The gateway itself gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Connections kept open: as many as a storm sends at a time.
const CONNECTIONS: usize = 32;

/// An HTTP client that sends exactly the headers it is told.
pub struct Client(Agent);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// What was asked, for messages.
    pub question: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: JSON where it is JSON, else a text.
    pub body: Value,
}

impl Client {
    /// A client with its own connections.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .max_idle_connections(CONNECTIONS)
            .max_idle_connections_per_host(CONNECTIONS)
            .build();
        Self(config.into())
    }

    /// Sends a request; an error where nobody answers.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let question = format!("{method} {url}");
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // Without a body there is no Content-Length either, as most clients do it for GET.
        let answer = if body.is_empty() && method == "GET" {
            self.0.run(request.body(()).unwrap())
        } else {
            self.0.run(request.body(body).unwrap())
        };
        let mut answer = answer.map_err(|error| format!("{question}: {error}"))?;
        let text = answer.body_mut().read_to_string().map_err(|error| format!("{question}: {error}"))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { question, status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }
}

impl Answer {
    /// The `data` of an answer with this status; any other ends the trial.
    #[track_caller]
    pub fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}: {}", self.question, self.body);
        &self.body["data"]
    }

    /// Asserts that it is a problem (RFC 9457) of this status and code.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) {
        let told = (self.status, self.body["code"].as_str());
        assert_eq!(told, (status, Some(code)), "{}: {}", self.question, self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.question);
        assert_eq!(self.body["status"], status, "{}: {}", self.question, self.body);
        for field in ["type", "title", "detail"] {
            assert!(self.body[field].is_string(), "no {field}: {}", self.body);
        }
    }

    /// A header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
