//! A fleet of pipelines, each with its governor, on one table; and a provider that fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use http::{Method, Request, Response};
use jiff::SignedDuration;

use super::{
    Call, Governor, HttpProvider, Limits, Outbound, OutboundPolicy, Repeat, Transport, TransportError,
    call_log::NoCallLog,
    governor::{GovernorStore, dynamo::DynamoGovernor},
};
use crate::{
    ErrorCode,
    clock::ManualClock,
    testing::{Dynamo, start},
};

const FLEET: usize = 50;
/// Requests of the fleet in a second: each instance makes one every other second.
const REQUESTS: usize = FLEET / 2;

/// A provider that can be told to fail, in all the ways there are.
#[derive(Default)]
struct Provider {
    down: AtomicBool,
    /// Of so many calls one goes well all the same; none if 0.
    well: AtomicUsize,
    calls: AtomicUsize,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl Transport for Provider {
    async fn send(&self, _: &Request<Vec<u8>>, _: Limits) -> Result<Response<Vec<u8>>, TransportError> {
        let at_once = self.under_way.fetch_add(1, Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Relaxed);
        let call = self.calls.fetch_add(1, Relaxed);
        // The others have time to come.
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.under_way.fetch_sub(1, Relaxed);
        let is_well = call.checked_rem(self.well.load(Relaxed)) == Some(0);
        let status = if is_well || !self.down.load(Relaxed) {
            200
        } else {
            match call % 4 {
                0 => return Err(TransportError::NotSent("connection refused".into())),
                1 => return Err(TransportError::Lost("connection reset".into())),
                2 => 500,
                _ => 503,
            }
        };
        Ok(Response::builder().status(status).body(Vec::new()).unwrap())
    }
}

struct Fleet {
    provider: Arc<Provider>,
    clock: Arc<ManualClock>,
    instances: Vec<Outbound>,
    table: Arc<DynamoGovernor>,
    policy: OutboundPolicy,
    call: Call,
    _dynamo: Dynamo,
}

/// What became of requests.
#[derive(Debug, Default)]
struct Counts {
    let_through: usize,
    calls: usize,
}

impl Fleet {
    async fn start() -> Self {
        let (dynamo, clock) = (Dynamo::start().await, Arc::new(ManualClock::at(start())));
        let table = Arc::new(DynamoGovernor::new(dynamo.client.clone(), &dynamo.tables));
        let provider = Arc::new(Provider::default());
        let instance = |_| {
            let governor = Arc::new(Governor::new(table.clone(), clock.clone()));
            Outbound::new(provider.clone(), governor, Arc::new(NoCallLog), clock.clone())
        };
        let mut policy = OutboundPolicy::default();
        (policy.rate.initial_per_second, policy.rate.maximum_per_second) = (100, 100);
        // Time that is waited for is real here, and does not matter.
        policy.retry.base_milliseconds = 1;
        let request = Request::builder().method(Method::POST).uri("https://shop.example.com/orders");
        let call = Call {
            connector: "shop".to_owned(),
            endpoint: "POST /orders".to_owned(),
            request: request.body(Vec::new()).unwrap(),
            repeat: Repeat::Safe,
            provider: &HttpProvider,
        };
        let instances = (0..FLEET).map(instance).collect();
        Self { provider, clock, instances, table, policy, call, _dynamo: dynamo }
    }

    /// A second: every other instance makes a request.
    async fn second(&self, number: usize) -> Counts {
        let before = self.provider.calls.load(Relaxed);
        let requests = self.instances.iter().skip(number % 2).step_by(2).map(|one| self.request(one));
        let let_through = join_all(requests).await.into_iter().filter(|was| *was).count();
        self.clock.advance(SignedDuration::from_secs(1));
        Counts { let_through, calls: self.provider.calls.load(Relaxed) - before }
    }

    /// A request; whether a call was made for it.
    async fn request(&self, instance: &Outbound) -> bool {
        match instance.call(&self.call, &self.policy).await {
            Ok(_) => true,
            // Who is not let through again after a try that failed is told so too, and does not count.
            Err(failure) => {
                let code = failure.error().code();
                !matches!(code, ErrorCode::BreakerOpen | ErrorCode::ProviderLimited)
            }
        }
    }

    async fn seconds(&self, seconds: usize) -> Counts {
        let mut sum = Counts::default();
        for number in 0..seconds {
            let second = self.second(number).await;
            sum.let_through += second.let_through;
            sum.calls += second.calls;
        }
        sum
    }

    async fn state(&self) -> &'static str {
        self.table.read("shop").await.unwrap().unwrap_or_default().breaker.state.as_str()
    }
}

#[tokio::test]
async fn in_an_outage_the_provider_gets_what_it_always_gets_and_the_budget_at_most() {
    let mut fleet = Fleet::start().await;
    // A breaker that never opens: what is left to hold the load down is the budget.
    fleet.policy.breaker.failure_percent = 100;
    let well = fleet.seconds(20).await;
    assert_eq!(well.calls, well.let_through);
    fleet.provider.well.store(40, Relaxed);
    fleet.provider.down.store(true, Relaxed);
    let mut all = 0;
    for part in 0..6 {
        let calls = fleet.seconds(10).await.calls;
        // Two that are not earned, by those who did not know yet that others failed too.
        let most = 10 * REQUESTS * 120 / 100 + 2 * usize::from(part == 0);
        assert!(calls <= most, "{calls} calls of {} requests in part {part}", 10 * REQUESTS);
        all += calls;
    }
    assert!(all * 100 > 60 * REQUESTS * 112, "and what is earned is used: {all}");
}

#[tokio::test]
async fn an_outage_ends_with_the_breaker_open_and_its_end_is_noticed_by_one_call_at_a_time() {
    let fleet = Fleet::start().await;
    fleet.seconds(20).await;
    fleet.provider.down.store(true, Relaxed);
    let mut seconds = 0;
    let mut calls = 0;
    while fleet.state().await != "open" {
        calls += fleet.second(seconds).await.calls;
        seconds += 1;
        assert!(seconds < 60);
    }
    assert!(calls <= seconds * REQUESTS * 120 / 100 + 2, "{calls} in {seconds} s");
    fleet.provider.most_at_once.store(0, Relaxed);
    let open = fleet.seconds(180).await;
    assert!((2..=3).contains(&open.calls), "{open:?}: one a minute, and no retry of it");
    assert_eq!(fleet.provider.most_at_once.load(Relaxed), 1);
    fleet.provider.down.store(false, Relaxed);
    let mut seconds = 0;
    while fleet.second(seconds).await.let_through < REQUESTS {
        seconds += 1;
        assert!(seconds <= 65, "still {}", fleet.state().await);
    }
    assert_eq!(fleet.state().await, "closed");
    // Those who claimed to try and were late have written in this slice, and in the next one shares are found anew.
    fleet.seconds(10).await;
    let minute = fleet.seconds(60).await;
    assert_eq!((minute.let_through, minute.calls), (60 * REQUESTS, 60 * REQUESTS));
}

#[tokio::test]
async fn few_calls_that_fail_have_a_retry_each_and_many_have_not() {
    let fleet = Fleet::start().await;
    fleet.provider.down.store(true, Relaxed);
    let once = async || {
        let before = fleet.provider.calls.load(Relaxed);
        assert!(fleet.request(&fleet.instances[0]).await);
        fleet.provider.calls.load(Relaxed) - before
    };
    assert_eq!(once().await, 2, "there were no calls that could have earned it");
    fleet.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(once().await, 1);
    fleet.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(once().await, 2);
}
