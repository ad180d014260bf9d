//! Where in time a request is counted: its window, and the window's slot.

use jiff::Timestamp;

use super::Limit;

/// A window has at most this many slots: their counts are in one item of one write unit.
const MAX_SLOTS: i64 = 60;

/// A window and the slot that `at` lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it began, in seconds since the epoch: a multiple of its length.
    pub start: i64,
    /// The number of the slot, from 0.
    pub slot: i64,
    /// How long a slot is, in seconds.
    pub slot_seconds: i64,
    /// When the window ends.
    pub ends_at: Timestamp,
    /// When the slot ends: not after the window.
    pub slot_ends_at: Timestamp,
}

/// How long the slots of `limit` are, in seconds: the whole window where there is no burst to hold.
pub fn slot_seconds(limit: Limit) -> i64 {
    let seconds = limit.window_seconds.cast_signed();
    if limit.burst.is_some() { (seconds + MAX_SLOTS - 1) / MAX_SLOTS } else { seconds }
}

impl Window {
    /// The window and slot of `limit` at `now`.
    pub fn at(limit: Limit, now: Timestamp) -> Self {
        let (second, length) = (now.as_second(), limit.window_seconds.cast_signed());
        let start = second - second.rem_euclid(length);
        let slot_seconds = slot_seconds(limit);
        let slot = (second - start) / slot_seconds;
        let end = start + length;
        let slot_end = (start + (slot + 1) * slot_seconds).min(end);
        let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        Self { start, slot, slot_seconds, ends_at: at(end), slot_ends_at: at(slot_end) }
    }
}

/// The whole seconds from `now` until `at`, rounded up: whoever waits them finds it over.
pub fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    let left = at.duration_since(now);
    let whole = left.as_secs() + i64::from(left.subsec_nanos() > 0);
    u64::try_from(whole).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Class, *};

    fn limit(window_seconds: u64, burst: Option<u64>) -> Limit {
        let on_failure = super::super::OnFailure::Open;
        Limit { class: Class::Read, limit: 100, window_seconds, burst, on_failure }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn windows_begin_at_multiples_of_their_length_and_slots_are_a_sixtieth() {
        let window = Window::at(limit(3_600, Some(5)), at("2026-11-23T09:59:30.5Z"));
        assert_eq!(window.start, at("2026-11-23T09:00:00Z").as_second());
        assert_eq!((window.slot, window.slot_seconds), (59, 60));
        assert_eq!(window.ends_at, at("2026-11-23T10:00:00Z"));
        assert_eq!(window.slot_ends_at, window.ends_at);
    }

    #[test]
    fn the_last_slot_ends_with_the_window_and_there_are_at_most_sixty() {
        for seconds in 1..=400 {
            let limit = limit(seconds, Some(5));
            let last = at("2026-11-23T00:00:00Z").as_second() / seconds.cast_signed() * seconds.cast_signed()
                + seconds.cast_signed()
                - 1;
            let window = Window::at(limit, Timestamp::from_second(last).unwrap());
            assert!(window.slot < MAX_SLOTS, "{seconds}");
            assert_eq!(window.slot_ends_at, window.ends_at, "{seconds}");
        }
    }

    #[test]
    fn without_a_burst_the_window_is_one_slot() {
        let window = Window::at(limit(300, None), at("2026-11-23T09:04:59Z"));
        assert_eq!((window.slot, window.slot_ends_at), (0, window.ends_at));
    }

    #[test]
    fn what_is_left_of_a_second_is_a_second() {
        let end = at("2026-11-23T10:00:00Z");
        assert_eq!(seconds_until(end, at("2026-11-23T09:59:58.999Z")), 2);
        assert_eq!(seconds_until(end, at("2026-11-23T09:59:58Z")), 2);
        assert_eq!(seconds_until(end, at("2026-11-23T10:00:01Z")), 0);
    }
}
