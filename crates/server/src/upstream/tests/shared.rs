//! HTTP/2: connections that many requests share.

use http::HeaderMap;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::atomic::AtomicUsize;
use tokio_rustls::TlsAcceptor;

use super::secure::Authority;
use super::*;
use crate::tasks;

fn two(settings: &mut UpstreamSettings) {
    settings.targets[0].way = Arc::new(Way { http: HttpVersion::Two, tls: None });
    settings.timeouts.first_byte = Duration::from_secs(5);
}

/// A body of one piece, and fields after it.
fn with_trailers(data: &'static str, name: &'static str, value: &'static str) -> Body {
    let mut fields = HeaderMap::new();
    fields.insert(name, HeaderValue::from_static(value));
    let frames = [http_body::Frame::data(Bytes::from_static(data.as_bytes())), http_body::Frame::trailers(fields)];
    Body::stream(StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, io::Error>))))
}

/// Serves HTTP/2 until the test ends: says what came, waits until there are as many as are to come together, and answers with trailers.
fn serve(listener: TcpListener, most: u32, together: usize) -> Arc<AtomicUsize> {
    let connections = Arc::<AtomicUsize>::default();
    let opened = connections.clone();
    let barrier = Arc::new(tokio::sync::Barrier::new(together));
    tasks::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            opened.fetch_add(1, Ordering::SeqCst);
            let barrier = barrier.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let barrier = barrier.clone();
                async move {
                    let said = format!(
                        "{} {} {:?} {:?}",
                        request.method(),
                        request.uri(),
                        request.headers().get(header::TE),
                        request.headers().get(header::HOST)
                    );
                    let collected = request.into_body().collect().await.unwrap();
                    let after = collected.trailers().and_then(|fields| fields.get("x-sum").cloned());
                    barrier.wait().await;
                    let said = format!("{said} {:?} {after:?}", collected.to_bytes());
                    let mut fields = HeaderMap::new();
                    fields.insert("grpc-status", HeaderValue::from_static("0"));
                    let body = Full::new(Bytes::from(said)).with_trailers(std::future::ready(Some(Ok(fields))));
                    Ok::<_, std::convert::Infallible>(Response::new(body))
                }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(most);
            tasks::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    connections
}

#[tokio::test]
async fn requests_share_a_connection_and_trailers_go_both_ways() {
    let Scripted { upstream, listener } = Scripted::with(two).await;
    let port = listener.local_addr().unwrap().port();
    let connections = serve(listener, 100, 3);
    let ask = async |path: &str| {
        let mut request = Request::post(path).body(with_trailers("hello", "x-sum", "5")).unwrap();
        request.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-sum"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        let answer = upstream.send(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap();
        let after = body.trailers().and_then(|fields| fields.get("grpc-status").cloned());
        assert_eq!(after, Some(HeaderValue::from_static("0")));
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    };
    // The server answers none before all are there.
    let all = tokio::join!(ask("/a?b"), ask("/a?b"), ask("/a?b"));
    let said = format!("POST http://127.0.0.1:{port}/a?b Some(\"trailers\") None b\"hello\" Some(\"5\")");
    assert_eq!(all, (said.clone(), said.clone(), said));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!((upstream.observe().in_flight, upstream.observe().targets[0].connections), (0, 1));
}

#[tokio::test]
async fn more_requests_than_a_connection_takes_have_another_one() {
    for (theirs, ours) in [(1, 100), (100, 1)] {
        let Scripted { upstream, listener } = Scripted::with(|settings| {
            two(settings);
            settings.limits.streams = ours;
        })
        .await;
        let connections = serve(listener, theirs, 1);
        // What the other side takes is known once it has answered.
        text(upstream.send(get("/")).await.unwrap()).await;
        text(upstream.send(get("/")).await.unwrap()).await;
        let places =
            (upstream.core.lineup.load().seats[0].endpoint.connection(false, upstream.core.terms()).await.ok(), ());
        assert_eq!(text(upstream.send(get("/")).await.unwrap()).await.split(' ').next(), Some("GET"));
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{theirs} {ours}");
        drop(places);
    }
}

/// A server of hand-made frames: what it does with the first request of every connection.
async fn by_hand(listener: &TcpListener, first: impl Fn(h2::server::SendResponse<Bytes>, usize) -> bool) -> usize {
    for number in 1.. {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut ends = false;
        while let Some(came) = connection.accept().await {
            let Ok((_, respond)) = came else { break };
            if first(respond, number) && !ends {
                ends = true;
                connection.graceful_shutdown();
            }
        }
    }
    unreachable!("connections are accepted for ever")
}

fn says_ok(mut respond: h2::server::SendResponse<Bytes>) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

