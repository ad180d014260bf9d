//! Our own time in a call to a provider: everything but the provider.
//!
//! `pipeline` is [`causeway::outbound::Outbound::call`] over a transport that answers at once, without limits, with a
//! log that forgets: the verdict, the redacted record, the deadline. `loopback` sends the same call by the real
//! transport over a kept connection to a server in the process that answers at once; it is the kernel's time too.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use causeway::{
    clock::SystemClock,
    outbound::{
        Call, Exceptions, Governor, HttpProvider, Limits, Origin, Outbound, OutboundPolicy, Repeat,
        ReqwestTransport, Transport, TransportError, call_log::NoCallLog,
    },
};
use causeway_bench::{Failed, delivery::sales_order};
use criterion::Criterion;
use http::{Method, Request, Response, header};
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::Instant,
};

const SIZES: [usize; 3] = [1, 4, 32];

/// A provider that is infinitely near.
struct AtOnce(Vec<u8>);

#[async_trait]
impl Transport for AtOnce {
    async fn send(&self, _: &Request<Vec<u8>>, _: Limits) -> Result<Response<Vec<u8>>, TransportError> {
        Ok(Response::new(self.0.clone()))
    }
}

fn body(kilobytes: usize) -> Vec<u8> {
    let size = kilobytes * 1024;
    sales_order("on_update", "SAL-ORD-2026-00001", Timestamp::now(), 1, size.min(2048) / 4, size)
        .to_string()
        .into_bytes()
}

fn call(site: &str, body: &[u8]) -> Result<Call, Failed> {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("{site}/api/resource/Sales%20Order/SAL-ORD-2026-00001"))
        .header(header::AUTHORIZATION, "token 0123456789abcde:0123456789abcde")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_vec())?;
    Ok(Call {
        connector: "erpnext".to_owned(),
        endpoint: "PUT /api/resource/{doctype}/{name}".to_owned(),
        request,
        repeat: Repeat::Safe,
        provider: &HttpProvider,
    })
}

fn outbound(transport: Arc<dyn Transport>) -> Outbound {
    let clock = Arc::new(SystemClock);
    Outbound::new(transport, Arc::new(Governor::unlimited(clock.clone())), Arc::new(NoCallLog), clock)
}

/// Answers each request of a connection with `body`. Requests are told apart by their length, which is always the same.
async fn serve(mut stream: TcpStream, body: Arc<Vec<u8>>) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = [head.as_bytes(), &body[..]].concat();
    let mut seen = Vec::new();
    loop {
        let mut piece = vec![0; 65_536];
        let read = stream.read(&mut piece).await?;
        seen.extend_from_slice(&piece[..read]);
        let end = seen.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| seen.len() >= end + 4 + body.len()) {
            stream.write_all(&answer).await?;
            seen.clear();
        } else if read == 0 {
            return Ok(());
        }
    }
}

/// Starts a server in the runtime; returns its URL.
fn server(runtime: &Runtime, body: Vec<u8>) -> Result<String, Failed> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let (site, body) = (format!("http://{}", listener.local_addr()?), Arc::new(body));
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&body)));
        }
    });
    Ok(site)
}

fn measure(
    c: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    size: usize,
    outbound: &Outbound,
    call: &Call,
) -> Result<(), Failed> {
    let policy = OutboundPolicy::default();
    let origin =
        || Origin { owner: "evt_bench".to_owned(), deadline: Instant::now() + Duration::from_secs(30) };
    let once =
        || origin().scope(async { outbound.call(call, &policy).await.is_ok_and(|answer| !answer.refused) });
    if !runtime.block_on(once()) {
        return Err(format!("{name} does not answer").into());
    }
    c.bench_function(&format!("{name}/{size} KB"), |b| b.to_async(runtime).iter(once));
    Ok(())
}

fn bench(c: &mut Criterion) -> Result<(), Failed> {
    // One thread, as a function of up to 1,769 MB has one CPU at most.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for size in SIZES {
        let body = body(size);
        let near = outbound(Arc::new(AtOnce(body.clone())));
        measure(c, &runtime, "outbound/pipeline", size, &near, &call("https://erp.example.com", &body)?)?;
        let real = outbound(Arc::new(ReqwestTransport::new(Exceptions::parse("127.0.0.0/8")?)?));
        let site = server(&runtime, body.clone())?;
        measure(c, &runtime, "outbound/loopback", size, &real, &call(&site, &body)?)?;
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    bench(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
