//! Times as other systems write them, as instants.
//!
//! ERPNext writes local times without a zone. Once a year an hour comes twice, and the text does not say which of
//! the two is meant; but nothing that arrived can have been written much later than it was received, which is
//! enough to tell unless both are past. Late-event detection compares instants made here, so it must choose alike.

use std::sync::LazyLock;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{
    fault::{Fault, cut},
    number,
};
use crate::Result;

/// How far a sender's clock may be ahead of ours.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The longest text read as a time, in bytes.
const MAX_TIME_BYTES: usize = 64;

/// The bundled zones, not the machine's: the same text is the same instant on every machine, and no file is read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The latest instant that something received at `received_at` can speak of: `not_after` of [`resolve_local`].
pub fn latest_plausible(received_at: Timestamp) -> Timestamp {
    received_at.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX)
}

/// The instant that `text` says: RFC 3339 with an offset, seconds since 1970 (with or without a fraction), or a
/// local time `2026-10-25 02:30:00[.ffffff]` in the IANA zone `zone`.
///
/// A local time that comes twice is the later of the two instants unless that is after `not_after`; one that the
/// clocks skip counts as if they had not yet been changed. Fails with `mapping_failed`.
pub fn resolve_local(text: &str, zone: &str, not_after: Timestamp) -> Result<Timestamp> {
    Ok(instant(text, zone, not_after)?)
}

/// [`resolve_local`] with the fault of one value.
pub(super) fn instant(text: &str, zone: &str, not_after: Timestamp) -> Result<Timestamp, Fault> {
    let text = text.trim();
    let zone = find_zone(zone).ok_or_else(|| Fault::invalid(format!("{:?} is no time zone", cut(zone))))?;
    unix_seconds(text)
        .or_else(|| with_offset(text))
        .or_else(|| local(text).and_then(|local| in_zone(local, &zone, not_after)))
        .ok_or_else(|| Fault::invalid(format!("{:?} is not a time", cut(text))))
}

/// The instant that `text` says: RFC 3339 with an offset, or a date or time without one, taken as UTC.
pub(crate) fn in_utc(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    with_offset(text).or_else(|| TimeZone::UTC.to_timestamp(local(text)?).ok())
}

/// Whether there is such a zone.
pub fn is_zone(name: &str) -> bool {
    find_zone(name).is_some()
}

/// The instant so many seconds after the beginning of 1970.
pub(super) fn unix_seconds(text: &str) -> Option<Timestamp> {
    let seconds = number::parse(text)?;
    let nanoseconds = seconds.fract().checked_mul(Decimal::from(1_000_000_000))?.trunc().to_i32()?;
    Timestamp::new(seconds.trunc().to_i64()?, nanoseconds).ok()
}

/// The date of a date or a time, as it is written: no zone is applied.
pub(super) fn date(text: &str) -> Option<Date> {
    let text = text.trim();
    if local(text).is_none() && with_offset(text).is_none() {
        return None;
    }
    text.get(..10)?.parse().ok()
}

/// The zone called `name`.
pub(crate) fn find_zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

fn with_offset(text: &str) -> Option<Timestamp> {
    (text.len() <= MAX_TIME_BYTES && begins_with_date(text)).then(|| text.parse().ok())?
}

/// A time without a zone; midnight for a date alone. Anything that could be an offset or a zone is refused here,
/// since the parser would skip it.
fn local(text: &str) -> Option<DateTime> {
    if text.len() > MAX_TIME_BYTES || !begins_with_date(text) {
        return None;
    }
    let time = text.get(10..)?;
    let plain = time.is_empty()
        || time.starts_with([' ', 'T'])
            && time[1..].bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
    plain.then(|| text.parse().ok())?
}

fn begins_with_date(text: &str) -> bool {
    matches!(text.as_bytes(), [a, b, c, d, b'-', _, _, b'-', _, _, ..]
        if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()))
}

