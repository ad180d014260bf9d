//! The server: takes connections, lets faults have their way, and has the API do the work. Each request's work runs
//! on its own, so a caller who hangs up does not take it back.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};

use crate::{
    api::Api,
    body::Served,
    exception::Exception,
    fault::{Effect, Faults, Meanwhile},
    request::{Answer, Request},
};

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How many requests are remembered.
const MAX_RECEIVED: usize = 200_000;

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// GET, POST, …
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// The query's arguments and the body's.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// The body.
    pub body: String,
    /// The header Authorization.
    pub authorization: Option<String>,
    /// When it came, by the machine's clock.
    pub at: SystemTime,
    /// The status of its answer; none before it, or if the connection was closed instead.
    pub status: Option<u16>,
    /// Whether it has changed anything.
    pub had_effect: bool,
}

/// What the server and the tests share.
#[derive(Debug)]
pub struct Shared {
    /// The site itself.
    pub api: Mutex<Api>,
    /// What goes wrong.
    pub faults: Mutex<Faults>,
    /// What came in.
    pub received: Mutex<Vec<Received>>,
    /// How many requests are at work, and the most there were.
    pub at_once: Mutex<(usize, usize)>,
    /// Whether requests wait.
    pub paused: watch::Sender<bool>,
    /// Whether nobody listens.
    pub closed: watch::Sender<bool>,
    /// The least time of a request.
    pub latency: Duration,
}

/// The mutex's content, also after a panic of a test that held it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes back over the connection; `None` closes it.
type Fate = Option<(Answer, Style)>;

#[derive(Debug, Clone, Copy)]
enum Style {
    Whole,
    Cut,
    Flood(u64),
    Drip(Duration),
}

/// Serves until it is aborted; while the site is closed, nobody listens on its port.
pub async fn serve(mut listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut closed = shared.closed.subscribe();
    loop {
        tokio::select! {
            () = accept(listener, &shared) => (),
            _ = closed.wait_for(|closed| *closed) => (),
        }
        if closed.wait_for(|closed| !closed).await.is_err() {
            return;
        }
        let Ok(again) = TcpListener::bind(address).await else { return };
        listener = again;
    }
}

/// Takes connections; those that are open end with it, the work of their requests does not.
async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _no_delay = stream.set_nodelay(true);
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| respond(request, shared.clone()));
            let _closed = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn respond(request: hyper::Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Served>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|_| io::Error::other("a body too long or cut"))?;
    let request = Request::new(&parts, &body.to_bytes());
    let work = tokio::spawn(async move { attended(request, &shared).await });
    let fate = work.await.map_err(io::Error::other)?;
    let (answer, style) = fate.ok_or_else(|| io::Error::other("closed by a fault"))?;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let body = match style {
        Style::Whole => Served::Whole(Some(Bytes::from(answer.body))),
        Style::Cut => Served::cut(&answer.body),
        Style::Flood(bytes) => Served::Flood(bytes),
        Style::Drip(apart) => Served::Drip(Bytes::from(answer.body), apart, None),
    };
    response.body(body).map_err(io::Error::other)
}

/// Notes the request before and after its work.
async fn attended(request: Request, shared: &Arc<Shared>) -> Fate {
    let index = note(&request, shared);
    let mut paused = shared.paused.subscribe();
    if paused.wait_for(|paused| !paused).await.is_err() {
        return None; // the site has stopped
    }
    {
        let mut at_once = locked(&shared.at_once);
        at_once.0 += 1;
        at_once.1 = at_once.1.max(at_once.0);
    }
    if !shared.latency.is_zero() {
        sleep(shared.latency).await;
    }
    let effect = locked(&shared.faults).strike(&request);
    let fate = fated(request, effect, shared, index).await;
    locked(&shared.at_once).0 -= 1;
    if let (Some((answer, _)), Some(index)) = (&fate, index) {
        amend(shared, index, |received| received.status = Some(answer.status));
    }
    fate
}

fn note(request: &Request, shared: &Shared) -> Option<usize> {
    let mut received = locked(&shared.received);
    if received.len() >= MAX_RECEIVED {
        return None;
    }
    received.push(Received {
        method: request.method.clone(),
        path: request.path.clone(),
        arguments: request.arguments(),
        body: request.text.clone(),
        authorization: request.authorization.clone(),
        at: SystemTime::now(),
        status: None,
        had_effect: false,
    });
    Some(received.len() - 1)
}

fn amend(shared: &Shared, index: usize, change: impl FnOnce(&mut Received)) {
    locked(&shared.received).get_mut(index).map(change);
}

/// Does the work, and remembers whether it changed anything.
fn work(request: &Request, shared: &Shared, index: Option<usize>, stamped: Option<Timestamp>) -> Answer {
    let mut api = locked(&shared.api);
    api.database.stamp_as(stamped);
    let (answer, changed) = api.answer(request);
    api.database.stamp_as(None);
    if let Some(index) = index.filter(|_| changed) {
        amend(shared, index, |received| received.had_effect = true);
    }
    answer
}

fn refused(request: &Request, exception: &Exception) -> Answer {
    let second = request.path.starts_with("/api/v2/");
    Answer::json(exception.status, &if second { exception.v2() } else { exception.v1() })
}

async fn fated(request: Request, effect: Option<Effect>, shared: &Arc<Shared>, index: Option<usize>) -> Fate {
    let whole = |answer| Some((answer, Style::Whole));
    let done = || work(&request, shared, index, None);
    match effect {
        None => whole(done()),
        Some(Effect::DelayBefore(wait)) => {
            sleep(wait).await;
            whole(done())
        }
        Some(Effect::DelayAnswer(wait)) => {
            let answer = done();
            sleep(wait).await;
            whole(answer)
        }
        Some(Effect::HoldCommit(wait)) => {
            let stamped = locked(&shared.api).clock.now();
            sleep(wait).await;
            whole(work(&request, shared, index, Some(stamped)))
        }
        Some(Effect::LateCommit(wait, meanwhile)) => {
            let (request, shared) = (request.clone(), shared.clone());
            tokio::spawn(async move {
                sleep(wait).await;
                work(&request, &shared, index, None);
            });
            match meanwhile {
                Meanwhile::Drop => None,
                Meanwhile::Answer(answer) => whole(answer),
            }
        }
        Some(Effect::DropBefore) => None,
        Some(Effect::DropAfter) => {
            done();
            None
        }
        Some(Effect::DropMidBody) => Some((done(), Style::Cut)),
        Some(Effect::Answer(answer)) => whole(answer),
        Some(Effect::AnswerAfter(answer)) => {
            done();
            whole(answer)
        }
        Some(Effect::Limited(seconds)) => {
            let answer = refused(&request, &Exception::too_many_requests());
            whole(answer.header("Retry-After", &seconds.to_string()))
        }
        Some(Effect::Maintenance) => whole(refused(&request, &Exception::maintenance())),
        Some(Effect::LockWait) => whole(refused(&request, &Exception::lock_wait())),
        Some(Effect::Flood(bytes)) => Some((done(), Style::Flood(bytes))),
        Some(Effect::Drip(apart)) => Some((done(), Style::Drip(apart))),
    }
}
