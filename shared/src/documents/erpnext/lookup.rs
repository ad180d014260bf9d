//! Documents by the name they were asked for: the site's own, the id that a prepared document carries, or what the
//! ledger knows.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    super::{Applied, DocType, Document, DocumentKey, Stored, Work},
    ErpnextDocuments,
    document::{Mark, document_of},
    dynamo::Entry,
    token::Token,
};
use crate::{
    Error, ErrorCode, Result,
    erpnext::{Exception, ID_FIELD, Map, SiteError, SiteQuery},
};

impl ErpnextDocuments {
    /// What is under `key`.
    pub(super) async fn find(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        let (doctype, name) = (key.doctype.as_str(), key.name.as_str());
        if let Some(map) = self.site.get(doctype, name).await? {
            return self.live(&key.doctype, map).await.map(|document| Some(Stored::Live(document)));
        }
        if self.is_prepared(&key.doctype).await?
            && let Some(map) = self.by_id(&key.doctype, name).await?
        {
            return self.live(&key.doctype, map).await.map(|document| Some(Stored::Live(document)));
        }
        match self.ledger.entry(key, self.clock.now()).await? {
            Some(Entry::Deleted(tombstone)) => Ok(Some(Stored::Deleted(tombstone))),
            Some(Entry::Alias(own)) => match self.site.get(doctype, own.as_str()).await? {
                Some(map) => self.live(&key.doctype, map).await.map(|document| Some(Stored::Live(document))),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The document of `doctype` that was created for `work`.
    pub(super) async fn made_for(&self, doctype: &DocType, work: &Work) -> Result<Option<Document>> {
        let token = Token::of_work(work)?;
        if !self.is_prepared(doctype).await? {
            let asked = DocumentKey::new(doctype.as_str(), work.id.as_str())?;
            return self.made_unprepared(&asked, &token).await;
        }
        let Some(map) = self.by_id(doctype, &work.id).await? else { return Ok(None) };
        let is_ours = Mark::of(&map).is_some_and(|mark| mark.shows(&token));
        let document = self.document(doctype, map).await?;
        Ok(is_ours.then_some(document))
    }

    /// The document that carries `id`, of a prepared DocType.
    pub(super) async fn by_id(&self, doctype: &DocType, id: &str) -> Result<Option<Map>> {
        let query = SiteQuery {
            doctype: doctype.as_str().to_owned(),
            fields: vec!["name".to_owned()],
            filters: vec![json!([ID_FIELD, "=", id])],
            limit: 1,
            ..SiteQuery::default()
        };
        let rows = match self.site.list(&query).await {
            // Someone has removed the fields. What is remembered of them is not what to go by.
            Err(SiteError::Refused(no)) if no.is_of_field(ID_FIELD) => {
                self.site.forget_prepared(doctype.as_str());
                let detail = format!("{doctype} has no field {ID_FIELD} any more");
                return Err(Error::new(ErrorCode::ProviderUnavailable, detail).retry_after(1));
            }
            rows => rows?,
        };
        let Some(name) = rows.first().and_then(|row| row.get("name")?.as_str()) else { return Ok(None) };
        Ok(self.site.get(doctype.as_str(), name).await?)
    }

    /// The document that the site shows as `map`, with what the ledger knows of one that carries no mark.
    pub(super) async fn live(&self, doctype: &DocType, map: Map) -> Result<Document> {
        let is_marked = Mark::of(&map).is_some();
        let mut document = self.document(doctype, map).await?;
        if is_marked {
            return Ok(document);
        }
        if let Some(entry) = self.ledger.entry(&document.key, self.clock.now()).await? {
            document.applied = entry.applied();
            if let Entry::Live { creator: Some(creator), .. } = entry {
                document.events.push(creator);
            }
        }
        Ok(document)
    }

    /// The document that the site shows as `map`.
    pub(super) async fn document(&self, doctype: &DocType, map: Map) -> Result<Document> {
        document_of(doctype, map, &self.site.time_zone().await?)
    }

    /// Whether documents of `doctype` carry marks. One that the site does not know has none.
    pub(super) async fn is_prepared(&self, doctype: &DocType) -> Result<bool> {
        match self.site.is_prepared(doctype.as_str()).await {
            Err(error) if error.is(&Exception::DoesNotExist) => Ok(false),
            other => Ok(other?),
        }
    }
}

/// Of each source the newer of the two versions.
pub(super) fn merged(a: &Applied, b: &Applied) -> Applied {
    let mut merged: BTreeMap<_, _> = a.clone();
    for (source, at) in b {
        let newest = merged.entry(source.clone()).or_insert(*at);
        *newest = (*newest).max(*at);
    }
    merged
}
