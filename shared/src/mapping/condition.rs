//! Conditions: whether a rule, or a child row, counts for this payload.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    fault::Fault,
    number,
    path::{self, Scope},
};
use crate::FieldError;

/// How deep `all`, `any` and `not` may be nested.
const MAX_DEPTH: usize = 5;

/// How many conditions `all` or `any` may have, and values `in`.
const MAX_WIDTH: usize = 100;

/// What must hold. A path that leads nowhere counts as null. Numbers are compared by what they are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a condition is {\"path\", one of \"equals\", \"not_equals\", \"in\", \"exists\", \"greater_than\", \
                 \"less_than\"}, or one of {\"all\": […]}, {\"any\": […]}, {\"not\": …}"
)]
pub enum Condition {
    /// All of them hold (also when there are none).
    All {
        /// The conditions.
        all: Vec<Condition>,
    },
    /// At least one holds.
    Any {
        /// The conditions.
        any: Vec<Condition>,
    },
    /// It does not hold.
    Not {
        /// The condition.
        not: Box<Condition>,
    },
    /// The value is this one.
    Equals {
        /// Where the value is.
        path: String,
        /// Any JSON.
        equals: Value,
    },
    /// The value is not this one.
    NotEquals {
        /// Where the value is.
        path: String,
        /// Any JSON.
        not_equals: Value,
    },
    /// The value is one of these.
    In {
        /// Where the value is.
        path: String,
        /// Any JSON.
        r#in: Vec<Value>,
    },
    /// There is a value, other than null; or, with `false`, there is none.
    Exists {
        /// Where the value is.
        path: String,
        /// Whether there must be one.
        exists: bool,
    },
    /// The value is a number, or text that says one, and more than this.
    GreaterThan {
        /// Where the value is.
        path: String,
        /// A number.
        greater_than: Value,
    },
    /// The value is a number, or text that says one, and less than this.
    LessThan {
        /// Where the value is.
        path: String,
        /// A number.
        less_than: Value,
    },
}

impl Condition {
    /// Whether it holds for `payload`.
    pub fn holds(&self, payload: &Value) -> bool {
        self.holds_in(Scope::of(payload))
    }

    /// What is wrong with it as a setting; `at` is its place in the settings, a JSON pointer.
    pub fn validate(&self, at: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check(at, MAX_DEPTH, &mut errors);
        errors
    }

