//! The one domain error. It knows nothing of HTTP: `trigger::http` maps a [`Kind`] to a status, and the
//! error reference in `docs/errors.md` is printed from [`ErrorCode::ALL`].
//!
//! What a caller may read (`detail`, `fields`) and what only the log gets (`source`) are different fields.

use std::{error::Error as StdError, fmt, num::NonZeroU32};

/// The result of every fallible function in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is, from which the status and "is it worth another try" follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong and will stay wrong.
    Invalid,
    /// The caller did not prove who they are.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It exists, and not with this method.
    Method,
    /// It clashes with the present state.
    Conflict,
    /// What the request demands of the present state is not so.
    Precondition,
    /// It is larger than the limit.
    TooLarge,
    /// Its content type is not one we take.
    Unsupported,
    /// It is well formed, and a rule forbids it.
    Unprocessable,
    /// The caller asked too often: try again when the error says.
    Limited,
    /// Something we depend on did not answer: try again.
    Unavailable,
    /// A defect of ours.
    Internal,
}

macro_rules! error_codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $code:literal, $kind:ident, $title:literal;)*) => {
        /// The stable codes callers may rely on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $meaning])+ $name,)* }

        impl ErrorCode {
            /// Every code, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as callers see it, in snake case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The kind of failure it is.
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// A short sentence that is the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means, as `docs/errors.md` explains it: the variant's own documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),+).trim_start(),)* }
            }
        }
    };
}

