//! Which version of the API a request is for: its path says so, and a header or the query may say so too.
//!
//! The wrapper asks before anything else. A version that is not there, or another one than the path's, is
//! `unsupported_version`, with the versions that are.

use crate::{Error, ErrorCode, Result, trigger::http::Request};

/// The header that names a version.
pub const HEADER: &str = "api-version";
/// The parameter of the query that names one.
pub const PARAMETER: &str = "version";

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Frappe's own dialect, deprecated.
    V1,
    /// Resources.
    V2,
}

impl Version {
    /// Every version there is.
    const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// As answers name it.
    pub fn number(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }

    /// As paths name it.
    fn short(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// `v1`, `1` and `1.0` are the same.
    fn named(text: &str) -> Option<Self> {
        let is = |version: &Self| {
            [version.short(), &version.short()[1..], version.number()]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(text))
        };
        Self::ALL.into_iter().find(is)
    }

    /// The version that `path` belongs to; nothing where it belongs to none, as `/api` itself and `/health`.
    fn of_path(path: &str) -> Option<Self> {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
        match path {
            "/v2" => Some(Self::V2),
            _ if below("/v2") => Some(Self::V2),
            _ if below("/api") => Some(Self::V1),
            _ => None,
        }
    }

    /// The version that the header or the query asks for, checked against the path.
    pub fn asked(request: &Request, path: &str) -> Result<Option<Self>> {
        let header = request.headers.get(HEADER).map(|value| value.to_str().unwrap_or_default());
        let header = header.map(|text| supported("API-Version", text)).transpose()?;
        let query = request.query.get(PARAMETER).map(|text| supported(PARAMETER, text)).transpose()?;
        let asked = header.or(query);
        if let (Some(header), Some(query)) = (header, query)
            && header != query
        {
            return Err(refused(PARAMETER, "is another version than the header API-Version names"));
        }
        if let (Some(asked), Some(version)) = (asked, Self::of_path(path))
            && asked != version
        {
            let detail = format!("{path} is version {}, not {}", version.number(), asked.number());
            return Err(refused(PARAMETER, &detail));
        }
        Ok(asked)
    }
}

fn supported(field: &str, text: &str) -> Result<Version> {
    Version::named(text).ok_or_else(|| {
        let names: Vec<String> = Version::ALL
            .iter()
            .map(|version| format!("{} ({})", version.short(), version.number()))
            .collect();
        refused(field, &format!("is no supported version; supported are {}", names.join(" and ")))
    })
}

fn refused(field: &str, detail: &str) -> Error {
    Error::field(field, "invalid", detail).with_code(ErrorCode::UnsupportedVersion)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(header: Option<&str>, query: Option<&str>) -> Request {
        let mut request = crate::testing::request("GET", "/");
        if let Some(value) = header {
            request.headers.insert(HEADER, value.parse().unwrap());
        }
        if let Some(value) = query {
            request.query.insert(PARAMETER.into(), value.into());
        }
        request
    }

    fn asked(header: Option<&str>, query: Option<&str>, path: &str) -> Result<Option<Version>> {
        Version::asked(&request(header, query), path)
    }

    #[test]
    fn a_version_is_asked_for_by_header_or_query_in_every_form() {
        assert_eq!(asked(None, None, "/v2").unwrap(), None);
        for name in ["v2", "2", "2.0", "V2"] {
            assert_eq!(asked(Some(name), None, "/v2/documents/Item").unwrap(), Some(Version::V2), "{name}");
            assert_eq!(asked(None, Some(name), "/api").unwrap(), Some(Version::V2), "{name}");
        }
        assert_eq!(asked(Some("v1"), Some("1.0"), "/api/method/ping").unwrap(), Some(Version::V1));
    }

    #[test]
    fn an_unsupported_version_is_refused_with_those_that_are_supported() {
        for path in ["/api", "/api/method/ping", "/v2", "/health"] {
            let error = asked(Some("v3"), None, path).unwrap_err();
            assert_eq!(error.code(), ErrorCode::UnsupportedVersion);
            assert!(error.detail().contains("v1 (1.0) and v2 (2.0)"), "{}", error.detail());
        }
    }

    #[test]
    fn a_version_that_contradicts_the_path_or_itself_is_refused() {
        for (header, query, path) in [
            (Some("v1"), None, "/v2/documents/Item"),
            (None, Some("v2"), "/api/resource/Item"),
            (Some("v1"), Some("v2"), "/api"),
        ] {
            assert_eq!(asked(header, query, path).unwrap_err().code(), ErrorCode::UnsupportedVersion);
        }
    }
}
