//! A site's times: local times of its zone without any mark of it, and what they are in UTC.
//!
//! Two uses, two translations. The optimistic lock wants the very text back, so a revision is that text as a number,
//! one to one, whatever the zone ([`revision`], [`modified_text`]). Everything else wants an instant
//! ([`SiteZone::instant`]): where the clocks are set back, an hour of local times comes twice, and the text does not
//! say which was meant; then it is the earlier one, so that nothing seems to be later than it was.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

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

/// How long ago the site's `now` is by our clock; negative if it is ahead.
pub fn skew(ours: Timestamp, sites: Timestamp) -> SignedDuration {
    ours.duration_since(sites)
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
