//! Keys of read models, built from fields: any text may be a part, and no two lists of parts give one key.

use crate::{Error, ErrorCode, Result};

/// The longest part, in bytes: a document's name. Three of them fit a partition key (2,048 bytes), one a place (1,024).
const MAX_PART_BYTES: usize = 560;

/// `text` as a part of a key: without the separator.
pub fn part(text: &str) -> Result<String> {
    let part = text.replace('%', "%25").replace('#', "%23");
    if part.is_empty() || part.len() > MAX_PART_BYTES {
        let shown: String = text.chars().take(40).collect();
        return Err(Error::new(
            ErrorCode::ProjectionFailed,
            format!("{shown:?} has {} bytes; what rows are found by has 1 to {MAX_PART_BYTES}", part.len()),
        ));
    }
    Ok(part)
}

/// The text that [`part`] was made of.
pub fn text(part: &str) -> String {
    part.replace("%23", "#").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_have_no_separator_and_come_back(original in "[a-z#%0-9]{1,20}") {
            let escaped = part(&original).unwrap();
            prop_assert!(!escaped.contains('#'));
            prop_assert_eq!(text(&escaped), original);
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(part("").unwrap_err().code(), ErrorCode::ProjectionFailed);
        assert_eq!(part(&"x".repeat(561)).unwrap_err().code(), ErrorCode::ProjectionFailed);
    }
}
