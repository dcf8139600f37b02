//! Against real sockets: a scripted server says exactly what comes and when.

mod bad;
mod secure;
mod several;
mod shared;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use policy::exchange::BodyError;

use super::head::SendError;
use super::outgoing::Aim;
use super::*;
use crate::clock::SystemClock;

fn upstream(settings: UpstreamSettings) -> HttpUpstream {
    HttpUpstream::new("up", settings, Arc::new(SystemClock::new()), None)
}

struct Scripted {
    upstream: HttpUpstream,
    listener: TcpListener,
}

impl Scripted {
    async fn new() -> Scripted {
        Scripted::with(|_| {}).await
    }

    /// With these settings changed.
    async fn with(change: impl FnOnce(&mut UpstreamSettings)) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut settings = UpstreamSettings::to(Way::default(), "127.0.0.1", port);
        settings.timeouts = Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(2),
            idle: Duration::from_secs(1),
            whole: None,
        };
        settings.retries.attempts = 0;
        change(&mut settings);
        Scripted { upstream: upstream(settings), listener }
    }

    /// How many connections lie idle.
    fn idle(&self) -> usize {
        self.upstream.core.lineup.load().seats.iter().map(|seat| seat.endpoint.pool.len()).sum()
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

/// Reads until the bytes hold `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(end) {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "closed after {:?}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::Empty).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect(1 << 20).await.unwrap().to_vec()).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again() {
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        for _ in 0..3 {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(OK).await.unwrap();
        }
        stream
    };
    let client = async {
        for _ in 0..3 {
            assert_eq!(text(scripted.upstream.send(get("/a?b")).await.unwrap()).await, "ok");
            assert_eq!(scripted.idle(), 1);
        }
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn nothing_of_a_connection_crosses() {
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        let request = read_until(&mut stream, "\r\n\r\n").await;
        let head = "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\nx-end: 1\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        (request, stream)
    };
    let mut request = get("/a/b?c=d");
    for (name, value) in
        [("te", "trailers"), ("connection", "x-mine"), ("x-mine", "1"), ("expect", "100-continue"), ("x-kept", "1")]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let ((seen, _stream), response) = tokio::join!(server, scripted.upstream.send(request));
    let port = scripted.listener.local_addr().unwrap().port();
    assert_eq!(seen, format!("GET /a/b?c=d HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-kept: 1\r\n\r\n"));
    let response = response.unwrap();
    assert!(response.headers().contains_key("x-end"));
    assert!(!response.headers().contains_key("x-hop") && !response.headers().contains_key("keep-alive"));
}

#[tokio::test]
async fn a_known_length_goes_as_content_length_and_an_unknown_one_chunked() {
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        let known = read_until(&mut stream, "hello").await;
        stream.write_all(OK).await.unwrap();
        let unknown = read_until(&mut stream, "0\r\n\r\n").await;
        stream.write_all(OK).await.unwrap();
        (known, unknown, stream)
    };
    let client = async {
        let mut request = Request::post("/").body(Body::from(String::from("hello"))).unwrap();
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
        text(scripted.upstream.send(request).await.unwrap()).await;
        let frames =
            futures_util::stream::iter(["a", "b"].map(|t| Ok::<_, io::Error>(http_body::Frame::data(Bytes::from(t)))));
        let body = Body::stream(http_body_util::BodyExt::boxed(StreamBody::new(frames)));
        text(scripted.upstream.send(Request::post("/").body(body).unwrap()).await.unwrap()).await;
    };
    let ((known, unknown, _stream), ()) = tokio::join!(server, client);
    assert!(known.contains("content-length: 5\r\n") && !known.contains("content-length: 99"), "{known}");
    assert!(unknown.contains("transfer-encoding: chunked\r\n") && !unknown.contains("content-length"), "{unknown}");
}

#[tokio::test]
async fn a_body_streams_and_its_connection_comes_back() {
    let scripted = Scripted::new().await;
    let (go, mut gone) = mpsc::channel::<()>(1);
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await.unwrap();
        gone.recv().await;
        stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        stream
    };
    let client = async {
        let mut body = scripted.upstream.send(get("/")).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert_eq!(scripted.idle(), 0);
        go.send(()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
        assert!(body.frame().await.is_none());
        assert_eq!(scripted.idle(), 1);
    };
    tokio::join!(server, client);
}

