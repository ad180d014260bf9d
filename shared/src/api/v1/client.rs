//! `frappe.client`: what Frappe's clients do with documents by calling methods.
//!
//! The DocType is among the arguments, so each method asks for its permission itself.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    args::{Args, Doc, Flag, Json, Text},
    envelope::{Done, Message},
    list::{self, List, Listing},
    shown::FrappeDocument,
    writing,
};
#[cfg(test)]
use crate::api::openapi::Operation;
use crate::{
    Error, ErrorCode, Result,
    api::{Call, answer::Answer, input::Repeatable},
    auth::Permission,
    documents::{Changes, Count, DocName, DocStatus, DocType, DocumentKey, not_found},
    trigger::http::Response,
};

/// Which DocType.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct About {
    /// The DocType.
    doctype: Text,
}

/// Which documents are counted.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Counting {
    /// The DocType.
    doctype: Text,
    /// Conditions that all hold: `{"status": "Open"}` or `[["qty", ">", 5]]`.
    filters: Option<Json>,
}

/// Which document.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Finding {
    /// The DocType.
    doctype: Text,
    /// Its name.
    name: Option<Text>,
    /// Or conditions: the document that changed last of those for which they hold.
    filters: Option<Json>,
}

/// Which fields of which document.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Looking {
    /// The DocType.
    doctype: Text,
    /// The name of a field, or a list of them; `name` if it is not given.
    fieldname: Option<Json>,
    /// A name, or conditions: the document that changed last of those for which they hold.
    filters: Option<Json>,
    /// Whether the answer is an object or, without it, a value or a list of values.
    as_dict: Option<Flag>,
}

fn readable(call: &Call<'_>, doctype: Text) -> Result<DocType> {
    let doctype = DocType::new(doctype.0)?;
    call.permit(Permission::Read(&doctype))?;
    Ok(doctype)
}

/// `frappe.client.get_list`.
pub async fn get_list(
    call: &Call<'_>,
    Args(About { doctype }): Args<About>,
    Args(listing): Args<Listing>,
) -> Result<Message<Vec<Value>>> {
    let list = List::read(readable(call, doctype)?, &listing)?;
    Ok(Message(list.rows(&*call.services.documents).await?))
}

/// How many there are: `approximate` stands beside it where there may be more.
pub struct Counted(Count);

impl Answer for Counted {
    fn respond(self) -> Result<Response> {
        let response = Message(self.0.count).respond()?;
        Ok(if self.0.approximate { response.with_member("approximate", true.into()) } else { response })
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        Message::<usize>::describe(operation);
    }
}

/// `frappe.client.get_count`: exact to 10,000; beyond that `approximate` stands beside it.
pub async fn get_count(call: &Call<'_>, Args(counting): Args<Counting>) -> Result<Counted> {
    let doctype = readable(call, counting.doctype)?;
    let filters = list::filters(&doctype, counting.filters.as_ref(), None)?;
    call.services.documents.count(&doctype, &filters).await.map(Counted)
}

/// `frappe.client.get`.
pub async fn get(call: &Call<'_>, Args(finding): Args<Finding>) -> Result<Message<FrappeDocument>> {
    let doctype = readable(call, finding.doctype)?;
    let name = match (finding.name, finding.filters) {
        (Some(name), _) => DocName::new(name.0)?,
        (None, Some(filters)) => first(call, &doctype, &filters).await?,
        (None, None) => {
            return Err(Error::field(
                "name",
                "missing",
                "name or filters are needed: there are no Singles here",
            ));
        }
    };
    let key = DocumentKey { doctype, name };
    let document = call.services.documents.get(&key).await?.ok_or_else(|| not_found(&key))?;
    Ok(Message(FrappeDocument::of(document)))
}

