//! What is remembered of a service that does not answer: the rate limiter and the cache do without it for a
//! moment rather than let each request wait for a timeout, and the log has one line at its begin and one at its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::Error;

/// Whether a service answers, as far as this instance knows.
pub struct Outage {
    what: &'static str,
    pause: SignedDuration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing: bool,
    ask_again_at: Option<Timestamp>,
}

impl Outage {
    /// None yet. `what` is done without for `pause` after each failure.
    pub fn none(what: &'static str, pause: SignedDuration) -> Self {
        Self { what, pause, state: Mutex::default() }
    }

    /// Whether it failed so recently that it is not asked.
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.state().ask_again_at.is_some_and(|at| now < at)
    }

    /// Notes that it failed at `now`. Whether that is the begin of an outage, which is logged.
    pub fn failed(&self, now: Timestamp, error: &Error) -> bool {
        let mut state = self.state();
        state.ask_again_at = now.checked_add(self.pause).ok();
        let begins = !std::mem::replace(&mut state.failing, true);
        if begins {
            tracing::error!(what = self.what, error = ?error, "does not answer: doing without");
        }
        begins
    }

    /// Notes that it answered. Whether that is the end of an outage, which is logged.
    pub fn answered(&self) -> bool {
        let mut state = self.state();
        state.ask_again_at = None;
        let ends = std::mem::take(&mut state.failing);
        if ends {
            tracing::info!(what = self.what, "answers again");
        }
        ends
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    #[test]
    fn an_outage_is_logged_once_and_ends_with_the_first_answer() {
        let outage = Outage::none("the cache", SignedDuration::from_secs(2));
        let error = Error::unavailable("DynamoDB", "down");
        let later = |seconds| start() + SignedDuration::from_secs(seconds);
        assert!(!outage.is_on(start()));
        assert!(outage.failed(start(), &error));
        assert!(outage.is_on(later(1)));
        assert!(!outage.is_on(later(2)), "it is asked again");
        assert!(!outage.failed(later(2), &error), "and logged no second time");
        assert!(outage.answered());
        assert!(!outage.is_on(later(2)) && !outage.answered());
    }
}
