//! Causeway's API with ureq 3, serde_json and uuid. `API_URL` and `API_KEY` come from the environment.

#![allow(clippy::print_stdout, reason = "a program that shows what it does")]

use std::{env, error::Error, fmt, thread::sleep, time::Duration};

use serde_json::{Value, json};
use ureq::{
    Agent,
    http::{HeaderMap, Request},
};
use uuid::Uuid;

const MAX_TRIES: u32 = 4;

/// What the API refused: `code` is stable, `detail` is for people.
#[derive(Debug)]
struct Problem {
    code: String,
    detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl Error for Problem {}

struct Api {
    agent: Agent,
    base: String,
    key: String,
}

impl Api {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        let timeout = Some(Duration::from_secs(30));
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build();
        Ok(Self { agent: config.into(), base: env::var("API_URL")?, key: env::var("API_KEY")? })
    }

    /// Sends a request, again where the API asks for it.
    fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(Value, HeaderMap), Box<dyn Error>> {
        let mut attempt = 1;
        loop {
            let url = format!("{}{path}", self.base);
            let mut request = Request::builder().method(method).uri(url).header("X-API-Key", &self.key);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut answer = match body {
                Some(body) => {
                    let request = request.header("Content-Type", "application/json");
                    self.agent.run(request.body(body.to_string())?)?
                }
                None => self.agent.run(request.body(())?)?,
            };
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let text = answer.body_mut().read_to_string()?;
            if matches!(status, 429 | 503) && attempt < MAX_TRIES {
                let after = headers.get("Retry-After").and_then(|after| after.to_str().ok()?.parse().ok());
                sleep(Duration::from_secs(after.unwrap_or(1 << attempt)));
                attempt += 1;
                continue;
            }
            let body: Value = serde_json::from_str(&text)?;
            if status < 400 {
                return Ok((body, headers));
            }
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            return Err(Problem { code: text("code"), detail: text("detail") }.into());
        }
    }
}

/// Whether a call failed with this code.
fn is_problem<T>(result: &Result<T, Box<dyn Error>>, code: &str) -> bool {
    let problem = result.as_ref().err().and_then(|error| error.downcast_ref::<Problem>());
    problem.is_some_and(|problem| problem.code == code)
}

/// Percent-encodes whatever is not a letter or digit.
fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let api = Api::from_environment()?;
    let orders = "/v2/documents/Sales%20Order";

    // Create a document. The key, one for each thing to be created, makes the request safe to repeat.
    let customer = format!("Atelier Nord {}", Uuid::now_v7());
    let order = json!({ "naming_series": "EX-.YYYY.-", "customer": customer, "grand_total": 1250.00 });
    let key = Uuid::now_v7().to_string();
    let create = || api.call("POST", orders, &[("Idempotency-Key", &key)], Some(&order));
    let (created, _) = create()?;
    let name = created["data"]["name"].as_str().ok_or("a document has a name")?;
    println!("created {name}");

    // Read it.
    let path = format!("{orders}/{name}");
    let (found, _) = api.call("GET", &path, &[], None)?;
    println!("read {name} of {}", found["data"]["customer"].as_str().unwrap_or_default());

    // Page through a list: page.next is the cursor of the next page, null at the end.
    let (mut count, mut pages, mut cursor) = (0, 0, String::new());
    loop {
        let (page, _) = api.call("GET", &format!("{orders}?limit=50{cursor}"), &[], None)?;
        count += page["data"].as_array().map_or(0, Vec::len);
        pages += 1;
        match page["page"]["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encode(next)),
            None => break,
        }
    }
    println!("paged through {count} in {pages}");

    // Handle an error by its code.
    let missing = api.call("GET", &format!("{orders}/NO-SUCH-ORDER"), &[], None);
    if is_problem(&missing, "document_not_found") {
        println!("not found, as expected");
    } else {
        missing?;
    }

    // Create it again, as after a lost answer: it is still one document.
    let (again, _) = create()?;
    if again["data"]["name"] != name {
        return Err("it was created twice".into());
    }
    println!("created once");

    // List with a filter.
    let filters = encode(&json!([["customer", "=", customer]]).to_string());
    let (listed, _) = api.call("GET", &format!("{orders}?filters={filters}"), &[], None)?;
    println!("found {} with the filter", listed["data"].as_array().map_or(0, Vec::len));

    // Update it, if nobody else did since it was read.
    let (_, headers) = api.call("GET", &path, &[], None)?;
    let etag = headers.get("ETag").and_then(|etag| etag.to_str().ok()).ok_or("a document has an ETag")?;
    let update =
        |total: f64| api.call("PATCH", &path, &[("If-Match", etag)], Some(&json!({ "grand_total": total })));
    let (updated, _) = update(1300.00)?;
    println!("updated to revision {}", updated["data"]["revision"]);
    let late = update(1400.00);
    if is_problem(&late, "precondition_failed") {
        println!("somebody was quicker: read it again, and decide");
    } else {
        late?;
    }
    Ok(())
}
