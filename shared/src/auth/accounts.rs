//! Users and roles as those who manage users see and change them: the only way to write either.
//!
//! Nobody gives more than they have: whoever writes a user, or a role, must be allowed to do all that it allows, before
//! the change and after it. The user and the role that may do everything are fixed, so nobody can be locked out.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{
    Directory, Permission, Principal, Role, User,
    built_in::{BuiltIn, Known, Overlaid},
    permit,
};
use crate::{
    Result,
    documents::{DocumentStore, Expect, Page, Record, Saved},
    error::Faults,
};

/// Shows and changes users and roles.
pub struct Accounts {
    users: Overlaid<User>,
    roles: Overlaid<Role>,
    directory: Arc<Directory>,
}

impl Accounts {
    /// The users and roles in `store`, which `directory` remembers.
    pub fn new(store: Arc<dyn DocumentStore>, directory: Arc<Directory>) -> Self {
        Self { users: Overlaid::new(Arc::clone(&store)), roles: Overlaid::new(store), directory }
    }

    /// A page of users: the built-in ones that nothing replaced, then those that are stored, changed longest ago first.
    pub async fn users(
        &self,
        by: &Principal,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Page<Known<User>>> {
        permit(by, Permission::ManageUsers)?;
        self.users.list(limit, cursor).await
    }

    /// The user `name`.
    pub async fn user(&self, by: &Principal, name: &str) -> Result<Known<User>> {
        permit(by, Permission::ManageUsers)?;
        self.users.get(name).await?.ok_or_else(|| User::missing(name))
    }

    /// Creates or replaces a user; its roles must exist. `expect` as for [`Records::put`](crate::documents::Records::put),
    /// a built-in user that nothing replaced being absent.
    pub async fn put_user(&self, by: &Principal, user: &User, expect: Option<Expect>) -> Result<Saved<User>> {
        permit(by, Permission::ManageUsers)?;
        user.validate()?;
        let roles = self.directory.roles_of(&user.roles, SignedDuration::ZERO).await?;
        let mut faults = Faults::default();
        for (i, name) in user.roles.iter().enumerate() {
            let exists = roles.iter().any(|role| role.name == *name);
            faults.check(exists, format!("/roles/{i}"), "unknown", "there is no such role");
        }
        faults.into_result()?;
        by.check_covers(roles.iter().map(Arc::as_ref))?;
        self.check_covers_user(by, &user.name).await?;
        let saved = self.users.put(user, expect, &by.user).await?;
        self.directory.forget_user(&user.name);
        Ok(saved)
    }

    /// Removes the user `name`; their keys are not accepted any more, even if there is one of the name again. A built-in
    /// user that was replaced is as it was.
    pub async fn remove_user(&self, by: &Principal, name: &str, expect: Option<Expect>) -> Result<()> {
        permit(by, Permission::ManageUsers)?;
        self.check_covers_user(by, name).await?;
        if let Some(default) = User::built_in(name)? {
            let roles = self.directory.roles_of(&default.roles, SignedDuration::ZERO).await?;
            by.check_covers(roles.iter().map(Arc::as_ref))?;
        }
        self.users.remove(name, expect, &by.user).await?;
        self.directory.forget_user(name);
        Ok(())
    }

    /// A page of roles, as [`users`](Self::users).
    pub async fn roles(
        &self,
        by: &Principal,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Page<Known<Role>>> {
        permit(by, Permission::ManageUsers)?;
        self.roles.list(limit, cursor).await
    }

    /// The role `name`.
    pub async fn role(&self, by: &Principal, name: &str) -> Result<Known<Role>> {
        permit(by, Permission::ManageUsers)?;
        self.roles.get(name).await?.ok_or_else(|| Role::missing(name))
    }

    /// Creates or replaces a role, for all who have it. `expect` as in [`put_user`](Self::put_user).
    pub async fn put_role(&self, by: &Principal, role: &Role, expect: Option<Expect>) -> Result<Saved<Role>> {
        permit(by, Permission::ManageUsers)?;
        role.validate()?;
        by.check_covers([role])?;
        self.check_covers_role(by, &role.name).await?;
        let saved = self.roles.put(role, expect, &by.user).await?;
        self.directory.forget_role(&role.name);
        Ok(saved)
    }

    /// Removes the role `name`: users who have it keep its name, which grants nothing. A built-in role that was replaced
    /// is as it was.
    pub async fn remove_role(&self, by: &Principal, name: &str, expect: Option<Expect>) -> Result<()> {
        permit(by, Permission::ManageUsers)?;
        self.check_covers_role(by, name).await?;
        by.check_covers(Role::built_in(name)?.as_ref())?;
        self.roles.remove(name, expect, &by.user).await?;
        self.directory.forget_role(name);
        Ok(())
    }

    async fn check_covers_user(&self, by: &Principal, name: &str) -> Result<()> {
        let account = self.directory.stored_account(name).await?;
        by.check_covers(account.iter().flat_map(|account| account.roles.iter().map(Arc::as_ref)))
    }

    async fn check_covers_role(&self, by: &Principal, name: &str) -> Result<()> {
        let role = self.roles.get(name).await?;
        by.check_covers(role.as_ref().map(Known::value))
    }
}
