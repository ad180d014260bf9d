//! A grant of OAuth in a file, renewed: its refresh token works once, so the file gets the next.

use std::{fs, io::Write, path::Path};

use causeway::{
    Error, Result,
    erpnext::credentials::{FixedToken, SiteSecret, TokenEndpoint},
};
use serde_json::{Map, Value};

/// The access token that the grant in `file` gives. The file has the next refresh token then.
pub async fn renewed(endpoint: &TokenEndpoint, file: &Path) -> Result<FixedToken> {
    let text = fs::read(file).map_err(|error| unusable("cannot be read").because(error))?;
    let SiteSecret::OAuth(grant) = SiteSecret::parse(&text)? else {
        return Err(unusable("holds an API key: give it as ERPNEXT_KEY and ERPNEXT_SECRET"));
    };
    // A file that cannot be written would lose the grant: found out before it is used up.
    let mut next = fs::OpenOptions::new().append(true).open(file).map_err(|error| {
        unusable("cannot be written, and has to be: a refresh token works once").because(error)
    })?;
    let granted = endpoint.renew(&grant, &grant.refresh_token).await.map_err(Error::from).map_err(told)?;
    let mut secret: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|_| unusable("is no JSON object"))?;
    if let Some(refresh_token) = granted.refresh_token {
        secret.insert("refresh_token".to_owned(), refresh_token.into());
    }
    let written = next.set_len(0).and_then(|()| writeln!(next, "{}", Value::Object(secret)));
    written.and_then(|()| next.sync_all()).map_err(|error| unusable("was not written").because(error))?;
    FixedToken::bearer(&granted.access_token)
}

/// What a site says of a refresh token that was used before, in words that help.
fn told(error: Error) -> Error {
    if !error.causes().contains("invalid_grant") {
        return error;
    }
    unusable(
        "holds a refresh token that the site does not take (invalid_grant): each works once, and with the client that \
         it was given to. Authorise anew, as docs/erpnext.md says, and put the next one into the file",
    )
}

fn unusable(why: &str) -> Error {
    Error::field("ERPNEXT_OAUTH", "invalid", format!("the file {why}"))
}
