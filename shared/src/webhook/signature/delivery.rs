//! The request as the schemes read it: headers by name, each at most once, and the raw body.
//!
//! Every scheme takes its headers from here, so all of them refuse the same things: a header sent twice (two
//! readers could each believe another one), bytes outside ASCII, and texts longer than any signature.

use http::HeaderMap;

use super::timestamp::Window;
use crate::{Error, ErrorCode, Result};

/// The longest header that is read, in bytes.
const MAX_HEADER_BYTES: usize = 4096;

/// One request to verify.
pub(super) struct Delivery<'a> {
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub window: Window,
}

/// Why a header gives no text.
enum Fault {
    Absent,
    Unreadable(&'static str),
}

impl<'a> Delivery<'a> {
    /// The text of a header that belongs to the signature.
    pub fn signature_part(&self, name: &str) -> Result<&'a str> {
        self.single(name).map_err(|fault| match fault {
            Fault::Absent => Error::new(ErrorCode::SignatureMissing, format!("the header {name} is missing")),
            Fault::Unreadable(why) => malformed(name, why),
        })
    }

    /// The text of the header with the time of signing, if that time is in the window.
    pub fn timestamp(&self, name: &str) -> Result<&'a str> {
        let text = self.single(name).map_err(|fault| {
            let why = match fault {
                Fault::Absent => "is missing",
                Fault::Unreadable(why) => why,
            };
            Error::new(ErrorCode::TimestampMalformed, format!("the header {name} {why}"))
        })?;
        self.window.check(name, text)?;
        Ok(text)
    }

    fn single(&self, name: &str) -> Result<&'a str, Fault> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().ok_or(Fault::Absent)?;
        if values.next().is_some() {
            return Err(Fault::Unreadable("was sent more than once"));
        }
        if value.len() > MAX_HEADER_BYTES {
            return Err(Fault::Unreadable("is too long"));
        }
        value.to_str().map_err(|_| Fault::Unreadable("is not ASCII"))
    }
}

/// The refusal of a header that cannot be a signature; `why` continues "the header X …".
pub(super) fn malformed(name: &str, why: &str) -> Error {
    Error::new(ErrorCode::SignatureMalformed, format!("the header {name} {why}"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::HeaderName};
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    const NAME: &str = "X-Signature";

    fn read(values: &[&[u8]]) -> Result<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            let name = HeaderName::from_static("x-signature");
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let window = Window { now: Timestamp::UNIX_EPOCH, tolerance: SignedDuration::from_secs(1) };
        let delivery = Delivery { headers: &headers, body: b"x", window };
        delivery.signature_part(NAME).map(str::to_owned)
    }

    #[test]
    fn names_are_compared_without_case() {
        assert_eq!(read(&[b"abc"]).unwrap(), "abc");
    }

    #[test]
    fn an_absent_header_is_missing_and_named() {
        let error = read(&[]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::SignatureMissing);
        assert!(error.detail().contains(NAME));
    }

    #[test]
    fn a_header_sent_twice_is_refused_even_with_equal_values() {
        assert_eq!(read(&[b"abc", b"abc"]).unwrap_err().code(), ErrorCode::SignatureMalformed);
    }

    #[test]
    fn bytes_outside_ascii_are_refused() {
        assert_eq!(read(&["é".as_bytes()]).unwrap_err().code(), ErrorCode::SignatureMalformed);
    }

    #[test]
    fn headers_longer_than_the_limit_are_refused() {
        assert!(read(&[&[b'a'; MAX_HEADER_BYTES]]).is_ok());
        let error = read(&[&[b'a'; MAX_HEADER_BYTES + 1]]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::SignatureMalformed);
    }
}
