//! That version 1 is deprecated: in headers of every answer, and in the body where the envelope is ours.

use http::HeaderName;
use serde_json::{Map, Value};

use crate::{api::version::Version, trigger::http::Response};

/// When version 1 became deprecated, as RFC 9745 writes a date: 2026-12-01, with the first release that has
/// version 2.
const DEPRECATION: &str = "@1796083200";
/// When version 1 may end, as RFC 8594 writes it: two years later, a year after the announced end of
/// ERPNext 15, whose clients it is for.
const SUNSET: &str = "Fri, 01 Dec 2028 00:00:00 GMT";
/// Where the way to version 2 is described.
pub const MIGRATION_GUIDE: &str = "/docs/v1-to-v2";
/// What the answer is linked to.
const LINK: &str = "</docs/v1-to-v2>; rel=\"deprecation\"; type=\"text/html\", \
                    </docs/v1-to-v2>; rel=\"sunset\"; type=\"text/html\", \
                    </v2>; rel=\"successor-version\"";

/// The names of the headers.
pub const HEADERS: [&str; 3] = ["deprecation", "sunset", "link"];

/// Adds the headers.
pub fn add(response: Response) -> Response {
    let values = [DEPRECATION, SUNSET, LINK];
    HEADERS
        .into_iter()
        .zip(values)
        .fold(response, |response, (name, value)| response.with_header(HeaderName::from_static(name), value))
}

/// Adds `version`, `deprecated` and `migration_guide` to an envelope.
pub fn note(envelope: &mut Map<String, Value>) {
    envelope.insert("version".into(), Version::V1.number().into());
    envelope.insert("deprecated".into(), true.into());
    envelope.insert("migration_guide".into(), MIGRATION_GUIDE.into());
}
