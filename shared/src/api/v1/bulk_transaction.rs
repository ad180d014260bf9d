//! `erpnext.utilities.bulk_transaction`: documents made of many others, as ERPNext's lists ask for it.
//!
//! ERPNext answers with a message for its user alone; here the ids of the bulk transactions stand beside it.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    args::{Args, Json, Text},
    envelope::Told,
};
use crate::{
    Result,
    api::{
        Call,
        input::{AtMost, Repeatable},
        shown::Day,
        v2::bulk_transactions::{accept, of_day},
    },
    bulk::{Job, JobFilter, JobQuery, MAX_REQUEST_BYTES},
};

/// The most jobs of a page, and the most pages, that one call tries again.
const RETRIED: (usize, usize) = (100, 3);
/// The most jobs that a message names.
const NAMED: usize = 10;

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Processing {
    /// The sources: a list of `{"name": …}`, or its JSON as text. Other fields of a row are ignored.
    data: Json,
    /// Their DocType.
    from_doctype: Text,
    /// The DocType that is made of each.
    to_doctype: Text,
}

/// Which failures are tried again.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Retrying {
    /// Those of what was asked for on this day, UTC; today if it is not given.
    date: Option<Day>,
}

/// `transaction_processing`.
pub async fn transaction_processing(
    call: &Call<'_>,
    _: AtMost<MAX_REQUEST_BYTES>,
    Args(asked): Args<Processing>,
    Repeatable(receipt): Repeatable,
) -> Result<Told> {
    let records = named(asked.data.0);
    let job = accept(call, asked.from_doctype.0, asked.to_doctype.0, &records, receipt.as_ref()).await;
    let job = job.map_err(|error| error.moved("/records", "/data"))?;
    let message = format!("Started a background job to create {} {}", job.total + job.folded, job.to);
    Ok(Told { message, members: vec![("jobs", json!([job.id]))] })
}

/// `retry`.
pub async fn retry(call: &Call<'_>, Args(asked): Args<Retrying>) -> Result<Told> {
    let (limit, pages) = RETRIED;
    let mut query = JobQuery { limit, ..of_day(call, asked.date)? };
    let mut jobs: Vec<Job> = Vec::new();
    for _ in 0..pages {
        let page = call.services.bulk.retry_all(call.principal()?, &query, &JobFilter::default()).await?;
        jobs.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let message = triggered(&ids, query.cursor.is_some());
    Ok(Told { message, members: vec![("jobs", json!(ids))] })
}

/// The rows of a list as records: of a row its name, whatever else its list showed.
fn named(data: Value) -> Value {
    let name_of = |row: Value| match row {
        Value::Object(mut row) => json!({ "name": row.shift_remove("name") }),
        other => other,
    };
    match data {
        Value::Array(rows) => rows.into_iter().map(name_of).collect(),
        other => other,
    }
}

fn triggered(jobs: &[&str], more: bool) -> String {
    let mut message = match jobs {
        [] => "There are no Failed transactions".to_owned(),
        jobs => {
            let mut names = jobs[..jobs.len().min(NAMED)].join(", ");
            if jobs.len() > NAMED {
                let _ = write!(names, " and {} more", jobs.len() - NAMED);
            }
            format!("Job: {names} has been triggered for processing failed transactions")
        }
    };
    if more {
        message += ". Not all of the day was looked at: call it again";
    }
    message
}
