//! Accepts connections and serves them until it is told to stop.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;

use super::client_address::ClientAddress;
use super::connection::{self, ConnectionOptions};
use super::listener::Listener;
use super::router::Server;
use super::shutdown::Shutdown;
use super::socket::Socket;

/// How long to rest when the system has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 and HTTP/2 on one port. When `stop` is ready calls under way have `drain` to finish. Clients
/// that have connections may send another request and open others for a moment, so that none fails which was on its way;
/// each is told that it was the last on its connection. Returns the number of connections that did not end in time.
pub async fn serve(
    listener: Listener,
    options: ConnectionOptions,
    server: Server,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> usize {
    // Each connection holds a receiver for as long as it lives.
    let connections = watch::Sender::new(());
    let (trigger, stopping) = Shutdown::new();
    let spawn = |(socket, peer)| {
        let connection = connection::serve(socket, options.clone(), server.clone().of_peer(peer), stopping.clone());
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
            accepted = accept(&listener) => spawn(accepted),
        }
    }
    trigger.begin();
    let mut last = stopping.clone();
    let mut over = pin!(last.lingered());
    loop {
        tokio::select! {
            biased;
            // Those first that the system has accepted already: it would reset them.
            accepted = accept(&listener) => spawn(accepted),
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

async fn accept(listener: &Listener) -> (Socket, ClientAddress) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
