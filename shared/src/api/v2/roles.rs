//! Roles: what whoever has one may do.

use crate::{
    ErrorCode, Result,
    api::{
        Call,
        answer::{Created, Many, Nothing, One, Tagged},
        condition::Seen,
        input::{Json, Paging, Query},
        named::{self, Sent, Shown},
        shown::segment,
    },
    auth::Role,
    documents::Record,
};

/// `GET /v2/roles`: the built-in ones that nothing replaces, then the others, changed longest ago first.
pub async fn list(call: &Call<'_>, Query(paging): Query<Paging>) -> Result<Many<Shown<Role>>> {
    let page = call.services.accounts.roles(call.principal()?, paging.limit.get(), paging.cursor).await?;
    let items = page.items.into_iter().map(Shown::from).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `GET /v2/roles/{role}`.
pub async fn get(call: &Call<'_>) -> Result<Tagged<One<Shown<Role>>>> {
    let role = call.services.accounts.role(call.principal()?, call.param("role")?).await?;
    let role = Shown::from(role);
    Ok(Tagged::revision(role.revision(), One::of(role)))
}

/// `PUT /v2/roles/{role}`: creates or replaces one, all or nothing.
pub async fn put(
    call: &Call<'_>,
    Json(sent): Json<Sent<Role>>,
    seen: Seen,
) -> Result<Tagged<Created<Shown<Role>>>> {
    let name = call.param("role")?;
    let role = sent.named(name)?;
    let expect = seen.expect(role.validate(), revision(call, name)).await?;
    let saved = call.services.accounts.put_role(call.principal()?, &role, expect).await;
    let saved = saved.map_err(|error| seen.refused(error))?;
    Ok(Shown::saved(saved, format!("/v2/roles/{}", segment(name))))
}

/// `DELETE /v2/roles/{role}`: of a built-in one, what replaced it.
pub async fn delete(call: &Call<'_>, seen: Seen) -> Result<Nothing> {
    let name = call.param("role")?;
    let expect = seen.expect(Ok(()), revision(call, name)).await?;
    let removed = call.services.accounts.remove_role(call.principal()?, name, expect).await;
    removed.map(|()| Nothing).map_err(|error| seen.refused(error))
}

/// The revision of the role `name`, if there is one.
async fn revision(call: &Call<'_>, name: &str) -> Result<Option<u64>> {
    let found = call.services.accounts.role(call.principal()?, name).await;
    named::revision_of(found, ErrorCode::RoleNotFound)
}
