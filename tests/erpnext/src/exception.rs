//! What Frappe throws, and how version 1 and 2 of its API show it. Whatever serves a request returns one of these;
//! `answer` writes it. Statuses and texts are those recorded of a site, or those of Frappe 15's source.

use serde_json::{Map, Value, json};

/// An exception of Frappe or Python that ended a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// The HTTP status.
    pub status: u16,
    /// `exc_type`: the name of the class.
    pub kind: &'static str,
    /// What `exception` says, with the class; absent where Frappe leaves it out (what was not found).
    pub exception: Option<String>,
    /// What `_server_messages` has.
    pub messages: Vec<Map<String, Value>>,
    /// What `_error_message` says.
    pub error_message: Option<String>,
}

/// What goes on in the server instead of an answer.
pub type Outcome<T> = Result<T, Exception>;

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"apps/frappe/frappe/app.py\", line 115, in application\n    response = frappe.api.handle(request)\n";

fn printed(message: &str) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("message".into(), json!(message));
    entry.insert("title".into(), json!("Message"));
    entry
}

fn raised(message: &str) -> Map<String, Value> {
    let mut entry = printed(message);
    entry.insert("indicator".into(), json!("red"));
    entry.insert("raise_exception".into(), json!(1));
    entry.insert("__frappe_exc_id".into(), json!(hex(56)));
    entry
}

fn hex(length: usize) -> String {
    (0..length).map(|_| fastrand::digit(16)).collect()
}

impl Exception {
    /// One of `frappe.exceptions` without a word for people.
    pub fn bare(status: u16, kind: &'static str, text: &str) -> Self {
        let exception = if text.is_empty() {
            format!("frappe.exceptions.{kind}")
        } else {
            format!("frappe.exceptions.{kind}: {text}")
        };
        Self { status, kind, exception: Some(exception), messages: Vec::new(), error_message: None }
    }

    /// `frappe.throw`: the exception and the message for people say the same.
    pub fn thrown(status: u16, kind: &'static str, text: &str) -> Self {
        Self { messages: vec![raised(text)], ..Self::bare(status, kind, text) }
    }

    /// The exception says one thing, and a message printed before it another.
    pub fn with_message(status: u16, kind: &'static str, text: &str, message: &str) -> Self {
        Self { messages: vec![printed(message)], ..Self::bare(status, kind, text) }
    }

    /// An exception of Python itself: always a 500.
    pub fn python(kind: &'static str, text: &str) -> Self {
        Self {
            status: 500,
            kind,
            exception: Some(format!("{}: {text}", kind.rsplit('.').next().unwrap_or(kind))),
            messages: Vec::new(),
            error_message: None,
        }
    }

    /// A 417 of Frappe's own validation.
    pub fn validation(text: &str) -> Self {
        Self::thrown(417, "ValidationError", text)
    }

    /// A document or a DocType is not there.
    pub fn missing(what: &str) -> Self {
        Self { exception: None, ..Self::thrown(404, "DoesNotExistError", &format!("{what} not found")) }
    }

    /// A document is not there, said by a method that throws without a word: deletion.
    pub fn missing_bare() -> Self {
        Self { exception: None, ..Self::bare(404, "DoesNotExistError", "") }
    }

    /// The user has no right on a DocType.
    pub fn forbidden(user: &str, doctype: &str) -> Self {
        let message = format!(
            "User <strong>{user}</strong> does not have doctype access via role permission for document <strong>{doctype}</strong>"
        );
        Self {
            messages: vec![printed(&message)],
            error_message: Some(format!("No permission for {doctype}")),
            ..Self::bare(403, "PermissionError", "")
        }
    }

    /// The user may not delete this document.
    pub fn not_deletable(user: &str, doctype: &str, name: &str) -> Self {
        let text = format!("User not allowed to delete {doctype}: {name}");
        let why = format!(
            "Not allowed via controller permission check<br>User <strong>{user}</strong> does not have access to this document: {doctype} - {name}"
        );
        Self { messages: vec![printed(&why), raised(&text)], ..Self::bare(403, "PermissionError", &text) }
    }

    /// A method exists and is not for callers, or was called with a wrong verb.
    pub fn not_whitelisted(method: &str) -> Self {
        let text = format!(
            "<details><summary>You are not permitted to access this resource.</summary>Function <strong>{method}</strong> is not whitelisted.</details>"
        );
        let mut message = raised(&text);
        message.insert("title".into(), json!("Method Not Allowed"));
        Self { messages: vec![message], ..Self::bare(403, "PermissionError", &text) }
    }

    /// No method has this name.
    pub fn no_method(method: &str) -> Self {
        let module = method.rsplit_once('.').map_or(method, |(module, _)| module);
        Self::validation(&format!(
            "Failed to get method for command {method} with No module named '{module}'"
        ))
    }

