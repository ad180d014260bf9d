//! A webhook body inside a message: its bytes, exactly, at little cost.
//!
//! Text up to 48 KB travels as text (SQS bills by 64 KB, so deflating it would cost time and save nothing);
//! the rest is deflated where that helps, and base64.

use std::io::{Read, Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, Result, connectors::MAX_BODY_BYTES};

const PLAIN_LIMIT: usize = 48 * 1024;
/// UTF-8 and JSON allow them, SQS does not (of the others it forbids, JSON escapes all).
const FORBIDDEN: [char; 2] = ['\u{FFFE}', '\u{FFFF}'];

/// Bytes as a message carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "encoding", content = "data", rename_all = "snake_case")]
pub enum Body {
    /// UTF-8 as it is.
    Text(String),
    /// Base64.
    Base64(String),
    /// Deflate (RFC 1951), then base64.
    Deflate(String),
}

impl Body {
    /// Encodes `bytes`.
    pub fn encode(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).ok();
        if let Some(text) = text.filter(|text| text.len() <= PLAIN_LIMIT && !text.contains(FORBIDDEN)) {
            return Ok(Self::Text(text.to_owned()));
        }
        let deflated = deflate(bytes)?;
        if deflated.len() < bytes.len() {
            return Ok(Self::Deflate(BASE64_STANDARD.encode(deflated)));
        }
        Ok(Self::Base64(BASE64_STANDARD.encode(bytes)))
    }

    /// The bytes. A body that inflates beyond the largest one we accept is refused, not inflated.
    pub fn decode(&self) -> Result<Vec<u8>> {
        let unreadable = |e: &dyn std::fmt::Display| {
            Error::new(ErrorCode::MessageUnreadable, format!("the message's body cannot be decoded: {e}"))
        };
        match self {
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
            Self::Base64(text) => BASE64_STANDARD.decode(text).map_err(|e| unreadable(&e)),
            Self::Deflate(text) => {
                let deflated = BASE64_STANDARD.decode(text).map_err(|e| unreadable(&e))?;
                inflate(&deflated, MAX_BODY_BYTES).map_err(|e| unreadable(&e))
            }
        }
    }
}

/// `bytes`, deflated quickly (level 1 to 3 differ little on JSON).
pub fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(3));
    encoder.write_all(bytes).map_err(Error::internal)?;
    encoder.finish().map_err(Error::internal)
}

/// The bytes that were deflated; an error if there are more than `limit`.
pub fn inflate(deflated: &[u8], limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    DeflateDecoder::new(deflated).take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(std::io::Error::other(format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_text_travels_as_it_is() {
        assert_eq!(Body::encode(b"{\"a\": 1}").unwrap(), Body::Text("{\"a\": 1}".into()));
    }

    #[test]
    fn characters_that_sqs_forbids_do_not_travel_as_text() {
        for text in ["a\u{FFFE}", "\u{FFFF}"] {
            let body = Body::encode(text.as_bytes()).unwrap();
            assert!(!matches!(body, Body::Text(_)));
            assert_eq!(body.decode().unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let body = Body::encode(&[0xff, 0xfe, 0]).unwrap();
        assert_eq!(body.decode().unwrap(), [0xff, 0xfe, 0]);
    }

    #[test]
    fn a_body_that_inflates_beyond_the_limit_is_refused() {
        let bomb = Body::Deflate(BASE64_STANDARD.encode(deflate(&vec![b'a'; MAX_BODY_BYTES + 1]).unwrap()));
        assert_eq!(bomb.decode().unwrap_err().code(), ErrorCode::MessageUnreadable);
    }

    proptest! {
        #[test]
        fn every_body_comes_back_byte_for_byte(bytes in proptest::collection::vec(any::<u8>(), 0..100_000)) {
            prop_assert_eq!(Body::encode(&bytes).unwrap().decode().unwrap(), bytes);
        }
    }
}
