//! The adapter against servers on the machine that behave well and badly.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    Limits, Transport, TransportError,
    reqwest::ReqwestTransport,
    resolver::{Lookup, system},
};
use crate::outbound::address::Exceptions;

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(1), total: Duration::from_secs(2), max_response_bytes: 64 * 1024 };

fn transport() -> ReqwestTransport {
    with_lookup(system())
}

fn with_lookup(lookup: Arc<Lookup>) -> ReqwestTransport {
    ReqwestTransport::with_lookup(Exceptions::parse("127.0.0.0/8").unwrap(), lookup).unwrap()
}

fn request(method: Method, url: &str) -> Request<Vec<u8>> {
    Request::builder().method(method).uri(url).body(Vec::new()).unwrap()
}

async fn get(url: &str) -> Result<Response<Vec<u8>>, TransportError> {
    transport().send(&request(Method::GET, url), LIMITS).await
}

/// A server that reads a request's head and does with it what `behave` says. Counts connections.
async fn server<F, W>(behave: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(String, TcpStream) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (counted, behave) = (Arc::clone(&connections), Arc::new(behave));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let behave = Arc::clone(&behave);
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                behave(head, stream).await;
            });
        }
    });
    (address, connections)
}

/// A server that gives each request the same bytes and closes.
async fn fixed(answer: &'static str) -> SocketAddr {
    let behave = move |_, mut stream: TcpStream| async move {
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    };
    server(behave).await.0
}

#[tokio::test]
async fn an_answer_comes_whole_with_status_headers_and_body() {
    let address = fixed("HTTP/1.1 417 No\r\nX-A: b\r\nContent-Length: 2\r\n\r\n{}").await;
    let answer = get(&format!("http://{address}/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-a"]), (417, &"b".parse().unwrap()));
    assert_eq!(answer.body(), b"{}");
}

#[tokio::test]
async fn who_cannot_be_connected_to_got_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = get(&format!("http://{free}/")).await;
    assert!(matches!(refused, Err(TransportError::NotSent(_))), "{refused:?}");
    let unknown = get("http://nothing.invalid/").await;
    assert!(matches!(unknown, Err(TransportError::NotSent(_))), "{unknown:?}");
    let no_tls = fixed("SSH-2.0-none\r\n").await;
    let no_tls = get(&format!("https://{no_tls}/")).await;
    assert!(matches!(no_tls, Err(TransportError::NotSent(_))), "{no_tls:?}");
}

#[tokio::test]
async fn a_connection_that_takes_too_long_carried_nothing() {
    // Accepts, and never speaks TLS.
    let (address, _) = server(|_, _stream| futures::future::pending()).await;
    let limits = Limits { connect: Duration::from_millis(100), ..LIMITS };
    let began = Instant::now();
    let request = request(Method::POST, &format!("https://{address}/"));
    let slow = transport().send(&request, limits).await;
    assert!(matches!(slow, Err(TransportError::NotSent(_))), "{slow:?}");
    assert!(began.elapsed() < Duration::from_secs(1));
    // Also where the whole call has less time than connecting may take.
    let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_millis(200), ..LIMITS };
    let slow = transport().send(&request, limits).await;
    assert!(matches!(slow, Err(TransportError::NotSent(_))), "{slow:?}");
}

#[tokio::test]
async fn a_resolver_that_hangs_is_not_waited_for() {
    let hangs: Arc<Lookup> = Arc::new(|_| futures::future::pending().boxed());
    let limits = Limits { connect: Duration::from_millis(100), ..LIMITS };
    let sent = with_lookup(hangs).send(&request(Method::POST, "http://slow.example/"), limits).await;
    assert!(matches!(sent, Err(TransportError::NotSent(_))), "{sent:?}");
}

