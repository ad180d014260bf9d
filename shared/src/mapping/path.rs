//! Paths: JSON pointers (RFC 6901), relative to where the rule stands.
//!
//! For the fields of a document that is the payload; for those of a child row it is the row. A path that begins
//! with `$` is always relative to the payload: `$/customer` within a row is the customer of the order. The same
//! holds in every place that takes a path: sources, placeholders of templates, conditions, currencies.

use serde_json::Value;

use super::fault::{Fault, cut};

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 500;

/// Where a rule stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    payload: &'a Value,
    here: &'a Value,
    /// The path of the list and the place in it, for messages.
    row: Option<(&'a str, usize)>,
}

impl<'a> Scope<'a> {
    /// That of a rule for a field of the document.
    pub fn of(payload: &'a Value) -> Self {
        Self { payload, here: payload, row: None }
    }

    /// That of a rule for a field of a child row made from `row`.
    pub fn row(self, list: &'a str, index: usize, row: &'a Value) -> Self {
        Self { here: row, row: Some((list, index)), ..self }
    }

    /// What is at `path`, if anything.
    pub fn find(self, path: &str) -> Option<&'a Value> {
        match path.strip_prefix('$') {
            Some(path) => self.payload.pointer(path),
            None => self.here.pointer(path),
        }
    }

    /// What is at `path` unless it is null: to a mapping, null says "there is none".
    pub fn find_some(self, path: &str) -> Option<&'a Value> {
        self.find(path).filter(|value| !value.is_null())
    }

    /// `path` from the payload on, for messages.
    pub fn origin(self, path: &str) -> String {
        let path = match (path.strip_prefix('$'), self.row) {
            (Some(path), _) => path.to_owned(),
            (None, Some((list, index))) => format!("{}/{index}{path}", list.trim_start_matches('$')),
            (None, None) => path.to_owned(),
        };
        if path.is_empty() { "the payload".to_owned() } else { cut(&path) }
    }
}

/// Whether `path` can be one at all.
pub(super) fn check(path: &str) -> Result<(), Fault> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Fault::too_long(format!("a path must be at most {MAX_PATH_BYTES} bytes")));
    }
    let pointer = path.strip_prefix('$').unwrap_or(path);
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(Fault::invalid(format!(
            "{:?} is not a path: it must begin with '/', like /customer/name",
            cut(path)
        )));
    }
    if pointer.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        return Err(Fault::invalid(format!(
            "in the path {:?} '~' must be written ~0, and '/' ~1",
            cut(path)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn in_a_row_paths_start_at_the_row_and_with_a_dollar_at_the_payload() {
        let payload = json!({"no": 7, "lines": [{"no": 1}, {"no": 2}]});
        let scope = Scope::of(&payload);
        let row = scope.row("/lines", 1, &payload["lines"][1]);
        assert_eq!(scope.find("/no"), Some(&json!(7)));
        assert_eq!(row.find("/no"), Some(&json!(2)));
        assert_eq!(row.find("$/no"), Some(&json!(7)));
        assert_eq!(row.find(""), Some(&json!({"no": 2})));
        assert_eq!(scope.find("$"), Some(&payload));
        assert_eq!(row.origin("/no"), "/lines/1/no");
        assert_eq!(row.origin("$/no"), "/no");
        assert_eq!(scope.origin(""), "the payload");
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for good in ["", "$", "/a", "$/a/0/b~1c~0d", "/"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["a", "a/b", "$a", "#/a", "/a~", "/a~2", &format!("/{}", "x".repeat(500))] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
