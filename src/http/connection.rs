//! One connection: finds out which protocol it speaks, and speaks it.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::http1;
use super::router::Server;
use super::shutdown::Shutdown;

/// How long a client may take to send the head of a request; ends connections that send it drop by drop. It is also how
/// long an idle connection is kept: longer than the 60 s after which common balancers close theirs, so that it is never
/// the server that closes a connection just as a balancer reuses it.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long to rest when a client has sent too little to tell which protocol it speaks.
const PEEK_RETRY: Duration = Duration::from_millis(10);

/// Serves the connection until the client or the server goes away.
pub(super) async fn serve(stream: TcpStream, server: Server, mut stopping: Shutdown) {
    // Answers are written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let protocol = tokio::select! {
        protocol = tokio::time::timeout(HEAD_TIMEOUT, protocol_of(&stream)) => protocol,
        () = stopping.begun() => return,
    };
    // Both on the heap: of a task's memory every state takes part.
    let ended = match protocol {
        Ok(Ok(Protocol::Http1)) => http1::serve(stream, server, stopping).await,
        Ok(Ok(Protocol::Http2)) => Box::pin(serve_http2(stream, server, stopping)).await,
        Ok(Err(_)) | Err(_) => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_http2(stream: TcpStream, server: Server, mut stopping: Shutdown) -> Result<(), hyper::Error> {
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let response = server.clone().oneshot(request.map(Body::new));
        async move { response.await.map_err(|never: Infallible| never) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(256);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => return ended,
        () = stopping.begun() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

enum Protocol {
    Http1,
    Http2,
}

/// What the first bytes say, which are left where they are.
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
