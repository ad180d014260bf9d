//! In the built-in store.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::future::join_all;

use super::*;
use crate::{
    clock::ManualClock,
    documents::{
        Applied, Change, Commit, Committed, Count, DocStatus, Document, DocumentStore, ListQuery, Page,
        SYSTEM_FIELDS, Target, Write, dynamo::DynamoDocuments,
    },
    testing::{Dynamo, meter::Meter, start},
};

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Well,
    LostBefore,
    LostAfter,
    /// It happens when [`Faulty::settle`] is called.
    Late,
    Conflict,
}

/// A store whose commits have fates.
struct Faulty {
    store: Arc<dyn DocumentStore>,
    fate: Box<dyn Fn() -> Fate + Send + Sync>,
    late: Mutex<Vec<Commit>>,
}

impl Faulty {
    fn new(store: Arc<dyn DocumentStore>, fate: impl Fn() -> Fate + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { store, fate: Box::new(fate), late: Mutex::default() })
    }

    /// What was late happens, where it still can.
    async fn settle(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for commit in late {
            let _refused = self.store.commit(commit).await;
        }
    }
}

#[async_trait]
impl DocumentStore for Faulty {
    async fn read(&self, key: &DocumentKey) -> Result<Option<Stored>> {
        self.store.read(key).await
    }
    async fn list(&self, query: &ListQuery) -> Result<Page<Document>> {
        self.store.list(query).await
    }
    async fn count(&self, doctype: &DocType, filters: &Filters) -> Result<Count> {
        self.store.count(doctype, filters).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let lost = Err(Error::unavailable("DynamoDB", "the answer is lost"));
        match (self.fate)() {
            Fate::Well => self.store.commit(commit).await,
            Fate::LostBefore => lost,
            Fate::LostAfter => {
                self.store.commit(commit).await?;
                lost
            }
            Fate::Late => {
                self.late.lock().unwrap().push(commit);
                lost
            }
            Fate::Conflict => Err(Error::new(ErrorCode::RevisionConflict, "someone else is at it")),
        }
    }
}

struct Bench {
    store: Arc<dyn DocumentStore>,
    clock: Arc<ManualClock>,
    dynamo: Dynamo,
}

impl Bench {
    async fn new() -> Self {
        let (dynamo, clock) = (Dynamo::start().await, Arc::new(ManualClock::at(start())));
        let store = DynamoDocuments::new(dynamo.client.clone(), dynamo.tables.clone(), clock.clone());
        Self { store: Arc::new(store), clock, dynamo }
    }

    fn maker(&self) -> BuiltInMaker {
        self.maker_in(self.store.clone())
    }

    fn maker_in(&self, store: Arc<dyn DocumentStore>) -> BuiltInMaker {
        BuiltInMaker::new(store, self.clock.clone(), 16)
    }

    /// A Sales Order as a site has one.
    async fn sales_order(&self, name: &str, docstatus: DocStatus) {
        let text = include_str!("../../../../fixtures/erpnext/26_doc.http");
        let body = text.split("--- RESPONSE ---").nth(1).unwrap().split("\n\n").nth(1).unwrap();
        let mut answer: Fields = serde_json::from_str(body).unwrap();
        let mut order = fields(answer.shift_remove("data").unwrap());
        order.retain(|field, _| !SYSTEM_FIELDS.contains(&field.as_str()));
        self.put("Sales Order", name, order, docstatus).await;
    }

    async fn put(&self, doctype: &str, name: &str, fields: Fields, docstatus: DocStatus) {
        let key = DocumentKey::new(doctype, name).unwrap();
        let stored = self.store.read(&key).await.unwrap();
        let change = Change::Put { fields, docstatus };
        let write = Write::over(Target::Named(key), stored.as_ref(), change, Applied::new(), "someone");
        self.store.commit(Commit::of(write)).await.unwrap();
    }

    async fn invoices(&self) -> Vec<Document> {
        let query = ListQuery::new(DocType::new("Sales Invoice").unwrap(), 500);
        self.store.list(&query).await.unwrap().items
    }
}

