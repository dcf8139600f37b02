//! What is written on a connection: a request, its body no faster than it is taken.

use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method};
use http_body::{Body as HttpBody, Frame};
use policy::exchange::{BoxError, Upgrade};
use tokio::io::AsyncWrite;

use super::super::outgoing::{Aim, Outgoing};
use super::super::sent::Sent;
use crate::joined::SMALL;

/// Pieces are collected up to this many bytes.
const ENOUGH: usize = 8 * 1024;

/// Room for heads that is kept from one request to the next.
const ROOM: usize = 1024;

/// The request that is being written.
#[derive(Default)]
pub(super) struct Output {
    /// Heads, small pieces and what frames large ones.
    buffer: Vec<u8>,
    /// How much of the buffer is written.
    written: usize,
    /// A large piece; it goes behind the buffer.
    piece: Bytes,
    /// What goes behind the piece.
    tail: &'static [u8],
    body: Option<Sent>,
    coding: Coding,
    /// Some of the request was written.
    begun: bool,
    /// All that was written is on its way.
    flushed: bool,
    /// The other side has stopped reading: no other request may follow.
    deaf: bool,
}

/// How the end of a body is told (RFC 9112, section 6).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Coding {
    /// By the length that was announced, of which this much is to come.
    Length(u64),
    /// By the last chunk.
    #[default]
    Chunked,
}

