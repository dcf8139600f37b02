//! What limits traffic, on real sockets: one limit for two nodes, quotas that outlive nodes, requests in flight, a circuit that opens.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::harness::cassandra::Keyspace;
use crate::harness::mysql::Mysql;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node, Response, wait_until};

/// `/shared/KEY`: so many a second for all nodes, and as many at once after a pause.
const RATE: f64 = 100.0;
const BURST: f64 = 100.0;

/// `/few/KEY`, `/exact/KEY`, `/deny/KEY`, `/allow/KEY`: ten an hour for all nodes. `/month/KEY`: a quota of five.
fn limits(folder: &Folder) {
    let policy = |path: &str, limit: &str| {
        let text = format!(
            "route = \"/{path}/{{key}}\"\n[[filter]]\n{limit}\nkey = \"${{path.key}}\"\n[[filter]]\nuse = \"respond\"\ntext = \"in\"\n"
        );
        folder.write(&format!("policies/{path}.toml"), &text);
    };
    // A machine that is busy with other things is not a store that is down.
    policy("shared", "use = \"rate-limit\"\nlimit = \"100/1s\"\nstore = \"counters\"\nstore_timeout = \"2s\"");
    policy("few", "use = \"rate-limit\"\nlimit = \"10/1h\"\nstore = \"counters\"\nstore_timeout = \"2s\"");
    policy(
        "exact",
        "use = \"rate-limit\"\nlimit = \"10/1h\"\nstore = \"counters\"\nstore_timeout = \"2s\"\non_store_failure = \"deny\"",
    );
    policy("deny", "use = \"rate-limit\"\nlimit = \"10/1h\"\nstore = \"counters\"\non_store_failure = \"deny\"");
    policy("allow", "use = \"rate-limit\"\nlimit = \"10/1h\"\nstore = \"counters\"\non_store_failure = \"allow\"");
    policy("month", "use = \"quota\"\nlimit = 5\nper = \"month\"\nstore_timeout = \"2s\"");
}

fn on(kind: &str, url: &str, name: &str) -> Folder {
    let stores = format!("default = \"db\"\n[source.db]\ntype = \"{kind}\"\nurl = {{ file = \"url\" }}\n");
    let folder = Folder::of_two(name, &stores);
    folder.write("url", url);
    limits(&folder);
    folder
}

#[test]
fn two_nodes_keep_one_limit_on_postgres() {
    let database = Postgres::create();
    keep_one_limit(["node-1", "node-2"].map(|name| on("postgres", &database.url(), name)));
}

#[test]
fn two_nodes_keep_one_limit_on_mariadb() {
    let database = Mysql::create();
    keep_one_limit(["node-1", "node-2"].map(|name| on("mysql", &database.url(), name)));
}

#[test]
fn two_nodes_keep_one_limit_on_redis() {
    let server = Redis::create();
    keep_one_limit(["node-1", "node-2"].map(|name| {
        let folder = server.folder(name, &server.url());
        limits(&folder);
        folder
    }));
}

#[test]
fn two_nodes_keep_one_limit_on_cassandra() {
    let keyspace = Keyspace::create();
    keep_one_limit(["node-1", "node-2"].map(|name| {
        let folder = keyspace.folder(name);
        limits(&folder);
        folder
    }));
}

/// Two processes on one machine may share a file. What is measured is the limit, and not how long a disk takes.
#[test]
fn two_nodes_keep_one_limit_on_sqlite() {
    let place = tempfile::tempdir().unwrap();
    let stores = format!(
        "default = \"db\"\n[source.db]\ntype = \"sqlite\"\npath = {:?}\nsynchronous = \"normal\"\n",
        place.path().join("shared.db")
    );
    keep_one_limit(["node-1", "node-2"].map(|name| {
        let folder = Folder::of_two(name, &stores);
        folder.edit("node.toml", "nodes = 2", "nodes = 1");
        limits(&folder);
        folder
    }));
}

