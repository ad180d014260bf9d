//! Bulk transactions as their callers see them, in both versions: over in-process DynamoDB, with a stand-in for the
//! worker that ends records as a test says.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::rig::{CHUNK, Site, TOKEN, asked};
use crate::{
    Error, ErrorCode,
    bulk::{
        BulkMessage, BulkStore, Claim, Claimed, Dispatcher, Ended, MAX_ATTEMPTS, MAX_RECORDS,
        MAX_REQUEST_BYTES, Pace, Record, dynamo::DynamoBulk,
    },
    clock::Clock,
    trigger::http::{Request, Response},
};

const PATH: &str = "/v2/bulk-transactions";
const PROCESSING: &str = "/api/method/erpnext.utilities.bulk_transaction.transaction_processing";
const RETRY: &str = "/api/method/erpnext.utilities.bulk_transaction.retry";

fn wanted(records: &Value) -> Value {
    json!({ "from_doctype": "Sales Order", "to_doctype": "Sales Invoice", "records": records })
}

fn names(count: usize) -> Value {
    (1..=count).map(|n| format!("SO-{n}")).collect()
}

/// Records whose names end so fail, in a way that may pass.
fn failing(endings: &'static [&'static str]) -> impl Fn(&Record) -> Ended {
    move |record| {
        if endings.iter().any(|ending| record.name.ends_with(ending)) {
            return Ended::of(&Error::new(ErrorCode::DocumentNotFound, "it is not there"));
        }
        Ended::Made(record.name.replace("SO", "SI"))
    }
}

impl Site {
    async fn post(&self, path: &str, body: Option<&Value>) -> Response {
        self.send(asked("POST", path, Some(TOKEN), body)).await
    }

    async fn accepted(&self, records: &Value) -> String {
        let answer = self.post(PATH, Some(&wanted(records))).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.body);
        answer.body["data"]["id"].as_str().unwrap().to_owned()
    }

    async fn data(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.body);
        answer.body["data"].clone()
    }

    fn store(&self) -> DynamoBulk {
        DynamoBulk::new(self.rig.dynamo.client.clone(), &self.rig.dynamo.tables)
    }

    /// Ends the chunks of a job that are not done, at most so many.
    async fn work(&self, id: &str, chunks: usize, end: impl Fn(&Record) -> Ended) {
        let (store, mut done) = (self.store(), 0);
        let job = store.job(id).await.unwrap().unwrap();
        store.started(id, self.rig.clock.now()).await.unwrap();
        for number in 0..job.chunks {
            let now = self.rig.clock.now();
            let until = now + SignedDuration::from_mins(1);
            let claim = Claim { job: id.to_owned(), number, token: "t".to_owned(), until };
            let Claimed::Ours(chunk) = store.claim(&claim, now).await.unwrap() else { continue };
            if done == chunks {
                store.give_back(&claim, false, &BTreeMap::new()).await.unwrap();
                return;
            }
            done += 1;
            self.rig.clock.advance(SignedDuration::from_secs(1));
            let ended: Vec<Ended> = chunk.records.iter().map(&end).collect();
            assert!(store.complete(&claim, &chunk.records, &ended, self.rig.clock.now()).await.unwrap());
        }
    }

    /// Plans the retry that was asked for.
    async fn plan(&self, id: &str) {
        let pace = Pace { window: 4, patience: SignedDuration::from_mins(5), chunk_size: 80 };
        let (store, queue) = (std::sync::Arc::new(self.store()), self.bulk_queue.clone());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let dispatcher = Dispatcher::new(store, queue, self.rig.clock.clone(), pace);
        dispatcher.advance(id, deadline).await.unwrap();
    }

    /// Every page of a list, and how many there were.
    async fn pages(&self, path: &str) -> (Vec<Value>, usize) {
        let (mut items, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = self.get(&format!("{path}{cursor}")).await;
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
            items.extend(answer.body["data"].as_array().unwrap().clone());
            pages += 1;
            match answer.body["page"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (items, pages),
            }
        }
    }

    /// A user who may read the one and create the other, and their key.
    async fn biller(&self, user: &str, operations: &Value) -> String {
        let documents = json!([
            { "doctype": "Sales Order", "read": true }, { "doctype": "Sales Invoice", "create": true },
        ]);
        let role = json!({ "documents": documents, "operations": operations });
        for (path, body) in
            [(format!("/v2/roles/{user}"), role), (format!("/v2/users/{user}"), json!({ "roles": [user] }))]
        {
            let answer = self.send(asked("PUT", &path, Some(TOKEN), Some(&body))).await;
            assert!(answer.status.is_success(), "{}", answer.body);
        }
        let answer = self.post("/v2/api-keys", Some(&json!({ "user": user }))).await;
        format!("token {}", answer.body["data"]["key"].as_str().unwrap().replacen('.', ":", 1))
    }
}

