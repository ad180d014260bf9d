//! The paths of a webhook, driven one after the other. Runs in a process of its own, whose stdout is what the
//! functions would log, with a mark after each path.

use aws_sdk_dynamodb::operation::scan::ScanOutput;
use causeway::{
    Error,
    clock::Clock,
    connectors::ConnectorSettings,
    documents::{
        Applied, Change, Commit, Committed, DocStatus, DocType, DocumentKey, DocumentStore, Fields, Filters,
        IdempotencyKey, ListQuery, Order, OrderBy, Receipt, Stored, Target, Write,
    },
    telemetry,
};
use causeway_bench::{
    delivery::{DOCUMENT_FIELDS, sales_order},
    ports::settings,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    calls, guards,
    mark::Mark,
    meter::item_bytes,
    stack::{Failed, Stack},
};

/// The document's own fields as JSON, in bytes.
pub const DOCUMENT_BYTES: usize = 1024;
/// The webhook's body, in bytes.
pub const BODY_BYTES: usize = 2048;
/// Documents that are created by series; the cost is of one.
const SERIES_DOCUMENTS: u32 = 10;
/// Documents of the DocType that is listed.
const LISTED_DOCUMENTS: u32 = 100;

fn connector() -> Result<ConnectorSettings, Failed> {
    let document = |doctype: &str| json!({ "doctype": doctype, "mapping": { "copy": DOCUMENT_FIELDS } });
    let effect = |action: &str, doctype: &str, more: Value| {
        let mut effect = document(doctype);
        effect["action"] = action.into();
        for (name, value) in more.as_object().into_iter().flatten() {
            effect[name] = value.clone();
        }
        effect
    };
    let named = json!({ "name": "/name" });
    let waiting = json!({ "name": "/name", "requires": [{ "doctype": "Customer", "name": "/customer" }] });
    let trash = json!({ "action": "delete", "doctype": "Sales Order", "name": "/name" });
    Ok(settings(json!({
        "name": "erpnext", "user": "integrations@causeway", "scheme": { "type": "frappe" },
        "secrets": [{ "name": "current", "reference": "erpnext/current" }],
        "event": { "body": "/event" }, "identity": { "by": "frappe" }, "version": { "path": "/modified" },
        "rules": [
            { "event": "series.*", "effect": effect("create", "Order", json!({ "series": "SO-.YYYY.-" })) },
            { "event": "customer.*", "effect": effect("upsert", "Customer", named.clone()) },
            { "event": "delivery_note.*", "effect": effect("upsert", "Delivery Note", waiting) },
            { "event": "sales_order.on_trash", "effect": trash },
            { "event": "sales_order.*", "effect": effect("upsert", "Sales Order", named) },
        ],
    }))?)
}

/// Deliveries, each a second after the one before.
struct Run {
    stack: Stack,
    seed: u64,
}

impl Run {
    /// A body about the document `name`, as of now.
    fn body(&mut self, event: &str, name: &str) -> Value {
        self.seed += 1;
        self.stack.clock.advance(SignedDuration::from_secs(1));
        self.body_as_of(event, name, self.stack.clock.now())
    }

    fn body_as_of(&self, event: &str, name: &str, modified: Timestamp) -> Value {
        sales_order(event, name, modified, self.seed, DOCUMENT_BYTES, BODY_BYTES)
    }

    /// Delivers an event that no rule is for, so that settings are cached, and forgets what was counted.
    async fn warm(&mut self) -> Result<(), Failed> {
        let body = self.body("warm.up", "WARM");
        self.work(&body).await?;
        self.mark("", 1.0, None);
        Ok(())
    }

    async fn work(&self, body: &Value) -> Result<String, Failed> {
        let id = self.stack.deliver(body).await?;
        self.stack.drain().await?;
        Ok(id)
    }

    /// Ends a path: `count` times what `name` costs was used since the last mark, and what `minus` costs once.
    fn mark(&self, name: &str, count: f64, minus: Option<&str>) {
        Mark {
            name: name.to_owned(),
            count,
            minus: minus.map(ToOwned::to_owned),
            tally: self.stack.meter.take(),
        }
        .write();
    }

    /// One delivery of `event` about `name`, worked on to its end.
    async fn simple(&mut self, path: &str, event: &str, name: &str) -> Result<Value, Failed> {
        self.warm().await?;
        let body = self.body(event, name);
        self.work(&body).await?;
        self.mark(path, 1.0, None);
        Ok(body)
    }

