//! The cache over in-process DynamoDB: which results it gives, and what that costs.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Cache, CachePolicy, Cached, Entry, Invalidation, MAX_MEMORY_BYTES, REPORT_TTL, SharedCache, Snapshot,
    Source, Versions, dynamo::DynamoCache, key, lock,
};
use crate::{
    Error, ErrorCode, Result,
    clock::ManualClock,
    documents::DocType,
    testing::{Dynamo, start},
};

/// A shared cache that counts its calls and can be told to fail.
struct Watched {
    inner: DynamoCache,
    calls: AtomicUsize,
    down: AtomicBool,
}

impl Watched {
    fn called(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        Ok(())
    }
}

#[async_trait]
impl SharedCache for Watched {
    async fn read(&self, key: &str, doctypes: &[DocType]) -> Result<Snapshot> {
        self.called()?;
        self.inner.read(key, doctypes).await
    }

    async fn versions(&self, doctypes: &[DocType]) -> Result<Versions> {
        self.called()?;
        self.inner.versions(doctypes).await
    }

    async fn claim(&self, key: &str, versions: &Versions, now: Timestamp, until: Timestamp) -> Result<bool> {
        self.called()?;
        self.inner.claim(key, versions, now, until).await
    }

    async fn put(&self, key: &str, entry: &Entry) -> Result<()> {
        self.called()?;
        self.inner.put(key, entry).await
    }
}

/// Instances that share one table, and an operation that counts how often it is computed.
struct Fleet {
    dynamo: Dynamo,
    clock: Arc<ManualClock>,
    shared: Arc<Watched>,
    instances: Vec<Cache>,
    depends_on: Vec<DocType>,
    single_flight: bool,
    computed: AtomicUsize,
}

impl Fleet {
    async fn of(instances: usize) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let inner = DynamoCache::new(dynamo.client.clone(), &dynamo.tables);
        let shared = Arc::new(Watched { inner, calls: AtomicUsize::default(), down: AtomicBool::default() });
        let instances = (0..instances).map(|_| Cache::new(shared.clone(), clock.clone())).collect();
        let depends_on = ["Sales Invoice", "Customer"].map(|name| DocType::new(name).unwrap()).to_vec();
        let computed = AtomicUsize::default();
        Self { dynamo, clock, shared, instances, depends_on, single_flight: false, computed }
    }

    fn policy(&self) -> CachePolicy<'_> {
        let Self { depends_on, single_flight, .. } = self;
        CachePolicy { name: "sales_report", ttl: REPORT_TTL, depends_on, single_flight: *single_flight }
    }

    async fn get(&self, instance: usize, result: Value) -> Cached {
        self.get_for(instance, &["ACME"], "all", result).await
    }

    async fn get_for(&self, instance: usize, arguments: &[&str], permissions: &str, result: Value) -> Cached {
        let compute = || async {
            self.computed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(result)
        };
        self.instances[instance]
            .get_or_compute(&self.policy(), arguments, permissions, compute)
            .await
            .unwrap()
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn calls(&self) -> usize {
        self.shared.calls.swap(0, Ordering::Relaxed)
    }

    fn computed(&self) -> usize {
        self.computed.swap(0, Ordering::Relaxed)
    }

    async fn changed(&self, doctype: &str) {
        let doctypes = BTreeSet::from([DocType::new(doctype).unwrap()]);
        self.shared.inner.changed(&doctypes).await.unwrap();
    }
}

#[tokio::test]
async fn a_result_is_computed_once_and_found_in_memory_and_by_other_instances() {
    let fleet = Fleet::of(2).await;
    let first = fleet.get(0, json!({"total": 1})).await;
    assert_eq!((first.source, &*first.body), (Source::Computed, "{\"total\":1}"));
    assert_eq!(fleet.calls(), 2, "a miss reads and writes");
    let again = fleet.get(0, json!(2)).await;
    assert_eq!((again.source, again.etag.clone()), (Source::Memory, first.etag.clone()));
    assert_eq!(fleet.calls(), 0);
    let other = fleet.get(1, json!(3)).await;
    assert_eq!((other.source, &other.body), (Source::Shared, &first.body));
    assert_eq!((&other.etag, other.computed_at), (&first.etag, first.computed_at));
    assert_eq!(fleet.calls(), 1);
    assert_eq!(fleet.computed(), 1);
    assert_eq!(other.value().unwrap(), json!({"total": 1}));
}

