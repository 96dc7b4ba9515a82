//! The socket as hyper reads and writes it, and as it is left when hyper lets go of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A client that takes nothing for so long is taken for dead: what it has not read costs memory.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(30);
/// What a client may send ahead while a stream of events goes to it, in bytes; more stays in the socket.
const MAX_AHEAD: usize = 4096;

/// A socket, with what was read from it and belongs to requests that have not been read yet.
pub(super) struct Wire {
    socket: TokioIo<TcpStream>,
    ahead: Vec<u8>,
    outflow: Outflow,
}

/// What has been written, as it is known from outside while hyper has the socket.
#[derive(Clone, Default)]
pub(super) struct Outflow(Arc<(AtomicBool, AtomicUsize)>);

impl Outflow {
    /// Did the socket take less than it was given last?
    pub(super) fn is_blocked(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Grows with every byte; wraps around.
    pub(super) fn written(&self) -> usize {
        self.0.1.load(Ordering::Relaxed)
    }

    fn note(&self, outcome: &Poll<io::Result<usize>>) {
        self.0.0.store(outcome.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(written)) = outcome {
            self.0.1.fetch_add(*written, Ordering::Relaxed);
        }
    }
}

impl Wire {
    /// A socket of which nothing has been read.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket: TokioIo::new(socket), ahead: Vec::new(), outflow: Outflow::default() }
    }

    /// Tells how writing goes.
    pub(super) fn outflow(&self) -> Outflow {
        self.outflow.clone()
    }

    /// Takes back what hyper had read and not used.
    pub(super) fn give_back(&mut self, unused: &[u8]) {
        self.ahead.splice(..0, unused.iter().copied());
    }

    /// Has a request begun to come whose head is not whole?
    pub(super) fn holds_a_start(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Waits until there is something to read, or the client has closed the connection.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.inner().readable().await
    }

    /// Writes all of it, unless the client goes away or takes nothing for [`STALLED_AFTER`].
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.inner().try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        writable = tokio::time::timeout(STALLED_AFTER, self.socket.inner().writable()) => writable??,
                        gone = Self::client_gone(self.socket.inner(), &mut self.ahead) => return Err(gone),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the client goes away.
    pub(super) async fn gone(&mut self) -> io::Error {
        Self::client_gone(self.socket.inner(), &mut self.ahead).await
    }

    /// Keeps what the client sends meanwhile: it may be its next request.
    async fn client_gone(socket: &TcpStream, ahead: &mut Vec<u8>) -> io::Error {
        while ahead.len() < MAX_AHEAD {
            if let Err(error) = socket.readable().await {
                return error;
            }
            let mut read = [0; 512];
            match socket.try_read(&mut read) {
                Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                Ok(length) => ahead.extend_from_slice(&read[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let length = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..length]);
        self.ahead.drain(..length);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.outflow.note(&written);
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.outflow.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
