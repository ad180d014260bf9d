//! Limits guessing: who fails to authenticate too often is refused by address, before any key is looked up.
//!
//! The API's wrapper asks [`FailedAuthentications::blocked`] before it reads a key it does not know from memory, and
//! calls [`FailedAuthentications::failed`] for each key that was wrong. Whoever has a valid key is never counted, so
//! several users may share an address; while it is blocked, only keys that the instance knows already get in.
//!
//! An address is blocked in each instance from the first failure that this instance sees beyond the limit.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use jiff::SignedDuration;

use super::{Class, Decision, MAX_KEY_BYTES, MAX_REMEMBERED, RateLimiter, lock};
use crate::{Error, bounded::Bounded, clock::Clock};

/// How long an address whose failure could not be counted has to wait.
const UNCOUNTED_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// Failed authentications by address.
pub struct FailedAuthentications {
    limiter: Arc<RateLimiter>,
    clock: Arc<dyn Clock>,
    enabled: bool,
    uncounted: Mutex<Bounded<()>>,
}

impl FailedAuthentications {
    /// Counts in `limiter`; not at all unless `enabled` (a local stack, where all callers have one address).
    pub fn new(limiter: Arc<RateLimiter>, clock: Arc<dyn Clock>, enabled: bool) -> Self {
        let uncounted = Mutex::new(Bounded::new(MAX_REMEMBERED, MAX_KEY_BYTES));
        Self { limiter, clock, enabled, uncounted }
    }

    /// Why requests from `address` are refused, if this instance remembers that they are. Makes no call.
    pub fn blocked(&self, address: &str) -> Option<Error> {
        if !self.enabled {
            return None;
        }
        let subject = subject(address);
        if let Some(refusal) = self.limiter.remembered(Class::Authentication, &subject) {
            return Some(Error::limited(
                "too many requests from this address had no valid API key",
                refusal.retry_after_seconds(),
            ));
        }
        let waits = lock(&self.uncounted).get(&subject, self.clock.now()).is_some();
        waits.then(|| Error::unavailable("DynamoDB", "failures of this address could not be counted"))
    }

    /// Counts a failure of `address`. Why it is refused, if it had too many before this one: answer that instead
    /// of what was wrong with the key.
    pub async fn failed(&self, address: &str) -> Option<Error> {
        if !self.enabled {
            return None;
        }
        let subject = subject(address);
        match self.limiter.check(Class::Authentication, &subject).await {
            Ok(Decision::Allowed(_)) => None,
            Ok(Decision::Refused(_)) => self.blocked(address),
            Err(error) => {
                // Closed: while nothing can be counted, an address has one guess in a while.
                let now = self.clock.now();
                let until = now.saturating_add(UNCOUNTED_WAIT).unwrap_or(now);
                lock(&self.uncounted).insert(subject, (), 0, until, now);
                Some(error)
            }
        }
    }
}

/// What is counted for `address`: of IPv6 the network of 64 bits, which is what one customer has. What is no
/// address is counted as one.
fn subject(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            let network = u128::from(address) >> 64 << 64;
            format!("{}/64", Ipv6Addr::from(network))
        }
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_counted_by_its_network_and_mapped_ipv4_as_ipv4() {
        assert_eq!(subject("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(subject("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_eq!(subject("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(subject("192.0.2.1"), "192.0.2.1");
        assert_eq!(subject("192.0.2.1, 10.0.0.1"), "unknown");
    }
}
