//! Instances on one table, what they ask of it counted, and a provider that can be told how to be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::SignedDuration;

use crate::{
    Error, ErrorCode, Result,
    clock::{Clock, ManualClock},
    outbound::{
        OutboundPolicy,
        governor::{
            Addition, Change, Changed, Governor, GovernorStore, Outcome, OutcomeKind, Passage, Permit,
            Shared, dynamo::DynamoGovernor, shared::slice_at,
        },
    },
    testing::{Dynamo, start},
};

/// The connector.
pub const SHOP: &str = "shop";

/// A store of one instance that counts, and can be told to fail.
pub struct Counted {
    inner: Arc<dyn GovernorStore>,
    clock: Arc<ManualClock>,
    pub reads: AtomicUsize,
    /// Additions by slice.
    pub additions: Mutex<BTreeMap<i64, usize>>,
    /// Changes that were made, and those that were refused.
    pub changes: Mutex<Vec<(bool, Change)>>,
    pub down: AtomicBool,
    /// The breaker cannot be changed.
    pub down_for_changes: AtomicBool,
}

impl Counted {
    fn new(inner: Arc<dyn GovernorStore>, clock: Arc<ManualClock>) -> Self {
        Self {
            inner,
            clock,
            reads: AtomicUsize::default(),
            additions: Mutex::default(),
            changes: Mutex::default(),
            down: AtomicBool::default(),
            down_for_changes: AtomicBool::default(),
        }
    }

    fn up(&self) -> Result<()> {
        if self.down.load(Relaxed) { Err(Error::unavailable("DynamoDB", "told to fail")) } else { Ok(()) }
    }

    pub fn writes(&self) -> usize {
        self.additions.lock().unwrap().values().sum::<usize>() + self.changes.lock().unwrap().len()
    }
}

#[async_trait]
impl GovernorStore for Counted {
    async fn read(&self, connector: &str) -> Result<Option<Shared>> {
        self.up()?;
        self.reads.fetch_add(1, Relaxed);
        self.inner.read(connector).await
    }

    async fn add(&self, connector: &str, addition: &Addition) -> Result<Shared> {
        self.up()?;
        *self.additions.lock().unwrap().entry(slice_at(self.clock.now())).or_default() += 1;
        self.inner.add(connector, addition).await
    }

    async fn change(&self, connector: &str, change: &Change) -> Result<Changed> {
        self.up()?;
        if self.down_for_changes.load(Relaxed) {
            return Err(Error::unavailable("DynamoDB", "told to fail"));
        }
        let changed = self.inner.change(connector, change).await?;
        self.changes.lock().unwrap().push((changed.made, change.clone()));
        Ok(changed)
    }

    async fn remember(&self, connector: &str, change: &Change) -> Result<()> {
        self.up()?;
        self.inner.remember(connector, change).await
    }

    async fn history(&self, connector: &str) -> Result<Vec<Passage>> {
        self.up()?;
        self.inner.history(connector).await
    }
}

/// One instance.
pub struct Instance {
    pub governor: Governor,
    pub store: Arc<Counted>,
    clock: Arc<ManualClock>,
}

/// All instances.
pub struct Fleet {
    pub instances: Vec<Instance>,
    /// The true time.
    pub clock: Arc<ManualClock>,
    pub policy: OutboundPolicy,
    pub table: Arc<DynamoGovernor>,
    pub dynamo: Dynamo,
}

impl Fleet {
    pub async fn of(size: usize) -> Self {
        Self::off_by(std::iter::repeat_n(0, size)).await
    }

    /// Instances whose clocks are off by so many milliseconds each.
    pub async fn off_by(offsets: impl IntoIterator<Item = i64>) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let table = Arc::new(DynamoGovernor::new(dynamo.client.clone(), &dynamo.tables));
        let instance = |offset| {
            let clock = Arc::new(ManualClock::at(start() + SignedDuration::from_millis(offset)));
            let store = Arc::new(Counted::new(table.clone(), clock.clone()));
            Instance { governor: Governor::new(store.clone(), clock.clone()), store, clock }
        };
        let instances = offsets.into_iter().map(instance).collect();
        Self { instances, clock, policy: OutboundPolicy::default(), table, dynamo }
    }

    pub fn advance(&self, milliseconds: i64) {
        let clocks = self.instances.iter().map(|instance| &instance.clock);
        for clock in clocks.chain([&self.clock]) {
            clock.advance(SignedDuration::from_millis(milliseconds));
        }
    }

    pub fn slice(&self) -> i64 {
        slice_at(self.clock.now())
    }

    /// Leave for a call of the instance.
    pub async fn admit(&self, instance: usize) -> Result<Permit> {
        self.instances[instance].governor.admit(SHOP, &self.policy).await
    }

    /// A call of the instance that goes as `kind`; the error if it was not let through.
    pub async fn call(&self, instance: usize, kind: OutcomeKind) -> Result<()> {
        let permit = self.admit(instance).await?;
        self.report(instance, permit, kind).await;
        Ok(())
    }

    pub async fn report(&self, instance: usize, permit: Permit, kind: OutcomeKind) {
        let outcome = Outcome { kind, took: Duration::from_millis(100), rate: None };
        self.instances[instance].governor.report(permit, &self.policy, outcome).await;
    }

    /// What is shared.
    pub async fn shared(&self) -> Shared {
        self.table.read(SHOP).await.unwrap().unwrap_or_default()
    }

    /// The rate, in calls per 1,000 seconds.
    pub async fn rate(&self) -> u64 {
        self.shared().await.rate(self.slice(), &self.policy.rate).milli
    }

    /// The breaker's state.
    pub async fn state(&self) -> &'static str {
        self.shared().await.breaker.state.as_str()
    }

    /// The instance fails until the breaker opens.
    pub async fn break_it(&self, instance: usize) {
        for _ in 0..200 {
            match self.call(instance, OutcomeKind::Failed).await {
                Err(error) if error.code() == ErrorCode::BreakerOpen => break,
                Err(_) => self.advance(500),
                Ok(()) => {}
            }
        }
        assert_eq!(self.state().await, "open");
    }

    /// That no instance wrote more than once in a slice, but for changes of the breaker. A claim that another one was
    /// quicker with changed nothing: it counts.
    pub fn assert_one_write_a_slice(&self) {
        for instance in &self.instances {
            let mut writes = instance.store.additions.lock().unwrap().clone();
            for (made, change) in instance.store.changes.lock().unwrap().iter() {
                if !made && change.to.as_str() == "half_open" {
                    *writes.entry(slice_at(change.at)).or_default() += 1;
                }
            }
            assert!(writes.values().all(|count| *count == 1), "{writes:?}");
        }
    }
}