fn keep_one_limit(folders: [Folder; 2]) {
    // One after the other: clients that ask without end would take the processor from each other.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let nodes = folders.each_ref().map(Node::start);
    tell_the_same(&nodes);
    // All on one node, then on both alike, then two thirds on the other; one key, since the limit is what is left of it.
    let began = Instant::now();
    let (mut passed, mut last) = (0, began);
    for clients in [[12, 0], [6, 6], [4, 8]] {
        let (more, then) = drive(&nodes, clients, Duration::from_secs(2));
        passed += more;
        last = last.max(then);
    }
    // What was there at the start, and what came until the last one was let in.
    let allowed = BURST + RATE * last.duration_since(began).as_secs_f64();
    let part = passed as f64 / allowed;
    assert!((0.95..=1.05).contains(&part), "{passed} of {allowed}");
}

/// As many clients on each node as that ask, and ask again soon when they are refused; how many requests passed, and when the last did.
fn drive(nodes: &[Node; 2], clients: [usize; 2], time: Duration) -> (usize, Instant) {
    let (passed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let (last, until) = (Mutex::new(began), began + time);
    std::thread::scope(|scope| {
        for (node, clients) in nodes.iter().zip(clients) {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut wire = Wire::open(node.address);
                    while Instant::now() < until {
                        let answer = node.get("/shared/one").send_on(&mut wire).expect("an answer");
                        match answer.status {
                            200 => {
                                passed.fetch_add(1, SeqCst);
                                *last.lock().unwrap() = Instant::now();
                            }
                            429 => {
                                refused.fetch_add(1, SeqCst);
                                std::thread::sleep(Duration::from_millis(5));
                            }
                            other => panic!("{other}: {}", answer.text()),
                        }
                    }
                });
            }
        }
    });
    assert!(refused.load(SeqCst) > 0, "more must be asked than may pass");
    (passed.load(SeqCst), last.into_inner().unwrap())
}

/// Whichever node answers, the headers tell what is left for all.
fn tell_the_same(nodes: &[Node; 2]) {
    // A store that is too busy to answer is no store to count by: then it is another key's turn.
    wait_until("the store answers each time", || {
        let path = format!("/exact/{}", crate::harness::unique());
        let ask = |at: usize| Some(nodes[at % 2].get(&path).send()).filter(|answer| answer.status != 503);
        let Some(answers) = (0..12).map(ask).collect::<Option<Vec<_>>>() else { return false };
        for (at, answer) in answers.into_iter().enumerate() {
            let (status, left) = if at < 10 { (200, 9 - at) } else { (429, 0) };
            let answer = answer.status(status);
            assert_eq!(answer.header("ratelimit-policy"), Some("\"10-per-3600s\";q=10;w=3600"));
            let told = answer.header("ratelimit").unwrap_or_default();
            assert!(told.starts_with(&format!("\"10-per-3600s\";r={left};t=")), "{at}: {told}");
            let retry = answer.header("retry-after").map(|retry| retry.parse::<u64>().unwrap());
            assert!(retry.is_none_or(|retry| status == 429 && (300..=360).contains(&retry)), "{at}: {retry:?}");
        }
        true
    });
}

#[test]
fn a_quota_outlives_the_nodes_that_counted_it() {
    let database = Postgres::create();
    let [first, second] = ["node-1", "node-2"].map(|name| on("postgres", &database.url(), name));
    let mut one = Node::start(&first);
    for left in [4, 3] {
        let answer = one.get("/month/app").send().status(200);
        assert!(
            answer
                .header("ratelimit")
                .is_some_and(|told| told.starts_with(&format!("\"quota-per-month\";r={left};t=")))
        );
    }
    one.signal("KILL");
    one.end();
    let two = Node::start(&second);
    let again = Node::start(&first);
    let statuses = [&two, &again, &two, &again, &two].map(|node| node.get("/month/app").send().status);
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    two.get("/month/other").send().status(200);
    assert_eq!(database.number("SELECT count(*) FROM traffic_counter WHERE record->'used'->0->>1 = '5'"), 1);
}

