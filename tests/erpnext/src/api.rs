//! The site's API: who asks, which route, and the answer in the dialect of its version. One request, one transaction:
//! what fails leaves nothing, and neither does a GET.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    clock::SiteClock,
    database::{Database, Document},
    exception::{Exception, Outcome},
    filter::{self, ListQuery},
    methods,
    oauth::Oauth,
    options::{Access, RateLimit, Right, User},
    request::{Answer, Credentials, Request},
    save, value,
};

/// Everything that requests share.
#[derive(Debug)]
pub struct Api {
    /// What is kept.
    pub database: Database,
    /// Who has a key.
    pub users: Vec<User>,
    /// Tokens.
    pub oauth: Oauth,
    /// The site's time.
    pub clock: SiteClock,
    /// The name of its zone.
    pub time_zone: String,
    /// The budget.
    pub rate_limit: Option<RateLimit>,
    window: i64,
    used: u64,
}

/// What a method or a route gives.
#[derive(Debug)]
pub enum Given {
    /// A value in the version's envelope.
    Value(Value),
    /// The same, with 202.
    Accepted(Value),
    /// No value: the envelope is empty.
    Nothing,
    /// An answer without an envelope.
    Bare(Answer),
}

/// A document without what is null, as `/api/resource` shows it.
pub fn without_nulls(document: Document) -> Document {
    let keep = |(key, value): (String, Value)| match value {
        Value::Null => None,
        Value::Array(rows) => {
            let rows = rows.into_iter().map(|row| match row {
                Value::Object(row) => Value::Object(without_nulls(row)),
                other => other,
            });
            Some((key, Value::Array(rows.collect())))
        }
        value => Some((key, value)),
    };
    document.into_iter().filter_map(keep).collect()
}

impl User {
    /// Refuses what this user may not do.
    pub fn may(&self, right: Right, doctype: &str) -> Outcome<()> {
        let customising = ["Custom Field", "User", "DocType"].contains(&doctype);
        let allowed = match self.access {
            Access::SystemManager => true,
            Access::Documents => !customising,
            Access::ReadOnly => right == Right::Read && !customising,
            Access::Nothing => false,
        };
        let denied = self.denied.iter().any(|(of, denied)| of == doctype && *denied == right);
        if allowed && !denied { Ok(()) } else { Err(Exception::forbidden(&self.name, doctype)) }
    }
}

impl Api {
    /// A site.
    pub fn new(
        database: Database,
        users: Vec<User>,
        oauth: Oauth,
        clock: SiteClock,
        time_zone: String,
        rate_limit: Option<RateLimit>,
    ) -> Self {
        Self { database, users, oauth, clock, time_zone, rate_limit, window: 0, used: 0 }
    }