#[tokio::test]
async fn what_was_sent_and_not_answered_whole_is_lost() {
    let silent = server(|_, stream| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(stream);
    })
    .await
    .0;
    let limits = Limits { total: Duration::from_millis(200), ..LIMITS };
    let slow = transport().send(&request(Method::GET, &format!("http://{silent}/")), limits).await;
    assert!(matches!(slow, Err(TransportError::Lost(_))), "{slow:?}");
    for (answer, what) in [
        ("", "closed before the answer"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "closed within the head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":", "closed within the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "closed within a chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "no chunk"),
        ("\0\u{1}\u{2} not HTTP at all\r\n\r\n", "garbage"),
        ("HTTP/9.9 banana\r\n\r\n", "no status"),
    ] {
        let lost = get(&format!("http://{}/", fixed(answer).await)).await;
        assert!(matches!(lost, Err(TransportError::Lost(_))), "{what}: {lost:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_the_limit_only() {
    let announced = fixed("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").await;
    let large = get(&format!("http://{announced}/")).await;
    assert!(matches!(large, Err(TransportError::TooLarge(status)) if status == 200), "{large:?}");
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let endless = server(move |_, mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n").await;
            let piece = vec![b'a'; 65_536];
            while stream.write_all(&piece).await.is_ok() {
                counted.fetch_add(65_536, Ordering::SeqCst);
            }
        }
    })
    .await
    .0;
    let large = get(&format!("http://{endless}/")).await;
    assert!(matches!(large, Err(TransportError::TooLarge(status)) if status == 500), "{large:?}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let after = written.load(Ordering::SeqCst);
    assert!(after < 32 * 1024 * 1024, "the connection was dropped, not read to its end: {after}");
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_time() {
    let dripping = server(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n").await;
        while stream.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .0;
    let (limits, began) = (Limits { total: Duration::from_millis(300), ..LIMITS }, Instant::now());
    let slow = transport().send(&request(Method::GET, &format!("http://{dripping}/")), limits).await;
    assert!(matches!(slow, Err(TransportError::Lost(_))), "{slow:?}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// A server that redirects `/` to `location`, and answers anything else with what it was asked.
async fn redirecting(status: u16, location: String) -> (SocketAddr, Arc<AtomicUsize>) {
    server(move |head, mut stream| {
        let location = location.clone();
        async move {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = if path == "/" || path.starts_with("/loop") {
                format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
            } else {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())
            };
            let _ =
                stream.write_all(answer.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_redirect_within_the_host_is_followed_with_the_credentials() {
    for status in [301, 302, 303, 307, 308] {
        let (address, _) = redirecting(status, "/there?x=1".to_owned()).await;
        let mut request = request(Method::GET, &format!("http://{address}/"));
        request.headers_mut().insert("authorization", "token a:b".parse().unwrap());
        let answer = transport().send(&request, LIMITS).await.unwrap();
        let seen = String::from_utf8(answer.into_body()).unwrap();
        assert!(seen.starts_with("GET /there?x=1 ") && seen.contains("authorization: token a:b"), "{seen}");
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_is_the_answer_and_nobody_else_is_asked() {
    let (other, asked) = server(|_, _| async {}).await;
    let targets = [
        format!("http://{other}/there"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "https://erp.example.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://[".to_owned(),
    ];
    for target in targets {
        let (address, _) = redirecting(302, target.clone()).await;
        let answer = get(&format!("http://{address}/")).await.unwrap();
        assert_eq!(answer.status(), 302, "{target}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_changes_something_follows_no_redirect() {
    let (address, asked) = redirecting(307, "/there".to_owned()).await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = transport().send(&request(method, &format!("http://{address}/")), LIMITS).await.unwrap();
        assert_eq!(answer.status(), 307);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn redirects_in_a_circle_end_after_three() {
    let (address, asked) = redirecting(302, "/loop".to_owned()).await;
    let answer = get(&format!("http://{address}/loop")).await.unwrap();
    assert_eq!((answer.status().as_u16(), asked.load(Ordering::SeqCst)), (302, 4));
}

#[tokio::test]
async fn a_name_of_a_private_address_is_refused_before_it_is_connected_to() {
    let (address, asked) = server(|_, _| async {}).await;
    let none = ReqwestTransport::new(Exceptions::default()).unwrap();
    let url = format!("https://localhost:{}/", address.port());
    let refused = none.send(&request(Method::GET, &url), LIMITS).await;
    assert!(matches!(refused, Err(TransportError::AddressRefused(_))), "{refused:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // Excepted networks do not open others, nor a public address without TLS.
    for target in ["10.0.0.1", "169.254.169.254", "8.8.8.8"] {
        let lookup: Arc<Lookup> = Arc::new(move |_| async move { Ok(vec![target.parse().unwrap()]) }.boxed());
        let refused =
            with_lookup(lookup).send(&request(Method::GET, "http://erp.example.com/"), LIMITS).await;
        assert!(matches!(refused, Err(TransportError::AddressRefused(_))), "{target}: {refused:?}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_refused_when_it_does() {
    let address = fixed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let lookup: Arc<Lookup> = Arc::new(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move { Ok(vec![if first { "127.0.0.1" } else { "10.0.0.1" }.parse().unwrap()]) }.boxed()
    });
    let (transport, url) = (with_lookup(lookup), format!("http://erp.example.com:{}/", address.port()));
    assert_eq!(transport.send(&request(Method::GET, &url), LIMITS).await.unwrap().status(), 200);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "the connection goes to what was checked, without another look-up"
    );
    let refused = transport.send(&request(Method::GET, &url), LIMITS).await;
    assert!(matches!(refused, Err(TransportError::AddressRefused(_))), "{refused:?}");
}

#[tokio::test]
async fn errors_show_no_query() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = fixed("").await;
    for address in [free, silent] {
        let error = get(&format!("http://{address}/?api_key=hunter2")).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (address, connections) = server(|_, mut stream| async move {
        let mut buffer = vec![0; 4096];
        loop {
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err() {
                break;
            }
            if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                break;
            }
        }
    })
    .await;
    let transport = transport();
    for _ in 0..5 {
        transport.send(&request(Method::GET, &format!("http://{address}/")), LIMITS).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_used() {
    let address = fixed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let transport = transport();
    for _ in 0..3 {
        let request = request(Method::POST, &format!("http://{address}/"));
        assert_eq!(transport.send(&request, LIMITS).await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
