//! What writes, where it was asked for: a ToDo, and a Sales Order. Both are deleted again.

use serde_json::{Value, json};

use super::{
    Check, Seen,
    reading::{ahead_of, told},
};
use crate::{
    clock::rfc3339,
    erpnext::{Exception, ID_FIELD, MARK_FIELD, Map, Site, SiteError, SiteQuery},
    outbound::Repeat,
};

/// When the Sales Order is to be delivered: never late.
const DELIVERY: &str = "2099-12-31";

impl Check<'_> {
    pub(super) async fn write(&mut self, wanted: bool) {
        let (site, clock) = (self.site, self.clock.clone());
        if !wanted {
            self.note("create, change, delete", async { Ok(Seen::skipped("WRITE=1 tries it on a ToDo")) })
                .await;
            return;
        }
        let now = clock.now();
        let mut made = None;
        let create = async {
            let is_prepared = site.is_prepared("ToDo").await?;
            let document = todo(is_prepared, &rfc3339(now));
            let todo = site.insert("ToDo", document.clone(), Repeat::Unsafe).await?;
            let name = text(&todo, "name").to_owned();
            made = Some((todo, is_prepared.then_some(document)));
            Ok(Seen::works(format!("ToDo {name}")))
        };
        self.note("create", create).await;
        let Some((todo, document)) = made else { return };
        let (name, modified) = (text(&todo, "name"), text(&todo, "modified"));
        let skew = async {
            Ok(match ahead_of(site, modified, now).await? {
                Some(ahead) => told(ahead),
                None => Seen::failed(format!("{modified:?} is no time"), "Is the site's time zone set?"),
            })
        };
        self.note("modified", skew).await;
        self.note("a repeat is refused", repeat(site, document)).await;
        let change = async {
            let change = Map::from_iter([
                ("description".to_owned(), json!("Made by a check of Causeway, and changed")),
                ("modified".to_owned(), json!(modified)),
            ]);
            let changed = site.update("ToDo", name, change.clone(), Repeat::Unsafe).await?;
            let stale = site.update("ToDo", name, change, Repeat::Unsafe).await;
            let is_refused = stale.is_err_and(|error| error.is(&Exception::TimestampMismatch));
            Ok(Seen::expect(
                is_refused && text(&changed, "modified") > modified,
                "and a stale change is refused",
                "a stale change is not refused",
            ))
        };
        self.note("change", change).await;
        // Whatever went wrong before: nothing of ours stays.
        let delete = async {
            site.delete("ToDo", name).await?;
            let is_gone = site.get("ToDo", name).await?.is_none();
            Ok(Seen::expect(is_gone, format!("ToDo {name} is gone"), format!("ToDo {name} is still there")))
        };
        self.note("delete", delete).await;
    }

    pub(super) async fn submit(&mut self, wanted: bool) {
        let site = self.site;
        let submit = async {
            if !wanted {
                return Ok(Seen::skipped(
                    "SUBMIT=1 tries it on a Sales Order, which takes a number of its series",
                ));
            }
            match sales_order(site).await? {
                Some(order) => submit_and_cancel(site, order).await,
                None => Ok(Seen::skipped("there is no Company, Customer or Item to order")),
            }
        };
        self.note("submit, cancel", submit).await;
    }
}

fn text<'a>(document: &'a Map, field: &str) -> &'a str {
    document.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn todo(is_prepared: bool, now: &str) -> Map {
    let mut todo = Map::from_iter([("description".to_owned(), json!("Made by a check of Causeway"))]);
    if is_prepared {
        todo.insert(ID_FIELD.to_owned(), json!(format!("causeway-check {now}")));
        todo.insert(MARK_FIELD.to_owned(), json!("{}"));
    }
    todo
}

async fn repeat(site: &Site, document: Option<Map>) -> Result<Seen, SiteError> {
    let Some(document) = document else {
        return Ok(Seen::skipped("ToDo is not prepared: SETUP=ToDo"));
    };
    match site.insert("ToDo", document, Repeat::Unsafe).await {
        Err(error) if error.is(&Exception::UniqueValidation) => Ok(Seen::works("by its unique field")),
        Err(error) => Err(error),
        Ok(second) => {
            site.delete("ToDo", text(&second, "name")).await?;
            Ok(Seen::failed("a second ToDo was made", "Is causeway_id still unique (Customize Form)?"))
        }
    }
}

/// An order of the first Item that can be sold.
async fn sales_order(site: &Site) -> Result<Option<Map>, SiteError> {
    let first = async |doctype: &str, filters: Vec<Value>| {
        let query = SiteQuery { doctype: doctype.to_owned(), filters, limit: 1, ..SiteQuery::default() };
        let rows = site.list(&query).await?;
        Ok::<_, SiteError>(rows.first().map(|row| text(row, "name").to_owned()))
    };
    let company = first("Company", Vec::new()).await?;
    let customer = first("Customer", vec![json!(["disabled", "=", 0])]).await?;
    let sellable =
        vec![json!(["disabled", "=", 0]), json!(["is_sales_item", "=", 1]), json!(["has_variants", "=", 0])];
    let item = first("Item", sellable).await?;
    let (Some(company), Some(customer), Some(item)) = (company, customer, item) else { return Ok(None) };
    let row = json!({ "item_code": item, "qty": 1, "rate": 1, "delivery_date": DELIVERY });
    Ok(Some(Map::from_iter([
        ("company".to_owned(), json!(company)),
        ("customer".to_owned(), json!(customer)),
        ("delivery_date".to_owned(), json!(DELIVERY)),
        ("items".to_owned(), json!([row])),
    ])))
}

async fn submit_and_cancel(site: &Site, order: Map) -> Result<Seen, SiteError> {
    let made = match site.insert("Sales Order", order, Repeat::Unsafe).await {
        Err(SiteError::Refused(refusal)) if refusal.exception != Exception::Permission => {
            return Ok(Seen::warning(
                format!("the site takes no plain Sales Order: {}", refusal.message),
                "It asks for more than ERPNext does as it comes; whether orders can be submitted was not tried.",
            ));
        }
        other => other?,
    };
    let name = text(&made, "name");
    let mut modified = text(&made, "modified").to_owned();
    let mut done = Vec::new();
    for (docstatus, word) in [(1, "submitted"), (2, "cancelled")] {
        let change = Map::from_iter([
            ("docstatus".to_owned(), json!(docstatus)),
            ("modified".to_owned(), json!(modified)),
        ]);
        match site.update("Sales Order", name, change, Repeat::Unsafe).await {
            Ok(changed) => {
                text(&changed, "modified").clone_into(&mut modified);
                done.push(word);
            }
            Err(error) => {
                let left =
                    if site.delete("Sales Order", name).await.is_ok() { "deleted" } else { "left there" };
                let seen = super::failed(error);
                return Ok(Seen { detail: format!("Sales Order {name}, {left}: {}", seen.detail), ..seen });
            }
        }
    }
    Ok(match site.delete("Sales Order", name).await {
        Ok(()) => Seen::works(format!("Sales Order {name}: {}, deleted", done.join(", "))),
        Err(error) => Seen::warning(
            format!("Sales Order {name} stays, cancelled: {}", super::failed(error).detail),
            "Delete it by hand, if it disturbs.",
        ),
    })
}