/// `frappe.client.get_value`: an empty object, or null, where there is no such document.
pub async fn get_value(call: &Call<'_>, Args(looking): Args<Looking>) -> Result<Message<Value>> {
    let doctype = readable(call, looking.doctype)?;
    let filters = list::filters(&doctype, looking.filters.as_ref(), None)?;
    let list = List::first(doctype, filters, looking.fieldname.as_ref())?;
    let row = list.rows(&*call.services.documents).await?.pop();
    if looking.as_dict.is_none_or(|Flag(yes)| yes) {
        return Ok(Message(row.unwrap_or_else(|| json!({}))));
    }
    let values = row.map(|row| match row {
        Value::Object(fields) => fields.into_iter().map(|(_, value)| value).collect(),
        other => vec![other],
    });
    Ok(Message(match values {
        None => Value::Null,
        Some(mut values) if values.len() == 1 => values.pop().unwrap_or_default(),
        Some(values) => values.into(),
    }))
}

/// The name of the document that changed last of those that `filters` ask for.
async fn first(call: &Call<'_>, doctype: &DocType, filters: &Json) -> Result<DocName> {
    let filters = list::filters(doctype, Some(filters), None)?;
    let rows = List::first(doctype.clone(), filters, None)?.rows(&*call.services.documents).await?;
    let name = rows.first().and_then(|row| row["name"].as_str());
    let missing = || Error::new(ErrorCode::DocumentNotFound, format!("there is no such {doctype}"));
    DocName::new(name.ok_or_else(missing)?)
}

/// A document to insert, save or submit.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OneDocument {
    /// The document, with its `doctype`.
    doc: Doc,
}

/// Documents to insert.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ManyDocuments {
    /// The documents, each with its `doctype`; at most 50.
    docs: Json,
}

/// A document by its name.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Named {
    /// The DocType.
    doctype: Text,
    /// The name.
    name: Text,
}

/// Which fields are set.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Setting {
    /// The DocType.
    doctype: Text,
    /// The name.
    name: Text,
    /// The name of a field, or an object of fields and their values.
    fieldname: Json,
    /// The value of the one field.
    value: Option<Value>,
}

impl Named {
    fn key(self) -> Result<DocumentKey> {
        DocumentKey::new(self.doctype.0, self.name.0)
    }
}

/// `frappe.client.insert`.
pub async fn insert(
    call: &Call<'_>,
    Args(OneDocument { doc: Doc(doc) }): Args<OneDocument>,
    Repeatable(receipt): Repeatable,
) -> Result<Message<FrappeDocument>> {
    writing::create(call, writing::doctype_of(&doc)?, doc, receipt).await.map(Message)
}

/// `frappe.client.insert_many`: the names, in order. All or none.
pub async fn insert_many(
    call: &Call<'_>,
    Args(many): Args<ManyDocuments>,
    Repeatable(receipt): Repeatable,
) -> Result<Message<Vec<String>>> {
    writing::create_all(call, many.docs.0, receipt).await.map(Message)
}

/// `frappe.client.save`.
pub async fn save(
    call: &Call<'_>,
    Args(OneDocument { doc: Doc(doc) }): Args<OneDocument>,
) -> Result<Message<FrappeDocument>> {
    writing::save(call, doc, None).await.map(Message)
}

/// `frappe.client.submit`.
pub async fn submit(
    call: &Call<'_>,
    Args(OneDocument { doc: Doc(doc) }): Args<OneDocument>,
) -> Result<Message<FrappeDocument>> {
    writing::save(call, doc, Some(DocStatus::Submitted)).await.map(Message)
}

/// `frappe.client.cancel`.
pub async fn cancel(call: &Call<'_>, Args(named): Args<Named>) -> Result<Message<FrappeDocument>> {
    let document = call.editor().cancel(call.principal()?, &named.key()?, None).await?;
    Ok(Message(FrappeDocument::of(document)))
}

/// `frappe.client.delete`.
pub async fn delete(call: &Call<'_>, Args(named): Args<Named>) -> Result<Done> {
    call.editor().delete(call.principal()?, &named.key()?, None).await?;
    Ok(Done)
}

/// `frappe.client.set_value`.
pub async fn set_value(call: &Call<'_>, Args(setting): Args<Setting>) -> Result<Message<FrappeDocument>> {
    let key = DocumentKey::new(setting.doctype.0, setting.name.0)?;
    let changes = Changes::set_value(&setting.fieldname.0, setting.value)?;
    writing::change(call, &key, &changes).await.map(Message)
}
