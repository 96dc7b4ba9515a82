//! One HTTP/1.1 connection (RFC 9112). hyper speaks it while there is something to say. It keeps 16 KiB of buffers for each
//! connection, so what only waits, an idle connection or a stream of events, is taken from it and held here.

mod event_stream;
mod exchange;
mod exchanges;
mod wire;

use tokio::net::TcpStream;
use tokio::time::Instant;

use self::exchange::{After, exchange};
use self::wire::Wire;
use super::connection::{HEAD_TIMEOUT, STARTED_HEAD_TIMEOUT};
use super::router::Server;
use super::shutdown::Shutdown;

/// Serves the connection until the client or the server goes away.
pub(super) async fn serve(stream: TcpStream, server: Server, mut stopping: Shutdown) -> Result<(), hyper::Error> {
    let mut wire = Wire::new(stream);
    let mut waits_since = Instant::now();
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
                let end = if wire.holds_a_start() {
                    *head_since.get_or_insert_with(Instant::now) + STARTED_HEAD_TIMEOUT
                } else {
                    waits_since + HEAD_TIMEOUT
                };
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(end) => return Ok(()),
                    () = stopping.lingered() => return Ok(()),
                    _ = wire.readable() => {}
                }
            }
        }
    }
}