/// Also where they come along with the body: its length is known then, and to say it would take them off.
#[tokio::test]
async fn trailers_are_told_whenever_they_come() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for pieces in [
        vec![format!("{HEAD}2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")],
        vec![String::from(HEAD), String::from("2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")],
        vec![format!("{HEAD}2\r\nhi\r\n"), String::from("0\r\nx-sum: 7\r\n\r\n")],
    ] {
        let scripted = Scripted::new().await;
        let server = async {
            let mut stream = scripted.accept().await;
            read_until(&mut stream, "\r\n\r\n").await;
            for piece in &pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stream
        };
        let client = async {
            let body = scripted.upstream.send(get("/")).await.unwrap().into_body();
            assert_eq!(http_body::Body::size_hint(&body).exact(), None, "{pieces:?}");
            let collected = BodyExt::collect(body).await.unwrap();
            assert_eq!(
                collected.trailers().and_then(|fields| fields.get("x-sum")),
                Some(&HeaderValue::from_static("7"))
            );
            assert_eq!(collected.to_bytes(), "hi");
            assert_eq!(scripted.idle(), 1);
        };
        tokio::join!(server, client);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    let scripted = Scripted::new().await;
    let server = async {
        for _ in 0..2 {
            let mut stream = scripted.accept().await;
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(OK).await.unwrap();
        }
    };
    let client = async {
        for _ in 0..2 {
            // A request that must not be sent twice: only an unused connection will do.
            let request = Request::post("/").body(Body::from(String::from("x"))).unwrap();
            assert_eq!(text(scripted.upstream.send(request).await.unwrap()).await, "ok");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_kept_connection_that_closes_under_a_request_is_tried_once_more_where_that_is_safe() {
    for (method, rest, again) in
        [(Method::GET, 0, true), (Method::GET, 150, true), (Method::POST, 0, false), (Method::POST, 150, false)]
    {
        let scripted = Scripted::new().await;
        let server = async {
            let mut first = scripted.accept().await;
            read_until(&mut first, "\r\n\r\n").await;
            first.write_all(OK).await.unwrap();
            read_until(&mut first, "\r\n\r\n").await;
            drop(first);
            if again {
                let mut second = scripted.accept().await;
                read_until(&mut second, "\r\n\r\n").await;
                second.write_all(OK).await.unwrap();
            }
        };
        let client = async {
            text(scripted.upstream.send(get("/")).await.unwrap()).await;
            tokio::time::sleep(Duration::from_millis(rest)).await;
            let request = Request::builder().method(method.clone()).uri("/").body(Body::Empty).unwrap();
            assert_eq!(scripted.upstream.send(request).await.is_ok(), again, "{method}");
        };
        tokio::join!(server, client);
    }
}

/// Between the look at it and the request.
#[tokio::test]
async fn a_kept_connection_that_closes_before_a_request_is_written_gives_it_back() {
    let scripted = Scripted::with(|settings| settings.timeouts.first_byte = Duration::from_secs(60)).await;
    let server = async {
        let mut first = scripted.accept().await;
        read_until(&mut first, "\r\n\r\n").await;
        first.write_all(OK).await.unwrap();
        first
    };
    let (first, answer) = tokio::join!(server, scripted.upstream.send(get("/")));
    text(answer.unwrap()).await;
    let endpoint = scripted.upstream.core.lineup.load().seats[0].endpoint.clone();
    let mut link = endpoint.pool.take().expect("it is kept");
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut request, _) =
        Outgoing::new(Request::post("/").body(Body::from(String::from("x"))).unwrap(), Fields::default());
    let limit = Duration::from_secs(60);
    let aim = Aim { scheme: "http", host: &endpoint.host, upgrade: None, limit, watch: None };
    match link.send(&mut request, aim).await {
        Err(SendError::Broken { unsent, why }) => assert!(unsent && request.body.is_some(), "{why}"),
        Err(error) => panic!("{error:?}"),
        Ok(head) => panic!("an answer: {}", head.status()),
    }
    assert!(!link.is_idle());
}

#[tokio::test]
async fn a_silent_upstream_is_a_timeout() {
    let scripted = Scripted::new().await;
    let (response, _stream) = tokio::join!(scripted.upstream.send(get("/")), scripted.accept());
    assert!(matches!(response, Err(UpstreamError::Timeout("first_byte"))));
}

#[tokio::test]
async fn an_answer_that_stops_is_cut_off() {
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        stream
    };
    let (_stream, response) = tokio::join!(server, scripted.upstream.send(get("/")));
    let error = response.unwrap().into_body().collect(1 << 20).await.unwrap_err();
    assert!(matches!(&error, BodyError::Broken(why) if why.contains("timeouts.idle")), "{error:?}");
}

#[tokio::test]
async fn faults_have_types() {
    let scripted = Scripted::new().await;
    let server = async {
        scripted.accept().await.write_all(b"SSH-2.0-x\r\n\r\n").await.unwrap();
    };
    let (response, ()) = tokio::join!(scripted.upstream.send(get("/")), server);
    assert!(matches!(response, Err(UpstreamError::Malformed(_))), "{:?}", response.err());
    let Scripted { upstream, listener } = scripted;
    drop(listener);
    assert!(matches!(upstream.send(get("/")).await, Err(UpstreamError::Unreachable(_))));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_the_request_along() {
    let scripted = Scripted::new().await;
    let came = tokio::sync::Notify::new();
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        came.notify_one();
        // With the client, and not with its own limit.
        let limit = scripted.upstream.settings().timeouts.first_byte / 2;
        let read = tokio::time::timeout(limit, stream.read(&mut [0; 1])).await;
        assert_eq!(read.expect("an end").unwrap(), 0, "the connection closes");
    };
    let client = async {
        tokio::select! {
            answer = scripted.upstream.send(get("/")) => panic!("{:?}", answer.map(|answer| answer.status())),
            () = came.notified() => {}
        }
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_client_that_breaks_off_is_not_the_upstreams_fault() {
    let scripted = Scripted::new().await;
    let frames =
        futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from("a"))), Err(io::Error::other("gone"))]);
    let body = Body::stream(StreamBody::new(frames));
    let (response, _stream) =
        tokio::join!(scripted.upstream.send(Request::post("/").body(body).unwrap()), scripted.accept());
    assert!(matches!(response, Err(UpstreamError::RequestBody(_))), "{:?}", response.err());
}

