//! One HTTP/1.1 connection (RFC 9112). hyper speaks it while there is something to say. It keeps 16 KiB of buffers for each
//! connection, so what only waits, an idle connection or a stream of events, is taken from it and held here.

mod event_stream;
mod exchange;
mod exchanges;

use std::time::Duration;

use tokio::time::Instant;

use self::exchange::{After, exchange};
use super::connection::HEAD_TIMEOUT;
use super::router::Server;
use super::shutdown::Shutdown;
use super::wire::Wire;

/// Serves the connection until the client or the server goes away. `keep_alive`: how long it may wait for a request.
pub(super) async fn serve(
    mut wire: Wire,
    server: Server,
    mut stopping: Shutdown,
    keep_alive: Duration,
) -> Result<(), hyper::Error> {
    let mut waits_since = Instant::now();
    // When the head began of which a part is there.
    let mut head_since = None;
    loop {
        // On the heap: the memory is given back while the connection waits.
        match Box::pin(exchange(wire, &server, &mut stopping)).await? {
            After::Closed => return Ok(()),
            After::Events { wire: held, body } => {
                wire = held;
                if event_stream::send(&mut wire, body).await.is_err() {
                    return Ok(());
                }
                (waits_since, head_since) = (Instant::now(), None);
            }
            After::Idle { wire: held, answered } => {
                wire = held;
                if answered {
                    (waits_since, head_since) = (Instant::now(), None);
                }
                let end = match wire.ahead() {
                    [] => waits_since + keep_alive,
                    _ => *head_since.get_or_insert_with(Instant::now) + HEAD_TIMEOUT,
                };
                tokio::select! {
                    () = stopping.lingered() => break,
                    () = tokio::time::sleep_until(end) => break,
                    read = wire.read_ahead() => {
                        if read.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
    wire.close().await;
    Ok(())
}
