//! The OpenAPI 3.1 document, generated from the route table and the handlers' types. It is committed as
//! `docs/openapi.json`, which the API serves; a test fails when the two differ.
//!
//! `UPDATE_DOCS=1 cargo test --workspace --lib reference` writes it.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    router::{Access, ROUTES, Route},
    site,
    v1::{self, notice},
    version,
};
use crate::{Error, ErrorCode, rate_limit::Class};

/// What one route takes and gives, while it is being described.
pub struct Operation<'g> {
    route: &'g Route,
    generator: &'g mut SchemaGenerator,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    failures: Vec<ErrorCode>,
}

impl Operation<'_> {
    /// The route's method.
    pub fn method(&self) -> &'static str {
        self.route.method
    }

    /// It reads `T` from the query.
    pub fn query<T: JsonSchema>(&mut self) {
        let schema = T::json_schema(self.generator).to_value();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            let description = property.as_object_mut().and_then(|p| p.shift_remove("description"));
            self.parameters.push(json!({
                "name": name,
                "in": "query",
                "required": required.contains(&name.as_str()),
                "description": description.unwrap_or_default(),
                "schema": not_empty(not_null(property)),
            }));
        }
    }

    /// It reads `T` from the body, JSON.
    pub fn body<T: JsonSchema>(&mut self) {
        let schema = self.generator.subschema_for::<T>();
        self.body = Some(json!({
            "required": true,
            "content": { "application/json": { "schema": schema } },
        }));
    }

    /// It reads `T` as Frappe's methods read arguments: from the query, or from a body that is JSON or a form.
    pub fn arguments<T: JsonSchema>(&mut self) {
        if matches!(self.method(), "GET" | "DELETE") {
            return self.query::<T>();
        }
        let mut schema = T::json_schema(self.generator).to_value();
        let mut required = schema["required"].as_array().is_some_and(|names| !names.is_empty());
        if let Some(before) = self.body.take() {
            required |= before["required"] == true;
            let before = before["content"]["application/json"]["schema"].clone();
            schema = json!({ "allOf": [before, schema] });
        }
        self.body = Some(json!({
            "required": required,
            "content": {
                "application/json": { "schema": schema },
                "application/x-www-form-urlencoded": { "schema": schema },
            },
        }));
    }

    /// It reads the header `name`, if it is there.
    pub fn header(&mut self, name: &str, description: &str, schema: &Value) {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
        }));
    }

    /// It may fail so, for something that it reads.
    pub fn fails(&mut self, code: ErrorCode) {
        self.failures.push(code);
    }

    /// Its answers so far have an `ETag`.
    pub fn tags_answers(&mut self) {
        for (_, answer) in &mut self.answers {
            answer["headers"]["ETag"] = json!({ "schema": { "type": "string" } });
        }
    }

    /// It reads the version that is asked for.
    pub fn version(&mut self) {
        for (place, name) in [("query", version::PARAMETER), ("header", version::HEADER)] {
            self.parameters.push(json!({
                "name": name,
                "in": place,
                "required": false,
                "description": "The version it is about.",
                "schema": { "enum": ["v1", "v2", "1", "2", "1.0", "2.0"] },
            }));
        }
    }

    /// It answers `status` with `T` in `member` of Frappe's envelope, or with the envelope alone.
    pub fn answers_in<T: JsonSchema>(&mut self, status: u16, member: Option<&str>) {
        let mut properties = json!({
            "version": { "const": "1.0" },
            "deprecated": { "const": true },
            "migration_guide": { "type": "string", "description": "The way to version 2." },
        });
        if let Some(member) = member {
            properties[member] = self.generator.subschema_for::<T>().to_value();
        }
        self.answers_object(status, &properties, &member.into_iter().collect::<Vec<_>>(), &[]);
    }

    /// It answers `status` with one `T`.
    pub fn answers_one<T: JsonSchema>(&mut self, status: u16, headers: &[&str]) {
        let schema = self.generator.subschema_for::<T>();
        self.answers_object(status, &json!({ "data": schema }), &["data"], headers);
    }

    /// It answers 200 with a page of `T`, and how old it is.
    pub fn answers_many_kept<T: JsonSchema>(&mut self) {
        self.answers_page::<T>(&["ETag", "Age"]);
    }

    /// It answers 200 with a page of `T`.
    pub fn answers_many<T: JsonSchema>(&mut self) {
        self.answers_page::<T>(&[]);
    }

    fn answers_page<T: JsonSchema>(&mut self, headers: &[&str]) {
        let schema = self.generator.subschema_for::<T>();
        let properties = json!({
            "data": { "type": "array", "items": schema },
            "page": { "$ref": "#/components/schemas/Page" },
        });
        self.answers_object(200, &properties, &["data", "page"], headers);
        let links = item_links(self.route.path);
        if let Some((_, answer)) = self.answers.last_mut().filter(|_| !links.is_empty()) {
            answer["links"] = links.into();
        }
    }

    /// It answers 204.
    pub fn answers_nothing(&mut self) {
        self.answers.push((204, json!({ "description": "Done" })));
    }

    /// It answers 200 with a page or file.
    pub fn answers_asset(&mut self) {
        let content_type = match self.route.path.rsplit_once('.') {
            Some((_, "json")) => "application/json",
            Some((_, "js")) => "text/javascript",
            Some((_, "css")) => "text/css",
            _ => "text/html",
        };
        self.answers
            .push((200, json!({ "description": "The page or file", "content": { content_type: {} } })));
    }

    /// It answers `status` with an object of these properties.
    pub fn answers_object(&mut self, status: u16, properties: &Value, required: &[&str], headers: &[&str]) {
        let notices = if v1::speaks(self.route.path) { &notice::HEADERS[..] } else { &[] };
        let headers: Map<String, Value> = headers
            .iter()
            .chain(notices)
            .map(|name| ((*name).to_owned(), json!({ "schema": { "type": "string" } })))
            .collect();
        self.answers.push((
            status,
            json!({
                "description": http::StatusCode::from_u16(status).unwrap().canonical_reason(),
                "headers": headers,
                "content": { "application/json": { "schema": {
                    "type": "object", "properties": properties, "required": required,
                } } },
            }),
        ));
    }

    fn into_json(mut self) -> Value {
        let mut responses: BTreeMap<String, Value> =
            self.answers.drain(..).map(|(status, answer)| (status.to_string(), answer)).collect();
        if self.route.method == "GET" && responses.values().any(has_etag) {
            responses.insert("304".into(), json!({ "description": "As `If-None-Match` says already" }));
        }
        for (status, codes) in failures(self.route, self.body.is_some(), &self.failures) {
            responses.insert(status.to_string(), failure(self.route, &codes));
        }
        let mut parameters = path_parameters(self.route.path);
        parameters.append(&mut self.parameters);
        let mut operation = json!({
            "operationId": operation_id(self.route),
            "tags": [self.route.group],
            "summary": self.route.summary,
            "parameters": parameters,
            "responses": responses,
            "x-required-permissions": permissions(self.route.access),
            "x-rate-limit-class": self.route.rate.map(Class::as_str),
        });
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        if self.route.access == Access::Public {
            operation["security"] = json!([]);
        }
        if v1::speaks(self.route.path) && self.route.path != "/api" {
            operation["deprecated"] = true.into();
        }
        operation
    }
}

