//! What was recorded of a real site, asked of this one: each recorded request gets the recorded answer. Values that
//! differ from run to run (times, random names, tokens) count as equal; all others are compared letter for letter, but
//! for those that `UNLIKE` lists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test: a panic is how it fails")]

use std::{collections::BTreeSet, path::Path};

use erpnext_site::{Effect, Fault, RateLimit, Right, Site, SiteOptions, hub, oauth_client};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

/// Fields that ERPNext works out from master data that this site does not have.
const UNLIKE: &[&str] = &[
    // `title` of an order is its template until somebody opens it; words for numbers; the text of a template.
    "in_words",
    "base_in_words",
    // Dates of the day of the recording.
    "due_date",
    "posting_date",
    "transaction_date",
    "reference_date",
    "posting_time",
    "date",
    "time",
];

/// Fields that are new in each run.
const VOLATILE: &[&str] = &[
    "creation",
    "modified",
    "exc",
    "exc_id",
    "__frappe_exc_id",
    "_exc_source",
    "access_token",
    "refresh_token",
    "id_token",
    "so_detail",
];

struct Recording {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    answer_headers: Vec<String>,
    answer: Value,
}

fn recording(file: &str) -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/erpnext").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let (request, response) = text.split_once("--- RESPONSE ---\n").unwrap();
    let (head, body) = request.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = lines.filter_map(header).collect();
    let (answer_head, answer) = response.split_once("\n\n").unwrap();
    let status = answer_head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer_headers =
        answer_head.lines().filter_map(header).map(|(name, _)| name.to_lowercase()).collect();
    let answer = serde_json::from_str(answer).unwrap_or_else(|_| json!(answer.trim()));
    Recording { method, path, headers, body: body.trim().to_owned(), status, answer_headers, answer }
}

struct Told {
    status: u16,
    headers: BTreeSet<String>,
    body: Value,
}

fn ask(site: &Site, method: &str, path: &str, headers: &[(String, String)], body: &str) -> Told {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", site.url()));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut response = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    Told {
        status: response.status().as_u16(),
        headers: response.headers().keys().map(ToString::to_string).collect(),
        body: serde_json::from_str(&text).unwrap_or_else(|_| json!(text)),
    }
}

/// The recorded request, with what was replaced by words in it put back.
fn replay(site: &Site, recording: &Recording, words: &[(&str, &str)]) -> Told {
    let filled =
        |text: &str| words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
    let headers: Vec<_> = recording
        .headers
        .iter()
        .map(|(name, value)| {
            (name.clone(), filled(&value.replace("token API_KEY:API_SECRET", &hub().token())))
        })
        .collect();
    ask(site, &recording.method, &recording.path, &headers, &filled(&recording.body))
}

/// Whether two texts say the same but for what is random in the recorded one: times, and names of ten letters and
/// digits. A name of letters alone may be a word: among what was recorded there is none.
fn is_alike(recorded: &str, told: &str) -> bool {
    let is_name =
        |word: &str| word.len() == 10 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_time = |word: &str| {
        word.starts_with("2026-") || word.split([':', '.']).all(|part| part.parse::<u32>().is_ok())
    };
    let (recorded, told): (Vec<_>, Vec<_>) = (recorded.split(' ').collect(), told.split(' ').collect());
    let is_word_alike = |(recorded, told): (&&str, &&str)| {
        let [was, is] = [recorded, told].map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
        recorded == told
            || (is_time(was) && is_time(is))
            || (is_name(was) && was.contains(|c: char| c.is_ascii_digit()) && is_name(is))
    };
    recorded.len() == told.len() && recorded.iter().zip(&told).all(is_word_alike)
}

fn compare(at: &str, recorded: &Value, told: &Value, unlike: &[&str], differences: &mut Vec<String>) {
    match (recorded, told) {
        (Value::Object(recorded), Value::Object(told)) => {
            let keys = |of: &Map<String, Value>| {
                of.keys().filter(|key| !key.starts_with("__")).cloned().collect::<BTreeSet<_>>()
            };
            for key in keys(recorded).symmetric_difference(&keys(told)) {
                let side = if told.contains_key(key) { "only here" } else { "missing" };
                differences.push(format!("{at}.{key}: {side}"));
            }
            for (key, recorded) in recorded.iter().filter(|(key, _)| !key.starts_with("__")) {
                let known = VOLATILE.contains(&key.as_str()) || unlike.contains(&key.as_str());
                if let Some(told) = told.get(key) {
                    if key == "_server_messages" {
                        compare(
                            &format!("{at}.{key}"),
                            &unpacked(recorded),
                            &unpacked(told),
                            unlike,
                            differences,
                        );
                    } else if !known {
                        compare(&format!("{at}.{key}"), recorded, told, unlike, differences);
                    }
                }
            }
        }
        (Value::Array(recorded), Value::Array(told)) => {
            if recorded.len() != told.len() {
                differences.push(format!("{at}: {} entries, not {}", told.len(), recorded.len()));
            }
            for (index, (recorded, told)) in recorded.iter().zip(told).enumerate() {
                compare(&format!("{at}[{index}]"), recorded, told, unlike, differences);
            }
        }
        (Value::String(recorded), Value::String(told)) => {
            if !is_alike(recorded, told) {
                differences.push(format!("{at}: {told:?}, not {recorded:?}"));
            }
        }
        (recorded, told) => {
            if recorded != told {
                differences.push(format!("{at}: {told}, not {recorded}"));
            }
        }
    }
}

