//! Bulk transactions: documents made of many others, in the background.
//!
//! What a caller may do with a job is asked by [`crate::bulk::BulkTransactions`]; here is how it is asked for and shown.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::{Accepted, Many, MaybeAccepted, One},
        input::{AtMost, Json, Limit, Query, Repeatable},
        shown::{Day, Time},
        v2::logs::Window,
    },
    bulk::{
        BulkRequest, Job, JobFilter, JobQuery, JobStatus, MAX_RECORDS, MAX_REQUEST_BYTES, RecordLine,
        RecordQuery, RecordStatus,
    },
    documents::{DocType, Receipt},
    integration_log::Failure,
};

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({
    "from_doctype": "Sales Order", "to_doctype": "Sales Invoice",
    "records": ["SAL-ORD-2026-00001", { "name": "SAL-ORD-2026-00002" }],
}))]
pub struct NewBulkTransaction {
    /// The DocType of the sources.
    from_doctype: String,
    /// The DocType that is made of each.
    to_doctype: String,
    /// The sources.
    records: Records,
}

/// The sources: names, or objects with a name; or such a list as text.
#[derive(Debug, Deserialize)]
pub struct Records(Value);

impl JsonSchema for Records {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Records".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let args = json!({
            "type": ["object", "null"], "additionalProperties": true,
            "description": "What the mapping is told besides; at most 4,000 bytes.",
        });
        let entry = json!({
            "type": "object",
            "properties": { "name": { "type": "string", "minLength": 1, "maxLength": 560 }, "args": args },
            "required": ["name"],
            "additionalProperties": false,
        });
        let name = json!({ "type": "string", "minLength": 1, "maxLength": 560 });
        json_schema!({
            "description": "The sources, each done once however often it is named. As text: the JSON of the same.",
            "oneOf": [
                { "type": "array", "minItems": 1, "maxItems": MAX_RECORDS, "items": { "oneOf": [name, entry] } },
                { "type": "string", "contentMediaType": "application/json" },
            ],
        })
    }
}

/// A bulk transaction.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkTransaction", example = example())]
pub struct JobView {
    /// Its id.
    id: String,
    /// Where it stands. `running` also while a retry that was asked for is being prepared.
    status: JobStatus,
    /// The DocType of the sources.
    from_doctype: String,
    /// The DocType that is made.
    to_doctype: String,
    /// Its records by what came of them.
    counts: Counts,
    /// Records that were named again, and are done once.
    duplicates: u64,
    /// When it was accepted.
    created_at: Time,
    /// When its first records were handed to a worker; null while it waits.
    started_at: Option<Time>,
    /// When its last record was done; null while it is not over.
    finished_at: Option<Time>,
    /// Records worked off a second since it was started, or last tried again; null before some are.
    records_per_second: Option<f64>,
    /// When it will be over at this rate; null if it is, or was cancelled, or nobody can tell.
    estimated_end: Option<Time>,
    /// When it was cancelled; null where that came too late to cancel anything.
    cancelled_at: Option<Time>,
    /// Who cancelled it.
    cancelled_by: Option<String>,
    /// Who asked for it: the documents are made in their name.
    user: String,
}

/// Records by what came of them. The others add up to `total`, always.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Counts {
    /// Records, each source once.
    total: u64,
    /// They are not done; also those that are tried again.
    pending: u64,
    /// Their document was made.
    succeeded: u64,
    /// They could not be made.
    failed: u64,
    /// They were not begun before the bulk transaction was cancelled.
    cancelled: u64,
}

/// An attempt at a record.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkTransactionRecord")]
pub struct RecordView {
    /// The source.
    name: String,
    /// What came of it.
    status: RecordStatus,
    /// The document that was made.
    target: Option<Target>,
    /// Which attempt the line is of, from 1, whether it was begun or not.
    attempts: u32,
    /// Why it failed.
    error: Option<Failure>,
    /// When it was done; null while it is pending.
    done_at: Option<Time>,
    /// Whether a retry takes it: the cause may pass or be mended, and there were fewer than five attempts.
    retryable: bool,
    /// Whether it is tried again: what counts is the later attempt.
    retried: bool,
}

/// A document that was made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkTransactionTarget")]
pub struct Target {
    /// Its DocType.
    doctype: String,
    /// Its name.
    name: String,
}

