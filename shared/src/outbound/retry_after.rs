//! `Retry-After` (RFC 9110, 10.2.3): when a provider wants to be asked again.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// The longest wait that is believed.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// How long to wait by `headers`, read at `now`: seconds, or a date, which is held against the provider's own clock
/// (`Date`) where it shows it. What cannot be read is left out.
pub fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let then = rfc2822::parse(text).ok()?.timestamp();
    let now = date(headers, header::DATE).unwrap_or(now);
    Some(between(now, then))
}

/// The date in a header.
pub(super) fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    let text = headers.get(name)?.to_str().ok()?;
    rfc2822::parse(text.trim()).ok().map(|date| date.timestamp())
}

/// From `now` to `then`; nothing if that is past.
pub(super) fn between(now: Timestamp, then: Timestamp) -> Duration {
    let wait = then.duration_since(now).max(SignedDuration::ZERO);
    wait.unsigned_abs().min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(HeaderName, &str)]) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        read(&headers, "2026-11-22T10:00:00Z".parse().unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn both_forms_are_read() {
        let after = header::RETRY_AFTER;
        assert_eq!(wait(&[(after.clone(), "120")]), Some(120));
        assert_eq!(wait(&[(after.clone(), "0")]), Some(0));
        assert_eq!(wait(&[(after.clone(), "Sun, 22 Nov 2026 10:02:00 GMT")]), Some(120));
        let behind = (header::DATE, "Sun, 22 Nov 2026 09:00:00 GMT");
        assert_eq!(
            wait(&[(after, "Sun, 22 Nov 2026 09:00:07 GMT"), behind]),
            Some(7),
            "by the provider's clock"
        );
    }

    #[test]
    fn what_is_past_absurd_or_no_time_harms_nobody() {
        let after = |text| wait(&[(header::RETRY_AFTER, text)]);
        assert_eq!(after("Sun, 22 Nov 2020 10:00:00 GMT"), Some(0));
        assert_eq!(after("18446744073709551615"), Some(86_400));
        assert_eq!(after("Thu, 31 Dec 2099 23:59:59 GMT"), Some(86_400));
        for text in ["-5", "soon", "", "1.5", "99999999999999999999999", "Sun, 99 Nov 2026 10:00:00 GMT"] {
            assert_eq!(after(text), None, "{text}");
        }
        assert_eq!(wait(&[]), None);
    }
}
