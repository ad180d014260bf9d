//! What is written in one transaction: the outcomes of a chunk with the counts, and the chunk of a retry.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use jiff::Timestamp;

use super::{DynamoBulk, item};
use crate::{
    Error, Result,
    bulk::{Claim, Ended, FailedRecord, Job, Outcome, Record},
    dynamo::{body, json, n, time},
};

impl DynamoBulk {
    /// How each record of a chunk ended, counted in the header, and why some failed: at most 100 items.
    pub(super) fn completion(
        &self,
        claim: &Claim,
        records: &[Record],
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>> {
        let outcomes: Vec<Outcome> = ended.iter().map(Ended::outcome).collect();
        let count = |wanted: fn(&Outcome) -> bool| n(outcomes.iter().filter(|one| wanted(one)).count());
        let chunk = self
            .of_claimed(claim)
            .expression_attribute_names("#until", "until")
            .update_expression(
                "SET outcomes = :outcomes, done_at = :now REMOVE #token, #until, suspect, poisoned, so_far",
            )
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":outcomes", body(&json(&outcomes)?)?);
        let header = self
            .of_header(&claim.job)
            .update_expression("SET progressed_at = :now ADD succeeded :s, failed :f, cancelled :c")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":s", count(|one| matches!(one, Outcome::Succeeded(_))))
            .expression_attribute_values(":f", count(|one| matches!(one, Outcome::Failed)))
            .expression_attribute_values(":c", count(|one| matches!(one, Outcome::Cancelled)));
        let mut items = Vec::with_capacity(2 + outcomes.len());
        for update in [chunk, header] {
            let update = update.build().map_err(Error::internal)?;
            items.push(TransactWriteItem::builder().update(update).build());
        }
        for (record, ended) in records.iter().zip(ended) {
            let Ended::Refused { failure, retryable } = ended else { continue };
            let failed = FailedRecord {
                record: record.clone(),
                at: now,
                failure: failure.clone(),
                retryable: *retryable,
                retried: false,
            };
            let item = item::failure(&claim.job, &failed)?;
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            let put = put.build().map_err(Error::internal)?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        Ok(items)
    }

    /// A chunk of `failed`, which are pending again from `now` on: at most 100 items.
    pub(super) fn retry_of(
        &self,
        job: &Job,
        failed: &[FailedRecord],
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>> {
        let records: Vec<Record> = failed
            .iter()
            .map(|failed| Record { attempt: failed.record.attempt + 1, ..failed.record.clone() })
            .collect();
        let kept_from = job.retry_asked_at.unwrap_or(job.created_at);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::chunk(&job.id, job.chunks, &records, kept_from)?))
            .build()
            .map_err(Error::internal)?;
        let planned_to = failed.iter().map(|failed| failed.record.index).max().unwrap_or_default();
        let done_before = job.done.sum().saturating_sub(failed.len() as u64);
        let header = self
            .of_header(&job.id)
            .update_expression(
                "SET retried_at = :now, done_before = :done, planned_to = :last ADD failed :less, chunks :one",
            )
            .condition_expression("chunks = :chunks AND attribute_not_exists(cancelled_at)")
            .expression_attribute_values(":less", n(-i64::try_from(failed.len()).map_err(Error::internal)?))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":done", n(done_before))
            .expression_attribute_values(":last", n(planned_to))
            .expression_attribute_values(":chunks", n(job.chunks))
            .build()
            .map_err(Error::internal)?;
        let mut items = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(header).build(),
        ];
        for failed in failed {
            let update = Update::builder()
                .table_name(&self.table)
                .set_key(Some(item::failure_key(&job.id, failed.record.index, failed.record.attempt)))
                .update_expression("SET retried = :yes")
                .condition_expression("retried = :no")
                .expression_attribute_values(":yes", AttributeValue::Bool(true))
                .expression_attribute_values(":no", AttributeValue::Bool(false))
                .build()
                .map_err(Error::internal)?;
            items.push(TransactWriteItem::builder().update(update).build());
        }
        Ok(items)
    }
}
