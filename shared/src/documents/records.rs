//! Causeway's own configuration as typed records: connector settings, users, roles, API keys.
//!
//! A [`Record`] is a document of a system DocType, which nothing but its own [`Records`] reads or writes. It is
//! validated where it is written; what is stored can always be read. Callers bring what they saw as an [`Expect`]
//! when another's change must not be lost.

use std::{marker::PhantomData, sync::Arc};

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Applied, Change, Commit, Committed, DocStatus, DocType, Document, DocumentKey, DocumentStore, Expect,
    ListQuery, Order, Page, Receipt, Stored, Target, Write,
};
use crate::{Error, ErrorCode, Result};

/// How often a write without an expectation that met another one is made anew.
const MAX_COMMITS: usize = 4;

/// Something that is kept as a document of a DocType of Causeway's own.
pub trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// The DocType.
    const DOCTYPE: &'static str;

    /// Its name, unique within the DocType.
    fn name(&self) -> &str;

    /// Whether `name` can be the name of one.
    fn check_name(name: &str) -> Result<()>;

    /// Whether everything in it is as it must be, each fault naming its field. Asks nobody.
    fn validate(&self) -> Result<()>;
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded<T> {
    /// The record.
    pub value: T,
    /// Counts its changes; the optimistic lock.
    pub revision: u64,
    /// When it was changed last.
    pub modified: Timestamp,
    /// By whom.
    pub modified_by: String,
    /// When it was created.
    pub creation: Timestamp,
    /// By whom.
    pub owner: String,
}

/// What a write left.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved<T> {
    /// The record as it is now.
    pub record: Recorded<T>,
    /// Whether there was none of that name.
    pub created: bool,
    /// What the first request attached to its receipt, where this one was its repeat and wrote nothing.
    pub attachment: Option<Value>,
}

/// What a commit left.
struct Written {
    document: Option<Document>,
    created: bool,
    attachment: Option<Value>,
}

/// The records of one kind.
pub struct Records<T> {
    store: Arc<dyn DocumentStore>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Records<T> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), kind: PhantomData }
    }
}

impl<T: Record> Records<T> {
    /// Records kept in `store`.
    pub fn new(store: Arc<dyn DocumentStore>) -> Self {
        Self { store, kind: PhantomData }
    }

    /// The record called `name`, read consistently; `None` if there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Recorded<T>>> {
        let Ok(key) = key::<T>(name) else { return Ok(None) };
        self.store.get(&key).await?.map(parse).transpose()
    }

    /// A page of at most `limit` records, those changed longest ago first.
    pub async fn list(&self, limit: usize, cursor: Option<String>) -> Result<Page<Recorded<T>>> {
        let doctype = DocType::new(T::DOCTYPE)?;
        let page = self
            .store
            .list(&ListQuery { order: Order::OLDEST_FIRST, cursor, ..ListQuery::new(doctype, limit) })
            .await?;
        let items = page.items.into_iter().map(parse).collect::<Result<_>>()?;
        Ok(Page { items, next: page.next, partial: page.partial })
    }

    /// Creates `record` or replaces the one of its name; it must be valid. What `expect` says must hold of the
    /// record there is: `revision_conflict` or `document_exists` if it does not. Without it the last write wins.
    pub async fn put(&self, record: &T, expect: Option<Expect>, actor: &str) -> Result<Saved<T>> {
        self.put_once(record, expect, actor, None).await
    }

    /// As [`put`](Self::put). With a receipt, a repeat of the request writes nothing and is answered with the record
    /// as the first one left it, whatever became of it since, and of what is expected.
    pub async fn put_once(
        &self,
        record: &T,
        expect: Option<Expect>,
        actor: &str,
        receipt: Option<Receipt>,
    ) -> Result<Saved<T>> {
        record.validate()?;
        let key = key::<T>(record.name())?;
        let fields = crate::dynamo::object(serde_json::to_value(record).map_err(Error::internal)?)?;
        let change = Change::Put { fields, docstatus: DocStatus::Draft };
        let written = self.write(&key, &change, expect, actor, receipt).await?;
        let document =
            written.document.ok_or_else(|| Error::internal("a record that was put is not there"))?;
        Ok(Saved { record: parse(document)?, created: written.created, attachment: written.attachment })
    }

    /// Removes the record called `name`; whether there was one. `expect` as in [`put`](Self::put).
    pub async fn remove(&self, name: &str, expect: Option<Expect>, actor: &str) -> Result<bool> {
        let Ok(key) = key::<T>(name) else { return Ok(false) };
        // What is not there leaves no tombstone behind, also where that is just what was expected.
        let may_be_absent = !matches!(expect, Some(Expect::Revision(_)));
        if may_be_absent && self.store.get(&key).await?.is_none() {
            return Ok(false);
        }
        self.write(&key, &Change::Delete, expect, actor, None).await?;
        Ok(true)
    }

    async fn write(
        &self,
        key: &DocumentKey,
        change: &Change,
        expect: Option<Expect>,
        actor: &str,
        receipt: Option<Receipt>,
    ) -> Result<Written> {
        let mut conflict = None;
        for _ in 0..MAX_COMMITS {
            let stored = self.store.read(key).await?;
            let unmet = check(key, stored.as_ref(), expect).err();
            // A repeat need not find what its first request found: that it is one, only the commit says.
            if let (Some(error), None) = (unmet.as_ref(), receipt.as_ref()) {
                return Err(error.repeated());
            }
            let write =
                write_of(key, stored.as_ref(), change.clone(), expect.filter(|_| unmet.is_some()), actor);
            let created = write.creates();
            let commit = Commit { receipt: receipt.clone(), ..Commit::of(write) };
            match (self.store.commit(commit).await, unmet) {
                (Ok(Committed::Now(mut documents)), _) => {
                    return Ok(Written { document: documents.pop().flatten(), created, attachment: None });
                }
                (Ok(Committed::Answered(mut answer)), _) => {
                    let document = answer.documents.pop().flatten();
                    let created = document.as_ref().is_some_and(|document| document.revision == 1);
                    let attachment = Some(answer.attachment.unwrap_or_default());
                    return Ok(Written { document, created, attachment });
                }
                (Ok(_), _) => return Err(Error::internal("a record's commit was taken for an event's")),
                (Err(error), _) if !is_conflict(&error) => return Err(error),
                (Err(_), Some(unmet)) => return Err(unmet),
                // Decided anew: with an expectation the check finds out which it is.
                (Err(error), None) => conflict = Some(error),
            }
        }
        Err(conflict.unwrap_or_else(|| Error::internal("a record was not written")))
    }
}

