//! Records that come with Causeway. One is fixed; the others are defaults, which a stored record of the same name
//! replaces as long as it exists.

use std::sync::Arc;

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorCode, Result,
    documents::{DocName, DocumentStore, Expect, Page, Record, Recorded, Records, Saved},
    dynamo::{cursor, position},
};

/// The longest name of a user or role, in characters; ERPNext's own limit.
pub const MAX_NAME_CHARS: usize = 140;

/// A kind of record of which some come with Causeway.
pub trait BuiltIn: Record {
    /// The one that cannot be changed, replaced or removed.
    const FIXED: &'static str;

    /// The names of all built-in ones, the fixed one among them.
    fn names() -> &'static [&'static str];

    /// The built-in one of that name; `None` if none is.
    fn built_in(name: &str) -> Result<Option<Self>>
    where
        Self: Sized;

    /// The error that there is none of that name.
    fn missing(name: &str) -> Error;
}

/// Whether `name` can be a user's or role's: a document's name of at most 140 characters without `/`, and none that
/// differs from a built-in one in case alone.
pub fn check_name<T: BuiltIn>(name: &str) -> Result<()> {
    DocName::new(name)?;
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(Error::field("name", "too_long", format!("must be at most {MAX_NAME_CHARS} characters")));
    }
    if name.contains('/') {
        return Err(Error::field("name", "invalid", "must not contain '/'"));
    }
    match T::names().iter().find(|own| own.eq_ignore_ascii_case(name) && **own != name) {
        Some(own) => Err(Error::field("name", "invalid", format!("would be mistaken for {own:?}"))),
        None => Ok(()),
    }
}

/// A record, or the default that stands where none is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<T> {
    /// It comes with Causeway.
    BuiltIn(T),
    /// It is stored.
    Recorded(Recorded<T>),
}

impl<T> Known<T> {
    /// The thing itself.
    pub fn value(&self) -> &T {
        match self {
            Self::BuiltIn(value) => value,
            Self::Recorded(record) => &record.value,
        }
    }

    /// The thing itself.
    pub fn into_value(self) -> T {
        match self {
            Self::BuiltIn(value) => value,
            Self::Recorded(record) => record.value,
        }
    }

    /// The stored record, if it is one.
    pub fn recorded(&self) -> Option<&Recorded<T>> {
        match self {
            Self::BuiltIn(_) => None,
            Self::Recorded(record) => Some(record),
        }
    }
}

/// Stored records over the built-in ones.
pub struct Overlaid<T> {
    records: Records<T>,
}

impl<T> Clone for Overlaid<T> {
    fn clone(&self) -> Self {
        Self { records: self.records.clone() }
    }
}

impl<T: BuiltIn> Overlaid<T> {
    /// Records in `store`.
    pub fn new(store: Arc<dyn DocumentStore>) -> Self {
        Self { records: Records::new(store) }
    }

    /// What is called `name`; `None` if nothing is. For the fixed one the store is not asked.
    pub async fn get(&self, name: &str) -> Result<Option<Known<T>>> {
        let stored = if name == T::FIXED { None } else { self.records.get(name).await? };
        match stored {
            Some(record) => Ok(Some(Known::Recorded(record))),
            None => Ok(T::built_in(name)?.map(Known::BuiltIn)),
        }
    }

    /// A page: first the built-in ones that nothing replaces, then what is stored.
    pub async fn list(&self, limit: usize, cursor: Option<String>) -> Result<Page<Known<T>>> {
        let place = Place::read(cursor.as_deref())?;
        // Only those pages that may show them ask which of them are replaced.
        let built_in = match place {
            Place::BuiltIn(_) => self.unreplaced().await?,
            Place::Stored(_) => Vec::new(),
        };
        page_after(built_in, place, limit, async |limit, cursor| {
            let page = self.records.list(limit, cursor).await?;
            Ok(Page {
                items: page.items.into_iter().map(Known::Recorded).collect(),
                next: page.next,
                partial: page.partial,
            })
        })
        .await
    }

    async fn unreplaced(&self) -> Result<Vec<Known<T>>> {
        let known = try_join_all(T::names().iter().map(|name| self.get(name))).await?;
        Ok(known.into_iter().flatten().filter(|known| known.recorded().is_none()).collect())
    }

    /// Creates or replaces, as [`Records::put`]; `built_in` for the fixed one.
    pub async fn put(&self, record: &T, expect: Option<Expect>, actor: &str) -> Result<Saved<T>> {
        changeable::<T>(record.name())?;
        self.records.put(record, expect, actor).await
    }

    /// Removes what is stored under `name`: the built-in one, if there is one, stands again. `built_in` if it stands
    /// already.
    pub async fn remove(&self, name: &str, expect: Option<Expect>, actor: &str) -> Result<()> {
        changeable::<T>(name)?;
        if self.records.remove(name, expect, actor).await? {
            return Ok(());
        }
        Err(if T::built_in(name)?.is_some() { fixed::<T>(name) } else { T::missing(name) })
    }
}

fn changeable<T: BuiltIn>(name: &str) -> Result<()> {
    if name == T::FIXED { Err(fixed::<T>(name)) } else { Ok(()) }
}

fn fixed<T: BuiltIn>(name: &str) -> Error {
    Error::new(ErrorCode::BuiltIn, format!("the {} {name:?} comes with Causeway", T::DOCTYPE))
}

/// Where a list that begins with built-in things goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At this one of the built-in things; behind the last of them, where the stored ones begin.
    BuiltIn(usize),
    /// At this place of what is stored.
    Stored(String),
}

impl Place {
    /// The place in `cursor`; the beginning without one.
    pub fn read(cursor: Option<&str>) -> Result<Self> {
        cursor.map_or(Ok(Self::BuiltIn(0)), position)
    }
}

/// A page of a list of what is `built_in` and, after that, what `stored` gives, which is asked with how many are still
/// wanted and its own cursor.
pub async fn page_after<T>(
    built_in: Vec<T>,
    place: Place,
    limit: usize,
    stored: impl AsyncFnOnce(usize, Option<String>) -> Result<Page<T>>,
) -> Result<Page<T>> {
    let (skip, after) = match place {
        Place::BuiltIn(skip) => (skip, None),
        Place::Stored(cursor) => (built_in.len(), Some(cursor)),
    };
    let mut items: Vec<T> = built_in.into_iter().skip(skip).take(limit).collect();
    let wanted = limit.saturating_sub(items.len());
    if wanted == 0 {
        let next = Some(cursor(&Place::BuiltIn(skip + items.len()))?);
        return Ok(Page { items, next, partial: false });
    }
    let page = stored(wanted, after).await?;
    items.extend(page.items);
    let next = page.next.map(|next| cursor(&Place::Stored(next))).transpose()?;
    Ok(Page { items, next, partial: page.partial })
}
