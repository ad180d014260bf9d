//! What the check of a site finds, and leaves behind.

use std::sync::Arc;

use erpnext_site::{Answer, Effect, Fault, SiteOptions, User};
use serde_json::json;

use crate::{
    clock::SystemClock,
    erpnext::{
        check::{CheckOptions, Outcome, Report, check},
        rig::{Rig, sales_order},
    },
};

async fn checked(rig: &Rig, options: &CheckOptions) -> Report {
    check(&rig.client, options, Arc::new(SystemClock)).await
}

fn everything() -> CheckOptions {
    CheckOptions { write: true, submit: true, setup: vec!["ToDo".into(), "Sales Order".into()] }
}

fn start(user: &User) -> Rig {
    let rig = Rig::start_as(SiteOptions::default(), user);
    for _ in 0..3 {
        let mut order = sales_order();
        order.insert("docstatus".into(), json!(1));
        rig.site.insert("Sales Order", json!(order)).unwrap();
    }
    rig
}

fn outcome(report: &Report, name: &str) -> Outcome {
    let found = report.findings().iter().find(|finding| finding.name == name);
    found.unwrap_or_else(|| panic!("{name} was not tried:\n{report}")).outcome
}

#[tokio::test]
async fn a_site_that_works_passes_and_nothing_is_written_unless_asked_for() {
    let rig = start(&erpnext_site::hub());
    let report = checked(&rig, &CheckOptions::default()).await;
    assert!(report.is_good(), "{report}");
    for name in
        ["reach the site", "authenticate", "time zone", "clock", "keyset paging", "read", "count", "errors"]
    {
        assert_eq!(outcome(&report, name), Outcome::Works, "{name}\n{report}");
    }
    assert_eq!(outcome(&report, "Sales Order → Sales Invoice"), Outcome::Works);
    assert_eq!(outcome(&report, "Quotation → Sales Order"), Outcome::Skipped, "there is no source");
    assert_eq!(outcome(&report, "prepared"), Outcome::Warning, "that has to be known");
    assert_eq!(outcome(&report, "create, change, delete"), Outcome::Skipped);
    assert!(rig.site.requests().iter().all(|request| !request.had_effect));
}

#[tokio::test]
async fn what_is_written_is_gone_afterwards() {
    let rig = start(&erpnext_site::administrator());
    let report = checked(&rig, &everything()).await;
    assert!(report.is_good(), "{report}");
    for name in
        ["prepare ToDo", "create", "modified", "a repeat is refused", "change", "delete", "submit, cancel"]
    {
        assert_eq!(outcome(&report, name), Outcome::Works, "{name}\n{report}");
    }
    assert_eq!((rig.site.count("ToDo"), rig.site.count("Sales Order")), (0, 3));
    assert_eq!(rig.client.prepared_doctypes().await.unwrap(), ["Sales Order", "ToDo"]);
    assert!(checked(&rig, &everything()).await.is_good(), "and again");
}

#[tokio::test]
async fn what_the_user_may_not_do_fails_with_a_hint() {
    let rig = start(&erpnext_site::reader());
    let report = checked(&rig, &everything()).await;
    assert!(!report.is_good());
    for name in ["prepare ToDo", "create"] {
        let finding = report.findings().iter().find(|finding| finding.name == name).unwrap();
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.hint.unwrap().contains("role"), "{report}");
    }
    assert_eq!(outcome(&report, "list"), Outcome::Works);
}

#[tokio::test]
async fn without_valid_credentials_the_rest_is_not_tried() {
    let mut user = erpnext_site::hub();
    user.secret = "0123456789abcde".into();
    let rig = start(&user);
    let report = checked(&rig, &everything()).await;
    assert_eq!(outcome(&report, "reach the site"), Outcome::Works);
    assert_eq!(outcome(&report, "authenticate"), Outcome::Failed);
    assert_eq!(report.findings().len(), 3);
    assert!(!report.to_string().contains("0123456789abcde"));
}

#[tokio::test]
async fn what_is_no_site_fails_at_once() {
    let rig = start(&erpnext_site::hub());
    rig.site.fault(Fault::new(Effect::Answer(Answer::text(200, "text/html", "<html>Parked domain</html>"))));
    let report = checked(&rig, &CheckOptions::default()).await;
    assert_eq!(outcome(&report, "reach the site"), Outcome::Failed);
    assert_eq!(report.findings().len(), 2);
    let text = report.to_string();
    assert!(text.contains("FAILED   reach the site") && text.ends_with("1 failed, 0 skipped"), "{text}");
}

#[tokio::test]
async fn a_todo_goes_even_if_its_change_went_wrong() {
    let rig = start(&erpnext_site::hub());
    rig.site.fault(Fault::new(Effect::Answer(Answer::proxy(502))).method("PUT").path("ToDo"));
    let report = checked(&rig, &CheckOptions { write: true, ..CheckOptions::default() }).await;
    assert_eq!(outcome(&report, "change"), Outcome::Failed);
    assert_eq!(outcome(&report, "a repeat is refused"), Outcome::Skipped);
    assert_eq!(outcome(&report, "delete"), Outcome::Works);
    assert_eq!(rig.site.count("ToDo"), 0);
}