fn keyed(key: &str, token: &str, body: &Value) -> Request {
    let mut request = asked("POST", PATH, Some(token), Some(body));
    request.headers.insert("idempotency-key", key.parse().unwrap());
    request
}

fn counts(job: &Value) -> [u64; 5] {
    ["total", "pending", "succeeded", "failed", "cancelled"].map(|name| job["counts"][name].as_u64().unwrap())
}

fn faults(answer: &Response) -> Vec<&str> {
    answer.body["errors"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_accepted_has_an_address_and_a_message_and_is_shown_there() {
    let site = Site::start().await;
    let answer = site.post(PATH, Some(&wanted(&json!(["SO-1", { "name": "SO-2" }, "SO-1"])))).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.body);
    let job = &answer.body["data"];
    let id = job["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("{PATH}/{id}").as_str());
    assert_eq!((job["status"].as_str(), job["duplicates"].as_u64()), (Some("queued"), Some(1)));
    assert_eq!((counts(job), &job["user"]), ([2, 2, 0, 0, 0], &json!("Administrator")));
    let message = BulkMessage::Job { job: id.to_owned(), user: "Administrator".to_owned() };
    assert_eq!(site.bulk_queue.take(), [message]);
    assert_eq!(&site.data(&format!("{PATH}/{id}")).await, job);
    assert_eq!(site.data(PATH).await, json!([job]));
}

#[tokio::test]
async fn a_job_whose_message_could_not_be_sent_is_accepted_all_the_same() {
    let site = Site::start().await;
    site.bulk_queue.down.store(true, std::sync::atomic::Ordering::Relaxed);
    let id = site.accepted(&names(1)).await;
    let due = site.rig.clock.now() + SignedDuration::from_mins(2);
    assert_eq!(site.store().claim_due(due, due, 10).await.unwrap(), [id], "the sweep finds it");
}

#[tokio::test]
async fn records_may_be_an_array_or_its_text() {
    let site = Site::start().await;
    let text = json!(r#"["SO-1", {"name": "SO-2", "args": {"filtered_children": ["a"]}}]"#);
    let id = site.accepted(&text).await;
    let records = site.data(&format!("{PATH}/{id}/records")).await;
    assert_eq!(records[1]["name"], "SO-2");
    assert_eq!(
        records[0],
        json!({
            "name": "SO-1", "status": "pending", "target": null, "attempts": 1, "error": null,
            "done_at": null, "retryable": false, "retried": false,
        })
    );
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let site = Site::start().await;
    let with = |field: &str, value: Value| {
        let mut body = wanted(&names(1));
        body[field] = value;
        body
    };
    for (body, expected) in [
        (json!({}), "/from_doctype"),
        (with("more", json!(1)), "/more"),
        (with("from_doctype", json!("A#B")), "/from_doctype"),
        (with("to_doctype", json!("")), "/to_doctype"),
        (with("to_doctype", json!("Purchase Invoice")), "/to_doctype"),
        (with("from_doctype", json!("Item")), "/from_doctype"),
        (with("records", json!([])), "/records"),
        (with("records", json!(7)), "/records"),
        (with("records", json!("[\"SO-1\"")), "/records"),
        (with("records", json!(["SO-1", { "name": 7 }])), "/records/1/name"),
        (with("records", json!(["SO-1", "SO-2", { "name": "SO-3", "args": [] }])), "/records/2/args"),
    ] {
        let answer = site.post(PATH, Some(&body)).await;
        assert_eq!((answer.status.as_u16(), faults(&answer)), (400, vec![expected]), "{body}");
    }
    for (query, expected) in [
        ("status=done", "status"),
        ("from=2026-11-24T00:00:00Z", "from"),
        ("limit=501", "limit"),
        ("cursor=x", "cursor"),
        ("doctype=x", "doctype"),
    ] {
        let answer = site.get(&format!("{PATH}?{query}")).await;
        assert_eq!((answer.status.as_u16(), faults(&answer)), (400, vec![expected]), "{query}");
    }
    for date in ["yesterday", "-009999-01-01"] {
        let answer = site.post(&format!("{PATH}/retry?date={date}"), None).await;
        assert_eq!((answer.status.as_u16(), faults(&answer)), (400, vec!["date"]), "{}", answer.body);
    }
    assert!(site.bulk_queue.take().is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_anything_is_kept() {
    let site = Site::start().await;
    let many = site.post(PATH, Some(&wanted(&names(MAX_RECORDS + 1)))).await;
    assert_eq!((many.status.as_u16(), &many.body["code"]), (413, &json!("body_too_large")));
    for path in [PATH, PROCESSING] {
        let mut large = asked("POST", path, Some(TOKEN), Some(&json!({})));
        large.body = Ok(vec![b' '; MAX_REQUEST_BYTES + 1]);
        let large = site.send(large).await;
        assert_eq!((large.status.as_u16(), &large.body["code"]), (413, &json!("body_too_large")), "{path}");
    }
    assert_eq!(site.data(PATH).await, json!([]));
}

#[tokio::test]
async fn a_repeat_with_the_same_key_is_the_same_job_and_another_request_is_refused() {
    let site = Site::start().await;
    let body = wanted(&names(2));
    let first = site.send(keyed("a", TOKEN, &body)).await;
    let id = &first.body["data"]["id"];
    let again = site.send(keyed("a", TOKEN, &body)).await;
    assert_eq!((again.status.as_u16(), &again.body["data"]["id"]), (202, id));
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(site.bulk_queue.take().len(), 1);
    let other = site.send(keyed("a", TOKEN, &wanted(&names(3)))).await;
    assert_eq!((other.status.as_u16(), &other.body["code"]), (422, &json!("idempotency_key_reused")));
    let token = site.biller("kim", &json!([])).await;
    let of_another = site.send(keyed("a", &token, &body)).await;
    assert_ne!(&of_another.body["data"]["id"], id, "another user's same key is another");
    site.rig.clock.advance(SignedDuration::from_hours(25));
    assert_ne!(&site.send(keyed("a", TOKEN, &body)).await.body["data"]["id"], id, "a day later it is news");
    let invalid = site.send(keyed(" ", TOKEN, &body)).await;
    assert_eq!(faults(&invalid), ["Idempotency-Key"]);
}

#[tokio::test]
async fn who_may_not_make_it_is_refused() {
    let site = Site::start().await;
    let token = site.biller("kim", &json!([])).await;
    let mut body = wanted(&names(1));
    assert_eq!(site.send(asked("POST", PATH, Some(&token), Some(&body))).await.status.as_u16(), 202);
    body["to_doctype"] = "Delivery Note".into();
    let answer = site.send(asked("POST", PATH, Some(&token), Some(&body))).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (403, &json!("permission_denied")));
}

#[tokio::test]
async fn another_user_s_job_is_not_there() {
    let site = Site::start().await;
    let token = site.biller("kim", &json!([])).await;
    let id = site.accepted(&names(1)).await;
    for (method, below) in [("GET", ""), ("GET", "/records"), ("POST", "/cancel"), ("POST", "/retry")] {
        let answer = site.send(asked(method, &format!("{PATH}/{id}{below}"), Some(&token), None)).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (404, &json!("job_not_found")), "{below}");
    }
    let list = site.send(asked("GET", PATH, Some(&token), None)).await;
    assert_eq!(list.body, json!({ "data": [], "page": { "next": null } }));
    assert_eq!(site.data(&format!("{PATH}/{id}")).await["status"], "queued");
}

#[tokio::test]
async fn who_reads_the_logs_sees_all_jobs_and_only_who_replays_meddles_with_them() {
    let site = Site::start().await;
    let auditor = site.biller("reader", &json!(["read_operations"])).await;
    let operator = site.biller("operator", &json!(["read_operations", "replay"])).await;
    let id = site.accepted(&names(2)).await;
    site.work(&id, 1, failing(&["1"])).await;
    let ask = async |method, path: String, token: &str| {
        site.send(asked(method, &path, Some(token), None)).await.status.as_u16()
    };
    assert_eq!(ask("GET", format!("{PATH}/{id}"), &auditor).await, 200);
    for below in ["cancel", "retry"] {
        assert_eq!(ask("POST", format!("{PATH}/{id}/{below}"), &auditor).await, 403, "{below}");
    }
    let of_day = site.send(asked("POST", &format!("{PATH}/retry"), Some(&auditor), None)).await;
    assert_eq!(of_day.body["data"], json!({ "bulk_transactions": [], "next": null }));
    assert_eq!(ask("POST", format!("{PATH}/{id}/retry"), &operator).await, 202);
}

#[tokio::test]
async fn a_list_is_by_time_status_and_doctypes_newest_first() {
    let site = Site::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(site.accepted(&names(1)).await);
        site.rig.clock.advance(SignedDuration::from_secs(60));
    }
    ids.reverse();
    site.work(&ids[1], 9, failing(&[])).await;
    let body = json!({ "from_doctype": "Sales Order", "to_doctype": "Delivery Note", "records": ["SO-1"] });
    let delivery = site.post(PATH, Some(&body)).await.body["data"]["id"].clone();
    let found = async |query: &str| -> Vec<Value> {
        let (jobs, _) = site.pages(&format!("{PATH}?{query}")).await;
        jobs.iter().map(|job| job["id"].clone()).collect()
    };
    assert_eq!(found("limit=500").await.len(), 6);
    assert_eq!(found("limit=1").await, found("limit=500").await, "pages lose and repeat nothing");
    assert_eq!(found("to_doctype=Sales%20Invoice&limit=2").await, ids);
    assert_eq!(found("status=completed").await, [ids[1].as_str()]);
    assert_eq!(found("to_doctype=Delivery%20Note&from_doctype=Sales%20Order").await, [delivery]);
    assert_eq!(found("from_doctype=Quotation").await, [Value::Null; 0]);
    assert_eq!(found("from=2026-11-23T09:01:00Z&to=2026-11-23T09:02:00Z").await, [ids[3].as_str()]);
}

#[tokio::test]
async fn records_are_paged_over_chunks_with_every_attempt() {
    let site = Site::start().await;
    let id = site.accepted(&names(3 * CHUNK + 1)).await;
    site.work(&id, 3, failing(&["2", "7"])).await;
    let job = site.data(&format!("{PATH}/{id}")).await;
    assert_eq!((counts(&job), job["status"].as_str()), ([10, 1, 7, 2, 0], Some("running")));
    assert!(job["estimated_end"].is_string() && job["records_per_second"].as_f64() == Some(3.0), "{job}");
    let lines = async |query: &str| -> Vec<String> {
        let (lines, _) = site.pages(&format!("{PATH}/{id}/records?{query}")).await;
        let shown = |line: &Value| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let retried = if line["retried"] == true { " again" } else { "" };
            format!("{} {} {}{retried}", text("name"), text("status"), line["attempts"])
        };
        lines.iter().map(shown).collect()
    };
    assert_eq!(lines("limit=2").await, lines("limit=500").await);
    assert_eq!(lines("limit=1&status=failed").await, ["SO-2 failed 1", "SO-7 failed 1"]);
    assert_eq!(lines("status=pending").await, ["SO-10 pending 1"]);
    let first = site.data(&format!("{PATH}/{id}/records?limit=1")).await[0].clone();
    assert_eq!(first["done_at"], "2026-11-23T09:00:01.000000Z", "as of those that failed");
    let (failed, _) = site.pages(&format!("{PATH}/{id}/records?status=failed")).await;
    assert_eq!(
        failed[1],
        json!({
            "name": "SO-7", "status": "failed", "target": null, "attempts": 1,
            "error": { "code": "document_not_found", "detail": "it is not there" },
            "done_at": "2026-11-23T09:00:03.000000Z", "retryable": true, "retried": false,
        })
    );

    assert_eq!(site.post(&format!("{PATH}/{id}/retry"), None).await.status.as_u16(), 202);
    site.plan(&id).await;
    site.work(&id, 9, failing(&["2"])).await;
    let job = site.data(&format!("{PATH}/{id}")).await;
    assert_eq!((counts(&job), job["status"].as_str()), ([10, 0, 9, 1, 0], Some("completed_with_failures")));
    let all = lines("limit=4").await;
    assert_eq!(all.len(), 12, "a line an attempt");
    assert_eq!((all[1].as_str(), all[6].as_str()), ("SO-2 failed 1 again", "SO-7 failed 1 again"));
    assert_eq!(all[10..], ["SO-2 failed 2", "SO-7 succeeded 2"]);
    assert_eq!(lines("status=failed").await, ["SO-2 failed 2"]);
    assert_eq!(lines("status=succeeded&limit=3").await.len(), 9);
    let made = site.data(&format!("{PATH}/{id}/records?status=succeeded")).await;
    assert_eq!(made[0]["target"], json!({ "doctype": "Sales Invoice", "name": "SI-1" }));
}

#[tokio::test]
async fn what_is_cancelled_keeps_what_was_done_and_what_is_over_stays_as_it_is() {
    let site = Site::start().await;
    let id = site.accepted(&names(2 * CHUNK)).await;
    site.work(&id, 1, failing(&[])).await;
    let path = format!("{PATH}/{id}/cancel");
    let answer = site.post(&path, None).await;
    let job = &answer.body["data"];
    assert_eq!((answer.status.as_u16(), job["status"].as_str()), (200, Some("cancelled")));
    assert_eq!((counts(job), &job["cancelled_by"]), ([6, 3, 3, 0, 0], &json!("Administrator")));
    assert_eq!(site.post(&path, None).await.body, answer.body, "a repeat changes nothing");
    site.work(&id, 9, |_| Ended::Cancelled).await;
    let job = site.data(&format!("{PATH}/{id}")).await;
    assert_eq!((counts(&job), job["status"].as_str()), ([6, 0, 3, 0, 3], Some("cancelled")));
    let cancelled = site.data(&format!("{PATH}/{id}/records?status=cancelled")).await;
    assert_eq!(cancelled.as_array().unwrap().len(), 3);
    let retry = site.post(&format!("{PATH}/{id}/retry"), None).await;
    assert_eq!((retry.status.as_u16(), &retry.body["code"]), (422, &json!("job_cancelled")));

    let over = site.accepted(&names(1)).await;
    site.work(&over, 9, failing(&[])).await;
    let answer = site.post(&format!("{PATH}/{over}/cancel"), None).await;
    let job = &answer.body["data"];
    assert_eq!((answer.status.as_u16(), job["status"].as_str()), (200, Some("completed")));
    assert_eq!(job["cancelled_at"], Value::Null);
}

#[tokio::test]
async fn a_retry_is_one_however_often_it_is_asked_for_and_none_where_nothing_is_left_to_try() {
    let site = Site::start().await;
    let id = site.accepted(&names(CHUNK)).await;
    let path = format!("{PATH}/{id}/retry");
    let early = site.post(&path, None).await;
    assert_eq!((early.status.as_u16(), early.body["data"]["status"].as_str()), (200, Some("queued")));
    site.work(&id, 9, failing(&["3"])).await;
    site.bulk_queue.take();
    let first = site.post(&path, None).await;
    assert_eq!((first.status.as_u16(), first.body["data"]["status"].as_str()), (202, Some("running")));
    assert_eq!(site.post(&path, None).await.status.as_u16(), 202, "it is under way");
    assert_eq!(site.bulk_queue.take().len(), 1);
    for attempt in 2..=MAX_ATTEMPTS {
        site.plan(&id).await;
        site.work(&id, 9, failing(&["3"])).await;
        let expected = if attempt < MAX_ATTEMPTS { 202 } else { 200 };
        assert_eq!(site.post(&path, None).await.status.as_u16(), expected, "after {attempt} attempts");
    }
    let failed = site.data(&format!("{PATH}/{id}/records?status=failed")).await;
    assert_eq!((&failed[0]["attempts"], &failed[0]["retryable"]), (&json!(5), &json!(false)));
    let (attempts, _) = site.pages(&format!("{PATH}/{id}/records?limit=2")).await;
    assert_eq!(attempts.len(), 7, "the history has them all");
}

#[tokio::test]
async fn a_retry_that_is_cancelled_before_it_begins_leaves_what_failed_as_it_was() {
    let site = Site::start().await;
    let id = site.accepted(&names(CHUNK)).await;
    site.work(&id, 9, failing(&["3"])).await;
    site.post(&format!("{PATH}/{id}/retry"), None).await;
    let cancelled = site.post(&format!("{PATH}/{id}/cancel"), None).await;
    assert_eq!(cancelled.body["data"]["cancelled_by"], "Administrator");
    site.plan(&id).await;
    let job = site.data(&format!("{PATH}/{id}")).await;
    assert_eq!((counts(&job), job["status"].as_str()), ([3, 0, 2, 1, 0], Some("completed_with_failures")));
    assert_eq!(job["cancelled_at"], Value::Null, "nothing of it was cancelled");
}

#[tokio::test]
async fn what_would_fail_the_same_way_again_is_not_tried_again() {
    let site = Site::start().await;
    let id = site.accepted(&names(1)).await;
    site.work(&id, 9, |_| Ended::of(&Error::new(ErrorCode::NothingToMap, "all of it is billed"))).await;
    let answer = site.post(&format!("{PATH}/{id}/retry"), None).await;
    assert_eq!((answer.status.as_u16(), answer.body["data"]["status"].as_str()), (200, Some("failed")));
}

#[tokio::test]
async fn a_day_s_failures_are_tried_again_in_pages() {
    let site = Site::start().await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        failed.push(site.accepted(&names(1)).await);
        site.work(failed.last().unwrap(), 9, failing(&["1"])).await;
    }
    let went_well = site.accepted(&names(1)).await;
    site.work(&went_well, 9, failing(&[])).await;
    let retried = async |query: &str| -> (Vec<Value>, Value) {
        let answer = site.post(&format!("{PATH}/retry?{query}"), None).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.body);
        let data = &answer.body["data"];
        let jobs = data["bulk_transactions"].as_array().unwrap();
        assert!(jobs.iter().all(|job| job["status"] == "running"));
        (jobs.iter().map(|job| job["id"].clone()).collect(), data["next"].clone())
    };
    assert_eq!(retried("date=2026-11-22").await, (vec![], Value::Null));
    assert_eq!(retried("to_doctype=Delivery%20Note").await, (vec![], Value::Null));
    site.bulk_queue.take();
    let (first, next) = retried("date=2026-11-23&from_doctype=Sales%20Order&limit=2").await;
    assert_eq!(first, [failed[2].as_str(), failed[1].as_str()]);
    let (rest, end) = retried(&format!("date=2026-11-23&limit=2&cursor={}", next.as_str().unwrap())).await;
    assert_eq!((rest, end), (vec![json!(failed[0])], Value::Null));
    assert_eq!(site.bulk_queue.take().len(), 3);
}

