//! What answers mean by the rules of HTTP alone, for providers that keep to them.

use http::{Response, StatusCode};

use super::{Effect, Provider, Verdict};

/// A provider without a dialect of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProvider;

impl Provider for HttpProvider {
    fn judge(&self, answer: &Response<Vec<u8>>) -> Verdict {
        match answer.status() {
            StatusCode::TOO_MANY_REQUESTS => Verdict::Limited,
            // The server says that it does not work on it.
            StatusCode::SERVICE_UNAVAILABLE => Verdict::Failed(Effect::None),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Verdict::Failed(Effect::Unknown),
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Verdict::Refused,
            // Whatever failed may have failed after the effect; a gateway does not know what became of it.
            status if status.is_server_error() => Verdict::Failed(Effect::Unknown),
            status if status.is_success() || status == StatusCode::NOT_MODIFIED => Verdict::Success,
            // A redirect that was not followed did nothing either.
            _ => Verdict::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_http_says() {
        let meaning =
            |status: u16| HttpProvider.judge(&Response::builder().status(status).body(Vec::new()).unwrap());
        for status in [200, 201, 202, 204, 304] {
            assert_eq!(meaning(status), Verdict::Success, "{status}");
        }
        for status in [301, 302, 307, 400, 401, 403, 404, 409, 412, 413, 417, 422, 501, 505] {
            assert_eq!(meaning(status), Verdict::Refused, "{status}");
        }
        assert_eq!(meaning(429), Verdict::Limited);
        assert_eq!(meaning(503), Verdict::Failed(Effect::None));
        for status in [408, 425, 500, 502, 504, 507, 520, 599] {
            assert_eq!(meaning(status), Verdict::Failed(Effect::Unknown), "{status}");
        }
    }
}
