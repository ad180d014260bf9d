//! What a handler gives: typed, turned into the API's envelope, and described in the OpenAPI document by the
//! same type.

use std::marker::PhantomData;

use http::{StatusCode, header};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

#[cfg(test)]
use super::openapi::Operation;
use crate::{Error, Result, cache::Cached, etag::ETag, trigger::http::Response};

/// What a handler gives.
pub trait Answer {
    /// As a response.
    fn respond(self) -> Result<Response>;

    /// Says what it gives.
    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>);
}

fn value(data: &impl Serialize) -> Result<Value> {
    serde_json::to_value(data).map_err(Error::internal)
}

/// 200 and one thing: `{"data": …}`.
pub struct One<T> {
    data: T,
}

impl<T> One<T> {
    /// `data`.
    pub fn of(data: T) -> Self {
        Self { data }
    }
}

impl<T: Serialize + JsonSchema> Answer for One<T> {
    fn respond(self) -> Result<Response> {
        Ok(Response::data(StatusCode::OK, value(&self.data)?))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(200, &[]);
    }
}

/// 201, `Location` and the new thing; or 200 where it replaced one.
pub struct Created<T> {
    data: T,
    /// Where the new thing is; nothing where it replaced one.
    location: Option<String>,
}

impl<T> Created<T> {
    /// `data` is new, at `location`.
    pub fn at(location: String, data: T) -> Self {
        Self { data, location: Some(location) }
    }

    /// `data` replaced what was there.
    pub fn replaced(data: T) -> Self {
        Self { data, location: None }
    }
}

impl<T: Serialize + JsonSchema> Answer for Created<T> {
    fn respond(self) -> Result<Response> {
        let data = value(&self.data)?;
        Ok(match &self.location {
            Some(location) => {
                Response::data(StatusCode::CREATED, data).with_header(header::LOCATION, location)
            }
            None => Response::data(StatusCode::OK, data),
        })
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(201, &["Location"]);
        if operation.method() == "PUT" {
            operation.answers_one::<T>(200, &[]);
        }
    }
}

/// An answer with its `ETag`.
pub struct Tagged<A> {
    answer: A,
    etag: ETag,
}

impl<A> Tagged<A> {
    /// `answer` shows this revision of something.
    pub fn revision(revision: u64, answer: A) -> Self {
        Self { answer, etag: ETag::revision(revision) }
    }
}

impl<A: Answer> Answer for Tagged<A> {
    fn respond(self) -> Result<Response> {
        Ok(self.answer.respond()?.with_header(header::ETAG, &self.etag.to_string()))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        A::describe(operation);
        operation.tags_answers();
    }
}

/// An answer that shows a secret: no cache may keep it.
pub struct Unkept<A>(pub A);

impl<A: Answer> Answer for Unkept<A> {
    fn respond(self) -> Result<Response> {
        Ok(self.0.respond()?.with_header(header::CACHE_CONTROL, "no-store"))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        A::describe(operation);
    }
}

/// 202 and what will happen; `Location` says where to look for it.
pub struct Accepted<T> {
    /// What is known of it.
    pub data: T,
    /// Where what becomes of it is shown.
    pub location: Option<String>,
}

impl<T: Serialize + JsonSchema> Answer for Accepted<T> {
    fn respond(self) -> Result<Response> {
        let response = Response::data(StatusCode::ACCEPTED, value(&self.data)?);
        Ok(match &self.location {
            Some(location) => response.with_header(header::LOCATION, location),
            None => response,
        })
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(202, &["Location"]);
    }
}

/// 202 and what will happen; or 200 and the same, where nothing is left to happen.
pub struct MaybeAccepted<T> {
    /// What is known of it.
    pub data: T,
    /// Whether anything will happen.
    pub accepted: bool,
}

impl<T: Serialize + JsonSchema> Answer for MaybeAccepted<T> {
    fn respond(self) -> Result<Response> {
        if self.accepted {
            Accepted { data: self.data, location: None }.respond()
        } else {
            One::of(self.data).respond()
        }
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(202, &[]);
        operation.answers_one::<T>(200, &[]);
    }
}

/// 200 and a page of things: `{"data": […], "page": {"next": …}}`.
pub struct Many<T> {
    /// The things.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
    /// Whether a limit ended the search before the page was full.
    pub partial: bool,
}

impl<T: Serialize + JsonSchema> Answer for Many<T> {
    fn respond(self) -> Result<Response> {
        let items: Vec<Value> = self.items.iter().map(value).collect::<Result<_>>()?;
        Ok(Response::page(&items, self.next.as_deref(), self.partial))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_many::<T>();
    }
}

/// 200 and a result that may have been kept: with its `ETag`, how old it is, and how long it may be used. What `T`
/// is shows in the OpenAPI document only; the result is text already.
pub struct Kept<T> {
    cached: Cached,
    now: Timestamp,
    shown: PhantomData<fn() -> T>,
}

impl<T> Kept<T> {
    /// `cached`, which is a `T` in its envelope, as of `now`.
    pub fn of(cached: Cached, now: Timestamp) -> Self {
        Self { cached, now, shown: PhantomData }
    }
}

impl<T: Envelope> Answer for Kept<T> {
    fn respond(self) -> Result<Response> {
        Ok(Response::json(StatusCode::OK, self.cached.value()?)
            .with_header(header::ETAG, &self.cached.etag.to_string())
            .with_header(header::AGE, &self.cached.age_seconds(self.now).to_string())
            .with_header(header::CACHE_CONTROL, &self.cached.cache_control())
            // A client that changes its key must not find what it was shown with the other one.
            .with_header(header::VARY, "Authorization, X-API-Key"))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

/// What a kept result looks like.
pub trait Envelope {
    /// Says what it looks like.
    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>);
}

impl<T: JsonSchema> Envelope for OneOf<T> {
    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(200, &["ETag", "Age"]);
    }
}

impl<T: JsonSchema> Envelope for PageOf<T> {
    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_many_kept::<T>();
    }
}

/// One `T` in its envelope.
pub struct OneOf<T>(PhantomData<T>);

/// A page of `T` in its envelope.
pub struct PageOf<T>(PhantomData<T>);

/// 204, nothing to say.
pub struct Nothing;

impl Answer for Nothing {
    fn respond(self) -> Result<Response> {
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_nothing();
    }
}

/// What a page may do: load from where it came from, and nothing else. No script or style in its text runs.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// How long browsers keep pages and files: they change with a deployment, all at once.
const ASSET_CACHE_CONTROL: &str = "public, max-age=60";

/// 200 and a page or file that is part of the program, as it is.
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Answer for Asset {
    fn respond(self) -> Result<Response> {
        let response = Response::asset(self.content_type, self.text)
            .with_header(header::CACHE_CONTROL, ASSET_CACHE_CONTROL)
            .with_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        Ok(if self.content_type.starts_with("text/html") {
            response
                .with_header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
                .with_header(header::REFERRER_POLICY, "no-referrer")
        } else {
            response
        })
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_asset();
    }
}
