//! Users: who acts, in which roles.

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
    auth::User,
    documents::Record,
};

/// `GET /v2/users`: the built-in ones that nothing replaces, then the others, changed longest ago first.
pub async fn list(call: &Call<'_>, Query(paging): Query<Paging>) -> Result<Many<Shown<User>>> {
    let page = call.services.accounts.users(call.principal()?, paging.limit.get(), paging.cursor).await?;
    let items = page.items.into_iter().map(Shown::from).collect();
    Ok(Many { items, next: page.next, partial: page.partial })
}

/// `GET /v2/users/{user}`.
pub async fn get(call: &Call<'_>) -> Result<Tagged<One<Shown<User>>>> {
    let user = call.services.accounts.user(call.principal()?, call.param("user")?).await?;
    let user = Shown::from(user);
    Ok(Tagged::revision(user.revision(), One::of(user)))
}

/// `PUT /v2/users/{user}`: creates or replaces one, all or nothing.
pub async fn put(
    call: &Call<'_>,
    Json(sent): Json<Sent<User>>,
    seen: Seen,
) -> Result<Tagged<Created<Shown<User>>>> {
    let name = call.param("user")?;
    let user = sent.named(name)?;
    let expect = seen.expect(user.validate(), revision(call, name)).await?;
    let saved = call.services.accounts.put_user(call.principal()?, &user, expect).await;
    let saved = saved.map_err(|error| seen.refused(error))?;
    Ok(Shown::saved(saved, format!("/v2/users/{}", segment(name))))
}

/// `DELETE /v2/users/{user}`: of a built-in one, what replaced it.
pub async fn delete(call: &Call<'_>, seen: Seen) -> Result<Nothing> {
    let name = call.param("user")?;
    let expect = seen.expect(Ok(()), revision(call, name)).await?;
    let removed = call.services.accounts.remove_user(call.principal()?, name, expect).await;
    removed.map(|()| Nothing).map_err(|error| seen.refused(error))
}

/// The revision of the user `name`, if there is one.
async fn revision(call: &Call<'_>, name: &str) -> Result<Option<u64>> {
    let found = call.services.accounts.user(call.principal()?, name).await;
    named::revision_of(found, ErrorCode::UserNotFound)
}
