//! Rules that would go round in a circle, where documents live on the very site whose webhooks a connector takes.
//!
//! A change of a document is a webhook of the site, its effect there the next change, and so on without end. It is
//! known of the connector that is the site, [`CONNECTOR`], and of rules that answer a DocType's change with a change of
//! that DocType; a site that posts to a connector of another name is not recognised.

use super::{ConnectorSettings, Effect};
use crate::{Error, Result, erpnext::CONNECTOR};

/// The events that a change brings about, after the DocType's name: `sales_order.on_update`.
const CHANGES: [&str; 2] = ["on_update", "on_change"];

impl ConnectorSettings {
    /// Refuses what would go round, if documents live on the site: the API asks before it writes settings.
    pub fn check_circles(&self) -> Result<()> {
        if self.name != CONNECTOR {
            return Ok(());
        }
        for (i, rule) in self.rules.iter().enumerate() {
            let (Effect::Update(effect) | Effect::Upsert(effect)) = &rule.effect else { continue };
            let doctype = effect.doctype.as_str();
            let subject = doctype.to_lowercase().replace(' ', "_");
            let is_circle = CHANGES.iter().any(|change| {
                // Rules before this one may take the event.
                self.rule_for(&format!("{subject}.{change}")).is_some_and(|first| std::ptr::eq(first, rule))
            });
            if is_circle {
                let why = format!(
                    "documents live on the site {CONNECTOR}: writing its changes of {doctype} back to it would bring \
                     about the next change, without end. Leave the rule out; another site's connector has another name"
                );
                return Err(Error::field(format!("/rules/{i}/effect"), "circle", why));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(name: &str, rules: &Value) -> ConnectorSettings {
        let settings = json!({
            "name": name,
            "user": "integrations@causeway",
            "scheme": { "type": "frappe" },
            "secrets": [{ "name": "current", "reference": format!("{name}/current") }],
            "event": { "body": "/event" },
            "identity": { "by": "frappe" },
            "rules": rules,
        });
        serde_json::from_str(&settings.to_string()).unwrap()
    }

    fn rule(event: &str, action: &str, doctype: &str) -> Value {
        json!({ "event": event, "effect": { "action": action, "doctype": doctype, "name": "/name" } })
    }

    #[test]
    fn a_sites_changes_are_not_written_back_to_it() {
        for event in ["sales_order.*", "*", "sales_order.on_update", "sales_order.on_change"] {
            let rules = json!([
                rule("customer.after_insert", "upsert", "Customer"),
                rule(event, "upsert", "Sales Order")
            ]);
            let error = settings(CONNECTOR, &rules).check_circles().unwrap_err();
            assert_eq!(error.field_errors()[0].field, "/rules/1/effect", "{event}");
        }
    }

    #[test]
    fn what_ends_is_taken() {
        for rules in [
            json!([rule("sales_order.after_insert", "update", "Sales Order")]),
            json!([rule("sales_order.*", "upsert", "Shipment")]),
            json!([rule("sales_order.on_trash", "delete", "Sales Order")]),
            json!([
                rule("sales_order.on_*", "upsert", "Shipment"),
                rule("sales_order.*", "upsert", "Sales Order")
            ]),
        ] {
            assert!(settings(CONNECTOR, &rules).check_circles().is_ok(), "{rules}");
        }
        let other = json!([rule("sales_order.*", "upsert", "Sales Order")]);
        assert!(settings("other-site", &other).check_circles().is_ok());
    }

    #[test]
    fn the_mirror_that_comes_with_causeway_is_for_the_built_in_store() {
        let text = include_str!("../../../local/connectors/erpnext.json");
        let mut whole: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
        whole.insert("name".to_owned(), json!(CONNECTOR));
        let settings: ConnectorSettings = serde_json::from_str(&Value::Object(whole).to_string()).unwrap();
        assert!(settings.validate().is_ok() && settings.check_circles().is_err());
    }
}
