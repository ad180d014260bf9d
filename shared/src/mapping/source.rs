//! Where a value comes from. Besides the fields of a mapping, settings use it for document names, docstatus and
//! requirements.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    fault::{Fault, cut, shown},
    path::{self, Scope},
    template,
};
use crate::{FieldError, Result};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a source is a JSON pointer like \"/customer/name\", {\"template\": \"…\"} or {\"value\": …}"
)]
pub enum Source {
    /// A JSON pointer into the payload: `/customer/name`; empty, it is the whole payload. In the rules of a child row it
    /// points into the row, and with a `$` before it into the payload: `$/customer/name`.
    Path(String),
    /// A text with such pointers in it.
    Template {
        /// E.g. `GH-{/repository/full_name}#{/issue/number}`. `{{` and `}}` stand for braces; without a value for every
        /// placeholder there is no value.
        template: String,
    },
    /// Always the same.
    Value {
        /// Any JSON.
        value: Value,
    },
}

impl Source {
    /// What is wrong with it as a setting; `at` is its place in the settings, a JSON pointer.
    pub fn validate(&self, at: &str) -> Vec<FieldError> {
        let (at, checked) = match self {
            Self::Path(path) => (at.to_owned(), path::check(path)),
            Self::Template { template } => (format!("{at}/template"), template::check(template)),
            Self::Value { .. } => return Vec::new(),
        };
        checked.err().map(|fault| fault.at(at)).into_iter().collect()
    }

    /// The value in `payload`; `None` if there is none, null where the payload says null.
    ///
    /// Fails with `mapping_failed` only for templates: a placeholder stands for something that has no text.
    pub fn resolve(&self, payload: &Value) -> Result<Option<Value>> {
        Ok(self.find(Scope::of(payload))?.map(Cow::into_owned))
    }

    /// The value in `payload` as text; `None` if there is none or it is null.
    ///
    /// Fails with `mapping_failed`, naming the path, if it is neither text nor a number.
    pub fn resolve_text(&self, payload: &Value) -> Result<Option<String>> {
        Ok(self.find_text(Scope::of(payload))?)
    }

    pub(super) fn find<'a>(&'a self, scope: Scope<'a>) -> Result<Option<Cow<'a, Value>>, Fault> {
        Ok(match self {
            Self::Path(path) => scope.find(path).map(Cow::Borrowed),
            Self::Template { template } => {
                template::render(template, scope)?.map(|text| Cow::Owned(Value::String(text)))
            }
            Self::Value { value } => Some(Cow::Borrowed(value)),
        })
    }

    pub(super) fn find_text(&self, scope: Scope<'_>) -> Result<Option<String>, Fault> {
        match self.find(scope)?.filter(|value| !value.is_null()) {
            Some(value) => text_of(&value).map(Some).map_err(|fault| fault.from(&self.origin(scope))),
            None => Ok(None),
        }
    }

    /// Where it looks, for messages.
    pub(super) fn origin(&self, scope: Scope<'_>) -> String {
        match self {
            Self::Path(path) => scope.origin(path),
            Self::Template { template } => format!("the template {:?}", cut(template)),
            Self::Value { .. } => "the constant".to_owned(),
        }
    }
}

/// The text of what has one: strings and numbers, digit for digit.
pub(super) fn text_of(value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(Fault::invalid(format!("{} is neither text nor a number", shown(other)))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorCode;

    fn source(value: Value) -> Source {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn it_is_written_as_a_pointer_a_template_or_a_constant() {
        for value in [json!("/a/b"), json!(""), json!({"template": "x{/a}"}), json!({"value": [1.10, null]})]
        {
            assert_eq!(serde_json::to_value(source(value.clone())).unwrap(), value);
        }
        for bad in [json!({"path": "/a"}), json!(1), json!({"value": 1, "template": ""}), json!(null)] {
            let error = serde_json::from_value::<Source>(bad).unwrap_err().to_string();
            assert!(error.contains("JSON pointer"), "{error}");
        }
    }

    #[test]
    fn it_gives_the_value_as_it_is() {
        let payload: Value = serde_json::from_str(r#"{"total": 10.50, "none": null, "items": [1]}"#).unwrap();
        let get = |value: Value| source(value).resolve(&payload).unwrap();
        assert_eq!(get(json!("/total")).unwrap().to_string(), "10.50");
        assert_eq!(get(json!("/items/0")), Some(json!(1)));
        assert_eq!(get(json!("/none")), Some(Value::Null));
        assert_eq!(get(json!("/absent")), None);
        assert_eq!(get(json!("")), Some(payload.clone()));
        assert_eq!(get(json!({"value": {"a": 1}})), Some(json!({"a": 1})));
        assert_eq!(get(json!({"template": "T{/total}"})), Some(json!("T10.50")));
    }

    #[test]
    fn as_text_numbers_keep_their_digits_and_the_rest_is_refused() {
        let payload: Value =
            serde_json::from_str(r#"{"id": 12345678901234567890123, "n": 1.10, "t": true, "z": null}"#)
                .unwrap();
        let get = |path: &str| Source::Path(path.into()).resolve_text(&payload);
        assert_eq!(get("/id").unwrap().as_deref(), Some("12345678901234567890123"));
        assert_eq!(get("/n").unwrap().as_deref(), Some("1.10"));
        assert_eq!(get("/z").unwrap(), None);
        assert_eq!(get("/absent").unwrap(), None);
        let error = get("/t").unwrap_err();
        assert_eq!(error.code(), ErrorCode::MappingFailed);
        assert!(error.detail().contains("/t"), "{error}");
    }

    #[test]
    fn validation_says_where() {
        let at = |value: Value| source(value).validate("/rules/0/effect/name").pop().map(|e| e.field);
        assert_eq!(at(json!("customer")).as_deref(), Some("/rules/0/effect/name"));
        assert_eq!(at(json!({"template": "{x"})).as_deref(), Some("/rules/0/effect/name/template"));
        assert_eq!(at(json!("/customer")), None);
        assert_eq!(at(json!({"value": null})), None);
    }
}
