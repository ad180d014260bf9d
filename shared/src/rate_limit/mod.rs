//! Rate limits: how often a user may do what, across all instances.
//!
//! The API's wrapper calls [`RateLimiter::check`] with the class of the route and the user, before the handler
//! runs, and shows the [`Decision`]'s header values. Requests are counted in windows that begin at whole multiples
//! of their length (UTC), and within a window in slots, which bound what may come at once.
//!
//! Guaranteed: no more requests than the limit, nor in a slot more than the burst, are allowed, however many
//! instances ask. A limit up to 1,000 is counted request by request (one conditional update each) and refuses
//! nobody early. Above, an instance takes permits for a fiftieth of the limit at a time; what it does not use
//! until the window ends is lost. A refusal is remembered: it costs no call until there may be room again.

mod authentication;
mod class;
mod counters;
pub mod dynamo;
mod permits;
mod standing;
#[cfg(test)]
mod tests;
mod window;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

pub use self::{
    authentication::FailedAuthentications,
    class::{Class, Limit, Limits, OnFailure},
    counters::{Addition, Counters, Counts, Outcome},
    standing::{Decision, Quota, Refusal, Standing},
};
use self::{permits::Permits, standing::Left, window::Window};
use crate::{Error, Result, bounded::Bounded, clock::Clock, outage::Outage};

/// How long State is not asked after a call to it failed.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// The most refusals, and the most users with permits, that an instance remembers.
const MAX_REMEMBERED: usize = 10_000;
/// The most bytes of keys that it remembers for either.
const MAX_KEY_BYTES: usize = 2 * 1024 * 1024;
/// How often permits are asked for, each time for what seems to be left, the last time for one.
const MAX_TRIES: u32 = 4;

/// Counts requests and refuses what is over a limit.
pub struct RateLimiter {
    limits: Limits,
    counters: Arc<dyn Counters>,
    clock: Arc<dyn Clock>,
    refused: Mutex<Bounded<Quota>>,
    permits: Mutex<Bounded<Arc<tokio::sync::Mutex<Permits>>>>,
    outage: Outage,
}

impl RateLimiter {
    /// A limiter that counts in `counters`.
    pub fn new(limits: Limits, counters: Arc<dyn Counters>, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            counters,
            clock,
            refused: Mutex::new(Bounded::new(MAX_REMEMBERED, MAX_KEY_BYTES)),
            permits: Mutex::new(Bounded::new(MAX_REMEMBERED, MAX_KEY_BYTES)),
            outage: Outage::none("the rate limiter's table", PAUSE),
        }
    }

    /// Counts one request of `subject` (a user, an address) in `class` and decides on it.
    ///
    /// Where State cannot be reached, a class that fails open allows it uncounted, and one that fails closed is
    /// `dependency_unavailable`.
    pub async fn check(&self, class: Class, subject: &str) -> Result<Decision> {
        let limit = self.limits.of(class);
        if let Some(refusal) = self.remembered(class, subject) {
            return Ok(Decision::Refused(refusal));
        }
        if limit.permits_at_once() == 1 {
            return self.decide(limit, subject, &mut Permits::default()).await;
        }
        let shared = self.permits_of(limit, subject);
        let mut permits = shared.lock().await;
        // Whoever had the permits before may have learnt that there are no more.
        match self.remembered(class, subject) {
            Some(refusal) => Ok(Decision::Refused(refusal)),
            None => self.decide(limit, subject, &mut permits).await,
        }
    }

    /// The refusal that this instance remembers. Makes no call.
    pub fn remembered(&self, class: Class, subject: &str) -> Option<Refusal> {
        let (limit, now) = (self.limits.of(class), self.clock.now());
        let quota = *lock(&self.refused).get(&key(class, subject), now)?;
        let window = Window::at(limit, now);
        Some(Refusal { quota, standing: Standing::new(limit, &window, now, None) })
    }

    async fn decide(&self, limit: Limit, subject: &str, permits: &mut Permits) -> Result<Decision> {
        let now = self.clock.now();
        let window = Window::at(limit, now);
        permits.enter(&window);
        let full = if permits.is_empty() {
            if self.outage.is_on(now) {
                let error = Error::unavailable("DynamoDB", "it failed a moment ago");
                return uncounted(limit, &window, now, error);
            }
            match self.acquire(limit, &window, subject, permits).await {
                Ok(full) => {
                    self.outage.answered();
                    full
                }
                Err(error) => {
                    self.outage.failed(now, &error);
                    return uncounted(limit, &window, now, error);
                }
            }
        } else {
            None
        };
        if let Some(quota) = full {
            self.remember(limit, subject, quota, &window, now);
            let standing = Standing::new(limit, &window, now, Some(permits.left(limit)));
            return Ok(Decision::Refused(Refusal { quota, standing }));
        }
        permits.take_one();
        let left = permits.left(limit);
        if left.window == 0 {
            // The next one would be refused: nothing gives a permit back.
            self.remember(limit, subject, Quota::Window, &window, now);
        }
        Ok(Decision::Allowed(Standing::new(limit, &window, now, Some(left))))
    }

    /// Asks for permits until there are some; which quota is full if there are none to have.
    async fn acquire(
        &self,
        limit: Limit,
        window: &Window,
        subject: &str,
        permits: &mut Permits,
    ) -> Result<Option<Quota>> {
        let mut wanted = limit.permits_at_once();
        for tries_left in (0..MAX_TRIES).rev() {
            if tries_left == 0 {
                wanted = 1;
            }
            let addition = Addition::new(limit, window, subject, permits.not_yet_counted(wanted), wanted);
            match self.counters.add(&addition).await? {
                Outcome::Added(counts) => {
                    permits.add(wanted, counts, limit);
                    return Ok(None);
                }
                Outcome::Full(counts) => {
                    permits.learn(counts, limit);
                    let Left { window, slot } = permits.left(limit);
                    match (window, slot) {
                        (0, _) => return Ok(Some(Quota::Window)),
                        (_, 0) => return Ok(Some(Quota::Burst)),
                        _ => wanted = wanted.min(window).min(slot),
                    }
                }
            }
        }
        Err(Error::internal("the counters refuse a permit and say that there is room"))
    }

    fn permits_of(&self, limit: Limit, subject: &str) -> Arc<tokio::sync::Mutex<Permits>> {
        let (key, now) = (key(limit.class, subject), self.clock.now());
        let mut permits = lock(&self.permits);
        if let Some(found) = permits.get(&key, now) {
            return Arc::clone(found);
        }
        let new = Arc::<tokio::sync::Mutex<Permits>>::default();
        let ends_at = Window::at(limit, now).ends_at;
        permits.insert(key, Arc::clone(&new), size_of::<Permits>(), ends_at, now);
        new
    }

    fn remember(&self, limit: Limit, subject: &str, quota: Quota, window: &Window, now: Timestamp) {
        let until = match quota {
            Quota::Window => window.ends_at,
            Quota::Burst => window.slot_ends_at,
        };
        lock(&self.refused).insert(key(limit.class, subject), quota, 0, until, now);
    }
}

/// What happens to a request that cannot be counted.
fn uncounted(limit: Limit, window: &Window, now: Timestamp, error: Error) -> Result<Decision> {
    match limit.on_failure {
        OnFailure::Open => Ok(Decision::Allowed(Standing::new(limit, window, now, None))),
        OnFailure::Closed => Err(error),
    }
}

fn key(class: Class, subject: &str) -> String {
    format!("{}#{subject}", class.as_str())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
