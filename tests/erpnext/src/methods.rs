//! The whitelisted methods under `/api/method` that integrations call.

use serde_json::{Map, Value, json};

use crate::{
    api::{Api, Given, parsed},
    database::Document,
    exception::{Exception, Outcome},
    mapper,
    options::{Right, User},
    save, value,
};

/// The most documents of one `insert_many`.
const MAX_INSERTS: usize = 200;

/// Methods that exist and that no caller may call.
const PRIVATE: [&str; 2] = ["erpnext.utilities.bulk_transaction.task", "frappe.db.sql"];

fn required(given: &Map<String, Value>, key: &str, method: &str) -> Outcome<String> {
    given.get(key).map(value::text).filter(|text| !text.is_empty()).ok_or_else(|| missing(key, method))
}

fn missing(key: &str, method: &str) -> Exception {
    let name = method.rsplit('.').next().unwrap_or(method);
    Exception::python("TypeError", &format!("{name}() missing 1 required positional argument: '{key}'"))
}

fn document(given: &Map<String, Value>, key: &str, method: &str) -> Outcome<Document> {
    match parsed(given.get(key)) {
        Value::Object(document) => Ok(document),
        _ => Err(missing(key, method)),
    }
}

fn whole(document: Document) -> Given {
    Given::Value(Value::Object(document))
}

/// Calls a method.
pub fn call(
    api: &mut Api,
    user: &User,
    verb: &str,
    method: &str,
    given: &Map<String, Value>,
) -> Outcome<Given> {
    let guest = user.name == "Guest";
    if let Some(oauth) = method.strip_prefix("frappe.integrations.oauth2.") {
        let now = api.clock.now();
        if oauth == "openid_profile" && !guest {
            return Ok(Given::Bare(crate::request::Answer::json(
                200,
                &json!({ "sub": user.name, "email": user.name }),
            )));
        }
        return api
            .oauth
            .call(oauth, given, now)
            .map(Given::Bare)
            .ok_or_else(|| Exception::no_method(method));
    }
    match method {
        "ping" | "frappe.ping" => return Ok(Given::Value(json!("pong"))),
        "frappe.client.get_time_zone" => return Ok(Given::Value(json!({ "time_zone": api.time_zone }))),
        _ if PRIVATE.contains(&method) || guest => return Err(Exception::not_whitelisted(method)),
        _ => (),
    }
    if let Some(name) = method.strip_prefix("frappe.client.") {
        return client(api, user, verb, name, method, given);
    }
    if let Some(mapper) = mapper::MAPPERS.iter().find(|mapper| mapper.method == method) {
        let source = required(given, "source_name", method)?;
        user.may(Right::Read, mapper.from)?;
        user.may(Right::Create, mapper.to)?;
        return mapper::map(&api.database, mapper, &user.name, &source).map(whole);
    }
    match method {
        mapper::PAYMENT => {
            let (doctype, name) = (required(given, "dt", method)?, required(given, "dn", method)?);
            user.may(Right::Read, &doctype)?;
            mapper::payment(&api.database, &user.name, &doctype, &name).map(whole)
        }
        "frappe.desk.reportview.get_count" => {
            let (all, any) = (parsed(given.get("filters")), parsed(given.get("or_filters")));
            let count = api.count(user, &required(given, "doctype", method)?, &all, &any)?;
            Ok(Given::Value(json!(count)))
        }
        "frappe.auth.get_logged_user" => Ok(Given::Value(json!(user.name))),
        "frappe.utils.change_log.get_versions" => Ok(Given::Value(json!({
            "frappe": { "title": "Frappe Framework", "description": "Full stack web framework", "branch": "version-15", "version": "15.50.0" },
            "erpnext": { "title": "ERPNext", "description": "Open Source ERP", "branch": "version-15", "version": "15.50.0" },
        }))),
        "erpnext.utilities.bulk_transaction.transaction_processing" if verb == "POST" => {
            Ok(bulk(api, user, given))
        }
        _ => Err(Exception::no_method(method)),
    }
}

/// The methods of `frappe.client`. Those that change something do not answer GET.
fn client(
    api: &mut Api,
    user: &User,
    verb: &str,
    name: &str,
    method: &str,
    given: &Map<String, Value>,
) -> Outcome<Given> {
    let changes =
        ["insert", "insert_many", "save", "set_value", "submit", "cancel", "delete"].contains(&name);
    if changes && !["POST", "PUT"].contains(&verb) && !(name == "delete" && verb == "DELETE") {
        return Err(Exception::not_whitelisted(method));
    }
    let text = |key: &str| required(given, key, method);
    match name {
        "get_list" => api.list(user, &text("doctype")?, given, 1).map(Given::Value),
        "has_permission" => {
            let (doctype, _) =
                (text("doctype")?, given.get("docname").ok_or_else(|| missing("docname", method))?);
            save::doctype(&api.database, &doctype)?;
            let right =
                match given.get("perm_type").map(value::text).unwrap_or_default().to_lowercase().as_str() {
                    "create" => Right::Create,
                    "write" => Right::Write,
                    "submit" => Right::Submit,
                    "cancel" => Right::Cancel,
                    "delete" => Right::Delete,
                    _ => Right::Read,
                };
            Ok(Given::Value(json!({ "has_permission": user.may(right, &doctype).is_ok() })))
        }
        "get_value" => get_value(api, user, given, method),
        "get" => match given.get("name").map(value::text) {
            Some(name) => api.read(user, &text("doctype")?, &name).map(whole),
            None => Err(Exception::validation("No document found for given filters")),
        },
        "insert" => insert(api, user, document(given, "doc", method)?).map(whole),
        "insert_many" => insert_many(api, user, &parsed(given.get("docs"))),
        "save" => {
            let document = document(given, "doc", method)?;
            save_whole(api, user, document).map(whole)
        }
        "submit" => {
            let mut document = document(given, "doc", method)?;
            document.insert("docstatus".into(), json!(1));
            save_whole(api, user, document).map(whole)
        }
        "cancel" => {
            let change = Document::from_iter([("docstatus".to_owned(), json!(2))]);
            api.update(user, &text("doctype")?, &text("name")?, change).map(whole)
        }
        "set_value" => {
            let change = match parsed(given.get("fieldname")) {
                Value::Object(fields) => fields,
                field => {
                    let value = given.get("value").cloned().unwrap_or_default();
                    Document::from_iter([(value::text(&field), value)])
                }
            };
            api.update(user, &text("doctype")?, &text("name")?, change).map(whole)
        }
        "delete" => {
            api.delete(user, &text("doctype")?, &text("name")?)?;
            Ok(Given::Nothing)
        }
        _ => Err(Exception::no_method(method)),
    }
}

