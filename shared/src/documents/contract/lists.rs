//! Lists with filters, orders and offsets, and counts.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    super::{Commit, DocType, DocumentStore, Filters, ListQuery, Order, OrderBy, Page, Target, Write},
    Advance, Applied, Change, DocStatus, DocumentKey, NAMED, fields,
};
use crate::{ErrorCode, testing::start};

/// How many documents there are.
const DOCUMENTS: usize = 60;

fn doctype() -> DocType {
    DocType::new(NAMED[2]).unwrap()
}

fn name(number: usize) -> String {
    format!("F-{number:02}")
}

/// All of the contract of lists. The document `F-{n}` was changed in the n-th second, and every third is open.
pub async fn check(store: &dyn DocumentStore, advance: Advance<'_>) {
    for number in 0..DOCUMENTS {
        advance(SignedDuration::from_secs(1));
        let value = json!({
            "status": if number % 3 == 0 { "Open" } else { "Closed" },
            "number": number,
            "items": [{ "doctype": "Filtered Item", "item_code": format!("I-{}", number % 10), "qty": number }],
        });
        let change = Change::Put { fields: fields(value), docstatus: DocStatus::Draft };
        let target = Target::Named(DocumentKey { doctype: doctype(), ..super::key(&name(number)) });
        store.commit(Commit::of(Write::over(target, None, change, Applied::new(), "someone"))).await.unwrap();
    }
    filters_find_what_they_ask_for(store).await;
    every_order_is_kept_over_pages(store).await;
    offsets_pass_over_what_is_asked_for(store).await;
    cursors_belong_to_their_list(store).await;
    what_was_deleted_is_in_no_list(store).await;
}

fn query(filters: &Value, order: Order, limit: usize) -> ListQuery {
    let filters = Filters::read(&doctype(), Some(filters), None).unwrap();
    ListQuery { filters, order, ..ListQuery::new(doctype(), limit) }
}

/// The numbers of the documents of all pages, which have at most the limit of items each.
async fn all(store: &dyn DocumentStore, query: &ListQuery) -> Vec<usize> {
    let (mut numbers, mut places, mut query) = (Vec::new(), Vec::new(), query.clone());
    let mut keys = query.clone();
    let number = |name: &str| name[2..].parse::<usize>().unwrap();
    for _ in 0..200 {
        let page = store.list(&query).await.unwrap();
        assert!(page.items.len() <= query.limit);
        // A list may leave rows out.
        if query.filters.all.iter().all(|filter| filter.child().is_none()) {
            assert!(page.items.iter().all(|document| query.filters.matches(document)));
        }
        numbers.extend(page.items.iter().map(|document| number(document.key.name.as_str())));
        let of_places = store.list_places(&keys).await.unwrap();
        places.extend(of_places.items.iter().map(|place| number(place.key.name.as_str())));
        assert_eq!(page.next.is_none(), of_places.next.is_none());
        if page.next.is_none() {
            assert_eq!(numbers, places, "places are those of the documents");
            return numbers;
        }
        query = ListQuery { cursor: page.next, offset: 0, ..query };
        keys = ListQuery { cursor: of_places.next, offset: 0, ..keys };
    }
    panic!("the list has no end");
}

fn after(seconds: i64) -> String {
    crate::clock::rfc3339(start() + SignedDuration::from_secs(seconds))
}

async fn filters_find_what_they_ask_for(store: &dyn DocumentStore) {
    let first = store.list(&query(&json!({ "name": "F-00" }), Order::OLDEST_FIRST, 1)).await.unwrap();
    let began = first.items[0].modified;
    let at = |second: i64| crate::clock::rfc3339(began + SignedDuration::from_secs(second));
    assert!(at(0) > after(0));
    let numbers = |range: std::ops::Range<usize>| range.collect::<Vec<_>>();
    for (filters, found) in [
        (json!({}), numbers(0..DOCUMENTS)),
        (json!({ "status": "Open" }), numbers(0..DOCUMENTS).into_iter().filter(|n| n % 3 == 0).collect()),
        (json!([["number", ">=", 10], ["number", "<", "13"]]), numbers(10..13)),
        (json!({ "name": ["in", ["F-31", "F-07", "nobody", ""]] }), vec![7, 31]),
        (json!([["name", "=", "F-07"], ["status", "=", "Open"]]), vec![]),
        (json!({ "name": ["like", "f-1%"] }), numbers(10..20)),
        (json!([["modified", ">", at(9)], ["modified", "<=", at(12)]]), numbers(10..13)),
        (json!([["modified", ">=", at(9)], ["modified", "<", at(12)]]), numbers(9..12)),
        (json!({ "modified": ["between", [at(57), at(90)]] }), numbers(57..DOCUMENTS)),
        (json!({ "modified": at(5) }), vec![5]),
        (json!([["modified", ">", at(9)], ["modified", "<", at(3)]]), vec![]),
        (json!([["modified", ">", at(50)], ["status", "=", "Open"]]), vec![51, 54, 57]),
        (
            json!([["Filtered Item", "item_code", "=", "I-4"], ["Filtered Item", "qty", "<", 30]]),
            vec![4, 14, 24],
        ),
        (json!({ "absent": ["is", "set"] }), vec![]),
    ] {
        let query = query(&filters, Order::OLDEST_FIRST, 7);
        assert_eq!(all(store, &query).await, found, "{filters}");
        let count = store.count(&doctype(), &query.filters).await.unwrap();
        assert_eq!((count.count, count.approximate), (found.len(), false), "{filters}");
    }
    let or = json!([["number", "=", 3], ["name", "=", "F-05"]]);
    let either =
        Filters { any: Filters::read(&doctype(), None, Some(&or)).unwrap().any, ..Filters::default() };
    let query = ListQuery { filters: either, order: Order::OLDEST_FIRST, ..ListQuery::new(doctype(), 7) };
    assert_eq!(all(store, &query).await, [3, 5]);
}

