//! Upstreams that misbehave: each has its end, and no connection is kept that could hand one request's answer to another.

use super::*;

/// What the upstream does with every connection that comes: it reads a request and writes this, and then these pieces, again and again.
async fn ends(
    change: impl FnOnce(&mut UpstreamSettings),
    answer: &str,
    endless: &str,
) -> Result<Result<String, BodyError>, UpstreamError> {
    let scripted = Scripted::with(change).await;
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        let mut written = stream.write_all(answer.as_bytes()).await;
        while !endless.is_empty() && written.is_ok() {
            written = stream.write_all(endless.as_bytes()).await;
            tokio::task::yield_now().await;
        }
        // It stays open until it is closed from the other side.
        let _ = stream.read(&mut [0; 1]).await;
        std::future::pending::<()>().await;
    };
    let client = async {
        match scripted.upstream.send(get("/")).await {
            Ok(response) => {
                let body = response.into_body().collect(1 << 20).await;
                Ok(body.map(|body| String::from_utf8_lossy(&body).into_owned()))
            }
            Err(error) => Err(error),
        }
    };
    let ended = tokio::select! {
        ended = client => ended,
        () = server => unreachable!("the server does not end"),
    };
    // One that is kept is looked at before it is used: what came unasked closes it.
    scripted.upstream.core.sweep();
    assert!(scripted.idle() == 0 || answer == std::str::from_utf8(OK).unwrap(), "a connection that erred is kept");
    ended
}

#[tokio::test]
async fn heads_without_an_end_are_malformed() {
    for (begin, endless) in [
        ("HTTP/1.1 200 OK\r\n", "x-one: 0123456789012345678901234567890123456789\r\n"),
        ("HTTP/1.1 200 OK\r\nx: ", "0123456789012345678901234567890123456789"),
        ("", "01234567890123456789"),
    ] {
        // It is the size that ends it, however slow the machine.
        let patient = |settings: &mut UpstreamSettings| settings.timeouts.first_byte = Duration::from_secs(60);
        let ended = ends(patient, begin, &endless.repeat(200)).await;
        assert!(matches!(ended, Err(UpstreamError::Malformed(_))), "{begin:?}: {ended:?}");
    }
}

/// Nobody was told of the head yet: it is no answer, and above all no whole one without a body.
#[tokio::test]
async fn a_body_that_is_broken_from_the_start_makes_no_answer() {
    for body in ["zz\r\n", "-5\r\n", "5\nhello", "fffffffffffffffff\r\n", "hello"] {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let ended = ends(|_| {}, &answer, "").await;
        assert!(
            matches!(&ended, Err(UpstreamError::Unreachable(why)) if why.contains("broke off")),
            "{body:?}: {ended:?}"
        );
    }
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    };
    let (ended, ()) = tokio::join!(scripted.upstream.send(get("/")), server);
    // Where the close comes with the head it is known at once, and else when the body is read.
    let ended = match ended {
        Ok(response) => response.into_body().collect(1 << 20).await.map_err(drop),
        Err(_) => Err(()),
    };
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(scripted.upstream.observe().targets[0].faults, 1);
}

#[tokio::test]
async fn a_body_that_broke_has_no_length() {
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        stream
    };
    let (mut stream, answer) = tokio::join!(server, scripted.upstream.send(get("/")));
    let mut body = answer.unwrap().into_body();
    stream.write_all(b"zz\r\n").await.unwrap();
    let mut lengths = Vec::new();
    let error = std::future::poll_fn(|cx| {
        let polled = http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx);
        lengths.push(http_body::Body::size_hint(&body).exact());
        polled
    })
    .await;
    assert!(matches!(error, Some(Err(_))), "{error:?}");
    assert!(lengths[..lengths.len() - 1].iter().all(Option::is_none), "before it is told: {lengths:?}");
}

