//! The classes of operations and their limits, as data: defaults in code, replaced by `RATE_LIMITS`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, Result};

/// The largest limit, in requests a window.
const MAX_LIMIT: u64 = 1_000_000;
/// The longest window, in seconds: a day.
const MAX_WINDOW_SECONDS: u64 = 86_400;
/// Up to this limit each request is counted by itself.
const COUNTED_ONE_BY_ONE: u64 = 1_000;
/// Above it, an instance takes permits for this part of the limit at a time.
const SHARES: u64 = 50;

/// What kind of operation a request is; each route has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads one thing.
    Read,
    /// Lists or searches.
    List,
    /// Creates, changes or deletes, or sets work off.
    Write,
    /// Computes over many documents.
    Report,
    /// Changes who may do what, or how Causeway works.
    Admin,
    /// Failed to say who asks; counted by address, see [`super::FailedAuthentications`].
    Authentication,
}

impl Class {
    /// The class as headers and settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Report => "report",
            Self::Admin => "admin",
            Self::Authentication => "authentication",
        }
    }
}

/// What happens to requests that cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They are allowed: reading does no harm.
    Open,
    /// They are refused: what changes something, or guesses, is not let through uncounted.
    Closed,
}

/// The limit of one class, for each of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The class.
    pub class: Class,
    /// Requests a window.
    pub limit: u64,
    /// How long a window is, in seconds.
    pub window_seconds: u64,
    /// Requests within a slot, a sixtieth of the window but at least a second; none where only the limit counts.
    pub burst: Option<u64>,
    /// What happens where State cannot be reached.
    pub on_failure: OnFailure,
}

impl Limit {
    const fn new(class: Class, limit: u64, window_seconds: u64, burst: Option<u64>) -> Self {
        let on_failure = match class {
            Class::Read | Class::List | Class::Report => OnFailure::Open,
            Class::Write | Class::Admin | Class::Authentication => OnFailure::Closed,
        };
        Self { class, limit, window_seconds, burst, on_failure }
    }

    /// How many permits an instance takes at a time.
    pub fn permits_at_once(self) -> u64 {
        let share = if self.limit <= COUNTED_ONE_BY_ONE { 1 } else { self.limit / SHARES };
        share.min(self.burst.unwrap_or(share))
    }
}

/// One of each class, in their order. 6,000 reads in 5 minutes are 20 a second, which an integration that mirrors documents needs and
/// a runaway loop exceeds; `report` and `admin` are what costs much and what is done by hand.
const DEFAULTS: [Limit; 6] = [
    Limit::new(Class::Read, 6_000, 300, Some(500)),
    Limit::new(Class::List, 1_500, 300, Some(150)),
    Limit::new(Class::Write, 3_000, 300, Some(250)),
    Limit::new(Class::Report, 100, 3_600, Some(20)),
    Limit::new(Class::Admin, 50, 300, None),
    Limit::new(Class::Authentication, 20, 300, None),
];

/// The limits of all classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits([Limit; DEFAULTS.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(DEFAULTS)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    limit: u64,
    window_seconds: u64,
    #[serde(default)]
    burst: Option<u64>,
}

impl Limits {
    /// The defaults with those replaced that `text` names: a JSON object, class → `{limit, window_seconds, burst}`,
    /// where `burst` may be missing or null for none. The error says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let replaced: BTreeMap<String, Replacement> =
            serde_path_to_error::deserialize(&mut json).map_err(|fault| {
                Error::field("", "invalid", format!("at {}: {}", fault.path(), fault.inner()))
            })?;
        json.end().map_err(|fault| Error::field("", "invalid", fault.to_string()))?;
        let mut limits = Self::default();
        for (name, Replacement { limit, window_seconds, burst }) in replaced {
            let class = named(&name)?;
            limits.0[class as usize] = checked(Limit::new(class, limit, window_seconds, burst))?;
        }
        Ok(limits)
    }

    /// The limit of `class`.
    pub fn of(&self, class: Class) -> Limit {
        self.0[class as usize]
    }
}

