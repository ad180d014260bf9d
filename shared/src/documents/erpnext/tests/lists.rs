//! Lists of a site, beyond the contract.

use serde_json::json;

use super::*;
use crate::{
    ErrorCode,
    documents::{
        Order, OrderBy,
        contract::{key, put},
    },
};

fn query(filters: &Value, order: Order, limit: usize) -> ListQuery {
    let doctype = key("-").doctype;
    let filters = Filters::read(&doctype, Some(filters), None).unwrap();
    ListQuery { filters, order, ..ListQuery::new(doctype, limit) }
}

async fn names(rig: &Rig, query: ListQuery) -> Vec<String> {
    let (mut names, mut query) = (Vec::new(), query);
    for _ in 0..50 {
        let page = rig.store.list_places(&query).await.unwrap();
        names.extend(page.items.into_iter().map(|place| place.key.name.to_string()));
        if page.next.is_none() {
            return names;
        }
        query.cursor = page.next;
    }
    panic!("the list has no end")
}

/// A bulk change of a site gives many documents one time.
#[tokio::test]
async fn documents_of_one_time_are_all_listed_in_the_order_of_the_site() {
    let rig = Rig::prepared().await;
    let made = ["b", "A", "c", "B2", "a1", "Z", "d"];
    for name in made {
        let times = json!({
            "name": name, "doctype": "Contract Note", "docstatus": 0, "owner": "x", "modified_by": "x",
            "creation": "2026-11-23 10:00:00", "modified": "2026-11-23 10:00:00.123456",
        });
        rig.server.put("Contract Note", name, times);
    }
    for descending in [false, true] {
        for by in [OrderBy::Modified, OrderBy::Name] {
            for limit in [1, 2, 3, 7] {
                let mut listed = names(&rig, query(&json!({}), Order { by, descending }, limit)).await;
                listed.sort();
                let mut expected = made.to_vec();
                expected.sort_unstable();
                assert_eq!(listed, expected, "{by:?} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_costs_one_call() {
    let rig = Rig::prepared().await;
    for number in 0..6 {
        rig.advance(SignedDuration::from_secs(1));
        rig.write(put(None, &format!("N-{number}"), json!({ "text": "x".repeat(2_000) }))).await;
    }
    rig.server.forget_requests();
    let page = rig.store.list(&query(&json!({}), Order::NEWEST_FIRST, 2)).await.unwrap();
    assert_eq!(rig.server.requests().len(), 1);
    let next = ListQuery { cursor: page.next, ..query(&json!({}), Order::NEWEST_FIRST, 2) };
    rig.store.list(&next).await.unwrap();
    assert_eq!(rig.server.requests().len(), 2);
}

#[tokio::test]
async fn what_is_listed_has_its_own_fields_and_what_it_shows() {
    let rig = Rig::prepared().await;
    let written = rig.write(order("PO-1")).await;
    let query = ListQuery::new(written.key.doctype.clone(), 5);
    let listed = rig.store.list(&query).await.unwrap().items.pop().unwrap();
    assert_eq!(
        (&listed.key, listed.revision, &listed.applied),
        (&written.key, written.revision, &written.applied)
    );
    assert_eq!(listed.fields["po_no"], json!("PO-1"));
    assert!(!listed.fields.contains_key("items") && !listed.fields.contains_key("causeway_mark"));
}

#[tokio::test]
async fn a_field_that_the_site_does_not_know_is_named() {
    let rig = Rig::prepared().await;
    let doctype = DocType::new("Sales Order").unwrap();
    let filters = Filters::read(&doctype, Some(&json!({ "no_such_field": 1 })), None).unwrap();
    let query = ListQuery { filters: filters.clone(), ..ListQuery::new(doctype.clone(), 5) };
    for error in
        [rig.store.list(&query).await.unwrap_err(), rig.store.count(&doctype, &filters).await.unwrap_err()]
    {
        assert_eq!(error.code(), ErrorCode::InvalidInput);
        assert_eq!(error.field_errors()[0].field, "filters");
        assert!(error.detail().contains("no_such_field"), "{error:?}");
    }
}

#[tokio::test]
async fn filters_of_rows_find_the_documents_and_count_them() {
    let rig = Rig::prepared().await;
    for number in 0..3 {
        rig.write(order(&format!("PO-{number}"))).await;
    }
    let doctype = DocType::new("Sales Order").unwrap();
    let of = |item: &str| {
        Filters::read(&doctype, Some(&json!([["Sales Order Item", "item_code", "=", item]])), None).unwrap()
    };
    for (item, count) in [("HUB-ITEM-0", 3), ("HUB-ITEM-1", 0)] {
        let query = ListQuery { filters: of(item), ..ListQuery::new(doctype.clone(), 2) };
        assert_eq!(names(&rig, query.clone()).await.len(), count);
        assert_eq!(rig.store.count(&doctype, &of(item)).await.unwrap().count, count);
    }
}

#[tokio::test]
async fn many_names_fit_into_a_question() {
    let rig = Rig::prepared().await;
    rig.write(put(None, "N", json!({}))).await;
    let mut wanted: Vec<String> =
        (0..499).map(|number| format!("a name that is not short {number}")).collect();
    wanted.push("N".into());
    let query = query(&json!({ "name": ["in", wanted] }), Order::NEWEST_FIRST, 5);
    assert_eq!(names(&rig, query).await, ["N"]);
}
