//! Jobs found by the indexes: those of a time, and those to be looked at.

use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use jiff::Timestamp;

use super::{DynamoBulk, item};
use crate::{
    Error, Result,
    bulk::{Job, JobQuery},
    clock::rfc3339,
    documents::Page,
    dynamo::{Attributes, Consistency, Item, SHARDS, batch_get, cursor, failed, position, s, time},
};

/// Claims of due jobs under way at a time.
const CONCURRENT_CLAIMS: usize = 10;

impl DynamoBulk {
    /// A page of the jobs of a time, newest first: their places by the index, then themselves.
    pub(super) async fn page(&self, query: &JobQuery) -> Result<Page<Job>> {
        let before: Option<String> = query.cursor.as_deref().map(position).transpose()?;
        let (from, to) = (rfc3339(query.from), rfc3339(query.to));
        let last = before.filter(|before| *before < to).unwrap_or(to);
        if last < from {
            return Ok(Page { items: Vec::new(), next: None, partial: false });
        }
        let shards = (0..SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(&self.table)
                .index_name("by_state")
                .key_condition_expression("spk = :p AND ssk BETWEEN :from AND :last")
                .expression_attribute_values(":p", s(item::listed_partition(shard)))
                .expression_attribute_values(":from", s(&from))
                .expression_attribute_values(":last", s(&last))
                .scan_index_forward(false)
                .limit(i32::try_from(query.limit + 2).unwrap_or(i32::MAX))
                .send()
        });
        let mut places = Vec::new();
        for answer in try_join_all(shards).await.map_err(failed)? {
            for found in answer.items.unwrap_or_default() {
                let place = Attributes(&found).text("ssk")?.to_owned();
                if place < last {
                    places.push((place, item::job_id(&found)?));
                }
            }
        }
        places.sort_by(|a, b| b.0.cmp(&a.0));
        let more = places.len() > query.limit;
        places.truncate(query.limit);
        let next = places.last().filter(|_| more).map(|(place, _)| cursor(place)).transpose()?;
        let keys = places.iter().map(|(_, job)| item::header_key(job)).collect();
        let read = batch_get(&self.client, &self.table, keys, Consistency::Strong).await?;
        let mut jobs = read.iter().map(item::job_of).collect::<Result<Vec<_>>>()?;
        jobs.sort_by_key(|job| std::cmp::Reverse(job.place()));
        Ok(Page { items: jobs, next, partial: false })
    }

    /// Jobs that are to be looked at; their time moves to `again`.
    pub(super) async fn take_due(
        &self,
        now: Timestamp,
        again: Timestamp,
        limit: usize,
    ) -> Result<Vec<String>> {
        let each = i32::try_from(limit.div_ceil(SHARDS as usize)).unwrap_or(i32::MAX);
        let shards = (0..SHARDS).map(|shard| {
            self.client
                .query()
                .table_name(&self.table)
                .index_name("by_due")
                .key_condition_expression("dpk = :p AND dsk <= :now")
                .expression_attribute_values(":p", s(item::due_partition(shard)))
                .expression_attribute_values(":now", time(now))
                .limit(each)
                .send()
        });
        let answers = try_join_all(shards).await.map_err(failed)?;
        let due: Vec<Item> =
            answers.into_iter().flat_map(|answer| answer.items.unwrap_or_default()).collect();
        let claims = stream::iter(due).map(|item| self.claim_one(item, again));
        let claimed: Vec<_> = claims.buffer_unordered(CONCURRENT_CLAIMS).try_collect().await?;
        Ok(claimed.into_iter().flatten().collect())
    }

    /// Moves a due job's time on, unless another sweep did.
    async fn claim_one(&self, due: Item, again: Timestamp) -> Result<Option<String>> {
        let (job, seen) = (item::job_id(&due)?, Attributes(&due).text("dsk")?.to_owned());
        let update = self
            .of_header(&job)
            .update_expression("SET dsk = :again")
            .condition_expression("dsk = :seen")
            .expression_attribute_values(":again", time(again))
            .expression_attribute_values(":seen", s(seen));
        let claimed = self.update(update.build().map_err(Error::internal)?).await?;
        Ok(claimed.map(|()| job))
    }
}