fn is_conflict(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::RevisionConflict | ErrorCode::DocumentExists)
}

/// The write of a record: the one place that says what it is. `unmet` is what is expected and not so: the commit must
/// find that too.
fn write_of(
    key: &DocumentKey,
    stored: Option<&Stored>,
    change: Change,
    unmet: Option<Expect>,
    actor: &str,
) -> Write {
    // Records have no source outside, so no version of one.
    let write = Write::over(Target::Named(key.clone()), stored, change, Applied::new(), actor);
    Write { expect: unmet.unwrap_or(write.expect), ..write }
}

/// Whether `expect` holds. A record that was removed is absent.
fn check(key: &DocumentKey, stored: Option<&Stored>, expect: Option<Expect>) -> Result<()> {
    let live = match stored {
        Some(Stored::Live(document)) => Some(document),
        _ => None,
    };
    match (expect, live) {
        (None, _) | (Some(Expect::Absent), None) => Ok(()),
        (Some(Expect::Revision(seen)), Some(document)) if document.revision == seen => Ok(()),
        (Some(Expect::Absent), Some(_)) => {
            Err(Error::new(ErrorCode::DocumentExists, format!("{key} already exists")))
        }
        (Some(Expect::Revision(seen)), _) => {
            Err(Error::new(ErrorCode::RevisionConflict, format!("{key} has no longer the revision {seen}")))
        }
    }
}

fn key<T: Record>(name: &str) -> Result<DocumentKey> {
    T::check_name(name)?;
    DocumentKey::new(T::DOCTYPE, name)
}

