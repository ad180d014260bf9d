//! A batch of changes: of each document the newest, side by side, before the deadline.
//!
//! Called by the function's shell. Documents that add to the same sums go one after the other. A panic is the
//! parked change of its document; what could not be written is named, so that the stream brings it again. When
//! all of it is written, whoever keeps something derived is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tracing::{error, warn};

use super::{Outcome, Projection, Projector, derived_from, projection_of};
use crate::{
    Error, Result,
    documents::{DocType, DocumentKey, Stored},
};

/// Documents that are worked on at a time.
const CONCURRENT: usize = 16;

/// A change as the stream brings it.
#[derive(Debug)]
pub struct Record {
    /// Its place in the stream.
    pub sequence: String,
    /// The document.
    pub document: DocumentKey,
    /// What is stored since; an error if that cannot be read.
    pub stored: Result<Stored>,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Documents whose rows were written.
    pub written: usize,
    /// Documents that were shown already, and those of no projection.
    pub unchanged: usize,
    /// Documents that cannot be projected.
    pub parked: usize,
    /// The places of the changes that are to be brought again.
    pub again: Vec<String>,
}

/// The newest change of one document in the batch, and the places of all.
struct Change {
    projection: &'static Projection,
    document: DocumentKey,
    stored: Result<Stored>,
    sequences: Vec<String>,
}

/// Follows `records` until `deadline`. Fails when what is derived from documents could not be told.
pub async fn follow(projector: &Arc<Projector>, records: Vec<Record>, deadline: Instant) -> Result<Followed> {
    let mut doctypes: BTreeSet<DocType> =
        records.iter().map(|record| record.document.doctype.clone()).collect();
    doctypes.retain(|doctype| derived_from().any(|derived| derived == doctype.as_str()));
    let mut followed = Followed::default();
    let at_once = Arc::new(Semaphore::new(CONCURRENT));
    let mut tasks = JoinSet::new();
    for lane in lanes(records, &mut followed) {
        let (projector, at_once) = (Arc::clone(projector), Arc::clone(&at_once));
        tasks.spawn(async move {
            let _turn = at_once.acquire().await;
            follow_lane(&projector, lane, deadline).await
        });
    }
    while let Some(joined) = tasks.join_next().await {
        // A lane's task does nothing that panics: what may is in a task of its own.
        let lane = joined.map_err(Error::internal)?;
        followed.written += lane.written;
        followed.unchanged += lane.unchanged;
        followed.parked += lane.parked;
        followed.again.extend(lane.again);
    }
    if !doctypes.is_empty() {
        projector.invalidation.changed(&doctypes).await?;
    }
    Ok(followed)
}

/// The newest change of each document that has a projection, by lane.
fn lanes(records: Vec<Record>, followed: &mut Followed) -> Vec<Vec<Change>> {
    let mut newest: BTreeMap<DocumentKey, Change> = BTreeMap::new();
    for Record { sequence, document, stored } in records {
        let Some(projection) = projection_of(&document.doctype) else {
            followed.unchanged += 1;
            continue;
        };
        match newest.get_mut(&document) {
            None => {
                let sequences = vec![sequence];
                newest.insert(document.clone(), Change { projection, document, stored, sequences });
            }
            Some(known) => {
                known.sequences.push(sequence);
                known.stored = stored;
            }
        }
    }
    let mut lanes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for change in newest.into_values() {
        let own = format!("{}#{}", change.projection.name, change.document);
        let lane = match (&change.stored, change.projection.lane) {
            (Ok(Stored::Live(document)), Some(lane)) => {
                format!("{}#{}", change.projection.name, lane(document))
            }
            _ => own,
        };
        lanes.entry(lane).or_default().push(change);
    }
    lanes.into_values().collect()
}

async fn follow_lane(projector: &Arc<Projector>, lane: Vec<Change>, deadline: Instant) -> Followed {
    let mut followed = Followed::default();
    for change in lane {
        let sequences = change.sequences.clone();
        match guarded(projector, change, deadline).await {
            Ok(Outcome::Written) => followed.written += 1,
            Ok(Outcome::Unchanged) => followed.unchanged += 1,
            Ok(Outcome::Parked) => followed.parked += 1,
            Err(error) => {
                warn!(error = ?error, "not written, the stream brings it again");
                followed.again.extend(sequences);
            }
        }
    }
    followed
}

/// Follows one change in a task of its own, so that a panic or the deadline ends only that.
async fn guarded(projector: &Arc<Projector>, change: Change, deadline: Instant) -> Result<Outcome> {
    let Change { projection, document, stored, .. } = change;
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => {
            projector.park(projection, &document, 0, &error).await?;
            return Ok(Outcome::Parked);
        }
    };
    let revision = stored.revision();
    let work = {
        let (projector, document) = (Arc::clone(projector), document.clone());
        tokio::spawn(async move { projector.follow(projection, &document, &stored).await })
    };
    let abort = work.abort_handle();
    match tokio::time::timeout_at(deadline, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => {
            error!(document = %document, error = %panic, "the projection panicked");
            let error = Error::internal("the projection panicked on this document");
            projector.park(projection, &document, revision, &error).await?;
            Ok(Outcome::Parked)
        }
        Err(_) => {
            abort.abort();
            Err(Error::unavailable("time", "the function's time is up"))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        documents::{Applied, DocStatus, Document, Fields},
        parking::{ParkedQuery, ParkingLot, dynamo::DynamoParking},
        testing::Dynamo,
    };

    static PANICS: Projection = Projection {
        name: "panics",
        doctype: "Note",
        version: 1,
        pieces: |_| panic!("told to panic"),
        lane: None,
    };

    fn change() -> Change {
        let key = DocumentKey::new("Note", "N-1").unwrap();
        let document = Document {
            key: key.clone(),
            docstatus: DocStatus::Draft,
            modified: Timestamp::UNIX_EPOCH,
            modified_by: "someone".to_owned(),
            creation: Timestamp::UNIX_EPOCH,
            owner: "someone".to_owned(),
            revision: 1,
            fields: Fields::new(),
            applied: Applied::new(),
            events: Vec::new(),
        };
        let stored = Ok(Stored::Live(document));
        Change { projection: &PANICS, document: key, stored, sequences: vec!["1".to_owned()] }
    }

    async fn parked(dynamo: &Dynamo) -> Vec<String> {
        let parking = DynamoParking::new(dynamo.client.clone(), &dynamo.tables);
        let query = ParkedQuery { state: Some("dead".into()), connector: None, limit: 10, cursor: None };
        parking.list(&query).await.unwrap().items.into_iter().map(|item| item.failure.code).collect()
    }

    #[tokio::test]
    async fn a_panic_is_the_parked_change_of_its_document() {
        let dynamo = Dynamo::start().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let deadline = Instant::now() + std::time::Duration::from_secs(20);
        let followed = follow_lane(&dynamo.projector(&clock), vec![change()], deadline).await;
        assert_eq!(followed, Followed { parked: 1, ..Followed::default() });
        assert_eq!(parked(&dynamo).await, ["internal_error"]);
    }

    #[tokio::test]
    async fn what_is_not_written_by_the_deadline_is_brought_again() {
        let dynamo = Dynamo::start().await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let followed = follow_lane(&dynamo.projector(&clock), vec![change()], Instant::now()).await;
        assert_eq!(followed, Followed { again: vec!["1".to_owned()], ..Followed::default() });
        assert_eq!(parked(&dynamo).await, [""; 0]);
    }
}
