//! Changing documents as Frappe's clients ask for it, whichever method or resource they ask by.
//!
//! The [`Editor`](crate::documents::Editor) asks for the permissions and keeps the rules; here is what Frappe
//! means by its verbs.

use serde_json::{Map, Value};

use super::{args, shown::FrappeDocument};
use crate::{
    Error, ErrorCode, Result,
    api::Call,
    auth::Permission,
    documents::{
        Changes, Dialect, DocName, DocStatus, DocType, DocumentKey, MAX_WRITES, NewDocument, Receipt,
    },
};

/// A document's fields, as a client sends them.
type Given = Map<String, Value>;

/// The DocType that a document says it is of.
pub fn doctype_of(doc: &Given) -> Result<DocType> {
    let missing = || Error::field("/doc/doctype", "missing", "a document says its DocType");
    DocType::new(doc.get("doctype").and_then(Value::as_str).ok_or_else(missing)?)
}

/// Creates a document. It frees what waits for it, also when it is a repeat: the first may have died before.
pub async fn create(
    call: &Call<'_>,
    doctype: DocType,
    doc: Given,
    receipt: Option<Receipt>,
) -> Result<FrappeDocument> {
    let new = NewDocument::read(doctype, doc.into(), Dialect::Frappe)?;
    let created = call.editor().create(call.principal()?, &new, receipt).await?;
    call.free(&new, &created.document).await;
    Ok(FrappeDocument::of(created.document))
}

/// Changes the document under `key`.
pub async fn change(call: &Call<'_>, key: &DocumentKey, changes: &Changes) -> Result<FrappeDocument> {
    call.editor().update(call.principal()?, key, changes).await.map(FrappeDocument::of)
}

/// Saves a whole document as it was read and changed, and gives it `docstatus` if that is asked for; one without a
/// name is new.
pub async fn save(call: &Call<'_>, mut doc: Given, docstatus: Option<DocStatus>) -> Result<FrappeDocument> {
    let doctype = doctype_of(&doc)?;
    let name = doc.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let is_new = doc.get("__islocal").is_some_and(|local| *local == 1 || *local == true);
    let name = match name {
        Some(name) if !is_new => DocName::new(name)?,
        _ => {
            if let Some(docstatus) = docstatus {
                doc.insert("docstatus".into(), u8::from(docstatus).into());
            }
            return create(call, doctype, doc, call.receipt()?).await;
        }
    };
    // Asked here as well: who may not save it is not told what is wrong with it.
    call.permit(Permission::Write(&doctype))?;
    if docstatus.is_some() {
        call.permit(Permission::Submit(&doctype))?;
    }
    if doc.get("modified").is_none_or(|modified| modified.as_str().is_none_or(str::is_empty)) {
        // As Frappe: what is not the document as it was read would take away the fields that it lacks.
        return Err(Error::new(
            ErrorCode::RevisionConflict,
            "a document is saved whole, with the modified it was read with",
        ));
    }
    let key = DocumentKey { doctype, name };
    let changes = Changes::replace(&key, doc.into())?;
    let changes = match docstatus {
        Some(docstatus) => changes.with_status(docstatus),
        None => changes,
    };
    change(call, &key, &changes).await
}

/// Creates all of `docs`, or none, and frees what waits for them. Returns their names.
pub async fn create_all(call: &Call<'_>, docs: Value, receipt: Option<Receipt>) -> Result<Vec<String>> {
    let Value::Array(docs) = docs else {
        return Err(Error::field("/docs", "invalid", "must be a list of documents"));
    };
    let mut new = Vec::with_capacity(docs.len().min(MAX_WRITES));
    for (number, doc) in docs.into_iter().enumerate() {
        let at = format!("/docs/{number}");
        let doc = args::object(doc).map_err(|error| error.at(&at))?;
        new.push(NewDocument::read(doctype_of(&doc)?, doc.into(), Dialect::Frappe)?);
    }
    let created = call.editor().create_all(call.principal()?, &new, receipt).await?;
    for (new, document) in new.iter().zip(&created) {
        call.free(new, document).await;
    }
    Ok(created.into_iter().map(|document| document.key.name.into()).collect())
}
