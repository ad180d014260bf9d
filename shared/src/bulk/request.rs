//! What a caller asks for, checked: DocTypes, names, sizes. Pure.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::Value;

use super::{MAX_CHUNK, Record};
use crate::{
    Error, ErrorCode, FieldError, Result,
    documents::{DocName, DocType, Fields},
    id::digest_text,
};

/// The most records of a job.
pub const MAX_RECORDS: usize = 100_000;
/// The largest request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 5 * 1024 * 1024;
/// The most faults that an answer names.
const MAX_FAULTS: usize = 20;
/// The largest arguments of a record, in bytes of JSON: a chunk of them has to fit an item.
const MAX_ARGS_BYTES: usize = 4_000;

/// A bulk transaction that may be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkRequest {
    /// The DocType of the sources.
    pub from: DocType,
    /// The DocType that is to be made.
    pub to: DocType,
    /// The sources, each once, in the order in which they were named first.
    pub records: Vec<Record>,
    /// How many were named again.
    pub folded: u64,
}

impl BulkRequest {
    /// The request for `records`: an array of names or of `{"name", "args"}`, or such an array as text.
    ///
    /// Fails with `invalid_input`, naming the record (`/records/3/name`), or `body_too_large`.
    pub fn read(from: DocType, to: DocType, records: &Value) -> Result<Self> {
        let parsed;
        let list = match records {
            Value::Array(list) => list,
            Value::String(text) => {
                parsed = serde_json::from_str::<Vec<Value>>(text)
                    .map_err(|_| invalid("is text, which must be the JSON of an array of names"))?;
                &parsed
            }
            _ => return Err(invalid("must be an array of names, or of objects with a name")),
        };
        match list.len() {
            0 => return Err(invalid("is empty: name at least one record")),
            1..=MAX_RECORDS => {}
            more => {
                let detail = format!("{more} records are more than {MAX_RECORDS}; send several requests");
                return Err(Error::new(ErrorCode::BodyTooLarge, detail));
            }
        }
        let records = once_each(list)?;
        let folded = (list.len() - records.len()) as u64;
        Ok(Self { from, to, records, folded })
    }

    /// The records in chunks of `size`, at most [`MAX_CHUNK`].
    pub fn chunks(&self, size: usize) -> Vec<Vec<Record>> {
        self.records.chunks(size.clamp(1, MAX_CHUNK)).map(<[Record]>::to_vec).collect()
    }

    /// What the same request always has, and another one not.
    pub fn fingerprint(&self) -> Result<String> {
        let records = serde_json::to_vec(&self.records).map_err(Error::internal)?;
        Ok(digest_text(&[self.from.as_str().as_bytes(), self.to.as_str().as_bytes(), &records]))
    }
}

/// Each source once. One that is named again must be named with the same arguments: which of them are meant nobody can
/// tell.
fn once_each(list: &[Value]) -> Result<Vec<Record>> {
    let mut kept: Vec<Record> = Vec::with_capacity(list.len());
    let (mut faults, mut indexes) = (Vec::new(), HashMap::new());
    for (place, value) in list.iter().enumerate() {
        match entry(value, place) {
            Ok((name, args)) => match indexes.entry(name) {
                Entry::Vacant(new) => {
                    let index = u32::try_from(kept.len()).map_err(Error::internal)?;
                    kept.push(Record { index, name: new.key().clone(), args, attempt: 1 });
                    new.insert(kept.len() - 1);
                }
                Entry::Occupied(known) if kept[*known.get()].args == args => {}
                Entry::Occupied(known) => {
                    let detail = format!("{:?} was named before with other args", known.key());
                    faults.push(fault(place, "/args", detail));
                }
            },
            Err(fault) => faults.push(fault),
        }
        if faults.len() == MAX_FAULTS {
            break;
        }
    }
    if faults.is_empty() { Ok(kept) } else { Err(Error::fields(faults)) }
}

fn fault(place: usize, field: &str, detail: String) -> FieldError {
    FieldError { field: format!("/records/{place}{field}"), code: "invalid", detail }
}

