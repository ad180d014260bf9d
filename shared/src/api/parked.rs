//! What is parked, and its replay.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::Call;
use crate::{
    Error, ErrorCode, Result,
    clock::rfc3339,
    integration_log::redact,
    parking::{Cargo, ParkedItem, ParkedQuery, ParkedState},
    trigger::http::Response,
};

/// The longest reason for giving an event up.
const MAX_REASON_BYTES: usize = 300;

/// `GET /v2/parked`: by `state` (delayed, waiting, dead) and `connector`, oldest first within them.
pub async fn list(call: &Call<'_>) -> Result<Response> {
    call.allow_query(&["limit", "cursor", "state", "connector"])?;
    let page = call.services.parking.list(&query(call)?).await?;
    Ok(Response::page(&page.items.iter().map(summary).collect::<Vec<_>>(), page.next.as_deref(), false))
}

/// `GET /v2/parked/{id}`: one item, with its body, redacted.
pub async fn get(call: &Call<'_>) -> Result<Response> {
    let id = call.param("id")?;
    let missing = || Error::new(ErrorCode::ParkedNotFound, format!("{id} is not parked"));
    let item = call.services.parking.get(id).await?.ok_or_else(missing)?;
    let mut shown = summary(&item);
    shown["body"] = match &item.cargo {
        Cargo::Event(event) => redact(&event.body.decode()?).into(),
        Cargo::Unreadable { message } => redact(message.as_bytes()).into(),
        Cargo::Change(_) => Value::Null,
    };
    Ok(Response::data(StatusCode::OK, shown))
}

/// `POST /v2/parked/{id}/replay`: 202, and what becomes of it is in the log.
pub async fn replay(call: &Call<'_>) -> Result<Response> {
    call.refuse_body()?;
    let id = call.param("id")?;
    call.services.replay.one(id).await?;
    let location = format!("/v2/integration-logs/{id}");
    Ok(Response::data(StatusCode::ACCEPTED, json!({ "id": id })).with_header(header::LOCATION, &location))
}

/// `POST /v2/parked/replay?state=dead&connector=&limit=&cursor=`: a page of what is found, the dead unless
/// another state is named. Go on with the cursor in `page.next` for more.
pub async fn replay_all(call: &Call<'_>) -> Result<Response> {
    call.refuse_body()?;
    call.allow_query(&["limit", "cursor", "state", "connector"])?;
    let mut query = query(call)?;
    query.state.get_or_insert_with(|| "dead".to_owned());
    let (replayed, next) = call.services.replay.page(&query).await?;
    let mut response = Response::data(StatusCode::ACCEPTED, json!({ "replayed": replayed }));
    response.body["page"] = json!({ "next": next });
    Ok(response)
}

/// `DELETE /v2/parked/{id}?reason=…`: gives an event up for good. It ends as rejected, with who gave it up and why.
pub async fn discard(call: &Call<'_>) -> Result<Response> {
    call.allow_query(&["reason"])?;
    let reason =
        call.query("reason").ok_or_else(|| Error::field("reason", "missing", "say why it is given up"))?;
    if reason.len() > MAX_REASON_BYTES {
        return Err(Error::field("reason", "too_long", format!("must be at most {MAX_REASON_BYTES} bytes")));
    }
    let (id, user) = (call.param("id")?, call.user()?);
    call.services.discard.one(id, &format!("{user} gave it up: {reason}")).await?;
    Ok(Response::data(StatusCode::OK, json!({ "id": id })))
}

fn query(call: &Call<'_>) -> Result<ParkedQuery> {
    let state = call.query("state").map(ToOwned::to_owned);
    if state.as_ref().is_some_and(|state| !ParkedState::NAMES.contains(&state.as_str())) {
        let names = ParkedState::NAMES.join(", ");
        return Err(Error::field("state", "invalid", format!("must be one of {names}")));
    }
    Ok(ParkedQuery {
        state,
        connector: call.query("connector").map(ToOwned::to_owned),
        limit: call.limit()?,
        cursor: call.query("cursor").map(ToOwned::to_owned),
    })
}

fn summary(item: &ParkedItem) -> Value {
    let event = match &item.cargo {
        Cargo::Event(event) => Some(event),
        Cargo::Unreadable { .. } | Cargo::Change(_) => None,
    };
    let change = match &item.cargo {
        Cargo::Change(change) => json!({
            "projection": change.projection,
            "doctype": change.document.doctype.as_str(),
            "name": change.document.name.as_str(),
            "revision": change.revision,
        }),
        Cargo::Event(_) | Cargo::Unreadable { .. } => Value::Null,
    };
    let waiting_for = match &item.state {
        ParkedState::Waiting { document } => {
            json!({ "doctype": document.doctype.as_str(), "name": document.name.as_str() })
        }
        _ => Value::Null,
    };
    json!({
        "id": item.id,
        "connector": item.connector,
        "event": event.map(|event| event.event.as_str()),
        "change": change,
        "received_at": event.map(|event| rfc3339(event.received_at)),
        "state": item.state.name(),
        "waiting_for": waiting_for,
        "parked_at": rfc3339(item.parked_at),
        "due": item.due.map(rfc3339),
        "error": item.failure,
    })
}
