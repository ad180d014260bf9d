//! What a site's answers mean to the pipeline: whether it is well, and whether a call may have had its effect.

use http::Response;
use serde::de::IgnoredAny;

use super::exception::{Exception, Refusal};
use crate::outbound::{Effect, Provider, Verdict};

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
            // A site redirects no call: it is a proxy, to its login, to https, to a page of its own.
            300..400 => Verdict::Failed(Effect::None),
            _ if is_json => of_exception(status, &Refusal::read(status, answer.body())),
            _ => of_stranger(status),
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::erpnext::recorded;

    const NOTHING: Verdict = Verdict::Failed(Effect::None);
    const UNKNOWN: Verdict = Verdict::Failed(Effect::Unknown);

    fn verdict(status: u16, body: &str) -> Verdict {
        ERPNEXT.judge(&Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap())
    }

    fn raised(status: u16, name: &str, said: &str) -> Verdict {
        let exception = format!("module.{name}: {said}");
        let body = serde_json::json!({ "exception": exception, "exc_type": name, "exc": "[]" });
        verdict(status, &body.to_string())
    }

    #[test]
    fn recorded_answers_are_successes_refusals_or_limits() {
        for name in recorded::names() {
            let answer = recorded::answer(&name);
            // Recordings of long documents may have been cut.
            let expected = match answer.status().as_u16() {
                429 => Verdict::Limited,
                200..300 => Verdict::Success,
                _ => Verdict::Refused,
            };
            assert_eq!(ERPNEXT.judge(&answer), expected, "{name}");
        }
    }

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_will_not() {
        for (name, status, said, expected) in [
            ("QueryTimeoutError", 500, "(1205, 'Lock wait timeout exceeded')", NOTHING),
            ("QueryDeadlockError", 500, "(1213, 'Deadlock found')", NOTHING),
            ("OperationalError", 500, "(1205, 'Lock wait timeout exceeded')", NOTHING),
            ("OperationalError", 500, "(1040, 'Too many connections')", NOTHING),
            ("OperationalError", 500, "(2003, \"Can't connect to MySQL server\")", NOTHING),
            ("OperationalError", 500, "(2013, 'Lost connection to MySQL server during query')", UNKNOWN),
            ("OperationalError", 500, "", UNKNOWN),
            ("OperationalError", 500, "(1054, \"Unknown column 'x' in 'where clause'\")", Verdict::Refused),
            ("SessionBootFailed", 500, "", NOTHING),
            ("SessionStopped", 503, "", NOTHING),
            ("InReadOnlyMode", 503, "", NOTHING),
            ("ConnectionError", 500, "Error 111 connecting to localhost:11000", UNKNOWN),
            ("TooManyRequestsError", 429, "", Verdict::Limited),
            ("RateLimitExceededError", 417, "", Verdict::Limited),
            ("TypeError", 500, "x", Verdict::Refused),
            ("ValueError", 500, "x", Verdict::Refused),
            ("JSONDecodeError", 500, "x", Verdict::Refused),
            ("ProgrammingError", 500, "(1146, \"Table 'x' doesn't exist\")", Verdict::Refused),
            ("DocumentLockedError", 417, "x", Verdict::Refused),
            ("ValidationError", 417, "x", Verdict::Refused),
        ] {
            assert_eq!(raised(status, name, said), expected, "{name}: {said}");
        }
    }

    #[test]
    fn what_does_not_speak_as_a_site_does_is_not_the_site() {
        let page = "<html><body>whatever</body></html>";
        for (status, expected) in [
            (200, UNKNOWN),
            (202, UNKNOWN),
            (301, NOTHING),
            (302, NOTHING),
            (308, NOTHING),
            (400, Verdict::Refused),
            (401, NOTHING),
            (403, NOTHING),
            (404, NOTHING),
            (408, UNKNOWN),
            (413, Verdict::Refused),
            (429, Verdict::Limited),
            (500, UNKNOWN),
            (502, UNKNOWN),
            (503, NOTHING),
            (504, UNKNOWN),
            (520, UNKNOWN),
        ] {
            assert_eq!(verdict(status, page), expected, "{status}");
        }
        for garbage in ["", "{", "{\"data\": {\"name\":", "[]", "null", "\u{feff}{}"] {
            assert_eq!(verdict(200, garbage), UNKNOWN, "{garbage}");
        }
        assert_eq!(verdict(503, "{\"error\": \"x\"}"), NOTHING);
        assert_eq!(verdict(500, "{}"), UNKNOWN);
        assert_eq!(verdict(400, "{\"error\": \"invalid_grant\"}"), Verdict::Refused);
    }

    #[test]
    fn the_budget_of_processing_time_is_read() {
        let notice = ERPNEXT.rate(recorded::answer("85_rate_limit_00").headers()).unwrap();
        assert!((notice.left - 1.0).abs() < f64::EPSILON);
        assert_eq!(notice.resets_in, Duration::from_secs(30));
        let notice = ERPNEXT.rate(recorded::answer("86_rate_limit_429_text").headers()).unwrap();
        assert!(notice.left.abs() < f64::EPSILON);
        assert_eq!(ERPNEXT.rate(recorded::answer("26_doc").headers()), None);
    }
}