/// `_server_messages` is JSON in JSON.
fn unpacked(messages: &Value) -> Value {
    let entries: Vec<String> = serde_json::from_str(messages.as_str().unwrap()).unwrap();
    entries.iter().map(|entry| serde_json::from_str::<Value>(entry).unwrap()).collect()
}

fn same_answer(site: &Site, file: &str, words: &[(&str, &str)], unlike: &[&str]) -> Value {
    let recording = recording(file);
    let told = replay(site, &recording, words);
    assert_eq!(told.status, recording.status, "{file}: {}", told.body);
    for header in &recording.answer_headers {
        assert!(told.headers.contains(header), "{file}: no {header}");
    }
    let unlike: Vec<&str> = UNLIKE.iter().chain(unlike).copied().collect();
    let mut differences = Vec::new();
    compare("", &recording.answer, &told.body, &unlike, &mut differences);
    assert!(differences.is_empty(), "{file}:\n{}", differences.join("\n"));
    told.body
}

/// The site as it was when the recordings began, with so many orders.
fn site(orders: usize) -> Site {
    let user = hub().without("ToDo", Right::Delete);
    let mut options = SiteOptions { users: vec![user], ..SiteOptions::default() };
    options.time_zone = "Asia/Kolkata".into();
    let site = Site::start(options).unwrap();
    site.stop_time_at("2026-11-22T13:33:54.842265Z".parse().unwrap());
    for order in 0..orders {
        site.advance(SignedDuration::from_millis(2300));
        let mut fields: Value =
            serde_json::from_str(&recording("06_create_submit_sales_order.http").body).unwrap();
        fields["customer"] = json!(format!("Hub Customer {}", order % 5));
        fields["po_no"] = json!(format!("PO-b-{}", (order + 5) % 10));
        site.insert("Sales Order", fields).unwrap();
    }
    site
}

#[test]
fn orders_are_made_and_read_as_recorded() {
    let empty = site(0);
    same_answer(&empty, "06_create_submit_sales_order.http", &[], &["status"]);
    let site = site(25);
    let whose = ["owner", "modified_by", "po_no"];
    same_answer(&site, "26_doc.http", &[], &whose);
    same_answer(&site, "27_v2_doc.http", &[], &whose);
}

#[test]
fn lists_are_as_recorded() {
    let site = site(25);
    same_answer(&site, "22_list_default.http", &[], &[]);
    same_answer(&site, "23_v2_list.http", &[], &[]);
    same_answer(&site, "20_list_modified_gt.http", &[], &["customer", "name", "grand_total"]);
    same_answer(&site, "21_list_keyset.http", &[], &["name"]);
    same_answer(&site, "71_err_bad_field.http", &[], &[]);
    same_answer(&site, "57_err_404_doctype.http", &[], &[]);
    let job = json!({
        "from_doctype": "Sales Order", "transaction_name": "SAL-ORD-2026-00004", "to_doctype": "Purchase Invoice",
        "transaction_status": "Failed", "error_description": "<traceback>", "retried": 1,
    });
    site.insert("Bulk Transaction Log Detail", job).unwrap();
    same_answer(&site, "19_bulk_log_detail.http", &[], &["name", "owner", "modified_by"]);
}

#[test]
fn an_order_becomes_an_invoice_as_recorded() {
    let site = site(5);
    same_answer(&site, "30_make_sales_invoice.http", &[], &["po_no"]);
    same_answer(&site, "33_get_payment_entry.http", &[], &[]);
    let inserted = same_answer(&site, "34_client_insert.http", &[], &["name", "parent"]);
    let name = inserted["message"]["name"].as_str().unwrap().to_owned();
    let modified = inserted["message"]["modified"].as_str().unwrap().to_owned();
    let words = [("ACC-SINV-2026-00106", name.as_str()), ("2026-11-22 19:06:53.190300", modified.as_str())];
    let unlike = ["name", "parent"];
    same_answer(&site, "35_client_submit.http", &words, &unlike);
    site.advance(SignedDuration::from_secs(1));
    same_answer(&site, "36_client_submit_stale.http", &words, &[]);
    for file in ["10_bulk_transaction_processing.http", "11_bulk_repeat.http", "13_bulk_with_failures.http"] {
        same_answer(&site, file, &[], &[]);
    }
}

#[test]
fn changes_are_locked_as_recorded() {
    let site = site(0);
    let stored = site.document("Customer", "Hub Customer 1").unwrap();
    let modified = stored["modified"].as_str().unwrap();
    let words = [("2026-11-22 19:03:53.196669", modified)];
    site.advance(SignedDuration::from_secs(1));
    same_answer(&site, "73_put_with_modified.http", &words, &["owner"]);
    site.advance(SignedDuration::from_secs(1));
    same_answer(&site, "74_put_stale_modified.http", &words, &[]);
}

