//! SQL's `like`: `%` is any text, `_` one character, `\` takes the next one as it is; case does not matter.

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Character(char),
    One,
    Any,
}

/// Whether all of `text` is like `pattern`.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let parts = parts(pattern);
    let (mut at, mut part) = (0, 0);
    // Where the last `%` stands, and how much of the text it takes at present: only that is ever taken back.
    let mut any: Option<(usize, usize)> = None;
    while at < text.len() {
        match parts.get(part) {
            Some(Part::Any) => {
                any = Some((part, at));
                part += 1;
                continue;
            }
            Some(Part::One) => {}
            Some(Part::Character(c)) if *c == text[at] => {}
            _ => {
                let Some((place, taken)) = any else { return false };
                any = Some((place, taken + 1));
                (at, part) = (taken + 1, place + 1);
                continue;
            }
        }
        at += 1;
        part += 1;
    }
    parts[part..].iter().all(|part| *part == Part::Any)
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars().flat_map(char::to_lowercase);
    while let Some(c) = characters.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Character(characters.next().unwrap_or('\\')),
            c => Part::Character(c),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_match_as_in_sql() {
        for (text, pattern) in [
            ("", ""),
            ("", "%"),
            ("SAL-ORD-1", "sal%"),
            ("SAL-ORD-1", "%ord%"),
            ("SAL-ORD-1", "%1"),
            ("SAL-ORD-1", "SAL_ORD__"),
            ("aab", "%ab"),
            ("50%", "50\\%"),
            ("a_b", "a\\_b"),
            ("Müller", "MÜLLER"),
            ("東京", "__"),
        ] {
            assert!(is_like(text, pattern), "{text} like {pattern}");
        }
        for (text, pattern) in
            [("a", ""), ("", "_"), ("abc", "ab"), ("abc", "%b"), ("50x", "50\\%"), ("axb", "a\\_b")]
        {
            assert!(!is_like(text, pattern), "{text} like {pattern}");
        }
    }

    /// As one would define it, without regard to time.
    fn defined(text: &[char], parts: &[Part]) -> bool {
        match (text, parts) {
            (_, []) => text.is_empty(),
            (_, [Part::Any, rest @ ..]) => (0..=text.len()).any(|n| defined(&text[n..], rest)),
            ([], _) => false,
            ([_, text @ ..], [Part::One, rest @ ..]) => defined(text, rest),
            ([c, text @ ..], [Part::Character(p), rest @ ..]) => c == p && defined(text, rest),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_its_definition_says(text in "[ab]{0,8}", pattern in "[ab%_]{0,8}") {
            let characters: Vec<char> = text.chars().collect();
            prop_assert_eq!(is_like(&text, &pattern), defined(&characters, &parts(&pattern)));
        }
    }
}
