//! A site: a method for each thing that is asked of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderValue, Method, Response};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tracing::error;
use url::Url;

use super::{
    Authorise, CONNECTOR, ERPNEXT, Exception, ID_FIELD, MARK_FIELD, MAX_INSERTS, Map, PolicySource, Refusal,
    SiteQuery, request::SiteRequest, time::SiteZone,
};
use crate::{
    Error, ErrorCode, Result,
    bounded::Bounded,
    clock::Clock,
    outbound::{Answer, Call, CallFailure, Outbound, Repeat},
};

/// How long it is remembered that a DocType is prepared.
const PREPARED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long that it is not: someone may be about to.
const UNPREPARED_FOR: SignedDuration = SignedDuration::from_mins(1);
/// How many DocTypes that is remembered of.
const MAX_REMEMBERED: usize = 1_000;
/// The longest path with its query that every server before a site takes, in bytes. Longer lists are asked for by POST.
const MAX_TARGET_BYTES: usize = 3_500;

/// Which site, and as which connector.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// Its URL, e.g. `https://erp.example.com`.
    pub url: Url,
    /// The connector that it is, as a rule [`CONNECTOR`].
    pub connector: String,
}

impl SiteConfig {
    /// The site at `url`: `http` or `https`, without user, query and fragment.
    pub fn new(url: &str) -> Result<Self> {
        let refused = |why: &str| Error::field("url", "invalid", format!("the site's URL {why}"));
        let url = Url::parse(url.trim()).map_err(|error| refused(&format!("is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(refused("must begin with https:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("must hold no credentials"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("must end before any ? and #"));
        }
        Ok(Self { url, connector: CONNECTOR.to_owned() })
    }
}

/// Why a site did not do what was asked.
#[derive(Debug)]
pub enum SiteError {
    /// It declined.
    Refused(Refusal),
    /// There was no answer; the failure says whether the call may have had its effect.
    Call(CallFailure),
}

impl SiteError {
    /// Whether it is the refusal `exception`.
    pub fn is(&self, exception: &Exception) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.exception == *exception)
    }
}

impl From<SiteError> for Error {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Refused(refusal) => refusal.into(),
            SiteError::Call(failure) => failure.into(),
        }
    }
}

/// The versions of a site's apps, by app: `frappe` and `erpnext` among them.
pub type Versions = BTreeMap<String, String>;

/// An ERPNext site.
pub struct Site {
    config: SiteConfig,
    credentials: Arc<dyn Authorise>,
    outbound: Arc<Outbound>,
    policies: Arc<dyn PolicySource>,
    clock: Arc<dyn Clock>,
    zone: OnceCell<SiteZone>,
    user: Mutex<Option<(HeaderValue, String)>>,
    prepared: Mutex<Bounded<bool>>,
}

impl Site {
    /// The site of `config`, called with `credentials` over `outbound` as `policies` say.
    pub fn new(
        config: SiteConfig,
        credentials: Arc<dyn Authorise>,
        outbound: Arc<Outbound>,
        policies: Arc<dyn PolicySource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let prepared = Mutex::new(Bounded::new(MAX_REMEMBERED, usize::MAX));
        Self {
            config,
            credentials,
            outbound,
            policies,
            clock,
            zone: OnceCell::new(),
            user: Mutex::default(),
            prepared,
        }
    }

    /// Which site it is.
    pub fn config(&self) -> &SiteConfig {
        &self.config
    }

