//! One authorised request, as a handler sees it.

use std::sync::Arc;

use super::{Services, version};
use crate::{
    Error, Result,
    auth::{Caller, Permission, Principal, permit},
    documents::{DocName, DocType, Document, DocumentKey, Editor, IdempotencyKey, NewDocument, Receipt},
    trigger::http::Request,
};

/// One authorised request.
pub struct Call<'a> {
    /// What to work with.
    pub services: &'a Services,
    /// The route's method and path, as the table has them.
    pub route: (&'static str, &'static str),
    /// The request.
    pub request: &'a Request,
    /// Who asks; nobody on a public route.
    pub caller: Option<Caller>,
    /// The path's parameters, percent-decoded.
    pub params: Vec<(String, String)>,
}

impl Call<'_> {
    /// The path's parameter `name`.
    pub fn param(&self, name: &str) -> Result<&str> {
        let found = self.params.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Error::internal(format!("the route has no {name:?}")))
    }

    /// The query's parameters, but for the version that the wrapper read.
    pub fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.request.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| *name != version::PARAMETER)
    }

    /// The DocType in the path.
    pub fn doctype(&self) -> Result<DocType> {
        DocType::new(self.param("doctype")?)
    }

    /// The document in the path.
    pub fn key(&self) -> Result<DocumentKey> {
        Ok(DocumentKey { doctype: self.doctype()?, name: DocName::new(self.param("name")?)? })
    }

    /// What reads and changes documents for who asks.
    pub fn editor(&self) -> Editor {
        Editor::new(Arc::clone(&self.services.documents), Arc::clone(&self.services.clock))
    }

    /// Frees what waits for `document`, under its name and under the one that `new` asked for, which a store need not
    /// have taken. Also after a repeat: the first may have died before.
    pub async fn free(&self, new: &NewDocument, document: &Document) {
        let asked = new.key().filter(|asked| *asked != document.key);
        for key in asked.iter().chain([&document.key]) {
            self.services.release.waiting_for(key).await;
        }
    }

    /// The receipt that `Idempotency-Key` asks for, if it is sent.
    pub fn receipt(&self) -> Result<Option<Receipt>> {
        let Some(value) = self.request.headers.get(IdempotencyKey::HEADER) else { return Ok(None) };
        let key = IdempotencyKey::parse(value.to_str().unwrap_or_default())?;
        let caller = self.caller()?;
        let mut query: Vec<(&String, &String)> = self.request.query.iter().collect();
        query.sort();
        let query = crate::dynamo::json(&query)?;
        let request = [
            self.request.method.as_bytes(),
            self.request.path.as_bytes(),
            query.as_bytes(),
            self.request.body()?,
        ];
        let route = format!("{} {}", self.route.0, self.route.1);
        Ok(Some(Receipt::new(&caller.principal.user, &route, key, &request, caller.seal.expose())))
    }

    /// Who asks.
    pub fn principal(&self) -> Result<&Principal> {
        self.caller().map(|caller| &caller.principal)
    }

    /// Who asks, with the key they sent.
    pub fn caller(&self) -> Result<&Caller> {
        self.caller.as_ref().ok_or_else(|| Error::internal("a public route asks who calls"))
    }

    /// Who asks, by name.
    pub fn user(&self) -> Result<&str> {
        self.principal().map(|principal| principal.user.as_str())
    }

    /// Refuses what the caller may not do.
    pub fn permit(&self, permission: Permission<'_>) -> Result<()> {
        permit(self.principal()?, permission)
    }
}
