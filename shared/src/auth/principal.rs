//! Someone who acts, with what they may do.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use jiff::Timestamp;

use super::{
    DocumentRule, Role, User,
    built_in::BuiltIn,
    role::{Operation, SYSTEM_MANAGER, Verb},
    user::ADMINISTRATOR,
};
use crate::{Error, ErrorCode, Result, documents::DocType, id::digest};

/// Someone who acts, with the roles they act in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user's name, as `modified_by` shows it.
    pub user: String,
    /// Their roles.
    pub roles: Vec<Arc<Role>>,
}

impl Principal {
    /// The one who may do everything, for what nobody asked for.
    pub fn administrator() -> Result<Self> {
        let role = Role::built_in(SYSTEM_MANAGER)?;
        Ok(Self { user: ADMINISTRATOR.to_owned(), roles: role.into_iter().map(Arc::new).collect() })
    }

    /// What they may do, as 64 hexadecimal digits: the same for whoever has the same roles, another one once a role
    /// allows something else. For the keys of what is remembered for them.
    pub fn fingerprint(&self) -> String {
        let mut roles: Vec<&Role> = self.roles.iter().map(Arc::as_ref).collect();
        roles.sort_by(|a, b| a.name.cmp(&b.name));
        roles.dedup_by(|a, b| a.name == b.name);
        let parts: Vec<String> = roles.into_iter().flat_map(said).collect();
        hex(digest(&parts.iter().map(String::as_bytes).collect::<Vec<_>>()).as_ref())
    }

    /// What they may do with documents: one rule a DocType, of all their roles together, by DocType.
    pub fn rules(&self) -> Vec<DocumentRule> {
        let mut rules = BTreeMap::<&DocType, DocumentRule>::new();
        for rule in self.roles.iter().flat_map(|role| &role.documents) {
            rules.entry(&rule.doctype).and_modify(|all| all.extend(rule)).or_insert_with(|| rule.clone());
        }
        rules.into_values().collect()
    }

    /// What they may do besides documents, of all their roles together.
    pub fn operations(&self) -> Vec<Operation> {
        let granted =
            |operation: &Operation| self.roles.iter().any(|role| role.operations.contains(operation));
        Operation::ALL.into_iter().filter(granted).collect()
    }

    /// `permission_denied` unless they may do all that each of `roles` allows: nobody gives, or takes from others,
    /// what they do not have.
    pub fn check_covers<'a>(&self, roles: impl IntoIterator<Item = &'a Role>) -> Result<()> {
        match roles.into_iter().find(|role| !self.covers(role)) {
            None => Ok(()),
            Some(role) => Err(Error::new(
                ErrorCode::PermissionDenied,
                format!("{} may not do all that the role {:?} allows", self.user, role.name),
            )),
        }
    }

    fn covers(&self, role: &Role) -> bool {
        let operations = role.operations.iter();
        let mut rules = role.documents.iter();
        operations
            .into_iter()
            .all(|operation| self.roles.iter().any(|own| own.operations.contains(operation)))
            && rules.all(|rule| {
                let mut verbs = Verb::ALL.into_iter().filter(|verb| rule.allows(*verb));
                verbs.all(|verb| self.roles.iter().any(|own| own.allows_document(verb, &rule.doctype)))
            })
    }
}

/// A user and their roles, as they are known.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user.
    pub user: User,
    /// Those of their roles that exist.
    pub roles: Vec<Arc<Role>>,
    /// Since when there has been this user, as opposed to an earlier one of the name; `None` for a built-in one, which
    /// has always been there.
    pub since: Option<Timestamp>,
}

impl Account {
    /// As whom they act; `permission_denied` if they are disabled.
    pub fn principal(self) -> Result<Principal> {
        if self.user.enabled {
            return Ok(Principal { user: self.user.name, roles: self.roles });
        }
        Err(Error::new(ErrorCode::PermissionDenied, format!("the user {:?} is disabled", self.user.name)))
    }
}