fn in_zone(local: DateTime, zone: &TimeZone, not_after: Timestamp) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    if let AmbiguousOffset::Fold { .. } = ambiguous.offset()
        && let Ok(later) = ambiguous.later()
        && later <= not_after
    {
        return Some(later);
    }
    ambiguous.compatible().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATE: &str = "2030-01-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn resolve(text: &str, zone: &str, not_after: &str) -> String {
        resolve_local(text, zone, at(not_after)).unwrap().to_string()
    }

    #[test]
    fn local_times_are_of_their_zone() {
        assert_eq!(
            resolve("2026-11-22 19:12:25.976321", "Asia/Kolkata", LATE),
            "2026-11-22T13:42:25.976321Z"
        );
        assert_eq!(resolve("2026-07-01 12:00:00", "Europe/Zurich", LATE), "2026-07-01T10:00:00Z");
        assert_eq!(resolve("2026-07-01T12:00:00", "UTC", LATE), "2026-07-01T12:00:00Z");
        assert_eq!(resolve("2026-07-01", "Europe/Zurich", LATE), "2026-06-30T22:00:00Z");
    }

    #[test]
    fn an_offset_or_seconds_need_no_zone() {
        for text in
            ["2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z", "2026-10-25 00:30:00Z", "1792888200"]
        {
            assert_eq!(resolve(text, "Asia/Kolkata", LATE), "2026-10-25T00:30:00Z", "{text}");
        }
        assert_eq!(resolve("1792888200.25", "UTC", LATE), "2026-10-25T00:30:00.25Z");
        assert_eq!(resolve("-1.5", "UTC", LATE), "1969-12-31T23:59:58.5Z");
    }

    #[test]
    fn in_the_hour_that_comes_twice_it_is_the_latest_that_can_be() {
        let half_past_two = |received: &str| {
            let not_after = latest_plausible(at(received));
            resolve_local("2026-10-25 02:30:00", "Europe/Zurich", not_after).unwrap().to_string()
        };
        // Received in the first 02:30 (summer time): the second is an hour away.
        assert_eq!(half_past_two("2026-10-25T00:30:10Z"), "2026-10-25T00:30:00Z");
        assert_eq!(half_past_two("2026-10-25T01:24:59Z"), "2026-10-25T00:30:00Z");
        // A sender's clock may be five minutes ahead.
        assert_eq!(half_past_two("2026-10-25T01:25:00Z"), "2026-10-25T01:30:00Z");
        assert_eq!(half_past_two("2026-10-25T01:30:10Z"), "2026-10-25T01:30:00Z");
        // Long after, nothing tells them apart: the later one.
        assert_eq!(half_past_two("2026-12-01T00:00:00Z"), "2026-10-25T01:30:00Z");
        // Both in the future: the sender's clock is wrong; the earlier is less so.
        assert_eq!(half_past_two("2026-10-24T00:00:00Z"), "2026-10-25T00:30:00Z");
    }

    #[test]
    fn in_the_hour_that_does_not_come_the_clocks_were_not_changed_yet() {
        assert_eq!(resolve("2026-03-29 02:30:00", "Europe/Zurich", LATE), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "02:30",
            "2026-13-01 00:00:00",
            "2026-02-30",
            "25.10.2026",
            "2026-10-25 02:30:00 CET",
            "2026-10-25T02:30:00+99:99",
            "2026-10-25T02:30:00[Europe/Paris]",
            "2026-10-25T",
            "20261025T023000",
            "1e30",
            "99999999999999",
            "२०२६-१०-२५",
        ] {
            let resolved = resolve_local(text, "UTC", at(LATE));
            assert!(resolved.is_err(), "{text} gave {resolved:?}");
        }
        let error = resolve_local("2026-10-25", "Mars/Olympus", at(LATE)).unwrap_err();
        assert!(error.detail().contains("Mars/Olympus"), "{error}");
    }

    #[test]
    fn the_date_is_the_one_that_is_written() {
        let text = |text: &str| date(text).map(|date| date.to_string());
        assert_eq!(text("2026-11-30").as_deref(), Some("2026-11-30"));
        assert_eq!(text("2026-11-30 23:59:59.999999").as_deref(), Some("2026-11-30"));
        assert_eq!(text("2026-11-30T23:59:59-11:00").as_deref(), Some("2026-11-30"));
        assert_eq!(text("30.11.2026"), None);
        assert_eq!(text("2026-11-30x"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9:. TZe\\[\\]]{0,40}|.{0,40}", zone in "[A-Za-z/]{0,20}") {
            let _ = resolve_local(&text, &zone, Timestamp::MAX);
            let _ = resolve_local(&text, "Europe/Zurich", Timestamp::MIN);
            let _ = date(&text);
        }

        #[test]
        fn an_instant_written_as_local_time_is_found_again_within_the_hour_it_is_received(seconds in 1_700_000_000_i64..2_000_000_000) {
            let written = Timestamp::from_second(seconds).unwrap();
            let local = written.to_zoned(TimeZone::get("Europe/Zurich").unwrap()).datetime();
            let text = local.strftime("%Y-%m-%d %H:%M:%S").to_string();
            prop_assert_eq!(resolve_local(&text, "Europe/Zurich", latest_plausible(written)).unwrap(), written);
        }
    }
}
