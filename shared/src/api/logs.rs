//! The Integration Log.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Call;
use crate::{
    Error, ErrorCode, Result,
    clock::rfc3339,
    documents::DocumentKey,
    dynamo::{cursor, position},
    integration_log::{Entry, EntrySummary, EventStatus, LogQuery, RETENTION, search},
    trigger::http::Response,
};

/// How far back a list goes when `from` is not given.
const DEFAULT_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// `GET /v2/integration-logs`: newest first, of the last seven days unless `from` says more; by `connector`,
/// `status`, and document (`doctype` and `name`).
pub async fn list(call: &Call<'_>) -> Result<Response> {
    call.allow_query(&["limit", "cursor", "connector", "status", "doctype", "name", "from", "to"])?;
    let query = query(call)?;
    let before = call.query("cursor").map(position).transpose()?;
    let connectors = match call.query("connector") {
        Some(connector) => vec![connector.to_owned()],
        None => call.services.connectors.names().await?,
    };
    let page = search(&*call.services.log, &connectors, &query, before.as_ref()).await?;
    let partial = page.next_before.is_some() && page.items.len() < query.limit;
    let next = page.next_before.as_ref().map(cursor).transpose()?;
    let items: Vec<Value> = page.items.iter().map(summary).collect();
    Ok(Response::page(&items, next.as_deref(), partial))
}

/// `GET /v2/integration-logs/{id}`: one event's life.
pub async fn get(call: &Call<'_>) -> Result<Response> {
    let id = call.param("id")?;
    let missing = || Error::new(ErrorCode::LogNotFound, format!("there is no log entry {id} (yet)"));
    let found = call.services.log.get(id).await?.ok_or_else(missing)?;
    Ok(Response::data(StatusCode::OK, entry(&found)))
}

fn query(call: &Call<'_>) -> Result<LogQuery> {
    let now = call.services.clock.now();
    let to =
        time(call, "to")?.unwrap_or_else(|| now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(now));
    let from = time(call, "from")?;
    if from.is_some_and(|from| from > to) {
        return Err(Error::field("from", "invalid", "must not be later than to"));
    }
    let oldest = now.saturating_sub(RETENTION).unwrap_or(now);
    let default_from = to.saturating_sub(DEFAULT_WINDOW).unwrap_or(to);
    let status = call.query("status").map(|text| {
        let names = EventStatus::ALL.map(EventStatus::as_str).join(", ");
        EventStatus::parse(text)
            .ok_or_else(|| Error::field("status", "invalid", format!("must be one of {names}")))
    });
    let document = match (call.query("doctype"), call.query("name")) {
        (Some(doctype), Some(name)) => Some(DocumentKey::new(doctype, name)?),
        (None, None) => None,
        _ => return Err(Error::field("name", "missing", "doctype and name go together")),
    };
    Ok(LogQuery {
        connector: String::new(),
        from: from.unwrap_or(default_from).max(oldest),
        to,
        status: status.transpose()?,
        document,
        limit: call.limit()?,
    })
}

fn time(call: &Call<'_>, name: &str) -> Result<Option<Timestamp>> {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            Error::field(name, "invalid", "must be a time as in RFC 3339, e.g. 2026-11-22T19:12:25Z")
        })
    };
    call.query(name).map(parse).transpose()
}

fn document(key: Option<&DocumentKey>) -> Value {
    key.map_or(Value::Null, |key| json!({ "doctype": key.doctype.as_str(), "name": key.name.as_str() }))
}

fn summary(entry: &EntrySummary) -> Value {
    json!({
        "id": entry.id,
        "connector": entry.connector,
        "event": entry.event,
        "status": entry.status,
        "received_at": rfc3339(entry.received_at),
        "document": document(entry.document.as_ref()),
        "attempts": entry.attempts,
        "duration_ms": entry.duration_ms,
        "error_code": entry.error_code,
    })
}

fn entry(entry: &Entry) -> Value {
    let history: Vec<Value> = entry
        .history
        .iter()
        .map(|past| json!({ "at": rfc3339(past.at), "duration_ms": past.duration_ms, "error": past.error }))
        .collect();
    json!({
        "id": entry.facts.id,
        "connector": entry.facts.connector,
        "event": entry.facts.event,
        "secret": entry.facts.secret,
        "status": entry.status,
        "received_at": rfc3339(entry.facts.received_at),
        "updated_at": rfc3339(entry.updated_at),
        "document": document(entry.document.as_ref()),
        "attempts": entry.attempts,
        "duration_ms": entry.duration_ms,
        "error": entry.error,
        "body_bytes": entry.facts.body_bytes,
        "body": entry.facts.redacted_body,
        "failed_attempts": history,
    })
}
