//! What a site says went wrong: Frappe's exceptions, in the three forms in which they arrive.
//!
//! The status is not looked at: a missing link in a new document is a 404, malformed JSON a 500, a stale update a 417.
//! The type of the exception says what happened.

use serde_json::Value;

use super::Map;
use crate::{Error, ErrorCode};

/// The longest message of a site that is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// The types of exceptions that mean something to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// It does not accept our credentials.
    Authentication,
    /// Our user may not do this, or it is not callable at all.
    Permission,
    /// The document that was asked for does not exist, nor perhaps its DocType.
    DoesNotExist,
    /// A document that the one sent refers to does not exist.
    LinkMissing,
    /// A document of that name exists.
    DuplicateEntry,
    /// The value of a unique field is another document's.
    UniqueValidation,
    /// The document changed since it was read.
    TimestampMismatch,
    /// Someone else is at it: it is locked.
    Locked,
    /// The document's status does not allow it.
    Docstatus,
    /// Other documents refer to it, so it cannot be deleted or cancelled.
    LinkExists,
    /// A required field is missing.
    Mandatory,
    /// The query is not one the site answers: an unknown field, for one.
    Data,
    /// Another rule forbids it.
    Validation,
    /// Of the source document, nothing is left to make another one of: ours, since the site gives an empty one.
    NothingToMap,
    /// We ask too often.
    RateLimit,
    /// A statement waited too long for others, and everything was undone.
    QueryTimeout,
    /// It is in maintenance, starting, or read only.
    NotReady,
    /// Another type, by its name; empty if the answer names none.
    Other(String),
}