#[tokio::test]
async fn a_head_that_trickles_and_answers_that_are_none_end_with_the_time() {
    for endless in ["HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        // A fast machine writes as much as may come before the time is over.
        let ended = ends(|_| {}, "", endless).await;
        let bounded = matches!(ended, Err(UpstreamError::Timeout("first_byte") | UpstreamError::Malformed(_)));
        assert!(bounded, "{endless:?}: {ended:?}");
        let flood = |settings: &mut UpstreamSettings| settings.timeouts.first_byte = Duration::from_secs(60);
        let ended = ends(flood, "", &endless.repeat(500)).await;
        assert!(matches!(ended, Err(UpstreamError::Malformed(_))), "{endless:?}: {ended:?}");
    }
    let scripted = Scripted::new().await;
    let server = async {
        let mut stream = scripted.accept().await;
        for byte in "HTTP/1.1 200 OK\r\nx-slow: ".bytes().chain(std::iter::repeat(b'x')) {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (ended, ()) = tokio::join!(scripted.upstream.send(get("/")), server);
    assert!(matches!(ended, Err(UpstreamError::Timeout("first_byte"))), "{:?}", ended.err());
}

#[tokio::test]
async fn answers_of_another_length_than_they_say() {
    // Too long: what comes unasked is nobody's answer.
    let long = ends(|_| {}, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "").await;
    assert_eq!(long.unwrap().unwrap(), "ok");
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", "two lengths"),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nok", "a length that is none"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "a coding that is not undone"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            "a protocol that was not asked for",
        ),
    ] {
        let ended = ends(|_| {}, answer, "").await;
        assert!(matches!(ended, Err(UpstreamError::Malformed(_))), "{why}: {ended:?}");
    }
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\nok", "a chunk without a size"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", "a chunk longer than its size"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "fewer bytes than it says, and silence"),
    ] {
        let ended = ends(|_| {}, answer, "").await;
        assert!(matches!(ended, Ok(Err(BodyError::Broken(_)))), "{why}: {ended:?}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_ends_with_the_whole_time() {
    let whole = |settings: &mut UpstreamSettings| settings.timeouts.whole = Some(Duration::from_secs(1));
    let scripted = Scripted::with(whole).await;
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while written.is_ok() {
            written = stream.write_all(b"1\r\nx\r\n").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let client = async {
        let body = scripted.upstream.send(get("/")).await.unwrap().into_body();
        body.collect(1 << 20).await
    };
    let (ended, ()) = tokio::join!(client, server);
    assert!(matches!(&ended, Err(BodyError::Broken(why)) if why.contains("timeouts.whole")), "{ended:?}");
    let silent = Scripted::with(whole).await;
    let (ended, _stream) = tokio::join!(silent.upstream.send(get("/")), silent.accept());
    assert!(matches!(ended, Err(UpstreamError::Timeout("whole"))), "{:?}", ended.err());
}

/// What an upstream says behind an answer is not taken for the answer to the next request.
#[tokio::test]
async fn what_comes_behind_an_answer_is_nobodys() {
    let scripted = Scripted::new().await;
    let (said, mut go) = mpsc::channel::<()>(1);
    let server = async {
        let mut first = scripted.accept().await;
        read_until(&mut first, "\r\n\r\n").await;
        first.write_all(OK).await.unwrap();
        go.recv().await;
        first.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        go.recv().await;
        let mut second = scripted.accept().await;
        read_until(&mut second, "\r\n\r\n").await;
        second.write_all(OK).await.unwrap();
        (first, second)
    };
    let client = async {
        assert_eq!(text(scripted.upstream.send(get("/")).await.unwrap()).await, "ok");
        said.send(()).await.unwrap();
        said.send(()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
        let post = Request::post("/").body(Body::from(String::from("x"))).unwrap();
        assert_eq!(text(scripted.upstream.send(post).await.unwrap()).await, "ok");
    };
    tokio::join!(server, client);
}