async fn every_order_is_kept_over_pages(store: &dyn DocumentStore) {
    for by in [OrderBy::Modified, OrderBy::Name] {
        for descending in [false, true] {
            for filters in [json!({}), json!({ "status": "Open" }), json!({ "name": ["like", "%"] })] {
                let open = filters.get("status").is_some();
                let mut expected: Vec<usize> = (0..DOCUMENTS).filter(|n| !open || n % 3 == 0).collect();
                if descending {
                    expected.reverse();
                }
                let order = Order { by, descending };
                assert_eq!(all(store, &query(&filters, order, 9)).await, expected, "{order:?} {filters}");
            }
            let named = query(&json!({ "name": ["in", "F-01,F-02,F-03"] }), Order { by, descending }, 2);
            let expected = if descending { [3, 2, 1] } else { [1, 2, 3] };
            assert_eq!(all(store, &named).await, expected);
        }
    }
}

async fn offsets_pass_over_what_is_asked_for(store: &dyn DocumentStore) {
    for by in [OrderBy::Modified, OrderBy::Name] {
        let order = Order { by, descending: false };
        for (filters, offset, expected) in [
            (json!({}), 55, vec![55, 56, 57, 58, 59]),
            (json!({}), 60, vec![]),
            (json!({ "status": "Open" }), 18, vec![54, 57]),
            (json!({ "name": ["like", "F-2%"] }), 8, vec![28, 29]),
            (json!({ "name": ["in", "F-01,F-02,F-03"] }), 2, vec![3]),
        ] {
            let query = ListQuery { offset, ..query(&filters, order, 2) };
            assert_eq!(all(store, &query).await, expected, "{filters} from {offset}");
        }
    }
    let far = ListQuery { offset: 10_001, ..query(&json!({}), Order::OLDEST_FIRST, 2) };
    assert_eq!(store.list(&far).await.unwrap_err().code(), ErrorCode::InvalidInput);
}

async fn cursors_belong_to_their_list(store: &dyn DocumentStore) {
    let page = |query: ListQuery| async move { store.list(&query).await };
    let of_all = query(&json!({}), Order::OLDEST_FIRST, 2);
    let Page { next: cursor, .. } = page(of_all.clone()).await.unwrap();
    assert!(page(ListQuery { cursor: cursor.clone(), limit: 9, ..of_all.clone() }).await.is_ok());
    for other in [
        query(&json!({ "status": "Open" }), Order::OLDEST_FIRST, 2),
        query(&json!({}), Order::NEWEST_FIRST, 2),
        ListQuery { doctype: DocType::new("Sales Order").unwrap(), ..of_all.clone() },
        ListQuery { offset: 1, ..of_all },
    ] {
        let refused = page(ListQuery { cursor: cursor.clone(), ..other }).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidInput);
    }
}

async fn what_was_deleted_is_in_no_list(store: &dyn DocumentStore) {
    let key = DocumentKey { doctype: doctype(), ..super::key("F-02") };
    let stored = store.read(&key).await.unwrap();
    let delete = Write::over(Target::Named(key), stored.as_ref(), Change::Delete, Applied::new(), "someone");
    store.commit(Commit::of(delete)).await.unwrap();
    for filters in [json!({ "name": ["in", "F-01,F-02,F-03"] }), json!({ "number": ["between", [1, 3]] })] {
        assert_eq!(all(store, &query(&filters, Order::OLDEST_FIRST, 5)).await, [1, 3], "{filters}");
    }
    assert_eq!(store.count(&doctype(), &Filters::default()).await.unwrap().count, DOCUMENTS - 1);
}
