//! What an instance remembers of what it read: users, roles, keys, each for a short while.
//!
//! Who asks for a name while it is being read waits for that one read. That there is nothing of a name is remembered
//! as well, for a shorter while and apart from what is known: a scan of random names neither fills the memory, nor drives
//! out what is in use, nor makes us read the same one each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{Result, bounded::Bounded, clock::Clock};

/// How long what was read is used without asking again.
pub const TTL: SignedDuration = SignedDuration::from_secs(30);
/// How long it is remembered that there is nothing.
const UNKNOWN_TTL: SignedDuration = SignedDuration::from_secs(10);
/// How long what was read is kept as a hint, which [`Memory::last`] gives.
const HINT_TTL: SignedDuration = SignedDuration::from_hours(1);
/// The most names remembered, known ones and as many unknown ones.
const MAX_ENTRIES: usize = 1_000;
/// The longest these names are together, in bytes; what is known by them is bounded where it is written.
const MAX_NAMES_BYTES: usize = 1024 * 1024;

struct State<V> {
    known: Bounded<(Arc<V>, Timestamp)>,
    unknown: Bounded<Timestamp>,
    /// What callers for the same name take turns by.
    flights: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// How often something was forgotten: what was read before is not remembered after.
    forgotten: u64,
}

/// A bounded memory of things by name.
pub struct Memory<V> {
    clock: Arc<dyn Clock>,
    state: Mutex<State<V>>,
}