#[tokio::test]
async fn a_change_of_what_it_depends_on_drops_a_result_and_other_changes_do_not() {
    let fleet = Fleet::of(2).await;
    fleet.get(0, json!(1)).await;
    fleet.changed("Item").await;
    assert_eq!(fleet.get(1, json!(2)).await.source, Source::Shared);
    fleet.changed("Customer").await;
    fleet.pass(5);
    let fresh = fleet.get(1, json!(3)).await;
    assert_eq!((fresh.source, &*fresh.body), (Source::Computed, "3"));
    assert_eq!(&*fleet.get(0, json!(4)).await.body, "3", "its own memory is no longer trusted");
}

#[tokio::test]
async fn an_instance_believes_its_memory_for_five_seconds_and_then_asks_for_versions_only() {
    let fleet = Fleet::of(1).await;
    fleet.get(0, json!(1)).await;
    fleet.changed("Sales Invoice").await;
    fleet.pass(4);
    assert_eq!(&*fleet.get(0, json!(2)).await.body, "1");
    fleet.pass(1);
    assert_eq!(&*fleet.get(0, json!(2)).await.body, "2");
    fleet.calls();
    fleet.pass(5);
    let validated = fleet.get(0, json!(3)).await;
    assert_eq!((validated.source, &*validated.body, fleet.calls()), (Source::Memory, "2", 1));
    fleet.pass(4);
    assert_eq!(fleet.get(0, json!(3)).await.source, Source::Memory);
    assert_eq!(fleet.calls(), 0, "trusted for five seconds more");
}

#[tokio::test]
async fn a_change_during_the_computation_is_not_hidden_by_its_result() {
    let fleet = Fleet::of(2).await;
    let compute = || async {
        fleet.changed("Customer").await;
        Ok(json!("old"))
    };
    fleet.instances[0].get_or_compute(&fleet.policy(), &["ACME"], "all", compute).await.unwrap();
    assert_eq!(&*fleet.get(1, json!("new")).await.body, "\"new\"");
}

#[tokio::test]
async fn what_looks_like_nothing_is_a_result_too() {
    let fleet = Fleet::of(2).await;
    for nothing in [json!(null), json!(false), json!([]), json!({}), json!(0), json!("")] {
        let arguments = [nothing.to_string()];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fleet.get_for(0, &arguments, "all", nothing.clone()).await;
        let here = fleet.get_for(0, &arguments, "all", json!("computed again")).await;
        let there = fleet.get_for(1, &arguments, "all", json!("computed again")).await;
        assert_eq!((here.value().unwrap(), there.value().unwrap()), (nothing.clone(), nothing));
    }
    assert_eq!(fleet.computed(), 6);
}

