//! What is read on a connection: the answer to a request, no more of its body than is asked for.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use http_body::{Frame, SizeHint};
use policy::exchange::BoxError;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::super::head::SendError;
use super::parse::{self, Framing};

/// How much is read at once. It stands on the stack, and what came is copied: a connection that lies idle holds no memory for it.
const PIECE: usize = 16 * 1024;

/// How much is read at once of a body that is known to be large, in place.
const LARGE: usize = 64 * 1024;

/// The most bytes of an answer's head with all that comes before it, and of what comes behind its body.
const MOST: usize = 256 * 1024;

/// The most bytes of a chunk's first line.
const MOST_LINE: usize = 16 * 1024;

/// What comes on a connection.
#[derive(Default)]
pub(super) struct Input {
    /// What was read and not taken yet.
    bytes: BytesMut,
    state: State,
    /// Bytes of heads that came before the answer.
    before: usize,
    /// How much of it was looked at and is no whole head.
    looked: usize,
    /// The last read had more to give.
    flows: bool,
    /// What came behind the body.
    trailers: Option<HeaderMap>,
    /// Another request may follow (RFC 9112, section 9.3).
    persists: bool,
}

/// Where in an answer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The head of the answer to a request with this method comes next: to `HEAD` there is no body.
    Head { to_head: bool },
    /// So much of the body is to come.
    Length(u64),
    /// All that comes is of the body.
    UntilClose,
    /// The size of a chunk comes next.
    Size,
    /// So much of a chunk is to come.
    Chunk(u64),
    /// The end of a chunk's line comes next.
    ChunkEnd,
    /// What comes behind the last chunk.
    Trailers,
    /// The answer is complete, or there was no request.
    #[default]
    Done,
}

impl Input {
    /// The answer to a request with this method comes next.
    pub(super) fn expect(&mut self, method: &Method) {
        self.state = State::Head { to_head: *method == Method::HEAD };
        (self.before, self.looked) = (0, 0);
    }

    /// Whether nothing of what was read is left.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the answer is complete, nothing came behind it, and another request may follow.
    pub(super) fn is_free(&self) -> bool {
        self.state == State::Done && self.persists && self.bytes.is_empty()
    }