impl Exception {
    /// The exception called `name`, with or without its module.
    pub fn named(name: &str) -> Self {
        match name.rsplit('.').next().unwrap_or(name) {
            "AuthenticationError"
            | "InvalidAuthorizationHeader"
            | "InvalidAuthorizationPrefix"
            | "InvalidAuthorizationToken"
            | "SessionExpired" => Self::Authentication,
            "PermissionError" => Self::Permission,
            "DoesNotExistError" | "PageDoesNotExistError" => Self::DoesNotExist,
            "LinkValidationError" | "CancelledLinkError" => Self::LinkMissing,
            "DuplicateEntryError" => Self::DuplicateEntry,
            "UniqueValidationError" => Self::UniqueValidation,
            "TimestampMismatchError" => Self::TimestampMismatch,
            "DocumentLockedError" => Self::Locked,
            "DocstatusTransitionError" | "UpdateAfterSubmitError" => Self::Docstatus,
            "LinkExistsError" => Self::LinkExists,
            "MandatoryError" => Self::Mandatory,
            "DataError" => Self::Data,
            // A name that no document may have.
            "ValidationError" | "NameError" => Self::Validation,
            "RateLimitExceededError" | "TooManyRequestsError" => Self::RateLimit,
            "QueryTimeoutError" | "QueryDeadlockError" => Self::QueryTimeout,
            "SessionBootFailed" | "SessionStopped" | "InReadOnlyMode" => Self::NotReady,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A call that the site understood and declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// What happened.
    pub exception: Exception,
    /// What the site says about it, without markup, shortened. It may quote what was sent.
    pub message: String,
    /// Whether an earlier try of the same call was lost: the refusal may be the echo of what that one did.
    pub after_unknown: bool,
}

impl Refusal {
    /// A refusal of ours, in the place of the site.
    pub(super) fn new(status: u16, exception: Exception, message: String) -> Self {
        Self { status, exception, message, after_unknown: false }
    }

    /// Reads an answer that is a refusal, whatever its form.
    pub fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Map>(body) {
            Ok(answer) => Self::of_answer(status, &answer),
            Err(_) => {
                let text = String::from_utf8_lossy(body.get(..4_096).unwrap_or(body));
                Self::new(status, Exception::Other(String::new()), plain(&text))
            }
        }
    }

    fn of_answer(status: u16, answer: &Map) -> Self {
        if let Some(Value::Object(error)) = answer.get("errors").and_then(|errors| errors.get(0)) {
            let name = text(error, "type").unwrap_or_default();
            // Its `exception` is a traceback: nobody's business but the site's.
            let message = text(error, "message").unwrap_or_default();
            return Self::new(status, Exception::named(name), plain(message));
        }
        let exception = text(answer, "exception").unwrap_or_default();
        let (name, said) = exception.split_once(": ").unwrap_or((exception, ""));
        let name = text(answer, "exc_type").unwrap_or(name);
        let message = server_message(answer).unwrap_or_else(|| said.to_owned());
        Self::new(status, Exception::named(name), plain(&message))
    }

    /// Whether the refusal is of a field that the site does not know or does not show us.
    pub fn is_of_field(&self, field: &str) -> bool {
        matches!(self.exception, Exception::Data | Exception::Permission) && self.message.contains(field)
    }
}

/// The last of the messages for the user: the one that came with the exception.
fn server_message(answer: &Map) -> Option<String> {
    let all: Vec<Value> = serde_json::from_str(text(answer, "_server_messages")?).ok()?;
    let last = all.last()?.as_str()?;
    match serde_json::from_str::<Map>(last) {
        Ok(message) => text(&message, "message").map(ToOwned::to_owned),
        Err(_) => Some(last.to_owned()),
    }
}

fn text<'a>(object: &'a Map, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// `html` as one line of text: no tags, the usual entities as characters, shortened.
fn plain(html: &str) -> String {
    let mut all = String::with_capacity(html.len());
    let mut inside = false;
    let mut rest = html.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // What follows tells a tag from "less than".
            '<' if rest
                .peek()
                .is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!')) =>
            {
                inside = true;
            }
            '>' if inside => {
                inside = false;
                all.push(' ');
            }
            _ if inside => {}
            c => all.push(c),
        }
    }
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        all = all.replace(entity, character);
    }
    let mut line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.exception {
            Exception::Authentication => ErrorCode::CredentialsRefused,
            Exception::DoesNotExist => ErrorCode::DocumentNotFound,
            Exception::DuplicateEntry | Exception::UniqueValidation => ErrorCode::DocumentExists,
            Exception::TimestampMismatch | Exception::Locked => ErrorCode::RevisionConflict,
            Exception::Docstatus => ErrorCode::DocstatusForbids,
            Exception::NothingToMap => ErrorCode::NothingToMap,
            _ => ErrorCode::ProviderRefused,
        };
        let said = match (refusal.message.as_str(), &refusal.exception) {
            ("", Exception::Other(name)) if name.is_empty() => format!("with status {}", refusal.status),
            ("", exception) => format!("with {exception:?}"),
            (message, _) => message.to_owned(),
        };
        let detail = match refusal.exception {
            Exception::Authentication => {
                "the ERPNext site does not accept the credentials it is called with".to_owned()
            }
            Exception::NothingToMap => refusal.message,
            Exception::Permission => {
                format!("the ERPNext site does not permit this to the user it is called as: {said}")
            }
            _ => format!("the ERPNext site refuses: {said}"),
        };
        Self::new(code, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erpnext::recorded;

    fn refusal(name: &str) -> Refusal {
        let answer = recorded::answer(name);
        Refusal::read(answer.status().as_u16(), answer.body())
    }

    #[test]
    fn every_recorded_error_is_read_for_what_it_is() {
        let other = |name: &str| Exception::Other(name.to_owned());
        for (name, exception, message) in [
            ("17_bulk_log_list", other("IndexError"), "list index out of range"),
            ("36_client_submit_stale", Exception::TimestampMismatch, "Error: Document has been modified"),
            ("40_insert_many_one_bad", Exception::Mandatory, "Error: Value missing for ToDo: Description"),
            ("41_unique_custom_field_repeat", Exception::UniqueValidation, "Causeway Id must be unique"),
            ("50_err_bad_token", Exception::Authentication, ""),
            (
                "52_err_no_auth",
                Exception::Permission,
                "User Guest does not have doctype access via role permission for document Sales Order",
            ),
            ("56_err_404_doc", Exception::DoesNotExist, "Sales Order NOPE not found"),
            ("57_err_404_doctype", Exception::DoesNotExist, "DocType Nope Type not found"),
            (
                "59_err_method_missing",
                Exception::Validation,
                "Failed to get method for command erpnext.nope.nope with No module named 'erpnext.nope'",
            ),
            (
                "60_err_not_whitelisted",
                Exception::Permission,
                "You are not permitted to access this resource. Function \
                 erpnext.utilities.bulk_transaction.task is not whitelisted.",
            ),
            ("63_err_409_dup", Exception::DuplicateEntry, "Item HUB-ITEM-0 already exists"),
            (
                "64_err_417_mandatory",
                other("TypeError"),
                "unsupported operand type(s) for *: 'NoneType' and 'float'",
            ),
            ("65_err_417_link", Exception::DoesNotExist, "Customer Nobody not found"),
            ("68_v2_err_404", Exception::DoesNotExist, "Sales Order NOPE not found"),
            ("69_v2_err_417", Exception::DoesNotExist, "Customer Nobody not found"),
            ("70_v2_err_403", Exception::Permission, "User Guest does not have doctype access"),
            ("71_err_bad_field", Exception::Data, "Field not permitted in query: nope_field"),
            ("74_put_stale_modified", Exception::TimestampMismatch, "Error: Document has been modified"),
            ("78_delete", Exception::Permission, "User not allowed to delete ToDo: 3qo42m56n7"),
            ("86_rate_limit_429_text", other(""), "Too Many Requests"),
            ("87_rate_limit_429_v2", Exception::RateLimit, "<traceback>"),
            ("A4_oauth_token_code_reuse", other(""), ""),
        ] {
            let read = refusal(name);
            assert_eq!(read.exception, exception, "{name}");
            let message = if message == "<traceback>" { "" } else { message };
            assert!(read.message.starts_with(message), "{name}: {}", read.message);
            assert_eq!(message.is_empty(), read.message.is_empty(), "{name}: {}", read.message);
        }
    }

    #[test]
    fn no_recorded_error_is_left_out() {
        let cases = include_str!("exception.rs");
        for name in recorded::names() {
            let status = recorded::answer(&name).status();
            assert!(status.is_success() || cases.contains(&format!("\"{name}\"")), "{name} is no case");
        }
    }

    #[test]
    fn refusals_have_the_codes_of_what_they_mean_to_our_callers() {
        for (name, code) in [
            ("50_err_bad_token", ErrorCode::CredentialsRefused),
            ("52_err_no_auth", ErrorCode::ProviderRefused),
            ("56_err_404_doc", ErrorCode::DocumentNotFound),
            ("63_err_409_dup", ErrorCode::DocumentExists),
            ("41_unique_custom_field_repeat", ErrorCode::DocumentExists),
            ("74_put_stale_modified", ErrorCode::RevisionConflict),
            ("40_insert_many_one_bad", ErrorCode::ProviderRefused),
            ("64_err_417_mandatory", ErrorCode::ProviderRefused),
        ] {
            assert_eq!(Error::from(refusal(name)).code(), code, "{name}");
        }
        let wrong = r#"{"exc_type": "UpdateAfterSubmitError", "exception": "frappe.exceptions.UpdateAfterSubmitError: no"}"#;
        assert_eq!(Error::from(Refusal::read(417, wrong.as_bytes())).code(), ErrorCode::DocstatusForbids);
    }

    #[test]
    fn the_site_s_own_words_are_passed_on_and_silence_is_said() {
        let detail = |name: &str| Error::from(refusal(name)).detail().to_owned();
        assert_eq!(
            detail("40_insert_many_one_bad"),
            "the ERPNext site refuses: Error: Value missing for ToDo: Description"
        );
        assert!(detail("52_err_no_auth").contains("User Guest does not have doctype access"));
        let silent = Error::from(Refusal::read(405, b""));
        assert_eq!(silent.detail(), "the ERPNext site refuses: with status 405");
    }

    #[test]
    fn markup_goes_and_what_is_long_is_cut() {
        assert_eq!(plain("<b>A</b>&nbsp;&lt;b&gt; &amp;amp;\n  c"), "A <b> &amp; c");
        assert_eq!(plain("1 < 2 <i>and</i> 3 > 2"), "1 < 2 and 3 > 2");
        let long = plain(&"ä".repeat(2_000));
        assert_eq!(long.chars().count(), MAX_MESSAGE_CHARS + 1);
    }

    #[test]
    fn whatever_is_sent_is_read_without_harm() {
        for body in [
            "",
            "[]",
            "null",
            "{",
            "{\"errors\": []}",
            "{\"errors\": [1]}",
            "{\"exc_type\": 1}",
            "{\"_server_messages\": \"[\"}",
            "{\"_server_messages\": \"[1]\"}",
            "{\"_server_messages\": \"[]\"}",
            "{\"_server_messages\": \"[\\\"plain\\\"]\"}",
            "<html><body>502 Bad Gateway</body></html>",
            "\u{0}\u{1}",
        ] {
            let read = Refusal::read(500, body.as_bytes());
            assert!(matches!(read.exception, Exception::Other(_)), "{body}: {read:?}");
        }
        assert_eq!(Refusal::read(500, b"{\"_server_messages\": \"[\\\"plain\\\"]\"}").message, "plain");
        assert_eq!(Refusal::read(502, b"<html><h1>502</h1>Bad Gateway</html>").message, "502 Bad Gateway");
        assert!(!Refusal::read(500, &[0xff; 10_000]).message.is_empty());
    }
}
