//! A body becomes the JSON that rules read. Called after verification only.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use crate::{Error, ErrorCode, Result, connectors::Content};

/// The payload in `body`, as the connector's `content` says it is written.
pub fn parse(content: Content, content_type: Option<&str>, body: &[u8]) -> Result<Value> {
    match content {
        Content::Json => serde_json::from_slice(body)
            .map_err(|e| Error::new(ErrorCode::MalformedBody, format!("the body is not JSON: {e}"))),
        Content::Form => form(body),
        Content::Raw => Ok(raw(content_type, body)),
    }
}

/// Whether `content_type` may be sent to a connector of this `content`. No content type always may: Frappe sends none.
pub fn accepts(content: Content, content_type: Option<&str>) -> bool {
    let Some(media_type) = content_type.map(|t| t.split(';').next().unwrap_or(t).trim().to_ascii_lowercase())
    else {
        return true;
    };
    match content {
        Content::Json => {
            matches!(
                media_type.as_str(),
                "application/json" | "text/json" | "text/plain" | "application/octet-stream"
                    // What `curl -d` says of everything; whether it is JSON shows when it is parsed.
                    | "application/x-www-form-urlencoded"
            ) || (media_type.starts_with("application/") && media_type.ends_with("+json"))
        }
        Content::Form => media_type == "application/x-www-form-urlencoded",
        Content::Raw => true,
    }
}

fn form(body: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Error::new(ErrorCode::MalformedBody, "the form is not UTF-8"))?;
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.insert(decode(name)?, decode(value)?.into());
    }
    Ok(Value::Object(fields))
}

fn decode(text: &str) -> Result<String> {
    percent_encoding::percent_decode_str(&text.replace('+', " "))
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::new(ErrorCode::MalformedBody, "the form is not UTF-8"))
}

fn raw(content_type: Option<&str>, body: &[u8]) -> Value {
    let mut payload = json!({ "content_type": content_type, "base64": BASE64_STANDARD.encode(body) });
    if let Ok(text) = std::str::from_utf8(body) {
        payload["text"] = text.into();
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_an_object_of_texts() {
        let payload = parse(Content::Form, None, b"name=B+M%C3%BCller&empty=").unwrap();
        assert_eq!(payload, json!({ "name": "B Müller", "empty": "" }));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_in_base64() {
        let payload = parse(Content::Raw, Some("application/pdf"), &[0xff, 0x00]).unwrap();
        assert_eq!(payload, json!({ "content_type": "application/pdf", "base64": "/wA=" }));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert_eq!(parse(Content::Json, None, b"{").unwrap_err().code(), ErrorCode::MalformedBody);
        assert_eq!(parse(Content::Json, None, &[0xff]).unwrap_err().code(), ErrorCode::MalformedBody);
    }

    #[test]
    fn frappe_without_a_content_type_is_welcome_and_xml_is_not() {
        assert!(accepts(Content::Json, None));
        assert!(accepts(Content::Json, Some("application/cloudevents+json; charset=utf-8")));
        assert!(!accepts(Content::Json, Some("text/xml")));
    }
}
