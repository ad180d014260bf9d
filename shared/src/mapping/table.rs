//! Child rows: a list in the payload becomes a table of the document, row by row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Condition, FieldRule,
    fault::{Fault, Run, shown},
    field::{apply_all, check_name, validate_all},
    path::{self, Scope},
};
use crate::FieldError;

/// How many rows a list may have; more is a fault, never a cut.
const MAX_ROWS: usize = 1000;

/// How a table gets its rows. A list that is not there, or null, leaves the table alone; an empty one empties it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableRule {
    /// The name of the table that is written.
    pub to: String,
    /// Where the list is, a JSON pointer.
    pub from: String,
    /// The fields of a row. Their paths start at the row; with a `$` before them at the payload: `$/customer`. Unlike a
    /// document's, a row's own fields may have any name: ERPNext's rows are told apart by `name`.
    pub fields: Vec<FieldRule>,
    /// The rows that count, tested one by one; paths as in `fields`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

impl TableRule {
    /// The rows; faults go to `run`, with the place of the row in the payload's list.
    pub(super) fn rows(&self, scope: Scope<'_>, run: &mut Run<'_>) -> Option<Vec<Value>> {
        let at = format!("/{}", self.to);
        let list = match scope.find_some(&self.from)? {
            Value::Array(list) if list.len() <= MAX_ROWS => list,
            Value::Array(list) => {
                let fault = Fault::too_long(format!("{} rows are more than {MAX_ROWS}", list.len()));
                run.fault(at, fault.from(&scope.origin(&self.from)));
                return None;
            }
            other => {
                let fault = Fault::invalid(format!("{} is not a list", shown(other)));
                run.fault(at, fault.from(&scope.origin(&self.from)));
                return None;
            }
        };
        let mut rows = Vec::new();
        for (index, row) in list.iter().enumerate() {
            if run.is_over() {
                break;
            }
            let scope = scope.row(&self.from, index, row);
            if self.when.as_ref().is_none_or(|condition| condition.holds_in(scope)) {
                rows.push(Value::Object(apply_all(&self.fields, scope, &format!("{at}/{index}"), run)));
            }
        }
        Some(rows)
    }

    pub(super) fn validate(&self, at: &str) -> Vec<FieldError> {
        let mut errors: Vec<_> = check_name(&self.to, &format!("{at}/to")).into_iter().collect();
        errors.extend(path::check(&self.from).err().map(|fault| fault.at(format!("{at}/from"))));
        if self.fields.is_empty() {
            errors.push(Fault::missing("a row needs at least one field").at(format!("{at}/fields")));
        }
        errors.extend(validate_all(&self.fields, &format!("{at}/fields")));
        if let Some(condition) = &self.when {
            errors.extend(condition.validate(&format!("{at}/when")));
        }
        errors
    }
}