    pub(super) fn holds_in(&self, scope: Scope<'_>) -> bool {
        let value = |path: &str| scope.find(path).unwrap_or(&Value::Null);
        let order = |path: &str, other: &Value| Some(number::of(value(path))?.cmp(&number::of(other)?));
        match self {
            Self::All { all } => all.iter().all(|condition| condition.holds_in(scope)),
            Self::Any { any } => any.iter().any(|condition| condition.holds_in(scope)),
            Self::Not { not } => !not.holds_in(scope),
            Self::Equals { path, equals } => number::same(value(path), equals),
            Self::NotEquals { path, not_equals } => !number::same(value(path), not_equals),
            Self::In { path, r#in } => r#in.iter().any(|one| number::same(value(path), one)),
            Self::Exists { path, exists } => scope.find_some(path).is_some() == *exists,
            Self::GreaterThan { path, greater_than } => {
                order(path, greater_than).is_some_and(Ordering::is_gt)
            }
            Self::LessThan { path, less_than } => order(path, less_than).is_some_and(Ordering::is_lt),
        }
    }

    fn check(&self, at: &str, depth: usize, errors: &mut Vec<FieldError>) {
        if depth == 0 {
            errors.push(Fault::too_long(format!("conditions may be nested {MAX_DEPTH} deep")).at(at));
            return;
        }
        match self {
            Self::All { all } => check_each(all, &format!("{at}/all"), depth, errors),
            Self::Any { any } => check_each(any, &format!("{at}/any"), depth, errors),
            Self::Not { not } => not.check(&format!("{at}/not"), depth - 1, errors),
            Self::Equals { path, .. } | Self::NotEquals { path, .. } | Self::Exists { path, .. } => {
                check_path(path, at, errors);
            }
            Self::In { path, r#in } => {
                check_path(path, at, errors);
                check_width(r#in.len(), &format!("{at}/in"), errors);
            }
            Self::GreaterThan { path, greater_than: bound } => {
                check_path(path, at, errors);
                check_bound(bound, &format!("{at}/greater_than"), errors);
            }
            Self::LessThan { path, less_than: bound } => {
                check_path(path, at, errors);
                check_bound(bound, &format!("{at}/less_than"), errors);
            }
        }
    }
}

fn check_each(conditions: &[Condition], at: &str, depth: usize, errors: &mut Vec<FieldError>) {
    check_width(conditions.len(), at, errors);
    for (index, condition) in conditions.iter().enumerate().take(MAX_WIDTH) {
        condition.check(&format!("{at}/{index}"), depth - 1, errors);
    }
}

fn check_path(path: &str, at: &str, errors: &mut Vec<FieldError>) {
    errors.extend(path::check(path).err().map(|fault| fault.at(format!("{at}/path"))));
}

fn check_width(count: usize, at: &str, errors: &mut Vec<FieldError>) {
    if count == 0 {
        errors.push(Fault::missing("must not be empty").at(at));
    } else if count > MAX_WIDTH {
        errors.push(Fault::too_long(format!("must be at most {MAX_WIDTH}")).at(at));
    }
}

fn check_bound(bound: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if number::of(bound).is_none() {
        errors.push(Fault::invalid("must be a number").at(at));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(value: Value) -> Condition {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_test_says_what_it_says() {
        let payload: Value =
            serde_json::from_str(r#"{"status": "open", "qty": 2.0, "rate": "10.50", "none": null}"#).unwrap();
        for (value, expected) in [
            (json!({"path": "/status", "equals": "open"}), true),
            (json!({"path": "/status", "equals": "Open"}), false),
            (json!({"path": "/qty", "equals": 2}), true),
            (json!({"path": "/none", "equals": null}), true),
            (json!({"path": "/absent", "equals": null}), true),
            (json!({"path": "/status", "not_equals": "open"}), false),
            (json!({"path": "/absent", "not_equals": "open"}), true),
            (json!({"path": "/qty", "in": [1, 2, 3]}), true),
            (json!({"path": "/qty", "in": ["2"]}), false),
            (json!({"path": "/status", "exists": true}), true),
            (json!({"path": "/none", "exists": true}), false),
            (json!({"path": "/absent", "exists": false}), true),
            (json!({"path": "/rate", "greater_than": 10.49}), true),
            (json!({"path": "/rate", "greater_than": 10.5}), false),
            (json!({"path": "/rate", "less_than": 11}), true),
            (json!({"path": "/status", "less_than": 11}), false),
            (json!({"path": "/absent", "greater_than": 0}), false),
            (json!({"not": {"path": "/qty", "equals": 2}}), false),
            (json!({"all": [{"path": "/qty", "equals": 2}, {"path": "/status", "equals": "x"}]}), false),
            (json!({"any": [{"path": "/qty", "equals": 2}, {"path": "/status", "equals": "x"}]}), true),
        ] {
            assert_eq!(condition(value.clone()).holds(&payload), expected, "{value}");
            assert_eq!(serde_json::to_value(condition(value.clone())).unwrap(), value);
        }
    }

    #[test]
    fn one_test_a_condition() {
        for bad in [
            json!({}),
            json!({"path": "/a"}),
            json!({"path": "/a", "equals": 1, "exists": true}),
            json!({"path": "/a", "matches": "x"}),
            json!("/a"),
        ] {
            let error = serde_json::from_value::<Condition>(bad).unwrap_err().to_string();
            assert!(error.contains("a condition is"), "{error}");
        }
    }

    #[test]
    fn validation_says_where() {
        let at = |value: Value| {
            condition(value).validate("/when").into_iter().map(|e| e.field).collect::<Vec<_>>()
        };
        assert_eq!(at(json!({"path": "a", "equals": 1})), ["/when/path"]);
        assert_eq!(at(json!({"path": "/a", "greater_than": "x"})), ["/when/greater_than"]);
        assert_eq!(
            at(json!({"all": [{"path": "/a", "exists": true}, {"not": {"path": "b", "in": []}}]})),
            ["/when/all/1/not/path", "/when/all/1/not/in"]
        );
        assert_eq!(at(json!({"any": []})), ["/when/any"]);
        let deep = (0..20).fold(json!({"path": "/a", "exists": true}), |inner, _| json!({"not": inner}));
        assert_eq!(at(deep), ["/when/not/not/not/not/not"]);
    }
}