#[tokio::test]
async fn a_connection_that_says_goodbye_gets_no_further_request() {
    let scripted = Scripted::with(two).await;
    let opened = AtomicUsize::new(0);
    let server = by_hand(&scripted.listener, |respond, number| {
        opened.store(number, Ordering::SeqCst);
        says_ok(respond);
        true
    });
    let client = async {
        for _ in 0..4 {
            // Not to be sent twice.
            let request = Request::post("/").body(Body::from(String::from("x"))).unwrap();
            assert_eq!(text(scripted.upstream.send(request).await.unwrap()).await, "ok");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = client => {}
        _ = server => unreachable!(),
    }
    assert_eq!(opened.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_request_that_was_not_looked_at_goes_once_more_and_one_that_was_does_not() {
    for (reason, again) in [(h2::Reason::REFUSED_STREAM, true), (h2::Reason::INTERNAL_ERROR, false)] {
        let scripted = Scripted::with(|settings| {
            two(settings);
            settings.retries.attempts = 1;
        })
        .await;
        let refused = AtomicBool::new(false);
        let server = by_hand(&scripted.listener, |mut respond, _| {
            match refused.swap(true, Ordering::SeqCst) {
                false => respond.send_reset(reason),
                true => says_ok(respond),
            }
            false
        });
        let request = Request::post("/").body(Body::from(String::from("x"))).unwrap();
        let answer = tokio::select! {
            answer = scripted.upstream.send(request) => answer,
            _ = server => unreachable!(),
        };
        match answer {
            Ok(answer) => assert!(again && text(answer).await == "ok"),
            Err(error) => assert!(!again && matches!(error, UpstreamError::Unreachable(_)), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_connection_that_dies_takes_only_what_is_on_it() {
    let scripted = Scripted::with(two).await;
    let server = async {
        let (stream, _) = scripted.listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        let until_sent = async { while connection.accept().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(50), until_sent).await;
        drop(connection);
        by_hand(&scripted.listener, |respond, _| {
            says_ok(respond);
            false
        })
        .await
    };
    let client = async {
        let answer = scripted.upstream.send(get("/")).await.unwrap();
        assert!(matches!(answer.into_body().collect(1 << 20).await, Err(BodyError::Broken(_))));
        assert_eq!(text(scripted.upstream.send(get("/")).await.unwrap()).await, "ok");
        assert_eq!(scripted.upstream.observe().targets[0].faults, 1);
    };
    tokio::select! {
        () = client => {}
        _ = server => unreachable!(),
    }
}

/// Serves whatever is agreed on, and says which.
async fn serve_either(listener: &TcpListener, tls: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(stream) = tls.accept(stream).await else { continue };
        let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, std::convert::Infallible>(Response::new(format!("{:?}", request.version())))
        });
        match agreed {
            true => {
                let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                tasks::spawn(served);
            }
            false => {
                tasks::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }
    }
}

#[tokio::test]
async fn what_is_spoken_is_agreed_on() {
    let authority = Authority::new();
    for (http, theirs, spoken) in [
        (HttpVersion::Auto, &["h2", "http/1.1"][..], Some("HTTP/2.0")),
        (HttpVersion::Auto, &["http/1.1"], Some("HTTP/1.1")),
        (HttpVersion::Auto, &[], Some("HTTP/1.1")),
        (HttpVersion::Two, &["h2"], Some("HTTP/2.0")),
        (HttpVersion::Two, &[], None),
        (HttpVersion::One, &["h2", "http/1.1"], Some("HTTP/1.1")),
    ] {
        let tls = TlsSettings { authorities: Some(vec![authority.certificate()]), ..TlsSettings::default() };
        let Scripted { upstream, listener } = Scripted::with(|settings| {
            settings.targets[0].way = Arc::new(Way { http, tls: Some(tls) });
            settings.timeouts.first_byte = Duration::from_secs(5);
        })
        .await;
        let asked = async {
            let mut last = None;
            for _ in 0..3 {
                last = match upstream.send(get("/")).await {
                    Ok(answer) => Some(text(answer).await),
                    Err(_) => None,
                };
            }
            last
        };
        let answer = tokio::select! {
            answer = asked => answer,
            () = serve_either(&listener, authority.server("127.0.0.1", None, theirs)) => unreachable!(),
        };
        assert_eq!(answer.as_deref(), spoken, "{http:?} {theirs:?}");
        assert!(upstream.observe().targets[0].connections <= 1);
    }
}

/// Over what is agreed on for all others no connection could switch.
#[tokio::test]
async fn a_connection_that_is_to_switch_protocols_is_http_1_1_where_that_is_left_open() {
    let authority = Authority::new();
    let tls = TlsSettings { authorities: Some(vec![authority.certificate()]), ..TlsSettings::default() };
    let Scripted { upstream, listener } = Scripted::with(|settings| {
        settings.targets[0].way = Arc::new(Way { http: HttpVersion::Auto, tls: Some(tls) });
        settings.timeouts.first_byte = Duration::from_secs(5);
    })
    .await;
    let asks = async {
        let mut said = Vec::new();
        for switches in [false, true, false] {
            let mut request = get("/");
            if switches {
                request.extensions_mut().insert(Upgrade(HeaderValue::from_static("websocket")));
            }
            said.push(text(upstream.send(request).await.unwrap()).await);
        }
        said
    };
    let said = tokio::select! {
        said = asks => said,
        () = serve_either(&listener, authority.server("127.0.0.1", None, &["h2", "http/1.1"])) => unreachable!(),
    };
    assert_eq!(said, ["HTTP/2.0", "HTTP/1.1", "HTTP/2.0"]);
}
