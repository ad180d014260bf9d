//! The Integration Log in DynamoDB.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{dynamo::DynamoLog, *};
use crate::{
    clock::ManualClock,
    testing::{Dynamo, start},
};

async fn log() -> (DynamoLog, Dynamo) {
    let dynamo = Dynamo::start().await;
    let clock = Arc::new(ManualClock::at(start()));
    (DynamoLog::new(dynamo.client.clone(), dynamo.tables.clone(), clock), dynamo)
}

fn facts(id: &str, received_at: Timestamp) -> EventFacts {
    EventFacts {
        id: id.into(),
        connector: "shop".into(),
        event: "order".into(),
        secret: "current".into(),
        received_at,
        body_bytes: 5_000,
        redacted_body: "{\"a\": \"…\"}".repeat(500),
    }
}

fn completion(facts: EventFacts, status: EventStatus) -> EventCompletion {
    EventCompletion {
        facts,
        status,
        document: Some(DocumentKey::new("Order", "O-1").unwrap()),
        error: None,
        started_at: start(),
        finished_at: start() + SignedDuration::from_millis(42),
        release_parked: false,
    }
}

fn failed(parked: bool) -> FailedAttempt {
    FailedAttempt {
        failure: Failure { code: "dependency_unavailable".into(), detail: "down".into() },
        started_at: start(),
        finished_at: start(),
        parked,
    }
}

#[tokio::test]
async fn an_entry_tells_the_whole_life_of_an_event() {
    let (log, _dynamo) = log().await;
    let facts = facts("evt_1", start());
    assert_eq!(log.record_failure(&facts, &failed(false)).await.unwrap(), Counted::Attempts(1));
    assert_eq!(log.record_failure(&facts, &failed(false)).await.unwrap(), Counted::Attempts(2));
    assert_eq!(log.finish(&completion(facts.clone(), EventStatus::Done)).await.unwrap(), Recorded::Now);
    let entry = log.get("evt_1").await.unwrap().unwrap();
    assert_eq!(entry.facts, facts);
    assert_eq!((entry.status, entry.attempts, entry.duration_ms), (EventStatus::Done, 3, 42));
    assert_eq!((entry.history.len(), entry.error), (2, None));
    assert_eq!(log.get("evt_2").await.unwrap(), None);
}

