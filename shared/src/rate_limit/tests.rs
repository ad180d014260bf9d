//! The limiter over in-process DynamoDB: what many instances let through, and what it costs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::future::join_all;
use jiff::SignedDuration;

use super::{
    Addition, Class, Counters, Decision, FailedAuthentications, Limits, MAX_REMEMBERED, Outcome, Quota,
    RateLimiter, Refusal, Standing, dynamo::DynamoCounters, lock,
};
use crate::{
    Error, ErrorCode, Result,
    clock::ManualClock,
    testing::{Dynamo, start},
};

/// Counters that count their calls and can be told to fail.
struct Watched {
    inner: DynamoCounters,
    calls: AtomicUsize,
    down: AtomicBool,
}

#[async_trait]
impl Counters for Watched {
    async fn add(&self, addition: &Addition) -> Result<Outcome> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        self.inner.add(addition).await
    }
}

/// Instances that share one table.
struct Fleet {
    _dynamo: Dynamo,
    clock: Arc<ManualClock>,
    counters: Arc<Watched>,
    instances: Vec<Arc<RateLimiter>>,
}

impl Fleet {
    async fn of(instances: usize, limits: &str) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let inner = DynamoCounters::new(dynamo.client.clone(), &dynamo.tables);
        let counters =
            Arc::new(Watched { inner, calls: AtomicUsize::default(), down: AtomicBool::default() });
        let limits = Limits::parse(limits).unwrap();
        let new = || Arc::new(RateLimiter::new(limits.clone(), counters.clone(), clock.clone()));
        let instances = (0..instances).map(|_| new()).collect();
        Self { _dynamo: dynamo, clock, counters, instances }
    }

    fn calls(&self) -> usize {
        self.counters.calls.swap(0, Ordering::Relaxed)
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    async fn read(&self, instance: usize, user: &str) -> Decision {
        self.instances[instance].check(Class::Read, user).await.unwrap()
    }

    /// How many of `requests` at once, spread over all instances, are allowed.
    async fn storm(&self, requests: usize) -> usize {
        let limiters = self.instances.iter().cycle().take(requests);
        let decisions = join_all(limiters.map(|limiter| limiter.check(Class::Read, "ada"))).await;
        decisions.iter().filter(|decision| matches!(decision, Ok(Decision::Allowed(_)))).count()
    }
}

