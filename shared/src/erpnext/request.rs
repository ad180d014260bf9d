//! A request to a site before it has its credentials.

use http::{Method, Request, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use crate::{Error, Result, outbound::Repeat};

/// What stands for itself in a path (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request, its path below the site's URL.
#[derive(Debug, Clone)]
pub(super) struct SiteRequest {
    pub method: Method,
    /// Without names of things, for logs and metrics.
    pub endpoint: String,
    /// Encoded.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Value>,
    pub repeat: Repeat,
}

impl SiteRequest {
    /// A request to the documents of `doctype`, or to the one called `name`.
    pub fn resource(method: Method, doctype: &str, name: Option<&str>, repeat: Repeat) -> Result<Self> {
        let mut path = format!("/api/resource/{}", segment("doctype", doctype)?);
        let mut endpoint = format!("{method} /api/resource/{{doctype}}");
        if let Some(name) = name {
            path = format!("{path}/{}", segment("name", name)?);
            endpoint.push_str("/{name}");
        }
        Ok(Self { method, endpoint, path, query: Vec::new(), body: None, repeat })
    }

    /// A call of a method. It is a POST: after a GET the site undoes what was written, but not what was queued.
    pub fn method(method: &str, args: Value, repeat: Repeat) -> Result<Self> {
        let path = format!("/api/method/{}", segment("method", method)?);
        let endpoint = format!("POST /api/method/{method}");
        Ok(Self { method: Method::POST, endpoint, path, query: Vec::new(), body: Some(args), repeat })
    }

    /// A method called by GET, after which the site undoes what it wrote.
    pub fn question(method: &str, args: &[(&'static str, &str)]) -> Result<Self> {
        let called = Self::method(method, Value::Null, Repeat::Safe)?;
        let query = args.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Ok(Self {
            method: Method::GET,
            endpoint: format!("GET /api/method/{method}"),
            query,
            body: None,
            ..called
        })
    }

    /// The length of the path with its query, in bytes.
    pub fn target_length(&self) -> usize {
        self.path.len() + self.encoded_query().len() + 1
    }

    /// The request as it is sent to `site`.
    pub fn build(&self, site: &Url, authorization: &http::HeaderValue) -> Result<Request<Vec<u8>>> {
        let mut url = format!("{}{}", site.as_str().trim_end_matches('/'), self.path);
        if !self.query.is_empty() {
            url = format!("{url}?{}", self.encoded_query());
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, authorization.clone());
        let mut body = Vec::new();
        if let Some(value) = &self.body {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body = serde_json::to_vec(value).map_err(Error::internal)?;
        }
        request.body(body).map_err(Error::internal)
    }

    fn encoded_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish()
    }
}

/// `text` as one segment of a path. `.` and `..` are steps and never names there, in whatever spelling.
fn segment(field: &str, text: &str) -> Result<String> {
    if matches!(text, "" | "." | "..") {
        return Err(Error::field(field, "invalid", format!("{text:?} cannot be asked for")));
    }
    Ok(utf8_percent_encode(text, RESERVED).to_string())
}
