//! The adapter to the network, on reqwest.
//!
//! No proxy, no cookies, no decompression, HTTP/1.1. Each URL is checked before it is called, redirects too, and the
//! connection goes to addresses that were checked. A redirect is followed for GET and HEAD, within scheme, host and
//! port, so that no token goes elsewhere; any other is the answer. The answer is read piece by piece up to its limit.
//!
//! What was sent and what was not decides whether a call may be repeated, so it is told apart as far as hyper knows:
//! a failure to connect, and a request that hyper never began to write, were not sent.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use reqwest::{Client, redirect, retry};
use url::Url;

use super::{
    Limits, Transport, TransportError,
    connecting::{ConnectLayer, Connecting},
    resolver::{CheckedResolver, Lookup, system},
};
use crate::{
    Error, Result,
    outbound::address::{Exceptions, Refusal, check_url},
};

/// How long a connection is kept for the next request: shorter than servers commonly do (5 s with Node.js, 60 s and
/// more behind load balancers), so that a request is hardly ever written to a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(4);
/// Connections kept to one host.
const MAX_IDLE: usize = 16;
/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 3;
/// How we call ourselves; some providers refuse who does not.
const USER_AGENT: &str = concat!("causeway/", env!("CARGO_PKG_VERSION"));

/// Sends requests by HTTP/1.1, to public addresses and those excepted.
pub struct ReqwestTransport {
    client: Client,
    exceptions: Arc<Exceptions>,
}

impl ReqwestTransport {
    /// A client with its own pool of connections. Reads the system's root certificates: once an instance.
    pub fn new(exceptions: Exceptions) -> Result<Self> {
        Self::with_lookup(exceptions, system())
    }

    pub(super) fn with_lookup(exceptions: Exceptions, lookup: Arc<Lookup>) -> Result<Self> {
        // An error says that a provider is installed already, which is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let exceptions = Arc::new(exceptions);
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .dns_resolver(CheckedResolver { lookup, exceptions: Arc::clone(&exceptions) })
            .connector_layer(ConnectLayer)
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, exceptions })
    }

    async fn follow(
        &self,
        request: &Request<Vec<u8>>,
        limits: Limits,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let mut url = self.check(&request.uri().to_string())?;
        for _ in 0..MAX_REDIRECTS {
            let answer = self.exchange(request, &url, limits).await?;
            match target(request.method(), &url, answer.status(), answer.headers()) {
                Some(next) => url = self.check(next.as_str())?,
                None => return Ok(answer),
            }
        }
        self.exchange(request, &url, limits).await
    }

    fn check(&self, url: &str) -> Result<Url, TransportError> {
        check_url(url, &self.exceptions)
            .map_err(|error| TransportError::AddressRefused(error.detail().to_owned()))
    }

    async fn exchange(
        &self,
        request: &Request<Vec<u8>>,
        url: &Url,
        limits: Limits,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let mut sent = reqwest::Request::new(request.method().clone(), url.clone());
        sent.headers_mut().clone_from(request.headers());
        let may_be_bodyless = matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
        if !(may_be_bodyless && request.body().is_empty()) {
            *sent.body_mut() = Some(request.body().clone().into());
        }
        // A total that ends first would leave open whether anything was sent.
        let within = limits.connect.min(limits.total / 10 * 9);
        let connecting = Connecting { within, secure: url.scheme() == "https" };
        let answer = connecting.scope(self.client.execute(sent)).await.map_err(failure)?;
        read(answer, limits.max_response_bytes).await
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(
        &self,
        request: &Request<Vec<u8>>,
        limits: Limits,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        match tokio::time::timeout(limits.total, self.follow(request, limits)).await {
            Ok(result) => result,
            Err(_) => {
                let why = format!("no whole answer within {} ms", limits.total.as_millis());
                Err(TransportError::Lost(why.into()))
            }
        }
    }
}

/// Reads the body, no further than `limit`.
async fn read(mut answer: reqwest::Response, limit: usize) -> Result<Response<Vec<u8>>, TransportError> {
    let status = answer.status();
    let announced = answer.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limit {
        return Err(TransportError::TooLarge(status));
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(piece) = answer.chunk().await.map_err(|e| TransportError::Lost(e.without_url().into()))? {
        if body.len() + piece.len() > limit {
            return Err(TransportError::TooLarge(status));
        }
        body.extend_from_slice(&piece);
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// Where an answer redirects to, if it is followed.
fn target(method: &Method, from: &Url, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
    let followed = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
        && matches!(*method, Method::GET | Method::HEAD);
    let location = headers.get(header::LOCATION).filter(|_| followed)?.to_str().ok()?;
    let target = from.join(location).ok()?;
    (target.origin() == from.origin()).then_some(target)
}

/// What a failure before the answer's head means. The text of reqwest's errors would show the URL, with its query.
fn failure(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if let Some(refusal) = causes(&error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
        return TransportError::AddressRefused(refusal.to_string());
    }
    let unwritten = |cause: &(dyn StdError + 'static)| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
    };
    if error.is_builder() || error.is_connect() || causes(&error).any(unwritten) {
        return TransportError::NotSent(error.into());
    }
    TransportError::Lost(error.into())
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}