impl<V> Memory<V> {
    /// Remembers nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            known: Bounded::new(MAX_ENTRIES, MAX_NAMES_BYTES),
            unknown: Bounded::new(MAX_ENTRIES, MAX_NAMES_BYTES),
            flights: HashMap::new(),
            forgotten: 0,
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// What is called `name`, at most `age` old; if it is older, what `load` gives. A failure is not remembered.
    pub async fn get<F>(
        &self,
        name: &str,
        age: SignedDuration,
        load: impl FnOnce() -> F,
    ) -> Result<Option<Arc<V>>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        let flight = self.flight(name);
        let _reading = flight.lock().await;
        let read_at = self.clock.now();
        if let Some(value) = self.known(name, age, read_at) {
            return Ok(Some(value));
        }
        if self.is_unknown(name, age, read_at) {
            return Ok(None);
        }
        let forgotten = self.lock().forgotten;
        let value = load().await?.map(Arc::new);
        let mut state = self.lock();
        if state.forgotten == forgotten {
            state.remember(name, value.as_ref(), read_at);
        }
        Ok(value)
    }

    /// What is known of `name` and may still be used. Reads nothing.
    pub fn remembered(&self, name: &str) -> Option<Arc<V>> {
        self.known(name, TTL, self.clock.now())
    }

    /// What was last known of `name`, however old.
    pub fn last(&self, name: &str) -> Option<Arc<V>> {
        let now = self.clock.now();
        self.lock().known.get(name, now).map(|(value, _)| Arc::clone(value))
    }

    /// Forgets `name`, because it has just been changed here.
    pub fn forget(&self, name: &str) {
        let mut state = self.lock();
        state.forgotten += 1;
        state.known.remove(name);
        state.unknown.remove(name);
    }

    /// What is known of `name`, at most `age` old.
    fn known(&self, name: &str, age: SignedDuration, now: Timestamp) -> Option<Arc<V>> {
        let mut state = self.lock();
        let (value, read_at) = state.known.get(name, now)?;
        (now.duration_since(*read_at) < age).then(|| Arc::clone(value))
    }

    /// Whether there was nothing of `name` less than `age` ago.
    fn is_unknown(&self, name: &str, age: SignedDuration, now: Timestamp) -> bool {
        let mut state = self.lock();
        state.unknown.get(name, now).is_some_and(|read_at| now.duration_since(*read_at) < age)
    }

    fn flight(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut state = self.lock();
        // Those that nobody holds any more, also where a caller gave up.
        state.flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        Arc::clone(state.flights.entry(name.to_owned()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> State<V> {
    fn remember(&mut self, name: &str, value: Option<&Arc<V>>, read_at: Timestamp) {
        let until = |ttl| read_at.saturating_add(ttl).unwrap_or(read_at);
        self.known.remove(name);
        self.unknown.remove(name);
        match value {
            Some(value) => {
                let entry = (Arc::clone(value), read_at);
                self.known.insert(name.to_owned(), entry, 0, until(HINT_TTL), read_at);
            }
            None => self.unknown.insert(name.to_owned(), read_at, 0, until(UNKNOWN_TTL), read_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Error, clock::ManualClock, testing::start};

    struct Rig {
        memory: Memory<String>,
        clock: Arc<ManualClock>,
        reads: AtomicUsize,
    }

    impl Rig {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::at(start()));
            Self { memory: Memory::new(clock.clone()), clock, reads: AtomicUsize::default() }
        }

        /// Asks for `name`, of which there is something if it begins with `k`.
        async fn get(&self, name: &str, age: SignedDuration) -> Option<String> {
            let load = || async {
                self.reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(name.starts_with('k').then(|| name.to_owned()))
            };
            self.memory.get(name, age, load).await.unwrap().map(|value| value.as_ref().clone())
        }

        fn reads(&self) -> usize {
            self.reads.swap(0, Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn what_was_read_is_used_for_half_a_minute() {
        let rig = Rig::new();
        for (seconds, reads) in [(0, 1), (29, 0), (1, 1)] {
            rig.clock.advance(SignedDuration::from_secs(seconds));
            assert_eq!(rig.get("known", TTL).await.as_deref(), Some("known"));
            assert_eq!(rig.reads(), reads, "after {seconds} s");
        }
        rig.get("known", SignedDuration::ZERO).await;
        assert_eq!(rig.reads(), 1, "asked for as it is now");
        rig.memory.forget("known");
        rig.get("known", TTL).await;
        assert_eq!(rig.reads(), 1);
    }

    #[tokio::test]
    async fn that_there_is_nothing_is_remembered_for_a_shorter_while() {
        let rig = Rig::new();
        for (seconds, reads) in [(0, 1), (9, 0), (1, 1)] {
            rig.clock.advance(SignedDuration::from_secs(seconds));
            assert_eq!(rig.get("nothing", TTL).await, None);
            assert_eq!(rig.reads(), reads, "after {seconds} s");
        }
    }

    #[tokio::test]
    async fn who_asks_at_once_shares_one_read() {
        let rig = Rig::new();
        futures::future::join_all((0..10).map(|_| rig.get("known", TTL))).await;
        assert_eq!(rig.reads(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_not_remembered() {
        let rig = Rig::new();
        let failed = rig.memory.get("known", TTL, || async { Err(Error::internal("told to fail")) }).await;
        assert!(failed.is_err());
        assert_eq!(rig.get("known", TTL).await.as_deref(), Some("known"));
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let rig = Rig::new();
        let load = || async {
            rig.memory.forget("known");
            Ok(Some("old".to_owned()))
        };
        assert_eq!(*rig.memory.get("known", TTL, load).await.unwrap().unwrap(), "old");
        assert_eq!(rig.get("known", TTL).await.as_deref(), Some("known"));
    }

    #[tokio::test]
    async fn a_scan_of_random_names_leaves_what_is_known() {
        let rig = Rig::new();
        rig.get("known", TTL).await;
        for n in 0..3 * MAX_ENTRIES {
            rig.get(&format!("random {n}"), TTL).await;
        }
        assert!(rig.memory.lock().unknown.len() <= MAX_ENTRIES);
        assert!(rig.memory.lock().flights.len() <= 1, "nobody is asking any more");
        rig.reads();
        rig.get("known", TTL).await;
        assert_eq!(rig.reads(), 0);
    }
}
