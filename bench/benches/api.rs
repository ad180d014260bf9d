//! How long requests to the API take on the local stack, one after the other over one connection.
//!
//! Starts a stack of its own with the release functions, without rate limits that would end the run. The stand-in
//! for AWS is one Python process on the same machine: the figures compare one commit with another, they say
//! nothing about AWS. What each request costs in calls and units is the bench `units`.

use std::{
    thread,
    time::{Duration, Instant},
};

use causeway_bench::{
    Failed,
    connection::Connection,
    stack::Stack,
    table::{Table, milliseconds},
};
use serde_json::{Value, json};

/// How often each request is sent before it is measured: a function starts, connections open.
const WARM: usize = 20;
/// How many documents there are.
const DOCUMENTS: u32 = 100;
/// How long the stream may take to bring what was written to the read models.
const SETTLING: Duration = Duration::from_secs(10);
const UNLIMITED: &str = r#"RateLimits={"read": {"limit": 900000, "window_seconds": 300}, "list": {"limit": 900000, "window_seconds": 300}, "write": {"limit": 900000, "window_seconds": 300}, "report": {"limit": 900000, "window_seconds": 300}}"#;

/// A client of the stack.
struct Client {
    connection: Connection,
    host: String,
    path: String,
    key: String,
}

impl Client {
    fn of(stack: &Stack) -> Result<Self, Failed> {
        let url = stack.variable("API_URL")?;
        let rest = url.strip_prefix("http://").ok_or("the API's URL is not http")?;
        let (host, path) = rest.split_once('/').ok_or("the API's URL has no path")?;
        let key = stack.variable("API_KEY")?.to_owned();
        Ok(Self { connection: Connection::open(host)?, host: host.to_owned(), path: format!("/{path}"), key })
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> Result<u16, Failed> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\nx-api-key: {}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.path,
            self.host,
            self.key,
            body.len(),
        );
        self.connection.exchange(request.as_bytes())
    }
}

/// A kind of request, by its number in the run.
type Kind<'a> = (&'a str, u16, Box<dyn Fn(u32) -> (String, String, String, Option<Value>)>);

fn kinds() -> Vec<Kind<'static>> {
    let get = |path: &'static str| move |_| ("GET".to_owned(), path.to_owned(), String::new(), None);
    vec![
        ("one document", 200, Box::new(get("/v2/documents/Sales%20Invoice/I-1"))),
        ("20 newest documents", 200, Box::new(get("/v2/documents/Sales%20Invoice?limit=20"))),
        ("the sales report, kept", 200, Box::new(get(REPORT))),
        ("20 items, kept", 200, Box::new(get("/v2/items?limit=20"))),
        (
            "a creation",
            201,
            Box::new(|n| {
                let body = json!({ "name": format!("N-{n}"), "customer": "Nord" });
                ("POST".to_owned(), "/v2/documents/Note".to_owned(), String::new(), Some(body))
            }),
        ),
        (
            "a creation with an Idempotency-Key",
            201,
            Box::new(|n| {
                let body = json!({ "name": format!("K-{n}"), "customer": "Nord" });
                let key = format!("idempotency-key: bench-{n}\r\n");
                ("POST".to_owned(), "/v2/documents/Note".to_owned(), key, Some(body))
            }),
        ),
        (
            "frappe.client.get_list of 20",
            200,
            Box::new(get(
                "/api/method/frappe.client.get_list?doctype=Sales%20Invoice&fields=%5B%22name%22%2C%22customer%22%5D",
            )),
        ),
    ]
}

const REPORT: &str = "/v2/reports/sales?company=Bench&from_date=2026-01-01&to_date=2026-12-31";

fn prepare(client: &mut Client) -> Result<(), Failed> {
    for n in 0..DOCUMENTS {
        let invoice = json!({
            "name": format!("I-{n}"), "company": "Bench", "customer": format!("Customer {}", n % 10), "docstatus": 1,
            "posting_date": format!("2026-{:02}-05", n % 12 + 1), "base_grand_total": 100.5,
            "remarks": "x".repeat(700),
        });
        let item = json!({ "name": format!("ITEM-{n}"), "item_name": format!("Item number {n}"), "item_group": "All" });
        for (path, body) in [("/v2/documents/Sales%20Invoice", invoice), ("/v2/documents/Item", item)] {
            let status = client.send("POST", path, "", Some(&body))?;
            if status != 201 {
                return Err(format!("POST {path}: {status}").into());
            }
        }
    }
    // What the stream still brings would drop what is kept.
    thread::sleep(SETTLING);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark's output")]
fn main() -> Result<(), Failed> {
    let count: usize = std::env::var("API_REQUESTS").map_or(Ok(300), |text| text.parse())?;
    let stack = Stack::start(&[UNLIMITED])?;
    let mut client = Client::of(&stack)?;
    prepare(&mut client)?;
    let mut table = Table::new(["request", "p50 (ms)", "p99 (ms)"]);
    for (name, expected, request) in kinds() {
        // The stand-in hangs up after a thousand requests.
        client.connection = Connection::open(&client.host)?;
        let mut took = Vec::with_capacity(count);
        for n in 0..u32::try_from(count + WARM)? {
            let (method, path, headers, body) = request(n);
            let began = Instant::now();
            let status = client
                .send(&method, &path, &headers, body.as_ref())
                .map_err(|error| format!("{method} {path}: {error}"))?;
            took.push(began.elapsed());
            if status != expected {
                return Err(format!("{method} {path}: {status}").into());
            }
        }
        let mut took = took.split_off(WARM);
        took.sort_unstable();
        let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
        table.row([name.to_owned(), milliseconds(at(50)), milliseconds(at(99))]);
    }
    table.print();
    println!("{count} requests each, one after the other");
    Ok(())
}
