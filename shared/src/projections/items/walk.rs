//! A walk over item rows: the shards of one source side by side, merged in the order of their places, source after
//! source, from where the last page ended. Rows that the search does not want are passed over.

use std::collections::VecDeque;

use futures::future::try_join_all;

use super::{
    super::{Range, ReadModels, contribution::ROW, key::part},
    item::{ItemRow, group_partition, list_partition, word_partition},
    words::prefix,
};
use crate::{Error, Result, dynamo::SHARDS};

/// The most rows one page reads; then it is partial.
const MAX_READ: usize = 5_000;
/// The most sources one page goes through; then it is partial.
const MAX_SOURCES: usize = 50;

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Every item.
    All,
    /// The items of one group.
    Group(String),
    /// The items one of whose words begins so.
    Word(String),
}

/// What a search wants of the rows besides.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Words that the item must have too, their beginnings.
    pub words: Vec<String>,
    /// Groups of which the item must be in one.
    pub groups: Option<Vec<String>>,
}

/// A place in the walk: the source's number and the place in it.
pub type Place = (usize, String);

struct Shard {
    partition: String,
    after: Option<String>,
    rows: VecDeque<(String, ItemRow)>,
    more: bool,
}

/// The walk.
pub struct Walk<'a> {
    models: &'a dyn ReadModels,
    sources: &'a [Source],
    wanted: &'a Wanted,
    chunk: usize,
    source: usize,
    opened: usize,
    shards: Vec<Shard>,
    place: Option<Place>,
    read: usize,
    /// Whether a limit ended the walk before its end.
    pub partial: bool,
}

impl<'a> Walk<'a> {
    /// A walk that reads `chunk` rows of a shard at a time and begins after `from`.
    pub fn new(
        models: &'a dyn ReadModels,
        sources: &'a [Source],
        wanted: &'a Wanted,
        chunk: usize,
        from: Option<Place>,
    ) -> Result<Self> {
        let mut walk = Self {
            models,
            sources,
            wanted,
            chunk,
            source: from.as_ref().map_or(0, |(source, _)| *source),
            opened: 0,
            shards: Vec::new(),
            place: from.clone(),
            read: 0,
            partial: false,
        };
        walk.open(from.map(|(_, after)| after))?;
        Ok(walk)
    }

    /// Where the walk is: after the last row that was looked at.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The next wanted row; `None` at the end, or where a limit is (see [`partial`](Self::partial)).
    pub async fn next(&mut self) -> Result<Option<ItemRow>> {
        while self.source < self.sources.len() {
            self.fill().await?;
            let first = self.shards.iter_mut().filter(|shard| !shard.rows.is_empty());
            let Some(shard) = first.min_by(|a, b| a.rows[0].0.cmp(&b.rows[0].0)) else {
                self.source += 1;
                if self.opened == MAX_SOURCES && self.source < self.sources.len() {
                    // The next page begins with the next source.
                    self.place = Some((self.source, String::new()));
                    self.partial = true;
                    return Ok(None);
                }
                self.open(None)?;
                continue;
            };
            if self.read == MAX_READ {
                self.partial = true;
                return Ok(None);
            }
            let Some((place, row)) = shard.rows.pop_front() else { continue };
            self.read += 1;
            let wanted = self.wants(&row, &place);
            self.place = Some((self.source, place));
            if wanted {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn open(&mut self, after: Option<String>) -> Result<()> {
        let Some(source) = self.sources.get(self.source) else { return Ok(()) };
        self.opened += 1;
        let after = after.filter(|after| !after.is_empty());
        let shard = |shard: u32| {
            let partition = match source {
                Source::All => list_partition(shard),
                Source::Group(group) => group_partition(group, shard)?,
                Source::Word(word) => word_partition(&prefix(word), shard)?,
            };
            Ok(Shard { partition, after: after.clone(), rows: VecDeque::new(), more: true })
        };
        self.shards = (0..SHARDS).map(shard).collect::<Result<_>>()?;
        Ok(())
    }

    /// Reads on in every shard that has nothing left: the next row is known only when each shows its own.
    async fn fill(&mut self) -> Result<()> {
        let Some(source) = self.sources.get(self.source) else { return Ok(()) };
        let low = match source {
            Source::Word(word) => part(word)?,
            Source::All | Source::Group(_) => String::new(),
        };
        let (models, limit) = (self.models, self.chunk);
        let empty = self.shards.iter_mut().filter(|shard| shard.rows.is_empty() && shard.more);
        let reads = empty.map(|shard| {
            let range = Range {
                partition: shard.partition.clone(),
                // DynamoDB takes no empty text in a key's condition; a space is below every place.
                low: if low.is_empty() { " ".to_owned() } else { low.clone() },
                high: format!("{low}\u{10FFFF}"),
                after: shard.after.clone(),
                limit,
            };
            async move { read(models, shard, range).await }
        });
        try_join_all(reads).await.map(drop)
    }

    /// Whether the search wants `row`. An item has a row for each word; of those that begin alike it is the first.
    fn wants(&self, row: &ItemRow, place: &str) -> bool {
        let has = |word: &str| row.words.iter().find(|own| own.starts_with(word));
        let first = match &self.sources[self.source] {
            Source::Word(word) => has(word).is_some_and(|own| {
                part(own).is_ok_and(|own| place.split_once('#').is_some_and(|(word, _)| word == own))
            }),
            Source::All | Source::Group(_) => true,
        };
        let in_group = |groups: &Vec<String>| row.group.as_ref().is_some_and(|group| groups.contains(group));
        first
            && self.wanted.words.iter().all(|word| has(word).is_some())
            && self.wanted.groups.as_ref().is_none_or(in_group)
    }
}

async fn read(models: &dyn ReadModels, shard: &mut Shard, range: Range) -> Result<()> {
    let page = models.rows(&range).await?;
    shard.after = page.rows.last().map(|row| row.key.sk.clone());
    shard.more = page.more && shard.after.is_some();
    for row in page.rows {
        let body = row.values.get(ROW).ok_or_else(|| Error::internal("an item's row is empty"))?;
        shard.rows.push_back((row.key.sk, serde_json::from_str(body).map_err(Error::internal)?));
    }
    Ok(())
}
