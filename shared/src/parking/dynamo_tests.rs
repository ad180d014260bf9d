//! The parking in DynamoDB.

use jiff::SignedDuration;
use serde_json::json;

use super::{Cargo, ParkedItem, ParkedQuery, ParkedState, ParkingLot, WaitsFor, dynamo::DynamoParking};
use crate::{
    documents::DocumentKey,
    integration_log::Failure,
    queue::Body,
    testing::{Dynamo, event, start},
};

async fn parking() -> (DynamoParking, Dynamo) {
    let dynamo = Dynamo::start().await;
    (DynamoParking::new(dynamo.client.clone(), &dynamo.tables), dynamo)
}

fn item(id: &str, connector: &str, state: ParkedState) -> ParkedItem {
    let due = (state != ParkedState::Dead).then(start);
    ParkedItem {
        id: id.into(),
        connector: connector.into(),
        cargo: Cargo::Event(event(id, &json!({ "event": "order", "note": "日本" }))),
        state,
        parked_at: start(),
        due,
        waits: 3,
        failure: Failure { code: "parent_missing".into(), detail: "why".into() },
    }
}

fn customer() -> DocumentKey {
    DocumentKey::new("Customer", "C-1").unwrap()
}

fn awaited() -> WaitsFor {
    WaitsFor::from(&customer())
}

