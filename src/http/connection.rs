//! One connection: finds out which protocol it speaks, and speaks it.

use std::io;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::router::Server;
use super::shutdown::Shutdown;
use super::{http1, http2};

/// How long a connection is kept on which nothing comes: longer than the 60 s after which common balancers close theirs, so
/// that it is never the server that closes a connection just as a balancer reuses it.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long the head of a request may take from its first bytes: who sends it drop by drop is cut off.
pub(super) const STARTED_HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to rest when a client has sent too little to tell which protocol it speaks; twice as long each time.
const PEEK_RETRY: Duration = Duration::from_millis(10);
const MAX_PEEK_RETRY: Duration = Duration::from_secs(1);

/// Serves the connection until the client or the server goes away.
pub(super) async fn serve(stream: TcpStream, server: Server, mut stopping: Shutdown) {
    // Answers are written whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let protocol = tokio::select! {
        protocol = tokio::time::timeout(HEAD_TIMEOUT, protocol_of(&stream)) => protocol,
        () = stopping.lingered() => return,
    };
    // Both on the heap: of a task's memory every state takes part.
    let ended = match protocol {
        Ok(Ok(Protocol::Http1)) => http1::serve(stream, server, stopping).await,
        Ok(Ok(Protocol::Http2)) => Box::pin(http2::serve(stream, server, stopping)).await,
        Ok(Err(_)) | Err(_) => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
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
    let (mut rest, mut started) = (PEEK_RETRY, None);
    loop {
        let peeked = stream.peek(&mut first).await?;
        match &first[..peeked] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            HTTP2 => return Ok(Protocol::Http2),
            begun if HTTP2.starts_with(begun) => {
                if started.get_or_insert_with(Instant::now).elapsed() >= STARTED_HEAD_TIMEOUT {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(MAX_PEEK_RETRY);
            }
            _ => return Ok(Protocol::Http1),
        }
    }
}
