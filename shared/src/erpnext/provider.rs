//! What a site's answers mean to the pipeline: whether it is well, and whether a call may have had its effect.

use std::time::Duration;

use http::{HeaderMap, Response};
use serde::de::IgnoredAny;

use super::exception::{Exception, Refusal};
use crate::outbound::{Effect, Provider, RateNotice, Verdict};

/// Judges the answers of a site.
#[derive(Debug, Clone, Copy)]
pub struct ErpnextProvider;

/// The one judge.
pub static ERPNEXT: ErpnextProvider = ErpnextProvider;

impl Provider for ErpnextProvider {
    fn judge(&self, answer: &Response<Vec<u8>>) -> Verdict {
        let status = answer.status().as_u16();
        let is_json = is_object(answer.body());
        match status {
            // What a proxy makes up is no answer of the site, whatever its status.
            200..300 if is_json => Verdict::Success,
            200..300 => Verdict::Failed(Effect::Unknown),
            429 => Verdict::Limited,
            300..400 => Verdict::Refused,
            _ if is_json => of_exception(status, &Refusal::read(status, answer.body())),
            _ => of_stranger(status),
        }
    }

    /// Frappe's limit is of processing time, for the whole site: what is left of it, and when its window ends.
    fn rate(&self, headers: &HeaderMap) -> Option<RateNotice> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        let (limit, left) = (number("x-ratelimit-limit")?, number("x-ratelimit-remaining")?);
        let resets_in = Duration::try_from_secs_f64(number("x-ratelimit-reset")?).ok()?;
        (limit > 0.0).then(|| RateNotice { left: (left / limit).clamp(0.0, 1.0), resets_in })
    }
}

fn is_object(body: &[u8]) -> bool {
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    begins && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// An exception undoes what the call did, whatever its status; but some come from beneath the site's own code, and
/// then nobody knows whether the transaction was kept.
fn of_exception(status: u16, refusal: &Refusal) -> Verdict {
    match &refusal.exception {
        Exception::RateLimit => Verdict::Limited,
        Exception::QueryTimeout | Exception::NotReady => Verdict::Failed(Effect::None),
        Exception::Other(name) => match name.as_str() {
            "OperationalError" | "InternalError" | "InterfaceError" => of_database(&refusal.message),
            "ConnectionError"
            | "ConnectionRefusedError"
            | "ConnectionResetError"
            | "BrokenPipeError"
            | "TimeoutError"
            | "BusyLoadingError"
            | "RedisError"
            | "OSError"
            | "MemoryError"
            | "SystemExit" => Verdict::Failed(Effect::Unknown),
            "" => of_stranger_in_json(status),
            _ => Verdict::Refused,
        },
        _ => Verdict::Refused,
    }
}

/// By the number of the database's error, which the exception begins with: `(1205, 'Lock wait timeout exceeded')`.
fn of_database(message: &str) -> Verdict {
    let number = message.trim_start_matches('(').split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
    match number {
        // Lock wait timeout, deadlock: undone. Too many connections, no server: nothing was begun.
        "1205" | "1213" | "1040" | "2002" | "2003" => Verdict::Failed(Effect::None),
        // The connection was lost, perhaps while committing.
        "" | "1053" | "1927" | "2006" | "2013" | "2055" => Verdict::Failed(Effect::Unknown),
        _ => Verdict::Refused,
    }
}

/// JSON that names no exception: the site's own where it has no exception to name, as OAuth's answers.
fn of_stranger_in_json(status: u16) -> Verdict {
    match status {
        503 => Verdict::Failed(Effect::None),
        408 | 500.. => Verdict::Failed(Effect::Unknown),
        _ => Verdict::Refused,
    }
}

/// An answer that is not in the site's words comes from something before it: a proxy, a firewall, another server.
fn of_stranger(status: u16) -> Verdict {
    match status {
        // It names what is wrong with the request itself.
        400 | 405 | 411 | 413 | 414 | 415 | 431 => Verdict::Refused,
        408 => Verdict::Failed(Effect::Unknown),
        400..500 | 503 => Verdict::Failed(Effect::None),
        _ => Verdict::Failed(Effect::Unknown),
    }
}
