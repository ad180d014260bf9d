//! A method's arguments, as Frappe merges them: the query, and over it the body, which is a JSON object or a form.
//!
//! Clients write arguments in several ways: a list as JSON or as a text that holds it, a number or a flag as
//! text, nothing as an empty text. The types here take them all, and what they mean is said once, by the type.
//! Arguments that nothing reads are ignored, as Frappe ignores them.

use std::fmt;

use http::header;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

#[cfg(test)]
use crate::api::openapi::Operation;
use crate::{
    Error, ErrorCode, Result,
    api::{Call, input, input::Input, version},
    trigger::http::Request,
};

/// The most arguments a form has.
const MAX_ARGUMENTS: usize = 1_000;
/// Arguments that mean something when they are empty.
const MAY_BE_EMPTY: [&str; 1] = ["value"];
/// Arguments that are no method's: the version asked for, a browser's guard against its own cache, and the
/// method where it is named in a form.
const NOT_ARGUMENTS: [&str; 3] = [version::PARAMETER, "_", "cmd"];

/// The arguments, as `T`.
pub struct Args<T>(pub T);

impl<T: DeserializeOwned + JsonSchema> Input for Args<T> {
    const READS_QUERY: bool = true;
    const READS_BODY: bool = true;

    fn read(call: &Call<'_>) -> Result<Self> {
        let mut given = given(call.request)?;
        given.retain(|name, value| {
            let is_empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
            !is_empty || MAY_BE_EMPTY.contains(&name.as_str())
        });
        input::parse(&Value::Object(given)).map(Self)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.arguments::<T>();
    }
}

/// No arguments, or any: Frappe ignores what a method does not take.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NoArguments {}

/// The fields of a document that a request carries: the argument `data`, or else all of the body.
pub struct Fields(pub Map<String, Value>);

impl Input for Fields {
    const READS_QUERY: bool = true;
    const READS_BODY: bool = true;

    fn read(call: &Call<'_>) -> Result<Self> {
        document(call.request).map(Self)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.arguments::<Doc>();
    }
}

/// Every argument of a request.
pub fn given(request: &Request) -> Result<Map<String, Value>> {
    let mut given: Map<String, Value> =
        request.query.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    given.extend(body(request)?);
    for name in NOT_ARGUMENTS {
        given.shift_remove(name);
    }
    Ok(given)
}

fn document(request: &Request) -> Result<Map<String, Value>> {
    match given(request)?.shift_remove("data") {
        Some(data) => object(data).map_err(|error| error.at("data")),
        None if request.body()?.is_empty() => {
            Err(Error::new(ErrorCode::EmptyBody, "the body is empty; the fields of a document are expected"))
        }
        None => body(request),
    }
}

/// `value`, an object or a text that holds one.
pub fn object(value: Value) -> Result<Map<String, Value>> {
    match loose(value) {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::field("", "invalid", "must be an object, or a text that holds one as JSON")),
    }
}

/// `value`, or what it holds where it is a text that holds a list or an object as JSON.
pub fn loose(value: Value) -> Value {
    match value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        other => other,
    }
}

/// What a form or a JSON body holds; nothing where there is none.
fn body(request: &Request) -> Result<Map<String, Value>> {
    let bytes = request.body()?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    if is_form(request) {
        if form_urlencoded::parse(bytes).nth(MAX_ARGUMENTS).is_some() {
            return Err(Error::field(
                "",
                "too_long",
                format!("a form has at most {MAX_ARGUMENTS} arguments"),
            ));
        }
        let pairs = form_urlencoded::parse(bytes);
        return Ok(pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect());
    }
    match request.json()? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::new(ErrorCode::MalformedBody, "the body is JSON and no object")),
    }
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The method that a form names in `cmd`, if it is one that names any.
pub fn command(request: &Request) -> Option<String> {
    let sent = request.body.as_ref().ok()?;
    let named = if is_form(request) {
        form_urlencoded::parse(sent).find(|(name, _)| name == "cmd").map(|(_, value)| value.into_owned())
    } else {
        serde_json::from_slice::<Value>(sent)
            .ok()
            .and_then(|body| body["cmd"].as_str().map(ToOwned::to_owned))
    };
    named.filter(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
    })
}

/// A text; a number is taken for its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom("must be a text")),
        }
    }
}

/// A number of things, also as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub usize);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text,
            _ => String::new(),
        };
        text.trim().parse().map(Self).map_err(|_| D::Error::custom("must be a whole number, 0 or more"))
    }
}

/// Yes or no: `true`, `1`, `"true"`, `"True"`, `"1"` and their opposites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Bool(flag) => return Ok(Self(flag)),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match text.as_str() {
            "1" | "true" | "yes" => Ok(Self(true)),
            "0" | "false" | "no" => Ok(Self(false)),
            _ => Err(D::Error::custom("must be true or false")),
        }
    }
}

/// JSON, or a text that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(pub Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(loose(value)))
    }
}

