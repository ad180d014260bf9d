//! Mapping: one JSON document becomes the fields of another by rules that are data.
//!
//! Settings hold a [`Mapping`]; whoever saves them calls [`Mapping::validate`], whoever has a payload (the event
//! worker, bulk transactions, sync) calls [`Mapping::apply`] and gets the [`Fields`] to write. Nothing here reads
//! a clock, a file or the network: the same mapping, payload and time of receipt give the same fields.
//!
//! Guaranteed of what `apply` gives, whether or not the mapping was validated:
//! - No field that the store sets itself is in it ([`SYSTEM_FIELDS`]).
//! - Numbers keep their digits; what cannot be kept exactly is a fault, not a rounding.
//! - Either all fields or an error that names every field at fault (the first 20), its source, and no more of a
//!   value than 80 characters. Its size is bounded whatever the payload.
//!
//! Which value wins, if several rules speak of a field: a rule of its own over `copy`, even when the rule finds
//! nothing. Two rules for one field are refused.
//!
//! A mapping that uses everything:
#![doc = concat!("```json\n", include_str!("example.json"), "```")]
//!
//! What can be turned around, so that one mapping serves both directions of a sync: a `from` that is a path below
//! the place the rule stands at (no `$`, not empty), alone or with a conversion that loses nothing (`integer`,
//! `decimal`, `datetime`, `unix_time`, `minor_units` with a currency that is itself carried over), a `lookup` whose
//! values are distinct texts, a table row by row if it has no `when`, and `copy`. Not: templates, constants, `text`,
//! `boolean`, `lowercase`, `uppercase`, `trim`, `date`, and what `default` filled in.

mod condition;
mod convert;
mod currency;
mod fault;
mod field;
pub(crate) mod number;
mod path;
mod source;
mod table;
mod template;
mod time;

pub use condition::Condition;
pub use convert::Conversion;
pub(crate) use currency::decimals as currency_decimals;
pub use field::FieldRule;
pub(crate) use number::{of as decimal, same as same_number};
pub use source::Source;
pub use table::TableRule;
pub(crate) use time::{find_zone, in_utc};
pub use time::{is_zone, latest_plausible, resolve_local};

use std::collections::HashSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    fault::{Fault, Run, shown},
    field::{MAX_FIELDS, apply_all, check_count, check_name, check_new, validate_all},
    path::Scope,
};
use crate::{
    FieldError, Result,
    documents::{Fields, SYSTEM_FIELDS},
};

/// How many tables a mapping may have.
const MAX_TABLES: usize = 20;

/// How a payload becomes the fields of a document. The empty mapping gives none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// The payload's own fields that are taken over as they are, under the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopiedFields>,
    /// The fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldRule>,
    /// The child tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableRule>,
}

/// Which of the payload's own fields are taken over; never those that the store sets ([`SYSTEM_FIELDS`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "copy is \"*\" or a list of names")]
pub enum CopiedFields {
    /// All: a mirror of an ERPNext document.
    All(Everything),
    /// Those of these names that are there.
    Named(Vec<String>),
}

/// The text `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Everything {
    /// `*`
    #[serde(rename = "*")]
    Everything,
}

/// What a mapping knows besides the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// When the payload was received; it decides which of two equal local times is meant.
    pub received_at: Timestamp,
}

impl Mapping {
    /// The fields that `payload` becomes.
    ///
    /// Fails with `mapping_failed`. Its field errors name the target (`/items/3/rate`, rows counted as in the payload)
    /// and say where the value came from.
    pub fn apply(&self, payload: &Value, context: &Context) -> Result<Fields> {
        let (mut run, scope) = (Run::new(context), Scope::of(payload));
        let mut fields = self.copied(payload, &mut run);
        fields.extend(apply_all(&self.fields, scope, "", &mut run));
        for table in &self.tables {
            if let Some(rows) = table.rows(scope, &mut run) {
                fields.insert(table.to.clone(), Value::Array(rows));
            }
        }
        // Once more for everything: it is what keeps a payload from making itself submitted.
        fields.retain(|name, _| !SYSTEM_FIELDS.contains(&name.as_str()));
        run.finish(fields)
    }

    /// What is wrong with it as a setting; `at` is its place in the settings, a JSON pointer, under which every error
    /// names the rule at fault.
    pub fn validate(&self, at: &str) -> Vec<FieldError> {
        let mut errors = validate_all(&self.fields, &format!("{at}/fields"));
        errors.extend(check_count(self.tables.len(), MAX_TABLES, &format!("{at}/tables")));
        let mut seen: HashSet<_> = self.fields.iter().map(|rule| rule.to.as_str()).collect();
        for (index, table) in self.tables.iter().enumerate() {
            let at = format!("{at}/tables/{index}");
            errors.extend(table.validate(&at));
            errors.extend(check_new(&table.to, &mut seen, &format!("{at}/to")));
        }
        if let Some(CopiedFields::Named(names)) = &self.copy {
            errors.extend(check_count(names.len(), MAX_FIELDS, &format!("{at}/copy")));
            for (index, name) in names.iter().enumerate() {
                let at = format!("{at}/copy/{index}");
                errors.extend(check_name(name, &at));
                errors.extend(check_new(name, &mut seen, &at));
            }
        }
        errors.extend(self.written().filter_map(|(place, name)| {
            let fault = Fault::invalid(format!("{name} is set by the store alone"));
            SYSTEM_FIELDS.contains(&name).then(|| fault.at(format!("{at}{place}")))
        }));
        errors
    }

    /// Every field the rules name, with its place.
    fn written(&self) -> impl Iterator<Item = (String, &str)> {
        let named = match &self.copy {
            Some(CopiedFields::Named(names)) => names.as_slice(),
            _ => &[],
        };
        let fields = self.fields.iter().enumerate().map(|(i, rule)| (format!("/fields/{i}/to"), &*rule.to));
        let tables = self.tables.iter().enumerate().map(|(i, rule)| (format!("/tables/{i}/to"), &*rule.to));
        let named = named.iter().enumerate().map(|(i, name)| (format!("/copy/{i}"), &**name));
        fields.chain(tables).chain(named)
    }

    /// The payload's own fields, but for those that have a rule.
    fn copied(&self, payload: &Value, run: &mut Run<'_>) -> Fields {
        let Some(copy) = &self.copy else {
            return Fields::new();
        };
        let Value::Object(own) = payload else {
            run.fault("", Fault::invalid(format!("the payload is {}: nothing to copy", shown(payload))));
            return Fields::new();
        };
        let fields = self.fields.iter().map(|rule| rule.to.as_str());
        let ruled: HashSet<_> = fields.chain(self.tables.iter().map(|rule| rule.to.as_str())).collect();
        let wanted = |name: &String| match copy {
            CopiedFields::All(_) => true,
            CopiedFields::Named(names) => names.contains(name),
        };
        own.iter()
            .filter(|(name, _)| wanted(name) && !ruled.contains(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
