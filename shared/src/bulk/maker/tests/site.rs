//! On an ERPNext site.

use std::{sync::Arc, time::Duration};

use erpnext_site::{Effect as Fate, Fault, SiteOptions};
use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::documents::erpnext::tests::{Rig, each_fate, settle, site};

const ALL: [&str; 4] = ["Sales Order", "Sales Invoice", "Payment Entry", "Delivery Note"];

async fn rig(is_prepared: bool) -> Rig {
    let options = SiteOptions::default();
    Rig::with(if is_prepared { options.prepared(ALL) } else { options }).await
}

/// A worker of its own.
fn maker(rig: &Rig) -> SiteMaker {
    let site = Arc::new(site(&rig.server, rig.clock.clone(), 1));
    SiteMaker::new(site, Arc::new(rig.another()), SiteMaker::AT_ONCE)
}

/// A Sales Order of the site; its name.
fn sales_order(rig: &Rig, docstatus: u8) -> String {
    let order = json!({
        "customer": "Hub Customer 0", "company": "Hub Test Co", "delivery_date": "2026-11-30",
        "docstatus": docstatus,
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10, "delivery_date": "2026-11-30" }],
    });
    rig.server.insert("Sales Order", order).unwrap()["name"].as_str().unwrap().to_owned()
}

