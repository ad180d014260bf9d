//! What a request may read at most, and what it says when that ends it.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{super::DynamoDocuments, *};
use crate::{
    ErrorCode,
    clock::ManualClock,
    documents::{Applied, Change, Commit, DocStatus, DocumentKey, DocumentStore, Fields, Target, Write},
    testing::{Dynamo, start},
};

const LOW: Limits = Limits { documents: 100, keys: 150, bytes: 1_000_000, sorted: 200, counted: 120 };

struct Shelf {
    dynamo: Dynamo,
    limits: Limits,
}

impl Shelf {
    /// `count` documents, numbered in the order of their names and changes, each with a text of `bytes`.
    async fn of(count: usize, bytes: usize) -> Self {
        let dynamo = Dynamo::start().await;
        let clock = Arc::new(ManualClock::at(start()));
        let store = DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock.clone());
        for number in 0..count {
            clock.advance(SignedDuration::from_secs(1));
            let fields = Fields::from_iter([
                ("number".to_owned(), json!(number)),
                ("text".to_owned(), json!("x".repeat(bytes))),
            ]);
            let change = Change::Put { fields, docstatus: DocStatus::Draft };
            let key = DocumentKey::new("Note", format!("N-{number:03}")).unwrap();
            let write = Write::over(Target::Named(key), None, change, Applied::new(), "someone");
            store.commit(Commit::of(write)).await.unwrap();
        }
        Self { dynamo, limits: LOW }
    }

    fn lists(&self) -> Lists<'_> {
        Lists { client: &self.dynamo.client, table: &self.dynamo.tables.documents, limits: self.limits }
    }
}

fn query(filters: &Value, order: Order, limit: usize) -> ListQuery {
    let doctype = DocType::new("Note").unwrap();
    let filters = Filters::read(&doctype, Some(filters), None).unwrap();
    ListQuery { filters, order, ..ListQuery::new(doctype, limit) }
}

/// The names on each page, and whether it is partial.
async fn pages(lists: Lists<'_>, mut query: ListQuery) -> Vec<(Vec<String>, bool)> {
    let mut pages = Vec::new();
    for _ in 0..20 {
        let page = lists.documents(&query).await.unwrap();
        let names = page.items.iter().map(|document| document.key.name.to_string()).collect();
        pages.push((names, page.partial));
        query = ListQuery { cursor: page.next, offset: 0, ..query };
        if query.cursor.is_none() {
            return pages;
        }
    }
    panic!("the list has no end: {pages:?}");
}

fn names(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| format!("N-{number:03}")).collect()
}

#[tokio::test]
async fn a_filter_reads_so_much_a_request_then_the_page_is_partial_and_goes_on() {
    let shelf = Shelf::of(250, 1).await;
    let rare = json!({ "number": ["in", [50, 140, 249]] });
    let found = pages(shelf.lists(), query(&rare, Order::OLDEST_FIRST, 20)).await;
    let expected = [(names(&[50]), true), (names(&[140]), true), (names(&[249]), false)];
    assert_eq!(found, expected, "100 documents a request");
    // What is to be passed over still is, on the page where it comes.
    let offset = ListQuery { offset: 2, ..query(&rare, Order::OLDEST_FIRST, 20) };
    let expected = [(vec![], true), (vec![], true), (names(&[249]), false)];
    assert_eq!(pages(shelf.lists(), offset).await, expected);
    // A filter on names reads keys only, of which there may be more.
    let named = query(&json!({ "name": ["like", "%49"] }), Order::OLDEST_FIRST, 20);
    let expected = [(names(&[49, 149]), true), (names(&[249]), false)];
    assert_eq!(pages(shelf.lists(), named).await, expected);
}

#[tokio::test]
async fn more_than_can_be_sorted_by_name_is_refused_with_the_way_out() {
    let shelf = Shelf::of(201, 1).await;
    let by_name = Order { by: OrderBy::Name, descending: false };
    let error = shelf.lists().documents(&query(&json!({}), by_name, 5)).await.unwrap_err();
    assert_eq!(error.field_errors()[0].field, "order_by");
    assert!(error.detail().contains("order by modified"), "{}", error.detail());
    let newer = rfc3339(start() + SignedDuration::from_secs(2));
    let fewer = query(&json!({ "modified": [">=", newer] }), by_name, 500);
    assert_eq!(shelf.lists().places(&fewer).await.unwrap().items.len(), 200);
}

#[tokio::test]
async fn counts_are_exact_to_a_limit_and_say_when_they_are_not() {
    let mut shelf = Shelf::of(120, 1).await;
    let doctype = DocType::new("Note").unwrap();
    let filters = |filters: &Value| query(filters, Order::NEWEST_FIRST, 1).filters;
    let exact = |count| Count { count, approximate: false };
    let lists = shelf.lists();
    assert_eq!(lists.count(&doctype, &Filters::default()).await.unwrap(), exact(120));
    let all_names = filters(&json!({ "name": ["like", "N%"] }));
    assert_eq!(lists.count(&doctype, &all_names).await.unwrap(), exact(120));
    let odd = filters(&json!({ "number": ["!=", 0] }));
    let limited = lists.count(&doctype, &odd).await.unwrap();
    assert!(limited.approximate && limited.count >= 99, "{limited:?}");
    shelf.limits.counted = 119;
    for filters in [&Filters::default(), &all_names] {
        let count = shelf.lists().count(&doctype, filters).await.unwrap();
        assert_eq!(count, Count { count: 119, approximate: true });
    }
}

#[tokio::test]
async fn large_documents_end_a_page_early_and_none_is_lost() {
    let mut shelf = Shelf::of(7, 1024 * 1024).await;
    let all = names(&[0, 1, 2, 3, 4, 5, 6]);
    for filters in [json!({}), json!({ "number": [">=", 0] }), json!({ "name": ["in", all.join(",")] })] {
        shelf.limits.bytes = usize::MAX;
        let found = pages(shelf.lists(), query(&filters, Order::OLDEST_FIRST, 500)).await;
        assert!(found.iter().all(|(names, partial)| (1..=2).contains(&names.len()) && !partial), "{filters}");
        assert_eq!(found.into_iter().flat_map(|(names, _)| names).collect::<Vec<_>>(), all, "{filters}");
    }
    shelf.limits.bytes = 3 * 1024 * 1024;
    let rare = query(&json!({ "number": 6 }), Order::OLDEST_FIRST, 500);
    let found = pages(shelf.lists(), rare).await;
    assert_eq!(found, [(names(&[6]), false)], "one batch is read as a whole");
    let named = query(&json!({ "name": ["in", all.join(",")] }), Order::OLDEST_FIRST, 500);
    assert_eq!(shelf.lists().documents(&named).await.unwrap_err().code(), ErrorCode::InvalidInput);
}