/// What `role` allows, in an order of its own: its name, how many rules there are, the rules and the operations.
fn said(role: &Role) -> Vec<String> {
    let bit = |set: bool| if set { '1' } else { '0' };
    let mut rules: Vec<_> = role.documents.iter().collect();
    rules.sort_by(|a, b| a.doctype.cmp(&b.doctype));
    let mut parts = vec![role.name.clone(), rules.len().to_string()];
    for rule in rules {
        parts.push(rule.doctype.as_str().to_owned());
        parts.push(Verb::ALL.map(|verb| bit(rule.allows(verb))).iter().collect());
    }
    parts.push(Operation::ALL.map(|operation| bit(role.operations.contains(&operation))).iter().collect());
    parts
}

/// `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(value: &Value) -> Role {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    fn with(roles: impl IntoIterator<Item = Value>) -> Principal {
        Principal {
            user: "ann".into(),
            roles: roles.into_iter().map(|value| Arc::new(role(&value))).collect(),
        }
    }

    #[test]
    fn a_fingerprint_is_what_one_may_do_and_nothing_else() {
        let reads = json!({ "name": "A", "documents": [{ "doctype": "Item", "read": true }] });
        let replays = json!({ "name": "B", "operations": ["replay"] });
        let one = with([reads.clone(), replays.clone()]);
        let mut other = with([replays, reads.clone()]);
        other.user = "bob".into();
        assert_eq!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint().len(), 64);
        let described =
            json!({ "name": "A", "description": "x", "documents": [{ "doctype": "Item", "read": true }] });
        assert_eq!(with([described]).fingerprint(), with([reads.clone()]).fingerprint());
        let changed = [
            json!({ "name": "A", "documents": [{ "doctype": "Item", "write": true }] }),
            json!({ "name": "A", "documents": [{ "doctype": "Item", "read": true, "write": true }] }),
            json!({ "name": "A", "documents": [{ "doctype": "Items", "read": true }] }),
            json!({ "name": "A", "documents": [{ "doctype": "Item", "read": true }], "operations": ["replay"] }),
            json!({ "name": "A" }),
        ];
        for changed in changed {
            assert_ne!(
                with([changed.clone()]).fingerprint(),
                with([reads.clone()]).fingerprint(),
                "{changed}"
            );
        }
    }

    #[test]
    fn roles_add_up_by_doctype() {
        let ann = with([
            json!({ "name": "A", "documents": [{ "doctype": "Item", "read": true }, { "doctype": "*", "read": true }] }),
            json!({ "name": "B", "documents": [{ "doctype": "Item", "submit": true }], "operations": ["replay"] }),
        ]);
        let rules = serde_json::to_value(ann.rules()).unwrap();
        assert_eq!(rules[0]["doctype"], "*");
        assert_eq!(
            rules[1],
            json!({ "doctype": "Item", "read": true, "create": false, "write": false, "delete": false, "submit": true })
        );
        assert_eq!(ann.operations(), [Operation::Replay]);
    }

    #[test]
    fn nobody_covers_more_than_all_their_roles_together_allow() {
        let ann = with([
            json!({ "name": "A", "documents": [{ "doctype": "*", "read": true }], "operations": ["replay"] }),
            json!({ "name": "B", "documents": [{ "doctype": "Item", "create": true, "write": true }] }),
        ]);
        let covers = |value: Value| ann.check_covers([&role(&value)]).is_ok();
        assert!(covers(
            json!({ "name": "X", "documents": [{ "doctype": "Item", "read": true, "write": true }] })
        ));
        assert!(covers(
            json!({ "name": "X", "documents": [{ "doctype": "*", "read": true }], "operations": ["replay"] })
        ));
        assert!(!covers(json!({ "name": "X", "documents": [{ "doctype": "*", "create": true }] })));
        assert!(!covers(json!({ "name": "X", "documents": [{ "doctype": "Item", "delete": true }] })));
        assert!(!covers(json!({ "name": "X", "operations": ["manage_users"] })));
        Principal::administrator().unwrap().check_covers(ann.roles.iter().map(Arc::as_ref)).unwrap();
    }
}
