//! Things that a PUT creates or replaces under a name: connectors, users, roles.

use std::{borrow::Cow, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    answer::{Created, Tagged},
    condition::BUILT_IN,
    input,
    shown::Time,
};
use crate::{
    Error, ErrorCode, Result,
    auth::Known,
    documents::{Fields, Recorded, Saved},
};

/// A `T` as it is sent: its name may be left to the path.
#[derive(Debug)]
pub struct Sent<T>(Fields, PhantomData<fn() -> T>);

impl<'de, T> Deserialize<'de> for Sent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer).map(|fields| Self(fields, PhantomData))
    }
}

impl<T: DeserializeOwned> Sent<T> {
    /// The thing, which must have the name of the path if it has one.
    pub fn named(self, name: &str) -> Result<T> {
        let mut fields = self.0;
        let given = fields.entry("name").or_insert_with(|| name.into());
        if given.as_str() != Some(name) {
            return Err(Error::field("/name", "invalid", "is not the name of the path"));
        }
        input::parse(&Value::Object(fields))
    }
}

impl<T: JsonSchema> JsonSchema for Sent<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Sent{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| name != "name");
        }
        for example in schema.get_mut("examples").and_then(Value::as_array_mut).into_iter().flatten() {
            example.as_object_mut().map(|example| example.shift_remove("name"));
        }
        schema
    }
}

/// Something that is stored or comes with Causeway, and who wrote it when.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Shown{T}")]
pub struct Shown<T> {
    #[serde(flatten)]
    value: T,
    /// Whether it comes with Causeway and nothing replaces it.
    built_in: bool,
    /// Counts its changes; 0 for what is built in.
    revision: u64,
    /// When it was created; null for what is built in, as all that follows.
    creation: Option<Time>,
    /// Who created it.
    owner: Option<String>,
    /// When it was changed last.
    modified: Option<Time>,
    /// Who changed it last.
    modified_by: Option<String>,
}

impl<T> From<Known<T>> for Shown<T> {
    fn from(known: Known<T>) -> Self {
        match known {
            Known::BuiltIn(value) => Self {
                value,
                built_in: true,
                revision: BUILT_IN,
                creation: None,
                owner: None,
                modified: None,
                modified_by: None,
            },
            Known::Recorded(record) => Self::from(record),
        }
    }
}

impl<T> From<Recorded<T>> for Shown<T> {
    fn from(record: Recorded<T>) -> Self {
        Self {
            value: record.value,
            built_in: false,
            revision: record.revision,
            creation: Some(Time(record.creation)),
            owner: Some(record.owner),
            modified: Some(Time(record.modified)),
            modified_by: Some(record.modified_by),
        }
    }
}

impl<T> Shown<T> {
    /// The answer to a PUT that left `saved`, which is new if it is at `location` now.
    pub fn saved(saved: Saved<T>, location: String) -> Tagged<Created<Self>> {
        let shown = Self::from(saved.record);
        let revision = shown.revision;
        let answer = if saved.created { Created::at(location, shown) } else { Created::replaced(shown) };
        Tagged::revision(revision, answer)
    }

    /// Its revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// The revision of what was `found`, none where that is `missing`.
pub fn revision_of<T>(found: Result<Known<T>>, missing: ErrorCode) -> Result<Option<u64>> {
    match found {
        Ok(known) => Ok(Some(Shown::from(known).revision())),
        Err(error) if error.code() == missing => Ok(None),
        Err(error) => Err(error),
    }
}
