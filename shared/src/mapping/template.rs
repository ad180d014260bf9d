//! Templates: text with paths in braces, `GH-{/repository/full_name}#{/issue/number}`.
//!
//! `{{` and `}}` stand for the braces themselves. A path with a `}` in it cannot be written. When one placeholder
//! has no value the whole template has none: half a name is worse than no name.

use super::{
    fault::{Fault, cut},
    path::{self, Scope},
    source::text_of,
};

/// The longest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 1000;

/// The longest text a template may give, in bytes: what ERPNext's Text fields hold.
const MAX_RESULT_BYTES: usize = 65_535;

enum Piece<'a> {
    Text(&'a str),
    Path(&'a str),
}

/// Whether `template` can be read.
pub(super) fn check(template: &str) -> Result<(), Fault> {
    if template.len() > MAX_TEMPLATE_BYTES {
        return Err(Fault::too_long(format!("a template must be at most {MAX_TEMPLATE_BYTES} bytes")));
    }
    pieces(template).map(drop)
}

/// The text, unless a placeholder has no value.
pub(super) fn render(template: &str, scope: Scope<'_>) -> Result<Option<String>, Fault> {
    let mut text = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Path(path) => match scope.find_some(path) {
                Some(value) => {
                    text.push_str(&text_of(value).map_err(|fault| fault.from(&scope.origin(path)))?);
                }
                None => return Ok(None),
            },
        }
        if text.len() > MAX_RESULT_BYTES {
            return Err(Fault::too_long(format!("gives more than {MAX_RESULT_BYTES} bytes")));
        }
    }
    Ok(Some(text))
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = (&rest[..at], &rest[at..=at]);
        pieces.push(Piece::Text(before));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            pieces.push(Piece::Text(brace));
            rest = after;
            continue;
        }
        let (path, after) = rest
            .split_once('}')
            .filter(|_| brace == "{")
            .ok_or_else(|| Fault::invalid(format!("the template {:?} has a brace alone", cut(template))))?;
        path::check(path)?;
        pieces.push(Piece::Path(path));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_become_text() {
        let payload = json!({"repository": {"full_name": "acme/hub"}, "issue": {"number": 42, "rate": 1.50}});
        let text = |template: &str| render(template, Scope::of(&payload)).unwrap();
        assert_eq!(text("GH-{/repository/full_name}#{/issue/number}").as_deref(), Some("GH-acme/hub#42"));
        assert_eq!(text("plain").as_deref(), Some("plain"));
        assert_eq!(text("{{{/issue/number}}}").as_deref(), Some("{42}"));
        assert_eq!(text("a{/issue/none}b"), None, "a missing placeholder is a missing value");
        assert_eq!(render("[{}]", Scope::of(&json!("row"))).unwrap().as_deref(), Some("[row]"));
    }

    #[test]
    fn what_has_no_text_is_an_error_that_names_the_path() {
        let payload = json!({"issue": {"open": true}});
        for path in ["/issue", "/issue/open"] {
            let fault = render(&format!("x{{{path}}}"), Scope::of(&payload)).unwrap_err();
            assert!(fault.detail.contains(path), "{}", fault.detail);
        }
    }

    #[test]
    fn a_template_that_cannot_be_read_is_refused() {
        for bad in ["{", "}", "{/a", "/a}", "{a}", "{/a~}", "{{}", &"x".repeat(1001)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_short_template_cannot_give_a_huge_text() {
        let payload = json!({"a": "x".repeat(60_000)});
        assert_eq!(render("{/a}{/a}", Scope::of(&payload)).unwrap_err().code, "too_long");
    }
}