    async fn ingest(&mut self) -> Result<(), Failed> {
        self.warm().await?;
        let body = self.body("sales_order.on_update", "SAL-ORD-2026-00000");
        self.stack.deliver(&body).await?;
        self.mark("ingest, warm instance", 1.0, None);
        self.stack.restart_ingest().await?;
        self.stack.deliver(&body).await?;
        self.mark("ingest, cold instance", 1.0, None);
        while self.stack.queue.receive().is_some() {}
        Ok(())
    }

    async fn documents(&mut self) -> Result<(), Failed> {
        let order = "SAL-ORD-2026-00001";
        self.simple("insert", "sales_order.after_insert", order).await?;
        let update = self.simple("update", "sales_order.on_update", order).await?;
        let old = self.stack.clock.now().checked_sub(SignedDuration::from_hours(1))?;
        self.warm().await?;
        self.work(&self.body_as_of("sales_order.on_update", order, old)).await?;
        self.mark("superseded by a newer version", 1.0, None);
        self.warm().await?;
        self.work(&update).await?;
        self.mark("duplicate delivery", 1.0, None);
        self.simple("ignored: no rule for it", "item.on_update", "STL-0001").await?;
        self.simple("delete", "sales_order.on_trash", order).await?;
        Ok(())
    }

    async fn series(&mut self) -> Result<(), Failed> {
        self.warm().await?;
        for number in 0..SERIES_DOCUMENTS {
            let body = self.body("series.created", &format!("WEB-{number}"));
            self.work(&body).await?;
        }
        self.mark("create by series (block of 10)", f64::from(SERIES_DOCUMENTS), None);
        Ok(())
    }

    async fn parking(&mut self) -> Result<(), Failed> {
        self.simple("-parent", "customer.after_insert", "CUST-OTHER").await?;
        self.warm().await?;
        let child = self.body("delivery_note.on_submit", "MAT-DN-2026-00001");
        let id = self.work(&child).await?;
        self.sizes("parked", "state", &format!("P#{id}")).await?;
        self.mark("parked: its parent is missing", 1.0, None);
        self.warm().await?;
        let parent = self.body("customer.after_insert", child["customer"].as_str().unwrap_or_default());
        self.work(&parent).await?;
        self.expect("Delivery Note", "MAT-DN-2026-00001").await?;
        self.mark("… freed when the parent comes", 1.0, Some("-parent"));
        Ok(())
    }

    async fn failures(&mut self) -> Result<(), Failed> {
        self.warm().await?;
        self.stack.faults.fail_next(Error::unavailable("DynamoDB", "the benchmark says so"));
        let body = self.body("sales_order.after_insert", "SAL-ORD-2026-00002");
        self.work(&body).await?;
        self.mark("insert, second attempt", 1.0, None);
        self.warm().await?;
        self.stack.faults.fail_next(Error::field("/items", "invalid", "a failure that no retry helps"));
        let body = self.body("sales_order.after_insert", "SAL-ORD-2026-00003");
        let id = self.work(&body).await?;
        self.mark("dead", 1.0, None);
        self.warm().await?;
        self.stack.replay.one(&id).await?;
        self.stack.meter.add(|tally| tally.api += 1.0);
        self.stack.drain().await?;
        self.expect("Sales Order", "SAL-ORD-2026-00003").await?;
        self.mark("… replayed, insert", 1.0, None);
        let entry = format!("E#{id}");
        self.sizes("log entry", "logs", &entry).await?;
        self.sizes("document", "documents", "D#Sales Order#SAL-ORD-2026-00003").await?;
        self.sizes("settings", "documents", "D#Integration Settings#erpnext").await
    }