#[tokio::test]
async fn nor_is_it_once_the_answer_has_begun() {
    let scripted = Scripted::new().await;
    let (frames, sent) = mpsc::channel::<Result<http_body::Frame<Bytes>, io::Error>>(1);
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        stream
    };
    let sent = futures_util::stream::unfold(sent, async |mut sent| Some((sent.recv().await?, sent)));
    let body = Body::stream(StreamBody::new(Box::pin(sent)));
    let answer = scripted.upstream.send(Request::post("/").body(body).unwrap());
    let (_stream, answer) = tokio::join!(server, answer);
    frames.send(Err(io::Error::other("gone"))).await.unwrap();
    let error = answer.unwrap().into_body().collect(1 << 20).await.unwrap_err();
    assert!(matches!(&error, BodyError::Broken(why) if why.contains("gone")), "{error:?}");
    assert_eq!(scripted.upstream.observe().targets[0].faults, 0);
}

#[tokio::test]
async fn an_upstream_that_stops_reading_is_a_timeout() {
    let scripted = Scripted::new().await;
    let frame = || Ok::<_, io::Error>(http_body::Frame::data(Bytes::from_static(&[b'x'; 65_536])));
    let body = Body::stream(StreamBody::new(futures_util::stream::repeat_with(frame)));
    let sent = scripted.upstream.send(Request::post("/").body(body).unwrap());
    let (response, _stream) = tokio::join!(sent, scripted.accept());
    assert!(matches!(response, Err(UpstreamError::Timeout("first_byte"))), "{:?}", response.err());
}

