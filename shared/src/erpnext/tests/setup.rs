//! Preparing DocTypes.

use erpnext_site::SiteOptions;
use jiff::SignedDuration;
use serde_json::json;

use super::{refused, sales_order};
use crate::{
    Error, ErrorCode,
    erpnext::{Exception, ID_FIELD, MARK_FIELD, rig::Rig, setup::Prepared},
    outbound::Repeat,
};

fn administrator() -> Rig {
    Rig::start_as(SiteOptions::default(), &erpnext_site::administrator())
}

#[tokio::test]
async fn a_prepared_doctype_takes_each_id_once() {
    let rig = administrator();
    assert!(!rig.client.is_prepared("Sales Order").await.unwrap());
    assert_eq!(rig.client.prepare("Sales Order").await.unwrap(), Prepared::Added);
    assert!(rig.client.is_prepared("Sales Order").await.unwrap(), "what was remembered is forgotten");
    let mut order = sales_order();
    order.insert(ID_FIELD.into(), json!("evt_1"));
    order.insert(MARK_FIELD.into(), json!("{}"));
    let made = rig.client.insert("Sales Order", order.clone(), Repeat::Safe).await.unwrap();
    assert_eq!((&made[ID_FIELD], &made[MARK_FIELD]), (&json!("evt_1"), &json!("{}")));
    let again = rig.client.insert("Sales Order", order, Repeat::Safe).await.unwrap_err();
    assert_eq!(refused(again), Exception::UniqueValidation);
    assert_eq!(rig.site.count("Sales Order"), 1);
}

#[tokio::test]
async fn preparing_again_or_at_once_changes_nothing() {
    let rig = administrator();
    let (one, other) = tokio::join!(rig.client.prepare("Customer"), rig.client.prepare("Customer"));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(rig.client.prepare("Customer").await.unwrap(), Prepared::Already);
    assert_eq!(rig.site.count("Custom Field"), 2);
    assert_eq!(rig.client.prepared_doctypes().await.unwrap(), ["Customer"]);
    let field = rig.site.document("Custom Field", "Customer-causeway_id").unwrap();
    for flag in ["unique", "read_only", "hidden", "no_copy", "print_hide", "allow_on_submit"] {
        assert_eq!(field[flag], 1, "{flag}");
    }
    assert!(rig.site.document("Custom Field", "Customer-causeway_mark").unwrap()["unique"] != 1);
}

#[tokio::test]
async fn a_half_prepared_doctype_is_not_prepared() {
    let rig = administrator();
    let half = json!({ "dt": "Item", "fieldname": "causeway_id", "fieldtype": "Data", "unique": 1 });
    rig.site.insert("Custom Field", half).unwrap();
    assert!(!rig.client.is_prepared("Item").await.unwrap());
    assert!(rig.client.prepared_doctypes().await.unwrap().is_empty());
    assert_eq!(rig.client.prepare("Item").await.unwrap(), Prepared::Added);
    assert!(rig.client.is_prepared("Item").await.unwrap());
}

#[tokio::test]
async fn whether_a_doctype_is_prepared_is_remembered_for_a_while() {
    let rig = Rig::start(SiteOptions::default().prepared(["Customer"]));
    let asked = || rig.site.forget_requests();
    for _ in 0..2 {
        assert!(rig.client.is_prepared("Customer").await.unwrap());
        assert!(!rig.client.is_prepared("Item").await.unwrap());
    }
    assert_eq!(rig.site.requests().len(), 2);
    asked();
    rig.site.prepare("Item");
    rig.clock.advance(SignedDuration::from_secs(61));
    assert!(rig.client.is_prepared("Item").await.unwrap(), "not for long that it is not");
    assert!(rig.client.is_prepared("Customer").await.unwrap());
    assert_eq!(rig.site.requests().len(), 1);
    asked();
    rig.clock.advance(SignedDuration::from_hours(1));
    assert!(rig.client.is_prepared("Customer").await.unwrap());
    assert_eq!(rig.site.requests().len(), 1);
}

#[tokio::test]
async fn without_the_permission_nothing_is_prepared_and_the_error_says_why() {
    let rig = Rig::start(SiteOptions::default());
    let error: Error = rig.client.prepare("Customer").await.unwrap_err().into();
    assert_eq!(error.code(), ErrorCode::ProviderRefused);
    assert!(error.detail().contains("does not permit"), "{error}");
    assert_eq!(rig.site.count("Custom Field"), 0);
    let reader = Rig::start_as(SiteOptions::default(), &erpnext_site::reader());
    assert!(!reader.client.is_prepared("Customer").await.unwrap());
    let missing: Error = reader.client.is_prepared("Nothing").await.unwrap_err().into();
    assert_eq!(missing.code(), ErrorCode::DocumentNotFound);
}