/// Whether an answer has an `ETag`, so that a client may ask whether it is still the same.
fn has_etag(answer: &Value) -> bool {
    answer["headers"].get("ETag").is_some()
}

/// An optional parameter is left out, not null.
fn not_null(mut schema: Value) -> Value {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice() {
            return only.clone();
        }
    }
    schema
}

/// What can be asked about the first item of a list at `path`: the routes that go on with a parameter.
fn item_links(path: &str) -> Map<String, Value> {
    let parameters_of =
        |path: &'static str| path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let below = ROUTES.iter().filter_map(|route| {
        let rest = route.path.strip_prefix(path)?.strip_prefix("/{")?;
        let item = rest.split('}').next()?.trim_start_matches('*');
        let field = if item == "id" { "id" } else { "name" };
        let parameters: Map<String, Value> = parameters_of(route.path)
            .map(|name| name.trim_start_matches('*'))
            .map(|name| {
                let from_item = format!("$response.body#/data/0/{field}");
                let value = if name == item { from_item } else { format!("$request.path.{name}") };
                (name.to_owned(), value.into())
            })
            .collect();
        let id = operation_id(route);
        Some((id.clone(), json!({ "operationId": id, "parameters": parameters })))
    });
    below.collect()
}

/// A parameter without a value is refused.
fn not_empty(mut schema: Value) -> Value {
    if schema["type"] == "string" && schema.get("format").is_none() && schema.get("minLength").is_none() {
        schema["minLength"] = 1.into();
    }
    schema
}

/// What a route over documents also answers where they live on a site.
const OF_A_SITE: [ErrorCode; 10] = [
    ErrorCode::ProviderRefused,
    ErrorCode::StoreUnsupported,
    ErrorCode::AddressRefused,
    ErrorCode::AnswerTooLarge,
    ErrorCode::BreakerOpen,
    ErrorCode::ProviderLimited,
    ErrorCode::ProviderUnavailable,
    ErrorCode::OutcomeUnknown,
    ErrorCode::OutOfTime,
    ErrorCode::CredentialsRefused,
];

/// The failures of a route, by status.
fn failures(route: &Route, has_body: bool, of_inputs: &[ErrorCode]) -> BTreeMap<u16, Vec<ErrorCode>> {
    use ErrorCode as E;
    let mut codes = vec![E::InvalidInput, E::RouteNotFound, E::InternalError, E::DependencyUnavailable];
    if route.access != Access::Public {
        codes.extend([E::ApiKeyMissing, E::ApiKeyInvalid]);
    }
    if !matches!(route.access, Access::Public | Access::Key) {
        codes.push(E::PermissionDenied);
    }
    if has_body {
        codes.extend([E::MalformedBody, E::BodyTooLarge]);
    }
    // A method may be called without a body, and one that is no form is taken for JSON.
    if has_body && !v1::speaks(route.path) {
        codes.extend([E::EmptyBody, E::UnsupportedContent]);
    }
    codes.push(E::UnsupportedVersion);
    if route.rate.is_some() {
        codes.push(E::RateLimited);
    }
    // Where documents live on a site, it has a say, and cannot do everything.
    if matches!(
        route.access,
        Access::Read | Access::Create | Access::Write | Access::Delete | Access::Named(_) | Access::ReadOf(_)
    ) {
        codes.extend(OF_A_SITE);
    }
    codes.extend(route.failures);
    codes.extend(of_inputs);
    let mut by_status = BTreeMap::<u16, Vec<ErrorCode>>::new();
    for code in codes {
        let status = super::failure(&Error::new(code, ""), route.path).status.as_u16();
        by_status.entry(status).or_default().push(code);
    }
    by_status
}

