//! The words an item is found by.

use std::collections::BTreeSet;

/// The most words of an item: each is a row.
pub const MAX_WORDS: usize = 24;
/// The longest word, in characters; of a longer one the beginning.
const MAX_WORD_CHARS: usize = 40;
/// The shortest word that is looked up, in characters: the index is cut by so many.
pub const PREFIX_CHARS: usize = 2;

/// The words of `texts`, lower-cased: what white space separates, and the letters and digits in it (`T-Shirt` is
/// found by `t-shirt` and by `shirt`). In order, the first [`MAX_WORDS`] of the texts; those that are too short to
/// be looked up are left out.
pub fn words_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        for word in spaced(text) {
            let parts = word.split(|c: char| !c.is_alphanumeric()).map(ToOwned::to_owned);
            for found in std::iter::once(word.clone()).chain(parts) {
                if words.len() == MAX_WORDS {
                    return words;
                }
                if found.chars().count() >= PREFIX_CHARS {
                    words.insert(found);
                }
            }
        }
    }
    words
}

/// The words of a search: each is the beginning of a word of what is found.
pub fn searched(term: &str) -> Vec<String> {
    let mut words: Vec<String> =
        spaced(term).filter(|word| word.chars().count() >= PREFIX_CHARS).take(MAX_WORDS).collect();
    // The longest narrows the most down.
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    words.dedup();
    words
}

/// The first characters, by which words are kept apart.
pub fn prefix(word: &str) -> String {
    word.chars().take(PREFIX_CHARS).collect()
}

fn spaced(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_whitespace().map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.to_lowercase().chars().take(MAX_WORD_CHARS).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<String> {
        words_of(texts.iter().copied()).into_iter().collect()
    }

    #[test]
    fn a_word_is_found_whole_and_by_its_parts() {
        assert_eq!(
            words(&["SKU-001", "T-Shirt (Blue) L"]),
            ["001", "blue", "shirt", "sku", "sku-001", "t-shirt"]
        );
        assert_eq!(words(&["Größe Äpfel", "日本茶"]), ["größe", "äpfel", "日本茶"]);
    }

    #[test]
    fn an_item_has_a_bounded_number_of_words() {
        let many = (100..200).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&[&many]).len(), MAX_WORDS);
        let long = "x".repeat(500);
        assert_eq!(words(&[&long])[0].len(), MAX_WORD_CHARS);
    }

    #[test]
    fn the_longest_word_of_a_search_comes_first() {
        assert_eq!(searched(" a  Blue T-Shirt. "), ["t-shirt", "blue"]);
        assert!(searched("a !").is_empty());
    }
}