impl Output {
    /// Begins a request. It is written while [`poll`](Self::poll) is called.
    pub(super) fn begin(&mut self, request: &mut Outgoing, aim: Aim<'_>) {
        self.begun = false;
        self.body = request.body.take().filter(|body| !body.is_end_stream());
        let length = self.body.as_ref().map_or(Some(0), |body| body.size_hint().exact());
        self.coding = length.map_or(Coding::Chunked, Coding::Length);
        let parts = &request.parts;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let to = &mut self.buffer;
        put(
            to,
            &[parts.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\nhost: ", aim.host.as_bytes()],
        );
        for (name, value) in &parts.headers {
            put(to, &[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        put(to, &[request.fields.as_lines().as_bytes()]);
        if let Some(Upgrade(protocol)) = aim.upgrade {
            put(to, &[b"\r\nconnection: upgrade\r\nupgrade: ", protocol.as_bytes()]);
        }
        match length {
            None => put(to, &[b"\r\ntransfer-encoding: chunked"]),
            // Where a method gives a body a meaning, it is said that there is none (RFC 9110, section 8.6).
            Some(0) if !matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) => {}
            // Writing to a Vec cannot fail.
            Some(length) => drop(write!(to, "\r\ncontent-length: {length}")),
        }
        put(to, &[b"\r\n\r\n"]);
    }

    /// Writes what can be written now. The waker is woken when there is more to do.
    ///
    /// # Errors
    ///
    /// The body broke off, or the connection did. That the other side has stopped reading is none: an upstream that has seen enough of
    /// a large body answers and closes, and its answer counts. What is left of the body is taken and goes nowhere.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), BoxError> {
        loop {
            self.collect(cx)?;
            if self.is_written() {
                return self.flush(cx, stream).map_err(BoxError::from);
            }
            if self.deaf {
                self.forget();
                // A body that never ends must not keep the answer from being read.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            match self.write(cx, stream) {
                Poll::Ready(Ok(0)) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Poll::Ready(Ok(written)) => self.advance(written),
                Poll::Ready(Err(why)) if is_deaf(&why) => self.deaf = true,
                Poll::Ready(Err(why)) => return Err(why.into()),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Whether some of the request was written.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether all of the request was written, and another may follow.
    pub(super) fn is_free(&self) -> bool {
        self.body.is_none() && self.is_written() && !self.deaf
    }

    /// Takes pieces of the body as far as they are there and there is room.
    fn collect(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        while let Some(body) = &mut self.body
            && self.piece.is_empty()
            && self.buffer.len() < ENOUGH
        {
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Err(why))) => return Err(why),
                Poll::Ready(Some(Ok(frame))) => self.frame(frame)?,
                Poll::Ready(None) => self.end(None)?,
            }
            if self.coding == Coding::Length(0) {
                self.body = None;
            }
        }
        Ok(())
    }

    /// Frames a piece of the body.
    fn frame(&mut self, frame: Frame<Bytes>) -> Result<(), BoxError> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(frame.into_trailers().ok()),
        };
        match &mut self.coding {
            // An empty chunk would be the last.
            Coding::Chunked if data.is_empty() => return Ok(()),
            Coding::Chunked => {
                // Writing to a Vec cannot fail.
                drop(write!(self.buffer, "{:x}\r\n", data.len()));
                self.tail = b"\r\n";
            }
            Coding::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or("the body is longer than it said")?;
            }
        }
        // A small piece is copied beside what frames it.
        if data.len() <= SMALL {
            put(&mut self.buffer, &[&data, std::mem::take(&mut self.tail)]);
        } else {
            self.piece = data;
        }
        Ok(())
    }

    /// Ends the body.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), BoxError> {
        self.body = None;
        match self.coding {
            Coding::Length(0) => {}
            Coding::Length(_) => return Err("the body is shorter than it said".into()),
            Coding::Chunked => {
                put(&mut self.buffer, &[b"0\r\n"]);
                for (name, value) in trailers.iter().flatten() {
                    put(&mut self.buffer, &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
                }
                put(&mut self.buffer, &[b"\r\n"]);
            }
        }
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.buffer.is_empty() && self.piece.is_empty() && self.tail.is_empty()
    }

    fn write(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<usize>> {
        self.flushed = false;
        let buffer = &self.buffer[self.written..];
        if self.piece.is_empty() && self.tail.is_empty() {
            return Pin::new(stream).poll_write(cx, buffer);
        }
        let all = [buffer, &self.piece, self.tail].map(IoSlice::new);
        let first = all.iter().position(|piece| !piece.is_empty()).unwrap_or_default();
        Pin::new(stream).poll_write_vectored(cx, &all[first..])
    }

    /// So much was written.
    fn advance(&mut self, mut written: usize) {
        self.begun = true;
        let from_buffer = written.min(self.buffer.len() - self.written);
        self.written += from_buffer;
        written -= from_buffer;
        let from_piece = written.min(self.piece.len());
        self.piece.advance(from_piece);
        self.tail = &self.tail[written - from_piece..];
        if self.written == self.buffer.len() {
            self.forget_buffer();
        }
    }

    fn forget_buffer(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(ROOM);
        self.written = 0;
    }

    /// What is there goes nowhere.
    fn forget(&mut self) {
        self.forget_buffer();
        self.piece = Bytes::new();
        self.tail = b"";
    }

    fn flush(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.flushed || self.deaf {
            return Ok(());
        }
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Err(why)) if is_deaf(&why) => self.deaf = true,
            Poll::Ready(flushed) => {
                flushed?;
                self.flushed = true;
            }
            Poll::Pending => {}
        }
        Ok(())
    }
}

