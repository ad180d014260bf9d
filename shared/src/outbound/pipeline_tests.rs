//! The pipeline over a transport that does as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use http::{Method, Request, Response, StatusCode};
use jiff::SignedDuration;
use tokio::time::Instant;

use super::{
    Answer, Call, CallFailure, CallLog, CallRecord, Governor, HttpProvider, Limits, Origin, Outbound,
    OutboundPolicy, Repeat, Transport, TransportError, call_log::CallOutcome,
    governor::dynamo::DynamoGovernor,
};
use crate::{
    Error, ErrorCode,
    clock::ManualClock,
    testing::{Dynamo, start},
};

/// What the transport does with a try.
enum Step {
    Answers(u16, &'static [(&'static str, &'static str)]),
    NotSent,
    Lost,
    TooLarge(u16),
    Private,
    /// Takes this long, and then answers 200.
    Takes(Duration),
}

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    sent: Mutex<Vec<(Instant, Limits)>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, _: &Request<Vec<u8>>, limits: Limits) -> Result<Response<Vec<u8>>, TransportError> {
        self.sent.lock().unwrap().push((Instant::now(), limits));
        let step = self.steps.lock().unwrap().pop_front().expect("one try more than the test has steps");
        let (status, headers) = match step {
            Step::Answers(status, headers) => (status, headers),
            Step::NotSent => return Err(TransportError::NotSent("connection refused".into())),
            Step::Lost => return Err(TransportError::Lost("connection reset".into())),
            Step::TooLarge(status) => {
                return Err(TransportError::TooLarge(StatusCode::from_u16(status).unwrap()));
            }
            Step::Private => return Err(TransportError::AddressRefused("it is private".to_owned())),
            Step::Takes(time) => {
                tokio::time::sleep(time).await;
                (200, &[][..])
            }
        };
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Ok(response.body(br#"{"access_token":"hunter2","ok":true}"#.to_vec()).unwrap())
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<CallRecord>>);

#[async_trait]
impl CallLog for Notes {
    fn note(&self, record: CallRecord) {
        self.0.lock().unwrap().push(record);
    }

    async fn flush(&self) {}
}

struct Rig {
    outbound: Outbound,
    script: Arc<Script>,
    notes: Arc<Notes>,
}

impl Rig {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Arc::new(Script { steps: Mutex::new(steps.into_iter().collect()), ..Script::default() });
        let (notes, clock) = (Arc::new(Notes::default()), Arc::new(ManualClock::at(start())));
        let governor = Arc::new(Governor::unlimited(clock.clone()));
        let outbound = Outbound::new(script.clone(), governor, notes.clone(), clock);
        Self { outbound: outbound.with_random(fastrand::Rng::with_seed(7)), script, notes }
    }

    async fn post(&self, repeat: Repeat) -> Result<Answer, CallFailure> {
        self.outbound.call(&call(Method::POST, repeat), &policy()).await
    }

    async fn get(&self) -> Result<Answer, CallFailure> {
        self.outbound.call(&call(Method::GET, Repeat::Unsafe), &policy()).await
    }

    fn tries(&self) -> usize {
        self.script.sent.lock().unwrap().len()
    }

    fn outcomes(&self) -> Vec<&'static str> {
        self.notes.0.lock().unwrap().iter().map(|record| record.outcome.as_str()).collect()
    }
}

fn policy() -> OutboundPolicy {
    OutboundPolicy::default()
}

