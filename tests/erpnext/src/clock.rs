//! The site's time: the machine's, moved or stopped by a test; and the civil time of its zone, which is all that
//! documents carry.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// What time the site believes it is. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SiteClock(Arc<Mutex<Reading>>);

#[derive(Debug, Default)]
struct Reading {
    stopped_at: Option<Timestamp>,
    offset: SignedDuration,
}

impl SiteClock {
    fn reading(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instant.
    pub fn now(&self) -> Timestamp {
        let reading = self.reading();
        let base = reading.stopped_at.unwrap_or_else(Timestamp::now);
        base.checked_add(reading.offset).unwrap_or(base)
    }

    /// Stops at this instant; `advance` still moves it.
    pub fn stop_at(&self, instant: Timestamp) {
        *self.reading() = Reading { stopped_at: Some(instant), offset: SignedDuration::ZERO };
    }

    /// Runs with the machine's clock again.
    pub fn run(&self) {
        *self.reading() = Reading::default();
    }

    /// Goes forward, or back.
    pub fn advance(&self, by: SignedDuration) {
        let mut reading = self.reading();
        reading.offset = reading.offset.checked_add(by).unwrap_or(reading.offset);
    }
}

/// The instant in the zone's civil time, in microseconds.
pub fn local(instant: Timestamp, zone: &TimeZone) -> DateTime {
    let civil = zone.to_datetime(instant);
    let micros = civil.subsec_nanosecond() / 1000 * 1000;
    civil.with().subsec_nanosecond(micros).build().unwrap_or(civil)
}

/// As Python writes a time: six digits of fraction, and none where they would all be zero.
pub fn text(time: DateTime) -> String {
    if time.subsec_nanosecond() == 0 {
        time.strftime("%Y-%m-%d %H:%M:%S").to_string()
    } else {
        time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
    }
}

/// Reads a time or a date as the database does.
pub fn parse(text: &str) -> Option<DateTime> {
    let text = text.trim();
    if text.len() < 10 || !text.is_ascii() || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.replace(' ', "T").parse().ok().or_else(|| text.parse::<jiff::civil::Date>().ok().map(DateTime::from))
}
