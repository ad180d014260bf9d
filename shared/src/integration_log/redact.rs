//! Bodies in the logs: without secrets, and not longer than useful.
//!
//! The Integration Log takes the bodies of events through [`redact`], the call log those of calls through
//! [`redact_as`]. Names say what is secret; what has no names is not kept.

use serde_json::Value;

/// The longest body offered to a log, in bytes; how much of it is kept the item's size decides.
const MAX_BYTES: usize = 4 * 1024;
/// The longest body of a call that is read for a log, in bytes: reading a list of megabytes costs more than its
/// first lines tell.
const MAX_READ_BYTES: usize = 256 * 1024;
/// What stands where a secret was.
const HIDDEN: &str = "[redacted]";
/// How deep JSON within texts of JSON is looked into; what is deeper is hidden.
const MAX_NESTED_TEXTS: usize = 4;
/// A field is hidden when its name, in lower case without `-` and `_`, contains one of these.
const SECRET_NAMES: [&str; 16] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "authorization",
    "signature",
    "privatekey",
    "cardnumber",
    "cvv",
    "cvc",
    "iban",
    "accountnumber",
    "routingnumber",
    "ssn",
    "clientsecret",
];
/// A field of a form or a query is hidden also when its name is one of these, which in documents are harmless
/// parts of names (`item_code`, `key`): an authorization code, an assertion, Frappe's `pwd` and session.
const SECRET_FORM_NAMES: [&str; 10] = [
    "code",
    "codeverifier",
    "assertion",
    "clientassertion",
    "samlresponse",
    "pwd",
    "sid",
    "key",
    "sig",
    "auth",
];

/// The body for the log: JSON with secret-looking fields hidden, at most 4 KB; of a body that is not JSON only
/// its size, since nothing in it can be told apart.
pub fn redact(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return format!("[{} bytes, not JSON]", body.len());
    };
    hide(&mut value, 0);
    cut(value.to_string())
}

/// The body of a call for the log, by its content type: forms are redacted by field, everything else as
/// [`redact`] does. Nothing stays nothing.
pub fn redact_as(content_type: Option<&str>, body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
    }
    if body.len() > MAX_READ_BYTES {
        return format!("[{} bytes]", body.len());
    }
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        cut(redact_form(body))
    } else {
        redact(body)
    }
}

/// A form or a query, its secret-looking fields hidden, those within fields that are JSON too; as it was where there is
/// nothing to hide.
pub fn redact_form(form: &[u8]) -> String {
    let mut shown = form_urlencoded::Serializer::new(String::new());
    let mut is_changed = false;
    for (name, value) in form_urlencoded::parse(form) {
        let hidden = if is_secret_of_form(&name) && !value.is_empty() {
            Some(HIDDEN.to_owned())
        } else {
            hidden_within(&value, 0)
        };
        is_changed |= hidden.is_some();
        shown.append_pair(&name, hidden.as_deref().unwrap_or(&value));
    }
    if is_changed { shown.finish() } else { String::from_utf8_lossy(form).into_owned() }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        text.push('…');
    }
    text
}

fn hide(value: &mut Value, depth: usize) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_secret(name) && !value.is_null() {
                    *value = HIDDEN.into();
                } else {
                    hide(value, depth);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, depth)),
        Value::String(text) => {
            if let Some(hidden) = hidden_within(text, depth) {
                *text = hidden;
            }
        }
        _ => {}
    }
}

/// `text` with what is secret in it hidden, if it is JSON with something secret: Frappe sends documents and
/// messages as texts within JSON and forms.
fn hidden_within(text: &str, depth: usize) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[', '"']) {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    if depth == MAX_NESTED_TEXTS {
        return Some(HIDDEN.to_owned());
    }
    let mut hidden = value.clone();
    hide(&mut hidden, depth + 1);
    (hidden != value).then(|| hidden.to_string())
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_secret(name: &str) -> bool {
    let plain = plain(name);
    SECRET_NAMES.iter().any(|secret| plain.contains(secret))
}

fn is_secret_of_form(name: &str) -> bool {
    is_secret(name) || SECRET_FORM_NAMES.contains(&plain(name).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_looking_fields_are_hidden_at_any_depth() {
        let text = redact(br#"{"name": "x", "card": [{"card_number": 4242, "CVC": "1"}], "Api-Key": "k"}"#);
        assert!(!text.contains("4242") && !text.contains("\"1\"") && !text.contains("\"k\""), "{text}");
        assert!(text.contains("\"x\""));
    }

    #[test]
    fn long_bodies_are_cut_at_a_character() {
        let body = format!("{{\"a\": \"{}\"}}", "ü".repeat(5_000));
        let text = redact(body.as_bytes());
        assert!(text.len() <= MAX_BYTES + 3 && text.ends_with('…'));
    }

    #[test]
    fn of_what_is_not_json_only_the_size_is_kept() {
        assert_eq!(redact(b"password=hunter2"), "[16 bytes, not JSON]");
    }

    #[test]
    fn forms_are_redacted_by_field() {
        let form = "grant_type=authorization_code&code=c0de&client_id=hub&client_secret=s3&refresh_token=t0&item_code=A";
        let shown = redact_as(Some("application/x-www-form-urlencoded; charset=utf-8"), form.as_bytes());
        for secret in ["c0de", "s3", "t0"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("client_id=hub") && shown.contains("item_code=A"), "{shown}");
        assert_eq!(redact_as(None, form.as_bytes()), format!("[{} bytes, not JSON]", form.len()));
    }

    #[test]
    fn what_is_secret_in_json_within_a_text_is_hidden_too() {
        let inner = r#"{"doc": "{\"api_secret\": \"hunter2\", \"name\": \"x\"}"}"#;
        let shown = redact(inner.as_bytes());
        assert!(!shown.contains("hunter2") && shown.contains('x'), "{shown}");
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("doc", inner).finish();
        assert!(!redact_form(form.as_bytes()).contains("hunter2"));
        let harmless = "filters=[[%22a%22,%22=%22,1]]&limit=5";
        assert_eq!(redact_form(harmless.as_bytes()), harmless, "as it was sent");
        let plain = r#"{"message":"[1, 2]"}"#;
        assert_eq!(redact(plain.as_bytes()), plain, "what hides nothing stays as it was");
    }

    #[test]
    fn of_what_is_too_long_to_read_only_the_size_is_kept() {
        let body = format!("[{}1]", "1,".repeat(MAX_READ_BYTES));
        assert_eq!(redact_as(Some("application/json"), body.as_bytes()), format!("[{} bytes]", body.len()));
        assert_eq!(redact_as(None, b""), "");
    }
}