#[test]
fn refusals_are_as_recorded() {
    let site = site(0);
    site.put("ToDo", "3qo42m56n7", json!({ "name": "3qo42m56n7", "docstatus": 0 }));
    site.prepare("Sales Invoice");
    let first = json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co", "causeway_id": "job1/rec1",
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 1, "rate": 10 }],
    });
    site.insert("Sales Invoice", first).unwrap();
    let words = [("ACC-SINV-2026-01386", "ACC-SINV-2026-00002")];
    let recorded = recording("41_unique_custom_field_repeat.http");
    let told = replay(&site, &recorded, &[]);
    let exception = recorded.answer["exception"].as_str().unwrap().replace(words[0].0, words[0].1);
    assert_eq!((told.status, told.body["exception"].as_str()), (417, Some(exception.as_str())));
    for file in [
        "40_insert_many_one_bad.http",
        "50_err_bad_token.http",
        "52_err_no_auth.http",
        "56_err_404_doc.http",
        "59_err_method_missing.http",
        "60_err_not_whitelisted.http",
        "63_err_409_dup.http",
        "64_err_417_mandatory.http",
        "65_err_417_link.http",
        "68_v2_err_404.http",
        "69_v2_err_417.http",
        "70_v2_err_403.http",
        "78_delete.http",
    ] {
        let unlike: &[&str] = if file.starts_with('7') { &["exception"] } else { &[] };
        same_answer(&site, file, &[], unlike);
    }
    assert_eq!(site.count("ToDo"), 1, "one bad document of many takes the good ones back");
}

#[test]
fn a_budget_of_time_is_announced_and_kept_as_recorded() {
    let rate_limit = Some(RateLimit { limit_micros: 50_000, window_seconds: 30, cost_micros: 50_000 });
    let site = Site::start(SiteOptions { rate_limit, ..SiteOptions::default() }).unwrap();
    site.stop_time_at("2026-11-22T13:33:30Z".parse().unwrap());
    same_answer(&site, "85_rate_limit_00.http", &[], &[]);
    same_answer(&site, "86_rate_limit_429_text.http", &[], &[]);
    same_answer(&site, "87_rate_limit_429_v2.http", &[], &["exception"]);
    site.advance(SignedDuration::from_secs(30));
    same_answer(&site, "85_rate_limit_00.http", &[], &[]);
}

#[test]
fn tokens_are_given_and_rotated_as_recorded() {
    let site = site(0);
    let client = oauth_client();
    let code = site.authorization_code(&client.id);
    let words = |refresh: &str| {
        vec![
            ("CODE", code.clone()),
            ("CLIENT_ID", client.id.clone()),
            ("CLIENT_SECRET", client.secret.clone()),
            ("REFRESH_TOKEN", refresh.to_owned()),
        ]
    };
    let refer = |words: &[(&'static str, String)]| {
        words.iter().map(|(word, value)| (*word, value.clone())).collect::<Vec<(&str, String)>>()
    };
    let call = |file: &str, refresh: &str| {
        let words = refer(&words(refresh));
        let words: Vec<(&str, &str)> = words.iter().map(|(word, value)| (*word, value.as_str())).collect();
        same_answer(&site, file, &words, &[])
    };
    let first = call("A3_oauth_token.http", "");
    call("A4_oauth_token_code_reuse.http", "");
    let refresh = first["refresh_token"].as_str().unwrap().to_owned();
    let second = call("A6_oauth_refresh.http", &refresh);
    let recorded = recording("A6_oauth_refresh.http");
    let words = words(&refresh);
    let words: Vec<(&str, &str)> = words.iter().map(|(word, value)| (*word, value.as_str())).collect();
    let again = replay(&site, &recorded, &words);
    assert_eq!((again.status, again.body), (400, json!({ "error": "invalid_grant" })));
    let bearer =
        |token: &Value| vec![("Authorization".to_owned(), format!("Bearer {}", token.as_str().unwrap()))];
    let told =
        ask(&site, "GET", "/api/method/frappe.auth.get_logged_user", &bearer(&second["access_token"]), "");
    assert_eq!(told.body, json!({ "message": hub().name }));
    site.expire_access_tokens();
    let told =
        ask(&site, "GET", "/api/method/frappe.auth.get_logged_user", &bearer(&second["access_token"]), "");
    assert_eq!(told.status, 401);
}

#[test]
fn a_fault_is_not_mistaken_for_an_answer() {
    let site = site(0);
    site.fault(Fault::new(Effect::LockWait).once());
    let told = replay(&site, &recording("56_err_404_doc.http"), &[]);
    assert_eq!((told.status, told.body["exc_type"].as_str()), (500, Some("QueryTimeoutError")));
    same_answer(&site, "56_err_404_doc.http", &[], &[]);
}
