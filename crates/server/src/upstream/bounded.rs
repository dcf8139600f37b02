//! A connection on which not more than so much comes before an answer.
//!
//! hyper bounds the head of an answer, but takes any number of interim answers (1xx) before it, and reads them for as long as there
//! are more: an upstream that sends nothing else would keep a thread busy.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// While no answer is waited for.
const UNBOUNDED: usize = usize::MAX;

/// The connection.
pub(super) struct Bounded<S> {
    inner: S,
    bound: Bound,
}

/// How much may come yet.
#[derive(Clone)]
pub(super) struct Bound(Arc<AtomicUsize>);

impl Bound {
    /// An answer is waited for: so many bytes may come, and what is read along with the last of them.
    pub(super) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// It is there, or given up. Says whether too much came before it.
    pub(super) fn lift(&self) -> bool {
        self.0.swap(UNBOUNDED, Ordering::Relaxed) == 0
    }
}

impl<S> Bounded<S> {
    /// The connection, and its bound.
    pub(super) fn new(inner: S) -> (Self, Bound) {
        let bound = Bound(Arc::new(AtomicUsize::new(UNBOUNDED)));
        (Bounded { inner, bound: bound.clone() }, bound)
    }

    /// The connection as it was.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.bound.0.load(Ordering::Relaxed);
        if left == UNBOUNDED {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "too much came before the answer")));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.bound.set(left.saturating_sub(buf.filled().len() - before));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
