//! The projector: brings what a document contributes to read models to one of its revisions.
//!
//! Called for each change by [`super::batch`], with what the stream carried, and by the event worker for a parked
//! change that is replayed, with what the store has then. Both may come twice, late and at once: the step is decided
//! from what was applied and written only if that is still so.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tracing::warn;

use super::{Applied, DocumentChange, Projection, ReadModels, Step, Stepped, contribution::difference};
use crate::{
    Error, ErrorCode, Result,
    cache::Invalidation,
    clock::Clock,
    documents::{DocType, DocumentKey, DocumentStore, Stored},
    id::{IdKind, derive},
    integration_log::{Failure, RETENTION},
    parking::{Cargo, ParkedItem, ParkedState, ParkingLot},
    telemetry::metric::Line,
};

/// How often a step is decided anew or tried again before the record is left to the stream, which brings it again.
const MAX_TRIES: u32 = 8;
/// The first pause after a conflict; it doubles, and each document takes its own part of it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The read models were brought to it.
    Written,
    /// They showed it, or a later one, already.
    Unchanged,
    /// It cannot be projected, and is parked as dead with the reason.
    Parked,
}

/// The projector.
pub struct Projector {
    models: Arc<dyn ReadModels>,
    parking: Arc<dyn ParkingLot>,
    /// Told of what changed.
    pub invalidation: Arc<dyn Invalidation>,
    clock: Arc<dyn Clock>,
}

impl Projector {
    /// A projector to `models` that parks in `parking` what it cannot project, and tells `invalidation`.
    pub fn new(
        models: Arc<dyn ReadModels>,
        parking: Arc<dyn ParkingLot>,
        invalidation: Arc<dyn Invalidation>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { models, parking, invalidation, clock }
    }

    /// Shows `stored`, and parks what cannot be shown. Fails only when the read models or the parking are not
    /// available.
    pub async fn follow(
        &self,
        projection: &'static Projection,
        document: &DocumentKey,
        stored: &Stored,
    ) -> Result<Outcome> {
        match self.apply(projection, document, Some(stored)).await {
            Err(error) if error.code() != ErrorCode::DependencyUnavailable => {
                self.park(projection, document, stored.revision(), &error).await?;
                Ok(Outcome::Parked)
            }
            outcome => outcome,
        }
    }

    /// Projects a parked change again, from the document as it is now, and forgets it if that succeeds; else it
    /// stays, with the new reason.
    pub async fn replay(
        &self,
        documents: &dyn DocumentStore,
        projection: &'static Projection,
        change: &DocumentChange,
    ) -> Result<Outcome> {
        let stored = documents.read(&change.document).await?;
        match self.apply(projection, &change.document, stored.as_ref()).await {
            Ok(outcome) => {
                self.parking.remove(&change.id()).await?;
                self.invalidation.changed(&[change.document.doctype.clone()].into()).await?;
                Ok(outcome)
            }
            Err(error) if error.code() == ErrorCode::DependencyUnavailable => Err(error),
            Err(error) => {
                let revision = stored.map_or(change.revision, |stored| stored.revision());
                self.park(projection, &change.document, revision, &error).await?;
                Ok(Outcome::Parked)
            }
        }
    }

    /// Tells that anything may have changed that something is derived from.
    pub async fn tell_all(&self) -> Result<()> {
        let doctypes = super::derived_from().map(DocType::new).collect::<Result<_>>()?;
        self.invalidation.changed(&doctypes).await
    }

    /// Parks a change as dead.
    pub async fn park(
        &self,
        projection: &'static Projection,
        document: &DocumentKey,
        revision: u64,
        error: &Error,
    ) -> Result<()> {
        let now = self.clock.now();
        let change =
            DocumentChange { projection: projection.name.to_owned(), document: document.clone(), revision };
        warn!(projection = projection.name, document = %document, error = ?error, "dead");
        let item = ParkedItem {
            id: change.id(),
            connector: "-".to_owned(),
            cargo: Cargo::Change(change),
            state: ParkedState::Dead,
            parked_at: now,
            due: None,
            waits: 0,
            failure: Failure::of(error),
        };
        self.parking.park(&item).await?;
        self.models.note_parked(projection.name, document).await?;
        // Counted with the dead events: one alarm says that something is dead.
        Line::new("document change", now)
            .dimension("Status", "dead")
            .count("Events", 1)
            .property("projection", Some(projection.name))
            .property("document", Some(document.to_string()))
            .emit();
        Ok(())
    }

