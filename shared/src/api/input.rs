//! What a handler takes: typed, read from the request before the handler runs, and described in the OpenAPI
//! document by the same type. What does not fit is refused with the field at fault.

use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
#[cfg(test)]
use serde_json::json;

use super::Call;
#[cfg(test)]
use super::openapi::Operation;
#[cfg(test)]
use crate::documents::IdempotencyKey;
use crate::{
    Error, ErrorCode, Result,
    documents::{MAX_PAGE, Receipt},
};

/// The most items a page has.
pub const MAX_LIMIT: usize = MAX_PAGE;
/// How many items a page has when the caller does not say.
const DEFAULT_LIMIT: usize = 20;

/// An argument of a handler.
pub trait Input: Sized {
    /// Whether it reads the query's parameters; where no argument does, a query is refused.
    const READS_QUERY: bool = false;
    /// Whether it reads the body; where no argument does, a body is refused.
    const READS_BODY: bool = false;

    /// Reads it from the request.
    fn read(call: &Call<'_>) -> Result<Self>;

    /// Says what it reads.
    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>);
}

/// The query's parameters. `T` denies unknown fields, so that a typing error is not an unfiltered answer.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + JsonSchema> Input for Query<T> {
    const READS_QUERY: bool = true;

    fn read(call: &Call<'_>) -> Result<Self> {
        // An unset variable of the caller's is no unfiltered answer either.
        if let Some((name, _)) = call.query().find(|(_, value)| value.is_empty()) {
            return Err(Error::field(cut(name), "missing", "is given without a value"));
        }
        let text = serde_urlencoded::to_string(call.query().collect::<Vec<_>>()).map_err(Error::internal)?;
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|fault| {
            let detail = plain(&fault.inner().to_string());
            let name = named(&detail).unwrap_or_else(|| fault.path().to_string());
            fault_of(name, &detail)
        })
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.query::<T>();
    }
}

/// What the parsers of the standard library say, in words that say what is wanted.
fn plain(detail: &str) -> String {
    match detail {
        "invalid digit found in string" | "number too large to fit in target type" => {
            "must be a whole number".to_owned()
        }
        "provided string was not `true` or `false`" => "must be true or false".to_owned(),
        other => other.to_owned(),
    }
}

/// The body, a JSON object.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + JsonSchema> Input for Json<T> {
    const READS_BODY: bool = true;

    fn read(call: &Call<'_>) -> Result<Self> {
        if !call.request.body()?.is_empty() {
            call.request.expect_json()?;
        }
        let body = call.request.json()?;
        // Serde takes an array for an object, its items for the fields in their order.
        if !body.is_object() {
            return Err(Error::field("", "invalid", "must be a JSON object"));
        }
        parse(&body).map(Self)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.body::<T>();
    }
}

/// Refuses a body of more than so many bytes before anything reads it: it stands before what does.
pub struct AtMost<const BYTES: usize>;

impl<const BYTES: usize> Input for AtMost<BYTES> {
    fn read(call: &Call<'_>) -> Result<Self> {
        match call.request.body()?.len() {
            size if size <= BYTES => Ok(Self),
            size => Err(Error::new(ErrorCode::BodyTooLarge, format!("{size} bytes are more than {BYTES}"))),
        }
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.fails(ErrorCode::BodyTooLarge);
    }
}

/// `Idempotency-Key`: makes a request safe to repeat for 24 hours (draft-ietf-httpapi-idempotency-key-header).
pub struct Repeatable(pub Option<Receipt>);

impl Input for Repeatable {
    fn read(call: &Call<'_>) -> Result<Self> {
        call.receipt().map(Self)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.header(
            IdempotencyKey::HEADER,
            "1 to 255 characters of your own, a UUID say: a repeat within 24 hours has the same answer and no second effect.",
            &json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$" }),
        );
        operation.fails(ErrorCode::IdempotencyInFlight);
        operation.fails(ErrorCode::IdempotencyKeyReused);
    }
}

/// `value` as `T`; what does not fit is named by its JSON pointer.
pub fn parse<T: DeserializeOwned>(value: &Value) -> Result<T> {
    // From text: a number in a JSON value does not fit every type, its text does.
    let text = crate::dynamo::json(value)?;
    let reader = &mut serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(reader).map_err(|fault| {
        let detail = fault.inner().to_string();
        // The place in the text is one in ours, not in what was sent.
        let detail = detail.split(" at line ").next().unwrap_or_default();
        let at = pointer(fault.path());
        match named(detail) {
            Some(name) if !at.ends_with(&format!("/{name}")) => fault_of(format!("{at}/{name}"), detail),
            _ => fault_of(at, detail),
        }
    })
}

/// The field that serde names in its complaint about one that is missing or unknown.
fn named(detail: &str) -> Option<String> {
    let about = ["missing field `", "unknown field `", "duplicate field `"];
    let rest = about.iter().find_map(|start| detail.strip_prefix(start))?;
    rest.split('`').next().map(ToOwned::to_owned)
}

/// The most characters of what was sent that a refusal repeats: an answer has its limit too.
const MAX_REPEATED: usize = 300;

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_REPEATED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn fault_of(field: impl AsRef<str>, detail: &str) -> Error {
    let code = match detail {
        _ if detail.starts_with("missing field") => "missing",
        _ if detail.starts_with("unknown field") => "unknown",
        _ => "invalid",
    };
    Error::field(cut(field.as_ref()), code, cut(detail))
}

/// Where a fault is, as a JSON pointer; of a part chosen by its type, where that part begins.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{key}"),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Refuses a query or a body that no argument reads.
pub fn refuse_unread(call: &Call<'_>, reads_query: bool, reads_body: bool) -> Result<()> {
    if !reads_query && let Some((name, _)) = call.query().next() {
        return Err(Error::field(cut(name), "unknown", "this route takes no parameters in its query"));
    }
    let method = call.request.method.as_str();
    let may_have_body = matches!(method, "POST" | "PUT" | "PATCH");
    if !reads_body && may_have_body && !call.request.body()?.is_empty() {
        return Err(Error::field("", "unknown", "this route takes no body"));
    }
    Ok(())
}

/// The size of a page and where it starts; flattened into no other type, since serde then reads numbers as texts.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// How many items at most, 1 to 500; 20 if it is not given.
    #[serde(default)]
    pub limit: Limit,
    /// Where the page starts: `page.next` of the page before.
    pub cursor: Option<String>,
}

/// How many items a page has at most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "usize")]
pub struct Limit(usize);

impl Limit {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl TryFrom<usize> for Limit {
    type Error = String;

    fn try_from(limit: usize) -> Result<Self, String> {
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(Self(limit));
        }
        Err(format!("must be 1 to {MAX_LIMIT}"))
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
        })
    }
}
