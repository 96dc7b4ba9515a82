//! Accepts connections and serves them until it is told to stop.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::connection;
use super::router::Server;
use super::shutdown::Shutdown;

/// How long to rest when the system has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 and HTTP/2 without TLS on one port. When `stop` is ready no connection is accepted any more, idle ones
/// are closed, and calls under way have `drain` to finish. Returns the number of connections that did not.
pub async fn serve(listener: TcpListener, server: Server, stop: impl Future<Output = ()>, drain: Duration) -> usize {
    // Each connection holds a receiver for as long as it lives.
    let (connections, alive) = watch::channel(());
    let (trigger, stopping) = Shutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection::serve(stream, server.clone(), stopping.clone());
                let (alive, open) = (alive.clone(), server.requests().connect());
                tokio::spawn(async move {
                    connection.await;
                    drop((alive, open));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop((listener, alive));
    trigger.begin();
    match tokio::time::timeout(drain, connections.closed()).await {
        Ok(()) => 0,
        Err(_) => connections.receiver_count(),
    }
}