fn failure(route: &Route, codes: &[ErrorCode]) -> Value {
    let names: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
    let (content_type, schema) = if v1::speaks(route.path) {
        ("application/json", "FrappeError")
    } else {
        ("application/problem+json", "Problem")
    };
    json!({
        "description": format!("{}: {}", codes[0].title(), names.join(", ")),
        "content": { content_type: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
    })
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": match name {
                    "doctype" => "The DocType, e.g. `Sales Order`.",
                    "name" => "The document's name; a `/` in it may stand as it is.",
                    "connector" => "The connector's name.",
                    "guide" => "The guide's name.",
                    "user" => "The user's name.",
                    "role" => "The role's name.",
                    _ => "The id.",
                },
                "schema": path_parameter(name),
            })
        })
        .collect()
}

/// What `DocType::new` takes: no white space at its ends, no control characters, no `#` or `/`.
const DOCTYPE: &str = r"^[^\s\x00-\x1f\x7f-\x9f#/]([^\x00-\x1f\x7f-\x9f#/]*[^\s\x00-\x1f\x7f-\x9f#/])?$";
/// What `DocName::new` takes.
const NAME: &str = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$";

fn path_parameter(name: &str) -> Value {
    match name {
        "guide" => json!({ "enum": site::GUIDES.iter().map(|guide| guide.name).collect::<Vec<_>>() }),
        "doctype" => json!({ "type": "string", "minLength": 1, "maxLength": 560, "pattern": DOCTYPE }),
        "name" => json!({ "type": "string", "minLength": 1, "maxLength": 560, "pattern": NAME }),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

/// `GET /v2/documents/{doctype}` is `getDocumentsByDoctype`.
fn operation_id(route: &Route) -> String {
    let mut id = route.method.to_lowercase();
    for part in route.path.split(['/', '-', '.', '_', '{', '}', '*']).filter(|part| !part.is_empty()) {
        let (first, rest) = part.split_at(1);
        id += &first.to_uppercase();
        id += rest;
    }
    id
}

/// What a route needs, as permissions are called.
pub fn permissions(access: Access) -> Vec<String> {
    let needed = match access {
        Access::Public => return vec![],
        Access::Key => "a valid API key",
        Access::Read => "read {doctype}",
        Access::Create => "create {doctype}",
        Access::Write => "write {doctype}",
        Access::Delete => "delete {doctype}",
        Access::ReadOperations => "read_operations",
        Access::Replay => "replay",
        Access::ManageConnectors => "manage_connectors",
        Access::ManageUsers => "manage_users",
        Access::ReadOf(doctype) => return vec![format!("read {doctype}")],
        Access::Named(verb) => return vec![format!("{verb} {{doctype}}")],
        Access::Transact => return vec!["read {from_doctype}".to_owned(), "create {to_doctype}".to_owned()],
    };
    vec![needed.to_owned()]
}

/// The whole document.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|s| s.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let mut operation = Operation {
            route,
            generator: &mut generator,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            failures: Vec::new(),
        };
        (route.describe)(&mut operation);
        let operation = operation.into_json();
        let path = route.path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[route.method.to_lowercase()] = operation;
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Page".into(), page());
    schemas.insert("Problem".into(), problem_schema());
    schemas.insert("FrappeError".into(), v1::dialect::schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Causeway",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A serverless integration hub for ERPNext.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        // Relative to this document, which may live below a path.
        "servers": [{ "url": "." }],
        "security": [{ "ApiKey": [] }, { "Authorization": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "ApiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`<id>.<secret>`" },
                "Authorization": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "`token <id>:<secret>`, as Frappe's clients send it; also Basic and Bearer",
                },
            },
        },
    })
}

fn page() -> Value {
    json!({
        "type": "object",
        "description": "Where a page ends.",
        "properties": {
            "next": { "type": ["string", "null"], "description": "Give it as `cursor` for the next page; null at the end." },
            "partial": { "type": "boolean", "description": "A limit ended the search before the page was full: go on." },
        },
        "required": ["next"],
    })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "A failure (RFC 9457).",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "description": "Stable; the error reference lists them." },
            "detail": { "type": "string" },
            "errors": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "field": { "type": "string" }, "code": { "type": "string" }, "detail": { "type": "string" },
                },
                "required": ["field", "code", "detail"],
            } },
        },
        "required": ["type", "title", "status", "code", "detail"],
    })
}
