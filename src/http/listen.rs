//! Accepts connections and serves them until it is told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::shutdown::Shutdown;

/// How long a client may take to send the head of a request; ends connections that send it drop by drop. It is also how
/// long an idle connection is kept: longer than the 60 s after which common balancers close theirs, so that it is never
/// the server that closes a connection just as a balancer reuses it.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(75);
/// How long to rest when the system has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long to rest when a client has sent too little to tell which protocol it speaks.
const PEEK_RETRY: Duration = Duration::from_millis(10);

/// Serves HTTP/1.1 and HTTP/2 without TLS on one port. When `stop` is ready no connection is accepted any more, idle ones
/// are closed, and calls under way have `drain` to finish. Returns the number of connections that did not.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>, drain: Duration) -> usize {
    let graceful = GracefulShutdown::new();
    let (trigger, stopping) = Shutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(serve_connection(stream, router.clone(), stopping.clone(), graceful.watcher()))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    trigger.begin();
    let left = graceful.count();
    match tokio::time::timeout(drain, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => left,
    }
}

async fn serve_connection(stream: TcpStream, router: Router, mut stopping: Shutdown, watcher: Watcher) {
    // Answers are written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    // hyper's own limit begins once it knows which protocol is spoken; who never says so gets no longer.
    let protocol = tokio::select! {
        protocol = tokio::time::timeout(HEADER_READ_TIMEOUT, protocol_of(&stream)) => protocol,
        () = stopping.begun() => return,
    };
    let Ok(Ok(protocol)) = protocol else { return };
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let response = router.clone().oneshot(request.map(Body::new));
        async move { response.await.map_err(|never: Infallible| never) }
    });
    let ended = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
            // On the heap: of a task's memory every state takes part.
            Box::pin(watcher.watch(builder.serve_connection(TokioIo::new(stream), service))).await
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(256);
            Box::pin(watcher.watch(builder.serve_connection(TokioIo::new(stream), service))).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

enum Protocol {
    Http1,
    Http2,
}

/// What the first bytes say, which are left where they are: a server that reads them itself, as hyper-util's does, starts
/// with a read buffer twice as large, and there are thousands of idle streams.
async fn protocol_of(stream: &TcpStream) -> io::Result<Protocol> {
    /// HTTP/2 begins with `PRI * HTTP/2.0` (RFC 9113, section 3.4), and no method of HTTP/1 begins so.
    const HTTP2: &[u8] = b"PRI ";
    let mut first = [0; HTTP2.len()];
    loop {
        let peeked = stream.peek(&mut first).await?;
        match &first[..peeked] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            HTTP2 => return Ok(Protocol::Http2),
            begun if HTTP2.starts_with(begun) => tokio::time::sleep(PEEK_RETRY).await,
            _ => return Ok(Protocol::Http1),
        }
    }
}