/// Has workers make it, minutes apart, until one does.
async fn deliver(rig: &Rig, order: &Order, record: &Record) -> String {
    for _ in 0..8 {
        match maker(rig).make(order, record, &Sources::new()).await {
            Ok(name) => return name,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        // What commits late does so within the minutes.
        tokio::time::sleep(Duration::from_millis(700)).await;
        rig.advance(SignedDuration::from_mins(3));
    }
    panic!("the record does not end");
}

async fn whatever_becomes_of(path: &'static str, is_prepared: bool) {
    each_fate(|name, fate| async move {
        let rig = rig(is_prepared).await;
        let (order, record) = (order_of("job_1"), record(3, &sales_order(&rig, 1)));
        rig.server.fault(Fault::new(fate).method("POST").path(path).once());
        let made = deliver(&rig, &order, &record).await;
        settle(&rig).await;
        assert_eq!(rig.server.count("Sales Invoice"), 1, "{name}");
        rig.advance(SignedDuration::from_mins(3));
        assert_eq!(deliver(&rig, &order, &record).await, made, "{name}");
        let invoice = rig.server.document("Sales Invoice", &made).unwrap();
        assert_eq!((&invoice["docstatus"], rig.server.count("Sales Invoice")), (&json!(0), 1), "{name}");
        if is_prepared {
            assert_eq!(invoice["causeway_id"], json!("job_1.3"), "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_creation_one_document_is_made() {
    whatever_becomes_of("resource/Sales Invoice", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_creation_one_document_is_made_also_where_it_carries_no_mark() {
    whatever_becomes_of("resource/Sales Invoice", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_mapping_one_document_is_made() {
    whatever_becomes_of("make_sales_invoice", true).await;
}

/// Drops a worker once the site has this many invoices.
async fn die(rig: &Rig, order: &Order, record: &Record, invoices: usize) {
    let (maker, sources) = (maker(rig), Sources::new());
    tokio::select! {
        biased;
        () = async {
            while rig.server.count("Sales Invoice") < invoices {
                tokio::task::yield_now().await;
            }
        } => {}
        done = maker.make(order, record, &sources) => panic!("it did not die: {done:?}"),
    }
}

#[tokio::test]
async fn what_a_killed_worker_made_is_found_by_the_next_also_when_nothing_is_left_to_make() {
    for (is_prepared, submits) in [(true, false), (true, true), (false, false), (false, true)] {
        let rig = rig(is_prepared).await;
        let (order, record) = (order_of("job_1"), record(0, &sales_order(&rig, 1)));
        die(&rig, &order, &record, 1).await;
        let name = rig.server.documents("Sales Invoice")[0]["name"].as_str().unwrap().to_owned();
        if submits {
            rig.server.change("Sales Invoice", &name, json!({ "docstatus": 1 })).unwrap();
        }
        let again = maker(&rig).make(&order, &record, &Sources::new()).await;
        if is_prepared {
            assert_eq!(again.unwrap(), name);
        } else {
            // It may still be under way.
            assert_eq!(again.unwrap_err().code(), ErrorCode::OutcomeUnknown);
        }
        rig.advance(SignedDuration::from_mins(3));
        let found = maker(&rig).made(&order, &record, &Sources::new()).await.unwrap();
        assert_eq!(found, Some(name.clone()), "{is_prepared} {submits}");
        assert_eq!(deliver(&rig, &order, &record).await, name);
        assert_eq!(rig.server.count("Sales Invoice"), 1);
        // Another job has nothing to do with it.
        let other = order_of("job_2");
        assert_eq!(maker(&rig).made(&other, &record, &Sources::new()).await.unwrap(), None);
        match maker(&rig).make(&other, &record, &Sources::new()).await {
            Ok(made) => assert!(!submits && made != name),
            Err(error) => assert!(submits && error.code() == ErrorCode::NothingToMap, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_at_once_make_one_document_of_a_record() {
    for is_prepared in [true, false] {
        let rig = rig(is_prepared).await;
        let (order, record) = (order_of("job_1"), record(0, &sales_order(&rig, 1)));
        let makers: Vec<SiteMaker> = (0..5).map(|_| maker(&rig)).collect();
        let sources = Sources::new();
        let made = join_all(makers.iter().map(|maker| maker.make(&order, &record, &sources))).await;
        let mut names = Vec::new();
        for result in made {
            match result {
                Ok(name) => names.push(name),
                Err(error) => assert!(error.is_transient() && !is_prepared, "{error:?}"),
            }
        }
        names.dedup();
        assert_eq!((names.len(), rig.server.count("Sales Invoice")), (1, 1), "{names:?}");
        rig.advance(SignedDuration::from_mins(3));
        assert_eq!(deliver(&rig, &order, &record).await, names[0]);
        assert_eq!(rig.server.count("Sales Invoice"), 1);
    }
}

#[tokio::test]
async fn where_many_documents_are_new_a_lost_one_is_found_by_its_source() {
    let rig = rig(false).await;
    let order = order_of("job_1");
    for index in 0..6 {
        // All say the same but for their source.
        let record = record(index, &sales_order(&rig, 1));
        if index % 2 == 0 {
            die(&rig, &order, &record, index as usize + 1).await;
        } else {
            maker(&rig).make(&order, &record, &Sources::new()).await.unwrap();
        }
    }
    rig.advance(SignedDuration::from_mins(3));
    let sources: Vec<String> =
        rig.server.documents("Sales Order").iter().map(|order| text(order, "name")).collect();
    for (index, name) in (0..).zip(&sources) {
        let made = deliver(&rig, &order, &record(index, name)).await;
        let invoice = rig.server.document("Sales Invoice", &made).unwrap();
        assert_eq!(invoice["items"][0]["sales_order"], json!(name));
    }
    assert_eq!(rig.server.count("Sales Invoice"), 6);
}

fn text(document: &erpnext_site::Document, field: &str) -> String {
    document[field].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_document_that_names_no_source_is_found_by_whose_it_is_and_what_it_has() {
    let rig = rig(false).await;
    let quotation = rig.server.insert("Quotation", json!({
        "quotation_to": "Customer", "party_name": "Hub Customer 0", "company": "Hub Test Co", "docstatus": 1,
        "items": [{ "item_code": "HUB-ITEM-0", "qty": 2, "rate": 10 }],
    })).unwrap();
    let (order, record) =
        (order_from("job_1", "Quotation", "Sales Invoice"), record(0, &text(&quotation, "name")));
    die(&rig, &order, &record, 1).await;
    rig.advance(SignedDuration::from_mins(3));
    deliver(&rig, &order, &record).await;
    assert_eq!(rig.server.count("Sales Invoice"), 1);
}

#[tokio::test]
async fn a_record_that_the_site_refuses_says_why() {
    for is_prepared in [true, false] {
        let rig = rig(is_prepared).await;
        let (maker, order) = (maker(&rig), order_of("job_1"));
        let code = async |index: u32, name: &str| {
            let error = maker.make(&order, &record(index, name), &Sources::new()).await.unwrap_err();
            (error.code(), error.detail().to_owned())
        };
        let (missing, said) = code(0, "SO-NONE").await;
        assert_eq!((missing, said.contains("SO-NONE")), (ErrorCode::DocumentNotFound, true));
        assert_eq!(code(1, &sales_order(&rig, 0)).await.0, ErrorCode::DocstatusForbids);
        let cancelled = sales_order(&rig, 1);
        rig.server.change("Sales Order", &cancelled, json!({ "docstatus": 2 })).unwrap();
        assert_eq!(code(2, &cancelled).await.0, ErrorCode::DocstatusForbids);
        let billed = sales_order(&rig, 1);
        let other = order_of("job_0");
        let invoice = maker.make(&other, &record(0, &billed), &Sources::new()).await.unwrap();
        rig.server.change("Sales Invoice", &invoice, json!({ "docstatus": 1 })).unwrap();
        assert_eq!(code(3, &billed).await.0, ErrorCode::NothingToMap);
        // A rule of the site's.
        let open = sales_order(&rig, 1);
        let mut bad = rig.server.document("Sales Order", &open).unwrap();
        bad.insert("customer".to_owned(), json!("Nobody"));
        rig.server.put("Sales Order", &open, Value::Object(bad));
        let (refused, said) = code(4, &open).await;
        assert_eq!(refused, ErrorCode::ProviderRefused, "{said}");
        assert!(said.contains("Nobody"), "{said}");
        assert_eq!(rig.server.count("Sales Invoice"), 1);
    }
}

#[tokio::test]
async fn what_another_attempt_could_not_make_is_made_when_it_is_mended() {
    for is_prepared in [true, false] {
        let rig = rig(is_prepared).await;
        let (order, record) = (order_of("job_1"), record(0, &sales_order(&rig, 0)));
        let refused = maker(&rig).make(&order, &record, &Sources::new()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::DocstatusForbids);
        rig.server.change("Sales Order", &record.name, json!({ "docstatus": 1 })).unwrap();
        let again = Record { attempt: 2, ..record.clone() };
        let made = maker(&rig).make(&order, &again, &Sources::new()).await.unwrap();
        assert_eq!(maker(&rig).made(&order, &record, &Sources::new()).await.unwrap(), Some(made));
    }
}

#[tokio::test]
async fn a_record_costs_a_prepared_site_two_calls() {
    let rig = rig(true).await;
    let (maker, order) = (maker(&rig), order_of("job_1"));
    maker.make(&order, &record(0, &sales_order(&rig, 1)), &Sources::new()).await.unwrap();
    let next = record(1, &sales_order(&rig, 1));
    rig.server.forget_requests();
    maker.make(&order, &next, &Sources::new()).await.unwrap();
    assert_eq!(rig.server.requests().len(), 2, "{:?}", rig.server.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_of_many_records_one_document_is_made_of_each() {
    let seed = std::env::var("CAUSEWAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = fastrand::Rng::with_seed(seed.unwrap_or(20_261_123));
    let rig = rig(true).await;
    let order = order_of("job_1");
    let records: Vec<Record> = (0..20).map(|index| record(index, &sales_order(&rig, 1))).collect();
    let late = Duration::from_millis(40);
    for fate in [
        Fate::LateCommit(late, erpnext_site::Meanwhile::Drop),
        Fate::HoldCommit(late),
        Fate::DropBefore,
        Fate::DropAfter,
        Fate::DropMidBody,
        Fate::Maintenance,
        Fate::LockWait,
    ] {
        rig.server.fault(Fault::new(fate).method("POST").sometimes(0.08, random.u64(..)));
    }
    let makers = [maker(&rig), maker(&rig)];
    let mut made: Vec<Option<String>> = vec![None; records.len()];
    for _ in 0..60 {
        for (record, made) in records.iter().zip(&mut made) {
            let sources = Sources::new();
            let both = join_all(makers.iter().map(|maker| maker.make(&order, record, &sources))).await;
            for result in both {
                match result {
                    Ok(name) => assert_eq!(made.get_or_insert(name.clone()), &name),
                    Err(error) => assert!(error.is_transient(), "{error:?}"),
                }
            }
        }
        if made.iter().all(Option::is_some) {
            break;
        }
    }
    settle(&rig).await;
    let mut names: Vec<String> = made.into_iter().flatten().collect();
    names.sort();
    let mut there: Vec<String> =
        rig.server.documents("Sales Invoice").iter().map(|invoice| text(invoice, "name")).collect();
    there.sort();
    assert_eq!(there, names);
    assert_eq!(names.len(), 20);
}