/// The name and the arguments of the entry at `place`.
fn entry(value: &Value, place: usize) -> Result<(String, Fields), FieldError> {
    let fault = |field: &str, detail: String| fault(place, field, detail);
    let (name, args) = match value {
        Value::String(name) => (name.as_str(), None),
        Value::Object(entry) => {
            let unknown = entry.keys().find(|key| !matches!(key.as_str(), "name" | "args"));
            if let Some(key) = unknown {
                return Err(fault(&format!("/{key}"), "a record has a name, and args".to_owned()));
            }
            match entry.get("name") {
                Some(Value::String(name)) => (name.as_str(), entry.get("args")),
                _ => return Err(fault("/name", "must be the name of a document".to_owned())),
            }
        }
        _ => return Err(fault("", "must be a name, or an object with a name".to_owned())),
    };
    if let Err(error) = DocName::new(name) {
        let why = error.field_errors().first().map_or(error.detail(), |fault| fault.detail.as_str());
        return Err(fault("/name", why.to_owned()));
    }
    let args = match args {
        None | Some(Value::Null) => Fields::new(),
        Some(Value::Object(args)) if size(args) <= MAX_ARGS_BYTES => args.clone(),
        Some(Value::Object(_)) => {
            return Err(fault("/args", format!("is larger than {MAX_ARGS_BYTES} bytes")));
        }
        Some(_) => return Err(fault("/args", "must be an object".to_owned())),
    };
    Ok((name.to_owned(), args))
}

fn size(args: &Fields) -> usize {
    serde_json::to_string(args).map_or(usize::MAX, |text| text.len())
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::field("/records", "invalid", detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(records: &Value) -> Result<BulkRequest> {
        BulkRequest::read(DocType::new("Sales Order")?, DocType::new("Sales Invoice")?, records)
    }

    #[test]
    fn records_are_names_or_objects_in_an_array_or_its_text() {
        let expected = read(&json!(["SO-1", "SO-2"])).unwrap();
        assert_eq!(read(&json!([{ "name": "SO-1" }, { "name": "SO-2", "args": {} }])).unwrap(), expected);
        assert_eq!(read(&json!(r#"["SO-1", {"name": "SO-2"}]"#)).unwrap(), expected);
        assert_eq!(expected.records[1].index, 1);
        let with_args = read(&json!([{ "name": "SO-1", "args": { "filtered_children": ["a"] } }])).unwrap();
        assert_eq!(with_args.records[0].args["filtered_children"], json!(["a"]));
    }

    #[test]
    fn what_is_named_twice_is_done_once_and_counted() {
        let request = read(&json!(["A", "B", "A", "A"])).unwrap();
        assert_eq!((request.records.len(), request.folded), (2, 2));
        let row = |row: &str| json!({ "name": "A", "args": { "filtered_children": [row] } });
        assert_eq!(read(&json!([row("1"), row("1")])).unwrap().folded, 1);
        let error = read(&json!([row("1"), "B", row("2")])).unwrap_err();
        assert_eq!(error.field_errors()[0].field, "/records/2/args", "one of them would be forgotten");
    }

    #[test]
    fn every_fault_names_its_record() {
        let fields = |records: Value| {
            let error = read(&records).unwrap_err();
            error.field_errors().iter().map(|fault| fault.field.clone()).collect::<Vec<_>>()
        };
        for nothing in [json!({}), json!([]), json!("["), json!("{}")] {
            assert_eq!(fields(nothing), ["/records"]);
        }
        assert_eq!(
            fields(json!(["", 7, { "args": {} }, { "name": "A", "args": 1 }, { "name": "B", "x": 1 }, "C"])),
            ["/records/0/name", "/records/1", "/records/2/name", "/records/3/args", "/records/4/x"]
        );
        assert_eq!(fields(json!(vec![0; 5_000])).len(), MAX_FAULTS);
    }

    #[test]
    fn more_records_than_a_job_has_are_refused_as_too_large() {
        let names = |count: usize| (0..count).map(|n| json!(format!("SO-{n}"))).collect::<Vec<_>>();
        assert_eq!(read(&names(MAX_RECORDS + 1).into()).unwrap_err().code(), ErrorCode::BodyTooLarge);
        assert_eq!(read(&names(1_000).into()).unwrap().chunks(80).len(), 13);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_doubled_on_the_way_into_chunks(
            names in prop::collection::vec("[a-c][0-9]", 1..200), size in 0..200usize
        ) {
            let request = read(&json!(names)).unwrap();
            let chunks = request.chunks(size);
            prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MAX_CHUNK));
            let indexes: Vec<usize> = chunks.iter().flatten().map(|record| record.index as usize).collect();
            prop_assert_eq!(&indexes, &(0..request.records.len()).collect::<Vec<_>>());
            prop_assert_eq!(request.records.len() + usize::try_from(request.folded).unwrap(), names.len());
        }
    }
}
