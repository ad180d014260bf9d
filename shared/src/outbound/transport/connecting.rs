//! How one request connects: within its own time, and by TLS or not.
//!
//! A client of reqwest has one time limit for all its connections; here each call's policy has its own. The adapter
//! sets [`Connecting`] around a request, the [`ConnectLayer`] in the client finds it when a connection is made for it,
//! and carries it along to the resolver.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    static CONNECTING: Connecting;
}

/// How a request connects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connecting {
    /// Resolving, connecting and TLS together.
    pub within: Duration,
    /// Whether there will be TLS.
    pub secure: bool,
}

impl Connecting {
    /// Does `work` with connections made this way.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CONNECTING.scope(self, work).await
    }

    /// How the request that is being sent connects.
    pub fn current() -> Option<Self> {
        CONNECTING.try_with(|connecting| *connecting).ok()
    }
}

/// Connecting took too long.
#[derive(Debug)]
struct TooSlow(Duration);

impl std::fmt::Display for TooSlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no connection within {} ms", self.0.as_millis())
    }
}

impl std::error::Error for TooSlow {}

/// Puts [`Connecting`] around a connector.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectLayer;

impl<S> Layer<S> for ConnectLayer {
    type Service = ConnectService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectService { inner }
    }
}

/// A connector that keeps to [`Connecting`].
#[derive(Debug, Clone)]
pub(super) struct ConnectService<S> {
    inner: S,
}

impl<S, R> Service<R> for ConnectService<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let work = self.inner.call(target);
        let Some(connecting) = Connecting::current() else { return work.boxed() };
        // Wherever it is polled from now on: the pool finishes a connection that another one overtook in the background.
        let bounded = async move {
            match tokio::time::timeout(connecting.within, work).await {
                Ok(connected) => connected,
                Err(_) => Err(TooSlow(connecting.within).into()),
            }
        };
        connecting.scope(bounded).boxed()
    }
}