fn allowed(decision: Decision) -> Standing {
    match decision {
        Decision::Allowed(standing) => standing,
        Decision::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(decision: Decision) -> Refusal {
    match decision {
        Decision::Refused(refusal) => refusal,
        Decision::Allowed(standing) => panic!("{standing:?}"),
    }
}

#[tokio::test]
async fn of_many_requests_at_once_exactly_the_limit_is_allowed() {
    let fleet = Fleet::of(5, r#"{"read": {"limit": 100, "window_seconds": 300}}"#).await;
    assert_eq!(fleet.storm(300).await, 100);
    assert_eq!(fleet.storm(50).await, 0);
}

#[tokio::test]
async fn a_large_limit_is_never_exceeded_and_refuses_early_by_at_most_what_others_hold() {
    let fleet = Fleet::of(4, r#"{"read": {"limit": 1500, "window_seconds": 300}}"#).await;
    let mut sum = 0;
    for _ in 0..6 {
        sum += fleet.storm(300).await;
    }
    assert!(sum <= 1_500, "{sum}");
    assert!(sum > 1_500 - 3 * 30, "{sum}: more than three others' permits were held back");
    assert!(fleet.calls() < 90, "most requests cost no call");
    let mut rest = 0;
    for instance in 0..4 {
        while matches!(fleet.read(instance, "ada").await, Decision::Allowed(_)) {
            rest += 1;
        }
    }
    assert_eq!(sum + rest, 1_500, "what they held is used in the end");
}

#[tokio::test]
async fn a_burst_is_refused_until_its_slot_ends() {
    let fleet = Fleet::of(3, r#"{"read": {"limit": 100, "window_seconds": 300, "burst": 10}}"#).await;
    assert_eq!(fleet.storm(60).await, 10);
    let refusal = refused(fleet.read(0, "ada").await);
    assert_eq!(refusal.quota, Quota::Burst);
    assert_eq!(refusal.retry_after_seconds(), 5);
    assert_eq!(refusal.rate_limit(), "\"read-burst\";r=0;t=5");
    assert_eq!(refusal.policy(), "\"read\";q=100;w=300, \"read-burst\";q=10;w=5");
    let decision = Decision::Refused(refusal);
    assert_eq!((decision.policy(), decision.rate_limit()), (refusal.policy(), Some(refusal.rate_limit())));
    assert_eq!(decision.error().unwrap().retry_after_seconds(), Some(5));
    fleet.pass(4);
    assert_eq!(refused(fleet.read(0, "ada").await).retry_after_seconds(), 1);
    fleet.pass(1);
    assert_eq!(fleet.storm(60).await, 10, "the next slot has its own");
}

#[tokio::test]
async fn permits_of_an_earlier_slot_count_against_the_burst_but_not_twice_against_the_limit() {
    let fleet = Fleet::of(2, r#"{"read": {"limit": 2000, "window_seconds": 300, "burst": 50}}"#).await;
    let mut sum = 0;
    for slot in 0..60 {
        // Few requests in some slots leave permits over for the next.
        let got = fleet.storm(if slot % 2 == 0 { 3 } else { 200 }).await;
        assert!(got <= 50, "slot {slot}: {got}");
        sum += got;
        fleet.pass(5);
    }
    assert_eq!(sum, 30 * 3 + 30 * 50, "no slot lost a permit");
    assert_eq!(fleet.storm(10).await, 10, "a new window");
}

#[tokio::test]
async fn carried_permits_are_not_lost_between_slots() {
    let fleet = Fleet::of(1, r#"{"read": {"limit": 1200, "window_seconds": 300, "burst": 1000}}"#).await;
    let mut sum = 0;
    for _ in 0..59 {
        sum += fleet.storm(1).await;
        fleet.pass(5);
    }
    sum += fleet.storm(2_000).await;
    assert_eq!(sum, 59 + 1_000, "the last slot has its whole burst");
    assert_eq!(refused(fleet.read(0, "ada").await).quota, Quota::Burst);
}

#[tokio::test]
async fn a_window_ends_and_the_next_has_the_whole_limit() {
    let fleet = Fleet::of(2, r#"{"read": {"limit": 3, "window_seconds": 60}}"#).await;
    fleet.pass(20);
    assert_eq!(fleet.storm(9).await, 3);
    let refusal = refused(fleet.read(1, "ada").await);
    assert_eq!((refusal.quota, refusal.retry_after_seconds()), (Quota::Window, 40));
    assert_eq!(refusal.error().code(), ErrorCode::RateLimited);
    assert_eq!(refusal.error().retry_after_seconds(), Some(40));
    assert_eq!(refusal.error().detail(), "3 requests of class \"read\" in 60 s are used up");
    fleet.pass(40);
    assert_eq!(fleet.storm(9).await, 3);
}

#[tokio::test]
async fn the_headers_say_what_is_left_and_when_it_is_whole_again() {
    let fleet = Fleet::of(1, r#"{"read": {"limit": 10, "window_seconds": 300, "burst": 4}}"#).await;
    fleet.pass(122);
    let standing = allowed(fleet.read(0, "ada").await);
    assert_eq!(standing.policy(), "\"read\";q=10;w=300, \"read-burst\";q=4;w=5");
    assert_eq!(standing.rate_limit().unwrap(), "\"read\";r=9;t=178, \"read-burst\";r=3;t=3");
    let standing = allowed(fleet.read(0, "ada").await);
    assert_eq!(standing.rate_limit().unwrap(), "\"read\";r=8;t=178, \"read-burst\";r=2;t=3");
    let report = allowed(fleet.instances[0].check(Class::Admin, "ada").await.unwrap());
    assert_eq!(report.policy(), "\"admin\";q=50;w=300");
    assert_eq!(report.rate_limit().unwrap(), "\"admin\";r=49;t=178");
}

#[tokio::test]
async fn users_and_classes_are_counted_apart() {
    let fleet = Fleet::of(1, r#"{"read": {"limit": 1, "window_seconds": 60}}"#).await;
    allowed(fleet.read(0, "ada").await);
    refused(fleet.read(0, "ada").await);
    allowed(fleet.read(0, "grace").await);
    allowed(fleet.instances[0].check(Class::Report, "ada").await.unwrap());
}

#[tokio::test]
async fn a_refused_user_costs_no_call_until_there_may_be_room_again() {
    let fleet = Fleet::of(2, r#"{"read": {"limit": 2, "window_seconds": 60}}"#).await;
    allowed(fleet.read(0, "ada").await);
    allowed(fleet.read(0, "ada").await);
    assert_eq!(fleet.calls(), 2);
    for _ in 0..10 {
        refused(fleet.read(0, "ada").await);
    }
    assert_eq!(fleet.calls(), 0, "whoever used the last one knows");
    for _ in 0..10 {
        refused(fleet.read(1, "ada").await);
    }
    assert_eq!(fleet.calls(), 1, "another instance asks once");
    fleet.pass(60);
    allowed(fleet.read(1, "ada").await);
    assert_eq!(fleet.calls(), 1);
}

#[tokio::test]
async fn a_limit_to_a_thousand_costs_a_call_a_request_and_a_larger_one_a_call_a_share() {
    let fleet = Fleet::of(1, r#"{"list": {"limit": 1000, "window_seconds": 60}}"#).await;
    for _ in 0..10 {
        fleet.instances[0].check(Class::List, "ada").await.unwrap();
    }
    assert_eq!(fleet.calls(), 10);
    for _ in 0..240 {
        allowed(fleet.read(0, "ada").await);
    }
    assert_eq!(fleet.calls(), 2, "6,000 / 50 = 120 at a time");
}

#[tokio::test]
async fn while_counters_are_down_reading_goes_on_and_writing_does_not() {
    let fleet = Fleet::of(1, "{}").await;
    fleet.counters.down.store(true, Ordering::Relaxed);
    let check = |class| fleet.instances[0].check(class, "ada");
    for class in [Class::Read, Class::List, Class::Report] {
        let standing = allowed(check(class).await.unwrap());
        assert_eq!((standing.remaining, standing.rate_limit()), (None, None), "nothing was counted");
    }
    for class in [Class::Write, Class::Admin, Class::Authentication] {
        assert_eq!(check(class).await.unwrap_err().code(), ErrorCode::DependencyUnavailable);
    }
    assert_eq!(fleet.calls(), 1, "the others did not wait for it too");
    fleet.counters.down.store(false, Ordering::Relaxed);
    assert!(check(Class::Write).await.is_err(), "not asked yet");
    fleet.pass(2);
    allowed(check(Class::Write).await.unwrap());
}

#[tokio::test]
async fn permits_that_are_counted_already_outlast_an_outage() {
    let fleet = Fleet::of(1, "{}").await;
    allowed(fleet.instances[0].check(Class::Write, "ada").await.unwrap());
    fleet.counters.down.store(true, Ordering::Relaxed);
    allowed(fleet.instances[0].check(Class::Write, "ada").await.unwrap());
    fleet.pass(5);
    assert!(fleet.instances[0].check(Class::Write, "ada").await.is_err(), "the next slot has to count them");
}

#[tokio::test]
async fn many_users_do_not_fill_the_memory() {
    let fleet = Fleet::of(1, "{}").await;
    fleet.counters.down.store(true, Ordering::Relaxed);
    for user in 0..MAX_REMEMBERED + 100 {
        allowed(fleet.read(0, &format!("user-{user}")).await);
    }
    assert_eq!(lock(&fleet.instances[0].permits).len(), MAX_REMEMBERED);
    assert_eq!(lock(&fleet.instances[0].refused).len(), 0);
}

impl Fleet {
    fn doors(&self, enabled: bool) -> Vec<FailedAuthentications> {
        let door = |limiter: &Arc<RateLimiter>| {
            FailedAuthentications::new(limiter.clone(), self.clock.clone(), enabled)
        };
        self.instances.iter().map(door).collect()
    }
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_blocked_until_the_window_ends() {
    let fleet = Fleet::of(2, r#"{"authentication": {"limit": 3, "window_seconds": 300}}"#).await;
    let doors = fleet.doors(true);
    for _ in 0..3 {
        assert!(doors[0].blocked("2001:db8::1").is_none());
        assert!(doors[0].failed("2001:db8::1").await.is_none());
    }
    fleet.calls();
    let error = doors[0].blocked("2001:db8::2").unwrap();
    assert_eq!((error.code(), error.retry_after_seconds()), (ErrorCode::RateLimited, Some(300)));
    assert!(doors[0].blocked("2001:db8:0:1::1").is_none(), "another network");
    assert_eq!(fleet.calls(), 0);
    assert!(doors[1].blocked("2001:db8::1").is_none(), "another instance learns it from the next failure");
    assert_eq!(doors[1].failed("2001:db8::1").await.unwrap().code(), ErrorCode::RateLimited);
    assert!(doors[1].blocked("2001:db8::1").is_some());
    fleet.pass(300);
    assert!(doors.iter().all(|door| door.blocked("2001:db8::1").is_none()));
}

#[tokio::test]
async fn failures_that_cannot_be_counted_are_one_guess_in_five_seconds() {
    let fleet = Fleet::of(1, "{}").await;
    let doors = fleet.doors(true);
    fleet.counters.down.store(true, Ordering::Relaxed);
    assert_eq!(doors[0].failed("192.0.2.1").await.unwrap().code(), ErrorCode::DependencyUnavailable);
    assert_eq!(doors[0].blocked("192.0.2.1").unwrap().code(), ErrorCode::DependencyUnavailable);
    assert!(doors[0].blocked("192.0.2.2").is_none());
    fleet.pass(5);
    assert!(doors[0].blocked("192.0.2.1").is_none());
}

#[tokio::test]
async fn a_local_stack_counts_no_failures() {
    let fleet = Fleet::of(1, r#"{"authentication": {"limit": 1, "window_seconds": 300}}"#).await;
    let doors = fleet.doors(false);
    for _ in 0..5 {
        assert!(doors[0].failed("127.0.0.1").await.is_none() && doors[0].blocked("127.0.0.1").is_none());
    }
    assert_eq!(fleet.calls(), 0);
}
