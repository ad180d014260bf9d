//! What a rule's effect means for the document as it is now: pure decisions, no I/O but the reads that
//! [`plan`] does for them.

use serde_json::Value;

use super::{Decision, EventContext, Stop};
use crate::{
    Error, ErrorCode, Result,
    auth::{Permission, permit},
    connectors::{DocumentEffect, Effect},
    documents::{
        Applied, Change, DocName, DocStatus, Document, DocumentKey, DocumentStore, Fields, Series, Stored,
        Target, Write,
    },
    integration_log::EventStatus,
    mapping::Context,
};

/// Reads what the effect depends on and decides.
pub async fn plan(
    effect: &Effect,
    context: &EventContext<'_>,
    store: &dyn DocumentStore,
) -> Result<Decision, Stop> {
    let (document, verb) = match effect {
        Effect::Handler { handler, options } => {
            let handler = super::handler::find(handler).ok_or_else(|| {
                Error::new(ErrorCode::MappingFailed, format!("there is no handler {handler:?}"))
            })?;
            return handler.plan(options, context, store).await;
        }
        Effect::Create(document) => (document, Verb::Create),
        Effect::Update(document) => (document, Verb::Update),
        Effect::Upsert(document) => (document, Verb::Upsert),
        Effect::Submit(document) => (document, Verb::Submit),
        Effect::Cancel(document) => (document, Verb::Cancel),
        Effect::Delete(document) => (document, Verb::Delete),
    };
    require(document, context, store).await?;
    match &document.series {
        Some(series) => create_by_series(document, series, context),
        None => {
            let key = key(document, context)?;
            let stored = store.read(&key).await?;
            decide(verb, document, &key, stored.as_ref(), context)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Update,
    Upsert,
    Submit,
    Cancel,
    Delete,
}

/// Stops with [`Stop::Waiting`] at the first required document that does not exist.
async fn require(
    effect: &DocumentEffect,
    context: &EventContext<'_>,
    store: &dyn DocumentStore,
) -> Result<(), Stop> {
    for requirement in &effect.requires {
        let Some(name) = requirement.name.resolve_text(context.payload)?.filter(|name| !name.is_empty())
        else {
            continue;
        };
        let key = DocumentKey { doctype: requirement.doctype.clone(), name: DocName::new(name)? };
        if store.get(&key).await?.is_none() {
            return Err(Stop::Waiting(key));
        }
    }
    Ok(())
}

fn key(effect: &DocumentEffect, context: &EventContext<'_>) -> Result<DocumentKey> {
    let missing = || {
        Error::new(ErrorCode::MappingFailed, format!("the payload gives no name for the {}", effect.doctype))
    };
    let source = effect.name.as_ref().ok_or_else(missing)?;
    let name = source.resolve_text(context.payload)?.ok_or_else(missing)?;
    let name = DocName::new(name).map_err(|error| error.with_code(ErrorCode::MappingFailed))?;
    Ok(DocumentKey { doctype: effect.doctype.clone(), name })
}

fn fields(effect: &DocumentEffect, context: &EventContext<'_>) -> Result<Fields> {
    effect.mapping.apply(context.payload, &Context { received_at: context.event.received_at })
}

/// The document's fields with the mapped ones over them.
fn merged(document: &Document, effect: &DocumentEffect, context: &EventContext<'_>) -> Result<Fields> {
    let mut merged = document.fields.clone();
    merged.extend(fields(effect, context)?);
    Ok(merged)
}

fn create_by_series(
    effect: &DocumentEffect,
    series: &str,
    context: &EventContext<'_>,
) -> Result<Decision, Stop> {
    allow(context, Permission::Create(&effect.doctype), None)?;
    let target = Target::Series {
        doctype: effect.doctype.clone(),
        series: Series::parse(series)?,
        block: effect.series_block,
    };
    let docstatus = new_docstatus(effect, None, context)?;
    let change = Change::Put { fields: fields(effect, context)?, docstatus };
    let applied = Applied::from([(context.settings.name.clone(), context.version)]);
    Ok(Decision::Write(vec![Write::over(target, None, change, applied, &context.principal.user)]))
}

/// What `verb` means for the document as it is stored. A document that shows the event's effect is the work of an
/// attempt that died before the log had it: only the log is left to do.
fn decide(
    verb: Verb,
    effect: &DocumentEffect,
    key: &DocumentKey,
    stored: Option<&Stored>,
    context: &EventContext<'_>,
) -> Result<Decision, Stop> {
    if let Some(Stored::Live(document)) = stored
        && document.events.contains(&context.event.id)
    {
        return Ok(Decision::Nothing { status: EventStatus::Done, document: Some(key.clone()) });
    }
    if let Some(stored) = stored
        && is_late(stored, context)
    {
        return Ok(superseded(key));
    }
    let live = match stored {
        Some(Stored::Live(document)) => Some(document),
        _ => None,
    };
    match (verb, live) {
        (Verb::Create, Some(_)) => {
            let error = Error::new(ErrorCode::DocumentExists, format!("{key} already exists"));
            Err(Stop::Rejected(error, Some(key.clone())))
        }
        (Verb::Create | Verb::Upsert, None) => {
            allow(context, Permission::Create(&key.doctype), Some(key))?;
            let docstatus = new_docstatus(effect, Some(key), context)?;
            Ok(put(key, stored, fields(effect, context)?, docstatus, context))
        }
        (Verb::Update | Verb::Submit | Verb::Cancel, None) => Err(Stop::Waiting(key.clone())),
        (Verb::Update | Verb::Upsert, Some(document)) => update(effect, key, stored, document, context),
        (Verb::Submit, Some(document)) => {
            change_status(DocStatus::Submitted, effect, key, stored, document, context)
        }
        (Verb::Cancel, Some(document)) => {
            change_status(DocStatus::Cancelled, effect, key, stored, document, context)
        }
        (Verb::Delete, live) => {
            allow(context, Permission::Delete(&key.doctype), Some(key))?;
            if live.is_none() && stored.is_some() {
                return Ok(superseded(key));
            }
            Ok(Decision::Write(vec![write(key, stored, Change::Delete, context)]))
        }
    }
}

/// Whether the document already shows a newer version of the event's source. A tombstone also wins a tie: the
/// last version and its deletion carry the same time.
fn is_late(stored: &Stored, context: &EventContext<'_>) -> bool {
    let applied = stored.applied().get(&context.settings.name);
    match stored {
        Stored::Live(_) => applied.is_some_and(|applied| context.version < *applied),
        Stored::Deleted(tombstone) => context.version <= *applied.unwrap_or(&tombstone.deleted_at),
    }
}

fn update(
    effect: &DocumentEffect,
    key: &DocumentKey,
    stored: Option<&Stored>,
    document: &Document,
    context: &EventContext<'_>,
) -> Result<Decision, Stop> {
    allow(context, Permission::Write(&key.doctype), Some(key))?;
    let mapped = mapped_docstatus(effect, context)?;
    let docstatus = mapped.unwrap_or(document.docstatus);
    // Only a mirror, which says the docstatus itself, may change what is submitted or cancelled.
    if docstatus < document.docstatus || (mapped.is_none() && document.docstatus != DocStatus::Draft) {
        return Err(forbidden(key, document.docstatus, docstatus));
    }
    if docstatus > document.docstatus {
        allow(context, Permission::Submit(&key.doctype), Some(key))?;
    }
    let merged = merged(document, effect, context)?;
    let shows_version = document.applied.get(&context.settings.name) == Some(&context.version);
    if shows_version && merged == document.fields && docstatus == document.docstatus {
        return Ok(superseded(key));
    }
    Ok(put(key, stored, merged, docstatus, context))
}

/// A submit or cancel. A cancel may overtake its submit: what comes late is superseded then.
fn change_status(
    to: DocStatus,
    effect: &DocumentEffect,
    key: &DocumentKey,
    stored: Option<&Stored>,
    document: &Document,
    context: &EventContext<'_>,
) -> Result<Decision, Stop> {
    allow(context, Permission::Submit(&key.doctype), Some(key))?;
    if document.docstatus == to {
        return Ok(superseded(key));
    }
    if document.docstatus > to {
        return Err(forbidden(key, document.docstatus, to));
    }
    Ok(put(key, stored, merged(document, effect, context)?, to, context))
}

fn put(
    key: &DocumentKey,
    stored: Option<&Stored>,
    fields: Fields,
    docstatus: DocStatus,
    context: &EventContext<'_>,
) -> Decision {
    Decision::Write(vec![write(key, stored, Change::Put { fields, docstatus }, context)])
}

/// A write to `key` over what is stored, which marks the version of the event's source as shown.
pub fn write(
    key: &DocumentKey,
    stored: Option<&Stored>,
    change: Change,
    context: &EventContext<'_>,
) -> Write {
    let mut applied = stored.map(|stored| stored.applied().clone()).unwrap_or_default();
    let shown = applied.entry(context.settings.name.clone()).or_insert(context.version);
    *shown = (*shown).max(context.version);
    Write::over(Target::Named(key.clone()), stored, change, applied, &context.principal.user)
}

/// Asks for a permission; a refusal ends the event.
pub fn allow(
    context: &EventContext<'_>,
    permission: Permission<'_>,
    key: Option<&DocumentKey>,
) -> Result<(), Stop> {
    permit(context.principal, permission).map_err(|error| Stop::Rejected(error, key.cloned()))
}

/// The status of a new document: one that is no draft takes the permission to submit, named or numbered.
fn new_docstatus(
    effect: &DocumentEffect,
    key: Option<&DocumentKey>,
    context: &EventContext<'_>,
) -> Result<DocStatus, Stop> {
    let docstatus = mapped_docstatus(effect, context)?.unwrap_or_default();
    if docstatus > DocStatus::Draft {
        allow(context, Permission::Submit(&effect.doctype), key)?;
    }
    Ok(docstatus)
}

fn mapped_docstatus(effect: &DocumentEffect, context: &EventContext<'_>) -> Result<Option<DocStatus>> {
    let Some(source) = &effect.docstatus else { return Ok(None) };
    let Some(value) = source.resolve(context.payload)? else { return Ok(None) };
    let number = match &value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|n| u8::try_from(n).ok()),
    };
    match number.map(DocStatus::try_from) {
        Some(Ok(docstatus)) => Ok(Some(docstatus)),
        _ => Err(Error::new(ErrorCode::MappingFailed, "the payload's docstatus is not 0, 1 or 2")),
    }
}

fn superseded(key: &DocumentKey) -> Decision {
    Decision::Nothing { status: EventStatus::Superseded, document: Some(key.clone()) }
}

fn forbidden(key: &DocumentKey, from: DocStatus, to: DocStatus) -> Stop {
    let (from, to) = (u8::from(from), u8::from(to));
    let detail = if from == to {
        format!("{key} has docstatus {from} and cannot be changed")
    } else {
        format!("{key} cannot go from docstatus {from} to {to}")
    };
    Stop::Rejected(Error::new(ErrorCode::DocstatusForbids, detail), Some(key.clone()))
}
