//! The master data that recorded requests refer to.

use serde_json::{Value, json};

use crate::{
    database::{Database, Document},
    save,
};

fn add(database: &mut Database, doctype: &str, fields: Value) {
    let (Ok(doctype), Value::Object(fields)) = (save::doctype(database, doctype), fields) else { return };
    let _refused: Result<Document, _> = save::insert(database, "Administrator", &doctype, fields);
}

/// A company, five customers, two suppliers and five items.
pub fn master_data(database: &mut Database) {
    add(database, "Company", json!({ "company_name": "Hub Test Co", "abbr": "HTC" }));
    for n in 0..5 {
        let customer = format!("Hub Customer {n}");
        add(
            database,
            "Customer",
            json!({ "customer_name": customer, "customer_group": "Commercial", "territory": "All Territories" }),
        );
        let (code, name) = (format!("HUB-ITEM-{n}"), format!("Hub Item {n}"));
        add(
            database,
            "Item",
            json!({ "item_code": code, "item_name": name, "item_group": "Products", "stock_uom": "Nos", "standard_rate": 10 + n }),
        );
    }
    for n in 0..2 {
        add(database, "Supplier", json!({ "supplier_name": format!("Hub Supplier {n}") }));
    }
    database.commit();
}
