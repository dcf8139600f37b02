//! The filter, through policies.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use policy::Body;
use policy::engine::{Program, Served};
use policy::exchange::Request;
use policy::ports::{ASIDE, Aside, Background, BoxFuture, UPSTREAM, Upstream, UpstreamError, UpstreamHandle};
use policy::testing::{Fixture, Ran, block_on, read, request};

use crate::fixture::{Timers, answer, told, world};

/// What the upstream does next: a status, headers and a body; or it fails.
type Turn = Result<(u16, HeaderMap, &'static str), UpstreamError>;

/// Headers, whose values may be no text.
type Fields<'a> = &'a [(&'static str, &'a [u8])];

fn fields(fields: Fields<'_>) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())).collect()
}

/// An upstream that plays what a test says, and remembers what it was asked. What it is not told to answer waits.
#[derive(Default)]
struct Played {
    turns: Mutex<VecDeque<Turn>>,
    asked: Mutex<Vec<(Method, String, HeaderMap)>>,
}

impl Upstream for Played {
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        let asked = (request.method().clone(), request.uri().to_string(), request.headers().clone());
        self.asked.lock().unwrap().push(asked);
        Box::pin(std::future::poll_fn(|_| match self.turns.lock().unwrap().pop_front() {
            Some(turn) => Poll::Ready(turn.map(|(status, headers, body)| {
                let mut answer = answer(status, &[], body.into());
                *answer.headers_mut() = headers;
                answer
            })),
            None => Poll::Pending,
        }))
    }
}

struct Shared(Arc<Played>);
impl Upstream for Shared {
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        self.0.send(request)
    }
}

