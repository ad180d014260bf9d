//! One attempt at an event: plan the effect, commit it with the event's log entry, and if another write was in
//! the way look again, a few times.

use jiff::Timestamp;
use serde_json::Value;

use super::{Decision, EventContext, Stop, effect, split, worker::Ports};
use crate::{
    Error, ErrorCode, Result,
    auth::Principal,
    connectors::{Connector, ConnectorCache, ConnectorSettings},
    documents::{Commit, Committed, Document, DocumentKey, Write},
    integration_log::{EventCompletion, EventFacts, EventStatus, IntegrationLog, Recorded},
    mapping::{latest_plausible, resolve_local},
    queue::{InboundEvent, Message},
    webhook::{check_destructive, parse_payload},
};

/// How often a commit that met another write is decided anew within one attempt.
const MAX_COMMITS: usize = 8;

/// An attempt at one event.
pub struct Attempt<'a> {
    /// What it works with.
    pub ports: &'a Ports,
    /// The settings.
    pub connectors: &'a ConnectorCache,
    /// The event.
    pub event: &'a InboundEvent,
    /// What the log knows of it.
    pub facts: &'a EventFacts,
    /// Whether it is known to be parked.
    pub parked: bool,
    /// When the attempt began.
    pub started_at: Timestamp,
}

/// An event that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How; what this attempt would have made of it if `repeat`.
    pub status: EventStatus,
    /// The document it is about.
    pub document: Option<DocumentKey>,
    /// Whether it had ended before this attempt.
    pub repeat: bool,
    /// The documents that others may have waited for.
    pub frees: Vec<DocumentKey>,
}

impl Ended {
    fn without_write(status: EventStatus, document: Option<DocumentKey>) -> Self {
        Self { status, document, repeat: false, frees: Vec::new() }
    }

    /// Whoever ended it before may have died before freeing what waited for its document.
    pub fn repeated(status: EventStatus, document: Option<DocumentKey>) -> Self {
        Self { status, frees: document.iter().cloned().collect(), document, repeat: true }
    }
}

