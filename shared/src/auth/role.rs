//! The seeded users and roles.

use super::Permission;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    SystemManager,
    /// All documents; no configuration.
    IntegrationUser,
    /// Reads documents and logs.
    Auditor,
}

impl Role {
    /// Whether the role grants `permission`.
    pub fn allows(self, permission: Permission<'_>) -> bool {
        match self {
            Self::SystemManager => true,
            Self::IntegrationUser => !matches!(permission, Permission::ManageConnectors | Permission::Replay),
            Self::Auditor => matches!(permission, Permission::Read(_) | Permission::ReadOperations),
        }
    }
}

/// A user and their roles.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The name, as `modified_by` shows it.
    pub name: &'static str,
    /// The roles.
    pub roles: &'static [Role],
}

const USERS: [User; 3] = [
    User { name: "Administrator", roles: &[Role::SystemManager] },
    User { name: "integrations@causeway", roles: &[Role::IntegrationUser] },
    User { name: "auditor@causeway", roles: &[Role::Auditor] },
];

/// The user of that name.
pub fn user(name: &str) -> Option<&'static User> {
    USERS.iter().find(|user| user.name == name)
}