/// Bulk transactions of which something is tried again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RetriedView {
    /// They.
    bulk_transactions: Vec<JobView>,
    /// Give it as `cursor` to go on; null at the end.
    next: Option<String>,
}

/// Which bulk transactions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// Only those accepted at this time or later; seven days before `to` if it is not given.
    from: Option<Time>,
    /// Only those accepted before this time; now if it is not given.
    to: Option<Time>,
    /// Only those that stand so.
    status: Option<JobStatus>,
    /// Only those of sources of this DocType.
    from_doctype: Option<String>,
    /// Only those that make this DocType.
    to_doctype: Option<String>,
}

/// Of which bulk transactions what failed is tried again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryParams {
    /// Those accepted on this day, UTC; today if it is not given.
    date: Option<Day>,
    /// Only those of sources of this DocType.
    from_doctype: Option<String>,
    /// Only those that make this DocType.
    to_doctype: Option<String>,
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `next` of the answer before.
    cursor: Option<String>,
}

/// Which records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// Only those that stand so now. Without it every attempt is listed, those that were tried again too.
    status: Option<RecordStatus>,
}

/// `POST /v2/bulk-transactions`: 202, and from then on it is kept and will be done.
pub async fn create(
    call: &Call<'_>,
    _: AtMost<MAX_REQUEST_BYTES>,
    Json(new): Json<NewBulkTransaction>,
    Repeatable(receipt): Repeatable,
) -> Result<Accepted<JobView>> {
    let job = accept(call, new.from_doctype, new.to_doctype, &new.records.0, receipt.as_ref()).await?;
    let location = Some(format!("/v2/bulk-transactions/{}", job.id));
    Ok(Accepted { data: JobView::of(call, &job), location })
}

/// Has documents of `to` made of the `records` of `from`, in the caller's name; the job, also where the request repeats
/// one.
pub async fn accept(
    call: &Call<'_>,
    from: String,
    to: String,
    records: &Value,
    receipt: Option<&Receipt>,
) -> Result<Job> {
    let doctype = |text, field| DocType::new(text).map_err(|error| Error::at(error, field));
    let (from, to) = (doctype(from, "/from_doctype")?, doctype(to, "/to_doctype")?);
    let request = BulkRequest::read(from, to, records)?;
    let accepted = call.services.bulk.accept(call.principal()?, &request, receipt.map(Receipt::id)).await?;
    Ok(accepted.job)
}

/// `GET /v2/bulk-transactions`: newest first, of the last seven days unless `from` says more.
pub async fn list(call: &Call<'_>, Query(params): Query<JobParams>) -> Result<Many<JobView>> {
    let Window { from, to } = Window::of(call, params.from, params.to)?;
    let query = JobQuery { from, to, limit: params.limit.get(), cursor: params.cursor };
    let filter = JobFilter { status: params.status, from: params.from_doctype, to: params.to_doctype };
    let page = call.services.bulk.jobs(call.principal()?, &query, &filter).await?;
    Ok(Many {
        items: page.items.iter().map(|job| JobView::of(call, job)).collect(),
        next: page.next,
        partial: page.partial,
    })
}

/// `GET /v2/bulk-transactions/{id}`.
pub async fn get(call: &Call<'_>) -> Result<One<JobView>> {
    let job = call.services.bulk.job(call.principal()?, call.param("id")?).await?;
    Ok(One::of(JobView::of(call, &job)))
}