impl Attempt<'_> {
    /// Does it.
    pub async fn run(&self) -> Result<Ended, Stop> {
        let connector = self.connector().await?;
        let settings = &connector.settings;
        let payload = self.payload(settings)?;
        if let Some(split) = settings.split.as_ref().filter(|_| self.event.parent.is_none()) {
            return self.split(&split::children(self.event, split, &payload)?).await;
        }
        let Some(rule) = settings.rule_for(&self.event.event) else {
            return self.end(EventStatus::Ignored, None).await;
        };
        // The ingest refused it already, by the settings of then.
        check_destructive(settings, &self.event.event, self.event.signed_name)
            .map_err(|error| Stop::Rejected(error, None))?;
        let principal = self.principal(&settings.user).await?;
        let context = EventContext {
            event: self.event,
            settings,
            payload: &payload,
            principal: &principal,
            version: self.version(settings, &payload)?,
        };
        self.apply(&rule.effect, &context).await
    }

    async fn connector(&self) -> Result<std::sync::Arc<Connector>> {
        let name = &self.event.connector;
        // What comes out of the parking may come because someone has just mended the settings.
        let found = if self.parked {
            self.connectors.get_stored(name).await?
        } else {
            self.connectors.get(name).await?
        };
        found.ok_or_else(|| {
            Error::new(ErrorCode::UnknownConnector, format!("the connector {name:?} does not exist any more"))
        })
    }

    /// As whom the effect is done. Whoever is nobody, or not any more, may do nothing.
    async fn principal(&self, user: &str) -> Result<Principal, Stop> {
        self.ports.directory.principal(user).await.map_err(|error| match error.code() {
            ErrorCode::PermissionDenied => Stop::Rejected(error, None),
            _ => error.into(),
        })
    }

    fn payload(&self, settings: &ConnectorSettings) -> Result<Value> {
        // Elements of an array are JSON, whatever the delivery was.
        let content =
            if self.event.parent.is_some() { crate::connectors::Content::Json } else { settings.content };
        parse_payload(content, self.event.content_type.as_deref(), &self.event.body.decode()?)
    }

    /// Which version of its source the event shows: what the payload says, else when it was received.
    fn version(&self, settings: &ConnectorSettings, payload: &Value) -> Result<Timestamp> {
        let Some(version) = &settings.version else { return Ok(self.event.received_at) };
        let text = match payload.pointer(&version.path) {
            None | Some(Value::Null) => return Ok(self.event.received_at),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        // A version ahead of its arrival would make every later event late.
        let latest = latest_plausible(self.event.received_at);
        Ok(resolve_local(&text, &version.time_zone, latest)?.min(latest))
    }

    async fn split(&self, children: &[InboundEvent]) -> Result<Ended, Stop> {
        let messages: Vec<Message> = children.iter().cloned().map(Message::Webhook).collect();
        self.ports.queue.send_all(&messages).await?;
        self.end(EventStatus::Split, None).await
    }

    async fn apply(
        &self,
        effect: &crate::connectors::Effect,
        context: &EventContext<'_>,
    ) -> Result<Ended, Stop> {
        let mut parked = self.parked;
        let mut conflict = None;
        for _ in 0..MAX_COMMITS {
            let writes = match effect::plan(effect, context, &*self.ports.documents).await? {
                Decision::Nothing { status, document } => return self.end(status, document).await,
                Decision::Write(writes) => writes,
            };
            let commit =
                Commit { event: Some(self.completion(&writes, parked)), writes, receipt: None, work: None };
            match self.ports.documents.commit(commit.clone()).await {
                Ok(Committed::Now(documents)) => return Ok(done(&commit, &documents)),
                Ok(Committed::Before) => {
                    return Ok(Ended::repeated(
                        EventStatus::Done,
                        commit.event.and_then(|event| event.document),
                    ));
                }
                Ok(Committed::Parked) => parked = true,
                Ok(Committed::Answered(_)) => return Err(Error::internal("an event has no receipt").into()),
                Err(error)
                    if matches!(error.code(), ErrorCode::RevisionConflict | ErrorCode::DocumentExists) =>
                {
                    conflict = Some(error);
                }
                // Where the document lives, its rules are kept.
                Err(error) if error.code() == ErrorCode::DocstatusForbids => {
                    return Err(Stop::Rejected(error, commit.event.and_then(|event| event.document)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let error = conflict.unwrap_or_else(|| Error::internal("the event would not leave the parking"));
        Err(Stop::Failed(error.with_code(ErrorCode::RevisionConflict)))
    }

    fn completion(&self, writes: &[Write], parked: bool) -> EventCompletion {
        let document = writes.first().and_then(|write| write.target.key().cloned());
        self.completion_of(EventStatus::Done, document, parked)
    }

    fn completion_of(
        &self,
        status: EventStatus,
        document: Option<DocumentKey>,
        release_parked: bool,
    ) -> EventCompletion {
        EventCompletion {
            facts: self.facts.clone(),
            status,
            document,
            error: None,
            started_at: self.started_at,
            finished_at: self.ports.clock.now(),
            release_parked,
        }
    }

    /// Ends the event without a write.
    async fn end(&self, status: EventStatus, document: Option<DocumentKey>) -> Result<Ended, Stop> {
        let completion = self.completion_of(status, document.clone(), self.parked);
        let recorded = finish(&*self.ports.log, completion).await?;
        Ok(match recorded {
            Recorded::Before => Ended::repeated(status, document),
            // An earlier attempt wrote the document and died: nobody has freed what waits for it.
            _ if status == EventStatus::Done => Ended { repeat: false, ..Ended::repeated(status, document) },
            _ => Ended::without_write(status, document),
        })
    }
}

/// Writes the end of an event down; takes it out of the parking if it turns out to be there.
pub async fn finish(log: &dyn IntegrationLog, mut completion: EventCompletion) -> Result<Recorded> {
    match log.finish(&completion).await? {
        Recorded::Parked => {
            completion.release_parked = true;
            log.finish(&completion).await
        }
        recorded => Ok(recorded),
    }
}

fn done(commit: &Commit, documents: &[Option<Document>]) -> Ended {
    let keys = || documents.iter().map(|document| document.as_ref().map(|document| document.key.clone()));
    let created = commit.writes.iter().zip(keys()).filter(|(write, _)| write.creates());
    // A store may name a document in its own way: what waits for it knows it by the name that was asked for.
    let waited_for = created.flat_map(|(write, key)| {
        let asked = write.target.key().filter(|asked| key.as_ref() != Some(*asked)).cloned();
        key.into_iter().chain(asked)
    });
    let named = commit.writes.first().and_then(|write| write.target.key().cloned());
    Ended {
        status: EventStatus::Done,
        document: keys().next().flatten().or(named),
        repeat: false,
        frees: waited_for.collect(),
    }
}