/// Keeps what goes on beside, until it is told to do it.
#[derive(Default)]
struct Later(Mutex<Vec<BoxFuture<'static, ()>>>);
impl Background for Later {
    fn run(&self, work: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().push(work);
    }
}

struct Lab {
    fixture: Fixture,
    program: Arc<Program>,
    upstream: Arc<Played>,
    later: Arc<Later>,
    timers: Arc<Timers>,
}

impl Lab {
    fn new(settings: &str) -> Lab {
        Lab::of(
            &format!("[[filter]]\nuse = 'cache'\n{settings}\n\n[[filter]]\nuse = 'proxy'\nupstream = 'played'"),
            Timers::default(),
        )
    }

    fn of(filters: &str, timers: Timers) -> Lab {
        let (upstream, later, timers) = (Arc::<Played>::default(), Arc::<Later>::default(), Arc::new(timers));
        let fixture = world()
            .resource(UPSTREAM, "played", UpstreamHandle(Arc::new(Shared(upstream.clone()))))
            .resource(ASIDE, "", Aside { background: later.clone(), timer: timers.clone() })
            .policy("tested", &format!("route = '/**'\n\n{filters}"));
        let program = fixture.program();
        Lab { fixture, program, upstream, later, timers }
    }

    fn plays(&self, status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> &Lab {
        let bytes: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        self.plays_bytes(status, &bytes, body)
    }

    fn plays_bytes(&self, status: u16, headers: Fields<'_>, body: &'static str) -> &Lab {
        self.upstream.turns.lock().unwrap().push_back(Ok((status, fields(headers), body)));
        self
    }

    fn fails(&self) -> &Lab {
        self.upstream.turns.lock().unwrap().push_back(Err(UpstreamError::Unreachable("refused".into())));
        self
    }

    /// How often the upstream was asked since this was last called.
    fn asked(&self) -> Vec<(Method, String, HeaderMap)> {
        std::mem::take(&mut self.upstream.asked.lock().unwrap())
    }

    fn serve(&self, request: Request) -> impl Future<Output = Served> + use<> {
        let (program, environment) = (self.program.clone(), self.fixture.environment());
        async move { program.serve(&environment, request).await }
    }

    fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Ran {
        block_on(async { read(&self.program, self.serve(request(method, path, headers, "")).await).await })
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Ran {
        self.send(Method::GET, path, headers)
    }

    /// Status, body and what was done with it.
    fn told(&self, path: &str, headers: &[(&str, &str)]) -> String {
        Lab::summed(&self.get(path, headers))
    }

    fn told_bytes(&self, path: &str, headers: Fields<'_>) -> String {
        let mut request = request(Method::GET, path, &[], "");
        request.headers = fields(headers);
        Lab::summed(&block_on(async { read(&self.program, self.serve(request).await).await }))
    }

    fn summed(ran: &Ran) -> String {
        let status = ran.header("cache-status").strip_prefix("portcullis; ").unwrap_or("nothing").to_owned();
        format!("{} {} {status}", ran.status, ran.text())
    }

    fn wait(&self, seconds: u64) {
        self.fixture.clock().advance(Duration::from_secs(seconds));
    }
}

const MINUTE: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[test]
fn what_is_fresh_is_answered_with_its_age_and_then_no_more() {
    let lab = Lab::new("");
    lab.plays(200, MINUTE, "one").plays(200, MINUTE, "two");
    assert_eq!(lab.told("/a", &[]), "200 one fwd=uri-miss; fwd-status=200; stored");
    lab.wait(59);
    let hit = lab.get("/a", &[]);
    assert_eq!(
        (hit.status, hit.text(), hit.header("age"), hit.header("cache-status")),
        (200, "one", "59", "portcullis; hit; ttl=1")
    );
    assert_eq!(hit.header("date"), "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(hit.path(), ["cache:answered"]);
    lab.wait(1);
    assert_eq!(lab.told("/a", &[]), "200 two fwd=stale; fwd-status=200; stored");
    assert_eq!(lab.asked().len(), 2);
}

#[test]
fn another_url_is_another_response() {
    let lab = Lab::new("");
    for (path, body) in [("/a", "1"), ("/a?b", "2"), ("/a?b=", "3"), ("/A", "4")] {
        lab.plays(200, MINUTE, body);
        assert_eq!(lab.get(path, &[]).text(), body, "{path}");
    }
    let mut other = request(Method::GET, "/a", &[], "");
    other.host = "other".into();
    lab.plays(200, MINUTE, "5");
    let served = block_on(async { read(&lab.program, lab.serve(other).await).await });
    assert_eq!(served.text(), "5");
    assert_eq!((lab.get("/a", &[]).text(), lab.get("/a?b", &[]).text()), ("1", "2"));
}

#[test]
fn rfc9111_3_what_may_not_be_kept_is_not() {
    for (request, response, detail) in [
        (&[][..], &[("cache-control", "no-store")][..], "no-store"),
        (&[], &[("cache-control", "private, max-age=60")], "private"),
        (&[], &[("cache-control", "max-age=60"), ("set-cookie", "a=1")], "set-cookie"),
        (&[("authorization", "Bearer x")], MINUTE, "authorization"),
        (&[("cache-control", "no-store")], MINUTE, "request-no-store"),
        (&[], &[("cache-control", "max-age=60"), ("vary", "*")], "vary"),
        (&[], &[], "no-lifetime"),
        (&[], &[("cache-control", "max-age=0")], "no-lifetime"),
    ] {
        let lab = Lab::new("");
        for body in ["one", "two"] {
            lab.plays(200, response, body);
            let expected = format!("200 {body} fwd=uri-miss; fwd-status=200; detail={detail}");
            assert_eq!(lab.told("/a", request), expected, "{request:?} {response:?}");
        }
    }
}

/// It may have said `no-store`, or `private`.
#[test]
fn what_says_something_that_cannot_be_read_is_not_kept() {
    for line in [
        &b"no-store ; max-age=60"[..],
        b"private max-age=60",
        b"private; ext=\xe9",
        b"no-store, x=\"\xe9\"",
        b"ext=\"open, no-store",
    ] {
        let lab = Lab::new("");
        for body in ["one", "two"] {
            let expires = &b"Thu, 01 Jan 2099 00:00:00 GMT"[..];
            lab.plays_bytes(200, &[("expires", expires), ("cache-control", line)], body);
            let expected = format!("200 {body} fwd=uri-miss; fwd-status=200; detail=unreadable");
            assert_eq!(lab.told("/a", &[]), expected, "{line:?}");
        }
    }
}

#[test]
fn rfc9111_4_1_vary_tells_bytes_apart() {
    for (vary, one, other) in [
        ("x-user", &[("x-user", &b"\xff"[..])][..], &[("x-user", &b"\xfe"[..])][..]),
        ("cookie", &[("cookie", b"u=\xe9")], &[("cookie", b"u=\xe8")]),
        ("cookie", &[("cookie", b"u=a,,b")], &[("cookie", b"u=a,b")]),
    ] {
        let lab = Lab::new("");
        let said = [("cache-control", "max-age=60"), ("vary", vary)];
        lab.plays(200, &said, "one").plays(200, &said, "two");
        assert_eq!(lab.told_bytes("/a", one), "200 one fwd=uri-miss; fwd-status=200; stored", "{vary}");
        assert_eq!(lab.told_bytes("/a", other), "200 two fwd=vary-miss; fwd-status=200; stored", "{vary}");
        assert_eq!(lab.told_bytes("/a", one), "200 one hit; ttl=60", "{vary}");
    }
    // A name that is none stands for all.
    let lab = Lab::new("");
    for body in ["one", "two"] {
        lab.plays(200, &[("cache-control", "max-age=60"), ("vary", "X User")], body);
        assert_eq!(lab.told("/a", &[]), format!("200 {body} fwd=uri-miss; fwd-status=200; detail=vary"));
    }
}

#[test]
fn rfc9111_4_1_vary_tells_responses_apart() {
    let lab = Lab::new("");
    let vary = [("cache-control", "max-age=60"), ("vary", "accept-language")];
    lab.plays(200, &vary, "english").plays(200, &vary, "deutsch");
    assert_eq!(lab.get("/a", &[("accept-language", "en")]).text(), "english");
    assert_eq!(lab.told("/a", &[("accept-language", "de")]), "200 deutsch fwd=vary-miss; fwd-status=200; stored");
    assert_eq!(lab.told("/a", &[("accept-language", "en")]), "200 english hit; ttl=60");
    assert_eq!(lab.told("/a", &[("accept-language", "de")]), "200 deutsch hit; ttl=60");
}

#[test]
fn rfc9111_4_3_the_upstream_is_asked_whether_it_is_still_good() {
    let lab = Lab::new("");
    lab.plays(200, &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-type", "a/b"), ("x-a", "1")], "one");
    lab.get("/a", &[]);
    lab.wait(60);
    lab.plays(304, &[("cache-control", "max-age=30"), ("etag", "\"1\""), ("x-a", "2")], "");
    let ran = lab.get("/a", &[("if-none-match", "\"0\"")]);
    assert_eq!((ran.status, ran.text(), ran.header("x-a"), ran.header("content-type")), (200, "one", "2", "a/b"));
    assert_eq!((ran.header("cache-status"), ran.header("age")), ("portcullis; fwd=stale; fwd-status=304; stored", "0"));
    assert_eq!(lab.asked()[1].2["if-none-match"], "\"1\"");
    lab.wait(29);
    assert_eq!(lab.told("/a", &[]), "200 one hit; ttl=1");
    lab.wait(1);
    lab.plays(200, &[("cache-control", "max-age=60"), ("etag", "\"2\"")], "two");
    assert_eq!(lab.told("/a", &[]), "200 two fwd=stale; fwd-status=200; stored");
}

/// The upstream answers for something else than what is kept: that is asked for anew, as the client asked for it, by all that stands after.
#[test]
fn rfc9111_4_3_4_a_304_with_another_tag_renews_nothing() {
    let rewrites = "[[filter]]\nuse = 'rewrite'\nadd_prefix = '/api'";
    let proxy = "[[filter]]\nuse = 'proxy'\nupstream = 'played'";
    let lab = Lab::of(&format!("[[filter]]\nuse = 'cache'\n\n{rewrites}\n\n{proxy}"), Timers::default());
    let minute = |tag| [("cache-control", "max-age=60"), ("etag", tag)];
    lab.plays(200, &minute("\"v1\""), "one");
    lab.get("/a", &[]);
    lab.wait(60);
    lab.plays(304, &minute("\"v2\""), "").plays(200, &minute("\"v2\""), "two");
    let ran = lab.get("/a", &[("if-none-match", "\"v0\"")]);
    assert_eq!((ran.status, ran.text(), ran.header("etag")), (200, "two", "\"v2\""));
    assert_eq!(ran.header("cache-status"), "portcullis; fwd=stale; fwd-status=200; stored");
    let asked: Vec<_> =
        lab.asked().into_iter().skip(1).map(|(_, path, headers)| (path, headers["if-none-match"].clone())).collect();
    assert!(asked.iter().all(|(path, _)| path.ends_with("/api/a") && !path.contains("/api/api")), "{asked:?}");
    assert_eq!(asked.iter().map(|(_, tag)| tag.as_bytes()).collect::<Vec<_>>(), [&b"\"v1\""[..], b"\"v0\""]);
    assert_eq!(lab.told("/a", &[]), "200 two hit; ttl=60");
    // It is not renewed, and nothing comes instead.
    lab.wait(60);
    lab.plays(304, &minute("\"v3\""), "").fails();
    assert_eq!(told(&lab.get("/a", &[])), "502 upstream-unreachable");
    assert_eq!(lab.get("/a", &[("cache-control", "only-if-cached, max-stale")]).status, 504);
}

#[test]
fn rfc9111_4_3_2_a_client_that_has_it_is_told_so() {
    let lab = Lab::new("");
    lab.plays(200, &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-type", "a/b")], "one");
    lab.get("/a", &[]);
    let ran = lab.get("/a", &[("if-none-match", "W/\"1\"")]);
    assert_eq!((ran.status, ran.text(), ran.header("etag"), ran.header("content-type")), (304, "", "\"1\"", ""));
    assert_eq!(ran.header("cache-control"), "max-age=60");
    assert_eq!(lab.get("/a", &[("if-none-match", "\"2\"")]).status, 200);
    assert_eq!(lab.asked().len(), 1);
}

#[test]
fn rfc9111_5_2_1_what_the_client_asks_for_counts_unless_the_policy_says_otherwise() {
    for (settings, asked) in [("", 2), ("obey_client = false", 1)] {
        let lab = Lab::new(settings);
        lab.plays(200, MINUTE, "one").plays(200, MINUTE, "two");
        lab.get("/a", &[]);
        lab.get("/a", &[("cache-control", "no-cache")]);
        assert_eq!(lab.asked().len(), asked, "{settings}");
    }
    let lab = Lab::new("");
    assert_eq!(told(&lab.get("/a", &[("cache-control", "only-if-cached")])), "504 not-cached");
    lab.plays(200, MINUTE, "one");
    lab.get("/a", &[]);
    assert_eq!(told(&lab.get("/a", &[("cache-control", "only-if-cached")])), "200");
    lab.wait(70);
    assert_eq!(lab.told("/a", &[("cache-control", "max-stale=10")]), "200 one hit; ttl=-10");
}

#[test]
fn rfc9111_4_4_a_write_forgets_what_was_kept() {
    let lab = Lab::new("");
    let kept = |path: &str| lab.get(path, &[]).path() == ["cache:answered"];
    for (method, status, forgets) in [
        (Method::POST, 201, true),
        (Method::DELETE, 204, true),
        (Method::PUT, 500, false),
        (Method::PATCH, 404, false),
        (Method::OPTIONS, 200, false),
    ] {
        if !lab.get("/a", &[("cache-control", "only-if-cached")]).path().contains(&String::from("cache:answered")) {
            lab.plays(200, MINUTE, "one");
            lab.get("/a", &[]);
        }
        lab.plays(status, &[], "");
        let ran = lab.send(method.clone(), "/a", &[]);
        assert!(ran.header("cache-status").contains("fwd=method"), "{method}");
        let still = lab.get("/a", &[("cache-control", "only-if-cached")]).status == 200;
        assert_eq!(still, !forgets, "{method} {status}");
    }
    // What the answer names, of the same origin.
    for (location, forgets) in [
        ("/b/1", true),
        ("http://localhost/b/1", true),
        ("1", true),
        ("http://other/b/1", false),
        ("//localhost/b/1", false),
        ("http://localhost.evil/b/1", false),
    ] {
        lab.plays(200, MINUTE, "one");
        lab.get("/b/1", &[("cache-control", "no-cache")]);
        lab.plays(201, &[("location", location)], "");
        lab.send(Method::POST, "/b/", &[]);
        lab.plays(200, MINUTE, "two");
        assert_eq!(kept("/b/1"), !forgets, "{location}");
        lab.upstream.turns.lock().unwrap().clear();
    }
}

#[test]
fn a_write_whose_answer_never_came_forgets_too() {
    let lab = Lab::new("");
    lab.plays(200, MINUTE, "one").fails();
    lab.get("/a", &[]);
    assert_eq!(told(&lab.send(Method::POST, "/a", &[])), "502 upstream-unreachable");
    assert_eq!(lab.get("/a", &[("cache-control", "only-if-cached")]).status, 504);
}

#[test]
fn head_is_answered_from_what_get_left_and_leaves_nothing() {
    let lab = Lab::new("");
    lab.plays(200, MINUTE, "");
    assert_eq!(lab.send(Method::HEAD, "/a", &[]).header("cache-status"), "portcullis; fwd=uri-miss");
    lab.plays(200, MINUTE, "one");
    assert_eq!(lab.told("/a", &[]), "200 one fwd=uri-miss; fwd-status=200; stored");
    let head = lab.send(Method::HEAD, "/a", &[]);
    assert_eq!((head.status, head.text(), head.header("content-length"), head.header("age")), (200, "", "3", "0"));
}

#[test]
fn parts_and_conditions_of_writers_go_to_the_upstream() {
    let lab = Lab::new("");
    lab.plays(200, MINUTE, "one");
    lab.get("/a", &[]);
    for header in ["range", "if-match", "if-unmodified-since"] {
        lab.plays(206, MINUTE, "n");
        assert_eq!(lab.told("/a", &[(header, "bytes=1-1")]), "206 n fwd=bypass", "{header}");
    }
    assert_eq!(lab.told("/a", &[]), "200 one hit; ttl=60");
}

#[test]
fn rfc5861_3_a_stale_response_is_used_while_another_one_is_fetched() {
    let lab = Lab::new("");
    let said = [("cache-control", "max-age=60, stale-while-revalidate=30"), ("etag", "\"1\"")];
    lab.plays(200, &said, "one");
    lab.get("/a", &[]);
    lab.wait(61);
    assert_eq!(lab.told("/a", &[]), "200 one hit; ttl=-1");
    assert_eq!(lab.told("/a", &[]), "200 one hit; ttl=-1");
    // One is at it, and only when the answer is on its way.
    assert_eq!(lab.asked().len(), 1);
    let mut work = std::mem::take(&mut *lab.later.0.lock().unwrap());
    assert_eq!(work.len(), 1);
    lab.plays(200, &said, "two");
    block_on(work.pop().unwrap());
    let asked = lab.asked();
    assert_eq!((asked.len(), &asked[0].2["if-none-match"]), (1, &"\"1\"".parse().unwrap()));
    assert_eq!(lab.told("/a", &[]), "200 two hit; ttl=60");
    lab.wait(90);
    lab.plays(200, &said, "three");
    assert_eq!(lab.told("/a", &[]), "200 three fwd=stale; fwd-status=200; stored");
}

#[test]
fn rfc5861_4_a_stale_response_stands_in_for_an_upstream_that_cannot_answer() {
    let lab = Lab::new("");
    lab.plays(200, &[("cache-control", "max-age=60, stale-if-error=30")], "one");
    lab.get("/a", &[]);
    lab.wait(61);
    assert_eq!(lab.fails().told("/a", &[]), "200 one fwd=stale");
    assert_eq!(lab.plays(503, &[], "down").told("/a", &[]), "200 one fwd=stale; fwd-status=503");
    assert_eq!(lab.plays(404, &[], "gone").get("/a", &[]).text(), "gone");
    let lab = Lab::new("");
    lab.plays(200, &[("cache-control", "max-age=60, stale-if-error=30")], "one");
    lab.get("/a", &[]);
    lab.wait(91);
    assert_eq!(told(&lab.fails().get("/a", &[])), "502 upstream-unreachable");
}

/// What is fetched beside counts for the filters after the cache as what is fetched for a client does.
#[test]
fn an_upstream_that_fails_beside_opens_a_circuit() {
    let breaker = "[[filter]]\nuse = 'circuit-breaker'\nminimum = 1";
    let proxy = "[[filter]]\nuse = 'proxy'\nupstream = 'played'";
    let lab = Lab::of(&format!("[[filter]]\nuse = 'cache'\n\n{breaker}\n\n{proxy}"), Timers::default());
    lab.plays(200, &[("cache-control", "max-age=60, stale-while-revalidate=30")], "one");
    lab.get("/a", &[]);
    lab.wait(61);
    assert_eq!(lab.told("/a", &[]), "200 one hit; ttl=-1");
    let work = lab.later.0.lock().unwrap().pop().unwrap();
    lab.fails();
    block_on(work);
    assert_eq!(told(&lab.get("/b", &[])), "503 circuit-open");
}

/// While a circuit is open the upstream is not asked; the client is to see no more of that than of an upstream that is down.
#[test]
fn a_stale_response_stands_in_for_an_upstream_that_is_spared_and_for_no_refusal() {
    let refuses = "[[filter]]\nuse = 'fail'\nwhen = 'request.header[\"x-no\"] == \"1\"'";
    let breaker = "[[filter]]\nuse = 'circuit-breaker'\nminimum = 1";
    let proxy = "[[filter]]\nuse = 'proxy'\nupstream = 'played'";
    let lab = Lab::of(&format!("[[filter]]\nuse = 'cache'\n\n{refuses}\n\n{breaker}\n\n{proxy}"), Timers::default());
    let get = |no| lab.told("/a", &[("x-no", no)]);
    lab.plays(200, &[("cache-control", "max-age=60, stale-if-error=30")], "one");
    get("0");
    lab.wait(61);
    lab.fails();
    assert_eq!((get("0").as_str(), lab.asked().len()), ("200 one fwd=stale", 2));
    assert_eq!((get("0").as_str(), lab.asked().len()), ("200 one fwd=stale", 0), "it is open");
    assert_eq!(told(&lab.get("/a", &[("x-no", "1")])), "403 failed");
}

/// Polls once.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn one_request_fetches_and_the_others_wait_for_it() {
    let lab = Lab::new("");
    let ask = || Box::pin(lab.serve(request(Method::GET, "/a", &[], "")));
    let (mut one, mut two, mut three) = (ask(), ask(), ask());
    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending() && poll(&mut three).is_pending());
    assert_eq!(lab.asked().len(), 1);
    lab.plays(200, MINUTE, "one");
    let first = block_on(one);
    // One of those who wait goes away: the next is not to wait for it.
    drop(two);
    let ran = block_on(async { read(&lab.program, first).await });
    assert_eq!(ran.text(), "one");
    let ran = block_on(async { read(&lab.program, three.await).await });
    assert_eq!((ran.text(), ran.header("cache-status")), ("one", "portcullis; hit; ttl=60; collapsed"));
    assert_eq!(lab.asked().len(), 0);
    assert_eq!(lab.timers.asked(), [Duration::from_secs(5); 2]);
}

#[test]
fn whoever_has_waited_for_long_enough_goes_alone() {
    let filters = "[[filter]]\nuse = 'cache'\nwait = '1s'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'played'";
    let lab = Lab::of(filters, Timers::due());
    let ask = || Box::pin(lab.serve(request(Method::GET, "/a", &[], "")));
    let (mut one, mut two) = (ask(), ask());
    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
    assert_eq!((lab.asked().len(), lab.timers.asked()), (2, vec![Duration::from_secs(1)]));
}

#[test]
fn nobody_waits_for_what_is_not_kept() {
    let lab = Lab::new("");
    lab.plays(200, &[], "one");
    lab.get("/a", &[]);
    let ask = || Box::pin(lab.serve(request(Method::GET, "/a", &[], "")));
    let (mut one, mut two) = (ask(), ask());
    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
    assert_eq!(lab.asked().len(), 3);
    drop((one, two));
    lab.wait(10);
    let (mut one, mut two) = (ask(), ask());
    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
    assert_eq!(lab.asked().len(), 1, "it may be kept by now");
    // Whoever fetched has gone: the next one does it.
    drop(one);
    assert!(poll(&mut two).is_pending());
    assert_eq!(lab.asked().len(), 1);
}

const GUARDED: &str = "[[filter]]\nuse = 'webhook'\nupstream = 'orders'\nforward = ['x-who']\n\n";

#[test]
fn what_was_decided_for_one_caller_is_for_no_other_unless_the_key_says_so() {
    let proxy = "\n\n[[filter]]\nuse = 'proxy'\nupstream = 'played'";
    let lab = |cache: &str| Lab::of(&format!("{GUARDED}[[filter]]\nuse = 'cache'\n{cache}{proxy}"), Timers::default());
    let bare = lab("");
    for body in ["one", "two"] {
        bare.plays(200, &[("cache-control", "public, max-age=60")], body);
        assert_eq!(bare.told("/a", &[]), format!("200 {body} fwd=bypass; detail=not-shared"));
    }
    let own = lab("key = '${request.header.x-who}'");
    for who in ["ann", "bob"] {
        own.plays(200, MINUTE, who);
        assert_eq!(own.get("/a", &[("x-who", who)]).text(), who);
    }
    assert_eq!(own.told("/a", &[("x-who", "ann")]), "200 ann hit; ttl=60");
    assert_eq!(own.told("/a", &[("x-who", "bob")]), "200 bob hit; ttl=60");
    assert_eq!(own.asked().len(), 2);
    let all = lab("key = 'all'");
    all.plays(200, MINUTE, "one");
    assert_eq!((all.get("/a", &[]).text(), all.get("/a", &[]).text()), ("one", "one"));
}

#[test]
fn what_a_filter_after_it_decides_is_never_kept() {
    let filters =
        format!("[[filter]]\nuse = 'cache'\nkey = 'all'\n\n{GUARDED}[[filter]]\nuse = 'proxy'\nupstream = 'played'");
    let lab = Lab::of(&filters, Timers::default());
    for body in ["one", "two"] {
        lab.plays(200, MINUTE, body);
        assert_eq!(lab.told("/a", &[]), format!("200 {body} fwd=uri-miss; fwd-status=200; detail=authorized-after-it"));
    }
}

/// Places that an upstream names are the client's in what is fetched beside, too.
#[test]
fn what_is_fetched_beside_is_mended_like_any_response() {
    let lab = Lab::of(
        "[[filter]]\nuse = 'rewrite'\nstrip_prefix = '/shop'\n\n[[filter]]\nuse = 'cache'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'played'",
        Timers::default(),
    );
    let moved = [("cache-control", "max-age=60, stale-while-revalidate=30"), ("location", "/orders/")];
    let place = || lab.get("/shop/orders", &[]).header("location").to_owned();
    lab.plays(301, &moved, "one");
    assert_eq!(place(), "/shop/orders/");
    lab.wait(61);
    assert_eq!(place(), "/shop/orders/");
    let work = lab.later.0.lock().unwrap().pop().unwrap();
    lab.plays(301, &moved, "two");
    block_on(work);
    let fetched = lab.get("/shop/orders", &[]);
    assert_eq!((fetched.text(), fetched.header("location")), ("two", "/shop/orders/"));
}

/// Nor where it decides beside the request, after another one that stands before the cache.
#[test]
fn what_a_filter_after_it_decides_beside_is_never_kept() {
    let sometimes = GUARDED.replace("'webhook'", "'webhook'\nwhen = 'request.header[\"x-guard\"] == \"1\"'");
    let proxy = "[[filter]]\nuse = 'proxy'\nupstream = 'played'";
    let lab =
        Lab::of(&format!("{GUARDED}[[filter]]\nuse = 'cache'\nkey = 'all'\n\n{sometimes}{proxy}"), Timers::default());
    lab.plays(200, &[("cache-control", "max-age=60, stale-while-revalidate=30")], "one");
    lab.get("/a", &[("x-guard", "0")]);
    lab.wait(61);
    assert_eq!(lab.told("/a", &[("x-guard", "1")]), "200 one hit; ttl=-1");
    let work = lab.later.0.lock().unwrap().pop().unwrap();
    lab.plays(200, MINUTE, "two");
    block_on(work);
    lab.plays(200, MINUTE, "three");
    assert_eq!(lab.told("/a", &[("x-guard", "0")]), "200 three fwd=uri-miss; fwd-status=200; stored");
}

#[test]
fn a_write_forgets_the_responses_of_every_key() {
    let lab = Lab::new("key = '${request.header.x-who}'");
    for who in ["ann", "bob"] {
        lab.plays(200, MINUTE, who);
        lab.get("/a", &[("x-who", who)]);
    }
    lab.plays(204, &[], "");
    lab.send(Method::PUT, "/a", &[("x-who", "ann")]);
    assert_eq!(lab.get("/a", &[("x-who", "bob"), ("cache-control", "only-if-cached")]).status, 504);
}

#[test]
fn kept_is_what_the_filters_after_it_leave_and_not_what_those_before_it_add() {
    let header = |name: &str, value: &str| {
        format!("[[filter]]\nuse = 'set-header'\nof = 'response'\nset = {{ {name} = '{value}' }}\n\n")
    };
    let limit = "[[filter]]\nuse = 'rate-limit'\nlimit = '9/1h'\n\n";
    let text = format!(
        "{limit}{}[[filter]]\nuse = 'cache'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'played'\n\n{}",
        header("x-before", "${request.query.n ?? none}"),
        header("cache-control", "max-age=60"),
    );
    let lab = Lab::of(&text, Timers::default());
    lab.plays(200, &[], "one");
    let (first, second) = (lab.get("/a", &[("x", "1")]), lab.get("/a", &[("x", "2")]));
    assert_eq!((first.text(), second.text(), lab.asked().len()), ("one", "one", 1));
    assert_eq!((first.header("x-before"), second.header("x-before")), ("none", "none"));
    assert_eq!(second.header("cache-control"), "max-age=60");
    for (ran, left) in [(first, 8), (second, 7)] {
        let limits: Vec<_> = ran.headers.get_all("ratelimit").iter().collect();
        assert!(limits.len() == 1 && limits[0].to_str().unwrap().contains(&format!("r={left};")), "{limits:?}");
    }
}

#[test]
fn what_is_kept_outlives_a_reload_and_not_another_key() {
    let lab = Lab::new("");
    lab.plays(200, MINUTE, "one");
    lab.get("/a", &[]);
    let reloaded = Lab { program: lab.fixture.program(), ..lab };
    assert_eq!(reloaded.told("/a", &[]), "200 one hit; ttl=60");
}

#[test]
fn bodies_that_are_too_large_or_break_off_are_not_kept() {
    let lab = Lab::new("largest = 3");
    lab.plays(200, MINUTE, "four").plays(200, MINUTE, "six");
    assert_eq!(lab.told("/a", &[]), "200 four fwd=uri-miss; fwd-status=200; detail=too-large");
    assert_eq!(lab.told("/a", &[]), "200 six fwd=uri-miss; fwd-status=200; stored");
}

#[test]
fn nothing_is_told_where_nothing_is_to_be() {
    let lab = Lab::new("status = false");
    lab.plays(200, MINUTE, "one");
    assert_eq!((lab.told("/a", &[]), lab.told("/a", &[])), ("200 one nothing".into(), "200 one nothing".into()));
}

#[test]
fn bounds_are_checked_at_load() {
    for settings in [
        "size = 1",
        "largest = 0",
        "size = '4MiB'\nlargest = '2MiB'",
        "variants = 0",
        "wait = '2m'",
        "heuristic = '31d'",
    ] {
        let text = format!("[[filter]]\nuse = 'cache'\n{settings}\n\n[[filter]]\nuse = 'respond'");
        let problems = crate::fixture::policy(&text).problems();
        assert!(problems.len() == 1 && problems[0].contains("out of bounds"), "{settings}: {problems:#?}");
    }
}

mod through_a_stream {
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::fixture::{always, get};

    type Frames = Vec<Result<Frame<Bytes>, String>>;

    fn over(frames: fn() -> Frames) -> (Fixture, Arc<Program>) {
        let upstream = always(move || {
            let mut response = answer(200, MINUTE, String::new());
            *response.body_mut() = Body::stream(StreamBody::new(futures_util::stream::iter(frames())));
            Ok(response)
        });
        let text = "route = '/**'\n\n[[filter]]\nuse = 'cache'\nlargest = 5\n\n[[filter]]\nuse = 'proxy'\nupstream = 'streams'";
        let fixture = world().resource(UPSTREAM, "streams", upstream).policy("tested", text);
        let program = fixture.program();
        (fixture, program)
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, String> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    fn kept(frames: fn() -> Frames) -> Option<String> {
        let (fixture, program) = over(frames);
        let ask = || block_on(async { program.serve(&fixture.environment(), get("/a", &[])).await });
        let _: Result<_, _> = block_on(ask().response.body.collect(100));
        let again = ask().response;
        let hit = again.headers["cache-status"].to_str().unwrap().contains("hit");
        let body = block_on(again.body.collect(100));
        hit.then(|| String::from_utf8(body.unwrap().to_vec()).unwrap())
    }

    #[test]
    fn a_body_is_kept_once_all_of_it_has_gone_through() {
        assert_eq!(kept(|| vec![data("ab"), data("cde")]).as_deref(), Some("abcde"));
        assert_eq!(kept(|| vec![data("ab"), data("cdef")]), None, "too large");
        assert_eq!(kept(|| vec![data("ab"), Err("broke off".into())]), None);
        assert_eq!(kept(|| vec![data("ab"), Ok(Frame::trailers(HeaderMap::new()))]), None);
    }

    /// Timers of less than a second that end so often; longer ones do not.
    struct Short(Mutex<usize>);
    impl policy::ports::Timer for Short {
        fn after(&self, time: Duration) -> BoxFuture<'static, ()> {
            let mut left = self.0.lock().unwrap();
            if time >= Duration::from_secs(1) || *left == 0 {
                return Box::pin(std::future::pending());
            }
            *left -= 1;
            Box::pin(std::future::ready(()))
        }
    }

    /// They wait for what the upstream has still to send, and not for a client that takes its time.
    #[test]
    fn others_wait_for_the_upstream_and_not_for_a_slow_client() {
        for (reads, waits) in [(0, false), (1, false), (2, true)] {
            let upstream = always(|| {
                let mut response = answer(200, MINUTE, String::new());
                let frames = futures_util::stream::iter(vec![data("ab")]);
                let frames = futures_util::StreamExt::chain(frames, futures_util::stream::pending());
                *response.body_mut() = Body::stream(StreamBody::new(frames));
                Ok(response)
            });
            let later = Arc::<Later>::default();
            let aside = Aside { background: later.clone(), timer: Arc::new(Short(Mutex::new(3))) };
            let text = "route = '/**'\n\n[[filter]]\nuse = 'cache'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'streams'";
            let fixture =
                world().resource(UPSTREAM, "streams", upstream).resource(ASIDE, "", aside).policy("tested", text);
            let program = fixture.program();
            let ask = || {
                let (program, environment) = (program.clone(), fixture.environment());
                Box::pin(async move { program.serve(&environment, get("/a", &[])).await })
            };
            let mut first = block_on(ask());
            for _ in 0..reads {
                let frame = http_body::Body::poll_frame(
                    std::pin::Pin::new(&mut first.response.body),
                    &mut Context::from_waker(Waker::noop()),
                );
                drop(frame);
            }
            let mut second = ask();
            assert!(poll(&mut second).is_pending());
            let mut watch = later.0.lock().unwrap().pop().unwrap();
            assert_eq!(poll(&mut watch).is_pending(), waits, "{reads}");
            let status = match poll(&mut second) {
                Poll::Ready(served) => served.response.headers["cache-status"].to_str().unwrap().to_owned(),
                Poll::Pending => String::from("waits"),
            };
            let expected = if waits { "waits" } else { "portcullis; fwd=uri-miss; fwd-status=200; stored" };
            assert_eq!(status, expected, "{reads}");
        }
    }

    #[test]
    fn a_body_that_nobody_reads_to_its_end_is_not_kept_and_frees_those_who_wait() {
        let (fixture, program) = over(|| vec![data("ab"), data("cde")]);
        drop(block_on(async { program.serve(&fixture.environment(), get("/a", &[])).await }));
        let again = block_on(async { program.serve(&fixture.environment(), get("/a", &[])).await });
        assert!(again.response.headers["cache-status"].to_str().unwrap().contains("fwd=uri-miss"));
    }
}