    /// Answers; says whether anything was changed.
    pub fn answer(&mut self, request: &Request) -> (Answer, bool) {
        let (api, version) = match request.parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["api", "v2", ..] => (&request.parts[2..], 2),
            ["api", "v1", ..] => (&request.parts[2..], 1),
            ["api", ..] => (&request.parts[1..], 1),
            _ => return (Answer::text(404, "text/html; charset=utf-8", "<h1>Not Found</h1>"), false),
        };
        let now = self.clock.now();
        let (headers, limited) = self.spend(now);
        let outcome =
            if limited { Err(Exception::too_many_requests()) } else { self.route(request, api, version) };
        let changed = if outcome.is_ok() && request.method != "GET" {
            self.database.commit()
        } else {
            self.database.undo();
            false
        };
        let mut answer = match outcome {
            Err(limit) if limit.status == 429 && request.accept.starts_with("text") => {
                Answer::text(429, "text/plain; charset=utf-8", "Too Many Requests")
            }
            Err(exception) if version == 2 => Answer::json(exception.status, &exception.v2()),
            Err(exception) => Answer::json(exception.status, &exception.v1()),
            Ok(Given::Bare(answer)) => answer,
            Ok(given) => {
                enveloped(given, version == 2 || api.first().is_some_and(|first| first == "resource"))
            }
        };
        answer.headers.extend(headers);
        (answer, changed)
    }

    fn spend(&mut self, now: Timestamp) -> (Vec<(String, String)>, bool) {
        let Some(limit) = self.rate_limit else { return (Vec::new(), false) };
        let seconds = i64::try_from(limit.window_seconds.max(1)).unwrap_or(1);
        let window = now.as_second().div_euclid(seconds);
        if window != self.window {
            (self.window, self.used) = (window, 0);
        }
        let left = limit.limit_micros.saturating_sub(self.used);
        let reset = ((window + 1) * seconds - now.as_second()).to_string();
        let mut headers = vec![
            ("X-RateLimit-Reset".to_owned(), reset.clone()),
            ("X-RateLimit-Limit".to_owned(), limit.limit_micros.to_string()),
            ("X-RateLimit-Remaining".to_owned(), left.to_string()),
        ];
        if left == 0 {
            headers.push(("Retry-After".to_owned(), reset));
            return (headers, true);
        }
        self.used += limit.cost_micros;
        headers.push(("X-RateLimit-Used".to_owned(), limit.cost_micros.to_string()));
        (headers, false)
    }

    fn caller(&self, request: &Request) -> Outcome<User> {
        let user = match request.credentials() {
            Credentials::None => return Ok(User::new("Guest", "", "", Access::Nothing)),
            Credentials::Unreadable => None,
            Credentials::Key(key, secret) => {
                self.users.iter().find(|user| user.key == key && user.secret == secret)
            }
            Credentials::Bearer(token) => {
                let name = self.oauth.bearer(&token, self.clock.now());
                self.users.iter().find(|user| Some(user.name.as_str()) == name)
            }
        };
        user.cloned().ok_or_else(Exception::unauthenticated)
    }

    fn route(&mut self, request: &Request, api: &[String], version: u8) -> Outcome<Given> {
        let user = self.caller(request)?;
        let parts: Vec<&str> = api.iter().map(String::as_str).collect();
        let verb = request.method.as_str();
        if request.body.is_err() {
            let text = "Expecting value: line 1 column 1 (char 0)";
            return Err(Exception::python("JSONDecodeError", text));
        }
        match (verb, parts.as_slice()) {
            (_, ["method", method, ..]) => methods::call(self, &user, verb, method, &request.arguments()),
            ("GET", ["resource" | "document", doctype]) => {
                self.list(&user, doctype, &request.query, version).map(Given::Value)
            }
            ("POST", ["resource" | "document", doctype]) => {
                let given = object(request)?;
                self.insert(&user, doctype, given).map(shown)
            }
            (_, ["resource" | "document", doctype, name @ .., "method", method])
                if version == 2 && !name.is_empty() =>
            {
                self.document_method(&user, verb, doctype, &name.join("/"), method)
            }
            ("GET", ["resource" | "document", doctype, name @ ..]) => {
                self.read(&user, doctype, &name.join("/")).map(shown)
            }
            ("PUT" | "PATCH", ["resource" | "document", doctype, name @ ..])
                if verb == "PUT" || version == 2 =>
            {
                let given = object(request)?;
                self.update(&user, doctype, &name.join("/"), given).map(shown)
            }
            ("DELETE", ["resource" | "document", doctype, name @ ..]) => {
                self.delete(&user, doctype, &name.join("/"))?;
                Ok(Given::Accepted(json!("ok")))
            }
            ("GET", ["doctype", doctype, "count"]) if version == 2 => {
                let asked = |name: &str| parsed(request.query.get(name));
                let (all, any) = (asked("filters"), asked("or_filters"));
                self.count(&user, doctype, &all, &any).map(|count| Given::Value(json!(count)))
            }
            _ => Err(Exception::missing(&request.path)),
        }
    }

    /// The rows of a list, with the arguments of a query or a method.
    pub fn list(
        &self,
        user: &User,
        doctype: &str,
        given: &Map<String, Value>,
        version: u8,
    ) -> Outcome<Value> {
        user.may(Right::Read, doctype)?;
        let doctype = save::doctype(&self.database, doctype)?;
        let whole = |keys: &[&str], default: usize| {
            let number = keys.iter().find_map(|key| given.get(*key).map(value::text));
            number.map_or(default, |text| text.parse().unwrap_or(default))
        };
        let fields = match parsed(given.get("fields")) {
            Value::Array(fields) => fields.iter().map(value::text).collect(),
            Value::String(field) => field.split(',').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let limits: &[&str] = if version == 2 { &["limit"] } else { &["limit_page_length", "limit"] };
        let query = ListQuery {
            fields,
            filters: parsed(given.get("filters")),
            or_filters: parsed(given.get("or_filters")),
            order_by: given.get("order_by").map(value::text).unwrap_or_default(),
            start: whole(&["limit_start", "start"], 0),
            limit: whole(limits, 20),
        };
        let rows = filter::list(&self.database, &doctype, &query)?;
        Ok(rows.into_iter().map(Value::Object).collect())
    }

    /// How many documents there are.
    pub fn count(&self, user: &User, doctype: &str, filters: &Value, or_filters: &Value) -> Outcome<usize> {
        user.may(Right::Read, doctype)?;
        filter::count(&self.database, &save::doctype(&self.database, doctype)?, filters, or_filters)
    }

    /// One document.
    pub fn read(&self, user: &User, doctype: &str, name: &str) -> Outcome<Document> {
        save::doctype(&self.database, doctype)?;
        let document = save::read(&self.database, doctype, name)?;
        user.may(Right::Read, doctype)?;
        Ok(document)
    }

    /// Inserts, and submits if `docstatus` is 1.
    pub fn insert(&mut self, user: &User, doctype: &str, given: Document) -> Outcome<Document> {
        let doctype = save::doctype(&self.database, doctype)?;
        user.may(Right::Create, &doctype.name)?;
        if given.get("docstatus").and_then(value::number).is_some_and(|status| status > 0.0) {
            user.may(Right::Submit, &doctype.name)?;
        }
        save::insert(&mut self.database, &user.name, &doctype, given)
    }

    /// Saves changes.
    pub fn update(&mut self, user: &User, doctype: &str, name: &str, given: Document) -> Outcome<Document> {
        let doctype = save::doctype(&self.database, doctype)?;
        save::read(&self.database, &doctype.name, name)?;
        user.may(Right::Write, &doctype.name)?;
        match given.get("docstatus").and_then(value::number) {
            Some(1.0) => user.may(Right::Submit, &doctype.name)?,
            Some(2.0) => user.may(Right::Cancel, &doctype.name)?,
            _ => (),
        }
        save::update(&mut self.database, &user.name, &doctype, name, given)
    }

    /// Deletes.
    pub fn delete(&mut self, user: &User, doctype: &str, name: &str) -> Outcome<()> {
        let doctype = save::doctype(&self.database, doctype)?;
        if self.database.get(&doctype.name, name).is_some() && user.may(Right::Delete, &doctype.name).is_err()
        {
            return Err(Exception::not_deletable(&user.name, &doctype.name, name));
        }
        save::delete(&mut self.database, &doctype, name)
    }

    fn document_method(
        &mut self,
        user: &User,
        verb: &str,
        doctype: &str,
        name: &str,
        method: &str,
    ) -> Outcome<Given> {
        let mut change = Document::new();
        match (verb, method) {
            ("POST", "submit") => change.insert("docstatus".into(), json!(1)),
            ("POST", "cancel") => change.insert("docstatus".into(), json!(2)),
            _ => return Err(Exception::not_whitelisted(method)),
        };
        self.update(user, doctype, name, change).map(|document| Given::Value(Value::Object(document)))
    }
}

fn shown(document: Document) -> Given {
    Given::Value(Value::Object(without_nulls(document)))
}

fn object(request: &Request) -> Outcome<Document> {
    match &request.body {
        Ok(Value::Object(given)) => {
            // A form may carry the document as `data`.
            let inner =
                given.get("data").and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
            Ok(inner.unwrap_or_else(|| given.clone()))
        }
        Ok(Value::Null) => Ok(Document::new()),
        _ => Err(Exception::python("AttributeError", "'list' object has no attribute 'pop'")),
    }
}

/// An argument that may be JSON in a text.
pub fn parsed(given: Option<&Value>) -> Value {
    match given {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

fn enveloped(given: Given, as_data: bool) -> Answer {
    let key = if as_data { "data" } else { "message" };
    match given {
        Given::Value(value) => Answer::json(200, &json!({ key: value })),
        Given::Accepted(value) => Answer::json(202, &json!({ key: value })),
        Given::Nothing => Answer::json(200, &json!({})),
        Given::Bare(answer) => answer,
    }
}
