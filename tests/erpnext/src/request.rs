//! A request as the site understands it, and its answer.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, …
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// The parts of the path between slashes, decoded each for itself: a name may have a slash.
    pub parts: Vec<String>,
    /// The query's arguments.
    pub query: Map<String, Value>,
    /// The header Authorization.
    pub authorization: Option<String>,
    /// The header Accept.
    pub accept: String,
    /// The body as JSON or form; null if there is none, `Err` if it is neither.
    pub body: Result<Value, ()>,
    /// The body's text.
    pub text: String,
}

fn arguments(text: &str) -> Map<String, Value> {
    form_urlencoded::parse(text.as_bytes()).map(|(key, value)| (key.into_owned(), json!(value))).collect()
}

impl Request {
    /// Reads a request.
    pub fn new(parts: &hyper::http::request::Parts, body: &[u8]) -> Self {
        let header =
            |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = String::from_utf8_lossy(body).into_owned();
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let content_type = header("content-type").unwrap_or_default();
        let read = if text.trim().is_empty() {
            Ok(Value::Null)
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            Ok(Value::Object(arguments(&text)))
        } else {
            serde_json::from_str(&text).map_err(|_| ())
        };
        Self {
            method: parts.method.to_string(),
            path: decoded(parts.uri.path()),
            parts: parts.uri.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            query: arguments(parts.uri.query().unwrap_or_default()),
            authorization: header("authorization"),
            accept: header("accept").unwrap_or_default(),
            body: read,
            text,
        }
    }

    /// The arguments of the query and of the body, as a method gets them.
    pub fn arguments(&self) -> Map<String, Value> {
        let mut all = self.query.clone();
        if let Ok(Value::Object(body)) = &self.body {
            all.extend(body.clone());
        }
        all
    }

    /// Every DocType that the request names.
    pub fn doctypes(&self) -> Vec<String> {
        let after = |word: &str| {
            let at = self.parts.iter().position(|part| part == word)?;
            self.parts.get(at + 1).cloned()
        };
        let mut named: Vec<String> = ["resource", "document"].into_iter().filter_map(after).collect();
        let arguments = self.arguments();
        let of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        named.extend(
            ["doctype", "dt"].iter().filter_map(|key| arguments.get(*key)?.as_str().map(str::to_owned)),
        );
        named.extend(arguments.get("doc").and_then(|doc| of(doc, "doctype")));
        let documents = arguments.get("docs").and_then(Value::as_array);
        named.extend(documents.into_iter().flatten().filter_map(|doc| of(doc, "doctype")));
        named
    }

    /// Key and secret of the Authorization header, or what a bearer bears.
    pub fn credentials(&self) -> Credentials {
        let Some(header) = &self.authorization else { return Credentials::None };
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let pair = match scheme.to_lowercase().as_str() {
            "token" => Some(rest.to_owned()),
            "basic" => BASE64_STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
            "bearer" => return Credentials::Bearer(rest.to_owned()),
            _ => None,
        };
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((key, secret)) => Credentials::Key(key.to_owned(), secret.to_owned()),
            None => Credentials::Unreadable,
        }
    }
}

/// Who a caller says they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    None,
    /// The owner of a key.
    Key(String, String),
    /// The bearer of an access token.
    Bearer(String),
    /// A header that says nothing.
    Unreadable,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beside Content-Length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    /// Any text of any type: what a proxy says, or nonsense.
    pub fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    /// The page of a proxy before the site: 502 Bad Gateway, 504 Gateway Time-out.
    pub fn proxy(status: u16) -> Self {
        let title = if status == 504 { "504 Gateway Time-out" } else { "502 Bad Gateway" };
        let page = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::text(status, "text/html", &page)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
