//! DynamoDB on a bad day: a proxy in this process between the functions and the local AWS, which fails as DynamoDB
//! does when it is told to, and passes everything through otherwise.
//!
//! A call that fails has no effect, except where its answer is lost: then it was done.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::Incoming,
    client,
    http::{request, response},
    server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::JoinSet,
};

/// The longest body, in bytes: DynamoDB takes and gives 16 MB.
const MAX_BODY: usize = 32 << 20;
/// What errors that DynamoDB models are named after.
const MODEL: &str = "com.amazonaws.dynamodb.v20120810";

type Whole = Response<Full<Bytes>>;

/// A running proxy. Its thread ends with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<Mutex<Weather>>,
}

/// How calls fare.
#[derive(Debug)]
struct Weather {
    /// How probably a call fails.
    often: f64,
    random: fastrand::Rng,
    /// Calls that failed.
    failed: usize,
}

/// How a call fails.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// An error, by its status and its name.
    Error(u16, &'static str),
    /// All of a batch is left out.
    LeftOut,
    /// The connection closes, and nothing was done.
    DropBefore,
    /// It is done, and the connection closes.
    DropAfter,
}

impl Proxy {
    /// Starts a proxy to what listens, then or later, on `port` of this machine.
    pub fn start(port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let calm = Weather { often: 0.0, random: fastrand::Rng::with_seed(0), failed: 0 };
        let weather = Arc::new(Mutex::new(calm));
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (shared, runtime) =
            (weather.clone(), runtime::Builder::new_current_thread().enable_all().build()?);
        thread::Builder::new().name("dynamodb-proxy".into()).spawn(move || {
            runtime.block_on(async move {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    serve(listener, upstream, shared).await;
                }
            });
        })?;
        Ok(Self { address, weather })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on calls fail with probability `often`, by a generator that starts at `seed`.
    pub fn fail(&self, often: f64, seed: u64) {
        let mut weather = self.weather.lock().unwrap();
        (weather.often, weather.random) = (often, fastrand::Rng::with_seed(seed));
    }

    /// From now on all calls pass. How many failed before.
    pub fn clear(&self) -> usize {
        let mut weather = self.weather.lock().unwrap();
        weather.often = 0.0;
        std::mem::take(&mut weather.failed)
    }
}

impl Weather {
    /// How a call of `operation` fails, if it does.
    fn strike(&mut self, operation: &str) -> Option<Fault> {
        if self.random.f64() >= self.often {
            return None;
        }
        self.failed += 1;
        let own = match operation {
            "TransactWriteItems" => Fault::Error(400, "TransactionCanceledException"),
            "PutItem" | "UpdateItem" | "DeleteItem" => Fault::Error(400, "TransactionConflictException"),
            "BatchGetItem" | "BatchWriteItem" => Fault::LeftOut,
            _ => Fault::Error(400, "RequestLimitExceeded"),
        };
        let faults = [
            own,
            Fault::Error(400, "ThrottlingException"),
            Fault::Error(400, "ProvisionedThroughputExceededException"),
            Fault::Error(500, "InternalServerError"),
            Fault::DropBefore,
            Fault::DropAfter,
        ];
        self.random.choice(faults)
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, weather: Arc<Mutex<Weather>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _no_delay = stream.set_nodelay(true);
        let weather = weather.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, upstream, weather.clone()));
            // An error is a fault, or a caller that was killed.
            let _closed =
                server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The answer to a call; an error closes the connection.
async fn answer(
    request: Request<Incoming>,
    upstream: SocketAddr,
    weather: Arc<Mutex<Weather>>,
) -> io::Result<Whole> {
    let (parts, body) = request.into_parts();
    let body = whole(body).await?;
    let target =
        parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let fault = weather.lock().unwrap().strike(operation);
    match fault {
        None => forward(parts, body, upstream).await,
        Some(Fault::DropBefore) => Err(io::Error::other("dropped before the call")),
        Some(Fault::DropAfter) => {
            forward(parts, body, upstream).await?;
            Err(io::Error::other("dropped after the call"))
        }
        Some(Fault::Error(status, name)) => json_answer(status, &error(name, &body)),
        Some(Fault::LeftOut) => json_answer(200, &left_out(operation, &body)),
    }
}

async fn whole(body: Incoming) -> io::Result<Bytes> {
    let body = Limited::new(body, MAX_BODY).collect().await;
    Ok(body.map_err(|_| io::Error::other("a body too long or cut"))?.to_bytes())
}

/// Passes a call on over a connection of its own, and its answer back.
async fn forward(parts: request::Parts, body: Bytes, upstream: SocketAddr) -> io::Result<Whole> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::from_parts(parts, Full::new(body));
    let (parts, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
    let mut answer = Response::new(Full::new(whole(body).await?));
    let response::Parts { status, headers, .. } = parts;
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    // Whose connection this is about is not the caller's.
    for hop in ["connection", "content-length", "transfer-encoding"] {
        answer.headers_mut().remove(hop);
    }
    Ok(answer)
}

fn json_answer(status: u16, body: &Value) -> io::Result<Whole> {
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    answer.body(Full::from(body.to_string())).map_err(io::Error::other)
}

/// The error `name` in answer to the call with `body`.
fn error(name: &str, body: &[u8]) -> Value {
    let mut error = json!({ "__type": format!("{MODEL}#{name}"), "message": "a fault of the tests" });
    if name == "TransactionCanceledException" {
        let items = read(body)["TransactItems"].as_array().map_or(0, Vec::len);
        let reason = |n: usize| match n {
            0 => json!({ "Code": "TransactionConflict", "Message": "another one is under way" }),
            _ => json!({ "Code": "None" }),
        };
        error["CancellationReasons"] = (0..items).map(reason).collect();
    }
    error
}

/// The answer that did nothing of a batch.
fn left_out(operation: &str, body: &[u8]) -> Value {
    let asked = read(body)["RequestItems"].take();
    if operation == "BatchGetItem" {
        json!({ "Responses": {}, "UnprocessedKeys": asked })
    } else {
        json!({ "UnprocessedItems": asked })
    }
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}
