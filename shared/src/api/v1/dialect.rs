//! Failures as Frappe says them: the status, and the type of exception that Frappe's clients look at.
//!
//! The wrapper calls it for every failure below `/api`. Frappe's statuses mislead (417 for most input, 403 for a
//! wrong verb), which is why its clients go by `exc_type`; the stable `code` of version 2 is there as well. There
//! is never a traceback: `exc` holds the exception's own line.

use http::StatusCode;
#[cfg(test)]
use serde_json::Value;
use serde_json::json;

use crate::{Error, ErrorCode, error::Kind, trigger::http::Response};

/// An exception of `frappe.exceptions`, by name, with its status.
type Exception = (&'static str, StatusCode);

const AUTHENTICATION: Exception = ("AuthenticationError", StatusCode::UNAUTHORIZED);
const DATA: Exception = ("DataError", StatusCode::EXPECTATION_FAILED);
const DOCSTATUS: Exception = ("DocstatusTransitionError", StatusCode::EXPECTATION_FAILED);
const DUPLICATE: Exception = ("DuplicateEntryError", StatusCode::CONFLICT);
const MANDATORY: Exception = ("MandatoryError", StatusCode::EXPECTATION_FAILED);
const MISSING: Exception = ("DoesNotExistError", StatusCode::NOT_FOUND);
const PERMISSION: Exception = ("PermissionError", StatusCode::FORBIDDEN);
const STALE: Exception = ("TimestampMismatchError", StatusCode::EXPECTATION_FAILED);
const STOPPED: Exception = ("SessionStopped", StatusCode::SERVICE_UNAVAILABLE);
const VALIDATION: Exception = ("ValidationError", StatusCode::EXPECTATION_FAILED);

/// The parameters whose faults Frappe calls errors of the data: they name columns.
const COLUMNS: [&str; 3] = ["fields", "fieldname", "order_by"];

/// Where methods are.
const METHODS: &str = "/api/method/";

/// What `error` is to a caller of `path`.
pub fn refusal(error: &Error, path: &str) -> Response {
    let (exc_type, status) = exception(error, path);
    let message = message(error, path);
    let line = format!("frappe.exceptions.{exc_type}: {message}");
    let mut body = json!({ "exc_type": exc_type });
    if exc_type == MISSING.0 {
        // As Frappe: of what is not there it shows the message alone.
        body["_server_messages"] = told(error, &message).into();
    } else {
        body["exception"] = line.as_str().into();
        body["exc"] = json!([line]).to_string().into();
        body["_server_messages"] = told(error, &message).into();
    }
    if exc_type == PERMISSION.0 {
        body["_error_message"] = message.into();
    }
    body["code"] = error.code().as_str().into();
    if !error.field_errors().is_empty() {
        body["errors"] = json!(error.field_errors());
    }
    Response::json(status, body).with_retry_after(error)
}

/// `_server_messages`: a text that is JSON, a list of texts that are JSON.
fn told(error: &Error, message: &str) -> String {
    let message = json!({
        "message": escaped(message), "title": error.code().title(), "indicator": "red", "raise_exception": 1,
    });
    json!([message.to_string()]).to_string()
}

/// Frappe's own page shows messages as HTML, and they may quote what somebody sent.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn message(error: &Error, path: &str) -> String {
    match (error.code(), path.strip_prefix(METHODS)) {
        (ErrorCode::RouteNotFound, Some(method)) => {
            format!("Failed to get method for command {method}: Causeway has no such method")
        }
        (ErrorCode::MethodNotAllowed, _) => format!("Not permitted: {}", error.detail()),
        _ => error.detail().to_owned(),
    }
}

fn exception(error: &Error, path: &str) -> Exception {
    match error.code() {
        ErrorCode::RouteNotFound if path.starts_with(METHODS) => VALIDATION,
        // Without a key one is Guest, who may do nothing.
        ErrorCode::ApiKeyMissing => PERMISSION,
        ErrorCode::RevisionConflict => STALE,
        ErrorCode::DocumentExists => DUPLICATE,
        ErrorCode::DocstatusForbids => DOCSTATUS,
        ErrorCode::UnsupportedVersion => (VALIDATION.0, StatusCode::BAD_REQUEST),
        ErrorCode::InvalidInput => input(error),
        code => match code.kind() {
            Kind::Unauthenticated => AUTHENTICATION,
            Kind::Forbidden | Kind::Method => PERMISSION,
            Kind::NotFound => MISSING,
            Kind::Invalid | Kind::Unprocessable => VALIDATION,
            Kind::Precondition => STALE,
            Kind::Conflict => (VALIDATION.0, StatusCode::CONFLICT),
            Kind::TooLarge => (VALIDATION.0, StatusCode::PAYLOAD_TOO_LARGE),
            Kind::Unsupported => ("UnsupportedMediaType", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Kind::Limited => ("TooManyRequestsError", StatusCode::TOO_MANY_REQUESTS),
            Kind::Unavailable => STOPPED,
            Kind::Internal => ("Exception", StatusCode::INTERNAL_SERVER_ERROR),
        },
    }
}

fn input(error: &Error) -> Exception {
    let faults = error.field_errors();
    if !faults.is_empty() && faults.iter().all(|fault| fault.code == "missing") {
        return MANDATORY;
    }
    let columns =
        |field: &str| COLUMNS.contains(&field.trim_start_matches('/').split('/').next().unwrap_or(""));
    if faults.iter().any(|fault| columns(&fault.field)) {
        return DATA;
    }
    VALIDATION
}

/// What a failure looks like, for the OpenAPI document.
#[cfg(test)]
pub fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "A failure, as Frappe says it.",
        "properties": {
            "exc_type": text("The type of exception: what to go by."),
            "exception": text("The exception's own line; not where something does not exist."),
            "exc": text("JSON, a list of texts: the exception's line. Never a traceback."),
            "_server_messages": text("JSON, a list of texts that are JSON: what to show, as HTML."),
            "_error_message": text("Why it is not permitted."),
            "code": text("As in version 2: stable; the error reference lists them."),
            "errors": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "field": { "type": "string" }, "code": { "type": "string" }, "detail": { "type": "string" },
                },
                "required": ["field", "code", "detail"],
            } },
        },
        "required": ["exc_type", "_server_messages", "code"],
    })
}
