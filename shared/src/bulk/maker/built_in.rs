//! Documents of the built-in store, made of others by our own pairs.
//!
//! One transaction writes the new document and its source: the source, written anyway for what is billed or delivered
//! now, notes the record and the name of what was made. So whoever makes it again finds the note; of two at once, one
//! finds that the source has changed; and who commits late meets what the other left.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Maker, Order, Sources, commit_new, source_key, unknown_pair, work};
use crate::{
    ErrorCode, Result,
    bulk::{
        MAX_CHUNK, Record,
        pairs::{Mapped, Pair},
    },
    clock::Clock,
    documents::{
        Applied, Change, Commit, DocStatus, Document, DocumentKey, DocumentStore, Expect, Stored, Target,
        Work, Write, not_found,
    },
};

/// How often a source that changes at the same time is read and decided on.
const MAX_ROUNDS: usize = 5;
/// The longest wait between two of them, in milliseconds.
const LONGEST_WAIT: u64 = 40;

/// Makes documents in the built-in store.
pub struct BuiltInMaker {
    documents: Arc<dyn DocumentStore>,
    clock: Arc<dyn Clock>,
    at_once: usize,
}

impl BuiltInMaker {
    /// Records of a chunk that are worked on at a time, where nothing is said.
    pub const AT_ONCE: usize = 16;

    /// Makes documents in `documents`, of `at_once` records of a chunk at a time.
    pub fn new(documents: Arc<dyn DocumentStore>, clock: Arc<dyn Clock>, at_once: usize) -> Self {
        Self { documents, clock, at_once: at_once.max(1) }
    }

    /// What is under `key`: as it was `read` with the chunk, if it was.
    async fn source(&self, key: &DocumentKey, read: Option<&Option<Stored>>) -> Result<Option<Document>> {
        let stored = match read {
            Some(stored) => stored.clone(),
            None => self.documents.read(key).await?,
        };
        Ok(match stored {
            Some(Stored::Live(document)) => Some(document),
            _ => None,
        })
    }

    /// Commits what is made of `source`; the name it has.
    async fn commit(
        &self,
        pair: &Pair,
        order: &Order,
        mapped: Mapped,
        source: &Document,
        making: Making,
    ) -> Result<String> {
        let target =
            Target::Series { doctype: order.to.clone(), series: pair.series().clone(), block: making.block };
        let change = Change::Put { fields: mapped.target, docstatus: DocStatus::Draft };
        let new = Write::over(target, None, change, Applied::new(), &order.user);
        let update = Write {
            target: Target::Named(source.key.clone()),
            expect: Expect::Revision(source.revision),
            change: Change::Put { fields: mapped.source, docstatus: source.docstatus },
            applied: source.applied.clone(),
            replaces: Some(Box::new(source.clone())),
            actor: order.user.clone(),
        };
        let commit =
            Commit { writes: vec![new, update], event: None, receipt: None, work: Some(making.work) };
        commit_new(&*self.documents, commit).await
    }
}

/// What is being made, and how it is numbered.
struct Making {
    work: Work,
    block: u32,
}

/// The record as a work that its source notes.
fn noted(order: &Order, record: &Record) -> Work {
    Work { noted: Some(1), ..work(order, record) }
}

/// How many numbers are taken at once for a chunk with these `sources`: one write for all of it.
fn block(sources: &Sources) -> u32 {
    u32::try_from(sources.len().clamp(2, MAX_CHUNK)).unwrap_or(2)
}

#[async_trait]
impl Maker for BuiltInMaker {
    fn at_once(&self) -> usize {
        self.at_once
    }

    async fn sources(&self, order: &Order, records: &[Record]) -> Result<Sources> {
        let keys = records.iter().map(|record| source_key(order, record)).collect::<Result<Vec<_>>>()?;
        let found = self.documents.read_many(&keys).await?;
        Ok(keys.into_iter().map(|key| key.name.to_string()).zip(found).collect())
    }

    async fn make(&self, order: &Order, record: &Record, sources: &Sources) -> Result<String> {
        let pair = Pair::find(order.from.as_str(), order.to.as_str()).ok_or_else(|| unknown_pair(order))?;
        let (key, work) = (source_key(order, record)?, noted(order, record));
        let mut read = sources.get(&record.name);
        let mut round = 1;
        loop {
            let source = self.source(&key, read.take()).await?.ok_or_else(|| not_found(&key))?;
            if let Some(made) = work.made_of(&source) {
                return Ok(made.to_owned());
            }
            let mapped = pair.map(&source, &record.args, self.clock.now())?;
            let making = Making { work: work.clone(), block: block(sources) };
            match self.commit(pair, order, mapped, &source, making).await {
                Err(error) if error.code() == ErrorCode::RevisionConflict && round < MAX_ROUNDS => {
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=LONGEST_WAIT))).await;
                    round += 1;
                }
                done => return done,
            }
        }
    }

    async fn made(&self, order: &Order, record: &Record, sources: &Sources) -> Result<Option<String>> {
        let source = self.source(&source_key(order, record)?, sources.get(&record.name)).await?;
        Ok(source.and_then(|source| noted(order, record).made_of(&source).map(ToOwned::to_owned)))
    }
}
