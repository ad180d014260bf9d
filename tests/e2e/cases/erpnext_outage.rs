//! An ERPNext site that fails: it is left alone, what waits for it is kept, and all of it happens when it is back.

use std::{thread, time::Duration};

use erpnext_site::{Answer, Effect, Fault};
use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    hub::{Hub, SETTLE, mirror, order},
    wait::wait_for,
};

/// Events that arrive during the outage.
const EVENTS: usize = 40;

pub fn cases() -> Vec<Case> {
    cases![
        answers_that_are_too_large_or_nonsense_leave_one_document_and_a_clear_log,
        a_site_that_is_down_is_left_alone_and_every_event_is_done_when_it_is_back,
    ]
}

fn answers_that_are_too_large_or_nonsense_leave_one_document_and_a_clear_log(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Odd Order")] }));
    let nonsense = |text: &str| Answer::text(200, "text/html", text);
    let odd = [
        ("FLOOD", Effect::Flood(1 << 30)),
        ("ENDLESS", Effect::Flood(u64::MAX)),
        ("GARBAGE", Effect::AnswerAfter(nonsense("<html>\u{0}nothing to read here"))),
        ("BROKEN", Effect::AnswerAfter(nonsense(r#"{"data": {"name": "BRO"#))),
        ("LIES", Effect::Answer(nonsense("it is done, believe me"))),
        ("PROXY", Effect::AnswerAfter(Answer::proxy(504))),
    ];
    for (order_name, effect) in odd {
        hub.site().clear_faults();
        hub.site().fault(Fault::new(effect).method("POST").doctype("Odd Order").once());
        let entry = connector.settle("order.after_insert", &order(order_name, 0, 1, 1.0), "done");
        assert_eq!(entry["document"]["name"], order_name);
        assert!(hub.site().document("Odd Order", order_name).is_some(), "{order_name}");
    }
    assert_eq!(hub.site().count("Odd Order"), 6, "one document an event");
    hub.site().clear_faults();
    // One that never makes sense is no success, and says so; it is done when it does.
    hub.site().fault(Fault::new(Effect::Answer(nonsense("we are moving"))).doctype("Odd Order"));
    let id = connector.accept("order.after_insert", &order("NEVER", 0, 1, 1.0));
    let entry = hub.wait_until(&id, "retrying");
    let code = entry["error"]["code"].as_str().unwrap().to_owned();
    assert!(["provider_unavailable", "outcome_unknown"].contains(&code.as_str()), "{entry}");
    hub.site().clear_faults();
    hub.wait_until(&id, "done");
}

/// The health of the site, as the API shows it.
pub fn health(hub: &Hub) -> Value {
    hub.api("GET", "/v2/connectors/erpnext/health", None).data(200).clone()
}

fn a_site_that_is_down_is_left_alone_and_every_event_is_done_when_it_is_back(hub: &Hub, name: &str) {
    let connector = hub.connector(name, json!({ "rules": [mirror("*", "Outage Order")] }));
    connector.settle("order.after_insert", &order("BEFORE", 0, 1, 1.0), "done");
    hub.site().fault(Fault::new(Effect::Maintenance));
    let deliver = |from: usize, to: usize| -> Vec<String> {
        let accept = |n: usize| {
            // Not all at once: an outage is longer than a burst.
            thread::sleep(Duration::from_millis(100));
            connector.accept("order.after_insert", &order(&format!("OUT-{n}"), 0, 1, 1.0))
        };
        (from..to).map(accept).collect()
    };
    let waiting = |least: usize| {
        wait_for("events to wait for the breaker", SETTLE, || {
            let parked = connector.parked();
            let waiting = parked.iter().filter(|item| item["waiting_for_connector"] == "erpnext").count();
            if waiting >= least { Ok(parked) } else { Err(format!("{waiting} of {}", parked.len())) }
        })
    };
    let mut ids = deliver(0, EVENTS / 2);
    waiting(1);
    // The other instances have heard of it by then.
    thread::sleep(Duration::from_millis(2_500));
    hub.site().forget_requests();
    ids.extend(deliver(EVENTS / 2, EVENTS));
    let parked = waiting(EVENTS * 3 / 4);
    assert!(parked.iter().all(|item| item["state"] != "dead"), "{parked:?}");
    let shown = health(hub);
    assert_eq!(
        (&shown["status"], &shown["breaker"]["state"]),
        (&json!("failing"), &json!("open")),
        "{shown}"
    );
    let answer = hub.document("Outage Order", "BEFORE");
    answer.is_problem(503, "breaker_open");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1, "{:?}", answer.headers);
    let calls = hub.site().requests().len();
    println!("{calls} calls to a site that is down, while {} events came", EVENTS / 2);
    assert!(calls <= 8, "{calls} calls: more than someone who tries now and then");

    hub.site().clear_faults();
    // Whoever comes first finds the site well again, and the breaker's closing frees the others.
    wait_for("the site to be called again", SETTLE, || match hub.document("Outage Order", "BEFORE") {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.body),
    });
    for (n, id) in ids.iter().enumerate() {
        let entry = hub.wait_until(id, "done");
        if n >= EVENTS / 2 {
            assert_eq!(entry["attempts"], 1, "the outage was known, and cost none: {entry}");
        }
    }
    assert_eq!(hub.site().count("Outage Order"), EVENTS + 1, "one document an event");
    assert_eq!(connector.parked(), Vec::<Value>::new());
    let shown = health(hub);
    assert_eq!(shown["breaker"]["state"], "closed", "{shown}");
}