fn told(answer: &Response) -> String {
    let messages: Vec<String> =
        serde_json::from_str(answer.body["_server_messages"].as_str().unwrap()).unwrap();
    let message: Value = serde_json::from_str(&messages[0]).unwrap();
    assert_eq!(message["title"], "Message");
    message["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn version_1_takes_what_erpnext_s_lists_send_and_answers_as_erpnext() {
    let site = Site::start().await;
    let text = json!(r#"[{"name": "SO-1"}, {"name": "SO-2"}]"#);
    let rows = json!([{ "name": "SO-1", "owner": "ada", "docstatus": 1 }, { "name": "SO-2", "status": "x" }]);
    for data in [text, rows] {
        let body = json!({ "data": data, "from_doctype": "Sales Order", "to_doctype": "Sales Invoice" });
        let answer = site.post(PROCESSING, Some(&body)).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
        assert_eq!(told(&answer), "Started a background job to create 2 Sales Invoice");
        assert!(answer.headers.contains_key("deprecation") && answer.body["deprecated"] == true);
        assert!(answer.body.get("message").is_none());
        let id = answer.body["jobs"][0].as_str().unwrap();
        assert_eq!(counts(&site.data(&format!("{PATH}/{id}")).await), [2, 2, 0, 0, 0]);
    }
}

#[tokio::test]
async fn version_1_refuses_as_frappe_does_and_names_its_own_arguments() {
    let site = Site::start().await;
    let send = async |data: Value, to: &str| {
        let body = json!({ "data": data, "from_doctype": "Sales Order", "to_doctype": to });
        site.post(PROCESSING, Some(&body)).await
    };
    for (data, field) in [(json!([{ "name": "SO-1" }, {}]), "/data/1/name"), (json!("x"), "/data")] {
        let answer = send(data, "Sales Invoice").await;
        assert_eq!((answer.status.as_u16(), faults(&answer)), (417, vec![field]), "{}", answer.body);
        assert_eq!(answer.body["exc_type"], "ValidationError");
    }
    assert_eq!(faults(&send(json!(["SO-1"]), "Item").await), ["/to_doctype"]);
    assert_eq!(site.post(PROCESSING, Some(&json!({}))).await.body["exc_type"], "MandatoryError");
}

#[tokio::test]
async fn version_1_tries_the_day_again_and_says_when_there_is_nothing_to_try() {
    let site = Site::start().await;
    assert_eq!(told(&site.post(RETRY, None).await), "There are no Failed transactions");
    let id = site.accepted(&names(1)).await;
    site.work(&id, 9, failing(&["1"])).await;
    let yesterday = site.post(RETRY, Some(&json!({ "date": "2026-11-22" }))).await;
    assert_eq!(
        (told(&yesterday).as_str(), &yesterday.body["jobs"]),
        ("There are no Failed transactions", &json!([]))
    );
    let answer = site.post(RETRY, Some(&json!({}))).await;
    let expected = format!("Job: {id} has been triggered for processing failed transactions");
    assert_eq!((told(&answer), &answer.body["jobs"]), (expected, &json!([id])));
    let invalid = site.post(RETRY, Some(&json!({ "date": "soon" }))).await;
    assert_eq!((invalid.status.as_u16(), faults(&invalid)), (417, vec!["/date"]));
}