error_codes! {
    /// The path names no connector that we have.
    UnknownConnector = "unknown_connector", NotFound, "There is no such connector";
    /// The connector is switched off in its settings.
    ConnectorDisabled = "connector_disabled", Forbidden, "The connector is disabled";
    /// The connector has no usable secret, so nothing can be verified. The provider should try again.
    SecretMissing = "secret_missing", Unavailable, "The connector has no secret to verify with";
    /// The request has no body.
    EmptyBody = "empty_body", Invalid, "The body is empty";
    /// The body, or what it lists, is larger than the connector's or the route's limit.
    BodyTooLarge = "body_too_large", TooLarge, "The body is too large";
    /// The body is not in the declared form (JSON, form, base64).
    MalformedBody = "malformed_body", Invalid, "The body cannot be read";
    /// The content type is not the connector's.
    UnsupportedContent = "unsupported_content", Unsupported, "The content type is not supported";
    /// The header that carries the signature is not there.
    SignatureMissing = "signature_missing", Unauthenticated, "The signature header is missing";
    /// The header is there and cannot be a signature of this scheme.
    SignatureMalformed = "signature_malformed", Unauthenticated, "The signature header is malformed";
    /// No secret of the connector gives this signature.
    SignatureMismatch = "signature_mismatch", Unauthenticated, "The signature does not match";
    /// The scheme's timestamp is missing or not a number.
    TimestampMalformed = "timestamp_malformed", Unauthenticated, "The timestamp is missing or malformed";
    /// The timestamp is too far from now, in either direction.
    TimestampStale = "timestamp_stale", Unauthenticated, "The timestamp is outside the tolerance";
    /// Nothing signed identifies the event, and its effect is not safe to repeat.
    EventUnidentified = "event_unidentified", Unprocessable, "The event cannot be told from a repeat";
    /// A delete or cancel was asked for by an event name outside the signature.
    EventUnsigned = "event_unsigned", Forbidden, "The event name is not signed";

    /// No API key was sent.
    ApiKeyMissing = "api_key_missing", Unauthenticated, "An API key is required";
    /// The API key is unknown, wrong, disabled or expired.
    ApiKeyInvalid = "api_key_invalid", Unauthenticated, "The API key is not valid";
    /// The user's roles do not allow this.
    PermissionDenied = "permission_denied", Forbidden, "Permission denied";
    /// There is no API key of that id.
    ApiKeyNotFound = "api_key_not_found", NotFound, "There is no such API key";
    /// There is no such user.
    UserNotFound = "user_not_found", NotFound, "There is no such user";
    /// There is no such role.
    RoleNotFound = "role_not_found", NotFound, "There is no such role";
    /// It comes with Causeway and cannot be changed or removed.
    BuiltIn = "built_in", Unprocessable, "It is built in";

    /// A part of the request is missing or wrong; `errors` names the fields.
    InvalidInput = "invalid_input", Invalid, "The input is not valid";
    /// There is no such route.
    RouteNotFound = "route_not_found", NotFound, "There is no such route";
    /// The route exists with other methods.
    MethodNotAllowed = "method_not_allowed", Method, "The method is not allowed here";
    /// The version asked for, in the header `API-Version` or as `version`, is not there, or is not the path's.
    UnsupportedVersion = "unsupported_version", Invalid, "The version is not supported";
    /// There is no such document.
    DocumentNotFound = "document_not_found", NotFound, "There is no such document";
    /// A document of that name exists.
    DocumentExists = "document_exists", Conflict, "The document already exists";
    /// The document changed since it was read.
    RevisionConflict = "revision_conflict", Conflict, "The document has changed";
    /// The document is no longer the version that `If-Match` names.
    PreconditionFailed = "precondition_failed", Precondition, "The document is another version";
    /// The document status does not allow the change (submitted, cancelled).
    DocstatusForbids = "docstatus_forbids", Unprocessable, "The document status forbids this";
    /// What the document's status (Closed, On Hold, Lost) or a field like it says forbids it, though it is submitted; the detail says what. Reopening the document mends it.
    StatusForbids = "status_forbids", Unprocessable, "The document's status forbids this";
    /// The document is larger than the store takes.
    DocumentTooLarge = "document_too_large", TooLarge, "The document is too large";
    /// The `Idempotency-Key` was used within the last 24 hours, with another request or another API key.
    IdempotencyKeyReused = "idempotency_key_reused", Unprocessable, "The idempotency key was used for something else";
    /// A request with this `Idempotency-Key` is being worked on. Send it again: it has the same answer then.
    IdempotencyInFlight = "idempotency_in_flight", Conflict, "The same request is being worked on";
    /// There is no such parked item.
    ParkedNotFound = "parked_not_found", NotFound, "There is no such parked item";
    /// Someone gave the event up while it was parked; the detail says who and why.
    Discarded = "discarded", Unprocessable, "The event was given up";
    /// There is no bulk transaction of that id that the caller may see: others' are for those who may read the logs.
    JobNotFound = "job_not_found", NotFound, "There is no such bulk transaction";
    /// The bulk transaction was cancelled, so nothing of it is tried again. Ask for what is still wanted in a new one.
    JobCancelled = "job_cancelled", Unprocessable, "The bulk transaction was cancelled";
    /// There is no such log entry.
    LogNotFound = "log_not_found", NotFound, "There is no such log entry";

    /// The connector's rules cannot be applied to this payload (a required field is missing, a value does not convert).
    MappingFailed = "mapping_failed", Unprocessable, "The mapping does not fit the payload";
    /// A document that the event needs does not exist yet.
    ParentMissing = "parent_missing", Unprocessable, "A required document does not exist yet";
    /// A read model cannot show the document: a field it needs is missing or is not what it should be.
    ProjectionFailed = "projection_failed", Unprocessable, "The document does not fit a read model";
    /// The message cannot be read as any version we know.
    MessageUnreadable = "message_unreadable", Invalid, "The queue message cannot be read";
    /// The message was received many times and no attempt on it was ever recorded.
    PoisonMessage = "poison_message", Internal, "The message stops its worker";

    /// The circuit breaker of the connector is open: its provider failed too often lately. Nothing was sent. `Retry-After` says when it is tried again.
    BreakerOpen = "breaker_open", Unavailable, "The provider is not called for a while";
    /// The provider asked us to call less, or the connector's shared rate is used up. Nothing changed. `Retry-After` says when there is room.
    ProviderLimited = "provider_limited", Unavailable, "The provider limits our calls";
    /// The provider did not answer, or answered that it is not well. Nothing changed.
    ProviderUnavailable = "provider_unavailable", Unavailable, "The provider is not available";
    /// The call was sent and its answer was lost: it is looked up before it is sent again.
    OutcomeUnknown = "outcome_unknown", Unavailable, "Nobody knows yet whether the call had its effect";
    /// Too little time was left for the call. Nothing was sent.
    OutOfTime = "out_of_time", Unavailable, "There was no time left for the call";
    /// The provider understood the call and declines it; the detail has its reason.
    ProviderRefused = "provider_refused", Unprocessable, "The provider refuses the call";
    /// The provider does not accept the credentials that it is called with, or there are none: whoever runs Causeway has to renew them. Nothing changed.
    CredentialsRefused = "credentials_refused", Unavailable, "The provider does not accept our credentials";
    /// The provider's answer is larger than the connector takes (`outbound.max_response_bytes`).
    AnswerTooLarge = "answer_too_large", Unprocessable, "The provider's answer is too large";
    /// Of the document, nothing is left to make another one of: all of it is billed, delivered or paid.
    NothingToMap = "nothing_to_map", Unprocessable, "Nothing is left to make a document of";
    /// The address of the call is private, or not one that may be called. The parameter `OutboundExceptions` names networks that may be.
    AddressRefused = "address_refused", Unprocessable, "The address may not be called";
    /// Where the documents live, this cannot be done; the detail says what can.
    StoreUnsupported = "store_unsupported", Unprocessable, "The document store cannot do this";

    /// The caller used up a limit; `Retry-After` says when there is room again, and `docs/rate-limits.md` which limits there are.
    RateLimited = "rate_limited", Limited, "Too many requests";
    /// A service we depend on did not answer in time or refused.
    DependencyUnavailable = "dependency_unavailable", Unavailable, "A service is not available";
    /// A defect of ours; the log has the cause.
    InternalError = "internal_error", Internal, "Internal error";
}

/// One field of the input that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or the name of a query parameter or header.
    pub field: String,
    /// What is wrong, stable: `missing`, `invalid`, `too_long`, `unknown`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

