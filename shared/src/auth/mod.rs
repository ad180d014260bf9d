//! Who may do what: users, roles, and the one question [`permit`].
//!
//! The API asks for its caller, the event worker for the user a connector acts as. Users and roles are the
//! seeded ones of [`role`].

mod api_key;
mod role;

pub use api_key::{ADMIN_KEY_ID, ApiKeys, PresentedKey};
pub use role::{Role, User, user};

use crate::{Error, ErrorCode, Result, documents::DocType};

/// Someone who acts, with the roles they act in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user's name, as `modified_by` shows it.
    pub user: String,
    /// Their roles.
    pub roles: Vec<Role>,
}

impl Principal {
    /// The user `name` with their roles; `permission_denied` if there is no such user.
    pub fn named(name: &str) -> Result<Self> {
        let user = user(name)
            .ok_or_else(|| Error::new(ErrorCode::PermissionDenied, format!("there is no user {name:?}")))?;
        Ok(Self { user: user.name.to_owned(), roles: user.roles.to_vec() })
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission<'a> {
    /// Read documents of a DocType.
    Read(&'a DocType),
    /// Create one.
    Create(&'a DocType),
    /// Change one.
    Write(&'a DocType),
    /// Submit or cancel one.
    Submit(&'a DocType),
    /// Delete one.
    Delete(&'a DocType),
    /// Read the Integration Log and what is parked.
    ReadOperations,
    /// Replay what is parked.
    Replay,
    /// Read and write connector settings.
    ManageConnectors,
}

/// Whether `principal` may do it: `permission_denied` unless one of their roles says yes. DocTypes that are
/// Causeway's own are never permitted here; they have routes of their own.
pub fn permit(principal: &Principal, permission: Permission<'_>) -> Result<()> {
    let denied = |what: String| {
        Err(Error::new(ErrorCode::PermissionDenied, format!("{} may not {what}", principal.user)))
    };
    let (verb, doctype) = match permission {
        Permission::Read(doctype) => ("read", Some(doctype)),
        Permission::Create(doctype) => ("create", Some(doctype)),
        Permission::Write(doctype) => ("change", Some(doctype)),
        Permission::Submit(doctype) => ("submit or cancel", Some(doctype)),
        Permission::Delete(doctype) => ("delete", Some(doctype)),
        Permission::ReadOperations => ("read the logs", None),
        Permission::Replay => ("replay events", None),
        Permission::ManageConnectors => ("manage connectors", None),
    };
    let what = doctype.map_or_else(|| verb.to_owned(), |doctype| format!("{verb} {doctype}"));
    if let Some(system) = doctype.filter(|doctype| doctype.is_system()) {
        return Err(Error::new(
            ErrorCode::PermissionDenied,
            format!("{system} is Causeway's own and out of reach of documents"),
        ));
    }
    if !principal.roles.iter().any(|role| role.allows(permission)) {
        return denied(what);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> DocType {
        DocType::new("Sales Order").unwrap()
    }

    #[test]
    fn every_role_gets_what_its_table_says() {
        let allowed = |user: &str, permission| permit(&Principal::named(user).unwrap(), permission).is_ok();
        let order = order();
        assert!(allowed("Administrator", Permission::ManageConnectors));
        assert!(allowed("integrations@causeway", Permission::Delete(&order)));
        assert!(!allowed("integrations@causeway", Permission::ManageConnectors));
        assert!(allowed("auditor@causeway", Permission::Read(&order)));
        assert!(!allowed("auditor@causeway", Permission::Create(&order)));
        assert!(!allowed("auditor@causeway", Permission::Replay));
    }

    #[test]
    fn nobody_reaches_system_doctypes_through_documents() {
        let admin = Principal::named("Administrator").unwrap();
        for name in ["Integration Settings", "API Key", "user"] {
            let doctype = DocType::new(name).unwrap();
            assert_eq!(
                permit(&admin, Permission::Read(&doctype)).unwrap_err().code(),
                ErrorCode::PermissionDenied
            );
        }
    }

    #[test]
    fn an_unknown_user_is_nobody() {
        assert_eq!(Principal::named("mallory").unwrap_err().code(), ErrorCode::PermissionDenied);
    }
}