#[tokio::test]
async fn who_may_see_something_else_or_asks_for_it_has_a_result_of_their_own() {
    let fleet = Fleet::of(1).await;
    fleet.get_for(0, &["ACME"], "all", json!(1)).await;
    assert_eq!(&*fleet.get_for(0, &["ACME"], "less", json!(2)).await.body, "2");
    assert_eq!(&*fleet.get_for(0, &["ACME", ""], "all", json!(3)).await.body, "3");
    let policy = fleet.policy();
    let keys = [
        key(&policy, &["ab", "c"], "p"),
        key(&policy, &["a", "bc"], "p"),
        key(&policy, &["abc"], "p"),
        key(&policy, &["p", "c"], "ab"),
        key(&CachePolicy { name: "other", ..policy }, &["ab", "c"], "p"),
        key(&CachePolicy { depends_on: &[], ..policy }, &["Customer", "Sales Invoice", "ab", "c"], "p"),
    ];
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[tokio::test]
async fn a_result_expires_although_dynamodb_still_has_it() {
    let fleet = Fleet::of(2).await;
    fleet.get(0, json!(1)).await;
    fleet.pass(599);
    assert_eq!(&*fleet.get(1, json!(2)).await.body, "1");
    fleet.pass(1);
    assert_eq!(&*fleet.get(1, json!(2)).await.body, "2");
    assert_eq!(&*fleet.get(0, json!(3)).await.body, "2");
}

#[tokio::test]
async fn in_an_instance_one_computes_and_the_others_wait() {
    let fleet = Fleet::of(1).await;
    let all = join_all((0..50).map(|i| fleet.get(0, json!(i)))).await;
    assert!(all.iter().all(|cached| cached.body == all[0].body));
    assert_eq!(fleet.computed(), 1);
    assert_eq!(fleet.calls(), 2);
}

#[tokio::test]
async fn with_single_flight_one_instance_computes_and_the_others_wait() {
    let mut fleet = Fleet::of(10).await;
    fleet.single_flight = true;
    let all = join_all((0..10).map(|i| fleet.get(i, json!(i)))).await;
    assert!(all.iter().all(|cached| cached.body == all[0].body));
    assert_eq!(fleet.computed(), 1);
    fleet.changed("Customer").await;
    fleet.pass(5);
    join_all((0..10).map(|i| fleet.get(i, json!(i)))).await;
    assert_eq!(fleet.computed(), 1, "the claim of other versions is in nobody's way");
}

#[tokio::test]
async fn a_lone_miss_with_single_flight_costs_three_calls() {
    let mut fleet = Fleet::of(1).await;
    fleet.single_flight = true;
    fleet.get(0, json!(1)).await;
    assert_eq!(fleet.calls(), 3);
}

#[tokio::test]
async fn a_computation_that_died_holds_nobody_up_for_longer_than_a_second() {
    let mut fleet = Fleet::of(1).await;
    fleet.single_flight = true;
    let policy = fleet.policy();
    let key = key(&policy, &["ACME"], "all");
    let until = start() + SignedDuration::from_secs(10);
    let versions = fleet.shared.inner.versions(policy.depends_on).await.unwrap();
    assert!(fleet.shared.inner.claim(&key, &versions, start(), until).await.unwrap());
    let began = std::time::Instant::now();
    assert_eq!(fleet.get(0, json!(1)).await.source, Source::Computed);
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert!(!fleet.shared.inner.claim(&key, &versions, start(), until).await.unwrap());
    assert!(fleet.shared.inner.claim(&key, &versions, until, until).await.unwrap(), "until it is over");
}

#[tokio::test]
async fn a_failure_is_returned_and_not_kept() {
    let fleet = Fleet::of(1).await;
    let fail = || async { Err(Error::unavailable("the ledger", "down")) };
    let failed = fleet.instances[0].get_or_compute(&fleet.policy(), &["ACME"], "all", fail).await;
    assert_eq!(failed.unwrap_err().code(), ErrorCode::DependencyUnavailable);
    assert_eq!(&*fleet.get(0, json!(1)).await.body, "1");
}

#[tokio::test]
async fn while_state_is_down_every_call_computes_and_few_wait_for_it() {
    let fleet = Fleet::of(1).await;
    fleet.shared.down.store(true, Ordering::Relaxed);
    for i in 0..5 {
        assert_eq!(fleet.get(0, json!(i)).await.source, Source::Computed);
    }
    assert_eq!((fleet.computed(), fleet.calls()), (5, 1));
    fleet.shared.down.store(false, Ordering::Relaxed);
    fleet.pass(5);
    fleet.get(0, json!(6)).await;
    assert_eq!(fleet.get(0, json!(7)).await.source, Source::Memory);
}

#[tokio::test]
async fn what_is_in_memory_is_not_served_beyond_five_seconds_while_state_is_down() {
    let fleet = Fleet::of(1).await;
    fleet.get(0, json!(1)).await;
    fleet.shared.down.store(true, Ordering::Relaxed);
    fleet.pass(4);
    assert_eq!(&*fleet.get(0, json!(2)).await.body, "1");
    fleet.pass(1);
    assert_eq!(&*fleet.get(0, json!(2)).await.body, "2");
}

#[tokio::test]
async fn a_result_too_large_to_share_is_kept_by_its_instance() {
    let fleet = Fleet::of(2).await;
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{state:x}")
    });
    let large = json!(noise.take(60_000).collect::<String>());
    fleet.get(0, large.clone()).await;
    assert_eq!(fleet.get(0, json!(1)).await.source, Source::Memory);
    assert_eq!(fleet.get(1, large).await.source, Source::Computed);
}

#[tokio::test]
async fn a_large_result_is_deflated_and_comes_back_as_it_was() {
    let fleet = Fleet::of(2).await;
    let rows: Vec<Value> = (0..5_000).map(|i| json!({"item": "Widget", "amount": i})).collect();
    let first = fleet.get(0, json!(rows)).await;
    let shared = fleet.get(1, json!(1)).await;
    assert_eq!((shared.source, shared.body, shared.etag), (Source::Shared, first.body, first.etag));
}