    /// Another document has the name.
    pub fn duplicate(doctype: &str, name: &str) -> Self {
        let text = format!(
            "('{doctype}', '{name}', IntegrityError(1062, \"Duplicate entry '{name}' for key 'PRIMARY'\"))"
        );
        let mut message = printed(&format!("{doctype} <strong>{name}</strong> already exists"));
        message.insert("title".into(), json!("Duplicate Name"));
        message.insert("indicator".into(), json!("red"));
        Self { messages: vec![message], ..Self::bare(409, "DuplicateEntryError", &text) }
    }

    /// Another document has the value of a unique field.
    pub fn not_unique(doctype: &str, name: &str, field: &str, label: &str, value: &str) -> Self {
        let text = format!(
            "('{doctype}', '{name}', IntegrityError(1062, \"Duplicate entry '{value}' for key '{field}'\"))"
        );
        Self::with_message(417, "UniqueValidationError", &text, &format!("{label} must be unique"))
    }

    /// The document was saved since it was read.
    pub fn stale(stored: &str, now: &str) -> Self {
        Self::thrown(
            417,
            "TimestampMismatchError",
            &format!(
                "Error: Document has been modified after you have opened it ({stored}, {now}). Please refresh to get the latest document."
            ),
        )
    }

    /// Mandatory fields without a value.
    pub fn mandatory(doctype: &str, name: &str, fields: &[(String, String)]) -> Self {
        let names = fields.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>().join(", ");
        let messages = fields
            .iter()
            .map(|(_, label)| printed(&format!("Error: Value missing for {doctype}: {label}")))
            .collect();
        let text = format!("[{doctype}, {name}]: {names}");
        Self { messages, ..Self::bare(417, "MandatoryError", &text) }
    }

    /// A text longer than its column.
    pub fn too_long(doctype: &str, label: &str, text: &str) -> Self {
        let text =
            format!("{doctype}: '{label}' ({text}) will get truncated, as max characters allowed is 140");
        Self::thrown(417, "CharacterLengthExceededError", &text)
    }

    /// Another document refers to it.
    pub fn linked(doctype: &str, name: &str, by: &str, by_name: &str) -> Self {
        let text = format!(
            "Cannot delete or cancel because {doctype} <a href=\"#\">{name}</a> is linked with {by} <a href=\"#\">{by_name}</a>"
        );
        Self::thrown(417, "LinkExistsError", &text)
    }

    /// A field that a list may not ask for.
    pub fn field_not_permitted(field: &str) -> Self {
        Self::thrown(417, "DataError", &format!("Field not permitted in query: {field}"))
    }

    /// Ordering by a column that the table does not have.
    pub fn unknown_column(column: &str) -> Self {
        Self::python("OperationalError", &format!("(1054, \"Unknown column '{column}' in 'order clause'\")"))
    }

    /// The Authorization header names nobody.
    pub fn unauthenticated() -> Self {
        Self::bare(401, "AuthenticationError", "")
    }

    /// The site's budget of processing time is used up.
    pub fn too_many_requests() -> Self {
        Self::bare(429, "TooManyRequestsError", "")
    }

    /// A row was locked for longer than the database waits.
    pub fn lock_wait() -> Self {
        Self::bare(
            500,
            "QueryTimeoutError",
            "(1205, 'Lock wait timeout exceeded; try restarting transaction')",
        )
    }

    /// The site is being migrated.
    pub fn maintenance() -> Self {
        Self::bare(503, "SessionStopped", "")
    }

    /// The body as version 1 shows it.
    pub fn v1(&self) -> Value {
        let mut body = Map::new();
        if let Some(exception) = &self.exception {
            body.insert("exception".into(), json!(exception));
        }
        body.insert("exc_type".into(), json!(self.kind));
        if let Some(exception) = &self.exception {
            if self.status == 500 {
                body.insert("_exc_source".into(), json!("erpnext (app)"));
            }
            body.insert("exc".into(), json!(json!([format!("{TRACEBACK}{exception}\n")]).to_string()));
        }
        if !self.messages.is_empty() {
            let entries: Vec<String> =
                self.messages.iter().map(|entry| Value::Object(entry.clone()).to_string()).collect();
            body.insert("_server_messages".into(), json!(json!(entries).to_string()));
        }
        if let Some(message) = &self.error_message {
            body.insert("_error_message".into(), json!(message));
        }
        Value::Object(body)
    }

    /// The body as version 2 shows it.
    pub fn v2(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("type".into(), json!(self.kind));
        if let Some(exception) = &self.exception {
            entry.insert("exception".into(), json!(format!("{TRACEBACK}{exception}\n")));
        }
        if let Some(message) = self.messages.last() {
            for key in ["message", "title", "indicator"] {
                if let Some(value) = message.get(key) {
                    entry.insert(key.into(), value.clone());
                }
            }
        }
        json!({ "errors": [entry] })
    }
}
