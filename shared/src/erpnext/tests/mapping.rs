//! Documents made of others, by each of the site's methods.

use erpnext_site::SiteOptions;
use serde_json::{Value, json};

use super::{named, refused, rig};
use crate::{
    Error, ErrorCode,
    erpnext::{
        Exception, Map, SiteQuery,
        mapper::{MAPPINGS, Mapping},
        rig::{Rig, map},
    },
    outbound::Repeat,
};

/// A source of `doctype`, in the status that `mapping` asks for.
async fn source(rig: &Rig, mapping: &Mapping) -> String {
    let mut document = map(json!({
        "company": "Hub Test Co", "customer": "Hub Customer 0", "supplier": "Hub Supplier 0",
        "delivery_date": "2026-11-30", "schedule_date": "2026-11-30",
        "docstatus": u8::from(mapping.source_docstatus()),
        "items": [{
            "item_code": "HUB-ITEM-0", "qty": 3, "rate": 10,
            "delivery_date": "2026-11-30", "schedule_date": "2026-11-30",
        }],
    }));
    if mapping.from == "Quotation" {
        document.extend(map(json!({ "quotation_to": "Customer", "party_name": "Hub Customer 0" })));
    }
    let made = rig.client.insert(mapping.from, document, Repeat::Unsafe).await;
    let made = made.unwrap_or_else(|error| panic!("{}: {error:?}", mapping.from));
    made["name"].as_str().unwrap().to_owned()
}

async fn made_of(rig: &Rig, mapping: &Mapping, source: &str) -> Option<Vec<String>> {
    let query = SiteQuery {
        doctype: mapping.to.into(),
        fields: vec!["name".into()],
        filters: mapping.made_of(source)?,
        limit: 10,
        ..SiteQuery::default()
    };
    let rows = rig.client.list(&query).await.unwrap();
    Some(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn each_pair_makes_a_document_that_is_found_by_its_source_until_nothing_is_left() {
    let rig = Rig::start(SiteOptions::default());
    for mapping in MAPPINGS {
        let pair = format!("{} to {}", mapping.from, mapping.to);
        let (one, other) = (source(&rig, mapping).await, source(&rig, mapping).await);
        let before = rig.site.count(mapping.to);
        let made = rig.client.map(mapping, &one, Map::new()).await;
        let mut made = made.unwrap_or_else(|error| panic!("{pair}: {error:?}"));
        assert!(!Value::Object(made.clone()).to_string().contains("\"__"), "{pair}");
        assert_eq!(rig.site.count(mapping.to), before, "{pair}: nothing is saved");
        if mapping.to != "Packing Slip" {
            made.insert("docstatus".into(), json!(1));
        }
        let saved = rig.client.insert(mapping.to, made, Repeat::Unsafe).await;
        let saved = saved.unwrap_or_else(|error| panic!("{pair}: {error:?}"));
        if let Some(found) = made_of(&rig, mapping, &one).await {
            assert_eq!(found, [saved["name"].as_str().unwrap()], "{pair}");
            assert!(made_of(&rig, mapping, &other).await.unwrap().is_empty(), "{pair}");
            if mapping.to != "Packing Slip" {
                let again = rig.client.map(mapping, &one, Map::new()).await.unwrap_err();
                let expected = [Exception::NothingToMap, Exception::Validation];
                assert!(expected.contains(&refused(again)), "{pair}");
            }
        }
    }
}

#[tokio::test]
async fn the_table_has_every_method_of_the_site() {
    for theirs in erpnext_site::MAPPERS {
        let ours = Mapping::find(theirs.from, theirs.to).unwrap();
        assert_eq!(ours.method, theirs.method);
    }
    let payments = MAPPINGS.iter().filter(|mapping| mapping.method == erpnext_site::PAYMENT).count();
    assert_eq!(MAPPINGS.len(), erpnext_site::MAPPERS.len() + payments);
}

#[tokio::test]
async fn where_nothing_is_left_that_is_said_and_no_empty_document_made() {
    let rig = Rig::start(SiteOptions::default());
    let mapping = Mapping::find("Sales Order", "Sales Invoice").unwrap();
    let order = source(&rig, mapping).await;
    let mut invoice = rig.client.map(mapping, &order, Map::new()).await.unwrap();
    invoice.insert("docstatus".into(), json!(1));
    rig.client.insert("Sales Invoice", invoice, Repeat::Unsafe).await.unwrap();
    let error: Error = rig.client.map(mapping, &order, Map::new()).await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::NothingToMap);
    assert_eq!(error.detail(), format!("nothing of Sales Order {order} is left for a Sales Invoice"));
}

#[tokio::test]
async fn a_source_that_is_not_there_or_not_submitted_is_refused() {
    let rig = rig();
    let mapping = Mapping::find("Sales Order", "Sales Invoice").unwrap();
    let error: Error = rig.client.map(mapping, "SO-NONE", Map::new()).await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::DocumentNotFound);
    rig.client.insert("Note", named("n"), Repeat::Unsafe).await.unwrap();
    let mut draft = super::sales_order();
    draft.insert("docstatus".into(), json!(0));
    let draft = rig.client.insert("Sales Order", draft, Repeat::Unsafe).await.unwrap();
    let error: Error =
        rig.client.map(mapping, draft["name"].as_str().unwrap(), Map::new()).await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::ProviderRefused);
}
