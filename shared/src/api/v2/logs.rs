//! The Integration Log.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::{Many, One},
        input::{Limit, Query},
        shown::{DocumentReference, Time},
        v2::calls::CallShown,
    },
    documents::DocumentKey,
    dynamo::{cursor, position},
    integration_log::{Entry, EntrySummary, EventStatus, Failure, LogQuery, RETENTION, search},
    outbound::call_log::CallHistory,
};

/// How far back a list goes when `from` is not given.
const DEFAULT_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An event, in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventSummary {
    /// The event's id.
    id: String,
    /// The connector it came through.
    connector: String,
    /// Its name.
    event: String,
    /// Where it stands.
    status: EventStatus,
    /// When it was accepted.
    received_at: Time,
    /// The document it is about.
    document: Option<DocumentReference>,
    /// Attempts since it was accepted or last replayed.
    attempts: u32,
    /// How long the last attempt took, in milliseconds.
    duration_ms: u64,
    /// What went wrong last.
    error_code: Option<String>,
}

/// An event's life.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventLife {
    /// The event's id.
    id: String,
    /// The connector it came through.
    connector: String,
    /// Its name.
    event: String,
    /// The name of the secret that verified it.
    secret: String,
    /// Where it stands.
    status: EventStatus,
    /// When it was accepted.
    received_at: Time,
    /// When the entry changed last.
    updated_at: Time,
    /// The document it is about.
    document: Option<DocumentReference>,
    /// Attempts since it was accepted or last replayed.
    attempts: u32,
    /// How long the last attempt took, in milliseconds.
    duration_ms: u64,
    /// What went wrong last.
    error: Option<Failure>,
    /// The size of the body, in bytes.
    body_bytes: usize,
    /// The beginning of the body, secrets hidden.
    body: String,
    /// Every attempt that failed.
    failed_attempts: Vec<PastAttempt>,
    /// The calls to providers that were made for it, oldest first; of very many the newest.
    calls: Vec<CallShown>,
    /// Calls that were made besides, of which nothing is kept.
    calls_omitted: u64,
}

/// An attempt that failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PastAttempt {
    /// When.
    at: Time,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// Why.
    error: Failure,
}

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// Only those of this connector.
    connector: Option<String>,
    /// Only those with this status.
    status: Option<EventStatus>,
    /// Only those about a document of this DocType; goes with `name`.
    doctype: Option<String>,
    /// Only those about the document of this name; goes with `doctype`.
    name: Option<String>,
    /// Only those accepted at this time or later; seven days before `to` if it is not given.
    from: Option<Time>,
    /// Only those accepted before this time; now if it is not given.
    to: Option<Time>,
}

/// `GET /v2/integration-logs`: newest first, of the last seven days unless `from` says more; by `connector`,
/// `status`, and document (`doctype` and `name`).
pub async fn list(call: &Call<'_>, Query(params): Query<LogParams>) -> Result<Many<EventSummary>> {
    let query = query(call, &params)?;
    let before = params.cursor.as_deref().map(position).transpose()?;
    let connectors = match params.connector {
        Some(connector) => vec![connector],
        None => call.services.connectors.names().await?,
    };
    let page = search(&*call.services.log, &connectors, &query, before.as_ref()).await?;
    let partial = page.next_before.is_some() && page.items.len() < query.limit;
    let next = page.next_before.as_ref().map(cursor).transpose()?;
    Ok(Many { items: page.items.iter().map(EventSummary::of).collect(), next, partial })
}

/// `GET /v2/integration-logs/{id}`: one event's life.
pub async fn get(call: &Call<'_>) -> Result<One<EventLife>> {
    let id = call.param("id")?;
    let missing = || Error::new(ErrorCode::LogNotFound, format!("there is no log entry {id} (yet)"));
    let (found, calls) = tokio::try_join!(call.services.log.get(id), call.services.calls.of(id))?;
    Ok(One::of(EventLife::of(found.ok_or_else(missing)?, calls)))
}

/// The time that a list is about.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// At or after.
    pub from: Timestamp,
    /// Before.
    pub to: Timestamp,
}

impl Window {
    /// The seven days before now, unless the caller says otherwise; no log is older than its retention.
    pub fn of(call: &Call<'_>, from: Option<Time>, to: Option<Time>) -> Result<Self> {
        let now = call.services.clock.now();
        let soon = || now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(now);
        let to = to.map_or_else(soon, |to| to.0);
        let from = from.map(|from| from.0);
        if from.is_some_and(|from| from > to) {
            return Err(Error::field("from", "invalid", "must not be later than to"));
        }
        let oldest = now.saturating_sub(RETENTION).unwrap_or(now);
        let default_from = to.saturating_sub(DEFAULT_WINDOW).unwrap_or(to);
        Ok(Self { from: from.unwrap_or(default_from).max(oldest), to })
    }
}

fn query(call: &Call<'_>, params: &LogParams) -> Result<LogQuery> {
    let Window { from, to } = Window::of(call, params.from, params.to)?;
    let document = match (&params.doctype, &params.name) {
        (Some(doctype), Some(name)) => Some(DocumentKey::new(doctype, name)?),
        (None, None) => None,
        _ => return Err(Error::field("name", "missing", "doctype and name go together")),
    };
    Ok(LogQuery {
        connector: String::new(),
        from,
        to,
        status: params.status,
        document,
        limit: params.limit.get(),
    })
}

impl EventSummary {
    fn of(entry: &EntrySummary) -> Self {
        Self {
            id: entry.id.clone(),
            connector: entry.connector.clone(),
            event: entry.event.clone(),
            status: entry.status,
            received_at: Time(entry.received_at),
            document: entry.document.as_ref().map(DocumentReference::from),
            attempts: entry.attempts,
            duration_ms: entry.duration_ms,
            error_code: entry.error_code.clone(),
        }
    }
}

impl EventLife {
    fn of(entry: Entry, calls: CallHistory) -> Self {
        let past = entry.history.into_iter();
        Self {
            id: entry.facts.id,
            connector: entry.facts.connector,
            event: entry.facts.event,
            secret: entry.facts.secret,
            status: entry.status,
            received_at: Time(entry.facts.received_at),
            updated_at: Time(entry.updated_at),
            document: entry.document.as_ref().map(DocumentReference::from),
            attempts: entry.attempts,
            duration_ms: entry.duration_ms,
            error: entry.error,
            body_bytes: entry.facts.body_bytes,
            body: entry.facts.redacted_body,
            failed_attempts: past
                .map(|past| PastAttempt {
                    at: Time(past.at),
                    duration_ms: past.duration_ms,
                    error: past.error,
                })
                .collect(),
            calls: calls.calls.into_iter().map(CallShown::of).collect(),
            calls_omitted: calls.omitted,
        }
    }
}
