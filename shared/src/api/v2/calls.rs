//! The call log: what was called, for what, and what came of it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorCode, Result,
    api::{
        Call,
        answer::{Many, One},
        input::{Limit, Query},
        shown::Time,
        v2::logs::Window,
    },
    dynamo::{cursor, position},
    erpnext::CONNECTOR,
    integration_log::{LogPage, LogPosition, Placed, by_day::Span, search_all},
    outbound::call_log::{CallOutcome, CallQuery, CallRecord, CallSummary},
};

/// One try of a call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CallShown {
    /// When it began.
    at: Time,
    /// The connector.
    connector: String,
    /// What was called, without names of things.
    endpoint: String,
    /// The URL, without user and secrets.
    url: String,
    /// The try, from 1.
    attempt: u32,
    /// What came of it.
    outcome: CallOutcome,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// The size of the request's body, in bytes.
    request_bytes: usize,
    /// The size of the answer's body, as far as it was read, in bytes.
    response_bytes: usize,
    /// The beginning of the request's body, secrets hidden.
    request_body: String,
    /// The beginning of the answer's body, secrets hidden.
    response_body: String,
    /// What went wrong.
    error: Option<String>,
}

/// The calls that were made for one event, job or request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CallsOfOwner {
    /// The id of the event, the job or the request.
    owner: String,
    /// Oldest first; of very many the newest.
    calls: Vec<CallShown>,
    /// Calls that were made besides, of which nothing is kept.
    omitted: u64,
}

/// The calls that were made at one go for an event, a job or a request to a connector, in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CallsShown {
    /// The id of the event, the job or the request.
    owner: String,
    /// The connector.
    connector: String,
    /// When the first began.
    at: Time,
    /// What came of them, each outcome once, the worst first.
    outcomes: Vec<CallOutcome>,
    /// What was called, of the call that went worst, the last of those. A 404 is no failure.
    endpoint: String,
    /// The status of that call's answer, if there was one.
    status: Option<u16>,
    /// How many calls there were, every try counted.
    calls: u64,
    /// How long they took together, in milliseconds.
    duration_ms: u64,
}

/// Which calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallParams {
    /// How many at most, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    cursor: Option<String>,
    /// Only those to this connector.
    connector: Option<String>,
    /// Only where a call came out so.
    outcome: Option<CallOutcome>,
    /// Only those made for the event, the job or the request of this id, the newest 100.
    owner: Option<String>,
    /// Only those begun at this time or later; seven days before `to` if it is not given.
    from: Option<Time>,
    /// Only those begun before this time; now if it is not given.
    to: Option<Time>,
}

/// `GET /v2/calls`: newest first, of the last seven days unless `from` says more; by `connector`, `outcome` and
/// `owner`. A line stands for the calls that were made at one go for one owner to one connector.
pub async fn list(call: &Call<'_>, Query(params): Query<CallParams>) -> Result<Many<CallsShown>> {
    let Window { from, to } = Window::of(call, params.from, params.to)?;
    let before = params.cursor.as_deref().map(position).transpose()?;
    let limit = params.limit.get();
    let query = CallQuery { connector: String::new(), from, to, outcome: params.outcome, limit };
    let page = match &params.owner {
        Some(owner) => of_owner(call, owner, params.connector.as_deref(), &query, before.as_ref()).await?,
        None => everywhere(call, params.connector, &query, before.as_ref()).await?,
    };
    let partial = page.next_before.is_some() && page.items.len() < limit;
    let next = page.next_before.as_ref().map(cursor).transpose()?;
    Ok(Many { items: page.items.into_iter().map(CallsShown::of).collect(), next, partial })
}

/// `GET /v2/calls/{owner}`: the calls made for an event, a job or a request, with the beginnings of their bodies.
pub async fn get(call: &Call<'_>) -> Result<One<CallsOfOwner>> {
    let owner = call.param("owner")?;
    let history = call.services.calls.of(owner).await?;
    if history.calls.is_empty() {
        return Err(Error::new(ErrorCode::LogNotFound, format!("no call made for {owner} is logged (yet)")));
    }
    Ok(One::of(CallsOfOwner {
        owner: owner.to_owned(),
        calls: history.calls.into_iter().map(CallShown::of).collect(),
        omitted: history.omitted,
    }))
}

async fn of_owner(
    call: &Call<'_>,
    owner: &str,
    connector: Option<&str>,
    query: &CallQuery,
    before: Option<&LogPosition>,
) -> Result<LogPage<CallSummary>> {
    let mut items = call.services.calls.lines_of(owner).await?;
    items.retain(|line| {
        connector.is_none_or(|connector| line.connector == connector)
            && (query.from..query.to).contains(&line.at)
            && before.is_none_or(|before| line.position() < *before)
            && query.wants(line)
    });
    let cut = items.len() > query.limit;
    items.truncate(query.limit);
    let next_before = items.last().filter(|_| cut).map(Placed::position);
    Ok(LogPage { items, next_before })
}

