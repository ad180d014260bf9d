//! What the Documents table's stream says, as documents.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::{
    super::{DocumentKey, Stored},
    item::{key_of, stored_of},
};
use crate::{Error, Result, dynamo::Item};

/// How deep attributes may lie in each other; DynamoDB's own limit is 32.
const MAX_DEPTH: usize = 32;

/// The document that a record's `Keys` name; `None` if they name something else.
pub fn document_of(keys: &Value) -> Option<DocumentKey> {
    keys["pk"]["S"].as_str().and_then(|key| key_of(key).ok())
}

/// What a record's image says is stored.
pub fn stored_in(image: &Map<String, Value>) -> Result<Stored> {
    stored_of(&item(image, 0)?)
}

fn item(map: &Map<String, Value>, depth: usize) -> Result<Item> {
    map.iter()
        .map(|(name, value)| Ok((name.clone(), attribute(value, depth)?)))
        .collect::<Result<HashMap<_, _>>>()
}

/// An attribute of one of the kinds that documents are made of.
fn attribute(value: &Value, depth: usize) -> Result<AttributeValue> {
    let unread = || Error::internal("the stream holds an attribute of no kind that documents have");
    let (kind, value) = value
        .as_object()
        .and_then(|typed| typed.iter().next())
        .filter(|_| depth < MAX_DEPTH)
        .ok_or_else(unread)?;
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => Ok(AttributeValue::S(text.clone())),
        ("N", Value::String(digits)) => Ok(AttributeValue::N(digits.clone())),
        ("B", Value::String(text)) => {
            Ok(AttributeValue::B(Blob::new(BASE64_STANDARD.decode(text).map_err(Error::internal)?)))
        }
        ("BOOL", Value::Bool(value)) => Ok(AttributeValue::Bool(*value)),
        ("NULL", _) => Ok(AttributeValue::Null(true)),
        ("M", Value::Object(map)) => item(map, depth + 1).map(AttributeValue::M),
        ("L", Value::Array(list)) => {
            list.iter().map(|value| attribute(value, depth + 1)).collect::<Result<_>>().map(AttributeValue::L)
        }
        // Sets of texts, if ever a document's item has one.
        ("SS", Value::Array(set)) => {
            let texts = set.iter().map(|text| text.as_str().map(ToOwned::to_owned).ok_or_else(unread));
            texts.collect::<Result<_>>().map(AttributeValue::Ss)
        }
        _ => Err(unread()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        documents::{Applied, Change, DocStatus, Expect, Fields, Target, Write, dynamo::item::item_of},
        testing::start,
    };

    /// An item as the stream writes it.
    fn image(item: &Item) -> Map<String, Value> {
        let text = |value: &AttributeValue| match value {
            AttributeValue::S(text) => json!({ "S": text }),
            AttributeValue::N(digits) => json!({ "N": digits }),
            AttributeValue::B(blob) => json!({ "B": BASE64_STANDARD.encode(blob) }),
            AttributeValue::Bool(value) => json!({ "BOOL": value }),
            AttributeValue::M(map) => {
                let map: Map<String, Value> = map
                    .iter()
                    .map(|(name, value)| (name.clone(), json!({ "S": value.as_s().unwrap() })))
                    .collect();
                json!({ "M": map })
            }
            AttributeValue::L(list) => {
                json!({ "L": list.iter().map(|value| json!({ "S": value.as_s().unwrap() })).collect::<Vec<_>>() })
            }
            other => panic!("{other:?}"),
        };
        item.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    #[test]
    fn an_image_is_the_document_that_was_written() {
        let key = DocumentKey::new("Item", "A#1").unwrap();
        let fields = Fields::from_iter([("text".to_owned(), json!("abc ".repeat(1_000)))]);
        let write = Write {
            target: Target::Named(key.clone()),
            expect: Expect::Revision(6),
            change: Change::Put { fields, docstatus: DocStatus::Submitted },
            applied: Applied::from([("erpnext".to_owned(), start())]),
            replaces: None,
            actor: "someone".to_owned(),
        };
        let (item, document) = item_of(&write, &key, start(), Some("job_1.7=SINV-1".to_owned())).unwrap();
        assert!(matches!(item["body"], AttributeValue::B(_)), "it is deflated");
        assert_eq!(stored_in(&image(&item)).unwrap(), Stored::Live(document.unwrap()));
        let (item, _) = item_of(&Write { change: Change::Delete, ..write }, &key, start(), None).unwrap();
        assert!(matches!(stored_in(&image(&item)).unwrap(), Stored::Deleted(gone) if gone.revision == 7));
        assert_eq!(document_of(&json!({ "pk": { "S": "D#Item#A#1" } })), Some(key));
        assert_eq!(document_of(&json!({ "pk": { "S": "U#Item#email#x" } })), None);
    }

    #[test]
    fn an_image_that_is_none_is_an_error() {
        for odd in [json!({ "pk": { "X": "1" } }), json!({ "pk": "D#Item#A" }), json!({})] {
            assert!(stored_in(odd.as_object().unwrap()).is_err(), "{odd}");
        }
    }
}