#[tokio::test]
async fn a_client_that_pauses_is_not_cut_and_the_limit_begins_at_the_end_of_the_request() {
    let scripted = Scripted::new().await;
    let (frames, sent) = mpsc::channel::<Result<http_body::Frame<Bytes>, io::Error>>(1);
    let pause = || tokio::time::sleep(scripted.upstream.settings().timeouts.first_byte.mul_f32(1.9));
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "0\r\n\r\n").await;
        tokio::time::sleep(scripted.upstream.settings().timeouts.first_byte / 2).await;
        stream.write_all(OK).await.unwrap();
        stream
    };
    let client = async {
        for _ in 0..2 {
            frames.send(Ok(http_body::Frame::data(Bytes::from("a")))).await.unwrap();
            pause().await;
        }
        drop(frames);
    };
    let sent = futures_util::stream::unfold(sent, async |mut sent| Some((sent.recv().await?, sent)));
    let body = Body::stream(StreamBody::new(Box::pin(sent)));
    let sent = scripted.upstream.send(Request::post("/").body(body).unwrap());
    let (_stream, (), response) = tokio::join!(server, client, sent);
    assert_eq!(response.map(|response| response.status()).map_err(|why| why.to_string()), Ok(StatusCode::OK));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_at_whatever_moment() {
    for body in ["", "half"] {
        let scripted = Scripted::new().await;
        let server = async {
            let mut stream = scripted.accept().await;
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{body}").as_bytes()).await.unwrap();
        };
        let client = async {
            // Where the end comes with the head, there is no answer.
            match scripted.upstream.send(get("/")).await {
                Ok(response) => assert!(response.into_body().collect(1 << 20).await.is_err(), "{body:?}"),
                Err(error) => assert!(matches!(error, UpstreamError::Unreachable(_)), "{body:?}: {error:?}"),
            }
        };
        tokio::join!(server, client);
        assert_eq!(scripted.idle(), 0);
    }
}

fn endless() -> Body {
    let frame = || Ok::<_, io::Error>(http_body::Frame::data(Bytes::from_static(&[b'x'; 65_536])));
    Body::stream(StreamBody::new(futures_util::stream::repeat_with(frame)))
}

/// What it leaves unread makes the kernel reset the connection: writes fail then, and the answer is there all the same.
#[tokio::test]
async fn an_answer_before_the_end_of_the_request_counts() {
    let scripted = Scripted::new().await;
    let piece = || Ok::<_, io::Error>(http_body::Frame::data(Bytes::from_static(&[b'x'; 65_536])));
    let (pieces, sent) = mpsc::channel(2);
    let server = async {
        pieces.send(piece()).await.unwrap();
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        // No word of closing: that the connection is not kept is for us to see.
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge").await.unwrap();
        drop(stream);
        // Written before anything is known of the answer.
        pieces.send(piece()).await.unwrap();
        drop(pieces);
    };
    let sent = futures_util::stream::unfold(sent, async |mut sent| Some((sent.recv().await?, sent)));
    let body = Body::stream(StreamBody::new(Box::pin(sent)));
    let sent = scripted.upstream.send(Request::post("/").body(body).unwrap());
    // In this order, within one turn: the runtime has not looked for what came in between.
    let ((), response) = futures_util::future::join(server, sent).await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(response).await, "large");
    assert_eq!(scripted.idle(), 0);
}

#[tokio::test]
async fn an_upload_ends_where_the_upstream_closes_without_an_answer() {
    for head in ["", "HTTP/1.1 413 Conte"] {
        let scripted = Scripted::new().await;
        let server = async {
            let mut stream = scripted.accept().await;
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(head.as_bytes()).await.unwrap();
        };
        let sent = scripted.upstream.send(Request::post("/").body(endless()).unwrap());
        let ((), response) = tokio::join!(server, tokio::time::timeout(Duration::from_secs(5), sent));
        let response = response.expect("an end");
        assert!(matches!(response, Err(UpstreamError::Unreachable(_))), "{head:?}: {:?}", response.err());
        assert_eq!(scripted.idle(), 0);
    }
}

/// From the last piece that it took, and not from whenever the time is looked at.
#[tokio::test(start_paused = true)]
async fn the_limit_counts_from_the_last_piece_of_a_body() {
    let scripted = Scripted::new().await;
    let limit = scripted.upstream.settings().timeouts.first_byte;
    let pieces = futures_util::stream::unfold(0, move |piece| async move {
        if piece == 1 {
            tokio::time::sleep(limit / 3).await;
        }
        (piece < 2).then(|| (Ok::<_, io::Error>(http_body::Frame::data(Bytes::from_static(b"x"))), piece + 1))
    });
    let body = Body::stream(StreamBody::new(Box::pin(pieces)));
    let start = tokio::time::Instant::now();
    let (response, _stream) =
        tokio::join!(scripted.upstream.send(Request::post("/").body(body).unwrap()), scripted.accept());
    assert!(matches!(response, Err(UpstreamError::Timeout("first_byte"))), "{:?}", response.err());
    let took = start.elapsed();
    assert!(took >= limit * 4 / 3 && took < limit * 3 / 2, "{took:?} with a limit of {limit:?}");
}
