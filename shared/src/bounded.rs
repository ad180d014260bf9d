//! A map that cannot grow without end: what the rate limiter and the cache keep in an instance's memory.
//!
//! An entry is gone when its time is over, or when newer ones need its room: first those whose time is over, then
//! the ones used longest ago. Nobody may rely on an entry being there.

use std::collections::HashMap;

use jiff::Timestamp;

/// A map with a limit on its entries and on their weight.
pub struct Bounded<V> {
    entries: HashMap<String, Slot<V>>,
    weight: usize,
    max_entries: usize,
    max_weight: usize,
    uses: u64,
}

struct Slot<V> {
    value: V,
    weight: usize,
    until: Timestamp,
    used: u64,
}

impl<V> Bounded<V> {
    /// An empty map for at most `max_entries`, which weigh at most `max_weight` bytes together.
    pub fn new(max_entries: usize, max_weight: usize) -> Self {
        Self { entries: HashMap::new(), weight: 0, max_entries, max_weight, uses: 0 }
    }

    /// The value under `key`, unless its time is over.
    pub fn get(&mut self, key: &str, now: Timestamp) -> Option<&V> {
        self.uses += 1;
        let slot = self.entries.get_mut(key).filter(|slot| now < slot.until)?;
        slot.used = self.uses;
        Some(&slot.value)
    }

    /// Keeps `value`, which weighs `weight` bytes, until `until`. What is heavier than the whole map is not kept.
    pub fn insert(&mut self, key: String, value: V, weight: usize, until: Timestamp, now: Timestamp) {
        self.remove(&key);
        let weight = weight + key.len();
        if weight > self.max_weight || until <= now {
            return;
        }
        self.make_room(weight, now);
        self.uses += 1;
        self.weight += weight;
        self.entries.insert(key, Slot { value, weight, until, used: self.uses });
    }

    /// Forgets what is under `key`.
    pub fn remove(&mut self, key: &str) {
        if let Some(slot) = self.entries.remove(key) {
            self.weight -= slot.weight;
        }
    }

    /// How many entries there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn has_room(&self, weight: usize) -> bool {
        self.entries.len() < self.max_entries && self.weight + weight <= self.max_weight
    }

    fn make_room(&mut self, weight: usize, now: Timestamp) {
        if self.has_room(weight) {
            return;
        }
        self.entries.retain(|_, slot| now < slot.until);
        self.weight = self.entries.values().map(|slot| slot.weight).sum();
        while !self.has_room(weight) {
            let oldest = self.entries.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::testing::start;

    fn later(seconds: i64) -> Timestamp {
        start() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn the_entry_used_longest_ago_makes_room() {
        let mut map = Bounded::new(2, 1_000);
        map.insert("a".into(), 1, 0, later(60), start());
        map.insert("b".into(), 2, 0, later(60), start());
        assert_eq!(map.get("a", start()), Some(&1));
        map.insert("c".into(), 3, 0, later(60), start());
        assert_eq!(map.get("a", start()), Some(&1));
        assert_eq!(map.get("b", start()), None);
    }

    #[test]
    fn what_is_over_is_not_shown_and_makes_room_first() {
        let mut map = Bounded::new(2, 1_000);
        map.insert("kept".into(), 1, 0, later(60), start());
        map.insert("over".into(), 2, 0, later(1), start());
        assert_eq!(map.get("over", later(1)), None);
        map.insert("new".into(), 3, 0, later(60), later(1));
        assert_eq!(map.get("kept", later(1)), Some(&1));
    }

    #[test]
    fn the_weight_is_limited_and_what_is_too_heavy_is_not_kept() {
        let mut map = Bounded::new(100, 100);
        for i in 0..10 {
            map.insert(format!("{i}"), i, 39, later(60), start());
        }
        assert_eq!(map.len(), 2);
        map.insert("heavy".into(), 0, 100, later(60), start());
        assert_eq!(map.get("heavy", start()), None);
        assert_eq!(map.len(), 2, "and it drove nobody out");
    }
}
