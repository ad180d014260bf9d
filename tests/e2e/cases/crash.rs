//! The whole stack stops and starts again; and in the end nothing is left over.

use std::{thread, time::Duration};

use serde_json::json;

use super::{Case, cases};
use crate::{
    hub::{Connector, Hub, encode, mirror, order},
    wait::wait_for,
    workers,
};

/// Events in the backlog.
const EVENTS: usize = 300;
/// Senders at a time.
const SENDERS: usize = 12;
/// How long the backlog may take: what a worker had in hand at the stop is hidden for 12 s.
const CATCH_UP: Duration = Duration::from_secs(120);

pub fn cases() -> Vec<Case> {
    cases![a_restart_in_the_middle_of_a_backlog_loses_nothing, in_the_end_no_work_is_left]
}

fn a_restart_in_the_middle_of_a_backlog_loses_nothing(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Backlog Order")] }));
    // Killed workers hold the others up, so that there is a backlog.
    let root = hub.stack.root();
    workers::kill_during(root, 1, Duration::ZERO, || send_all(&connector));
    let backlog = hub.aws.messages_on_queues();
    hub.stack.restart().unwrap();
    println!("{backlog} messages were on the queues when the stack was stopped");
    wait_for("the backlog to be done", CATCH_UP, || match connector.log("&status=done").len() {
        EVENTS => Ok(()),
        done => Err(format!("{done} of {EVENTS}")),
    });
    let documents = hub.all(&format!("/v2/documents/{}", encode("Backlog Order")), 500);
    assert_eq!(documents.len(), EVENTS);
    assert!(documents.iter().all(|document| document["revision"] == 1));
    assert!(
        backlog > 0 || !workers::SUPPORTED,
        "nothing was left to do when the stack was stopped: nothing was tried"
    );
}

fn send_all(connector: &Connector<'_>) {
    let send = |sender: usize| {
        for i in (sender..EVENTS).step_by(SENDERS) {
            connector.accept("order.insert", &order(&format!("R-{i}"), 0, 1, 1.0));
        }
    };
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            scope.spawn(move || send(sender));
        }
    });
}

fn in_the_end_no_work_is_left(hub: &Hub, _: &str) {
    hub.wait_until_queues_are_empty();
    for state in ["waiting", "delayed"] {
        let parked = hub.all(&format!("/v2/parked?state={state}"), 500);
        assert!(parked.is_empty(), "{state}: {parked:?}");
    }
    for status in ["retrying", "parked", "queued"] {
        let entries = hub.all(&format!("/v2/integration-logs?status={status}"), 500);
        assert!(entries.is_empty(), "{status}: {entries:?}");
    }
}
