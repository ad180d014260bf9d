//! Who a user is: the one place where a name becomes a [`Principal`].
//!
//! The API asks for the user of a key, the event worker for the user of a connector. Users and roles are remembered
//! for [`TTL`], so a change made elsewhere is felt after that at the latest; one made through the same instance at
//! once. Cold or old, an account costs one round trip: the roles a user had last are read beside the user.

use std::sync::Arc;

use futures::future::try_join_all;
use jiff::SignedDuration;

use super::{
    Principal, Role, User,
    built_in::{BuiltIn, Known, Overlaid},
    memory::{Memory, TTL},
    principal::Account,
};
use crate::{Error, ErrorCode, Result, clock::Clock, documents::DocumentStore};

/// Users and roles, remembered.
pub struct Directory {
    users: Overlaid<User>,
    roles: Overlaid<Role>,
    known_users: Memory<Known<User>>,
    known_roles: Memory<Role>,
}

impl Directory {
    /// The users and roles in `store`.
    pub fn new(store: Arc<dyn DocumentStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            users: Overlaid::new(Arc::clone(&store)),
            roles: Overlaid::new(store),
            known_users: Memory::new(Arc::clone(&clock)),
            known_roles: Memory::new(clock),
        }
    }

    /// As whom `user` acts; `permission_denied` if there is no such user or it is disabled.
    pub async fn principal(&self, user: &str) -> Result<Principal> {
        let account = self.account(user, TTL).await?;
        account.ok_or_else(|| nobody(user))?.principal()
    }

    /// The user `name` with their roles, enabled or not, as they are stored now: for those who change something that
    /// depends on it.
    pub async fn stored_account(&self, name: &str) -> Result<Option<Account>> {
        self.account(name, SignedDuration::ZERO).await
    }

    /// The user `name` with their roles, at most `age` old.
    pub(super) async fn account(&self, name: &str, age: SignedDuration) -> Result<Option<Account>> {
        let expected = self.last_roles(name)?;
        let (user, early) = tokio::join!(self.user(name, age), self.roles_of(&expected, age));
        let Some(user) = user? else { return Ok(None) };
        let roles = &user.value().roles;
        let roles = if *roles == expected { early? } else { self.roles_of(roles, age).await? };
        Ok(Some(account(&user, roles)))
    }

    /// The user `name` with their roles, if all of that is remembered. Reads nothing.
    pub(super) fn remembered(&self, name: &str) -> Option<Account> {
        let user = self.known_users.remembered(name)?;
        // Of a role that does not exist nothing is remembered: who has one is read again.
        let roles = user.value().roles.iter().map(|role| self.known_roles.remembered(role));
        Some(account(&user, roles.collect::<Option<_>>()?))
    }

    /// Forgets the user `name`, who has just been changed.
    pub(super) fn forget_user(&self, name: &str) {
        self.known_users.forget(name);
    }

    /// Forgets the role `name`, which has just been changed.
    pub(super) fn forget_role(&self, name: &str) {
        self.known_roles.forget(name);
    }

    async fn user(&self, name: &str, age: SignedDuration) -> Result<Option<Arc<Known<User>>>> {
        self.known_users.get(name, age, || self.users.get(name)).await
    }

    async fn role(&self, name: String, age: SignedDuration) -> Result<Option<Arc<Role>>> {
        let load = async || Ok(self.roles.get(&name).await?.map(Known::into_value));
        self.known_roles.get(&name, age, load).await
    }

    /// Those of `names` that exist, side by side.
    pub(super) async fn roles_of(&self, names: &[String], age: SignedDuration) -> Result<Vec<Arc<Role>>> {
        let roles = names.iter().cloned().map(|name| self.role(name, age));
        Ok(try_join_all(roles).await?.into_iter().flatten().collect())
    }

    /// The roles that `name` had when they were last looked at, or has if nothing replaced a built-in one.
    fn last_roles(&self, name: &str) -> Result<Vec<String>> {
        if let Some(user) = self.known_users.last(name) {
            return Ok(user.value().roles.clone());
        }
        Ok(User::built_in(name)?.map(|user| user.roles).unwrap_or_default())
    }
}

fn account(user: &Known<User>, roles: Vec<Arc<Role>>) -> Account {
    let replaces_none = !User::names().contains(&user.value().name.as_str());
    let since = user.recorded().filter(|_| replaces_none).map(|record| record.creation);
    Account { user: user.value().clone(), roles, since }
}

/// The error that there is no user of that name to act as.
pub(super) fn nobody(user: &str) -> Error {
    Error::new(ErrorCode::PermissionDenied, format!("there is no user {user:?}"))
}
