//! Several targets: who gets a request, who is left out, and when a request goes once more.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::tasks;

/// A target that answers every request with this head and body, counts them, and keeps its connections; nothing closes at once.
struct Target {
    port: u16,
    came: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    answer: Arc<Mutex<String>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Target {
    async fn new(answer: &str) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer.to_owned()));
        let (came, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (said, seen, opened) = (answer.clone(), came.clone(), connections.clone());
        let serving = tasks::spawn(async move {
            let mut each = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let (said, seen) = (said.clone(), seen.clone());
                each.spawn(async move {
                    let mut text = Vec::new();
                    while stream.read_buf(&mut text).await.is_ok_and(|read| read > 0) {
                        if !String::from_utf8_lossy(&text).contains("\r\n\r\n") {
                            continue;
                        }
                        text.clear();
                        seen.fetch_add(1, Ordering::SeqCst);
                        let answer = said.lock().unwrap().clone();
                        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Target { port, came, connections, answer, serving }
    }

    async fn named(name: &str) -> Target {
        Target::new(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())).await
    }

    fn says(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

fn settings(targets: &[&Target]) -> UpstreamSettings {
    let mut settings = UpstreamSettings::to(Way::default(), "127.0.0.1", 1);
    let one = settings.targets.remove(0);
    settings.targets = targets.iter().map(|target| super::Target { port: target.port, ..one.clone() }).collect();
    settings.balance = Balance::RoundRobin;
    settings.timeouts.first_byte = Duration::from_secs(20);
    settings
}

/// Checks so often, of which so many in a row say how a target is.
fn checks(interval: Duration, in_a_row: u32) -> Health {
    Health {
        path: String::from("/health"),
        host: None,
        interval,
        timeout: Duration::from_secs(20),
        expect: vec![(200, 299)],
        healthy: in_a_row,
        unhealthy: in_a_row,
    }
}

fn post() -> Request<Body> {
    Request::post("/").body(Body::from(String::from("x"))).unwrap()
}

async fn said(upstream: &HttpUpstream, request: Request<Body>) -> String {
    match upstream.send(request).await {
        Ok(answer) => format!("{} {}", answer.status().as_u16(), text(answer).await),
        Err(error) => format!("{error:?}").split('(').next().unwrap_or_default().to_owned(),
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within five seconds");
}

#[tokio::test]
async fn a_target_that_is_not_there_is_passed_over() {
    let (here, gone) = (Target::named("here").await, Target::named("gone").await);
    let upstream = upstream(settings(&[&here, &gone]));
    let all: BTreeSet<_> = [said(&upstream, get("/")).await, said(&upstream, get("/")).await].into();
    assert_eq!(all, BTreeSet::from([String::from("200 here"), String::from("200 gone")]));
    let port = gone.port;
    drop(gone);
    until("the target is gone", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err()).await;
    for _ in 0..20 {
        // Nothing was sent, so the method does not matter.
        assert_eq!(said(&upstream, post()).await, "200 here");
    }
    let seen = upstream.observe();
    assert!(seen.retries >= 5 && seen.targets[1].ejected && seen.targets[1].ejections == 1, "{}", seen.retries);
    assert_eq!(seen.in_flight, 0);
}

#[tokio::test]
async fn a_target_that_breaks_every_exchange_is_left_out_and_comes_back() {
    let (good, bad) = (Target::named("good").await, Target::new("").await);
    let mut settings = settings(&[&good, &bad]);
    settings.ejection = Ejection { faults: 3, time: Duration::from_secs(2), ..Ejection::default() };
    let upstream = upstream(settings);
    for _ in 0..30 {
        assert_eq!(said(&upstream, get("/")).await, "200 good");
    }
    assert_eq!(bad.came(), 3, "and then it was left out");
    bad.says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback");
    until("it is let in again", || !upstream.observe().targets[1].ejected).await;
    let all: BTreeSet<_> = [said(&upstream, get("/")).await, said(&upstream, get("/")).await].into();
    assert!(all.contains("200 back"), "{all:?}");
}

#[tokio::test]
async fn never_more_than_a_share_is_left_out() {
    let (one, other) = (Target::new("").await, Target::new("").await);
    let upstream = upstream(settings(&[&one, &other]));
    for _ in 0..40 {
        assert_eq!(said(&upstream, get("/")).await, "Unreachable");
    }
    let out = upstream.observe().targets.iter().filter(|target| target.ejected).count();
    assert_eq!(out, 1);
    assert_eq!(upstream.observe().targets.iter().map(|target| target.ejections).sum::<u64>(), 1);
}

#[tokio::test]
async fn answers_of_5xx_count_where_that_is_asked_for() {
    let (good, bad) = (Target::named("good").await, Target::new(BUSY).await);
    let mut settings = settings(&[&good, &bad]);
    settings.ejection.errors = 2;
    let upstream = upstream(settings);
    let mut busy = 0;
    for _ in 0..20 {
        busy += usize::from(said(&upstream, get("/")).await == "503 busy");
    }
    assert_eq!((busy, bad.came()), (2, 2));
}

#[tokio::test]
async fn a_request_goes_once_more_only_where_that_is_safe_or_declared() {
    let (busy, good) = (Target::new(BUSY).await, Target::named("good").await);
    let with = |change: fn(&mut Retries)| {
        let mut settings = settings(&[&busy, &good]);
        settings.retries.statuses = vec![StatusCode::SERVICE_UNAVAILABLE];
        change(&mut settings.retries);
        upstream(settings)
    };
    // The first of each goes to the busy one.
    assert_eq!(said(&with(|_| {}), get("/")).await, "200 good");
    assert_eq!(said(&with(|_| {}), post()).await, "503 busy");
    assert_eq!(said(&with(|retries| retries.methods = vec![Method::POST]), post()).await, "200 good");
    assert_eq!(said(&with(|retries| retries.attempts = 0), get("/")).await, "503 busy");
    assert_eq!(said(&with(|retries| retries.statuses.clear()), get("/")).await, "503 busy");
    let broke = with(|retries| retries.budget = 0);
    assert_eq!(said(&broke, get("/")).await, "503 busy");
    assert_eq!((broke.observe().retries, broke.observe().unaffordable), (0, 1));
    // The answer that was not taken leaves its connection for the next.
    let one = with(|_| {});
    for _ in 0..4 {
        assert_eq!(said(&one, get("/")).await, "200 good");
    }
    assert_eq!(one.observe().targets.iter().map(|target| target.connections).sum::<u32>(), 2);
}

#[tokio::test]
async fn an_answer_that_is_late_is_asked_for_elsewhere_where_that_is_said() {
    let (silent, good) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Target::named("good").await);
    let with = |timeout: bool| {
        let mut settings = settings(&[&good, &good]);
        settings.targets[0].port = silent.local_addr().unwrap().port();
        settings.retries.timeout = timeout;
        settings.timeouts.first_byte = Duration::from_secs(1);
        upstream(settings)
    };
    assert_eq!(said(&with(false), get("/")).await, "Timeout");
    assert_eq!(said(&with(true), get("/")).await, "200 good");
    assert_eq!(said(&with(true), post()).await, "Timeout");
}

#[tokio::test]
async fn health_checks_take_a_target_out_and_back() {
    let (good, sick) = (Target::named("good").await, Target::named("sick").await);
    let mut settings = settings(&[&good, &sick]);
    settings.health = Some(checks(Duration::from_millis(20), 2));
    let upstream = Arc::new(upstream(settings));
    upstream.begin();
    sick.says(BUSY);
    until("it is out", || !upstream.observe().targets[1].healthy).await;
    for _ in 0..6 {
        assert_eq!(said(&upstream, get("/")).await, "200 good");
    }
    sick.says("HTTP/1.1 204 No Content\r\n\r\n");
    until("it is back", || upstream.observe().targets[1].healthy).await;
    let all: BTreeSet<_> = [said(&upstream, get("/")).await, said(&upstream, get("/")).await].into();
    assert!(all.contains("204 "), "{all:?}");
    assert!(sick.connections.load(Ordering::SeqCst) < 4, "checks keep their connections");
    // With both out, both are asked.
    good.says(BUSY);
    sick.says(BUSY);
    until("both are out", || upstream.observe().targets.iter().all(|target| !target.healthy)).await;
    assert_eq!(said(&upstream, get("/")).await, "503 busy");
    // The checks end with the upstream.
    let weak = Arc::downgrade(&upstream);
    drop(upstream);
    until("it is gone", || weak.upgrade().is_none()).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let came = sick.came();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sick.came(), came);
}

/// A target that has as many connections as it may is busy, and not unwell.
#[tokio::test]
async fn health_checks_need_no_place_among_requests() {
    let target = Target::new("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    let mut settings = settings(&[&target]);
    settings.limits = Limits { connections: 1, wait: Duration::from_millis(20), ..Limits::default() };
    settings.health = Some(checks(Duration::from_millis(10), 1));
    let upstream = Arc::new(upstream(settings));
    let busy = upstream.send(get("/")).await.unwrap();
    target.says("HTTP/1.1 204 No Content\r\n\r\n");
    upstream.begin();
    until("it was asked", || target.came() > 5).await;
    let seen = upstream.observe();
    assert!(seen.targets[0].healthy);
    assert_eq!(said(&upstream, get("/")).await, "Full", "a request has no more places than before");
    drop(busy);
}

#[tokio::test]
async fn a_key_has_one_target() {
    let (one, other) = (Target::named("one").await, Target::named("other").await);
    let mut settings = settings(&[&one, &other]);
    settings.balance = Balance::Hash;
    let upstream = upstream(settings);
    let mut all = BTreeSet::new();
    for number in 0..20 {
        let asked = || {
            let mut request = get("/");
            request.extensions_mut().insert(BalanceKey(Arc::from(format!("key-{number}"))));
            request
        };
        let first = said(&upstream, asked()).await;
        assert_eq!(said(&upstream, asked()).await, first);
        all.insert(first);
    }
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn connections_outlive_a_change_of_other_settings() {
    let (stays, goes, comes) =
        (Target::named("stays").await, Target::named("goes").await, Target::named("comes").await);
    let before = upstream(settings(&[&stays, &goes]));
    for _ in 0..4 {
        said(&before, get("/")).await;
    }
    let mut changed = settings(&[&comes, &stays]);
    changed.targets[1].weight = 3;
    changed.timeouts.idle = Duration::from_secs(1);
    let after = HttpUpstream::new("up", changed, Arc::new(SystemClock::new()), Some(&before));
    drop(before);
    for _ in 0..8 {
        said(&after, get("/")).await;
    }
    assert_eq!((stays.came(), comes.came(), goes.came()), (2 + 6, 2, 2));
    assert_eq!(stays.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_is_looked_up_and_what_was_known_outlives_a_look_up_that_fails() {
    let target = Target::named("here").await;
    let named = |host: &str| {
        let mut settings = settings(&[&target]);
        settings.targets[0].host = host.to_owned();
        settings.retries.attempts = 2;
        settings
    };
    let upstream = upstream(named("localhost"));
    assert_eq!(said(&upstream, get("/")).await, "200 here", "the first request waits for the first look-up");
    let nowhere = super::upstream(named("no-such-name.invalid"));
    assert_eq!(said(&nowhere, get("/")).await, "Unreachable");
    assert!(nowhere.core.failed_just_now().is_some(), "the next request does not ask for it again");
    assert_eq!(said(&nowhere, get("/")).await, "Unreachable");
    nowhere.core.line_up(vec![vec![([127, 0, 0, 1], target.port).into()]], &Lineup::default());
    assert!(nowhere.core.look_up().await.is_err());
    assert_eq!(said(&nowhere, get("/")).await, "200 here", "what is known does not need it");
    // A reload knows what was known.
    let mut changed = named("no-such-name.invalid");
    changed.slow_start = Duration::from_secs(1);
    let after = HttpUpstream::new("up", changed, Arc::new(SystemClock::new()), Some(&nowhere));
    assert_eq!(said(&after, get("/")).await, "200 here");
    assert_eq!(target.connections.load(Ordering::SeqCst), 2, "one of each upstream");
}

#[tokio::test]
async fn what_is_over_a_limit_waits_or_is_refused() {
    let scripted = Scripted::with(|settings| {
        settings.limits = Limits { connections: 1, pending: 1, wait: Duration::from_secs(1), requests: 3, streams: 1 };
        settings.timeouts.first_byte = Duration::from_secs(5);
    })
    .await;
    let upstream = &scripted.upstream;
    let answer = async |stream: &mut TcpStream| {
        read_until(stream, "\r\n\r\n").await;
        stream.write_all(OK).await.unwrap();
    };
    // The second gets the connection of the first.
    let server = async {
        let mut stream = scripted.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(OK).await.unwrap();
        answer(&mut stream).await;
        stream
    };
    let (mut stream, one, two) = tokio::join!(server, said(upstream, get("/1")), said(upstream, get("/2")));
    assert_eq!((one.as_str(), two.as_str()), ("200 ok", "200 ok"));
    // One has it, one waits for too long, and one may not wait.
    let full = async |path: &str| match upstream.send(get(path)).await {
        Err(UpstreamError::Full(which)) => which,
        other => panic!("{path}: {:?}", other.map(|answer| answer.status())),
    };
    let first = async {
        read_until(&mut stream, "\r\n\r\n").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stream.write_all(OK).await.unwrap();
    };
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::join!(full("/2"), full("/3"), async { assert!(upstream.observe().circuit_open) })
    };
    let (one, (), (waited, refused, ())) = tokio::join!(said(upstream, get("/1")), first, later);
    assert_eq!((one.as_str(), waited, refused), ("200 ok", "connections", "pending"));
    let all: Vec<_> = (0..3).map(|_| Going::enter(&upstream.core, 3, None).unwrap()).collect();
    assert_eq!(full("/4").await, "requests");
    drop(all);
    let seen = upstream.observe();
    assert_eq!(seen.refused, [("requests", 1), ("pending", 1), ("connections", 1)]);
    assert_eq!((seen.in_flight, seen.waiting, seen.circuit_open), (0, 0, false));
}