/// A document: an object, or a text that holds one as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc(pub Map<String, Value>);

impl<'de> Deserialize<'de> for Doc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        object(value).map(Self).map_err(|error| D::Error::custom(Detail(&error)))
    }
}

struct Detail<'a>(&'a Error);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail())
    }
}

macro_rules! schema {
    ($($name:ident $schema:tt)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}
schema! {
    Text { "type": "string" }
    Whole { "type": "integer", "minimum": 0 }
    Flag { "type": "boolean" }
    Json {}
    Doc { "type": "object", "additionalProperties": true }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::rig::asked;

    fn form(path_and_query: &str, body: &str) -> Request {
        let mut request = asked("POST", path_and_query, None, None);
        let kind = "application/x-www-form-urlencoded; charset=UTF-8".parse().unwrap();
        request.headers.insert(header::CONTENT_TYPE, kind);
        request.body = Ok(body.as_bytes().to_vec());
        request
    }

    #[test]
    fn the_body_lies_over_the_query() {
        let request = form("/?doctype=Item&limit=1&version=v1&_=7", "limit=2&cmd=frappe.client.get_list");
        assert_eq!(Value::Object(given(&request).unwrap()), json!({ "doctype": "Item", "limit": "2" }));
        let request = asked("POST", "/?limit=1", None, Some(&json!({ "limit": 3, "doc": { "a": 1.50 } })));
        assert_eq!(given(&request).unwrap()["limit"], 3);
    }

    #[test]
    fn json_is_read_whatever_it_is_called_and_what_is_no_object_is_refused() {
        let mut request = asked("POST", "/", None, None);
        request.body = Ok(br#"{"a": 1}"#.to_vec());
        assert_eq!(given(&request).unwrap()["a"], 1);
        for body in ["[1]", "{", "a=1", "\u{1}"] {
            request.body = Ok(body.as_bytes().to_vec());
            assert_eq!(given(&request).unwrap_err().code(), ErrorCode::MalformedBody, "{body}");
        }
    }

    #[test]
    fn a_document_is_the_body_or_what_data_holds() {
        let expected = json!({ "name": "A", "qty": 1 });
        for request in [
            asked("POST", "/", None, Some(&expected)),
            asked("POST", "/", None, Some(&json!({ "data": expected }))),
            asked("POST", "/", None, Some(&json!({ "data": expected.to_string() }))),
            form("/", "data=%7B%22name%22%3A%22A%22%2C%22qty%22%3A1%7D"),
        ] {
            assert_eq!(Value::Object(document(&request).unwrap()), expected);
        }
        let form_itself = document(&form("/?limit=1", "name=A&qty=1")).unwrap();
        assert_eq!(Value::Object(form_itself), json!({ "name": "A", "qty": "1" }));
        assert_eq!(document(&asked("PUT", "/", None, None)).unwrap_err().code(), ErrorCode::EmptyBody);
        let text = document(&form("/", "data=A")).unwrap_err();
        assert_eq!(text.field_errors()[0].field, "data");
    }

    #[test]
    fn a_form_with_too_many_arguments_is_refused_and_not_cut() {
        let fits = "a=1&".repeat(MAX_ARGUMENTS);
        assert!(given(&form("/", &fits)).is_ok());
        assert!(given(&form("/", &(fits + "a=1"))).is_err());
    }

    #[test]
    fn numbers_flags_and_json_are_taken_as_text_too() {
        fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
            serde_json::from_str(&value.to_string()).ok()
        }
        for (value, number) in
            [(json!(20), Some(20)), (json!("20"), Some(20)), (json!("-1"), None), (json!(1.5), None)]
        {
            assert_eq!(read::<Whole>(&value).map(|Whole(n)| n), number, "{value}");
        }
        for (value, flag) in [(json!("True"), Some(true)), (json!(0), Some(false)), (json!("perhaps"), None)]
        {
            assert_eq!(read::<Flag>(&value).map(|Flag(yes)| yes), flag, "{value}");
        }
        assert_eq!(read::<Json>(&json!("[1, 2]")).unwrap().0, json!([1, 2]));
        assert_eq!(read::<Json>(&json!("name")).unwrap().0, json!("name"));
        assert_eq!(read::<Text>(&json!(1.50)).unwrap().0, "1.5");
        assert!(read::<Doc>(&json!("[]")).is_none());
    }

    #[test]
    fn only_a_plain_method_is_a_command() {
        assert_eq!(
            command(&form("/", "cmd=frappe.client.delete&name=a")).as_deref(),
            Some("frappe.client.delete")
        );
        let json = asked("POST", "/", None, Some(&json!({ "cmd": "ping" })));
        assert_eq!(command(&json).as_deref(), Some("ping"));
        for body in ["cmd=a/b", "cmd=..%2Fv2%3F", "a=b", ""] {
            assert_eq!(command(&form("/", body)), None, "{body}");
        }
    }
}
