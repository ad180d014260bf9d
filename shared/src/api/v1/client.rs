//! `frappe.client`: what Frappe's clients do with documents by calling methods.
//!
//! The DocType is among the arguments, so each method asks for its permission itself.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    args::{Args, Flag, Json, Text},
    envelope::Message,
    list::{self, List, Listing},
    shown::FrappeDocument,
};
#[cfg(test)]
use crate::api::openapi::Operation;
use crate::{
    Error, ErrorCode, Result,
    api::{Call, answer::Answer},
    auth::Permission,
    documents::{Count, DocName, DocType, DocumentKey, not_found},
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
