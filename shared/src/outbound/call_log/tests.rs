//! The call log in DynamoDB.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{PutRequest, ReturnConsumedCapacity, WriteRequest};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    dynamo::DynamoCallLog,
    noted::{Group, Noted},
    *,
};
use crate::{
    clock::{Clock, ManualClock},
    dynamo::{Attributes, Item},
    integration_log::{IntegrationLog, by_day::Span, dynamo::DynamoLog, search_all},
    outbound::{
        Call, Governor, HttpProvider, Limits, Origin, Outbound, OutboundPolicy, Repeat, Transport,
        TransportError,
    },
    testing::{Dynamo, start},
};

/// A document as ERPNext answers with it.
fn customer() -> &'static str {
    let exchange = include_str!("../../../fixtures/erpnext/73_put_with_modified.http");
    exchange.rsplit_once("\n\n").unwrap().1
}

/// A call that went well, made for `owner`.
pub(crate) fn record(owner: &str) -> CallRecord {
    CallRecord {
        owner: owner.to_owned(),
        at: start(),
        connector: "erpnext".into(),
        endpoint: "PUT /api/resource/{doctype}/{name}".into(),
        url: "https://erp.example.com/api/resource/Sales%20Order/SAL-ORD-2026-00001".into(),
        attempt: 1,
        status: Some(200),
        duration_ms: 87,
        request_bytes: 310,
        response_bytes: 5_120,
        request_body: r#"{"delivery_date":"2026-12-01","modified":"2026-11-23 09:00:00.000000"}"#.into(),
        response_body: redacted_body(Some("application/json"), customer().as_bytes()),
        outcome: CallOutcome::Success,
        error: None,
    }
}

fn failed(owner: &str) -> CallRecord {
    CallRecord {
        status: Some(502),
        outcome: CallOutcome::Unknown,
        error: Some("the answer is 502".into()),
        ..record(owner)
    }
}

async fn log() -> (DynamoCallLog, Dynamo) {
    let dynamo = Dynamo::start().await;
    let clock = Arc::new(ManualClock::at(start()));
    (DynamoCallLog::new(dynamo.client.clone(), "logs", clock), dynamo)
}

async fn stored_items(dynamo: &Dynamo) -> Vec<Item> {
    dynamo.client.scan().table_name("logs").send().await.unwrap().items.unwrap()
}

fn later(call: CallRecord, milliseconds: i64) -> CallRecord {
    CallRecord { at: call.at + SignedDuration::from_millis(milliseconds), ..call }
}

#[tokio::test]
async fn the_calls_of_an_owner_are_read_back_in_their_order() {
    let (log, _dynamo) = log().await;
    let get = CallRecord { endpoint: "GET /api/resource/{doctype}/{name}".into(), ..record("evt_1") };
    log.note(get.clone());
    log.note(later(failed("evt_1"), 100));
    log.flush().await;
    log.note(later(record("evt_1"), 200));
    log.note(CallRecord { connector: "shop".into(), ..later(record("evt_1"), 150) });
    log.note(record("evt_2"));
    log.flush().await;
    let history = log.of("evt_1").await.unwrap();
    let shown: Vec<_> =
        history.calls.iter().map(|call| (call.connector.as_str(), call.outcome, call.status)).collect();
    assert_eq!(
        shown,
        [
            ("erpnext", CallOutcome::Success, Some(200)),
            ("erpnext", CallOutcome::Unknown, Some(502)),
            ("shop", CallOutcome::Success, Some(200)),
            ("erpnext", CallOutcome::Success, Some(200)),
        ]
    );
    let first = &history.calls[0];
    assert_eq!((&first.endpoint, &first.url, first.at), (&get.endpoint, &get.url, get.at));
    assert_eq!(first.request_body, get.request_body);
    assert_eq!(log.of("evt_3").await.unwrap(), CallHistory::default());
}

#[tokio::test]
async fn the_same_calls_flushed_at_the_same_time_as_others_replace_none_of_them() {
    let (log, dynamo) = log().await;
    for status in [200, 201, 201] {
        log.note(CallRecord { status: Some(status), ..record("evt_1") });
        log.flush().await;
    }
    assert_eq!(stored_items(&dynamo).await.len(), 2);
}