#[test]
fn while_the_store_is_cut_off_or_silent_limits_do_as_they_are_told_and_nobody_waits_long() {
    let database = Postgres::create();
    let line = database.line();
    let folder = on("postgres", &database.url_over(&line), "node-1");
    let node = Node::start(&folder);
    let status = |path: &str| node.get(path).send().status;
    let told = |limit: &str, what: &str| {
        node.log().lines().filter(|line| line.contains(&format!("limit=\"{limit}/")) && line.contains(what)).count()
    };
    for (round, silent) in [false, true].into_iter().enumerate() {
        let key = if silent { "silent" } else { "cut" };
        let is_counted =
            |path: &str| node.get(path).send().header("ratelimit").is_some_and(|told| told.contains("r=9;"));
        wait_until("it is counted for all nodes", || is_counted(&format!("/allow/{}", crate::harness::unique())));
        if silent {
            line.silence();
        } else {
            line.cut();
        }
        let began = Instant::now();
        // This node's share of ten is five.
        let passed = (0..12).filter(|_| status(&format!("/few/{key}")) == 200).count();
        assert_eq!(passed, 5, "{key}");
        assert_eq!([(); 12].map(|()| status(&format!("/allow/{key}"))), [200; 12]);
        let denied = node.get(&format!("/deny/{key}")).send().status(503);
        assert!(denied.header("retry-after").is_some());
        assert!(began.elapsed() < DEADLINE / 2, "{:?}: each was to wait for a moment at most", began.elapsed());
        line.mend();
        wait_until("it is counted for all nodes again", || {
            status(&format!("/deny/{}", crate::harness::unique())) == 200
        });
        // Once each time, and not by each request.
        wait_until("that is told", || {
            status(&format!("/few/{}", crate::harness::unique()));
            told("few", "the nodes count together again") == round + 1
        });
        assert_eq!(told("few", "and this one keeps its share by itself: "), round + 1, "{}", node.log());
        assert_eq!(told("few", "source=\"db\""), 2 * (round + 1), "{}", node.log());
    }
}