    /// The head of the answer. Those that only say that it will come (1xx) are passed over.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<Result<Response<()>, SendError>> {
        let State::Head { to_head } = self.state else {
            return Poll::Ready(Err(SendError::Malformed(String::from("there is no request"))));
        };
        loop {
            // A head that trickles is not taken apart with each byte.
            while self.looked == 0 && !self.bytes.is_empty() || parse::may_end(&self.bytes, self.looked) {
                let Some(head) = parse::head(&mut self.bytes, to_head).map_err(SendError::Malformed)? else { break };
                self.looked = 0;
                self.before += head.length;
                if head.is_interim() {
                    continue;
                }
                self.persists = head.persists && head.framing != Framing::UntilClose;
                self.state = match head.framing {
                    Framing::None | Framing::Length(0) => State::Done,
                    Framing::Length(length) => State::Length(length),
                    Framing::Chunked => State::Size,
                    Framing::UntilClose => State::UntilClose,
                };
                return Poll::Ready(Ok(head.response));
            }
            self.looked = self.bytes.len();
            if self.before + self.looked >= MOST {
                return Poll::Ready(Err(SendError::Malformed(String::from("too much came before the answer"))));
            }
            let broken = |why: String| Poll::Ready(Err(SendError::Broken { why, unsent: false }));
            match ready!(self.fill(cx, stream)) {
                Ok(0) if self.bytes.is_empty() => {
                    return broken(String::from("the connection was closed before the answer"));
                }
                Ok(0) => return broken(String::from("the connection was closed in the head of the answer")),
                Ok(_) => {}
                Err(why) => return broken(format!("the answer could not be read: {why}")),
            }
        }
    }

    /// The next piece of the body, or what came behind it.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Err(why) = self.step() {
                return Poll::Ready(Some(Err(why.into())));
            }
            if let Some(data) = self.take_data() {
                // What ends the body may be there already: then this piece is known to be the last.
                let _ = self.step();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if self.state == State::Done {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(self.fill(cx, stream)) {
                Ok(0) if self.state == State::UntilClose => self.state = State::Done,
                Ok(0) => return Poll::Ready(Some(Err("the connection ended in the middle of the answer".into()))),
                Ok(_) => {}
                Err(why) => return Poll::Ready(Some(Err(why.into()))),
            }
        }
    }

    /// Whether all of the answer was given.
    pub(super) fn is_end_stream(&self) -> bool {
        self.state == State::Done && self.trailers.is_none()
    }

    /// How much of the body is to come. Nothing is said while something comes behind it: whoever knows a length sends no trailers.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Length(left) => SizeHint::with_exact(left),
            State::Done if self.trailers.is_none() => SizeHint::with_exact(0),
            _ => SizeHint::new(),
        }
    }

    /// What came behind the answer.
    pub(super) fn into_rest(self) -> Bytes {
        self.bytes.freeze()
    }

    /// A piece of the body that is there.
    fn take_data(&mut self) -> Option<Bytes> {
        let here = self.bytes.len() as u64;
        let (size, after) = match self.state {
            _ if here == 0 => return None,
            State::Length(left) if here < left => (here, State::Length(left - here)),
            State::Length(left) => (left, State::Done),
            State::Chunk(left) if here < left => (here, State::Chunk(left - here)),
            State::Chunk(left) => (left, State::ChunkEnd),
            State::UntilClose => (here, State::UntilClose),
            _ => return None,
        };
        self.state = after;
        Some(self.bytes.split_to(size as usize).freeze())
    }

    /// Takes what stands between pieces, as far as it is there.
    fn step(&mut self) -> Result<(), &'static str> {
        loop {
            self.state = match self.state {
                State::Size => match parse::chunk_size(&mut self.bytes)? {
                    Some(0) => State::Trailers,
                    Some(size) => State::Chunk(size),
                    None if self.bytes.len() > MOST_LINE => return Err("the first line of a chunk is too long"),
                    None => return Ok(()),
                },
                State::ChunkEnd if self.bytes.starts_with(b"\r\n") => {
                    self.bytes.advance(2);
                    State::Size
                }
                State::ChunkEnd if b"\r\n".starts_with(&self.bytes) => return Ok(()),
                State::ChunkEnd => return Err("a chunk is longer than its size"),
                State::Trailers => match parse::trailers(&mut self.bytes)? {
                    Some(trailers) => {
                        self.trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
                        State::Done
                    }
                    None if self.bytes.len() > MOST => return Err("too much came behind the body"),
                    None => return Ok(()),
                },
                _ => return Ok(()),
            }
        }
    }

    /// Reads on. 0: the other side has closed.
    fn fill(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        let known = match self.state {
            State::Length(left) | State::Chunk(left) => left > PIECE as u64,
            State::UntilClose => true,
            _ => false,
        };
        if known && self.flows {
            self.bytes.reserve(LARGE);
            let read = ready!(pin!(stream.read_buf(&mut self.bytes)).poll(cx))?;
            self.flows = read >= PIECE;
            return Poll::Ready(Ok(read));
        }
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        let mut into = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(stream).poll_read(cx, &mut into))?;
        self.flows = into.remaining() == 0;
        if self.bytes.is_empty() {
            // Whatever holds on to earlier pieces holds no more than them.
            self.bytes = BytesMut::from(into.filled());
        } else {
            self.bytes.extend_from_slice(into.filled());
        }
        Poll::Ready(Ok(into.filled().len()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives these pieces, one a read, and then says that it was closed, or has nothing more.
    struct Pieces(VecDeque<Vec<u8>>, bool);

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            match self.0.pop_front() {
                Some(mut piece) => {
                    let rest = piece.split_off(piece.len().min(into.remaining()));
                    into.put_slice(&piece);
                    if !rest.is_empty() {
                        self.0.push_front(rest);
                    }
                    Poll::Ready(Ok(()))
                }
                None if self.1 => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        }
    }

    /// What came of an answer.
    #[derive(Debug, PartialEq)]
    struct Came {
        status: u16,
        body: String,
        trailers: Option<HeaderMap>,
        free: bool,
    }

    async fn came(pieces: Vec<Vec<u8>>, closed: bool, method: &Method) -> Result<Came, String> {
        let mut stream = Pieces(pieces.into(), closed);
        let mut input = Input::default();
        input.expect(method);
        let late = |_| String::from("nothing more comes");
        let limit = std::time::Duration::from_millis(1);
        let head = std::future::poll_fn(|cx| input.poll_head(cx, &mut stream));
        let head = tokio::time::timeout(limit, head).await.map_err(late)?.map_err(|error| format!("{error:?}"))?;
        let (mut body, mut trailers) = (Vec::new(), None);
        while !input.is_end_stream() {
            let frame = std::future::poll_fn(|cx| input.poll_frame(cx, &mut stream));
            match tokio::time::timeout(limit, frame).await.map_err(late)? {
                None => break,
                Some(Err(why)) => return Err(why.to_string()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Came { status: head.status().as_u16(), body, trailers, free: input.is_free() })
    }

    fn answer(status: u16, body: &str, free: bool) -> Came {
        Came { status, body: body.to_owned(), trailers: None, free }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
        let mut sums = HeaderMap::new();
        sums.append("x-sum", http::HeaderValue::from_static("5"));
        let with_sums = Came { trailers: Some(sums), ..answer(200, "hello", true) };
        for (text, closed, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, answer(200, "hello", true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, answer(200, "", true)),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, answer(204, "", true)),
            ("HTTP/1.1 200 OK\nx: y\ncontent-length: 5\n\nhello", false, answer(200, "hello", true)),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                false,
                answer(200, "ok", true),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhello", true, answer(200, "hello", false)),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", false, answer(200, "ok", false)),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n03\r\nllo\r\n0\r\n\r\n",
                false,
                answer(200, "hello", true),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n",
                false,
                with_sums,
            ),
        ] {
            let whole = came(vec![text.into()], closed, &Method::GET).await;
            assert_eq!(whole.as_ref(), Ok(&expected), "{text:?}");
            let bytes = text.bytes().map(|byte| vec![byte]).collect();
            assert_eq!(came(bytes, closed, &Method::GET).await, whole, "{text:?}");
            for at in 1..text.len() {
                let (first, second) = text.split_at(at);
                let pieces = vec![first.into(), second.into()];
                assert_eq!(came(pieces, closed, &Method::GET).await, whole, "{first:?} {second:?}");
            }
        }
    }

    /// What the bytes say must not depend on how they are cut into pieces, whatever they are.
    #[tokio::test(start_paused = true)]
    async fn answers_changed_at_random_are_the_same_in_whatever_pieces_they_come() {
        const ANSWERS: [&str; 4] = [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n03\r\nllo\r\n0\r\nX-Sum: 5\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 12\r\netag: \"a\"\r\n\r\n",
        ];
        const BYTES: &[u8] = b"\r\n\0 :;,0159afx-\xff\t";
        // SplitMix64: the same changes in every run.
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as usize % below
        };
        let mut good = 0;
        for _ in 0..4_000 {
            let mut bytes = ANSWERS[random(ANSWERS.len())].as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = BYTES[random(BYTES.len())],
                    1 => bytes.insert(at, BYTES[random(BYTES.len())]),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.extend_from_within(at..),
                }
            }
            let whole = came(vec![bytes.clone()], true, &Method::GET).await;
            good += usize::from(whole.is_ok());
            let (first, second) = bytes.split_at(random(bytes.len()));
            for pieces in [vec![first.to_vec(), second.to_vec()], bytes.iter().map(|byte| vec![*byte]).collect()] {
                // An empty piece would be the end.
                let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
                let cut = came(pieces, true, &Method::GET).await;
                // What comes behind an answer is seen with it or when its connection is looked at the next time.
                let said = |came: &Result<Came, String>| {
                    let came = came.as_ref().ok()?;
                    Some((came.status, came.body.clone(), came.trailers.clone()))
                };
                assert_eq!(said(&cut), said(&whole), "{:?}: {cut:?} {whole:?}", String::from_utf8_lossy(&bytes));
            }
        }
        assert!(good > 400, "{good} of them are answers still");
    }

    /// Where it is cut off, whoever waits is told, unless the end of the connection is the end of the body.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_cut_off_is_never_taken_for_a_whole_one() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nx: y\r\n\r\n",
        ] {
            for end in 0..text.len() {
                let cut = came(vec![text[..end].into()], true, &Method::GET).await;
                assert!(cut.is_err(), "{:?}: {cut:?}", &text[..end]);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_behind_an_answer_makes_its_connection_unfit() {
        for (text, method, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokay", Method::GET, "ok"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Method::HEAD, ""),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok", Method::GET, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                Method::GET,
                "ok",
            ),
        ] {
            let came = came(vec![text.into()], false, &method).await.expect("an answer");
            assert_eq!((came.body.as_str(), came.free), (expected, false), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_bound_is_given_one() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for (begin, endless, why) in [
            ("HTTP/1.1 200 OK\r\n", "x: y\r\n", "too much"),
            ("HTTP/1.1 200 OK\r\nx: ", "0123456789", "too much"),
            ("", "HTTP/1.1 100 Continue\r\n\r\n", "too much"),
            (&format!("{chunked}5;"), "0123456789", "the first line of a chunk"),
            (&format!("{chunked}0\r\nx: "), "0123456789", "too much"),
            (&format!("{chunked}0\r\n"), "x: y\r\n", "no fields"),
        ] {
            let text = format!("{begin}{}", endless.repeat(MOST));
            let pieces = text.as_bytes().chunks(1_000).map(<[u8]>::to_vec).collect();
            let wrong = came(pieces, false, &Method::GET).await.expect_err("too much");
            assert!(wrong.contains(why), "{begin:?}: {wrong}");
        }
    }

    #[tokio::test]
    async fn a_large_body_is_read_in_large_pieces() {
        let length = 10 * LARGE;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        let mut stream = Pieces(VecDeque::from([head, vec![b'x'; length]]), false);
        let mut input = Input::default();
        input.expect(&Method::GET);
        let head = std::future::poll_fn(|cx| input.poll_head(cx, &mut stream)).await;
        assert!(head.is_ok());
        let mut sizes = Vec::new();
        while !input.is_end_stream() {
            let frame =
                std::future::poll_fn(|cx| input.poll_frame(cx, &mut stream)).await.expect("more").expect("data");
            sizes.push(frame.into_data().expect("data").len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), length);
        assert!(sizes[0] == PIECE && sizes[1..9].iter().all(|size| *size >= LARGE), "{sizes:?}");
    }
}
