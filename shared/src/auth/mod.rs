//! Who may do what: API keys, users, roles, and the one question [`permit`].
//!
//! A request's key ([`PresentedKey`]) leads to its user ([`ApiKeys`]), a user to a [`Principal`] ([`Directory`]), which
//! is also what the event worker asks for the user a connector acts as. [`Accounts`] and [`Keyring`] change users, roles
//! and keys, for those who may; what they change is felt everywhere within 30 seconds.

mod accounts;
mod api_key;
mod built_in;
mod directory;
mod keyring;
mod keys;
mod memory;
mod presented_key;
mod principal;
mod role;
#[cfg(test)]
mod tests;
mod user;

pub use accounts::Accounts;
pub use api_key::{ADMIN_KEY_ID, ApiKey, KeyRecord};
pub use built_in::Known;
pub use directory::Directory;
pub use keyring::{
    DEFAULT_GRACE_SECONDS, ExpiryChange, KeyChanges, Keyring, MAX_GRACE_SECONDS, NewKey, Rotation,
};
pub use keys::{ApiKeys, Caller};
pub use presented_key::{PresentedKey, Seal};
pub use principal::{Account, Principal};
pub use role::{DocumentRule, Operation, Role, SYSTEM_MANAGER, Verb};
pub use user::{ADMINISTRATOR, User};

use crate::{Error, ErrorCode, Result, documents::DocType};

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
    /// Read and write users, roles and API keys.
    ManageUsers,
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
        Permission::ManageUsers => ("manage users, roles and API keys", None),
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