    /// What the routes of documents do, in a DocType of so many documents.
    async fn api(&mut self) -> Result<(), Failed> {
        let doctype = DocType::new("Note")?;
        let store = self.stack.faults.clone();
        for number in 0..LISTED_DOCUMENTS {
            self.stack.clock.advance(SignedDuration::from_secs(1));
            let name = format!("NOTE-{number:03}");
            store.commit(Commit::of(self.write(&name, number, None)?)).await?;
        }
        self.stack.meter.take();
        let key = DocumentKey::new("Note", "NOTE-007")?;
        let stored = store.read(&key).await?;
        self.mark("api: one document", 1.0, None);
        let list = |filters: Value, by: OrderBy, offset: usize| {
            let filters = Filters::read(&doctype, Some(&filters), None)?;
            let order = Order { by, descending: true };
            Ok::<_, Error>(ListQuery { filters, order, offset, ..ListQuery::new(doctype.clone(), 20) })
        };
        let newest = list(json!({}), OrderBy::Modified, 0)?;
        let page = store.list(&newest).await?;
        self.mark("api: 20 newest", 1.0, None);
        store.list(&ListQuery { cursor: page.next, ..newest.clone() }).await?;
        self.mark("api: the next 20", 1.0, None);
        store.list_places(&newest).await?;
        self.mark("api: 20 newest, name and modified", 1.0, None);
        store.list(&list(json!({}), OrderBy::Modified, 70)?).await?;
        self.mark("api: 20 newest from the 71st", 1.0, None);
        store
            .list(&list(json!({ "name": ["in", "NOTE-001,NOTE-002,NOTE-003"] }), OrderBy::Modified, 0)?)
            .await?;
        self.mark("api: 3 by their names", 1.0, None);
        store.list(&list(json!({ "fifth": 1 }), OrderBy::Modified, 0)?).await?;
        self.mark("api: 20 by a filter that one in five passes", 1.0, None);
        store.list(&list(json!({}), OrderBy::Name, 0)?).await?;
        self.mark("api: 20 by name, of 100", 1.0, None);
        store.count(&doctype, &Filters::default()).await?;
        self.mark("api: count of 100", 1.0, None);
        store.commit(Commit::of(self.write("NOTE-007", 7, stored.as_ref())?)).await?;
        self.mark("api: update", 1.0, None);
        store.commit(Commit::of(self.write("NOTE-new", 1, None)?)).await?;
        self.mark("api: create", 1.0, None);
        let key = IdempotencyKey::parse("once")?;
        let receipt = Receipt::new("bench", "POST /v2/documents", key, &[b"{}"], &[7; 32]);
        let write = self.write("NOTE-once", 1, None)?;
        let commit = Commit { receipt: Some(receipt), ..Commit::of(write) };
        store.commit(commit.clone()).await?;
        self.mark("api: create with an idempotency key", 1.0, None);
        match store.commit(commit).await? {
            Committed::Answered(_) => self.mark("api: … repeated", 1.0, None),
            other => return Err(format!("a repeat was answered as {other:?}").into()),
        }
        Ok(())
    }

    /// A document of as many bytes as all others here.
    fn write(&self, name: &str, number: u32, stored: Option<&Stored>) -> Result<Write, Failed> {
        let body = self.body_as_of("note", name, self.stack.clock.now());
        let mut fields =
            Fields::from_iter([("fifth".to_owned(), json!(u32::from(number.is_multiple_of(5))))]);
        let of_body =
            DOCUMENT_FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), body.get(*field)?)));
        fields.extend(of_body.map(|(field, value)| (field, value.clone())));
        let change = Change::Put { fields, docstatus: DocStatus::Draft };
        let target = Target::Named(DocumentKey::new("Note", name)?);
        Ok(Write::over(target, stored, change, Applied::new(), "bench"))
    }

    /// A path counts only if its effect happened.
    async fn expect(&self, doctype: &str, name: &str) -> Result<(), Failed> {
        let key = DocumentKey::new(doctype, name)?;
        let tally = self.stack.meter.take();
        let found = self.stack.faults.get(&key).await?;
        self.stack.meter.take();
        self.stack.meter.add(|counted| *counted = tally);
        found.map(drop).ok_or_else(|| format!("{key} was not written").into())
    }

    /// Marks how large the item with the key `key` is.
    async fn sizes(&self, what: &str, table: &str, key: &str) -> Result<(), Failed> {
        let tally = self.stack.meter.take();
        let scan: ScanOutput = self.stack.client.scan().table_name(table).send().await?;
        let item = scan
            .items()
            .iter()
            .find(|item| item.get("pk").and_then(|pk| pk.as_s().ok()).map(String::as_str) == Some(key));
        self.stack.meter.take();
        self.stack.meter.add(|counted| *counted = tally);
        let item = item.ok_or_else(|| format!("{key} is not in {table}"))?;
        let mut parts: Vec<(usize, &str)> = item
            .iter()
            .map(|(name, value)| (item_bytes(&[(name.clone(), value.clone())].into()), name.as_str()))
            .collect();
        parts.sort_unstable();
        let parts: Vec<String> = parts.iter().rev().map(|(bytes, name)| format!("{name} {bytes}")).collect();
        Mark::size(what, item_bytes(item), &parts.join(", "));
        Ok(())
    }
}

/// Drives every path.
pub async fn drive() -> Result<(), Failed> {
    telemetry::init();
    let stack = Stack::start(&connector()?).await?;
    let mut run = Run { stack, seed: 0 };
    run.ingest().await?;
    run.documents().await?;
    run.series().await?;
    run.parking().await?;
    run.failures().await?;
    run.api().await?;
    guards::drive(&run.stack).await?;
    calls::drive(&run.stack).await
}
