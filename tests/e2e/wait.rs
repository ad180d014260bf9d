//! Bounded waits that say what they waited for and what was there instead.

use std::{
    fmt::Display,
    thread::sleep,
    time::{Duration, Instant},
};

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(120);

/// Looks until `look` gives a value. After `limit` the trial ends with what `look` saw last.
#[track_caller]
pub fn wait_for<T, E: Display>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let started_at = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) if started_at.elapsed() > limit => {
                panic!("waited {limit:?} in vain for {what}; last seen: {seen}")
            }
            Err(_) => sleep(INTERVAL),
        }
    }
}