    /// The document `name`; `None` if there is none.
    pub async fn get(&self, doctype: &str, name: &str) -> Result<Option<Map>, SiteError> {
        let request = SiteRequest::resource(Method::GET, doctype, Some(name), Repeat::Safe);
        match self.document(request).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.is(&Exception::DoesNotExist) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A page of a list.
    pub async fn list(&self, query: &SiteQuery) -> Result<Vec<Map>, SiteError> {
        let mut request =
            SiteRequest::resource(Method::GET, &query.doctype, None, Repeat::Safe).map_err(unsent)?;
        request.query = query.parameters();
        if request.target_length() > MAX_TARGET_BYTES {
            let args = query.arguments();
            request = SiteRequest::method("frappe.client.get_list", args, Repeat::Safe).map_err(unsent)?;
        }
        let part = if request.method == Method::GET { "data" } else { "message" };
        match self.send(&request).await?.shift_remove(part) {
            Some(Value::Array(rows)) => rows.into_iter().map(|row| self.object(row)).collect(),
            // Where there is nothing to show, a method's answer has no message.
            None if part == "message" => Ok(Vec::new()),
            _ => Err(self.unreadable()),
        }
    }

    /// How many documents there are that fit `filters`.
    pub async fn count(&self, doctype: &str, filters: &[Value]) -> Result<u64, SiteError> {
        self.count_any(doctype, filters, &[]).await
    }

    /// How many documents there are that fit all of `filters`, and one of `or_filters` if there are any. Each counts
    /// once, however many of its rows fit: this is the desk's own count, which reads filters as lists do and asks for
    /// the permission to read. `frappe.client.get_count` does neither.
    pub async fn count_any(
        &self,
        doctype: &str,
        filters: &[Value],
        or_filters: &[Value],
    ) -> Result<u64, SiteError> {
        let mut args =
            Map::from_iter([("doctype".to_owned(), json!(doctype)), ("distinct".to_owned(), json!(true))]);
        for (name, list) in [("filters", filters), ("or_filters", or_filters)] {
            if !list.is_empty() {
                args.insert(name.to_owned(), Value::from(list.to_vec()));
            }
        }
        let counted = self.call("frappe.desk.reportview.get_count", args, Repeat::Safe).await?;
        counted.as_u64().ok_or_else(|| self.unreadable())
    }

    /// Inserts a document, and submits it where its `docstatus` is 1; the document as it is then.
    pub async fn insert(&self, doctype: &str, document: Map, repeat: Repeat) -> Result<Map, SiteError> {
        let mut request = SiteRequest::resource(Method::POST, doctype, None, repeat).map_err(unsent)?;
        request.body = Some(Value::Object(document));
        // There is no document yet that could be missing: it is one that this one names.
        self.document(Ok(request)).await.map_err(|error| missing_link(error, |_| true))
    }

    /// Inserts documents, each with its `doctype`: all or none. Their names.
    pub async fn insert_many(&self, documents: Vec<Map>, repeat: Repeat) -> Result<Vec<String>, SiteError> {
        if documents.len() > MAX_INSERTS {
            let detail = format!("an ERPNext site inserts at most {MAX_INSERTS} documents at once");
            return Err(unsent(Error::new(ErrorCode::StoreUnsupported, detail)));
        }
        let sent = documents.len();
        let docs = documents.into_iter().map(Value::Object).collect::<Vec<_>>();
        let args = Map::from_iter([("docs".to_owned(), Value::from(docs))]);
        let inserted = self.call("frappe.client.insert_many", args, repeat).await;
        let inserted = inserted.map_err(|error| missing_link(error, |_| true))?;
        let names: Vec<String> = inserted.as_array().into_iter().flatten().filter_map(name).collect();
        if names.len() == sent { Ok(names) } else { Err(self.unknown()) }
    }

    /// Changes the fields in `changes`, and no others; the document as it is then. With `modified` among them, it is
    /// refused where the document has another by now.
    pub async fn update(
        &self,
        doctype: &str,
        name: &str,
        changes: Map,
        repeat: Repeat,
    ) -> Result<Map, SiteError> {
        let mut request = SiteRequest::resource(Method::PUT, doctype, Some(name), repeat).map_err(unsent)?;
        request.body = Some(Value::Object(changes));
        let updated = self.document(Ok(request)).await;
        // Its own absence names it; that of a document it refers to names the other.
        updated.map_err(|error| missing_link(error, |said| !said.is_empty() && !said.contains(name)))
    }

    /// Deletes the document.
    pub async fn delete(&self, doctype: &str, name: &str) -> Result<(), SiteError> {
        let request = SiteRequest::resource(Method::DELETE, doctype, Some(name), Repeat::Safe);
        match self.send(&request.map_err(unsent)?).await {
            // It went with a try whose answer was lost.
            Err(SiteError::Refused(no)) if no.after_unknown && no.exception == Exception::DoesNotExist => {
                Ok(())
            }
            done => done.map(drop),
        }
    }

    /// Calls a method; what it returns, null if nothing.
    pub async fn call(&self, method: &str, args: Map, repeat: Repeat) -> Result<Value, SiteError> {
        let request = SiteRequest::method(method, Value::Object(args), repeat).map_err(unsent)?;
        Ok(self.send(&request).await?.shift_remove("message").unwrap_or_default())
    }

    /// What a method that is called by GET returns, null if nothing: whatever it wrote, the site undoes.
    pub async fn ask(&self, method: &str, args: &[(&'static str, &str)]) -> Result<Value, SiteError> {
        let request = SiteRequest::question(method, args).map_err(unsent)?;
        Ok(self.send(&request).await?.shift_remove("message").unwrap_or_default())
    }

    /// The site's zone, asked for once.
    pub async fn time_zone(&self) -> Result<SiteZone, SiteError> {
        let zone = self.zone.get_or_try_init(|| async {
            let answer = self.call("frappe.client.get_time_zone", Map::new(), Repeat::Safe).await?;
            let name = answer.get("time_zone").and_then(Value::as_str);
            name.and_then(SiteZone::named).ok_or_else(|| {
                error!(time_zone = name, "the ERPNext site names no time zone that we know");
                self.unreadable()
            })
        });
        zone.await.cloned()
    }

    /// As whom the site knows us, asked for once for the credentials that we have: others may be another user's.
    pub async fn user(&self) -> Result<String, SiteError> {
        let authorization = self.credentials.authorization().await.map_err(unsent)?;
        let known = self.user.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, user)) = known.filter(|(whose, _)| *whose == authorization) {
            return Ok(user);
        }
        let answer = self.call("frappe.auth.get_logged_user", Map::new(), Repeat::Safe).await?;
        let user = answer.as_str().map(ToOwned::to_owned).ok_or_else(|| self.unreadable())?;
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = Some((authorization, user.clone()));
        Ok(user)
    }

    /// The headers that come with its answers: its clock, and what is left of its limits.
    pub async fn headers(&self) -> Result<HeaderMap, SiteError> {
        let args = Value::Object(Map::new());
        let request = SiteRequest::method("frappe.auth.get_logged_user", args, Repeat::Safe);
        let answer = self.answer(&request.map_err(unsent)?).await?;
        Ok(answer.headers().clone())
    }

    /// The versions of its apps.
    pub async fn versions(&self) -> Result<Versions, SiteError> {
        let answer = self.call("frappe.utils.change_log.get_versions", Map::new(), Repeat::Safe).await?;
        let Value::Object(apps) = answer else { return Err(self.unreadable()) };
        let version = |app: &Value| app.get("version").and_then(Value::as_str).map(ToOwned::to_owned);
        Ok(apps.into_iter().filter_map(|(name, app)| Some((name, version(&app)?))).collect())
    }

    /// Whether documents of `doctype` have the fields by which an effect happens once. Remembered for an hour if so,
    /// for a minute if not.
    pub async fn is_prepared(&self, doctype: &str) -> Result<bool, SiteError> {
        let now = self.clock.now();
        if let Some(known) = self.remembered().get(doctype, now) {
            return Ok(*known);
        }
        let query = SiteQuery {
            doctype: doctype.to_owned(),
            fields: vec![ID_FIELD.to_owned(), MARK_FIELD.to_owned()],
            limit: 1,
            ..SiteQuery::default()
        };
        let prepared = match self.list(&query).await {
            Ok(_) => true,
            Err(SiteError::Refused(no)) if no.is_of_field(ID_FIELD) || no.is_of_field(MARK_FIELD) => false,
            Err(error) => return Err(error),
        };
        let kept_for = if prepared { PREPARED_FOR } else { UNPREPARED_FOR };
        let until = now.saturating_add(kept_for).unwrap_or(now);
        self.remembered().insert(doctype.to_owned(), prepared, 1, until, now);
        Ok(prepared)
    }

    /// Forgets whether `doctype` is prepared.
    pub fn forget_prepared(&self, doctype: &str) {
        self.remembered().remove(doctype);
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Bounded<bool>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn document(&self, request: Result<SiteRequest>) -> Result<Map, SiteError> {
        let request = request.map_err(unsent)?;
        match self.send(&request).await?.shift_remove("data") {
            Some(Value::Object(document)) => Ok(named(document)),
            _ if request.method == Method::GET => Err(self.unreadable()),
            _ => Err(self.unknown()),
        }
    }

    async fn send(&self, request: &SiteRequest) -> Result<Map, SiteError> {
        let answer = self.answer(request).await?;
        serde_json::from_slice(answer.body()).map_err(|_| self.unknown())
    }

    /// Sends `request`, once more where the site does not know its credentials and there are others: whoever it does
    /// not know, it does nothing for.
    async fn answer(&self, request: &SiteRequest) -> Result<Response<Vec<u8>>, SiteError> {
        let authorization = self.credentials.authorization().await.map_err(unsent)?;
        let mut answer = self.attempt(request, &authorization).await?;
        if answer.response.status() == http::StatusCode::UNAUTHORIZED
            && let Some(renewed) = self.credentials.renewed(&authorization).await.map_err(unsent)?
        {
            answer = self.attempt(request, &renewed).await?;
        }
        if answer.refused {
            let refusal = Refusal::read(answer.response.status().as_u16(), answer.response.body());
            return Err(SiteError::Refused(Refusal { after_unknown: answer.after_unknown, ..refusal }));
        }
        Ok(answer.response)
    }

    async fn attempt(&self, request: &SiteRequest, authorization: &HeaderValue) -> Result<Answer, SiteError> {
        let policy = self.policies.policy().await.map_err(unsent)?;
        let call = Call {
            connector: self.config.connector.clone(),
            endpoint: request.endpoint.clone(),
            request: request.build(&self.config.url, authorization).map_err(unsent)?,
            repeat: request.repeat,
            provider: &ERPNEXT,
        };
        self.outbound.call(&call, &policy).await.map_err(SiteError::Call)
    }

    fn object(&self, value: Value) -> Result<Map, SiteError> {
        match value {
            Value::Object(object) => Ok(named(object)),
            _ => Err(self.unreadable()),
        }
    }

    /// A success whose content is not what this question is answered with.
    pub(super) fn unreadable(&self) -> SiteError {
        SiteError::Call(CallFailure::Failed(self.strange(ErrorCode::ProviderUnavailable)))
    }

    /// The same of a write: what was done, nobody knows.
    fn unknown(&self) -> SiteError {
        SiteError::Call(CallFailure::Unknown(self.strange(ErrorCode::OutcomeUnknown)))
    }

    fn strange(&self, code: ErrorCode) -> Error {
        Error::new(code, format!("{} answers what no ERPNext site answers", self.config.connector))
    }
}

/// A document whose name is a text: where the site counts (`autoincrement`), it writes a number.
fn named(mut document: Map) -> Map {
    if let Some(name) = document.get("name").filter(|given| given.is_number()).and_then(name) {
        document.insert("name".to_owned(), name.into());
    }
    document
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Nothing was sent.
fn unsent(error: Error) -> SiteError {
    SiteError::Call(CallFailure::Withheld(error))
}

/// `error`, where it is that a document does not exist and `is_other` says of the site's words that another one is
/// meant than the one asked for, as that.
fn missing_link(error: SiteError, is_other: impl FnOnce(&str) -> bool) -> SiteError {
    match error {
        SiteError::Refused(refusal)
            if refusal.exception == Exception::DoesNotExist && is_other(&refusal.message) =>
        {
            SiteError::Refused(Refusal { exception: Exception::LinkMissing, ..refusal })
        }
        other => other,
    }
}
