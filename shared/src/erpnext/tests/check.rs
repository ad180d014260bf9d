//! What the check of a site finds, and leaves behind.

use std::sync::Arc;

use erpnext_site::{Answer, Effect, Fault, Right, SiteOptions, User};
use serde_json::json;

use crate::{
    clock::SystemClock,
    erpnext::{
        Site, SiteConfig,
        check::{CheckOptions, Outcome, Report, check},
        credentials::FixedToken,
        rig::{Rig, outbound, quick, sales_order},
    },
};

async fn checked(rig: &Rig, options: &CheckOptions) -> Report {
    check(&rig.client, options, Arc::new(SystemClock)).await
}

fn everything() -> CheckOptions {
    CheckOptions { write: true, submit: true, setup: vec!["ToDo".into(), "Sales Order".into()] }
}

fn start(user: &User) -> Rig {
    with_orders(Rig::start_as(SiteOptions::default(), user))
}

/// As the hub's user, who may not do everything.
fn start_without(doctype: &str, right: Right) -> Rig {
    let user = erpnext_site::hub().without(doctype, right);
    let options = SiteOptions { users: vec![user.clone()], ..SiteOptions::default() };
    with_orders(Rig::start_as(options, &user))
}

fn with_orders(rig: Rig) -> Rig {
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
    let mappers: Vec<_> =
        rig.site.requests().into_iter().filter(|request| request.path.contains(".make_")).collect();
    // After a POST a site would keep what some of them make besides.
    assert!(!mappers.is_empty() && mappers.iter().all(|request| request.method == "GET"));
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
async fn what_the_user_may_not_do_is_seen_before_it_is_tried() {
    let rig = start(&erpnext_site::hub());
    let report = checked(&rig, &CheckOptions::default()).await;
    assert_eq!(outcome(&report, "permissions"), Outcome::Works, "{report}");
    let warnings = report.findings().iter().filter(|finding| finding.outcome == Outcome::Warning).count();
    let words = if warnings == 1 { " 1 warning,".to_owned() } else { format!(" {warnings} warnings,") };
    assert!(report.to_string().contains(&words), "{report}");
    let rig = start_without("Delivery Note", Right::Submit);
    let report = checked(&rig, &CheckOptions::default()).await;
    assert_eq!(outcome(&report, "permissions"), Outcome::Warning);
    assert!(report.to_string().contains("Delivery Note (no submit)"), "{report}");
}

#[tokio::test]
async fn who_may_not_create_or_submit_fails_with_a_hint() {
    for right in [Right::Create, Right::Submit] {
        let rig = start_without("Sales Order", right);
        let report = checked(&rig, &CheckOptions { submit: true, ..CheckOptions::default() }).await;
        let finding = report.findings().iter().find(|finding| finding.name == "submit, cancel").unwrap();
        assert_eq!(finding.outcome, Outcome::Failed, "{report}");
        assert!(finding.hint.unwrap().contains("role"), "{report}");
        assert_eq!(rig.site.count("Sales Order"), 3, "nothing of ours stays");
    }
}

#[tokio::test]
async fn what_cannot_be_prepared_is_refused_before_anything_is_written() {
    let rig = start(&erpnext_site::administrator());
    for (doctype, said) in [
        ("Sales Order Item", "rows of others"),
        ("Selling Settings", "single document"),
        ("User", "Frappe rests on it"),
        ("Custom Field", "Frappe rests on it"),
        ("Sales Ordr", "no such DocType"),
        ("sales order", "calls this DocType Sales Order"),
    ] {
        let setup = vec!["ToDo".to_owned(), doctype.to_owned()];
        let report = checked(&rig, &CheckOptions { setup, ..CheckOptions::default() }).await;
        assert_eq!(outcome(&report, &format!("prepare {doctype}")), Outcome::Failed, "{report}");
        assert_eq!(outcome(&report, "prepare ToDo"), Outcome::Skipped, "{report}");
        assert!(report.to_string().contains(said), "{report}");
    }
    assert_eq!(rig.site.count("Custom Field"), 0);
}

#[tokio::test]
async fn a_doctype_that_has_the_fields_already_was_prepared() {
    let options = SiteOptions::default().prepared(["Customer"]);
    let rig = Rig::start_as(options, &erpnext_site::administrator());
    let setup = vec!["Customer".to_owned()];
    let report = checked(&rig, &CheckOptions { setup, ..CheckOptions::default() }).await;
    assert!(report.is_good() && report.to_string().contains("was prepared"), "{report}");
}

#[tokio::test]
async fn tls_where_there_is_none_is_told_from_an_outage() {
    let rig = start(&erpnext_site::hub());
    let config = SiteConfig::new(&rig.site.url().replace("http://", "https://")).unwrap();
    let token = Arc::new(FixedToken::new("key", "secret").unwrap());
    let site = Site::new(config, token, outbound(&rig.clock), Arc::new(quick()), rig.clock.clone());
    let report = check(&site, &CheckOptions::default(), Arc::new(SystemClock)).await;
    assert!(report.to_string().contains("speaks no TLS: is it http://"), "{report}");
}

#[tokio::test]
async fn an_address_that_no_exception_opens_is_said_to_be_one() {
    let rig = start(&erpnext_site::hub());
    let config = SiteConfig::new("http://169.254.169.254").unwrap();
    let token = Arc::new(FixedToken::new("key", "secret").unwrap());
    let site = Site::new(config, token, outbound(&rig.clock), Arc::new(quick()), rig.clock.clone());
    let report = check(&site, &CheckOptions::default(), Arc::new(SystemClock)).await;
    assert_eq!(outcome(&report, "address"), Outcome::Failed);
    assert!(report.to_string().contains("never called"), "{report}");
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
