//! Whatever is lost, one document is made of a record for a job.

mod built_in;
mod site;

use serde_json::Value;

use super::*;
use crate::documents::Fields;

/// An order of invoices for Sales Orders.
fn order_of(job: &str) -> Order {
    order_from(job, "Sales Order", "Sales Invoice")
}

fn order_from(job: &str, from: &str, to: &str) -> Order {
    let (from, to) = (DocType::new(from).unwrap(), DocType::new(to).unwrap());
    Order { job: job.to_owned(), from, to, user: "kim@example.com".to_owned() }
}

fn record(index: u32, name: &str) -> Record {
    Record { index, name: name.to_owned(), args: Fields::new(), attempt: 1 }
}

fn fields(value: Value) -> Fields {
    let Value::Object(fields) = value else { panic!("fields are an object") };
    fields
}
