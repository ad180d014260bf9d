//! Sales Orders to make invoices of, as an ERPNext site has them: 7 KB of JSON, three rows.

use causeway::documents::{
    Applied, Change, Commit, DocStatus, DocumentKey, DocumentStore, Fields, SYSTEM_FIELDS, Target, Write,
};
use serde_json::Value;

use crate::Failed;

/// What a real site answered when it was asked for one.
const RECORDED: &str = include_str!("../../shared/fixtures/erpnext/26_doc.http");

/// The order's name, as ERPNext names them.
pub fn name(number: usize) -> String {
    format!("SAL-ORD-2026-{number:05}")
}

/// The fields of an order.
pub fn fields() -> Result<Fields, Failed> {
    let answer = RECORDED.split("--- RESPONSE ---").nth(1).ok_or("nothing was answered")?;
    let body = answer.split("\n\n").nth(1).ok_or("the answer has no body")?;
    let mut answer: Fields = serde_json::from_str(body)?;
    let Some(Value::Object(mut order)) = answer.shift_remove("data") else {
        return Err("the answer is no document".into());
    };
    order.retain(|field, _| !SYSTEM_FIELDS.contains(&field.as_str()));
    Ok(order)
}

/// Puts the submitted order `number` into `store`.
pub async fn put(store: &dyn DocumentStore, number: usize, fields: Fields) -> Result<(), Failed> {
    let key = DocumentKey::new("Sales Order", name(number).as_str())?;
    let change = Change::Put { fields, docstatus: DocStatus::Submitted };
    let write = Write::over(Target::Named(key), None, change, Applied::new(), "bench");
    store.commit(Commit::of(write)).await?;
    Ok(())
}
