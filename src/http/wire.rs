//! The socket as hyper reads and writes it, and as it is left when hyper lets go of it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::socket::Socket;

/// A client that takes nothing for so long is taken for dead: what it has not read costs memory.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(30);
/// What a client may send ahead while a stream of events goes to it, in bytes; more stays in the socket.
const MAX_AHEAD: usize = 4096;
/// What is read at a time, in bytes.
const READ: usize = 2048;
/// How long a client may take to hear that the connection ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A socket, with what was read from it and belongs to requests that have not been read yet.
pub(super) struct Wire {
    socket: TokioIo<Socket>,
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

    fn note<T>(&self, outcome: &Poll<io::Result<T>>) {
        self.0.0.store(outcome.is_pending(), Ordering::Relaxed);
    }

    fn note_written(&self, outcome: &Poll<io::Result<usize>>) {
        self.note(outcome);
        if let Poll::Ready(Ok(written)) = outcome {
            self.0.1.fetch_add(*written, Ordering::Relaxed);
        }
    }
}

impl Wire {
    /// A socket of which nothing has been read.
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket: TokioIo::new(socket), ahead: Vec::new(), outflow: Outflow::default() }
    }

    /// Tells how writing goes.
    pub(super) fn outflow(&self) -> Outflow {
        self.outflow.clone()
    }

    /// What was read and belongs to requests that have not been read yet.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Takes back what hyper had read and not used.
    pub(super) fn give_back(&mut self, unused: &[u8]) {
        self.ahead.splice(..0, unused.iter().copied());
    }

    /// Waits for something to read, and reads it. An error: the client has closed the connection.
    pub(super) async fn read_ahead(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_ahead(cx)).await
    }

    /// Writes all of it, unless the client goes away or takes nothing for [`STALLED_AFTER`].
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let write = poll_fn(|cx| match Pin::new(self.socket.inner_mut()).poll_write(cx, bytes) {
                Poll::Pending => self.poll_gone(cx).map(Err),
                written => written,
            });
            let written = timeout(STALLED_AFTER, write).await??;
            bytes = &bytes[written..];
        }
        let flush = poll_fn(|cx| match Pin::new(self.socket.inner_mut()).poll_flush(cx) {
            Poll::Pending => self.poll_gone(cx).map(Err),
            flushed => flushed,
        });
        timeout(STALLED_AFTER, flush).await?
    }

    /// Waits until the client goes away.
    pub(super) async fn gone(&mut self) -> io::Error {
        poll_fn(|cx| self.poll_gone(cx)).await
    }

    /// Ends the connection in good order: over TLS that has to be said.
    pub(super) async fn close(mut self) {
        let _ = timeout(CLOSE_TIMEOUT, self.socket.inner_mut().shutdown()).await;
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(self.socket.inner_mut()).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.ahead.extend_from_slice(read.filled());
        Poll::Ready(Ok(()))
    }

    /// Keeps what the client sends meanwhile: it may be its next request.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.ahead.len() < MAX_AHEAD {
            if let Err(error) = ready!(self.poll_ahead(cx)) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
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
        self.outflow.note_written(&written);
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.outflow.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes more than its socket does.
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.outflow.note(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
