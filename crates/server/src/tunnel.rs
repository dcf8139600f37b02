//! Two connections joined: what comes on one goes out on the other, both ways, no faster than it is taken.

use std::any::Any;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use store::alarm::Alarm;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::idle::IdleLimit;
use crate::listen::Finish;

/// How much is read at once. It stands on the stack: a connection that lies idle holds no memory for it.
const PIECE: usize = 16 * 1024;

/// Bytes that can be read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An upstream's connection after it switched protocols.
pub(crate) struct Tunnel {
    /// What came right behind the answer.
    first: Bytes,
    io: Box<dyn Duplex>,
    _held: Box<dyn Any + Send>,
}

impl Tunnel {
    /// `held`: what lasts as long as it does.
    pub(crate) fn new(first: Bytes, io: impl Duplex + 'static, held: impl Send + 'static) -> Self {
        Tunnel { first, io: Box::new(io), _held: Box::new(held) }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, into);
        }
        let length = self.first.len().min(into.remaining());
        into.put_slice(&self.first[..length]);
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Why two connections are joined no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides have said all.
    Closed,
    /// One of them broke off.
    Broken,
    /// Nothing came from either side for too long.
    Idle,
    /// The time of the stream is over.
    Over,
}

impl End {
    /// For the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            End::Closed => "closed",
            End::Broken => "broken off",
            End::Idle => "idle",
            End::Over => "max_stream",
        }
    }
}

/// Bytes that went over: from the client, and to it.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// The join; it resolves when it ends.
pub(crate) struct Joint<C> {
    client: C,
    upstream: Tunnel,
    up: Half,
    down: Half,
    counts: Arc<Counts>,
    idle: IdleLimit,
    over: Option<Alarm>,
}

impl<C: Duplex> Joint<C> {
    /// `idle`: for how long nothing may come from either side. `over`: when it ends in any case.
    pub(crate) fn new(client: C, upstream: Tunnel, counts: Arc<Counts>, idle: Duration, over: Option<Instant>) -> Self {
        let (up, down) = (Half::default(), Half::default());
        Joint { client, upstream, up, down, counts, idle: IdleLimit::new(idle), over: over.map(Alarm::at) }
    }
}

impl<C: Duplex> Future for Joint<C> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let Joint { client, upstream, up, down, counts, idle, over } = &mut *self;
        if over.as_mut().is_some_and(|over| over.poll(cx).is_ready()) {
            return Poll::Ready(End::Over);
        }
        let before = up.moved + down.moved;
        let upwards = up.poll(cx, client, upstream, &counts.received);
        let downwards = down.poll(cx, upstream, client, &counts.sent);
        match (upwards, downwards) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(End::Broken),
            _ => {}
        }
        if up.moved + down.moved != before {
            idle.moved();
        }
        match idle.passed(cx) {
            true => Poll::Ready(End::Idle),
            false => Poll::Pending,
        }
    }
}

impl<C: Duplex> Finish for Joint<C> {
    /// What both sides say is theirs to end: whoever drains waits for them as long as it waits for any request.
    fn finish(self: Pin<&mut Self>) {}
}

/// One direction.
#[derive(Default)]
struct Half {
    /// What was read and not taken yet.
    rest: Bytes,
    ended: bool,
    shut: bool,
    /// Counts everything that happened on it.
    moved: u64,
}

impl Half {
    /// Moves what can be moved. Ready once the one side has ended and the other has been told.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.rest.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))?;
                self.wrote(written, count)?;
                self.rest.advance(written);
            }
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(to).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut piece = [const { MaybeUninit::uninit() }; PIECE];
            let mut into = ReadBuf::uninit(&mut piece);
            let Poll::Ready(read) = Pin::new(&mut *from).poll_read(cx, &mut into) else {
                // Whatever the one side buffers must not wait for what the other one has not said yet.
                ready!(Pin::new(to).poll_flush(cx))?;
                return Poll::Pending;
            };
            read?;
            self.moved += 1;
            let read = into.filled();
            self.ended = read.is_empty();
            if self.ended {
                continue;
            }
            // Most of it is taken at once, and only what is not is kept.
            let written = match Pin::new(&mut *to).poll_write(cx, read)? {
                Poll::Ready(written) => {
                    self.wrote(written, count)?;
                    written
                }
                Poll::Pending => 0,
            };
            self.rest = Bytes::copy_from_slice(&read[written..]);
        }
    }

    fn wrote(&mut self, bytes: usize, count: &AtomicU64) -> io::Result<()> {
        self.moved += 1;
        count.fetch_add(bytes as u64, Ordering::Relaxed);
        if bytes == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const IDLE: Duration = Duration::from_secs(60);

    fn joined(over: Option<Instant>) -> (DuplexStream, DuplexStream, Joint<DuplexStream>, Arc<Counts>) {
        let (client, ours) = duplex(64);
        let (upstream, theirs) = duplex(64);
        let counts = Arc::<Counts>::default();
        let tunnel = Tunnel::new(Bytes::from_static(b"first "), theirs, ());
        (client, upstream, Joint::new(ours, tunnel, counts.clone(), IDLE, over), counts)
    }

    #[tokio::test]
    async fn all_goes_over_and_the_ends_are_told() {
        let (mut client, mut upstream, joint, counts) = joined(None);
        let joint = tokio::spawn(joint);
        let sent = vec![7; 100_000];
        let both = async {
            let to = sent.clone();
            let writing = tokio::spawn(async move {
                client.write_all(&to).await.expect("it is taken");
                client.shutdown().await.expect("it is told");
                client
            });
            let mut read = Vec::new();
            upstream.read_to_end(&mut read).await.expect("an end");
            assert_eq!(read, sent);
            upstream.write_all(b"and back").await.expect("it is taken");
            drop(upstream);
            let mut client = writing.await.expect("it ran");
            let mut read = String::new();
            client.read_to_string(&mut read).await.expect("an end");
            assert_eq!(read, "first and back");
        };
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("all of it");
        assert_eq!(joint.await.ok(), Some(End::Closed));
        assert_eq!((counts.received.load(Ordering::Relaxed), counts.sent.load(Ordering::Relaxed)), (100_000, 14));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_is_not_waited_for_without_end() {
        let (mut client, _upstream, joint, _) = joined(None);
        let start = Instant::now();
        let joint = tokio::spawn(joint);
        tokio::time::sleep(IDLE / 2).await;
        client.write_all(b"x").await.expect("it is taken");
        assert_eq!(joint.await.ok(), Some(End::Idle));
        assert!(start.elapsed() >= IDLE * 3 / 2 && start.elapsed() < IDLE * 2, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_time_is_over_ends_though_it_is_busy() {
        let (mut client, _upstream, joint, _) = joined(Some(Instant::now() + IDLE * 2));
        let joint = tokio::spawn(joint);
        let talk = async {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(IDLE / 8).await;
            }
        };
        let (ended, ()) = tokio::join!(joint, talk);
        assert_eq!(ended.ok(), Some(End::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_not_read() {
        let (mut client, _upstream, joint, counts) = joined(None);
        let joint = tokio::spawn(joint);
        let mut sent = 0;
        while tokio::time::timeout(IDLE / 4, client.write_all(&[0; 64])).await.is_ok() {
            sent += 64;
        }
        // Two buffers of 64 bytes and one piece.
        assert!(sent <= 64 + 64 + PIECE, "{sent}");
        assert!(counts.received.load(Ordering::Relaxed) <= 64);
        assert_eq!(joint.await.ok(), Some(End::Idle));
    }
}
