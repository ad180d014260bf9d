//! Entity tags and the conditions that name them (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2), as text.
//!
//! The API's answers carry an [`ETag`]; its routes read `If-Match` and `If-None-Match` as a [`Condition`] and ask
//! [`Condition::allows_change`] or [`Condition::allows_answer`] whether to go on. Nothing here knows a status.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};

use crate::{Error, Result};

/// The most tags that a condition may name.
const MAX_TAGS: usize = 64;
/// How many bytes of a SHA-256 make a tag: 128 bits do not meet by chance.
const TAG_BYTES: usize = 16;

/// What names one state of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag {
    weak: bool,
    /// What stands between the quotes.
    tag: String,
}

impl ETag {
    /// The strong tag of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = digest(&SHA256, bytes);
        Self { weak: false, tag: BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..TAG_BYTES]) }
    }

    /// The strong tag of a document's revision: `"7"`.
    pub fn revision(revision: u64) -> Self {
        Self { weak: false, tag: revision.to_string() }
    }

    /// The revision whose strong tag it is, if it is one.
    pub fn as_revision(&self) -> Option<u64> {
        let revision = self.tag.parse().ok()?;
        (Self::revision(revision) == *self).then_some(revision)
    }

    /// The tag that `text` is, as a header has it: `"7"` or `W/"7"`.
    pub fn parse(text: &str) -> Option<Self> {
        match tag(text)? {
            (tag, "") => Some(tag),
            _ => None,
        }
    }

    /// Whether both name the same bytes: neither is weak.
    pub fn is_strongly(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.tag == other.tag
    }

    /// Whether both name states that mean the same.
    pub fn is_weakly(&self, other: &Self) -> bool {
        self.tag == other.tag
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\"{}\"", if self.weak { "W/" } else { "" }, self.tag)
    }
}

/// The value of an `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: any state at all.
    Any,
    /// One of these.
    Tags(Vec<ETag>),
}

impl Condition {
    /// Reads the value of the header `name`; an input error that names it if it is not one.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let malformed = || {
            Error::field(
                name,
                "invalid",
                "must be * or a list of entity tags, each in quotes: \"7\", W/\"7\"",
            )
        };
        let (mut tags, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (next, behind) = tag(rest).ok_or_else(malformed)?;
            if tags.len() == MAX_TAGS {
                return Err(Error::field(
                    name,
                    "too_long",
                    format!("must be at most {MAX_TAGS} entity tags"),
                ));
            }
            tags.push(next);
            let behind = behind.trim_start();
            if !behind.is_empty() && !behind.starts_with(',') {
                return Err(malformed());
            }
            rest = behind.trim_start_matches([',', ' ', '\t']);
        }
        if tags.is_empty() { Err(malformed()) } else { Ok(Self::Tags(tags)) }
    }

    /// Whether, as an `If-Match`, it lets a change of what is now `current` go on. Compares strongly; nothing
    /// matches what does not exist.
    pub fn allows_change(&self, current: Option<&ETag>) -> bool {
        self.matches(current, ETag::is_strongly)
    }

    /// Whether, as an `If-None-Match`, it lets a request about what is now `current` go on: if not, a read is
    /// answered by "not modified", and `*` keeps a creation from replacing. Compares weakly.
    pub fn allows_answer(&self, current: Option<&ETag>) -> bool {
        !self.matches(current, ETag::is_weakly)
    }

    fn matches(&self, current: Option<&ETag>, same: fn(&ETag, &ETag) -> bool) -> bool {
        current.is_some_and(|current| match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| same(tag, current)),
        })
    }
}

/// The tag at the begin of `text`, and what is behind it.
fn tag(text: &str) -> Option<(ETag, &str)> {
    let (weak, quoted) = match text.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, text),
    };
    let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
    let allowed = |c: char| c == '!' || ('#'..='~').contains(&c) || c >= '\u{80}';
    tag.chars().all(allowed).then(|| (ETag { weak, tag: tag.to_owned() }, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn condition(text: &str) -> Condition {
        Condition::parse("If-Match", text).unwrap()
    }

    fn etag(text: &str) -> ETag {
        ETag::parse(text).unwrap()
    }

    #[test]
    fn the_comparison_table_of_rfc_9110_holds() {
        for (left, right, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(etag(left).is_strongly(&etag(right)), strong, "{left} {right}");
            assert_eq!(etag(left).is_weakly(&etag(right)), weak, "{left} {right}");
        }
    }

    #[test]
    fn one_of_several_tags_is_enough() {
        let tags = condition("\"a\", W/\"7\" ,, \"with,comma\"");
        assert!(!tags.allows_change(Some(&ETag::revision(7))), "a weak tag changes nothing");
        assert!(!tags.allows_answer(Some(&ETag::revision(7))));
        assert!(tags.allows_change(Some(&etag("\"with,comma\""))));
        assert!(tags.allows_answer(Some(&etag("\"b\""))) && !tags.allows_change(Some(&etag("\"b\""))));
    }

    #[test]
    fn a_star_is_any_state_but_none() {
        assert!(
            condition("*").allows_change(Some(&ETag::revision(1))) && !condition("*").allows_change(None)
        );
        assert!(
            condition("*").allows_answer(None) && !condition("*").allows_answer(Some(&ETag::revision(1)))
        );
    }

    #[test]
    fn what_is_no_condition_names_its_header() {
        let many = vec!["\"a\""; MAX_TAGS + 1].join(",");
        for text in ["", ",", "7", "\"7", "W/7", "w/\"7\"", "\"a\" \"b\"", "*, \"a\"", "\"a b\"", &many] {
            let error = Condition::parse("If-Match", text).unwrap_err();
            assert_eq!(error.field_errors()[0].field, "If-Match", "{text}");
        }
    }

    #[test]
    fn a_revision_is_known_by_its_own_tag_only() {
        assert_eq!(etag("\"7\"").as_revision(), Some(7));
        for other in ["W/\"7\"", "\"07\"", "\"+7\"", "\"7a\"", "\"\"", "\"99999999999999999999\""] {
            assert_eq!(etag(other).as_revision(), None, "{other}");
        }
    }

    #[test]
    fn the_same_bytes_have_the_same_tag() {
        assert_eq!(ETag::of(b"null"), ETag::of(b"null"));
        assert_ne!(ETag::of(b"null"), ETag::of(b"0"));
        assert_eq!(ETag::of(b"").to_string().len(), 24);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\"W/*, a]{0,40}") {
            if let Ok(Condition::Tags(tags)) = Condition::parse("If-None-Match", &text) {
                for tag in tags {
                    prop_assert_eq!(ETag::parse(&tag.to_string()), Some(tag));
                }
            }
        }
    }
}
