//! Is a signed time recent? Called by the schemes that sign one, before they compute anything.
//!
//! What passes is a plain decimal number of seconds (no sign, space or fraction: there is one way to write a
//! time, and the text is what was signed) no further than the tolerance from now, in either direction.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Error, ErrorCode, Result};

/// The times that are accepted.
pub(super) struct Window {
    pub now: Timestamp,
    pub tolerance: SignedDuration,
}

impl Window {
    /// Refuses `text`, found in `header`, unless it is a time in the window.
    pub fn check(&self, header: &str, text: &str) -> Result<()> {
        let seconds = seconds(text).ok_or_else(|| {
            let detail = format!("the timestamp in {header} is not a number of seconds since 1970");
            Error::new(ErrorCode::TimestampMalformed, detail)
        })?;
        if self.holds(seconds) {
            return Ok(());
        }
        let allowed = self.tolerance.as_secs();
        let detail = format!("the timestamp in {header} is more than {allowed} seconds from now");
        Err(Error::new(ErrorCode::TimestampStale, detail))
    }

    fn holds(&self, seconds: i64) -> bool {
        let distance = self.now.as_duration().checked_sub(SignedDuration::from_secs(seconds));
        // An overflow is a time beyond all clocks; a negative tolerance has no `Duration` and accepts nothing.
        distance.is_some_and(|distance| {
            Duration::try_from(self.tolerance).is_ok_and(|tolerance| distance.unsigned_abs() <= tolerance)
        })
    }
}

/// The number, where one too large for any clock counts as the largest, which is never recent.
fn seconds(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), ErrorCode> {
        let now = Timestamp::new(1_000_000, 0).unwrap();
        let window = Window { now, tolerance: SignedDuration::from_secs(300) };
        window.check("X-Time", text).map_err(|error| error.code())
    }

    #[test]
    fn times_up_to_the_tolerance_are_accepted_in_both_directions() {
        for text in ["999700", "1000000", "1000300"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn times_beyond_the_tolerance_are_stale_in_both_directions() {
        for text in ["999699", "1000301", "0", "9223372036854775807", "99999999999999999999999999"] {
            assert_eq!(check(text), Err(ErrorCode::TimestampStale), "{text}");
        }
    }

    #[test]
    fn anything_but_decimal_digits_is_malformed() {
        for text in ["", " 1000000", "+1000000", "-1", "1e6", "1000000.0", "0xF4240", "soon", "١٠٠٠٠٠٠"]
        {
            assert_eq!(check(text), Err(ErrorCode::TimestampMalformed), "{text}");
        }
    }

    #[test]
    fn fractions_of_the_present_second_count() {
        let now = Timestamp::new(1_000_000, 1).unwrap();
        let window = Window { now, tolerance: SignedDuration::from_secs(300) };
        assert!(window.check("X-Time", "999700").is_err());
        assert!(window.check("X-Time", "999701").is_ok());
    }

    #[test]
    fn a_negative_tolerance_accepts_nothing() {
        let window = Window { now: Timestamp::UNIX_EPOCH, tolerance: SignedDuration::from_secs(-1) };
        assert!(window.check("X-Time", "0").is_err());
    }

    #[test]
    fn extreme_clocks_do_not_overflow() {
        for now in [Timestamp::MIN, Timestamp::from_second(-1).unwrap(), Timestamp::MAX] {
            let window = Window { now, tolerance: SignedDuration::MAX };
            assert!(window.check("X-Time", "0").is_ok());
            // Whether it is refused or within an endless tolerance, it must not overflow.
            let _ = window.check("X-Time", "9223372036854775807");
        }
    }
}