#[tokio::test]
async fn many_large_results_do_not_fill_the_memory() {
    let fleet = Fleet::of(1).await;
    fleet.shared.down.store(true, Ordering::Relaxed);
    let held = |cached: Cached| super::Held { cached, versions: Versions::default() };
    for i in 0..100 {
        let large = super::computed(&fleet.policy(), &json!("x".repeat(200_000)), start());
        fleet.instances[0].remember(&format!("{i}"), held(large), start(), Source::Computed);
    }
    assert_eq!(lock(&fleet.instances[0].memory).len(), MAX_MEMORY_BYTES / 200_003);
}

#[tokio::test]
async fn what_cannot_be_read_back_is_computed_anew() {
    let fleet = Fleet::of(2).await;
    fleet.get(0, json!(1)).await;
    let key = key(&fleet.policy(), &["ACME"], "all");
    let item = std::collections::HashMap::from(
        [("pk", format!("C#{key}")), ("sk", "C".to_owned()), ("body", "1".to_owned())]
            .map(|(name, text)| (name.to_owned(), crate::dynamo::s(text))),
    );
    let put = fleet.dynamo.client.put_item().table_name(&fleet.dynamo.tables.state).set_item(Some(item));
    put.send().await.unwrap();
    assert_eq!(&*fleet.get(1, json!(2)).await.body, "2");
}

#[tokio::test]
async fn what_depends_on_nothing_is_validated_without_a_call() {
    let mut fleet = Fleet::of(1).await;
    fleet.depends_on = Vec::new();
    fleet.get(0, json!(1)).await;
    fleet.calls();
    fleet.pass(300);
    assert_eq!(fleet.get(0, json!(2)).await.source, Source::Memory);
}

#[tokio::test]
async fn clients_are_told_to_ask_again_as_soon_as_an_instance_does() {
    let fleet = Fleet::of(1).await;
    let first = fleet.get(0, json!(1)).await;
    assert_eq!(first.cache_control(), "private, max-age=5");
    fleet.pass(3);
    let now = start() + SignedDuration::from_secs(3);
    assert_eq!(fleet.get(0, json!(2)).await.age_seconds(now), 3);
    fleet.pass(594);
    assert_eq!(fleet.get(0, json!(2)).await.cache_control(), "private, max-age=3", "not beyond its time");
}

#[tokio::test]
async fn a_change_of_many_doctypes_counts_each_up_once() {
    let fleet = Fleet::of(1).await;
    let names: Vec<DocType> = (0..20).map(|i| DocType::new(format!("Type {i}")).unwrap()).collect();
    fleet.shared.inner.changed(&names.iter().cloned().collect()).await.unwrap();
    fleet.shared.inner.changed(&BTreeSet::from([names[3].clone()])).await.unwrap();
    assert_eq!(fleet.shared.inner.versions(&names[2..5]).await.unwrap().0, "1,2,1");
    let again = [names[3].clone(), names[3].clone()];
    assert_eq!(fleet.shared.inner.versions(&again).await.unwrap().0, "2");
    let many = [names.clone(), vec![DocType::new("One more").unwrap()]].concat();
    let policy = CachePolicy { depends_on: &many, ..fleet.policy() };
    let refused = fleet.instances[0].get_or_compute(&policy, &[], "all", || async { Ok(json!(1)) }).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::InternalError);
}

/// As a route's handler asks: boxed, `Send`, with borrowed arguments.
fn handler<'a>(
    cache: &'a Cache,
    depends_on: &'a [DocType],
    company: &'a str,
) -> BoxFuture<'a, Result<Cached>> {
    Box::pin(async move {
        let policy = CachePolicy { name: "sales", ttl: REPORT_TTL, depends_on, single_flight: true };
        cache.get_or_compute(&policy, &[company], "all", || async { Ok(json!({ "company": company })) }).await
    })
}

#[tokio::test]
async fn a_handler_can_compute_from_what_it_borrows() {
    let fleet = Fleet::of(1).await;
    let company = String::from("ACME");
    let cached = handler(&fleet.instances[0], &fleet.depends_on, &company).await.unwrap();
    assert_eq!(cached.value().unwrap(), json!({ "company": "ACME" }));
}
