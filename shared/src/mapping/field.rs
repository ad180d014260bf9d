//! One field of a document or of a child row.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Condition, Context, Conversion, Source,
    fault::{Fault, Run, shown},
    path::Scope,
};
use crate::{FieldError, documents::Fields};

/// The longest name of a field, in bytes, as in ERPNext.
const MAX_NAME_BYTES: usize = 140;

/// How many values a lookup may translate.
const MAX_LOOKUP: usize = 500;

/// How many rules a document or a child row may have.
pub(super) const MAX_FIELDS: usize = 200;

/// How one field gets its value: found by `from`, converted by `convert`, translated by `lookup`. A field for which
/// nothing is found is not written; one for which null is found is written as null, so that a sender can empty it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// The name of the field that is written.
    pub to: String,
    /// Where its value comes from.
    pub from: Source,
    /// What is made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convert: Option<Conversion>,
    /// The values that stand for others, e.g. `{"paid": "Completed"}`; numbers and booleans by their text. A value that
    /// is not here becomes the default, and without one is a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Map<String, Value>>,
    /// Written, as it is, where nothing or null is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether it is a fault to find nothing, or null, without a default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The rule counts only if this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

impl FieldRule {
    fn value(&self, scope: Scope<'_>, context: &Context) -> Result<Option<Value>, Fault> {
        if self.when.as_ref().is_some_and(|condition| !condition.holds_in(scope)) {
            return Ok(None);
        }
        let found = self.from.find(scope)?;
        if let Some(value) = found.as_deref().filter(|value| !value.is_null()) {
            return self.made_of(value, scope, context).map(Some);
        }
        match &self.default {
            Some(default) => Ok(Some(default.clone())),
            None if self.required => Err(Fault::missing("is required, and there is nothing")),
            None => Ok(found.map(std::borrow::Cow::into_owned)),
        }
    }

    fn made_of(&self, value: &Value, scope: Scope<'_>, context: &Context) -> Result<Value, Fault> {
        let value = match &self.convert {
            Some(conversion) => conversion.convert(value, scope, context)?,
            None => value.clone(),
        };
        let Some(lookup) = &self.lookup else {
            return Ok(value);
        };
        let translated = match &value {
            Value::String(text) => lookup.get(text),
            Value::Number(_) | Value::Bool(_) => lookup.get(&value.to_string()),
            _ => None,
        };
        translated
            .or(self.default.as_ref())
            .cloned()
            .ok_or_else(|| Fault::invalid(format!("{} is not in the lookup", shown(&value))))
    }

    fn validate(&self, at: &str) -> Vec<FieldError> {
        let mut errors: Vec<_> = check_name(&self.to, &format!("{at}/to")).into_iter().collect();
        errors.extend(self.from.validate(&format!("{at}/from")));
        if let Some(conversion) = &self.convert {
            errors.extend(conversion.validate(&format!("{at}/convert")));
        }
        if let Some(lookup) = &self.lookup {
            errors.extend(check_count(lookup.len(), MAX_LOOKUP, &format!("{at}/lookup")));
        }
        if let Some(condition) = &self.when {
            errors.extend(condition.validate(&format!("{at}/when")));
        }
        errors
    }
}

/// What the rules make of a scope; faults go to `run` under `at`, the place of the fields.
pub(super) fn apply_all(rules: &[FieldRule], scope: Scope<'_>, at: &str, run: &mut Run<'_>) -> Fields {
    let mut fields = Fields::new();
    for rule in rules {
        if run.is_over() {
            break;
        }
        match rule.value(scope, run.context) {
            Ok(Some(value)) => {
                run.charge(&format!("{at}/{}", rule.to), &value);
                fields.insert(rule.to.clone(), value);
            }
            Ok(None) => {}
            Err(fault) => run.fault(format!("{at}/{}", rule.to), fault.from(&rule.from.origin(scope))),
        }
    }
    fields
}

/// What is wrong with rules as a setting; `at` is their place in the settings.
pub(super) fn validate_all(rules: &[FieldRule], at: &str) -> Vec<FieldError> {
    let mut errors: Vec<_> = check_count(rules.len(), MAX_FIELDS, at).into_iter().collect();
    let mut seen = HashSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("{at}/{index}");
        errors.extend(rule.validate(&at));
        errors.extend(check_new(&rule.to, &mut seen, &format!("{at}/to")));
    }
    errors
}

pub(super) fn check_name(name: &str, at: &str) -> Option<FieldError> {
    if name.is_empty() {
        return Some(Fault::missing("must not be empty").at(at));
    }
    if name.len() > MAX_NAME_BYTES {
        return Some(Fault::too_long(format!("must be at most {MAX_NAME_BYTES} bytes")).at(at));
    }
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    (!plain).then(|| Fault::invalid("must be letters, digits, '_' and '-' only").at(at))
}

pub(super) fn check_new<'a>(name: &'a str, seen: &mut HashSet<&'a str>, at: &str) -> Option<FieldError> {
    (!seen.insert(name)).then(|| Fault::invalid(format!("the field {name:?} is written twice")).at(at))
}

pub(super) fn check_count(count: usize, most: usize, at: &str) -> Option<FieldError> {
    (count > most).then(|| Fault::too_long(format!("must be at most {most}, not {count}")).at(at))
}
