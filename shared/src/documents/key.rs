//! DocType and name, checked once, at the edge.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest DocType or document name, in bytes (ERPNext's own limit is 140 characters).
const MAX_NAME_BYTES: usize = 560;

/// DocTypes that hold Causeway's own configuration: out of reach of generic routes and of effects.
const SYSTEM_DOCTYPES: [&str; 4] = ["Integration Settings", "User", "Role", "API Key"];

fn checked(field: &str, text: String) -> Result<String> {
    if text.is_empty() || text.trim() != text {
        return Err(Error::field(field, "invalid", "must not be empty or begin or end with white space"));
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(Error::field(field, "too_long", format!("must be at most {MAX_NAME_BYTES} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::field(field, "invalid", "must not hold control characters"));
    }
    Ok(text)
}

/// A kind of document, e.g. `Sales Order`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct DocType(String);

impl DocType {
    /// Checks `text`: not empty, no surrounding white space, no control characters, no `#` (it separates keys).
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = checked("doctype", text.into())?;
        if text.contains(['#', '/']) {
            return Err(Error::field("doctype", "invalid", "must not contain '#' or '/'"));
        }
        Ok(Self(text))
    }

    /// The DocType's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it holds Causeway's own configuration.
    pub fn is_system(&self) -> bool {
        SYSTEM_DOCTYPES.iter().any(|system| system.eq_ignore_ascii_case(&self.0))
    }
}

/// A document's name within its DocType.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct DocName(String);

impl DocName {
    /// Checks `text`: not empty, no surrounding white space, no control characters, at most 560 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        checked("name", text.into()).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_conversions {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_conversions!(DocType);
text_conversions!(DocName);

/// What identifies a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DocumentKey {
    /// Its DocType.
    pub doctype: DocType,
    /// Its name.
    pub name: DocName,
}

impl DocumentKey {
    /// A key from two texts, both checked.
    pub fn new(doctype: impl Into<String>, name: impl Into<String>) -> Result<Self> {
        Ok(Self { doctype: DocType::new(doctype)?, name: DocName::new(name)? })
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.doctype, self.name)
    }
}