#[tokio::test]
async fn a_document_is_made_of_a_record_once_for_a_job_whatever_was_read_before() {
    let bench = Bench::new().await;
    bench.sales_order("SO-1", DocStatus::Submitted).await;
    let (maker, order, one) = (bench.maker(), order_of("job_1"), record(7, "SO-1"));
    let stale = maker.sources(&order, std::slice::from_ref(&one)).await.unwrap();
    assert_eq!(maker.made(&order, &one, &stale).await.unwrap(), None);
    let name = maker.make(&order, &one, &stale).await.unwrap();
    assert_eq!(name, "ACC-SINV-2026-00001");
    let fresh = maker.sources(&order, std::slice::from_ref(&one)).await.unwrap();
    for sources in [&stale, &fresh, &Sources::new()] {
        assert_eq!(maker.make(&order, &one, sources).await.unwrap(), name);
    }
    assert_eq!(maker.made(&order, &one, &fresh).await.unwrap(), Some(name.clone()));
    let again = Record { attempt: 2, ..one.clone() };
    assert_eq!(maker.make(&order, &again, &fresh).await.unwrap(), name);
    let [invoice] = bench.invoices().await.try_into().unwrap();
    assert_eq!((invoice.key.name.as_str(), invoice.docstatus), (name.as_str(), DocStatus::Draft));
    assert_eq!(invoice.owner, "kim@example.com");
    let source = bench.store.get(&DocumentKey::new("Sales Order", "SO-1").unwrap()).await.unwrap().unwrap();
    assert_eq!(source.docstatus, DocStatus::Submitted);
    assert_eq!(source.events, ["job_1.7=ACC-SINV-2026-00001"]);
}

#[tokio::test]
async fn a_record_that_cannot_be_made_says_why() {
    let bench = Bench::new().await;
    for (name, docstatus) in [
        ("SO-draft", DocStatus::Draft),
        ("SO-cancelled", DocStatus::Cancelled),
        ("SO-billed", DocStatus::Submitted),
        ("SO-gone", DocStatus::Submitted),
    ] {
        bench.sales_order(name, docstatus).await;
    }
    let maker = bench.maker();
    maker.make(&order_of("job_0"), &record(0, "SO-billed"), &Sources::new()).await.unwrap();
    let gone = DocumentKey::new("Sales Order", "SO-gone").unwrap();
    let stored = bench.store.read(&gone).await.unwrap();
    let delete = Write::over(Target::Named(gone), stored.as_ref(), Change::Delete, Applied::new(), "someone");
    bench.store.commit(Commit::of(delete)).await.unwrap();
    let order = order_of("job_1");
    let records: Vec<Record> = ["SO-none", "SO-gone", "SO-draft", "SO-cancelled", "SO-billed"]
        .iter()
        .zip(0..)
        .map(|(name, index)| record(index, name))
        .collect();
    let sources = maker.sources(&order, &records).await.unwrap();
    let codes = [
        ErrorCode::DocumentNotFound,
        ErrorCode::DocumentNotFound,
        ErrorCode::DocstatusForbids,
        ErrorCode::DocstatusForbids,
        ErrorCode::NothingToMap,
    ];
    for (record, code) in records.iter().zip(codes) {
        let error = maker.make(&order, record, &sources).await.unwrap_err();
        assert_eq!(error.code(), code, "{}", record.name);
        assert!(error.detail().contains(&record.name), "{error:?}");
        assert_eq!(maker.made(&order, record, &sources).await.unwrap(), None);
    }
    assert_eq!(bench.invoices().await.len(), 1);
    let unknown = order_from("job_1", "Sales Invoice", "Sales Order");
    let error = maker.make(&unknown, &record(0, "SO-none"), &Sources::new()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StoreUnsupported);
}

#[tokio::test]
async fn a_source_that_changed_since_the_chunk_was_read_is_decided_on_anew() {
    let bench = Bench::new().await;
    bench.sales_order("SO-1", DocStatus::Submitted).await;
    let (maker, order, one) = (bench.maker(), order_of("job_1"), record(0, "SO-1"));
    let stale = maker.sources(&order, std::slice::from_ref(&one)).await.unwrap();
    bench.sales_order("SO-1", DocStatus::Cancelled).await;
    let error = maker.make(&order, &one, &stale).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DocstatusForbids);
    let busy = bench.maker_in(Faulty::new(bench.store.clone(), || Fate::Conflict));
    bench.sales_order("SO-2", DocStatus::Submitted).await;
    let error = busy.make(&order, &record(1, "SO-2"), &Sources::new()).await.unwrap_err();
    assert!(error.code() == ErrorCode::RevisionConflict && error.is_transient());
}

