//! Lists whose names are given: the documents are read directly.

use super::{
    super::{
        super::{DocName, DocumentKey, ListQuery},
        item::{document_key, live_of},
    },
    Lists, Match, is_after, sort, standing,
};
use crate::{Error, Result};

/// Documents fetched at a time.
const BATCH: usize = 50;

impl Lists<'_> {
    /// Those of `names` (at most 500) that `query` asks for, in its order, after the place `after`.
    pub async fn named(
        &self,
        names: &[DocName],
        query: &ListQuery,
        after: Option<&str>,
    ) -> Result<Vec<Match>> {
        let (mut matches, mut read) = (Vec::new(), 0);
        for names in names.chunks(BATCH) {
            let key = |name: &DocName| DocumentKey { doctype: query.doctype.clone(), name: name.clone() };
            let items = self.fetch(names.iter().map(|name| document_key(&key(name))).collect()).await?;
            for item in items.values() {
                let Some((document, bytes)) = live_of(item)? else { continue };
                read += bytes;
                if read > self.limits.bytes {
                    return Err(Error::field(
                        "filters",
                        "too_long",
                        format!(
                            "the named documents are larger than {} bytes together: name fewer",
                            self.limits.bytes
                        ),
                    ));
                }
                let place = document.place();
                if query.filters.matches(&document)
                    && is_after(&standing(&place, query.order.by), after, query.order)
                {
                    matches.push(Match { place, document: Some(document), bytes });
                }
            }
        }
        sort(&mut matches, query.order, |found| standing(&found.place, query.order.by));
        Ok(matches)
    }
}
