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

/// The most arguments a call has.
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

/// Every argument of a request.
pub fn given(request: &Request) -> Result<Map<String, Value>> {
    let mut given: Map<String, Value> =
        request.query.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    given.extend(body(request)?);
    for name in NOT_ARGUMENTS {
        given.shift_remove(name);
    }
    if given.len() > MAX_ARGUMENTS {
        return Err(Error::field("", "too_long", format!("at most {MAX_ARGUMENTS} arguments")));
    }
    Ok(given)
}

/// The fields of a document that a request carries: the argument `data`, or else all of the body.
pub fn document(request: &Request) -> Result<Map<String, Value>> {
    let mut given = given(request)?;
    match given.shift_remove("data") {
        None => Ok(given),
        Some(data) => object(data).map_err(|error| error.at("data")),
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
        let pairs = form_urlencoded::parse(bytes).take(MAX_ARGUMENTS + 1);
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
    named.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')))
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
