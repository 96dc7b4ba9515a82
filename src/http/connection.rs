//! One connection: finds out which protocol it speaks, and speaks it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::router::Server;
use super::shutdown::Shutdown;
use super::socket::Socket;
use super::tls::Tls;
use super::wire::Wire;
use super::{http1, http2};

/// How long a client may take to send the head of a request, from its first byte on; ends connections that send it drop by
/// drop.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How connections are served.
#[derive(Clone)]
pub struct ConnectionOptions {
    /// Speak TLS.
    pub tls: Option<Arc<Tls>>,
    /// How long a connection may wait for its first or its next request.
    pub keep_alive: Duration,
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Serves the connection until the client or the server goes away.
pub(super) async fn serve(socket: Socket, options: ConnectionOptions, server: Server, mut stopping: Shutdown) {
    let keep_alive = options.keep_alive;
    // All on the heap but HTTP/1.1: of a task's memory every state takes part.
    let begun = tokio::select! {
        begun = Box::pin(begin(socket, options)) => begun,
        () = stopping.lingered() => return,
    };
    let ended = match begun {
        Some((wire, Protocol::Http1)) => http1::serve(wire, server, stopping, keep_alive).await,
        Some((wire, Protocol::Http2)) => Box::pin(http2::serve(wire, server, stopping, keep_alive)).await,
        None => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// `None`: the client left, or took too long.
async fn begin(socket: Socket, options: ConnectionOptions) -> Option<(Wire, Protocol)> {
    if let Some(tls) = options.tls {
        let (socket, protocol) = tls.accept(socket).await?;
        return Some((Wire::new(socket), protocol));
    }
    let mut wire = Wire::new(socket);
    tokio::time::timeout(options.keep_alive, wire.read_ahead()).await.ok()?.ok()?;
    let protocol = tokio::time::timeout(HEAD_TIMEOUT, protocol_of(&mut wire)).await.ok()?.ok()?;
    Some((wire, protocol))
}

/// What the first bytes say, which are left for whoever speaks it.
async fn protocol_of(wire: &mut Wire) -> io::Result<Protocol> {
    /// HTTP/2 begins with `PRI * HTTP/2.0` (RFC 9113, section 3.4), and no method of HTTP/1 begins so.
    const HTTP2: &[u8] = b"PRI ";
    loop {
        match wire.ahead() {
            begun if begun.starts_with(HTTP2) => return Ok(Protocol::Http2),
            begun if HTTP2.starts_with(begun) => wire.read_ahead().await?,
            _ => return Ok(Protocol::Http1),
        }
    }
}
