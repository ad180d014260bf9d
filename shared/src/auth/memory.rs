//! What an instance remembers of what it read: users, roles, keys, each for a short while.
//!
//! Who asks for a name while it is being read waits for that one read. That there is nothing of a name is remembered
//! as well, for a shorter while, and gives way first: a scan of random names neither fills the memory nor makes us
//! read the same one each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use crate::{Result, clock::Clock};

/// How long what was read is used without asking again.
pub const TTL: SignedDuration = SignedDuration::from_secs(30);
/// How long it is remembered that there is nothing.
const UNKNOWN_TTL: SignedDuration = SignedDuration::from_secs(10);
/// The most names remembered.
const MAX_ENTRIES: usize = 1_000;

struct Remembered<V> {
    value: Option<Arc<V>>,
    read_at: Timestamp,
}

type Slot<V> = Arc<AsyncMutex<Option<Remembered<V>>>>;

/// A bounded memory of things by name.
pub struct Memory<V> {
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<String, Slot<V>>>,
}

impl<V> Memory<V> {
    /// Remembers nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Mutex::default() }
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
        let slot = self.slot(name);
        let mut held = slot.lock().await;
        let now = self.clock.now();
        if let Some(remembered) = held.as_ref() {
            let age = if remembered.value.is_some() { age } else { age.min(UNKNOWN_TTL) };
            if now.duration_since(remembered.read_at) < age {
                return Ok(remembered.value.clone());
            }
        }
        let value = load().await?.map(Arc::new);
        *held = Some(Remembered { value: value.clone(), read_at: now });
        Ok(value)
    }

    /// What was last known of `name`, however old.
    pub fn last(&self, name: &str) -> Option<Arc<V>> {
        let slot = self.lock().get(name).cloned()?;
        let held = slot.try_lock().ok()?;
        held.as_ref()?.value.clone()
    }

    /// Forgets `name`, because it has just been changed here.
    pub fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn slot(&self, name: &str) -> Slot<V> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        let slot = Slot::<V>::default();
        if slots.len() >= MAX_ENTRIES {
            self.make_room(&mut slots);
        }
        // A memory full of what is in use stays as it is.
        if slots.len() < MAX_ENTRIES {
            slots.insert(name.to_owned(), Arc::clone(&slot));
        }
        slot
    }

    /// Lets go of what is unknown or old, but for what is being read.
    fn make_room(&self, slots: &mut HashMap<String, Slot<V>>) {
        let now = self.clock.now();
        let useful = |held: &Option<Remembered<V>>| {
            held.as_ref().is_some_and(|remembered| {
                remembered.value.is_some() && now.duration_since(remembered.read_at) < TTL
            })
        };
        slots.retain(|_, slot| slot.try_lock().map_or(true, |held| useful(&held)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot<V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn a_scan_of_random_names_leaves_what_is_known() {
        let rig = Rig::new();
        rig.get("known", TTL).await;
        for n in 0..3 * MAX_ENTRIES {
            rig.get(&format!("random {n}"), TTL).await;
        }
        assert!(rig.memory.lock().len() <= MAX_ENTRIES);
        rig.reads();
        rig.get("known", TTL).await;
        assert_eq!(rig.reads(), 0);
    }
}
