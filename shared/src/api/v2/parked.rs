//! What is parked, and its replay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::{Accepted, Many, One},
        input::{Limit, Query},
        shown::{DocumentReference, Time},
    },
    id::IdKind,
    integration_log::{Failure, redact},
    parking::{Cargo, ParkedItem, ParkedQuery, ParkedState, WaitsFor},
};

/// The longest reason for giving an event up.
const MAX_REASON_BYTES: usize = 300;

/// What is parked, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ParkedView {
    /// The event's id.
    id: String,
    /// The connector it came through; `-` for a message that nobody can read.
    connector: String,
    /// The event's name.
    event: Option<String>,
    /// The change of a document that a read model could not follow, if it is none of an event's effects.
    change: Option<ChangeView>,
    /// When it was accepted.
    received_at: Option<Time>,
    /// `delayed` (until a time), `waiting` (for a document, or for a provider to be well again), `dead` (for you).
    state: &'static str,
    /// The document it waits for.
    waiting_for: Option<DocumentReference>,
    /// The connector it waits for: its provider failed too often, and its circuit breaker is open.
    waiting_for_connector: Option<String>,
    /// When it was parked first.
    parked_at: Time,
    /// When it is looked at next.
    due: Option<Time>,
    /// What went wrong last.
    error: Failure,
    /// Its body, secrets hidden; in the answer about one event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// A change of a document that a read model could not follow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeView {
    /// The read model.
    projection: String,
    /// The document.
    document: DocumentReference,
    /// Its revision.
    revision: u64,
}

/// Which event it is about.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventId {
    /// The event's id.
    id: String,
}

/// How many events were replayed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Replayed {
    /// So many.
    replayed: usize,
    /// Give it as `cursor` to go on; nothing at the end.
    next: Option<String>,
}

/// Which parked events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParkedParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// Only those in this state.
    state: Option<State>,
    /// Only those of this connector.
    connector: Option<String>,
}

/// Why something is parked.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Until a time.
    Delayed,
    /// For a document, or for a provider to be well again.
    Waiting,
    /// For you.
    Dead,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Delayed => ParkedState::NAMES[0],
            Self::Waiting => ParkedState::NAMES[1],
            Self::Dead => ParkedState::NAMES[2],
        }
    }
}

/// Why an event is given up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardParams {
    /// Why; the log keeps it. At most 300 bytes.
    #[schemars(length(min = 1, max = 300))]
    reason: String,
}

/// `GET /v2/parked`: by `state` (delayed, waiting, dead) and `connector`, oldest first within them.
pub async fn list(call: &Call<'_>, Query(params): Query<ParkedParams>) -> Result<Many<ParkedView>> {
    let page = call.services.parking.list(&params.query()).await?;
    Ok(Many { items: page.items.iter().map(ParkedView::of).collect(), next: page.next, partial: false })
}

/// `GET /v2/parked/{id}`: one item, with its body, redacted.
pub async fn get(call: &Call<'_>) -> Result<One<ParkedView>> {
    let id = call.param("id")?;
    let missing = || Error::new(ErrorCode::ParkedNotFound, format!("{id} is not parked"));
    let item = call.services.parking.get(id).await?.ok_or_else(missing)?;
    let body = match &item.cargo {
        Cargo::Event(event) => Some(redact(&event.body.decode()?)),
        Cargo::Unreadable { message } => Some(redact(message.as_bytes())),
        Cargo::Change(_) => None,
    };
    Ok(One::of(ParkedView { body, ..ParkedView::of(&item) }))
}

/// `POST /v2/parked/{id}/replay`: 202, and what becomes of it is in the log.
pub async fn replay(call: &Call<'_>) -> Result<Accepted<EventId>> {
    let id = call.param("id")?;
    call.services.replay.one(id).await?;
    // A change of a document has no entry in the log: it goes from here once it could be followed.
    let shown = if IdKind::Change.is_spelt(id) { "parked" } else { "integration-logs" };
    let location = Some(format!("/v2/{shown}/{id}"));
    Ok(Accepted { data: EventId { id: id.to_owned() }, location })
}

/// `POST /v2/parked/replay?state=dead&connector=&limit=&cursor=`: a page of what is found, the dead unless
/// another state is named. Go on with the cursor in `next` for more.
pub async fn replay_all(call: &Call<'_>, Query(params): Query<ParkedParams>) -> Result<Accepted<Replayed>> {
    let mut query = params.query();
    query.state.get_or_insert_with(|| State::Dead.name().to_owned());
    let (replayed, next) = call.services.replay.page(&query).await?;
    Ok(Accepted { data: Replayed { replayed, next }, location: None })
}

/// `DELETE /v2/parked/{id}?reason=…`: gives an event up for good. It ends as rejected, with who gave it up and why.
pub async fn discard(call: &Call<'_>, Query(params): Query<DiscardParams>) -> Result<One<EventId>> {
    if params.reason.len() > MAX_REASON_BYTES {
        return Err(Error::field("reason", "too_long", format!("must be at most {MAX_REASON_BYTES} bytes")));
    }
    let (id, user) = (call.param("id")?, call.user()?);
    call.services.discard.one(id, &format!("{user} gave it up: {}", params.reason)).await?;
    Ok(One::of(EventId { id: id.to_owned() }))
}

impl ParkedParams {
    fn query(self) -> ParkedQuery {
        ParkedQuery {
            state: self.state.map(|state| state.name().to_owned()),
            connector: self.connector,
            limit: self.limit.get(),
            cursor: self.cursor,
        }
    }
}

impl ParkedView {
    fn of(item: &ParkedItem) -> Self {
        let event = match &item.cargo {
            Cargo::Event(event) => Some(event),
            Cargo::Unreadable { .. } | Cargo::Change(_) => None,
        };
        let change = match &item.cargo {
            Cargo::Change(change) => Some(ChangeView {
                projection: change.projection.clone(),
                document: DocumentReference::from(&change.document),
                revision: change.revision,
            }),
            Cargo::Event(_) | Cargo::Unreadable { .. } => None,
        };
        let (waiting_for, waiting_for_connector) = match &item.state {
            ParkedState::Waiting(WaitsFor::Document(document)) => (Some(document.into()), None),
            ParkedState::Waiting(WaitsFor::Connector(connector)) => (None, Some(connector.clone())),
            _ => (None, None),
        };
        Self {
            id: item.id.clone(),
            connector: item.connector.clone(),
            event: event.map(|event| event.event.clone()),
            change,
            received_at: event.map(|event| Time(event.received_at)),
            state: item.state.name(),
            waiting_for,
            waiting_for_connector,
            parked_at: Time(item.parked_at),
            due: item.due.map(Time),
            error: item.failure.clone(),
            body: None,
        }
    }
}