fn parse<T: Record>(document: Document) -> Result<Recorded<T>> {
    let text = crate::dynamo::json(&document.fields)?;
    let value = serde_json::from_str(&text).map_err(|e| {
        Error::new(ErrorCode::InternalError, format!("the stored {} cannot be read", document.key)).because(e)
    })?;
    Ok(Recorded {
        value,
        revision: document.revision,
        modified: document.modified,
        modified_by: document.modified_by,
        creation: document.creation,
        owner: document.owner,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{
        clock::ManualClock,
        documents::dynamo::DynamoDocuments,
        testing::{Dynamo, start},
    };

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Tariff {
        code: String,
        percent: u32,
    }

    impl Record for Tariff {
        const DOCTYPE: &'static str = "Tariff";
        fn name(&self) -> &str {
            &self.code
        }
        fn check_name(name: &str) -> Result<()> {
            let valid = name.bytes().all(|byte| byte.is_ascii_lowercase());
            if valid { Ok(()) } else { Err(Error::field("code", "invalid", "must be a-z")) }
        }
        fn validate(&self) -> Result<()> {
            let valid = self.percent <= 100;
            if valid { Ok(()) } else { Err(Error::field("/percent", "invalid", "must be at most 100")) }
        }
    }

    fn tariff(code: &str, percent: u32) -> Tariff {
        Tariff { code: code.into(), percent }
    }

    async fn records() -> (Records<Tariff>, Dynamo) {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let store = DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock);
        (Records::new(Arc::new(store)), dynamo)
    }

    #[tokio::test]
    async fn what_is_put_is_read_with_who_wrote_it() {
        let (records, _dynamo) = records().await;
        let first = records.put(&tariff("low", 7), None, "ann").await.unwrap();
        assert!(first.created);
        let second = records.put(&tariff("low", 9), None, "bob").await.unwrap();
        assert!(!second.created);
        let read = records.get("low").await.unwrap().unwrap();
        assert_eq!(read, second.record);
        assert_eq!((read.value.percent, read.revision), (9, 2));
        assert_eq!((read.owner.as_str(), read.modified_by.as_str()), ("ann", "bob"));
        assert_eq!(read.creation, first.record.creation);
    }

    #[tokio::test]
    async fn what_is_not_valid_is_not_written() {
        let (records, _dynamo) = records().await;
        for wrong in [tariff("low", 101), tariff("LOW", 1)] {
            let error = records.put(&wrong, None, "ann").await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput);
        }
        assert_eq!(records.list(10, None).await.unwrap().items, []);
        assert_eq!(records.get("LOW").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_change_of_what_has_changed_since_is_refused() {
        let (records, _dynamo) = records().await;
        records.put(&tariff("low", 7), Some(Expect::Absent), "ann").await.unwrap();
        records.put(&tariff("low", 8), Some(Expect::Revision(1)), "ann").await.unwrap();
        let code = |error: Error| error.code();
        let put = async |expect| records.put(&tariff("low", 9), Some(expect), "bob").await.map_err(code);
        assert_eq!(put(Expect::Revision(1)).await.unwrap_err(), ErrorCode::RevisionConflict);
        assert_eq!(put(Expect::Absent).await.unwrap_err(), ErrorCode::DocumentExists);
        let stale = records.remove("low", Some(Expect::Revision(1)), "bob").await.map_err(code);
        assert_eq!(stale.unwrap_err(), ErrorCode::RevisionConflict);
        assert_eq!(records.get("low").await.unwrap().unwrap().value.percent, 8);
    }

    #[tokio::test]
    async fn writes_at_once_without_an_expectation_all_happen() {
        let (records, _dynamo) = records().await;
        let puts = (0..3).map(|percent| {
            let records = records.clone();
            async move { records.put(&tariff("low", percent), None, "ann").await.map(drop) }
        });
        futures::future::try_join_all(puts).await.unwrap();
        assert_eq!(records.get("low").await.unwrap().unwrap().revision, 3);
    }

    #[tokio::test]
    async fn what_was_removed_is_gone_and_may_be_created_again() {
        let (records, _dynamo) = records().await;
        records.put(&tariff("low", 7), None, "ann").await.unwrap();
        assert!(records.remove("low", Some(Expect::Revision(1)), "ann").await.unwrap());
        assert!(!records.remove("low", None, "ann").await.unwrap());
        assert!(!records.remove("low", Some(Expect::Absent), "ann").await.unwrap());
        assert!(!records.remove("never", Some(Expect::Absent), "ann").await.unwrap());
        let never = records.store.read(&key::<Tariff>("never").unwrap()).await.unwrap();
        assert_eq!(never, None, "not even a tombstone");
        assert_eq!(records.get("low").await.unwrap(), None);
        let again = records.put(&tariff("low", 1), Some(Expect::Absent), "bob").await.unwrap();
        assert!(again.created);
        assert_eq!(again.record.owner, "bob");
    }

    #[tokio::test]
    async fn lists_page() {
        let (records, _dynamo) = records().await;
        for code in ["a", "b", "c"] {
            records.put(&tariff(code, 1), None, "ann").await.unwrap();
        }
        let page = records.list(2, None).await.unwrap();
        let rest = records.list(2, page.next.clone()).await.unwrap();
        let codes = |page: &Page<Recorded<Tariff>>| {
            page.items.iter().map(|record| record.value.code.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            (codes(&page), codes(&rest), rest.next),
            (vec!["a".into(), "b".into()], vec!["c".into()], None)
        );
    }
}