#[tokio::test]
async fn nothing_is_written_where_nothing_was_called() {
    let (log, dynamo) = log().await;
    log.flush().await;
    assert!(stored_items(&dynamo).await.is_empty());
}

#[tokio::test]
async fn an_event_with_two_calls_costs_one_write_unit_and_one_of_the_index() {
    let (log, dynamo) = log().await;
    let missing = CallRecord {
        endpoint: "GET /api/resource/{doctype}/{name}".into(),
        status: Some(404),
        outcome: CallOutcome::Refused,
        request_body: String::new(),
        response_body: r#"{"exc_type":"DoesNotExistError"}"#.into(),
        ..record("evt_0123456789abcdef0123456789abcdef")
    };
    log.note(missing.clone());
    let document = include_str!("../../../fixtures/erpnext/26_doc.http").rsplit_once("\n\n").unwrap().1;
    let response_body = redacted_body(Some("application/json"), document.as_bytes());
    assert!(response_body.len() > 4_000, "a document of some size");
    log.note(later(CallRecord { response_body, ..record(&missing.owner) }, 90));
    log.flush().await;
    let items = stored_items(&dynamo).await;
    assert_eq!(items.len(), 1);
    let line = stored::summary(&items[0]).unwrap();
    assert_eq!((line.endpoint.as_str(), line.calls), ("PUT /api/resource/{doctype}/{name}", 2));
    let weight: usize = items[0].iter().map(|(name, value)| name.len() + crate::dynamo::size(value)).sum();
    assert!((900..=1_024).contains(&weight), "{weight} bytes");
    let kept = &log.of(&missing.owner).await.unwrap().calls[1];
    assert!(kept.response_body.len() > 200 && kept.response_body.ends_with('…'), "{kept:?}");

    let mut item = items[0].clone();
    item.insert("pk".into(), crate::dynamo::s("A#evt_1"));
    let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
    let answer = dynamo
        .client
        .batch_write_item()
        .request_items("logs", vec![WriteRequest::builder().put_request(put).build()])
        .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
        .send()
        .await
        .unwrap();
    let used = &answer.consumed_capacity.unwrap()[0];
    let units = |capacity: &aws_sdk_dynamodb::types::Capacity| capacity.capacity_units.unwrap();
    assert!((units(used.table.as_ref().unwrap()) - 1.0).abs() < 0.01, "{used:?}");
    let index = &used.global_secondary_indexes.as_ref().unwrap()["by_connector_day"];
    assert!((units(index) - 1.0).abs() < 0.01, "{used:?}");
}

