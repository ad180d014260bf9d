//! What answers say of the provider's limits, in the headers that many use: `RateLimit` with `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers, its current form and the two before it) and `X-RateLimit-*`.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;

use super::{
    RateNotice,
    retry_after::{LONGEST, between, date},
};

/// How the three headers of one number each begin.
const FAMILIES: [&str; 3] = ["ratelimit-", "x-ratelimit-", "x-rate-limit-"];
/// From here on a reset is an instant in seconds since 1970, and no wait.
const INSTANT_SECONDS: f64 = 1e9;
/// From here on it is one in milliseconds.
const INSTANT_MILLISECONDS: f64 = 1e12;
/// The most limits of one answer that are looked at.
const MAX_LIMITS: usize = 16;

/// The limit that is nearest to its end; `None` where nothing is said, or nothing that can be read.
pub fn read(headers: &HeaderMap) -> Option<RateNotice> {
    let families = FAMILIES.iter().find_map(|family| separate(headers, family));
    combined(headers).or(families)
}

/// `RateLimit: "burst";r=5;t=3, "day";r=900;t=3600` with `RateLimit-Policy: "burst";q=10;w=5, …`, or the older
/// `RateLimit: limit=10, remaining=5, reset=3`.
fn combined(headers: &HeaderMap) -> Option<RateNotice> {
    let limits = text(headers, "ratelimit")?;
    let policies: Vec<Item<'_>> =
        text(headers, "ratelimit-policy").map(|text| items(text).collect()).unwrap_or_default();
    let of = |limit: &Item<'_>| {
        let (remaining, reset) = (limit.number("r")?, limit.number("t")?);
        let quota =
            policies.iter().find(|policy| policy.name == limit.name).and_then(|policy| policy.number("q"));
        notice(remaining, quota, Duration::try_from_secs_f64(reset).ok()?)
    };
    let tightest = items(limits).filter_map(|limit| of(&limit)).min_by(|a, b| a.left.total_cmp(&b.left));
    tightest.or_else(|| {
        // The older form is one item with a value in each part.
        let all = Item { name: "", parameters: limits.replace(',', ";") };
        let reset = Duration::try_from_secs_f64(all.number("reset")?).ok()?;
        notice(all.number("remaining")?, all.number("limit"), reset)
    })
}

/// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, which is a wait or an instant.
fn separate(headers: &HeaderMap, family: &str) -> Option<RateNotice> {
    let number = |name: &str| text(headers, &format!("{family}{name}")).and_then(leading);
    let reset = number("reset")?;
    let instant = |milliseconds: f64| {
        // Only the provider's own clock says how far away its instant is.
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970; saturates")]
        let then = Timestamp::from_millisecond(milliseconds as i64).ok()?;
        date(headers, header::DATE).map(|now| between(now, then))
    };
    let wait = match reset {
        reset if reset >= INSTANT_MILLISECONDS => instant(reset),
        reset if reset >= INSTANT_SECONDS => instant(reset * 1_000.0),
        reset => Duration::try_from_secs_f64(reset).ok(),
    };
    notice(number("remaining")?, number("limit"), wait?)
}

/// Without a quota only "nothing is left" means something.
fn notice(remaining: f64, quota: Option<f64>, resets_in: Duration) -> Option<RateNotice> {
    let left = match quota {
        Some(quota) if quota > 0.0 => (remaining / quota).clamp(0.0, 1.0),
        _ if remaining <= 0.0 => 0.0,
        _ => return None,
    };
    left.is_finite().then_some(RateNotice { left, resets_in: resets_in.min(LONGEST) })
}

/// A name and its parameters, as `"burst";r=5;t=3` has them.
struct Item<'a> {
    name: &'a str,
    parameters: String,
}

impl Item<'_> {
    fn number(&self, name: &str) -> Option<f64> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            if key.trim() == name { leading(value) } else { None }
        })
    }
}

fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    text.split(',').take(MAX_LIMITS).map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        Item { name: name.trim(), parameters: parameters.to_owned() }
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The number a text begins with: some write `100, 100;w=60`. Nothing that is negative, infinite or no number.
fn leading(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(headers: &[(&'static str, &str)]) -> Option<(f64, u64)> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        read(&headers).map(|notice| (notice.left, notice.resets_in.as_secs()))
    }

    #[test]
    fn the_limit_nearest_to_its_end_counts() {
        let limits = ("ratelimit", "\"burst\";r=5;t=3, \"day\";r=90;t=3600");
        let policy = ("ratelimit-policy", "\"burst\";q=10;w=5,\"day\";q=1000;w=86400");
        assert_eq!(notice(&[limits, policy]), Some((0.09, 3600)));
        assert_eq!(notice(&[limits]), None, "how much is left of what?");
        assert_eq!(notice(&[("ratelimit", "\"day\";r=0;t=60")]), Some((0.0, 60)));
    }

    #[test]
    fn older_forms_are_read_as_well() {
        assert_eq!(notice(&[("ratelimit", "limit=100, remaining=50, reset=30")]), Some((0.5, 30)));
        let older =
            [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "25"), ("ratelimit-reset", "30")];
        assert_eq!(notice(&older), Some((0.25, 30)));
    }

    #[test]
    fn a_reset_is_a_wait_or_an_instant_of_the_providers_clock() {
        let with = |reset, date: Option<&'static str>| {
            let mut headers = vec![
                ("x-ratelimit-limit", "200"),
                ("x-ratelimit-remaining", "50"),
                ("x-ratelimit-reset", reset),
            ];
            headers.extend(date.map(|date| ("date", date)));
            notice(&headers)
        };
        assert_eq!(with("60", None), Some((0.25, 60)));
        let date = Some("Sun, 22 Nov 2026 10:00:00 GMT");
        assert_eq!(with("1795341690", date), Some((0.25, 90)));
        assert_eq!(with("1795341690.5", date), Some((0.25, 90)));
        assert_eq!(with("1795341690000", date), Some((0.25, 90)));
        assert_eq!(with("1795341690", None), None, "ours may be wrong");
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for value in ["", "-1", "many", "NaN", "inf", "\"a\";r=;t=", ";;;,,,===", "\"a\";r=1;t=-1"] {
            assert_eq!(notice(&[("ratelimit", value), ("ratelimit-policy", value)]), None, "{value}");
            let three = [
                ("x-ratelimit-limit", value),
                ("x-ratelimit-remaining", value),
                ("x-ratelimit-reset", value),
            ];
            assert_eq!(notice(&three), None, "{value}");
        }
        assert_eq!(
            notice(&[
                ("x-ratelimit-limit", "0"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "999999999")
            ]),
            Some((0.0, 86_400))
        );
    }
}