#[tokio::test]
async fn an_item_comes_back_as_it_was_parked() {
    let (parking, _dynamo) = parking().await;
    let mut bytes = item("evt_bytes", "shop", ParkedState::Dead);
    if let Cargo::Event(event) = &mut bytes.cargo {
        event.body = Body::encode(&[0xff, 0x00, 0xfe]).unwrap();
    }
    let mut largest = item("evt_largest", "shop", ParkedState::Delayed);
    if let Cargo::Event(event) = &mut largest.cargo {
        let noise: Vec<u8> =
            (0..350 * 1024u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
        event.body = Body::encode(&noise).unwrap();
    }
    let unreadable = ParkedItem {
        cargo: Cargo::Unreadable { message: "{\"type\":\"webhook.v9\"}".into() },
        ..item("evt_unreadable", "-", ParkedState::Dead)
    };
    let waiting = item("evt_waiting", "shop", ParkedState::Waiting(awaited()));
    for item in [bytes, largest, unreadable, waiting] {
        parking.park(&item).await.unwrap();
        assert_eq!(parking.get(&item.id).await.unwrap(), Some(item));
    }
}

#[tokio::test]
async fn what_is_due_is_claimed_once_and_again_later() {
    let (parking, _dynamo) = parking().await;
    for n in 0..30 {
        parking.park(&item(&format!("evt_{n}"), "shop", ParkedState::Delayed)).await.unwrap();
    }
    parking.park(&item("evt_dead", "shop", ParkedState::Dead)).await.unwrap();
    let again = start() + SignedDuration::from_mins(6);
    let (a, b) = tokio::join!(parking.claim_due(start(), again, 20), parking.claim_due(start(), again, 20));
    let mut claimed =
        [a.unwrap(), b.unwrap(), parking.claim_due(start(), again, 100).await.unwrap()].concat();
    claimed.sort();
    let all = claimed.len();
    claimed.dedup();
    assert_eq!((all, claimed.len()), (30, 30), "no item is claimed twice");
    assert_eq!(parking.claim_due(start(), again, 100).await.unwrap(), Vec::<String>::new());
    assert_eq!(parking.claim_due(again, again + SignedDuration::from_mins(6), 100).await.unwrap().len(), 30);
}

#[tokio::test]
async fn what_waits_is_found_by_its_document_page_by_page_until_resolved() {
    let (parking, _dynamo) = parking().await;
    for n in 0..130 {
        let waiting = ParkedState::Waiting(awaited());
        parking.park(&item(&format!("evt_{n:03}"), "shop", waiting)).await.unwrap();
    }
    parking.remove("evt_000").await.unwrap();
    parking.park(&item("evt_001", "shop", ParkedState::Dead)).await.unwrap();
    let first = parking.waiting_for(&awaited(), None).await.unwrap();
    let rest = parking.waiting_for(&awaited(), first.next).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (100, 28, None));
    let mut all = [first.items, rest.items].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 128);
    let other = DocumentKey::new("Customer", "C-2").unwrap();
    assert!(parking.waiting_for(&WaitsFor::from(&other), None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn what_waits_for_a_breaker_is_found_page_by_page_and_none_of_another() {
    let (parking, _dynamo) = parking().await;
    let breaker = |name: &str| WaitsFor::Connector(name.into());
    for n in 0..450 {
        parking
            .park(&item(&format!("evt_{n}"), "shop", ParkedState::Waiting(breaker("erpnext"))))
            .await
            .unwrap();
    }
    parking.park(&item("evt_else", "shop", ParkedState::Waiting(breaker("erpnext#1")))).await.unwrap();
    parking.park(&item("evt_doc", "shop", ParkedState::Waiting(awaited()))).await.unwrap();
    let (mut found, mut cursor) = (Vec::new(), None);
    for _ in 0..20 {
        let page = parking.waiting_for(&breaker("erpnext"), cursor).await.unwrap();
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!((found.len(), cursor), (450, None));
    assert!(!found.iter().any(|id| id == "evt_else" || id == "evt_doc"));
    assert!(parking.waiting_for(&breaker("shop"), None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn lists_page_through_states_and_connectors_without_loss() {
    let (parking, _dynamo) = parking().await;
    let states = [ParkedState::Delayed, ParkedState::Waiting(awaited()), ParkedState::Dead];
    for n in 0..12 {
        for (s, state) in states.iter().enumerate() {
            let connector = ["bank", "shop", "shopify"][n % 3];
            parking.park(&item(&format!("evt_{s}_{n:02}"), connector, state.clone())).await.unwrap();
        }
    }
    let pages = async |state: Option<&str>, connector: Option<&str>| {
        let mut ids = Vec::new();
        let mut cursor = None;
        loop {
            let query = ParkedQuery {
                state: state.map(Into::into),
                connector: connector.map(Into::into),
                limit: 5,
                cursor,
            };
            let page = parking.list(&query).await.unwrap();
            assert!(page.items.len() <= 5);
            ids.extend(page.items.into_iter().map(|item| item.id));
            cursor = page.next;
            if cursor.is_none() {
                break ids;
            }
        }
    };
    let all = pages(None, None).await;
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((all.len(), unique.len()), (36, 36));
    assert_eq!(pages(Some("dead"), None).await.len(), 12);
    assert_eq!(pages(Some("dead"), Some("shop")).await, ["evt_2_01", "evt_2_04", "evt_2_07", "evt_2_10"]);
    assert_eq!(pages(None, Some("bank")).await.len(), 12);
    assert_eq!(pages(None, Some("nobody")).await.len(), 0);
}

#[tokio::test]
async fn a_cursor_of_another_list_leads_to_no_other_connector() {
    let (parking, _dynamo) = parking().await;
    for connector in ["bank", "shop", "zoo"] {
        for n in 0..3 {
            parking.park(&item(&format!("evt_{connector}_{n}"), connector, ParkedState::Dead)).await.unwrap();
        }
    }
    let list = async |connector: &str, cursor: Option<String>| {
        let query = ParkedQuery { state: None, connector: Some(connector.into()), limit: 2, cursor };
        parking.list(&query).await.unwrap()
    };
    for (of, connector) in [("bank", "shop"), ("zoo", "shop"), ("zoo", "bank")] {
        let cursor = list(of, None).await.next;
        assert!(cursor.is_some());
        let page = list(connector, cursor).await;
        assert!(page.items.iter().all(|item| item.connector == connector), "{of} {connector}");
    }
}
