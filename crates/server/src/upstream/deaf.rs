//! A connection on which an answer counts though the other side reads no further.
//!
//! An upstream that has seen enough of a large body answers and closes; what it left unread makes its kernel reset the
//! connection. hyper gives an exchange up where a write fails, with the answer unread. So writes that fail in this way are
//! taken as done, and reading tells what happened: there is an answer, or the connection ends.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection.
pub(super) struct Deaf<S> {
    inner: S,
    deaf: Arc<AtomicBool>,
}

impl<S> Deaf<S> {
    /// The connection, and what tells whether the other side has stopped reading: then it is fit for nothing further.
    pub(super) fn new(inner: S) -> (Self, Arc<AtomicBool>) {
        let deaf = Arc::<AtomicBool>::default();
        (Deaf { inner, deaf: deaf.clone() }, deaf)
    }

    /// The connection as it was.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// What a write came to; `done` where nobody reads.
    fn taken<T>(&self, written: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(why)) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                self.deaf.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(done))
            }
            other => other,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deaf<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deaf<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.taken(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = || pieces.iter().map(|piece| piece.len()).sum();
        if self.is_deaf() {
            return Poll::Ready(Ok(length()));
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.taken(written, length())
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.taken(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
