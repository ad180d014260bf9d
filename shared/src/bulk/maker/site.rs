//! Documents of an ERPNext site, made of others by its own mapper methods and saved as drafts.
//!
//! The site maps (nothing is saved by that), and its document store creates: once for the record, by the unique id of a
//! prepared DocType, or by the claim, the ledger and the link to the source where the DocType is not. What was
//! made before is looked for only where the site refuses: it may be the reason.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Maker, Order, Sources, commit_new, source_key, unknown_pair, work};
use crate::{
    Error, ErrorCode, Result,
    bulk::Record,
    documents::{
        Applied, Change, Commit, DocStatus, DocType, DocumentKey, DocumentStore, Fields, Filters,
        SYSTEM_FIELDS, Target, Work, Write, not_found,
    },
    erpnext::{Exception, Map, Site, SiteError, mapper::Mapping},
};

/// Makes documents on a site.
pub struct SiteMaker {
    site: Arc<Site>,
    documents: Arc<dyn DocumentStore>,
    at_once: usize,
}

impl SiteMaker {
    /// Records of a chunk that are worked on at a time, unless it is set otherwise: a site has few workers.
    pub const AT_ONCE: usize = 4;

    /// Makes documents on `site`, where `documents` live, of `at_once` records of a chunk at a time.
    pub fn new(site: Arc<Site>, documents: Arc<dyn DocumentStore>, at_once: usize) -> Self {
        Self { site, documents, at_once: at_once.max(1) }
    }

    /// The name of what was made for `work` before.
    async fn made_before(&self, order: &Order, work: &Work) -> Result<Option<String>> {
        let made = self.documents.made(&order.to, work).await?;
        Ok(made.map(|document| document.key.name.to_string()))
    }

    async fn save(&self, order: &Order, work: Work, fields: Fields) -> Result<String> {
        let target = Target::Named(DocumentKey::new(order.to.as_str(), work.id.as_str())?);
        let change = Change::Put { fields, docstatus: DocStatus::Draft };
        let write = Write::over(target, None, change, Applied::new(), &order.user);
        commit_new(&*self.documents, Commit { work: Some(work), ..Commit::of(write) }).await
    }

    /// `error`, where the site only says that a rule forbids it, as what its source is to blame for.
    async fn explained(&self, error: Error, mapping: &Mapping, key: &DocumentKey) -> Error {
        if error.code() != ErrorCode::ProviderRefused {
            return error;
        }
        let wanted = u64::from(u8::from(mapping.source_docstatus()));
        // Whether this can be told or not, the refusal stands.
        let Ok(source) = self.site.get(key.doctype.as_str(), key.name.as_str()).await else { return error };
        match source {
            None => not_found(key),
            Some(source) if source.get("docstatus").and_then(Value::as_u64) != Some(wanted) => {
                error.with_code(ErrorCode::DocstatusForbids)
            }
            Some(_) => error,
        }
    }
}

/// The record as a work of the site's, found among what `mapping` made of its source.
fn on_site(order: &Order, record: &Record, mapping: &Mapping) -> Result<Work> {
    let among = match mapping.made_of(&record.name) {
        Some(conditions) => Filters::read(&order.to, Some(&Value::from(conditions)), None)?,
        None => Filters::default(),
    };
    Ok(Work { among, ..work(order, record) })
}

fn mapping_of(order: &Order) -> Result<&'static Mapping> {
    Mapping::find(order.from.as_str(), order.to.as_str()).ok_or_else(|| unknown_pair(order))
}

/// Among which documents of `to` one is that names no source and was `mapped` so: those of its party and of its first
/// row. The site computes the rest anew when it saves.
fn alike(mapped: &Map, to: &DocType) -> Result<Filters> {
    let mut conditions = Vec::new();
    for field in ["customer", "supplier", "company"] {
        conditions.extend(mapped.get(field).map(|value| json!([field, "=", value])));
    }
    let row = mapped.get("items").and_then(|rows| rows.get(0));
    for field in ["item_code", "qty"] {
        let value = row.and_then(|row| row.get(field));
        conditions.extend(value.map(|value| json!([format!("{to} Item"), field, "=", value])));
    }
    Filters::read(to, Some(&Value::from(conditions)), None)
}

/// What is sent of the document that the site `mapped`.
fn fields(mut mapped: Map) -> Fields {
    mapped.retain(|field, _| !SYSTEM_FIELDS.contains(&field.as_str()));
    mapped
}

/// What it means that the site does not map the source under `key`.
fn unmapped(error: SiteError, key: &DocumentKey) -> Error {
    match error {
        SiteError::Refused(refusal) if refusal.exception == Exception::DoesNotExist => {
            let is_other = !refusal.message.is_empty() && !refusal.message.contains(key.name.as_str());
            // A document that the source refers to is gone.
            if is_other { Error::from(refusal).with_code(ErrorCode::ProviderRefused) } else { not_found(key) }
        }
        error => error.into(),
    }
}

#[async_trait]
impl Maker for SiteMaker {
    fn at_once(&self) -> usize {
        self.at_once
    }

    /// The site reads them when it maps.
    async fn sources(&self, _: &Order, _: &[Record]) -> Result<Sources> {
        Ok(Sources::new())
    }

    async fn make(&self, order: &Order, record: &Record, _: &Sources) -> Result<String> {
        let mapping = mapping_of(order)?;
        let (key, mut work) = (source_key(order, record)?, on_site(order, record, mapping)?);
        let mapped = match self.site.map(mapping, &record.name, record.args.clone()).await {
            Ok(mapped) => mapped,
            Err(error @ SiteError::Refused(_)) => {
                return match self.made_before(order, &work).await? {
                    Some(made) => Ok(made),
                    None => Err(self.explained(unmapped(error, &key), mapping, &key).await),
                };
            }
            Err(error) => return Err(error.into()),
        };
        if work.among.is_empty() {
            work.among = alike(&mapped, &order.to)?;
        }
        match self.save(order, work, fields(mapped)).await {
            Err(error) => Err(self.explained(error, mapping, &key).await),
            made => made,
        }
    }

    async fn made(&self, order: &Order, record: &Record, _: &Sources) -> Result<Option<String>> {
        let work = on_site(order, record, mapping_of(order)?)?;
        self.made_before(order, &work).await
    }
}
