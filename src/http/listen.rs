//! Accepts connections and serves them until it is told to stop.

use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection;
use super::router::Server;
use super::shutdown::Shutdown;

/// What a client hears whose connection is one too many, whatever it wanted to say.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Length: 106\r\n\r\n\
    {\"jsonrpc\":\"2.0\",\"error\":{\"code\":503,\"message\":\"too many connections; repeat the request after a moment\"}}";
/// How long to rest when the system has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 and HTTP/2 without TLS on one port. When `stop` is ready calls under way have `drain` to finish. Clients
/// that have connections may send another request and open others for a moment, so that none fails which was on its way;
/// each is told that it was the last on its connection. More connections than `max_connections` are refused. Returns the number
/// of connections that did not end in time.
pub async fn serve(
    listener: TcpListener,
    server: Server,
    max_connections: usize,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> usize {
    // Each connection holds a receiver for as long as it lives.
    let connections = watch::Sender::new(());
    let (trigger, stopping) = Shutdown::new();
    let spawn = |stream| {
        if connections.receiver_count() >= max_connections {
            server.requests().refuse_connection();
            return refuse(stream);
        }
        let connection = connection::serve(stream, server.clone(), stopping.clone());
        let (alive, open) = (connections.subscribe(), server.requests().connect());
        tokio::spawn(async move {
            connection.await;
            drop((alive, open));
        });
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            stream = accept(&listener) => spawn(stream),
        }
    }
    trigger.begin();
    let mut last = stopping.clone();
    let mut over = pin!(last.lingered());
    loop {
        tokio::select! {
            biased;
            // Those first that the system has accepted already: it would reset them.
            stream = accept(&listener) => spawn(stream),
            () = &mut over => break,
            () = connections.closed() => break,
        }
    }
    drop(listener);
    match tokio::time::timeout(drain, connections.closed()).await {
        Ok(()) => 0,
        Err(_) => connections.receiver_count(),
    }
}

/// Says why, as far as the socket takes it at once.
fn refuse(stream: TcpStream) {
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(TOO_MANY));
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
