//! What DynamoDB does with an addition, in memory.

use crate::outbound::governor::{shared::Shared, store::Addition};

impl Shared {
    /// As an update of the item would.
    pub fn add(&mut self, addition: &Addition) {
        for slice in &addition.old_slices {
            self.slices.remove(slice);
        }
        for bucket in &addition.old_buckets {
            self.buckets.remove(bucket);
        }
        if addition.pause.is_none() {
            self.pauses.retain(|until| !addition.old_pauses.contains(until));
        }
        self.pauses.extend(addition.pause);
        let slice = self.slices.entry(addition.slice).or_default();
        slice.permits += addition.permits;
        slice.demand += addition.demand;
        slice.healthy += addition.healthy;
        for (slice, count) in &addition.limited {
            self.slices.entry(*slice).or_default().limited += count;
        }
        if let Some((slice, rate)) = addition.settled {
            self.slices.entry(slice).or_default().rate.get_or_insert(rate);
        }
        if addition.health.calls > 0 {
            *self.buckets.entry(addition.bucket).or_default() += addition.health;
        }
        self.calls += addition.calls;
    }
}
