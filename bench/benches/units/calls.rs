//! What the log of calls to providers adds to an event: calls of ours and units.

use causeway::clock::Clock;
use causeway::outbound::{
    CallLog, CallRecord,
    call_log::{CallOutcome, Calls, dynamo::DynamoCallLog, redacted_body},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    mark::Mark,
    stack::{Failed, Stack},
};

/// What the names of these paths begin with: they have a table of their own.
pub const PREFIX: &str = ">";
/// Events of a full batch; the cost is of one.
const BATCH: u32 = 10;
/// A Sales Order as a site of ERPNext 15 answers with it.
const DOCUMENT: &str = include_str!("../../../shared/fixtures/erpnext/26_doc.http");

fn mark(stack: &Stack, name: &str, count: u32) {
    let tally = stack.meter.take();
    Mark { name: format!("{PREFIX}{name}"), count: f64::from(count), minus: None, tally }.write();
}

/// A call of `owner` that was answered with `status`.
fn call(owner: &str, at: Timestamp, method: &str, status: u16, outcome: CallOutcome) -> CallRecord {
    let document = DOCUMENT.rsplit_once("\n\n").map_or("", |(_, body)| body);
    let answer = if status == 404 { r#"{"exc_type":"DoesNotExistError"}"# } else { document };
    CallRecord {
        owner: owner.to_owned(),
        at,
        connector: "erpnext".to_owned(),
        endpoint: format!("{method} /api/resource/{{doctype}}/{{name}}"),
        url: "https://erp.example.com/api/resource/Sales%20Order/SAL-ORD-2026-00001".to_owned(),
        attempt: 1,
        status: Some(status),
        duration_ms: 87,
        request_bytes: 900,
        response_bytes: answer.len(),
        request_body: if method == "GET" { String::new() } else { redacted_body(None, document.as_bytes()) },
        response_body: redacted_body(Some("application/json"), answer.as_bytes()),
        outcome,
        error: (outcome == CallOutcome::Unknown).then(|| "erpnext is not well: it answered 502".to_owned()),
    }
}

/// Logs the calls of a quiet event, of a batch, of a failure, and reads them.
pub async fn drive(stack: &Stack) -> Result<(), Failed> {
    stack.meter.take();
    let log = DynamoCallLog::new(stack.client.clone(), "logs", stack.clock.clone());
    let now = stack.clock.now();
    let later = now.checked_add(SignedDuration::from_millis(90))?;
    let event = |number: u32| format!("evt_{number:032x}");
    let note = |number: u32| {
        log.note(call(&event(number), now, "GET", 404, CallOutcome::Refused));
        log.note(call(&event(number), later, "POST", 200, CallOutcome::Success));
    };
    log.flush().await;
    mark(stack, "an event without a call", 1);
    note(0);
    log.flush().await;
    mark(stack, "an event with two calls", 1);
    (1..=BATCH).for_each(note);
    log.flush().await;
    mark(stack, "… each of ten at a time", BATCH);
    log.note(call(&event(11), now, "PUT", 502, CallOutcome::Unknown));
    log.note(call(&event(11), later, "PUT", 502, CallOutcome::Unknown));
    log.flush().await;
    mark(stack, "an event with two calls that failed", 1);
    log.of(&event(11)).await?;
    mark(stack, "reading the calls of an event", 1);
    Ok(())
}
