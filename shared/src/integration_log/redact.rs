//! Bodies in the log: without secrets, and not longer than useful.

use serde_json::Value;

/// The longest body offered to the log, in bytes; how much of it is kept the entry's size decides.
const MAX_BYTES: usize = 4 * 1024;
/// What stands where a secret was.
const HIDDEN: &str = "[redacted]";
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

/// The body for the log: JSON with secret-looking fields hidden, at most 4 KB; of a body that is not JSON only
/// its size, since nothing in it can be told apart.
pub fn redact(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return format!("[{} bytes, not JSON]", body.len());
    };
    hide(&mut value);
    let mut text = value.to_string();
    if text.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_secret_name(name) && !value.is_null() {
                    *value = HIDDEN.into();
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Whether what has this name looks like a secret.
pub fn is_secret_name(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_NAMES.iter().any(|secret| plain.contains(secret))
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
}
