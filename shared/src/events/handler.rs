//! Named handlers: effects that a mapping cannot say. A rule names one; it plans, and the worker commits what
//! it planned exactly once, as for every other effect.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{Decision, EventContext, Stop, effect};
use crate::{
    Error, ErrorCode, FieldError, Result,
    auth::Permission,
    documents::{Change, DocName, DocStatus, DocType, DocumentKey, DocumentStore, Stored},
    integration_log::EventStatus,
    mapping::{Context, Mapping, Source},
};

/// An effect in code.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The name that rules use.
    fn name(&self) -> &'static str;

    /// Whether it deletes or cancels, which an unsigned event name may not ask for.
    fn is_destructive(&self) -> bool {
        false
    }

    /// What is wrong with a rule's `options`, each fault below `at`.
    fn validate(&self, options: &Value, at: &str) -> Vec<FieldError>;

    /// Decides what to do, reading from `store` and writing nothing.
    async fn plan(
        &self,
        options: &Value,
        context: &EventContext<'_>,
        store: &dyn DocumentStore,
    ) -> Result<Decision, Stop>;
}

/// Every handler.
static HANDLERS: [&dyn Handler; 2] = [&Acknowledge, &AppendRow];

/// The handler called `name`.
pub fn find(name: &str) -> Option<&'static dyn Handler> {
    HANDLERS.into_iter().find(|handler| handler.name() == name)
}

/// The names of all handlers.
pub fn names() -> Vec<&'static str> {
    HANDLERS.iter().map(|handler| handler.name()).collect()
}

/// `acknowledge`: the event is logged as done and changes nothing, for a provider's pings.
struct Acknowledge;

#[async_trait]
impl Handler for Acknowledge {
    fn name(&self) -> &'static str {
        "acknowledge"
    }

    fn validate(&self, options: &Value, at: &str) -> Vec<FieldError> {
        if options.is_null() {
            return Vec::new();
        }
        vec![FieldError { field: at.to_owned(), code: "unknown", detail: "takes no options".into() }]
    }

    async fn plan(&self, _: &Value, _: &EventContext<'_>, _: &dyn DocumentStore) -> Result<Decision, Stop> {
        Ok(Decision::Nothing { status: EventStatus::Done, document: None })
    }
}

/// `append_row`: adds a child row to a document that exists, for instance a comment to an issue. Waits for the
/// document; each event adds one row, whatever order they come in.
struct AppendRow;

/// The most rows a table grows to.
const MAX_ROWS: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendRowOptions {
    /// The document's DocType.
    doctype: DocType,
    /// Its name, from the payload.
    name: Source,
    /// The field that holds the rows.
    table: String,
    /// A row, from the payload.
    row: Mapping,
}

#[async_trait]
impl Handler for AppendRow {
    fn name(&self) -> &'static str {
        "append_row"
    }

    fn validate(&self, options: &Value, at: &str) -> Vec<FieldError> {
        let fault = |field: String, detail: String| FieldError { field, code: "invalid", detail };
        let options: AppendRowOptions = match serde_json::from_value(options.clone()) {
            Ok(options) => options,
            Err(error) => return vec![fault(at.to_owned(), error.to_string())],
        };
        let mut faults = options.row.validate(&format!("{at}/row"));
        if options.doctype.is_system() {
            faults
                .push(fault(format!("{at}/doctype"), "is Causeway's own and out of reach of effects".into()));
        }
        if crate::documents::SYSTEM_FIELDS.contains(&options.table.as_str()) || options.table.is_empty() {
            faults.push(fault(format!("{at}/table"), "must be a field that holds rows".into()));
        }
        faults.extend(options.name.validate(&format!("{at}/name")));
        faults
    }

    async fn plan(
        &self,
        options: &Value,
        context: &EventContext<'_>,
        store: &dyn DocumentStore,
    ) -> Result<Decision, Stop> {
        let unfit = |detail: String| Error::new(ErrorCode::MappingFailed, detail);
        let options: AppendRowOptions = serde_json::from_value(options.clone())
            .map_err(|e| unfit(format!("append_row's options: {e}")))?;
        let name = options.name.resolve_text(context.payload)?;
        let name =
            name.ok_or_else(|| unfit(format!("the payload gives no name for the {}", options.doctype)))?;
        let key = DocumentKey { doctype: options.doctype, name: DocName::new(name)? };
        effect::allow(context, Permission::Write(&key.doctype), Some(&key))?;
        let stored = store.read(&key).await?;
        let Some(Stored::Live(document)) = &stored else { return Err(Stop::Waiting(key)) };
        if document.docstatus != DocStatus::Draft {
            let error = Error::new(ErrorCode::DocstatusForbids, format!("{key} is no draft"));
            return Err(Stop::Rejected(error, Some(key)));
        }
        let row = options.row.apply(context.payload, &Context { received_at: context.event.received_at })?;
        let mut fields = document.fields.clone();
        let rows = fields.entry(options.table.clone()).or_insert_with(|| Value::Array(Vec::new()));
        match rows {
            Value::Array(rows) if rows.len() < MAX_ROWS => rows.push(Value::Object(row)),
            _ => {
                let detail =
                    format!("{key} cannot take another row in {:?} (at most {MAX_ROWS})", options.table);
                return Err(Stop::Rejected(Error::new(ErrorCode::DocumentTooLarge, detail), Some(key)));
            }
        }
        let change = Change::Put { fields, docstatus: document.docstatus };
        let mut write = effect::write(&key, stored.as_ref(), change, context);
        // Rows of different events do not replace each other, so no event makes another one late.
        write.applied.clone_from(&document.applied);
        Ok(Decision::Write(vec![write]))
    }
}
