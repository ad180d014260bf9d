//! Roles: what whoever has one may do with documents and with Causeway itself. Kept as records, validated where
//! they are written; some are built in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Permission,
    built_in::{BuiltIn, check_name},
};
use crate::{
    Error, Result,
    documents::{DocType, Record},
    error::Faults,
};

/// The role that may do everything and cannot be changed.
pub const SYSTEM_MANAGER: &str = "System Manager";

const MAX_RULES: usize = 200;
const MAX_DESCRIPTION_CHARS: usize = 500;
/// Stands for every DocType but Causeway's own.
const EVERY_DOCTYPE: &str = "*";

/// What whoever has the role may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "name": "Order Desk", "documents": [{ "doctype": "Sales Order", "read": true }] }))]
pub struct Role {
    /// Its name, at most 140 characters, without `/`.
    #[schemars(length(min = 1, max = 140))]
    pub name: String,
    /// What it is for, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub description: Option<String>,
    /// What is allowed with documents, at most 200 rules, one a DocType. A rule adds to what others allow.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub documents: Vec<DocumentRule>,
    /// What is allowed besides documents.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// What a role allows with the documents of a DocType.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "five independent permissions, as in an ERPNext role")]
pub struct DocumentRule {
    /// The DocType; `*` for every one but Causeway's own.
    pub doctype: DocType,
    /// List and get them.
    #[serde(default)]
    pub read: bool,
    /// Create them.
    #[serde(default)]
    pub create: bool,
    /// Change them.
    #[serde(default)]
    pub write: bool,
    /// Delete them.
    #[serde(default)]
    pub delete: bool,
    /// Submit and cancel them.
    #[serde(default)]
    pub submit: bool,
}

/// What can be done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// List and get.
    Read,
    /// Create.
    Create,
    /// Change.
    Write,
    /// Delete.
    Delete,
    /// Submit or cancel.
    Submit,
}

impl Verb {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Read, Self::Create, Self::Write, Self::Delete, Self::Submit];
}

/// What can be allowed besides documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Read the Integration Log, what is parked, and the bulk transactions of all users.
    ReadOperations,
    /// Replay and give up what is parked; with the one above, cancel and retry bulk transactions of others.
    Replay,
    /// Read and write connector settings.
    ManageConnectors,
    /// Read and write users, roles and API keys.
    ManageUsers,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::ReadOperations, Self::Replay, Self::ManageConnectors, Self::ManageUsers];
}

impl DocumentRule {
    /// Whether the rule allows `verb`.
    pub fn allows(&self, verb: Verb) -> bool {
        match verb {
            Verb::Read => self.read,
            Verb::Create => self.create,
            Verb::Write => self.write,
            Verb::Delete => self.delete,
            Verb::Submit => self.submit,
        }
    }

    /// Allows what `other` allows too.
    pub fn extend(&mut self, other: &Self) {
        self.read |= other.read;
        self.create |= other.create;
        self.write |= other.write;
        self.delete |= other.delete;
        self.submit |= other.submit;
    }

    fn is_for(&self, doctype: &DocType) -> bool {
        self.doctype.as_str() == EVERY_DOCTYPE || self.doctype == *doctype
    }
}

impl Role {
    /// Whether the role grants `permission`.
    pub fn allows(&self, permission: Permission<'_>) -> bool {
        match permission {
            Permission::Read(doctype) => self.allows_document(Verb::Read, doctype),
            Permission::Create(doctype) => self.allows_document(Verb::Create, doctype),
            Permission::Write(doctype) => self.allows_document(Verb::Write, doctype),
            Permission::Submit(doctype) => self.allows_document(Verb::Submit, doctype),
            Permission::Delete(doctype) => self.allows_document(Verb::Delete, doctype),
            Permission::ReadOperations => self.operations.contains(&Operation::ReadOperations),
            Permission::Replay => self.operations.contains(&Operation::Replay),
            Permission::ManageConnectors => self.operations.contains(&Operation::ManageConnectors),
            Permission::ManageUsers => self.operations.contains(&Operation::ManageUsers),
        }
    }

    /// Whether one of its rules allows `verb` with `doctype`.
    pub fn allows_document(&self, verb: Verb, doctype: &DocType) -> bool {
        self.documents.iter().any(|rule| rule.is_for(doctype) && rule.allows(verb))
    }

    fn check_rules(&self, faults: &mut Faults) {
        let few = self.documents.len() <= MAX_RULES;
        faults.check(few, "/documents", "too_long", format!("at most {MAX_RULES} rules"));
        for (i, rule) in self.documents.iter().enumerate().take(MAX_RULES) {
            let field = format!("/documents/{i}/doctype");
            let own = rule.doctype.is_system();
            faults.check(!own, &field, "invalid", "is Causeway's own: see \"operations\"");
            let repeated = self.documents[..i].iter().any(|other| other.doctype == rule.doctype);
            faults.check(!repeated, field, "invalid", "has a rule already");
        }
        for (i, operation) in self.operations.iter().enumerate().take(Operation::ALL.len() + 1) {
            let repeated = self.operations[..i].contains(operation);
            faults.check(!repeated, format!("/operations/{i}"), "invalid", "is named twice");
        }
    }
}