#[tokio::test]
async fn what_failed_keeps_more_of_its_bodies_within_a_limit() {
    let (log, dynamo) = log().await;
    let noise: String =
        (0..1_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect::<String>()[..4_000].into();
    let with_noise = |call: CallRecord| CallRecord { response_body: noise.clone(), ..call };
    log.note(with_noise(record("evt_1")));
    log.note(with_noise(failed("evt_2")));
    for at in 0..50 {
        log.note(later(with_noise(failed("evt_3")), at));
    }
    log.flush().await;
    let kept = async |owner: &str| log.of(owner).await.unwrap().calls[0].response_body.len();
    assert!(kept("evt_1").await < 1_500);
    assert_eq!(kept("evt_2").await, 4_000);
    for item in stored_items(&dynamo).await {
        let weight: usize = item.iter().map(|(name, value)| name.len() + crate::dynamo::size(value)).sum();
        assert!(weight <= 8 * 1_024, "{weight} bytes");
    }
    assert_eq!(log.of("evt_3").await.unwrap().calls.len(), 50);
}

#[tokio::test]
async fn the_attempts_of_an_event_are_listed_without_its_calls() {
    let (log, dynamo) = log().await;
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let entries = DynamoLog::new(dynamo.client.clone(), dynamo.tables.clone(), clock);
    let facts = crate::integration_log::EventFacts::of(&crate::testing::event("evt_1", &json!({})));
    let attempt = crate::integration_log::FailedAttempt {
        failure: crate::integration_log::Failure { code: "outcome_unknown".into(), detail: "lost".into() },
        started_at: start(),
        finished_at: start(),
        parked: false,
    };
    entries.record_failure(&facts, &attempt).await.unwrap();
    for at in 0..120 {
        log.note(later(failed("evt_1"), at));
        log.flush().await;
    }
    let entry = entries.get("evt_1").await.unwrap().unwrap();
    assert_eq!(entry.history.len(), 1);
    assert_eq!(log.of("evt_1").await.unwrap().calls.len(), 100, "the newest");
}

fn query(outcome: Option<CallOutcome>) -> CallQuery {
    CallQuery {
        connector: "erpnext".into(),
        from: start() - SignedDuration::from_hours(7 * 24),
        to: start() + SignedDuration::from_secs(1),
        outcome,
        limit: 7,
    }
}

async fn all(log: &DynamoCallLog, query: &CallQuery) -> Vec<String> {
    let (mut owners, mut before) = (Vec::new(), None);
    loop {
        let page = log.list(query, before.as_ref()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        owners.extend(page.items.into_iter().map(|line| line.owner));
        before = page.next_before;
        if before.is_none() {
            return owners;
        }
    }
}

#[tokio::test]
async fn lists_go_back_over_days_newest_first_by_how_calls_came_out() {
    let (log, _dynamo) = log().await;
    let mut expected = Vec::new();
    for n in 0..40i64 {
        let at: Timestamp = start() - SignedDuration::from_hours(7 * n / 2);
        let owner = format!("evt_{n:02}");
        log.note(CallRecord { at, ..record(&owner) });
        if n % 4 == 0 {
            log.note(CallRecord { at, ..failed(&owner) });
        }
        log.note(CallRecord { at, connector: "shop".into(), ..record(&owner) });
        expected.push(owner);
    }
    log.flush().await;
    assert_eq!(all(&log, &query(None)).await, expected);
    assert_eq!(all(&log, &query(Some(CallOutcome::Unknown))).await.len(), 10);
    assert_eq!(all(&log, &query(Some(CallOutcome::Success))).await.len(), 40);
    assert!(all(&log, &query(Some(CallOutcome::Limited))).await.is_empty());
    let line = &log.list(&query(None), None).await.unwrap().items[0];
    assert_eq!((line.calls, line.duration_ms, line.status), (2, 174, Some(502)));
    assert_eq!(line.outcomes, [CallOutcome::Unknown, CallOutcome::Success]);
    let connectors = ["erpnext".to_owned(), "shop".to_owned(), "quiet".to_owned()];
    let query = query(None);
    let span = Span { from: query.from, to: query.to, limit: 500 };
    let list = |connector: &str, from: Timestamp| {
        let query = CallQuery { connector: connector.to_owned(), from, limit: 500, ..query.clone() };
        let log = &log;
        async move { log.list(&query, None).await }
    };
    assert_eq!(search_all(&connectors, span, None, list).await.unwrap().items.len(), 80);
    assert_eq!(log.lines_of("evt_04").await.unwrap().len(), 2);
}

#[test]
fn what_is_omitted_is_said_with_what_is_kept() {
    let group = Group { calls: vec![record("evt_1")], omitted: 3 };
    let item = stored::item("evt_1", "erpnext", &group, start()).unwrap().unwrap();
    assert_eq!(stored::summary(&item).unwrap().calls, 4);
    assert_eq!(stored::calls(&item).unwrap().1, 3);
}

#[tokio::test]
async fn what_was_not_sent_costs_no_more_than_what_went_well() {
    let (log, dynamo) = log().await;
    let outcome = CallOutcome::Withheld;
    let request_body = (0..900u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
    log.note(CallRecord { outcome, status: None, request_body, ..record("evt_1") });
    log.flush().await;
    let item = &stored_items(&dynamo).await[0];
    let weight: usize = item.iter().map(|(name, value)| name.len() + crate::dynamo::size(value)).sum();
    assert!(weight <= 1_024, "{weight} bytes");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_holds_nothing_up_and_is_not_tried_for_ever() {
    let dynamo = Dynamo::start().await;
    let log = DynamoCallLog::new(dynamo.client.clone(), "nowhere", Arc::new(ManualClock::at(start())));
    log.note(record("evt_1"));
    log.flush().await;
    log.flush().await;
    assert!(stored_items(&dynamo).await.is_empty());
}

/// Answers everything with a token.
struct Tokens;

#[async_trait]
impl Transport for Tokens {
    async fn send(
        &self,
        _: &http::Request<Vec<u8>>,
        _: Limits,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let answer = http::Response::builder().header("content-type", "application/json");
        let body = br#"{"access_token":"hunter2","expires_in":3600,"refresh_token":"hunter2"}"#;
        Ok(answer.header("set-cookie", "sid=hunter2").body(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_call_for_a_token_is_logged_without_the_token() {
    let dynamo = Dynamo::start().await;
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(start()));
    let log = Arc::new(DynamoCallLog::new(dynamo.client.clone(), "logs", clock.clone()));
    let governor = Arc::new(Governor::unlimited(clock.clone()));
    let outbound = Outbound::new(Arc::new(Tokens), governor, log.clone(), clock);
    let request =
        http::Request::post("https://erp.example.com/api/method/frappe.integrations.oauth2.get_token")
            .header("authorization", "Basic hunter2")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(b"grant_type=authorization_code&client_id=hub&client_secret=hunter2&code=hunter2".to_vec())
            .unwrap();
    let call = Call {
        connector: "erpnext".into(),
        endpoint: "POST /api/method/frappe.integrations.oauth2.get_token".into(),
        request,
        repeat: Repeat::Unsafe,
        provider: &HttpProvider,
    };
    let origin = Origin {
        owner: "evt_1".into(),
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(30),
    };
    origin.scope(outbound.call(&call, &OutboundPolicy::default())).await.unwrap();
    log.flush().await;
    let logged = log.of("evt_1").await.unwrap().calls.remove(0);
    assert_eq!(logged.status, Some(200));
    assert!(logged.request_body.contains("client_id=hub") && logged.response_body.contains("3600"));
    assert!(!format!("{logged:?}{:?}", stored_items(&dynamo).await).contains("hunter2"), "{logged:?}");
}

/// JSON with `secret` under a name that gives it away, somewhere.
fn body_with(secret: &'static str) -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("access_token"),
        Just("client_secret"),
        Just("API-Key"),
        Just("Password"),
        Just("new_password"),
        Just("refreshToken"),
    ];
    let hidden = name.prop_map(move |name| json!({ name: secret, "name": "SO-1" }));
    hidden.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| json!({ "data": value, "doctype": "Sales Order" })),
            inner.clone().prop_map(|value| json!([1, value, null])),
            inner.prop_map(|value| json!({ "doc": value.to_string() })),
        ]
    })
}

proptest! {
    #[test]
    fn no_secret_is_stored(body in body_with("hunter2hunter2"), in_form in any::<bool>(), outcome in 0..6usize) {
        let (kind, bytes) = if in_form {
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("doc", &body.to_string())
                .append_pair("refresh_token", "hunter2hunter2")
                .append_pair("code", "hunter2hunter2")
                .finish();
            ("application/x-www-form-urlencoded", form.into_bytes())
        } else {
            ("application/json; charset=utf-8", body.to_string().into_bytes())
        };
        let url = "https://ada:hunter2hunter2@erp.example.com/api?token=hunter2hunter2&limit=1";
        let shown = redacted_body(Some(kind), &bytes);
        let call = CallRecord {
            url: redacted_url(&url.parse().unwrap()),
            request_body: shown.clone(),
            response_body: shown,
            outcome: CallOutcome::ALL[outcome],
            ..record("evt_1")
        };
        let mut noted = Noted::default();
        noted.add(call);
        let group = noted.groups.values().next().unwrap();
        let item = stored::item("evt_1", "erpnext", group, start()).unwrap().unwrap();
        let stored = format!("{item:?}{}", Attributes(&item).body("body").unwrap());
        prop_assert!(!stored.contains("hunter2"), "{}", stored);
        prop_assert!(stored.contains("erp.example.com"));
    }
}