/// Works on all records until each has its document, as redelivered chunks do.
async fn drain(maker: &BuiltInMaker, order: &Order, records: &[Record]) -> BTreeMap<u32, String> {
    let mut made = BTreeMap::new();
    for _ in 0..200 {
        let sources = maker.sources(order, records).await.unwrap();
        let results = join_all(records.iter().map(|record| maker.make(order, record, &sources))).await;
        for (record, result) in records.iter().zip(results) {
            match result {
                Ok(name) => {
                    let before = made.insert(record.index, name.clone());
                    assert!(before.is_none_or(|before| before == name), "one record has two names");
                }
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
        if made.len() == records.len() {
            return made;
        }
    }
    panic!("the records do not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_one_document_is_made_of_a_record_for_a_job() {
    let seed = std::env::var("CAUSEWAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let bench = Bench::new().await;
    let mut random = fastrand::Rng::with_seed(seed.unwrap_or(20_261_123));
    let mut expected = HashSet::new();
    for round in 0..12 {
        let order = order_of(&format!("job_{round}"));
        let records: Vec<Record> =
            (0..8).map(|index| record(index, &format!("SO-{round}-{index}"))).collect();
        for record in &records {
            bench.sales_order(&record.name, DocStatus::Submitted).await;
        }
        let fates = Mutex::new(random.fork());
        let faulty = Faulty::new(bench.store.clone(), move || {
            let mut random = fates.lock().unwrap();
            [Fate::Well, Fate::LostBefore, Fate::LostAfter, Fate::Late][random.usize(..4)]
        });
        let maker = bench.maker_in(faulty.clone());
        let settling = async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
                faulty.settle().await;
            }
        };
        // Two workers on one chunk, and what is late falls between them.
        let (one, other, ()) =
            tokio::join!(drain(&maker, &order, &records), drain(&maker, &order, &records), settling);
        assert_eq!(one, other);
        faulty.settle().await;
        assert_eq!(drain(&maker, &order, &records).await, one);
        faulty.settle().await;
        expected.extend(one.into_values());
    }
    let made: HashSet<String> =
        bench.invoices().await.into_iter().map(|invoice| invoice.key.name.to_string()).collect();
    assert_eq!((made.len(), &made), (96, &expected));
}

#[tokio::test]
async fn a_record_costs_its_two_documents_and_a_chunk_one_read_and_one_block_of_numbers() {
    let bench = Bench::new().await;
    let (client, meter) = Meter::of(&bench.dynamo.client);
    let store = DynamoDocuments::new(client, bench.dynamo.tables.clone(), bench.clock.clone());
    let maker = bench.maker_in(Arc::new(store));
    let records: Vec<Record> = (0..20).map(|index| record(index, &format!("SO-{index}"))).collect();
    for record in &records {
        bench.sales_order(&record.name, DocStatus::Submitted).await;
    }
    let order = order_of("job_0");
    let sources = maker.sources(&order, &records).await.unwrap();
    assert_eq!(meter.take().calls, 1, "one batch");
    join_all(records.iter().map(|record| maker.make(&order, record, &sources))).await;
    let chunk = meter.take();
    assert_eq!(chunk.calls, 21, "a transaction a record, and one block of numbers");
    // The same documents without a work.
    let invoice = bench.invoices().await.remove(0);
    let source = records.first().map(|record| DocumentKey::new("Sales Order", record.name.as_str()).unwrap());
    let source = bench.store.get(&source.unwrap()).await.unwrap().unwrap();
    let before = Document { events: Vec::new(), ..source.clone() };
    let write = |document: &Document, name: &str, replaces: Option<&Document>| {
        let key = DocumentKey { name: crate::documents::DocName::new(name).unwrap(), ..document.key.clone() };
        let stored = replaces.cloned().map(Stored::Live);
        let change = Change::Put { fields: document.fields.clone(), docstatus: document.docstatus };
        Write::over(Target::Named(key), stored.as_ref(), change, Applied::new(), "kim@example.com")
    };
    let source_name = source.key.name.to_string();
    let writes =
        vec![write(&invoice, "ACC-SINV-2026-90001", None), write(&source, &source_name, Some(&before))];
    let (client, plain) = Meter::of(&bench.dynamo.client);
    let store = DynamoDocuments::new(client, bench.dynamo.tables.clone(), bench.clock.clone());
    store.commit(Commit { writes, event: None, receipt: None, work: None }).await.unwrap();
    let documents = plain.take().writes;
    // In halves: a block is one unit.
    assert_eq!(chunk.writes, 20 * documents + 2);
}
