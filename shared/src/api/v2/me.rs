//! Who asks.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Result,
    api::{Call, answer::One, shown::Time},
    auth::{DocumentRule, Operation},
};

/// Who asks, and what they may do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Me {
    /// As whom the caller acts.
    user: String,
    /// In which roles.
    roles: Vec<String>,
    /// What these allow together with documents, one rule a DocType; `*` is every one but Causeway's own.
    documents: Vec<DocumentRule>,
    /// What they allow besides documents.
    operations: Vec<Operation>,
    /// The key that was sent.
    key: KeyInUse,
}

/// A key that was sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyInUse {
    /// Its id.
    id: String,
    /// When it stops being accepted; null for never.
    expires_at: Option<Time>,
}

/// `GET /v2/me`.
pub async fn get(call: &Call<'_>) -> Result<One<Me>> {
    let caller = call.caller()?;
    let principal = &caller.principal;
    Ok(One::of(Me {
        user: principal.user.clone(),
        roles: principal.roles.iter().map(|role| role.name.clone()).collect(),
        documents: principal.rules(),
        operations: principal.operations(),
        key: KeyInUse { id: caller.key_id.clone(), expires_at: caller.expires_at.map(Time) },
    }))
}
