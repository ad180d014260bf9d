//! A delivery that carries an array becomes events of their own.

use serde_json::Value;

use crate::{
    Error, ErrorCode, Result,
    connectors::Split,
    id::{IdKind, derive},
    queue::{Body, InboundEvent},
    webhook::{check_event_name, scalar},
};

/// The most events one delivery may carry.
const MAX_EVENTS: usize = 2_000;

/// The events in `delivery`, each with an id of its own that is the same at every attempt.
pub fn children(delivery: &InboundEvent, split: &Split, payload: &Value) -> Result<Vec<InboundEvent>> {
    let unfit = |detail: String| Error::new(ErrorCode::MappingFailed, detail);
    let Some(Value::Array(elements)) = payload.pointer(&split.path) else {
        return Err(unfit(format!("there is no array at {:?} of the body", split.path)));
    };
    if elements.len() > MAX_EVENTS {
        return Err(unfit(format!("the delivery has {} events; the limit is {MAX_EVENTS}", elements.len())));
    }
    elements.iter().enumerate().map(|(index, element)| child(delivery, split, index, element)).collect()
}

fn child(delivery: &InboundEvent, split: &Split, index: usize, element: &Value) -> Result<InboundEvent> {
    let text =
        |path: &Option<String>| path.as_deref().and_then(|path| element.pointer(path)).and_then(scalar);
    // With an id of its own an element is known in whichever delivery it comes; without, by its place in this one.
    let id = match text(&split.id) {
        Some(own) => derive(IdKind::Event, &[delivery.connector.as_bytes(), b"element", own.as_bytes()]),
        None => derive(IdKind::Event, &[delivery.id.as_bytes(), b"place", &index.to_be_bytes()]),
    };
    let name = text(&split.event);
    if let Some(name) = &name {
        check_event_name(name).map_err(|error| error.with_code(ErrorCode::MappingFailed))?;
    }
    Ok(InboundEvent {
        id,
        event: name.clone().unwrap_or_else(|| delivery.event.clone()),
        signed_name: name.is_some() || delivery.signed_name,
        body: Body::encode(element.to_string().as_bytes())?,
        parent: Some(delivery.id.clone()),
        ..delivery.clone()
    })
}