/// Whether the other side reads no further. Reading tells what happened: there is an answer, or the connection ends.
fn is_deaf(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn put(to: &mut Vec<u8>, pieces: &[&[u8]]) {
    to.reserve(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| to.extend_from_slice(piece));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, Request};
    use http_body_util::StreamBody;
    use policy::Body;
    use policy::ports::Fields;

    use super::*;

    /// Takes so many bytes at once, and notes them; at last it takes none.
    struct Taker {
        at_once: usize,
        taken: Vec<u8>,
        most: usize,
    }

    impl AsyncWrite for Taker {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            if self.taken.len() >= self.most {
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            let taken = bytes.len().min(self.at_once);
            self.taken.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let mut all = 0;
            for piece in pieces {
                let left = self.at_once - all;
                let mut some = Pin::new(&mut *self);
                match some.as_mut().poll_write(cx, &piece[..piece.len().min(left)])? {
                    Poll::Ready(taken) => all += taken,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(all))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn streams(pieces: Vec<Frame<Bytes>>) -> Body {
        Body::stream(StreamBody::new(futures_util::stream::iter(pieces.into_iter().map(Ok::<_, io::Error>))))
    }

    fn data(text: impl Into<Bytes>) -> Frame<Bytes> {
        Frame::data(text.into())
    }

    /// What is written of a request, and whether another may follow.
    async fn written(request: Request<Body>, taker: &mut Taker) -> Result<bool, String> {
        let (mut outgoing, _) = Outgoing::new(request, Fields::default());
        let mut output = Output::default();
        let host = HeaderValue::from_static("api:80");
        output.begin(
            &mut outgoing,
            Aim { scheme: "http", host: &host, upgrade: None, limit: Duration::MAX, watch: None },
        );
        std::future::poll_fn(|cx| match output.poll(cx, taker) {
            Err(why) => Poll::Ready(Err(why.to_string())),
            Ok(()) if output.body.is_none() && output.is_written() => Poll::Ready(Ok(output.is_free())),
            Ok(()) => Poll::Pending,
        })
        .await
    }

    #[tokio::test]
    async fn a_request_is_the_same_in_whatever_pieces_it_is_taken() {
        let large = "x".repeat(SMALL + 1);
        let sums = HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("5"))]);
        for (method, body, expected) in [
            (Method::GET, Body::Empty, String::from("\r\n")),
            (Method::POST, Body::Empty, String::from("content-length: 0\r\n\r\n")),
            (Method::POST, Body::from(String::from("hello")), String::from("content-length: 5\r\n\r\nhello")),
            (Method::PUT, Body::from(large.clone()), format!("content-length: {}\r\n\r\n{large}", SMALL + 1)),
            (
                Method::POST,
                streams(vec![data("a"), data(""), data(large.clone()), data("b")]),
                format!(
                    "transfer-encoding: chunked\r\n\r\n1\r\na\r\n{:x}\r\n{large}\r\n1\r\nb\r\n0\r\n\r\n",
                    SMALL + 1
                ),
            ),
            (
                Method::GET,
                streams(vec![data("hello"), Frame::trailers(sums)]),
                String::from("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            ),
        ] {
            let expected = format!("{method} /a?b HTTP/1.1\r\nhost: api:80\r\nx-one: 1\r\n{expected}");
            for at_once in [1, 7, 1_000, usize::MAX] {
                let body = match &body {
                    Body::Empty => Body::Empty,
                    Body::Full(bytes) => Body::Full(bytes.clone()),
                    // Tried once: it cannot be made twice.
                    Body::Stream(_) => continue,
                };
                let request = Request::builder().method(&method).uri("/a?b").header("x-one", "1");
                let mut taker = Taker { at_once, taken: Vec::new(), most: usize::MAX };
                assert_eq!(written(request.body(body).expect("a request"), &mut taker).await, Ok(true));
                assert_eq!(String::from_utf8_lossy(&taker.taken), expected, "{at_once}");
            }
            if matches!(body, Body::Stream(_)) {
                let request = Request::builder().method(&method).uri("/a?b").header("x-one", "1");
                let mut taker = Taker { at_once: 700, taken: Vec::new(), most: usize::MAX };
                assert_eq!(written(request.body(body).expect("a request"), &mut taker).await, Ok(true));
                assert_eq!(String::from_utf8_lossy(&taker.taken), expected);
            }
        }
    }

    #[tokio::test]
    async fn whoever_reads_no_further_gets_nothing_more_and_the_rest_is_taken() {
        let request = Request::post("/").body(streams(vec![data("x".repeat(9_000)), data("y".repeat(9_000))]));
        let mut taker = Taker { at_once: 1_000, taken: Vec::new(), most: 3_000 };
        assert_eq!(written(request.expect("a request"), &mut taker).await, Ok(false));
        assert_eq!(taker.taken.len(), 3_000);
    }
}