#[tokio::test]
async fn an_entry_stays_within_one_write_unit_by_cutting_the_body() {
    let (log, dynamo) = log().await;
    let noise: String = (0..1_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
    let long = EventFacts {
        redacted_body: format!("{{\"a\": \"{noise}\"}}"),
        ..facts(&"evt_long_id".repeat(3), start())
    };
    log.record_failure(&long, &failed(false)).await.unwrap();
    let mut ended = completion(long.clone(), EventStatus::Rejected);
    ended.error = Some(Failure { code: "docstatus_forbids".into(), detail: "it is submitted".into() });
    log.finish(&ended).await.unwrap();
    let items = dynamo.client.scan().table_name("logs").send().await.unwrap().items.unwrap();
    let entry = items.into_iter().find(|item| item["sk"].as_s().is_ok_and(|sk| sk == "E")).unwrap();
    let bytes: usize = entry.iter().map(|(name, value)| name.len() + crate::dynamo::size(value)).sum();
    assert!((900..=1_024).contains(&bytes), "{bytes} bytes");
    let kept = log.get(&long.id).await.unwrap().unwrap().facts.redacted_body;
    assert!(kept.ends_with('…') && long.redacted_body.starts_with(kept.trim_end_matches('…')), "{kept}");
}

#[tokio::test]
async fn what_has_ended_is_never_reopened() {
    let (log, _dynamo) = log().await;
    let facts = facts("evt_1", start());
    for status in EventStatus::ALL.into_iter().filter(|status| status.is_final()) {
        let facts = EventFacts { id: format!("evt_{}", status.as_str()), ..facts.clone() };
        assert_eq!(log.finish(&completion(facts.clone(), status)).await.unwrap(), Recorded::Now);
        assert_eq!(
            log.finish(&completion(facts.clone(), EventStatus::Rejected)).await.unwrap(),
            Recorded::Before
        );
        assert_eq!(log.record_failure(&facts, &failed(true)).await.unwrap(), Counted::Ended);
        assert!(!log.mark(&facts, EventStatus::Dead, None).await.unwrap());
        let entry = log.get(&facts.id).await.unwrap().unwrap();
        assert_eq!((entry.status, entry.attempts), (status, 1));
    }
}

#[tokio::test]
async fn what_is_parked_ends_only_with_its_parked_item() {
    let (log, _dynamo) = log().await;
    let facts = facts("evt_1", start());
    assert!(log.mark(&facts, EventStatus::Dead, None).await.unwrap());
    let mut ended = completion(facts.clone(), EventStatus::Ignored);
    assert_eq!(log.finish(&ended).await.unwrap(), Recorded::Parked);
    assert_eq!(log.record_failure(&facts, &failed(false)).await.unwrap(), Counted::Parked);
    ended.release_parked = true;
    assert_eq!(log.finish(&ended).await.unwrap(), Recorded::Now);
    assert_eq!(log.finish(&ended).await.unwrap(), Recorded::Before);
}

fn query() -> LogQuery {
    LogQuery {
        connector: "shop".into(),
        from: start() - SignedDuration::from_hours(24 * 7),
        to: start() + SignedDuration::from_secs(1),
        status: None,
        document: None,
        limit: 7,
    }
}

async fn all(log: &DynamoLog, query: &LogQuery) -> Vec<String> {
    let mut ids = Vec::new();
    let mut before = None;
    loop {
        let page = log.list(query, before.as_ref()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        ids.extend(page.items.into_iter().map(|entry| entry.id));
        before = page.next_before;
        if before.is_none() {
            return ids;
        }
    }
}

#[tokio::test]
async fn lists_go_back_over_days_newest_first_without_loss() {
    let (log, _dynamo) = log().await;
    let mut expected = Vec::new();
    for n in 0..40i64 {
        // Ten a day, two at each moment.
        let at = start() - SignedDuration::from_hours(24 * (n / 10)) - SignedDuration::from_mins(n % 10 / 2);
        let id = format!("evt_{n:02}");
        let status = if n % 4 == 0 { EventStatus::Rejected } else { EventStatus::Done };
        let mut ended = completion(facts(&id, at), status);
        if n % 5 != 0 {
            ended.document = None;
        }
        log.finish(&ended).await.unwrap();
        expected.push((at, id));
    }
    expected.sort();
    expected.reverse();
    let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(all(&log, &query()).await, expected);
    let rejected = LogQuery { status: Some(EventStatus::Rejected), ..query() };
    assert_eq!(all(&log, &rejected).await.len(), 10);
    let of_document = LogQuery { document: Some(DocumentKey::new("Order", "O-1").unwrap()), ..query() };
    assert_eq!(all(&log, &of_document).await.len(), 8);
    let yesterday = LogQuery {
        to: start() - SignedDuration::from_hours(12),
        from: start() - SignedDuration::from_hours(36),
        ..query()
    };
    assert_eq!(all(&log, &yesterday).await.len(), 10);
    let other = LogQuery { connector: "other".into(), ..query() };
    assert!(all(&log, &other).await.is_empty());
}

#[tokio::test]
async fn a_search_over_more_days_than_one_looks_into_goes_on_where_it_ended() {
    let (log, _dynamo) = log().await;
    let connectors: Vec<String> =
        std::iter::once("shop".to_owned()).chain((1..80).map(|n| format!("quiet-{n}"))).collect();
    for days in [0, 4] {
        let at = start() - SignedDuration::from_hours(24 * days);
        log.finish(&completion(facts(&format!("evt_{days}"), at), EventStatus::Done)).await.unwrap();
    }
    let wanted = LogQuery { from: start() - SignedDuration::from_hours(24 * 5), ..query() };
    let (mut found, mut pages, mut before) = (Vec::new(), 0, None);
    loop {
        let page = search(&log, &connectors, &wanted, before.as_ref()).await.unwrap();
        found.extend(page.items.into_iter().map(|entry| entry.id));
        pages += 1;
        match page.next_before {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(found, ["evt_0", "evt_4"]);
    assert_eq!(pages, 2, "three days of eighty connectors a search");
}