    async fn apply(
        &self,
        projection: &'static Projection,
        document: &DocumentKey,
        stored: Option<&Stored>,
    ) -> Result<Outcome> {
        for tried in 0..MAX_TRIES {
            let seen = self.models.applied(projection.name, document).await?;
            let Some(step) = step(projection, document, stored, seen, self.clock.now())? else {
                return Ok(Outcome::Unchanged);
            };
            match self.models.step(&step).await? {
                Stepped::Done => return Ok(Outcome::Written),
                Stepped::Overtaken => {}
                Stepped::Busy => tokio::time::sleep(pause(document, tried)).await,
            }
        }
        Err(Error::unavailable("DynamoDB", format!("{document} met another transaction {MAX_TRIES} times")))
    }
}

impl DocumentChange {
    /// The id of the parked change: one for a projection and document.
    pub fn id(&self) -> String {
        change_id(&self.projection, &self.document)
    }
}

fn change_id(projection: &str, document: &DocumentKey) -> String {
    let parts = [projection, document.doctype.as_str(), document.name.as_str()];
    derive(IdKind::Change, &parts.map(str::as_bytes))
}

/// The step from what was `seen` to `stored`; `None` if there is none to take.
fn step(
    projection: &'static Projection,
    document: &DocumentKey,
    stored: Option<&Stored>,
    seen: Option<Applied>,
    now: Timestamp,
) -> Result<Option<Step>> {
    // A document without a trace was deleted long ago: whatever was applied of it goes.
    let revision = stored.map(Stored::revision).or(seen.as_ref().map(|seen| seen.revision)).unwrap_or(0);
    let shown = seen.as_ref().is_some_and(|seen| {
        revision < seen.revision || (revision == seen.revision && seen.version == projection.version)
    });
    if shown && stored.is_some() {
        return Ok(None);
    }
    let pieces = match stored {
        Some(Stored::Live(document)) => (projection.pieces)(document)?,
        Some(Stored::Deleted(_)) | None => Vec::new(),
    };
    // Nothing older than the first revision can come: that it shows nothing need not be remembered.
    if seen.is_none() && pieces.is_empty() && revision <= 1 {
        return Ok(None);
    }
    let old = seen.as_ref().map(|seen| seen.marks.as_slice()).unwrap_or_default();
    let (operations, marks) = difference(old, &pieces)?;
    let gone = match stored {
        Some(Stored::Live(_)) => None,
        Some(Stored::Deleted(tombstone)) => Some(tombstone.deleted_at),
        None => Some(now),
    };
    Ok(Some(Step {
        projection: projection.name,
        document: document.clone(),
        seen: seen.as_ref().map(|seen| seen.revision),
        applied: Applied { revision, version: projection.version, marks, parked: false },
        operations,
        releases: seen.is_some_and(|seen| seen.parked).then(|| change_id(projection.name, document)),
        // As long as the document's tombstone: a document of that name is counted from 1 again after it.
        expires: gone.map(|at| at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX).as_second()),
    }))
}

/// How long to wait after the `tried`th conflict. Documents that met differ in it, so that they do not meet again.
fn pause(document: &DocumentKey, tried: u32) -> Duration {
    let longest = FIRST_PAUSE * 2_u32.saturating_pow(tried);
    let id = change_id(&tried.to_string(), document);
    let sixteenths = id.bytes().last().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(15) + 1;
    longest * sixteenths / 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ_between_documents() {
        let pauses = |name: &str| -> Vec<Duration> {
            let document = DocumentKey::new("Sales Invoice", name).unwrap();
            (0..MAX_TRIES).map(|tried| pause(&document, tried)).collect()
        };
        for (tried, pause) in (0..).zip(pauses("A")) {
            assert!(pause > Duration::ZERO && pause <= FIRST_PAUSE * 2_u32.pow(tried), "{pause:?}");
        }
        assert_ne!(pauses("A"), pauses("B"));
    }
}