impl Record for Role {
    const DOCTYPE: &'static str = "Role";

    fn name(&self) -> &str {
        &self.name
    }

    fn check_name(name: &str) -> Result<()> {
        check_name::<Self>(name)
    }

    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.result("/name", Self::check_name(&self.name));
        let length = self.description.as_deref().unwrap_or_default().chars().count();
        faults.check(
            length <= MAX_DESCRIPTION_CHARS,
            "/description",
            "too_long",
            format!("at most {MAX_DESCRIPTION_CHARS} characters"),
        );
        self.check_rules(&mut faults);
        faults.into_result()
    }
}

impl BuiltIn for Role {
    const FIXED: &'static str = SYSTEM_MANAGER;

    fn names() -> &'static [&'static str] {
        &[SYSTEM_MANAGER, "Integration User", "Auditor"]
    }

    fn built_in(name: &str) -> Result<Option<Self>> {
        let (description, verbs, operations): (_, &[Verb], &[Operation]) = match name {
            SYSTEM_MANAGER => ("Everything", &Verb::ALL, &Operation::ALL),
            "Integration User" => {
                ("All documents, no configuration", &Verb::ALL, &[Operation::ReadOperations])
            }
            "Auditor" => ("Reads documents and logs", &[Verb::Read], &[Operation::ReadOperations]),
            _ => return Ok(None),
        };
        let every = DocumentRule {
            doctype: DocType::new(EVERY_DOCTYPE)?,
            read: verbs.contains(&Verb::Read),
            create: verbs.contains(&Verb::Create),
            write: verbs.contains(&Verb::Write),
            delete: verbs.contains(&Verb::Delete),
            submit: verbs.contains(&Verb::Submit),
        };
        Ok(Some(Self {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            documents: vec![every],
            operations: operations.to_vec(),
        }))
    }

    fn missing(name: &str) -> Error {
        Error::new(crate::ErrorCode::RoleNotFound, format!("there is no role {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(value: &Value) -> Role {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    fn faults(value: &Value) -> Vec<(String, &'static str)> {
        let error = role(value).validate().unwrap_err();
        error.field_errors().iter().map(|fault| (fault.field.clone(), fault.code)).collect()
    }

    #[test]
    fn a_rule_for_every_doctype_and_one_for_a_doctype_add_up() {
        let role = role(&json!({ "name": "Clerk", "documents": [
            { "doctype": "*", "read": true },
            { "doctype": "Sales Order", "create": true, "submit": true },
        ] }));
        let doctype = |name: &str| DocType::new(name).unwrap();
        assert!(role.allows(Permission::Read(&doctype("Item"))));
        assert!(!role.allows(Permission::Create(&doctype("Item"))));
        assert!(role.allows(Permission::Read(&doctype("Sales Order"))));
        assert!(role.allows(Permission::Create(&doctype("Sales Order"))));
        assert!(role.allows(Permission::Submit(&doctype("Sales Order"))));
        assert!(!role.allows(Permission::Delete(&doctype("Sales Order"))));
        assert!(!role.allows(Permission::ReadOperations));
    }

    #[test]
    fn every_fault_of_a_role_names_its_field() {
        let wrong = json!({ "name": " Clerk", "description": "x".repeat(501), "operations": ["replay", "replay"],
            "documents": [{ "doctype": "Item" }, { "doctype": "User", "read": true }, { "doctype": "Item" }] });
        let expected = [
            ("/name", "invalid"),
            ("/description", "too_long"),
            ("/documents/1/doctype", "invalid"),
            ("/documents/2/doctype", "invalid"),
            ("/operations/1", "invalid"),
        ];
        assert_eq!(faults(&wrong), expected.map(|(field, code)| (field.to_owned(), code)));
        let rules: Vec<Value> = (0..201).map(|n| json!({ "doctype": format!("D{n}") })).collect();
        assert_eq!(
            faults(&json!({ "name": "Clerk", "documents": rules })),
            [("/documents".into(), "too_long")]
        );
        let unknown = json!({ "name": "Clerk", "operations": ["fly"] });
        assert!(serde_json::from_str::<Role>(&unknown.to_string()).is_err());
    }

    #[test]
    fn no_name_looks_like_a_built_in_one() {
        for name in ["system manager", "AUDITOR", "", "a\u{7}b", &"x".repeat(141), "a/b"] {
            assert!(Role::check_name(name).is_err(), "{name:?}");
        }
        for name in [SYSTEM_MANAGER, "Auditor", "Sales User", &"ü".repeat(140)] {
            assert!(Role::check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn built_in_roles_are_valid() {
        for name in Role::names() {
            let role = Role::built_in(name).unwrap().unwrap();
            role.validate().unwrap();
            assert_eq!(role.name, *name);
        }
    }
}
