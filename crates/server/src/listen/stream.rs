//! A client's connection with a limit on what it does not read: a client that asks for much and takes nothing would else hold
//! its connection, the request and the upstream's connection for as long as it likes.
//!
//! Where a request was answered before its body was read, the connection's close lingers (RFC 9112, section 9.6): the kernel
//! would else reset it for what it holds unread, and the client lose the answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use store::alarm::Alarm;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::body::Unread;
use super::head_clock::HeadClock;
use crate::idle::IdleLimit;
use crate::joined::Joined;

/// For how long a connection that closes waits for the client to send something more, or to close too.
const SILENCE: Duration = Duration::from_secs(2);
/// And in all.
const LONGEST: Duration = Duration::from_secs(5);
/// How much is read and thrown away by then.
const MOST: usize = 16 * 1024 * 1024;

/// A connection on which a write waits no longer than the limit. Where writes go through, it costs nothing.
pub(crate) struct Stream<S = TcpStream> {
    inner: Joined<S>,
    stalled: IdleLimit,
    blocked: Blocked,
    unread: Unread,
    /// Told when something comes.
    clock: Option<HeadClock>,
    /// Once its writing side is shut.
    lingering: Option<Lingering>,
}

/// Whether a write waits for the client.
#[derive(Clone, Default)]
pub(super) struct Blocked(Arc<AtomicBool>);

impl Blocked {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, blocked: bool) {
        self.0.store(blocked, Ordering::Relaxed);
    }
}

/// What is left of the limits of a close.
struct Lingering {
    silent: IdleLimit,
    end: Alarm,
    most: usize,
}

impl<S> Stream<S> {
    pub(crate) fn new(inner: S, limit: Duration) -> Self {
        Stream {
            inner: Joined::new(inner),
            stalled: IdleLimit::new(limit),
            blocked: Blocked::default(),
            unread: Unread::default(),
            clock: None,
            lingering: None,
        }
    }

    /// Its close waits for what the client still sends, where this says so at that time.
    pub(super) fn lingers_where(self, unread: Unread) -> Self {
        Stream { unread, ..self }
    }

    /// Tells this clock when something comes.
    pub(super) fn times(self, clock: HeadClock) -> Self {
        Stream { clock: Some(clock), ..self }
    }

    /// Tells, while it is served, whether a write waits.
    pub(super) fn blocked(&self) -> Blocked {
        self.blocked.clone()
    }

    fn bounded(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.blocked.set(written.is_pending());
        match written {
            Poll::Pending if self.stalled.passed(cx) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing more")))
            }
            Poll::Pending => Poll::Pending,
            ready => {
                self.stalled.moved();
                ready
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.clock.iter().for_each(HeadClock::comes);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        }
        if self.unread.has_switched() {
            // One direction has ended, and the other goes on.
            return Poll::Ready(Ok(()));
        }
        self.linger(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Stream<S> {
    /// Reads and throws away, until the client has closed too or a limit is reached. Where all seemed to be read and nothing more
    /// is there, it does not wait.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limits = self.lingering.get_or_insert_with(|| Lingering {
            silent: IdleLimit::new(SILENCE),
            end: Alarm::at(Instant::now() + LONGEST),
            most: MOST,
        });
        let mut bytes = [0; 8192];
        while limits.most > 0 && limits.end.poll(cx).is_pending() {
            let mut into = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.inner).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                    self.unread.set(true);
                    limits.silent.moved();
                    limits.most = limits.most.saturating_sub(into.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if !self.unread.get() || limits.silent.passed(cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_ends() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut stream = Stream::new(ours, LIMIT);
        let written = tokio::time::timeout(3 * LIMIT, stream.write_all(&[0; 64])).await;
        assert_eq!(written.expect("an end").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_has_all_of_it() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut stream = Stream::new(ours, LIMIT);
        let reader = async {
            let mut byte = [0];
            for _ in 0..64 {
                tokio::time::sleep(LIMIT / 2).await;
                theirs.read_exact(&mut byte).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 64]), reader);
        written.unwrap();
    }

    /// A stream whose client has sent more than was read.
    fn unread(ours: tokio::io::DuplexStream) -> Stream<tokio::io::DuplexStream> {
        let unread = Unread::default();
        unread.set(true);
        Stream::new(ours, LIMIT).lingers_where(unread)
    }

    /// How long the close of it takes.
    async fn closes_after(stream: &mut Stream<tokio::io::DuplexStream>) -> Duration {
        let start = Instant::now();
        stream.shutdown().await.unwrap();
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_waits_for_what_was_not_read_and_not_for_ever() {
        let (ours, _theirs) = tokio::io::duplex(8);
        assert_eq!(closes_after(&mut Stream::new(ours, LIMIT)).await, Duration::ZERO);

        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut stream = unread(ours);
        let client = async {
            theirs.write_all(&[0; 64]).await.unwrap();
            assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0, "it is told first that nothing more comes");
            drop(theirs);
        };
        let (took, ()) = tokio::join!(closes_after(&mut stream), client);
        assert_eq!(took, Duration::ZERO, "the client closed too");

        let (ours, _theirs) = tokio::io::duplex(8);
        let silent = closes_after(&mut unread(ours)).await;
        assert!(silent >= SILENCE && silent < SILENCE * 3 / 2, "{silent:?}");

        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut stream = unread(ours);
        let slow = async {
            while theirs.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(SILENCE / 4).await;
            }
        };
        let closed = async {
            let took = closes_after(&mut stream).await;
            drop(stream);
            took
        };
        let (took, ()) = tokio::join!(closed, slow);
        assert!(took >= LONGEST && took < LONGEST + SILENCE / 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_switched_is_shut_in_one_direction_alone() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut stream = unread(ours);
        stream.unread.switches();
        theirs.write_all(b"still").await.unwrap();
        assert_eq!(closes_after(&mut stream).await, Duration::ZERO);
        let mut came = [0; 5];
        stream.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"still", "nothing of it is thrown away");
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_takes_no_more_than_so_much() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let mut stream = unread(ours);
        let sent = async {
            let mut sent = 0;
            while theirs.write_all(&[0; 4096]).await.is_ok() {
                sent += 4096;
            }
            sent
        };
        let closed = async {
            stream.shutdown().await.unwrap();
            drop(stream);
        };
        let ((), sent) = tokio::join!(closed, sent);
        assert!((MOST..=MOST + 128 * 1024).contains(&sent), "{sent}");
    }
}