async fn everywhere(
    call: &Call<'_>,
    connector: Option<String>,
    query: &CallQuery,
    before: Option<&LogPosition>,
) -> Result<LogPage<CallSummary>> {
    let connectors = match connector {
        Some(connector) => vec![connector],
        None => {
            let mut names = call.services.connectors.names().await?;
            // The site is called also where it is not configured as a connector.
            if !names.iter().any(|name| name == CONNECTOR) {
                names.push(CONNECTOR.to_owned());
            }
            names
        }
    };
    let span = Span { from: query.from, to: query.to, limit: query.limit };
    let list = |connector: &str, from: Timestamp| {
        let query = CallQuery { connector: connector.to_owned(), from, ..query.clone() };
        async move { call.services.calls.list(&query, before).await }
    };
    search_all(&connectors, span, before, list).await
}

impl CallsShown {
    fn of(line: CallSummary) -> Self {
        Self {
            owner: line.owner,
            connector: line.connector,
            at: Time(line.at),
            outcomes: line.outcomes,
            endpoint: line.endpoint,
            status: line.status,
            calls: line.calls,
            duration_ms: line.duration_ms,
        }
    }
}

impl CallShown {
    /// `record`, as the API shows it.
    pub fn of(record: CallRecord) -> Self {
        Self {
            at: Time(record.at),
            connector: record.connector,
            endpoint: record.endpoint,
            url: record.url,
            attempt: record.attempt,
            outcome: record.outcome,
            status: record.status,
            duration_ms: record.duration_ms,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            request_body: record.request_body,
            response_body: record.response_body,
            error: record.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::rig::Site,
        outbound::call_log::tests::record,
        testing::{message, start},
    };

    /// A site that called: for an event twice, the second time in vain, and for a request.
    async fn site() -> Site {
        let site = Site::start().await;
        let log = site.api.services.call_log.clone();
        let event = json!({ "event": "nothing", "id": "1", "at": "1" });
        site.rig.work(&message("evt_1", &event)).await;
        log.note(record("evt_1"));
        log.note(CallRecord {
            at: start() + SignedDuration::from_millis(5),
            outcome: CallOutcome::Failed,
            status: Some(503),
            error: Some("erpnext is not well".into()),
            ..record("evt_1")
        });
        log.flush().await;
        log.note(CallRecord { at: start() - SignedDuration::from_hours(30), ..record("request=1") });
        log.note(CallRecord { connector: "shop".into(), ..record("evt_1") });
        log.flush().await;
        site
    }

    fn lines(page: &Value) -> Vec<(&str, &str)> {
        let lines = page["data"].as_array().unwrap().iter();
        lines.map(|line| (line["owner"].as_str().unwrap(), line["connector"].as_str().unwrap())).collect()
    }

    #[tokio::test]
    async fn an_events_life_shows_its_calls() {
        let site = site().await;
        let life = site.get("/v2/integration-logs/evt_1").await.body["data"].clone();
        let calls = life["calls"].as_array().unwrap();
        assert_eq!(calls.len(), 3);
        assert_eq!(calls[2]["outcome"], "failed");
        assert_eq!(calls[2]["error"], "erpnext is not well");
        assert_eq!(calls[0]["endpoint"], "PUT /api/resource/{doctype}/{name}");
        assert_eq!(life["calls_omitted"], 0);
    }

    #[tokio::test]
    async fn calls_are_listed_newest_first_by_connector_outcome_owner_and_time() {
        let site = site().await;
        let of = async |query: &str| site.get(&format!("/v2/calls?{query}")).await.body;
        let mut everything = of("").await;
        let both = [("evt_1", "erpnext"), ("evt_1", "shop")];
        let mut newest = lines(&everything)[..2].to_vec();
        newest.sort_unstable();
        assert_eq!((newest, lines(&everything)[2]), (both.to_vec(), ("request=1", "erpnext")));
        assert_eq!(lines(&of("connector=shop").await), [("evt_1", "shop")]);
        assert_eq!(lines(&of("outcome=failed").await), [("evt_1", "erpnext")]);
        assert_eq!(lines(&of("owner=request%3D1").await), [("request=1", "erpnext")]);
        assert_eq!(lines(&of("owner=evt_1&outcome=failed").await), [("evt_1", "erpnext")]);
        assert_eq!(lines(&of("to=2026-11-23T00:00:00Z").await), [("request=1", "erpnext")]);
        let failed = of("outcome=failed").await["data"][0].clone();
        assert_eq!((&failed["calls"], &failed["status"]), (&json!(2), &json!(503)));
        assert_eq!(failed["outcomes"], json!(["failed", "success"]));
        for query in ["limit=1", "limit=1&owner=evt_1"] {
            let first = of(query).await;
            let next = first["page"]["next"].as_str().unwrap();
            let second = of(&format!("{query}&cursor={next}")).await;
            assert_ne!(lines(&first), lines(&second));
            everything = second;
        }
        assert_eq!(lines(&everything).len(), 1);
        assert_eq!(of("outcome=lost").await["errors"][0]["field"], "outcome");
    }

    #[tokio::test]
    async fn the_calls_of_a_request_are_found_by_its_id() {
        let site = site().await;
        let found = site.get("/v2/calls/request%3D1").await.body["data"].clone();
        assert_eq!(found["calls"].as_array().unwrap().len(), 1);
        assert!(found["calls"][0]["response_body"].as_str().unwrap().contains("Hub Customer 1"), "{found}");
        let missing = site.get("/v2/calls/request%3D2").await;
        assert_eq!((missing.status.as_u16(), &missing.body["code"]), (404, &json!("log_not_found")));
    }
}
