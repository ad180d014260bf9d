//! The pairs as data: a file for sales, one for purchases and one for payments.
//!
//! Names that many pairs copy are sets with a name, put into each pair's own mappings when it is read.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Form, Pair};
use crate::{
    Error, Result,
    mapping::{CopiedFields, Mapping},
};

const FAMILIES: [&str; 3] = [
    include_str!("rules/sales.json"),
    include_str!("rules/purchases.json"),
    include_str!("rules/payments.json"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// Names of fields, by the set's name.
    sets: HashMap<String, Vec<String>>,
    pairs: Vec<Pair>,
}

/// All pairs.
pub(super) fn read() -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for family in FAMILIES {
        let Family { sets, pairs: own } = serde_json::from_str(family).map_err(Error::internal)?;
        for mut pair in own {
            put(&sets, &pair.sets, &mut pair.header)?;
            if let Form::Rows(form) = &mut pair.form {
                for rule in &mut form.rows {
                    put(&sets, &rule.sets, &mut rule.fields)?;
                }
            }
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// Puts the sets called `names` before what `mapping` copies itself.
fn put(sets: &HashMap<String, Vec<String>>, names: &[String], mapping: &mut Mapping) -> Result<()> {
    let mut copied = Vec::new();
    for name in names {
        let set = sets.get(name).ok_or_else(|| Error::internal(format!("there is no set {name}")))?;
        copied.extend(set.iter().cloned());
    }
    if let Some(CopiedFields::Named(own)) = mapping.copy.take() {
        copied.extend(own);
    }
    mapping.copy = Some(CopiedFields::Named(copied));
    Ok(())
}