fn call(method: Method, repeat: Repeat) -> Call {
    let request =
        Request::builder().method(method).uri("https://erp.example.com/api/resource/Item?api_key=hunter2");
    Call {
        connector: "erpnext".to_owned(),
        endpoint: "POST /api/resource/{doctype}".to_owned(),
        request: request.body(br#"{"password":"hunter2","a":1}"#.to_vec()).unwrap(),
        repeat,
        provider: &HttpProvider,
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = T>) -> T {
    Origin { owner: "evt_1".to_owned(), deadline: Instant::now() + time }.scope(work).await
}

fn withheld(result: Result<Answer, CallFailure>) -> Error {
    match result {
        Err(CallFailure::Withheld(error)) => error,
        other => panic!("not withheld: {other:?}"),
    }
}

fn failed(result: Result<Answer, CallFailure>) -> Error {
    match result {
        Err(CallFailure::Failed(error)) => error,
        other => panic!("not failed: {other:?}"),
    }
}

fn unknown(result: Result<Answer, CallFailure>) -> Error {
    match result {
        Err(CallFailure::Unknown(error)) => {
            assert_eq!(error.code(), ErrorCode::OutcomeUnknown);
            error
        }
        other => panic!("not unknown: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_certainly_changed_nothing_is_tried_again() {
    let rig = Rig::new([Step::NotSent, Step::Answers(503, &[]), Step::Answers(200, &[])]);
    let answer = rig.post(Repeat::Unsafe).await.unwrap();
    assert!(!answer.refused && !answer.after_unknown);
    assert_eq!(rig.outcomes(), ["failed", "failed", "success"]);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_tries_than_the_policy_has() {
    let rig = Rig::new([Step::NotSent, Step::NotSent, Step::NotSent]);
    let error = withheld(rig.post(Repeat::Unsafe).await);
    assert_eq!((error.code(), rig.tries()), (ErrorCode::ProviderUnavailable, 3));
    let rig = Rig::new([Step::Answers(429, &[]), Step::Answers(429, &[]), Step::Answers(429, &[])]);
    let error = failed(rig.post(Repeat::Unsafe).await);
    assert_eq!((error.code(), rig.tries()), (ErrorCode::ProviderLimited, 3));
    assert_eq!(rig.outcomes(), ["limited"; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_had_its_effect_is_repeated_only_where_that_does_no_harm() {
    for step in [|| Step::Lost, || Step::Answers(500, &[]), || Step::Answers(504, &[])] {
        let rig = Rig::new([step()]);
        unknown(rig.post(Repeat::Unsafe).await);
        assert_eq!(rig.outcomes(), ["unknown"]);
        let rig = Rig::new([step(), Step::Answers(200, &[])]);
        assert!(rig.post(Repeat::Safe).await.unwrap().after_unknown);
        let rig = Rig::new([step(), step(), step()]);
        unknown(rig.post(Repeat::Safe).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_reads_has_no_unknown_outcome() {
    let rig = Rig::new([Step::Lost, Step::Answers(502, &[]), Step::Lost]);
    let error = failed(rig.get().await);
    assert_eq!((error.code(), rig.tries()), (ErrorCode::ProviderUnavailable, 3));
    let rig = Rig::new([Step::Lost, Step::Answers(200, &[])]);
    assert!(!rig.get().await.unwrap().after_unknown);
}

#[tokio::test(start_paused = true)]
async fn one_lost_try_makes_the_call_unknown_whatever_fails_later() {
    for later in [Step::NotSent, Step::Answers(503, &[("retry-after", "60")]), Step::Private] {
        let rig = Rig::new([Step::Lost, later, Step::NotSent]);
        unknown(rig.post(Repeat::Safe).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_is_not_tried_again_and_says_if_it_may_be_an_echo() {
    for status in [400, 403, 409, 417, 302] {
        let rig = Rig::new([Step::Answers(status, &[])]);
        let answer = rig.post(Repeat::Safe).await.unwrap();
        assert!(answer.refused && !answer.after_unknown);
        assert_eq!(rig.outcomes(), ["refused"]);
    }
    let rig = Rig::new([Step::Lost, Step::Answers(409, &[])]);
    let answer = rig.post(Repeat::Safe).await.unwrap();
    assert!(answer.refused && answer.after_unknown);
}

#[tokio::test(start_paused = true)]
async fn a_short_retry_after_is_waited_for_and_a_long_one_handed_on() {
    for short in [Step::Answers(429, &[("retry-after", "1")]), Step::Answers(503, &[("retry-after", "1")])] {
        let (rig, began) = (Rig::new([short, Step::Answers(200, &[])]), Instant::now());
        rig.post(Repeat::Unsafe).await.unwrap();
        assert_eq!(began.elapsed().as_millis(), 1_000);
    }
    let dated =
        &[("date", "Sun, 22 Nov 2026 10:00:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 10:01:30 GMT")];
    for (long, seconds) in [
        (Step::Answers(429, &[("retry-after", "2")]), 2),
        (Step::Answers(503, &[("retry-after", "7200")]), 7_200),
        (Step::Answers(429, dated), 90),
    ] {
        let (rig, began) = (Rig::new([long]), Instant::now());
        let error = failed(rig.post(Repeat::Unsafe).await);
        assert_eq!(error.retry_after_seconds(), Some(seconds));
        assert_eq!((rig.tries(), began.elapsed()), (1, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_retry_after_is_waited_for_by_its_window() {
    let used_up =
        &[("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")];
    let rig = Rig::new([Step::Answers(429, used_up)]);
    assert_eq!(failed(rig.post(Repeat::Unsafe).await).retry_after_seconds(), Some(30));
}

#[tokio::test(start_paused = true)]
async fn waits_are_drawn_between_nothing_and_twice_as_much_each_time() {
    let mut longest = [Duration::ZERO; 4];
    let mut shortest = [Duration::MAX; 4];
    for seed in 0..200 {
        let rig = Rig::new([Step::NotSent, Step::NotSent, Step::NotSent, Step::NotSent, Step::NotSent]);
        let outbound = rig.outbound.with_random(fastrand::Rng::with_seed(seed));
        let mut policy = policy();
        policy.retry.attempts = 5;
        policy.retry.base_milliseconds = 200;
        withheld(outbound.call(&call(Method::POST, Repeat::Unsafe), &policy).await);
        let sent = rig.script.sent.lock().unwrap();
        for (i, pair) in sent.windows(2).enumerate() {
            longest[i] = longest[i].max(pair[1].0 - pair[0].0);
            shortest[i] = shortest[i].min(pair[1].0 - pair[0].0);
        }
    }
    for (i, most) in [200, 400, 800, 1_000].into_iter().enumerate() {
        assert!(longest[i].as_millis() <= most + 1, "{longest:?}");
        assert!(longest[i].as_millis() > most * 9 / 10, "{longest:?}");
        assert!(shortest[i].as_millis() < most / 10, "{shortest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_ends_before_the_functions_deadline() {
    let rig = Rig::new([Step::Answers(200, &[]), Step::Answers(200, &[])]);
    rig.post(Repeat::Unsafe).await.unwrap();
    within(Duration::from_secs(3), rig.post(Repeat::Unsafe)).await.unwrap();
    let totals: Vec<_> = rig.script.sent.lock().unwrap().iter().map(|(_, limits)| limits.total).collect();
    assert_eq!(totals, [Duration::from_secs(15), Duration::from_millis(2_500)]);
}

#[tokio::test(start_paused = true)]
async fn without_time_nothing_is_sent_and_nothing_tried_again() {
    let rig = Rig::new([]);
    let error = withheld(within(Duration::from_millis(700), rig.post(Repeat::Safe)).await);
    assert_eq!((error.code(), rig.outcomes()), (ErrorCode::OutOfTime, vec!["withheld"]));
    assert!(error.is_transient());
    let rig = Rig::new([Step::Takes(Duration::from_millis(500)), Step::NotSent]);
    let result = within(Duration::from_millis(1_300), async {
        rig.post(Repeat::Unsafe).await.unwrap();
        rig.post(Repeat::Unsafe).await
    });
    assert_eq!(withheld(result.await).code(), ErrorCode::ProviderUnavailable);
    assert_eq!(rig.tries(), 2, "a wait would end in the reserve");
}

#[tokio::test(start_paused = true)]
async fn a_private_address_is_not_tried_again() {
    let rig = Rig::new([Step::Private]);
    let error = withheld(rig.post(Repeat::Safe).await);
    assert_eq!((error.code(), rig.outcomes()), (ErrorCode::AddressRefused, vec!["withheld"]));
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_not_asked_for_again() {
    let rig = Rig::new([Step::TooLarge(200)]);
    let error = failed(rig.get().await);
    assert_eq!(error.code(), ErrorCode::AnswerTooLarge);
    assert!(!error.is_transient());
    let rig = Rig::new([Step::TooLarge(200)]);
    unknown(rig.post(Repeat::Safe).await);
    assert_eq!(rig.notes.0.lock().unwrap()[0].status, Some(200));
}

#[tokio::test(start_paused = true)]
async fn each_try_is_noted_for_its_owner_and_without_secrets() {
    let rig = Rig::new([Step::NotSent, Step::Takes(Duration::from_millis(40))]);
    within(Duration::from_secs(20), Origin::owned_by("evt_2", rig.post(Repeat::Unsafe))).await.unwrap();
    let notes = rig.notes.0.lock().unwrap();
    assert!(!format!("{notes:?}").contains("hunter2"), "{notes:?}");
    let [first, second] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((first.owner.as_str(), first.attempt, first.status), ("evt_2", 1, None));
    assert_eq!(first.error.as_deref().map(|error| error.ends_with("connection refused")), Some(true));
    assert_eq!((second.attempt, second.status, second.duration_ms), (2, Some(200), 40));
    assert_eq!((second.request_bytes, second.response_bytes), (28, 36));
    assert_eq!(second.request_body, r#"{"password":"[redacted]","a":1}"#);
    assert_eq!(second.url, "https://erp.example.com/api/resource/Item?api_key=%5Bredacted%5D");
}

/// Calls with a breaker of their own.
struct Governed {
    outbound: Outbound,
    script: Arc<Script>,
    notes: Arc<Notes>,
    clock: Arc<ManualClock>,
    _dynamo: Dynamo,
}

impl Governed {
    async fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let (dynamo, clock) = (Dynamo::start().await, Arc::new(ManualClock::at(start())));
        let store = Arc::new(DynamoGovernor::new(dynamo.client.clone(), &dynamo.tables));
        let script = Arc::new(Script { steps: Mutex::new(steps.into_iter().collect()), ..Script::default() });
        let notes = Arc::new(Notes::default());
        let governor = Arc::new(Governor::new(store, clock.clone()));
        let outbound = Outbound::new(script.clone(), governor, notes.clone(), clock.clone());
        Self { outbound, script, notes, clock, _dynamo: dynamo }
    }

    async fn post(&self) -> Result<Answer, CallFailure> {
        self.outbound.call(&call(Method::POST, Repeat::Unsafe), &policy()).await
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_nothing_is_sent_and_each_call_is_noted() {
    let rig = Governed::new((0..5).map(|_| Step::Lost)).await;
    for _ in 0..5 {
        unknown(rig.post().await);
    }
    let error = withheld(rig.post().await);
    assert_eq!(error.code(), ErrorCode::BreakerOpen);
    assert!(error.retry_after_seconds().is_some());
    assert_eq!(rig.script.sent.lock().unwrap().len(), 5);
    assert_eq!(rig.notes.0.lock().unwrap().last().unwrap().outcome, CallOutcome::Withheld);
}

#[tokio::test]
async fn what_opens_the_breaker_or_finds_it_open_still_is_of_the_outage() {
    let rig = Governed::new((0..6).map(|_| Step::Lost).chain([Step::Answers(403, &[])])).await;
    for n in 1..=5 {
        let error = unknown(rig.post().await);
        assert_eq!((error.connector(), error.is_in_outage()), (Some("erpnext"), n == 5), "{n}");
        assert_eq!(error.retry_after_seconds(), (n == 5).then_some(60));
    }
    assert!(withheld(rig.post().await).is_in_outage());
    rig.clock.advance(SignedDuration::from_secs(60));
    assert!(unknown(rig.post().await).is_in_outage(), "it tried, and says nothing of what it did");
    rig.clock.advance(SignedDuration::from_secs(60));
    assert!(rig.post().await.unwrap().refused, "the provider is well");
}

#[tokio::test(start_paused = true)]
async fn errors_name_connector_and_endpoint_and_no_secret() {
    let rig = Rig::new([Step::Answers(500, &[])]);
    let error = unknown(rig.post(Repeat::Unsafe).await);
    assert_eq!(error.detail(), "erpnext is not well: it answered 500 (POST /api/resource/{doctype})");
}
