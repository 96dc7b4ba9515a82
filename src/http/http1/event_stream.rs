//! Sends a stream of events whose head hyper has written: the chunked transfer coding (RFC 9112, section 7.1).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use http_body::Body as _;

use crate::http::wire::Wire;

/// What is gathered before it is written, in bytes, when events come faster than they go out.
const ENOUGH: usize = 16 * 1024;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Sends the body to its end, after which the connection can take another request. An error: the client went away or the
/// body broke off, and the connection is of no more use.
pub(super) async fn send(wire: &mut Wire, mut body: Body) -> io::Result<()> {
    loop {
        let gathered = tokio::select! {
            biased;
            gathered = poll_fn(|cx| gather(&mut body, cx)) => gathered,
            gone = wire.gone() => return Err(gone),
        };
        wire.write_all(&gathered.chunks).await?;
        match gathered.then {
            Then::More => {}
            Then::End => return Ok(()),
            Then::Broken => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

#[derive(Default)]
struct Gathered {
    chunks: Vec<u8>,
    then: Then,
}

#[derive(Default)]
enum Then {
    #[default]
    More,
    End,
    Broken,
}

/// All that the body has ready, so that a burst of events is one write.
fn gather(body: &mut Body, cx: &mut Context<'_>) -> Poll<Gathered> {
    let mut gathered = Gathered::default();
    while gathered.chunks.len() < ENOUGH {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // An empty chunk would be the last one.
                if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                    gathered.chunks.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                    gathered.chunks.extend_from_slice(data);
                    gathered.chunks.extend_from_slice(b"\r\n");
                }
            }
            Poll::Ready(None) => {
                gathered.chunks.extend_from_slice(LAST_CHUNK);
                gathered.then = Then::End;
                break;
            }
            Poll::Ready(Some(Err(_))) => {
                gathered.then = Then::Broken;
                break;
            }
            Poll::Pending if gathered.chunks.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(gathered)
}