/// `GET /v2/bulk-transactions/{id}/records`: in their order, and then those that were tried again.
pub async fn records(call: &Call<'_>, Query(params): Query<RecordParams>) -> Result<Many<RecordView>> {
    let job = call.services.bulk.job(call.principal()?, call.param("id")?).await?;
    let query = RecordQuery { status: params.status, limit: params.limit.get(), cursor: params.cursor };
    let page = call.services.bulk.records(&job, &query).await?;
    let items = page.items.into_iter().map(|line| RecordView::of(&job, line)).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `POST /v2/bulk-transactions/{id}/cancel`: what is done stays, and one that is over stays as it is.
pub async fn cancel(call: &Call<'_>) -> Result<One<JobView>> {
    let job = call.services.bulk.cancel(call.principal()?, call.param("id")?).await?;
    Ok(One::of(JobView::of(call, &job)))
}

/// `POST /v2/bulk-transactions/{id}/retry`: 202 where something is tried again, 200 where nothing is left to try.
pub async fn retry(call: &Call<'_>) -> Result<MaybeAccepted<JobView>> {
    let (job, asked) = call.services.bulk.retry(call.principal()?, call.param("id")?).await?;
    if job.status() == JobStatus::Cancelled {
        let detail = "the bulk transaction was cancelled: ask for what is still wanted in a new one";
        return Err(Error::new(ErrorCode::JobCancelled, detail));
    }
    // Who asks for a retry that is under way has what they want.
    let accepted = asked || job.retry_asked_at.is_some();
    Ok(MaybeAccepted { data: JobView::of(call, &job), accepted })
}

/// `POST /v2/bulk-transactions/retry`: the same for a page of those of a day. Go on with the cursor in `next` for more.
pub async fn retry_all(call: &Call<'_>, Query(params): Query<RetryParams>) -> Result<Accepted<RetriedView>> {
    let mut query = of_day(call, params.date)?;
    (query.limit, query.cursor) = (params.limit.get(), params.cursor);
    let filter = JobFilter { status: None, from: params.from_doctype, to: params.to_doctype };
    let page = call.services.bulk.retry_all(call.principal()?, &query, &filter).await?;
    let bulk_transactions = page.items.iter().map(|job| JobView::of(call, job)).collect();
    Ok(Accepted { data: RetriedView { bulk_transactions, next: page.next }, location: None })
}

/// The jobs that were accepted on `day`, today if it is not said.
pub fn of_day(call: &Call<'_>, day: Option<Day>) -> Result<JobQuery> {
    let today = || call.services.clock.now().to_zoned(TimeZone::UTC).date();
    let day: Date = day.map_or_else(today, |Day(day)| day);
    let invalid = |_| Error::field("date", "invalid", "is out of range");
    let from = day.to_zoned(TimeZone::UTC).map_err(invalid)?.timestamp();
    let to = from.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    Ok(JobQuery { from, to, limit: Limit::default().get(), cursor: None })
}

impl JobView {
    fn of(call: &Call<'_>, job: &Job) -> Self {
        let (now, cancelled) = (call.services.clock.now(), job.cancellation());
        Self {
            id: job.id.clone(),
            status: job.status(),
            from_doctype: job.from.to_string(),
            to_doctype: job.to.to_string(),
            counts: Counts {
                total: job.total,
                pending: job.pending(),
                succeeded: job.done.succeeded,
                failed: job.done.failed,
                cancelled: job.done.cancelled,
            },
            duplicates: job.folded,
            created_at: Time(job.created_at),
            started_at: job.started_at.map(Time),
            finished_at: job.finished_at().map(Time),
            records_per_second: job.records_per_second(now).map(rounded),
            estimated_end: job.estimated_end(now).map(Time),
            cancelled_at: cancelled.map(|(at, _)| Time(*at)),
            cancelled_by: cancelled.map(|(_, by)| by.clone()),
            user: job.user.clone(),
        }
    }
}

/// To two decimals, of a small number to as many as say something.
fn rounded(rate: f64) -> f64 {
    let unit = if rate < 1.0 { 10_000.0 } else { 100.0 };
    (rate * unit).round() / unit
}

impl RecordView {
    fn of(job: &Job, line: RecordLine) -> Self {
        let retryable = line.failed.as_ref().is_some_and(crate::bulk::FailedRecord::may_retry);
        let retried = line.failed.as_ref().is_some_and(|failed| failed.retried);
        Self {
            name: line.name,
            status: line.status,
            target: line.target.map(|name| Target { doctype: job.to.to_string(), name }),
            attempts: line.attempt,
            error: line.failed.map(|failed| failed.failure),
            done_at: line.done_at.map(Time),
            retryable,
            retried,
        }
    }
}

fn example() -> Value {
    json!({
        "id": "job_01a207e1a1b0771d8f6d0b6b2a3c4d5e", "status": "running",
        "from_doctype": "Sales Order", "to_doctype": "Sales Invoice",
        "counts": { "total": 1000, "pending": 360, "succeeded": 637, "failed": 3, "cancelled": 0 },
        "duplicates": 2,
        "created_at": "2026-11-23T09:00:00.000000Z", "started_at": "2026-11-23T09:00:00.210000Z",
        "finished_at": null, "records_per_second": 250.0, "estimated_end": "2026-11-23T09:00:04.210000Z",
        "cancelled_at": null, "cancelled_by": null, "user": "shop@example.com",
    })
}
