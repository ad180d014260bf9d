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
    etag: Option<String>,
}

impl<T> One<T> {
    /// `data`.
    pub fn of(data: T) -> Self {
        Self { data, etag: None }
    }

    /// With its `ETag`, quotes and all.
    #[must_use]
    pub fn with_etag(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }
}

impl<T: Serialize + JsonSchema> Answer for One<T> {
    fn respond(self) -> Result<Response> {
        Ok(tagged(Response::data(StatusCode::OK, value(&self.data)?), self.etag.as_deref()))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(200, &[]);
    }
}

/// 200 and one thing that has revisions: its `ETag` is the one it is at.
pub struct Tagged<T> {
    data: T,
    revision: u64,
}

impl<T> Tagged<T> {
    /// `data` at `revision`.
    pub fn of(data: T, revision: u64) -> Self {
        Self { data, revision }
    }
}

impl<T: Serialize + JsonSchema> Answer for Tagged<T> {
    fn respond(self) -> Result<Response> {
        let tag = ETag::revision(self.revision).to_string();
        Ok(Response::data(StatusCode::OK, value(&self.data)?).with_header(header::ETAG, &tag))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(200, &["ETag"]);
    }
}

/// 201, `Location` and the new thing; or 200 where it replaced one.
pub struct Created<T> {
    data: T,
    /// Where the new thing is; nothing where it replaced one.
    location: Option<String>,
    etag: Option<String>,
}

impl<T> Created<T> {
    /// `data` is new, at `location`.
    pub fn at(location: String, data: T) -> Self {
        Self { data, location: Some(location), etag: None }
    }

    /// `data` replaced what was there.
    pub fn replaced(data: T) -> Self {
        Self { data, location: None, etag: None }
    }

    /// With its `ETag`, quotes and all.
    #[must_use]
    pub fn with_etag(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }
}

impl<T: Serialize + JsonSchema> Answer for Created<T> {
    fn respond(self) -> Result<Response> {
        let data = value(&self.data)?;
        let response = match &self.location {
            Some(location) => {
                Response::data(StatusCode::CREATED, data).with_header(header::LOCATION, location)
            }
            None => Response::data(StatusCode::OK, data),
        };
        Ok(tagged(response, self.etag.as_deref()))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_one::<T>(201, &["Location"]);
        if operation.method() == "PUT" {
            operation.answers_one::<T>(200, &[]);
        }
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
            .with_header(header::CACHE_CONTROL, &self.cached.cache_control()))
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

/// 200 and a page or file, as it is.
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Answer for Asset {
    fn respond(self) -> Result<Response> {
        Ok(Response::asset(self.content_type, self.text))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_asset();
    }
}

fn tagged(response: Response, etag: Option<&str>) -> Response {
    match etag {
        Some(etag) => response.with_header(header::ETAG, etag),
        None => response,
    }
}
