//! From the text of a signature to its bytes, in exactly one way: strict, so that one signature has one
//! spelling (hexadecimal digits of either case excepted, since providers differ).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Encoding;

impl Encoding {
    /// The bytes that `text` stands for.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex(text.as_bytes()),
            Self::Base64 => base64(text),
        }
    }

    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hexadecimal",
            Self::Base64 => "padded base64",
        }
    }
}

/// Base64 of the standard alphabet; padding must be right and unused bits zero.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_either_case() {
        assert_eq!(Encoding::Hex.decode("00fFA9"), Some(vec![0, 0xff, 0xa9]));
    }

    #[test]
    fn what_is_not_pairs_of_hex_digits_is_refused() {
        for text in ["0", "0g", "0x00", " 00", "00 ", "é0"] {
            assert_eq!(Encoding::Hex.decode(text), None, "{text}");
        }
    }

    #[test]
    fn base64_is_read_with_the_standard_alphabet() {
        assert_eq!(Encoding::Base64.decode("+/8="), Some(vec![0xfb, 0xff]));
    }

    #[test]
    fn base64_has_one_spelling() {
        for text in ["-_8=", "+/8", "+/8==", "+/9=", " +/8=", "+/8=\n", "+/ 8="] {
            assert_eq!(Encoding::Base64.decode(text), None, "{text}");
        }
    }
}
