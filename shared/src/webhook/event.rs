//! What an event is called and which event it is: decided from what was signed, as far as it goes.
//!
//! Event ids are derived, so that a repeat has the id of the first delivery. Names from a URL or a header are
//! outside the signature: they may choose a harmless rule, never a delete or a cancel (invariant "unsigned
//! names destroy nothing").

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::signature::Verified;
use crate::{
    Error, ErrorCode, Result,
    connectors::{ConnectorSettings, Effect, Identity},
    events::handler,
    id::{IdKind, derive},
};

/// The longest event name, in bytes.
pub const MAX_EVENT_NAME_BYTES: usize = 128;

/// Frappe bodies without `modified` count as the same event within this many seconds.
const BUCKET_SECONDS: i64 = 300;

/// An event's name and how far it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Whether the signature, or a secret for this event alone, covers it.
    pub signed: bool,
}

/// Checks an event name from a URL or header.
pub fn check_name(name: &str) -> Result<()> {
    let valid = (1..=MAX_EVENT_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b));
    if valid {
        return Ok(());
    }
    Err(Error::field(
        "event",
        "invalid",
        format!("must be 1 to {MAX_EVENT_NAME_BYTES} letters, digits, '.', '_', ':', '/' or '-'"),
    ))
}

/// The event's name: from the signed body if the settings say where, else from the secret's own event, the
/// URL, the header, or the default.
pub fn name(
    settings: &ConnectorSettings,
    payload: &Value,
    headers: &HeaderMap,
    from_url: Option<&str>,
    secret_event: Option<&str>,
) -> Result<Name> {
    let source = &settings.event;
    let in_body = source.body.as_deref().and_then(|path| payload.pointer(path)).and_then(Value::as_str);
    let header = source.header.as_deref().and_then(|name| headers.get(name)).and_then(|v| v.to_str().ok());
    let (base, signed) = match (in_body, secret_event) {
        (Some(name), _) => (name, true),
        (None, Some(event)) => (event, true),
        (None, None) => (from_url.or(header).or(source.default.as_deref()).unwrap_or("event"), false),
    };
    let detail = source.detail.as_deref().and_then(|path| payload.pointer(path)).and_then(Value::as_str);
    let text = detail.map_or_else(|| base.to_owned(), |detail| format!("{base}.{detail}"));
    check_name(&text)?;
    Ok(Name { text, signed })
}

/// The event's id, the same for every delivery of it.
pub fn identify(
    settings: &ConnectorSettings,
    name: &Name,
    payload: &Value,
    body: &[u8],
    verified: &Verified,
    received_at: Timestamp,
) -> Result<String> {
    let connector = settings.name.as_bytes();
    let id = |parts: &[&[u8]]| derive(IdKind::Event, &[&[connector], parts].concat());
    match &settings.identity {
        Identity::Body => Ok(id(&[b"body", body])),
        Identity::SignedId => match &verified.signed_id {
            Some(signed) => Ok(id(&[b"signed", signed.as_bytes()])),
            None => Err(Error::new(ErrorCode::EventUnidentified, "the scheme signed no id")),
        },
        Identity::Field { path } => match payload.pointer(path).and_then(scalar) {
            Some(value) => Ok(id(&[b"field", value.as_bytes()])),
            None => Err(Error::new(
                ErrorCode::EventUnidentified,
                format!(
                    "the body has no text or number at {path}, which identifies events of this connector"
                ),
            )),
        },
        Identity::Frappe => frappe(settings, name, payload, body, received_at, &id),
    }
}

fn frappe(
    settings: &ConnectorSettings,
    name: &Name,
    payload: &Value,
    body: &[u8],
    received_at: Timestamp,
    id: &dyn Fn(&[&[u8]]) -> String,
) -> Result<String> {
    let field = |key: &str| payload.get(key).and_then(scalar);
    if let (Some(document), Some(modified)) = (field("name"), field("modified")) {
        let doctype = field("doctype").unwrap_or_default();
        return Ok(id(&[
            b"frappe",
            name.text.as_bytes(),
            doctype.as_bytes(),
            document.as_bytes(),
            modified.as_bytes(),
        ]));
    }
    if !repeatable(rule_effect(settings, &name.text)) {
        return Err(Error::new(
            ErrorCode::EventUnidentified,
            "without \"name\" and \"modified\" in the body a repeat cannot be told from a new event, and \
             this event's effect is not safe to repeat: add both fields to the webhook's data",
        ));
    }
    let bucket = received_at.as_second().div_euclid(BUCKET_SECONDS).to_be_bytes();
    Ok(id(&[b"frappe-body", name.text.as_bytes(), body, &bucket]))
}

/// A text that is not empty, or a number, as what it tells one event from another by.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Refuses a delete or cancel that only an unsigned name asks for.
pub fn check_destructive(settings: &ConnectorSettings, name: &str, signed: bool) -> Result<()> {
    if signed || !destructive(rule_effect(settings, name)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::EventUnsigned,
        format!(
            "the event name {name:?} is not covered by the signature and asks for a delete or cancel: \
             give the event a secret of its own (\"event\" of a secret), or take its name from the body"
        ),
    ))
}

/// The effect of the first rule that fits `event`.
fn rule_effect<'a>(settings: &'a ConnectorSettings, event: &str) -> Option<&'a Effect> {
    settings.rule_for(event).map(|rule| &rule.effect)
}

fn destructive(effect: Option<&Effect>) -> bool {
    match effect {
        Some(Effect::Cancel(_) | Effect::Delete(_)) => true,
        Some(Effect::Handler { handler, .. }) => {
            handler::find(handler).is_some_and(handler::Handler::is_destructive)
        }
        _ => false,
    }
}

fn repeatable(effect: Option<&Effect>) -> bool {
    matches!(effect, None | Some(Effect::Update(_) | Effect::Upsert(_) | Effect::Submit(_)))
}