fn named(name: &str) -> Result<Class> {
    let known = DEFAULTS.map(|limit| limit.class);
    known.into_iter().find(|class| class.as_str() == name).ok_or_else(|| {
        let known = known.map(Class::as_str).join(", ");
        Error::field(format!("/{name}"), "unknown", format!("is not a class; there are: {known}"))
    })
}

fn checked(limit: Limit) -> Result<Limit> {
    let within = |name: &str, value: u64, most: u64| {
        if (1..=most).contains(&value) {
            return Ok(());
        }
        let field = format!("/{}/{name}", limit.class.as_str());
        Err(Error::field(field, "invalid", format!("must be 1 to {most}, not {value}")))
    };
    within("limit", limit.limit, MAX_LIMIT)?;
    within("window_seconds", limit.window_seconds, MAX_WINDOW_SECONDS)?;
    limit.burst.map_or(Ok(()), |burst| within("burst", burst, limit.limit))?;
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_keeps_its_default() {
        assert_eq!(Limits::parse("{}").unwrap(), Limits::default());
        let limits =
            Limits::parse(r#"{"read": {"limit": 10, "window_seconds": 60, "burst": null}}"#).unwrap();
        assert_eq!(limits.of(Class::Read), Limit::new(Class::Read, 10, 60, None));
        assert_eq!(limits.of(Class::Report), Limit::new(Class::Report, 100, 3_600, Some(20)));
    }

    #[test]
    fn every_class_has_a_valid_limit_under_its_own_name() {
        for limit in DEFAULTS {
            checked(limit).unwrap();
            assert_eq!(Limits::default().of(limit.class), limit);
            assert_eq!(named(limit.class.as_str()).unwrap(), limit.class);
        }
    }

    /// A number as the guide writes it: `6,000`.
    fn thousands(number: u64) -> String {
        if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
    }

    #[test]
    fn the_guide_has_the_default_limits() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rate-limits.md");
        let page = std::fs::read_to_string(page).unwrap();
        for limit in DEFAULTS {
            let name = format!("| `{}` |", limit.class.as_str());
            let row = page.lines().find(|line| line.starts_with(&name)).unwrap();
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let slot = super::super::window::slot_seconds(limit);
            let burst = limit.burst.map_or("none".to_owned(), |burst| format!("{burst} in {slot} s"));
            assert_eq!(
                cells[3..6],
                [thousands(limit.limit), thousands(limit.window_seconds), burst],
                "{row}"
            );
            assert_eq!(cells[6] == "allowed", limit.on_failure == OnFailure::Open, "{row}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        let name = |text: &str| Limits::parse(text).unwrap_err().detail().to_owned();
        assert!(
            name(r#"{"reed": {"limit": 1, "window_seconds": 1}}"#)
                .starts_with("/reed: is not a class; there are: read, list,")
        );
        assert!(name(r#"{"read": {"limit": 1}}"#).contains("at read: missing field `window_seconds`"));
        assert!(name(r#"{"read": {"limit": 1, "window_seconds": 1, "bust": 1}}"#).contains("`bust`"));
        assert!(name(r#"{"read": {"limit": "1", "window_seconds": 1}}"#).contains("read.limit"));
        assert!(name(r#"{"read": {"limit": 0, "window_seconds": 1}}"#).contains("/read/limit"));
        assert!(name(r#"{"read": {"limit": 5, "window_seconds": 86401}}"#).contains("/read/window_seconds"));
        assert!(name(r#"{"read": {"limit": 5, "window_seconds": 1, "burst": 6}}"#).contains("/read/burst"));
        assert!(name("read=5").contains("expected value"));
        assert!(name("{} {}").contains("trailing"));
    }

    #[test]
    fn large_limits_are_counted_in_shares_never_larger_than_the_burst() {
        let at_once = |limit, burst| Limit::new(Class::Read, limit, 300, burst).permits_at_once();
        assert_eq!(at_once(1_000, None), 1);
        assert_eq!(at_once(1_001, None), 20);
        assert_eq!(at_once(6_000, Some(500)), 120);
        assert_eq!(at_once(6_000, Some(50)), 50);
    }
}
