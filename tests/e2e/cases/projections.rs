//! Read models follow the documents, over the table's stream.

use serde_json::{Value, json};

use super::{Case, cases};
use crate::{
    hub::{Hub, SETTLE, mirror, order},
    wait::wait_for,
};

pub fn cases() -> Vec<Case> {
    cases![
        a_mirrored_item_is_shown_and_goes_when_it_is_disabled,
        an_invoice_that_cannot_be_summed_is_parked_and_counts_once_it_is_mended,
    ]
}

/// A rule that mirrors documents of `doctype` with `fields`.
fn fields_of(event: &str, doctype: &str, fields: Value) -> Value {
    let mut rule = mirror(event, doctype);
    rule["effect"]["mapping"]["copy"] = fields;
    rule
}

/// The rows of all items, by their places.
fn listed(hub: &Hub, item: &str) -> Vec<Value> {
    let rows = (0..4).flat_map(|shard| hub.aws.state(&format!("IL#{shard}")));
    rows.filter(|row| row["sk"]["S"] == item).collect()
}

fn a_mirrored_item_is_shown_and_goes_when_it_is_disabled(hub: &Hub, name: &str) {
    let fields = json!(["item_name", "item_group", "disabled"]);
    let connector = hub.connector(name, json!({ "rules": [fields_of("item.*", "Item", fields)] }));
    let mut item = order("PROJ-1", 0, 1, 1.0);
    item["item_name"] = "Projected Thing".into();
    connector.settle("item.after_insert", &item, "done");
    let row = wait_for("the item to be listed", SETTLE, || match listed(hub, "PROJ-1").as_slice() {
        [row] => Ok(row.clone()),
        rows => Err(format!("{} rows", rows.len())),
    });
    assert!(row["row"]["S"].as_str().unwrap().contains("Projected Thing"), "{row}");
    let mut disabled = order("PROJ-1", 0, 2, 1.0);
    disabled["disabled"] = 1.into();
    connector.settle("item.on_update", &disabled, "done");
    wait_for("the item to be gone", SETTLE, || match listed(hub, "PROJ-1").len() {
        0 => Ok(()),
        rows => Err(format!("{rows} rows")),
    });
}

/// The parked change of an invoice.
fn parked(hub: &Hub, invoice: &str) -> Option<Value> {
    let dead = hub.all("/v2/parked?state=dead", 500);
    dead.into_iter().find(|item| item["change"]["document"]["name"] == invoice)
}

/// What October's sales of a company are, and of how many invoices.
fn october(hub: &Hub, company: &str) -> Vec<(String, String)> {
    let rows = (0..4).flat_map(|shard| hub.aws.state(&format!("SR#{company}#{shard}")));
    rows.filter(|row| row["sk"]["S"].as_str().is_some_and(|place| place.starts_with("M#2026-10#")))
        .map(|row| ["total", "count"].map(|name| row[name]["N"].as_str().unwrap_or_default().to_owned()))
        .map(|[total, count]| (total, count))
        .collect()
}

fn an_invoice_that_cannot_be_summed_is_parked_and_counts_once_it_is_mended(hub: &Hub, name: &str) {
    let fields = json!(["customer", "grand_total", "company", "posting_date"]);
    let connector =
        hub.connector(name, json!({ "rules": [fields_of("invoice.*", "Sales Invoice", fields)] }));
    let invoice = |second: u8, total: &str| {
        let mut invoice = order("PROJ-INV-1", 1, second, 1.0);
        invoice["company"] = "Projected Company".into();
        invoice["posting_date"] = "2026-10-05".into();
        invoice["grand_total"] = total.into();
        invoice
    };
    connector.settle("invoice.on_submit", &invoice(1, "much"), "done");
    let item = wait_for("the change to be parked", SETTLE, || parked(hub, "PROJ-INV-1").ok_or("nothing"));
    assert_eq!(item["error"]["code"], "projection_failed", "{item}");
    // A replay that cannot succeed leaves it there.
    let id = item["id"].as_str().unwrap();
    hub.api("POST", &format!("/v2/parked/{id}/replay"), None).data(202);
    hub.wait_until_queues_are_empty();
    assert!(parked(hub, "PROJ-INV-1").is_some());
    connector.settle("invoice.on_change", &invoice(2, "12.50"), "done");
    wait_for("the invoice to count", SETTLE, || match october(hub, "Projected Company") {
        sums if sums == [("12.5".to_owned(), "1".to_owned())] => Ok(()),
        sums => Err(format!("{sums:?}")),
    });
    assert!(parked(hub, "PROJ-INV-1").is_none(), "what is mended is not parked");
}
