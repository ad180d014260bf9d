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
            "DuplicateEntryError" | "NameError" => Self::DuplicateEntry,
            "UniqueValidationError" => Self::UniqueValidation,
            "TimestampMismatchError" => Self::TimestampMismatch,
            "DocumentLockedError" => Self::Locked,
            "DocstatusTransitionError" | "UpdateAfterSubmitError" => Self::Docstatus,
            "LinkExistsError" => Self::LinkExists,
            "MandatoryError" => Self::Mandatory,
            "DataError" => Self::Data,
            "ValidationError" => Self::Validation,
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
}

impl Refusal {
    /// Reads an answer that is a refusal, whatever its form.
    pub fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Map>(body) {
            Ok(answer) => Self::of_answer(status, &answer),
            Err(_) => {
                let text = String::from_utf8_lossy(body.get(..4_096).unwrap_or(body));
                Self { status, exception: Exception::Other(String::new()), message: plain(&text) }
            }
        }
    }

    fn of_answer(status: u16, answer: &Map) -> Self {
        if let Some(Value::Object(error)) = answer.get("errors").and_then(|errors| errors.get(0)) {
            let name = text(error, "type").unwrap_or_default();
            let message = text(error, "message").or_else(|| text(error, "exception")).unwrap_or_default();
            return Self { status, exception: Exception::named(name), message: plain(message) };
        }
        let exception = text(answer, "exception").unwrap_or_default();
        let (name, said) = exception.split_once(": ").unwrap_or((exception, ""));
        let name = text(answer, "exc_type").unwrap_or(name);
        let message = server_message(answer).unwrap_or_else(|| said.to_owned());
        Self { status, exception: Exception::named(name), message: plain(&message) }
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
    for c in html.chars() {
        match c {
            '<' => inside = true,
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
            Exception::Permission => {
                format!("the ERPNext site does not permit this to the user it is called as: {said}")
            }
            _ => format!("the ERPNext site refuses: {said}"),
        };
        Self::new(code, detail)
    }
}