fn insert(api: &mut Api, user: &User, document: Document) -> Outcome<Document> {
    let doctype = document.get("doctype").map(value::text).unwrap_or_default();
    if doctype.is_empty() {
        return Err(Exception::python("ImportError", ""));
    }
    let parent = |key: &str| document.get(key).map(value::text).filter(|text| !text.is_empty());
    if let (Some(parenttype), Some(name), Some(table)) =
        (parent("parenttype"), parent("parent"), parent("parentfield"))
    {
        let stored = api.read(user, &parenttype, &name)?;
        let mut rows = stored.get(&table).and_then(Value::as_array).cloned().unwrap_or_default();
        rows.push(Value::Object(document));
        return api.update(user, &parenttype, &name, Document::from_iter([(table, Value::Array(rows))]));
    }
    api.insert(user, &doctype, document)
}

fn insert_many(api: &mut Api, user: &User, documents: &Value) -> Outcome<Given> {
    let documents = documents.as_array().cloned().unwrap_or_default();
    if documents.len() > MAX_INSERTS {
        return Err(Exception::validation("Only 200 inserts allowed in one request"));
    }
    let mut names = Vec::new();
    for document in documents {
        let Value::Object(document) = document else {
            return Err(Exception::python("AttributeError", "'str' object has no attribute 'get'"));
        };
        names.push(insert(api, user, document)?.get("name").cloned().unwrap_or_default());
    }
    Ok(Given::Value(Value::Array(names)))
}

/// Saves a document that was sent whole: without the stored `modified` it is stale.
fn save_whole(api: &mut Api, user: &User, mut document: Document) -> Outcome<Document> {
    let of = |key: &str| document.get(key).map(value::text).unwrap_or_default();
    let (doctype, name) = (of("doctype"), of("name"));
    let stored = api.read(user, &doctype, &name)?;
    if !document.contains_key("modified") {
        document.insert("modified".into(), Value::Null);
    }
    for (field, held) in &stored {
        let empty = if held.is_array() { json!([]) } else { Value::Null };
        let own = ["owner", "creation", "modified", "docstatus", "doctype", "name"].contains(&field.as_str());
        if !own && !document.contains_key(field) {
            document.insert(field.clone(), empty);
        }
    }
    api.update(user, &doctype, &name, document)
}

fn get_value(api: &Api, user: &User, given: &Map<String, Value>, method: &str) -> Outcome<Given> {
    let mut query = Map::new();
    let fields = match parsed(given.get("fieldname")) {
        Value::Null => json!(["name"]),
        Value::Array(fields) => Value::Array(fields),
        field => json!([value::text(&field)]),
    };
    query.insert("fields".into(), fields);
    query.insert("filters".into(), parsed(given.get("filters")));
    query.insert("limit_page_length".into(), json!(1));
    let rows = api.list(user, &required(given, "doctype", method)?, &query, 1)?;
    Ok(Given::Value(rows.get(0).cloned().unwrap_or_else(|| json!({}))))
}

/// Drafts of every source named, or of none if one of them is not there; repeated, it makes them again.
fn bulk(api: &mut Api, user: &User, given: &Map<String, Value>) -> Given {
    let (from, to) = (parsed(given.get("from_doctype")), parsed(given.get("to_doctype")));
    let names: Vec<String> = parsed(given.get("data"))
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned))
        .collect();
    let mapper = mapper::MAPPERS.iter().find(|mapper| json!(mapper.from) == from && json!(mapper.to) == to);
    let made: Outcome<Vec<Document>> = names
        .iter()
        .map(|name| {
            mapper.map_or(Ok(Document::new()), |mapper| mapper::map(&api.database, mapper, &user.name, name))
        })
        .collect();
    for document in made.unwrap_or_default().into_iter().filter(|document| !document.is_empty()) {
        let _logged = insert(api, user, document);
    }
    let text = format!("Started a background job to create {} {}", names.len(), value::text(&to));
    let message = json!({ "message": text, "title": "Message" }).to_string();
    let body = json!({ "_server_messages": json!([message]).to_string() });
    Given::Bare(crate::request::Answer::json(200, &body))
}