/// The faults found in an input so far, so that one answer names them all.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes a fault of `field` unless `holds`.
    pub fn check(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        if !holds {
            self.0.push(FieldError { field: field.into(), code, detail: detail.into() });
        }
    }

    /// Notes the error of `result`, if it is one, as a fault of `field`.
    pub fn result<T>(&mut self, field: &str, result: Result<T>) {
        match result {
            Ok(_) => {}
            Err(error) if error.fields.is_empty() => self.check(false, field, "invalid", error.detail()),
            Err(error) => self.extend(error.at(field).fields),
        }
    }

    /// Notes faults found elsewhere.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = FieldError>) {
        self.0.extend(faults);
    }

    /// An error that names every fault, if there is one.
    pub fn into_result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::fields(self.0)) }
    }
}

/// A failure with its stable code, what the caller may read, and what only the log gets.
pub struct Error {
    code: ErrorCode,
    // Small, all of it: an error is returned by value everywhere.
    detail: Box<str>,
    fields: Box<[FieldError]>,
    retry_after_seconds: Option<NonZeroU32>,
    connector: Option<Box<str>>,
    in_outage: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure whose `detail` the caller may read: never put a secret or a signature in it.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into().into_boxed_str(),
            fields: Box::default(),
            retry_after_seconds: None,
            connector: None,
            in_outage: false,
            source: None,
        }
    }

    /// Wrong input, naming the one field at fault.
    pub fn field(field: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), code, detail: detail.into() }])
    }

    /// Wrong input, naming every field at fault.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let sentence = |fault: &FieldError| match fault.field.as_str() {
            "" => fault.detail.clone(),
            field => format!("{field}: {}", fault.detail),
        };
        let detail = fields.iter().map(sentence).collect::<Vec<_>>().join("; ");
        Self { fields: fields.into_boxed_slice(), ..Self::new(ErrorCode::InvalidInput, detail) }
    }

    /// The caller used up a limit; there is room again in `seconds`.
    pub fn limited(detail: impl Into<String>, seconds: u64) -> Self {
        Self::new(ErrorCode::RateLimited, detail).retry_after(seconds)
    }

    /// The same failure, with when another try makes sense, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = NonZeroU32::new(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// The same failure, with the connector whose calls it is about: what waits for it to be well again is filed
    /// under this.
    #[must_use]
    pub fn of_connector(mut self, name: &str) -> Self {
        self.connector = Some(name.into());
        self
    }

    /// The same failure, as one of an outage: the circuit breaker of its connector is open.
    #[must_use]
    pub fn in_outage(mut self) -> Self {
        self.in_outage = true;
        self
    }

    /// A service we depend on failed; `source` goes to the log only.
    pub fn unavailable(service: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorCode::DependencyUnavailable, format!("{service} is not available")).because(source)
    }

    /// A defect of ours; `source` goes to the log only.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorCode::InternalError, "something went wrong on our side").because(source)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure under another code, keeping detail, fields and cause.
    #[must_use]
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// The same input error, its one field called `field`: where it was found, not what it was checked as.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        if self.fields.is_empty() {
            return self;
        }
        let renamed = |fault| FieldError { field: field.to_owned(), ..fault };
        Self { source: self.source, ..Self::fields(self.fields.into_iter().map(renamed).collect()) }
            .with_code(self.code)
    }

    /// The same input error, its fields below `from` called as below `to`: where this caller wrote them.
    #[must_use]
    pub fn moved(self, from: &str, to: &str) -> Self {
        if self.fields.is_empty() {
            return self;
        }
        let renamed = |fault: FieldError| match fault.field.strip_prefix(from) {
            Some(below) => FieldError { field: format!("{to}{below}"), ..fault },
            None => fault,
        };
        Self { source: self.source, ..Self::fields(self.fields.into_iter().map(renamed).collect()) }
            .with_code(self.code)
    }

    /// The same failure to its caller once more; the cause stays with this one.
    #[must_use]
    pub fn repeated(&self) -> Self {
        Self {
            code: self.code,
            detail: self.detail.clone(),
            fields: self.fields.clone(),
            source: None,
            retry_after_seconds: self.retry_after_seconds,
            connector: self.connector.clone(),
            in_outage: self.in_outage,
        }
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What went wrong here, for the caller.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The fields at fault, if it is an input error.
    pub fn field_errors(&self) -> &[FieldError] {
        &self.fields
    }

    /// In how many seconds the same request may be tried again, where that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds.map(|seconds| u64::from(seconds.get()))
    }

    /// Whether it is one of an outage of its connector, and so says nothing of what was being done.
    pub fn is_in_outage(&self) -> bool {
        self.in_outage
    }

    /// The connector whose calls the failure is about, if it is about calls.
    pub fn connector(&self) -> Option<&str> {
        self.connector.as_deref()
    }

    /// Whether the same request may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.code.kind(), Kind::Unavailable | Kind::Limited)
            || matches!(
                self.code,
                ErrorCode::RevisionConflict | ErrorCode::IdempotencyInFlight | ErrorCode::InternalError
            )
    }

    /// The whole chain of causes, for the log.
    pub fn causes(&self) -> String {
        let mut text = self.detail.to_string();
        let mut next = self.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.causes())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
