//! A site's times: local times of its zone without any mark of it, and what they are in UTC.
//!
//! Two uses, two translations. The optimistic lock wants the very text back, so a revision is that text as a number,
//! one to one, whatever the zone ([`revision`], [`modified_text`]). Everything else wants an instant
//! ([`SiteZone::instant`]): where the clocks are set back, an hour of local times comes twice, and the text does not
//! say which was meant; then it is the earlier one, so that nothing seems to be later than it was.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// The `modified` of a document as a number: its local time as if it were UTC, in microseconds since 1970. `None` if
/// the text is no such time.
pub fn revision(modified: &str) -> Option<u64> {
    let at = TimeZone::UTC.to_timestamp(local(modified)?).ok()?;
    u64::try_from(at.as_microsecond()).ok()
}

/// The text that [`revision`] read, letter for letter: the site compares texts.
pub fn modified_text(revision: u64) -> Option<String> {
    let at = Timestamp::from_microsecond(i64::try_from(revision).ok()?).ok()?;
    Some(written(TimeZone::UTC.to_datetime(at)))
}

/// The zone of a site.
#[derive(Debug, Clone)]
pub struct SiteZone(TimeZone);

impl SiteZone {
    /// The zone called `name` (IANA), if there is one.
    pub fn named(name: &str) -> Option<Self> {
        crate::mapping::find_zone(name).map(Self)
    }

    /// When the local time `text` was. One that comes twice is the earlier; one that the clocks skip counts as if they
    /// had not yet been set.
    pub fn instant(&self, text: &str) -> Option<Timestamp> {
        self.0.to_ambiguous_timestamp(local(text)?).compatible().ok()
    }

    /// `at` as the site writes it.
    pub fn text(&self, at: Timestamp) -> String {
        written(self.0.to_datetime(at))
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.0
    }
}

/// As Python writes a local time: six decimals, or none where they would be zeros.
fn written(local: DateTime) -> String {
    let format =
        if local.subsec_nanosecond() < 1_000 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    local.strftime(format).to_string()
}

/// A local time as sites write it. Anything that could be an offset is no such time: it would be skipped unseen.
fn local(text: &str) -> Option<DateTime> {
    let shape = text.len() >= 19
        && text.len() <= 26
        && text.bytes().enumerate().all(|(i, byte)| match i {
            4 | 7 => byte == b'-',
            10 => byte == b' ',
            13 | 16 => byte == b':',
            19 => byte == b'.',
            _ => byte.is_ascii_digit(),
        });
    shape.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn berlin() -> SiteZone {
        SiteZone::named("Europe/Berlin").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_revision_is_the_text_and_nothing_else() {
        assert_eq!(revision("1970-01-01 00:00:00.000001"), Some(1));
        assert_eq!(revision("2026-11-22 19:06:56.354525"), Some(1_795_374_416_354_525));
        assert_eq!(modified_text(1_795_374_416_354_525).unwrap(), "2026-11-22 19:06:56.354525");
        assert_eq!(modified_text(revision("2026-11-22 19:06:56").unwrap()).unwrap(), "2026-11-22 19:06:56");
        assert_eq!(
            modified_text(revision("2026-11-22 19:06:56.100000").unwrap()).unwrap(),
            "2026-11-22 19:06:56.100000"
        );
    }

    #[test]
    fn what_is_no_local_time_has_no_revision() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T19:06:56",
            "2026-11-22 19:06:56Z",
            "2026-11-22 19:06:56+01:00",
            "2026-02-30 00:00:00",
            "2026-11-22 25:00:00",
            "1969-12-31 23:59:59",
            "2026-11-22 19:06:56.1234567",
            "2026-11-22 19:06:56.",
            "0000-00-00 00:00:00",
        ] {
            assert_eq!(revision(text), None, "{text}");
        }
        assert_eq!(modified_text(u64::MAX), None);
    }

    #[test]
    fn a_local_time_is_an_instant_of_its_zone() {
        let kolkata = SiteZone::named("Asia/Kolkata").unwrap();
        assert_eq!(kolkata.instant("2026-11-22 19:06:56.354525"), Some(at("2026-11-22T13:36:56.354525Z")));
        assert_eq!(kolkata.text(at("2026-11-22T13:36:56.354525Z")), "2026-11-22 19:06:56.354525");
        assert!(SiteZone::named("Mars/Olympus").is_none());
    }

    #[test]
    fn an_hour_that_comes_twice_is_the_earlier_one_and_keeps_its_revisions_apart() {
        assert_eq!(berlin().instant("2026-10-25 02:30:00"), Some(at("2026-10-25T00:30:00Z")));
        // Saved 40 minutes apart, the later one seems the earlier; but the lock still tells them apart.
        let (first, second) = ("2026-10-25 02:50:00.000001", "2026-10-25 02:30:00.000001");
        assert_ne!(revision(first), revision(second));
        assert_eq!(modified_text(revision(second).unwrap()).unwrap(), second);
    }

    #[test]
    fn an_hour_that_the_clocks_skip_is_not_lost() {
        assert_eq!(berlin().instant("2026-03-29 02:30:00"), Some(at("2026-03-29T01:30:00Z")));
        assert_eq!(berlin().text(at("2026-03-29T01:30:00Z")), "2026-03-29 03:30:00");
        assert_eq!(revision("2026-03-29 02:30:00").and_then(modified_text).unwrap(), "2026-03-29 02:30:00");
    }

    proptest! {
        #[test]
        fn revisions_and_texts_are_one_to_one(micros in 0_u64..4_102_444_800_000_000) {
            let text = modified_text(micros).unwrap();
            prop_assert_eq!(revision(&text), Some(micros));
        }

        #[test]
        fn revisions_have_the_order_of_the_texts(a in 0_u64..4_102_444_800, b in 0_u64..4_102_444_800) {
            // With equal decimals, since texts without any are shorter.
            let text = |seconds: u64| modified_text(seconds * 1_000_000 + 1).unwrap();
            prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        }

        #[test]
        fn an_instant_comes_back_in_every_zone_or_an_hour_early_where_it_comes_twice(
            micros in 0_i64..4_102_444_800_000_000,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
            ]),
        ) {
            let zone = SiteZone::named(zone).unwrap();
            let at = Timestamp::from_microsecond(micros).unwrap();
            let back = zone.instant(&zone.text(at)).unwrap();
            let early = at.duration_since(back).as_secs();
            prop_assert!(early == 0 || early == 1_800 || early == 3_600, "{at} came back as {back}");
        }

        #[test]
        fn no_text_does_harm(text in "\\PC{0,40}") {
            let _ = (revision(&text), berlin().instant(&text));
        }
    }
}
