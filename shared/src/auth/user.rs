//! Users: who acts, in which roles. Kept as records, validated where they are written; some are built in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    built_in::{BuiltIn, MAX_NAME_CHARS, check_name},
    role::SYSTEM_MANAGER,
};
use crate::{Error, ErrorCode, Result, documents::Record, error::Faults};

/// The user who may do everything and cannot be changed; the first API key is theirs.
pub const ADMINISTRATOR: &str = "Administrator";

const MAX_ROLES: usize = 20;

/// Someone who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "name": "shop@example.com", "full_name": "The shop", "roles": ["Order Desk"] }))]
pub struct User {
    /// An e-mail address or a name, at most 140 characters, without `/`, as `modified_by` shows it.
    #[schemars(length(min = 1, max = 140))]
    pub name: String,
    /// What people call them, at most 140 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 140))]
    pub full_name: Option<String>,
    /// Whoever is not is nobody.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// At most 20; one that does not exist any more grants nothing.
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub roles: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Record for User {
    const DOCTYPE: &'static str = "User";

    fn name(&self) -> &str {
        &self.name
    }

    fn check_name(name: &str) -> Result<()> {
        check_name::<Self>(name)
    }

    /// Whether its roles exist is for the one who writes to ask.
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.result("/name", Self::check_name(&self.name));
        let length = self.full_name.as_deref().unwrap_or_default().chars().count();
        let short = length <= MAX_NAME_CHARS;
        faults.check(short, "/full_name", "too_long", format!("at most {MAX_NAME_CHARS} characters"));
        let few = self.roles.len() <= MAX_ROLES;
        faults.check(few, "/roles", "too_long", format!("at most {MAX_ROLES} roles"));
        for (i, role) in self.roles.iter().enumerate().take(MAX_ROLES) {
            let repeated = self.roles[..i].contains(role);
            faults.check(!repeated, format!("/roles/{i}"), "invalid", "is named twice");
        }
        faults.into_result()
    }
}

impl BuiltIn for User {
    const FIXED: &'static str = ADMINISTRATOR;

    fn names() -> &'static [&'static str] {
        &[ADMINISTRATOR, "integrations@causeway", "auditor@causeway"]
    }

    fn built_in(name: &str) -> Result<Option<Self>> {
        let role = match name {
            ADMINISTRATOR => SYSTEM_MANAGER,
            "integrations@causeway" => "Integration User",
            "auditor@causeway" => "Auditor",
            _ => return Ok(None),
        };
        let (name, roles) = (name.to_owned(), vec![role.to_owned()]);
        Ok(Some(Self { name, full_name: None, enabled: true, roles }))
    }

    fn missing(name: &str) -> Error {
        Error::new(ErrorCode::UserNotFound, format!("there is no user {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_user_names_its_field() {
        let roles = (0..21).map(|n| format!("R{n}")).collect();
        let wrong = User { name: "a/b".into(), full_name: Some("x".repeat(141)), enabled: true, roles };
        let error = wrong.validate().unwrap_err();
        let fields: Vec<_> = error.field_errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["/name", "/full_name", "/roles"]);
        let twice =
            User { roles: vec!["A".into(), "A".into()], ..User::built_in(ADMINISTRATOR).unwrap().unwrap() };
        assert_eq!(twice.validate().unwrap_err().field_errors()[0].field, "/roles/1");
    }

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_not_known_is_refused() {
        let user: User = serde_json::from_str(r#"{"name":"ann@example.com"}"#).unwrap();
        assert!(user.enabled && user.roles.is_empty());
        assert!(serde_json::from_str::<User>(r#"{"name":"ann","password":"x"}"#).is_err());
    }
}