/// Three may be in flight; an upstream that answers when it is told to.
fn in_flight() -> (Folder, Arc<AtomicBool>) {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let upstream = Upstream::start(move |incoming| {
        let wait = || {
            while !gate.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        if incoming.lines[0].contains("/stream") {
            incoming.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            wait();
            incoming.send(b"4\r\nlast\r\n0\r\n\r\n");
        } else {
            wait();
            incoming.answer("200 OK", &[], b"done");
        }
        true
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("orders"));
    folder.write(
        "policies/slots.toml",
        "route = \"/slots/**\"\n[[filter]]\nuse = \"concurrency-limit\"\nkey = \"${request.client_ip}\"\nlimit = 3\n\
         [[filter]]\nuse = \"proxy\"\nupstream = \"orders\"\n",
    );
    (folder, open)
}

/// A request that holds its place: nobody has answered, or the answer is not over.
fn begin(node: &Node, path: &str) -> Wire {
    let mut wire = Wire::open(node.address);
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    wire
}

/// One that waits by now: it was let through, and nobody has answered.
fn waits(node: &Node, path: &str) -> Wire {
    let mut waiting = None;
    wait_until("it waits", || {
        let mut wire = begin(node, path);
        if wire.answer_within(PATIENCE).is_none() {
            waiting = Some(wire);
        }
        waiting.is_some()
    });
    waiting.unwrap()
}

/// Whether one more is refused with this status. One that is let through is given up.
fn is_refused(node: &Node, path: &str, status: u16) -> bool {
    begin(node, path).answer_within(PATIENCE).is_some_and(|answer: Response| answer.status == status)
}

fn is_full(node: &Node) -> bool {
    is_refused(node, "/slots/probe", 429)
}

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_millis(500);

#[test]
fn a_place_is_free_when_the_answer_was_sent_or_nobody_waits_for_it() {
    let (folder, open) = in_flight();
    let node = Node::start(&folder);
    let mut first = begin(&node, "/slots/stream");
    assert_eq!(first.head().expect("a head").status, 200);
    let (second, third) = (waits(&node, "/slots/a"), waits(&node, "/slots/b"));
    wait_until("three are in flight", || is_full(&node));
    // A client that goes away gives its place back, and so does one in the middle of its answer.
    drop(second);
    wait_until("there is a place", || !is_full(&node));
    let mut fourth = None;
    wait_until("it is free for another one", || {
        let mut wire = begin(&node, "/slots/stream");
        let is_in = wire.head().is_some_and(|head| head.status == 200);
        fourth = is_in.then_some(wire);
        is_in
    });
    wait_until("three are in flight again", || is_full(&node));
    drop(fourth);
    wait_until("there is a place again", || !is_full(&node));
    // A reload counts on.
    let again = waits(&node, "/slots/c");
    wait_until("three are in flight once more", || is_full(&node));
    folder.append("policies/slots.toml", "\n# changed\n");
    node.reload();
    wait_until("it counts on", || is_full(&node));
    open.store(true, SeqCst);
    let rest = first.read_some();
    assert!(!rest.is_empty());
    drop((first, third, again));
    wait_until("all places are free", || {
        let all: Vec<_> = (0..3).map(|n| begin(&node, &format!("/slots/{n}"))).collect();
        all.into_iter().all(|mut wire| wire.answer().is_some_and(|answer| answer.status == 200))
    });
}

#[test]
fn a_switched_connection_has_its_place_until_it_ends() {
    let upstream = Upstream::start(|incoming| {
        incoming.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
        let mut byte = [0];
        // Until the other side ends.
        while incoming.stream.read(&mut byte).is_ok_and(|read| read > 0) {}
        false
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("chat"));
    folder.write(
        "policies/slots.toml",
        "route = \"/slots/**\"\n[[filter]]\nuse = \"concurrency-limit\"\nkey = \"${request.client_ip}\"\nlimit = 1\n\
         [[filter]]\nuse = \"proxy\"\nupstream = \"chat\"\nupgrade = [\"chat\"]\n",
    );
    let node = Node::start(&folder);
    let switch = || {
        let mut wire = Wire::open(node.address);
        wire.send("GET /slots/chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
        let status = wire.head().expect("an answer").status;
        (wire, status)
    };
    let (open, status) = switch();
    assert_eq!(status, 101);
    (0..5).for_each(|_| assert_eq!(switch().1, 429));
    drop(open);
    wait_until("the place is free", || switch().1 == 101);
}

#[test]
fn an_upstream_that_fails_is_spared_until_it_is_well_again() {
    let (well, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_well, count) = (well.clone(), asked.clone());
    let upstream = Upstream::start(move |incoming| {
        count.fetch_add(1, SeqCst);
        let status = if is_well.load(SeqCst) { "200 OK" } else { "503 Service Unavailable" };
        incoming.answer(status, &[], b"");
        true
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("orders"));
    folder.write(
        "policies/guarded.toml",
        "route = \"/guarded\"\n[[filter]]\nuse = \"circuit-breaker\"\nminimum = 5\nopen_for = \"1s\"\n\
         [[filter]]\nuse = \"proxy\"\nupstream = \"orders\"\n",
    );
    let node = Node::start(&folder);
    let ask = || node.get("/guarded").send();
    (0..5).for_each(|_| drop(ask().status(503)));
    let refused = ask().status(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    (0..20).for_each(|_| drop(ask().status(503)));
    let spared = asked.load(SeqCst);
    assert!((5..=10).contains(&spared), "{spared}: one looks each second, and no more");
    well.store(true, SeqCst);
    wait_until("it is used again", || ask().status == 200);
    (0..20).for_each(|_| drop(ask().status(200)));
}

#[test]
fn a_delay_ends_with_its_client_and_no_more_wait_than_may() {
    let folder = Folder::shipped();
    folder.write(
        "policies/slow.toml",
        "route = \"/slow/{for}\"\n[[filter]]\nuse = \"delay\"\ntime = \"1m\"\nat_most = 2\nwhen = 'path.for == \"long\"'\n\
         [[filter]]\nuse = \"delay\"\ntime = \"300ms\"\nwhen = 'path.for == \"short\"'\n[[filter]]\nuse = \"respond\"\n",
    );
    let node = Node::start(&folder);
    let began = Instant::now();
    node.get("/slow/short").send().status(200);
    assert!(began.elapsed() >= Duration::from_millis(300));
    let two = [waits(&node, "/slow/long"), waits(&node, "/slow/long")];
    wait_until("two wait, and a third may not", || is_refused(&node, "/slow/long", 503));
    drop(two);
    wait_until("there is room again", || !is_refused(&node, "/slow/long", 503));
}
