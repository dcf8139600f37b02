//! Upstreams of several targets, and upstreams that err: what clients see of it, and what the node says.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::upstream::Upstream;
use crate::harness::{Folder, Node, Request, wait_until};

/// A target that says its name.
fn named(name: &'static str) -> Upstream {
    Upstream::start(move |incoming| {
        incoming.body();
        incoming.answer("200 OK", &[], name.as_bytes());
        true
    })
}

/// A node with such an upstream: its `targets`, and what else stands there.
fn node_before(targets: &[SocketAddr], settings: &str) -> (Folder, Node) {
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream_toml(targets, settings));
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    (folder, node)
}

fn upstream_toml(targets: &[SocketAddr], settings: &str) -> String {
    let targets: Vec<_> = targets.iter().map(|address| format!("\"http://{address}\"")).collect();
    format!("\n[upstream.up]\ntargets = [{}]\n{settings}\n", targets.join(", "))
}

/// How many of these requests each target answered; each must be answered.
fn answers(node: &Node, requests: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..requests {
        *answers.entry(node.get("/up/1").send().status(200).text()).or_default() += 1;
    }
    answers
}

fn metric(node: &Node, line: &str) -> Option<u64> {
    let text = Request::new(node.admin, "GET", "/metrics").send().status(200).text();
    let found = text.lines().find_map(|one| one.strip_prefix("portcullis_")?.strip_prefix(line).map(str::trim))?;
    found.parse().ok()
}

fn counts<const N: usize>(pairs: [(&str, usize); N]) -> BTreeMap<String, usize> {
    pairs.map(|(name, count)| (name.to_owned(), count)).into()
}

#[test]
fn targets_get_their_shares() {
    let (one, other) = (named("one"), named("other"));
    let folder = Folder::shipped();
    let targets = format!("{{ url = \"http://{}\", weight = 3 }}, \"http://{}\"", one.address, other.address);
    folder.append("node.toml", &format!("\n[upstream.up]\ntargets = [{targets}]\nbalance = \"round-robin\"\n"));
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    assert_eq!(answers(&node, 12), counts([("one", 9), ("other", 3)]));
    let labels = format!("upstream=\"up\",target=\"http://{0}\",address=\"{0}\"", one.address);
    assert_eq!(metric(&node, &format!("target_requests_total{{{labels}}}")), Some(9));
    assert_eq!(metric(&node, &format!("target_healthy{{{labels}}}")), Some(1));
    assert_eq!(metric(&node, &format!("target_connections{{{labels}}}")), Some(1));
    assert_eq!(metric(&node, "upstream_requests_in_flight{upstream=\"up\"}"), Some(0));
    let status = node.command(&["status"]).code(0).stdout;
    assert!(status.contains(&format!("up http://{0} ({0}) well, 1 connections", one.address)), "{status}");
}

#[test]
fn equal_keys_have_one_target() {
    let (one, other) = (named("one"), named("other"));
    let (folder, node) = node_before(&[one.address, other.address], "balance = \"hash\"");
    folder.edit("policies/up.toml", "upstream = \"up\"", "upstream = \"up\"\nkey = \"${request.header.x-user ??}\"");
    node.reload().code(0);
    let mut all = std::collections::BTreeSet::new();
    for number in 0..16 {
        let asked = || node.get("/up/1").header("X-User", &format!("user-{number}")).send().status(200).text();
        let first = asked();
        assert!((0..3).all(|_| asked() == first), "user-{number} is sent to both");
        all.insert(first);
    }
    assert_eq!(all.len(), 2, "all keys have one target");
    node.get("/up/1").send().status(200);
}

/// Clients notice nothing of a target that dies, whatever they ask for; and nothing of its return.
#[test]
fn a_target_that_dies_is_passed_over() {
    let (stays, dies) = (named("stays"), Arc::new(AtomicBool::new(false)));
    let dead = dies.clone();
    // It accepts, and closes at once: what a load balancer's address does whose server is gone.
    let other = Upstream::start(move |incoming| {
        incoming.body();
        if !dead.load(Ordering::SeqCst) {
            incoming.answer("200 OK", &[], b"other");
        }
        !dead.load(Ordering::SeqCst)
    });
    let settings = "balance = \"round-robin\"\neject = { faults = 3, time = \"300ms\", longest = \"300ms\" }";
    let (_folder, node) = node_before(&[stays.address, other.address], settings);
    assert_eq!(answers(&node, 4), counts([("stays", 2), ("other", 2)]));
    dies.store(true, Ordering::SeqCst);
    assert_eq!(answers(&node, 20), counts([("stays", 20)]));
    let labels = format!("upstream=\"up\",target=\"http://{0}\",address=\"{0}\"", other.address);
    assert!(metric(&node, &format!("target_ejections_total{{{labels}}}")) >= Some(1));
    assert!(metric(&node, "upstream_retries_total{upstream=\"up\"}") >= Some(1));
    // What must not be done twice is not: the client is told.
    let (folder, alone) = node_before(&[other.address], "");
    alone.post("/up/1").body("x").send().status(502);
    drop((folder, alone));
    dies.store(false, Ordering::SeqCst);
    wait_until("it is let in again", || node.get("/up/1").send().status(200).text() == "other");
}

#[test]
fn a_target_that_is_not_there_takes_nothing_with_it() {
    let stays = named("stays");
    // Bound and never listened on: connections are refused, and nobody else gets the port.
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    let (_folder, node) = node_before(&[address, stays.address], "balance = \"round-robin\"");
    for _ in 0..10 {
        // Nothing was sent: it goes elsewhere, whatever its method.
        let answer = node.post("/up/1").body("x").send().status(200);
        assert_eq!(answer.text(), "stays");
    }
}

#[test]
fn health_checks_take_targets_out_and_back() {
    let (one, well) = (named("one"), Arc::new(AtomicBool::new(true)));
    let state = well.clone();
    let other = Upstream::start(move |incoming| {
        let sick = incoming.lines[0].starts_with("GET /health ") && !state.load(Ordering::SeqCst);
        incoming.answer(if sick { "500 No" } else { "200 OK" }, &[], b"other");
        true
    });
    let health =
        "health = { path = \"/health\", interval = \"100ms\", healthy = 1, unhealthy = 2 }\nbalance = \"round-robin\"";
    let (folder, node) = node_before(&[one.address, other.address], health);
    well.store(false, Ordering::SeqCst);
    let down = || node.command(&["status", "--json"]).code(0).stdout.contains("\"down\"");
    wait_until("it is down", down);
    assert_eq!(answers(&node, 6), counts([("one", 6)]));
    assert!(node.log().contains("the target is not well: it answered 500"), "{}", node.log());
    // Nobody asks any more, so nobody finds it down.
    folder.edit("node.toml", "health = {", "# health = {");
    node.reload().code(0);
    assert_eq!(answers(&node, 6), counts([("one", 3), ("other", 3)]));
    folder.edit("node.toml", "# health = {", "health = {");
    node.reload().code(0);
    wait_until("it is down again", down);
    well.store(true, Ordering::SeqCst);
    wait_until("it is back", || !down());
    assert_eq!(answers(&node, 6), counts([("one", 3), ("other", 3)]));
}

#[test]
fn a_reload_keeps_the_connections_of_targets_that_stay() {
    let (one, other, third) = (named("one"), named("other"), named("third"));
    let (folder, node) = node_before(&[one.address, other.address], "balance = \"round-robin\"");
    answers(&node, 4);
    let text = folder.read("node.toml");
    let at = text.find("[upstream.up]").expect("the upstream");
    let rest = upstream_toml(&[third.address, one.address], "balance = \"round-robin\"\nretries = { attempts = 0 }");
    folder.write("node.toml", &format!("{}{rest}", &text[..at]));
    node.reload().code(0);
    assert_eq!(answers(&node, 4), counts([("one", 2), ("third", 2)]));
    let labels = format!("upstream=\"up\",target=\"http://{0}\",address=\"{0}\"", one.address);
    assert_eq!(metric(&node, &format!("target_requests_total{{{labels}}}")), Some(4), "what was counted counts on");
    assert_eq!(metric(&node, &format!("target_connections{{{labels}}}")), Some(1));
    let gone = format!("target_requests_total{{upstream=\"up\",target=\"http://{0}\",address=\"{0}\"}}", other.address);
    assert_eq!(metric(&node, &gone), None);
}

#[test]
fn limits_refuse_what_is_too_much() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Upstream::start(move |incoming| {
        if incoming.lines[0].contains("/slow") {
            let _ = wait.lock().expect("one at a time").recv();
        }
        incoming.answer("200 OK", &[], b"done");
        true
    });
    let limits = "limits = { connections = 1, pending = 1, wait = \"10s\", requests = 2 }";
    let (_folder, node) = node_before(&[slow.address], limits);
    let busy = |what: &str, count: u64| metric(&node, &format!("{what}{{upstream=\"up\"}}")) == Some(count);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| node.get("/up/slow").send().status(200).text());
        wait_until("one is in flight", || busy("upstream_requests_in_flight", 1));
        let second = scope.spawn(|| node.get("/up/2").send().status(200).text());
        wait_until("one waits", || busy("upstream_requests_waiting", 1) && busy("upstream_circuit_open", 1));
        node.get("/up/3").send().status(503);
        go.send(()).expect("it waits");
        for request in [first, second] {
            assert_eq!(request.join().expect("an answer"), "done");
        }
    });
    assert_eq!(metric(&node, "upstream_refused_total{upstream=\"up\",limit=\"requests\"}"), Some(1));
    wait_until("all is quiet", || busy("upstream_requests_in_flight", 0) && busy("upstream_circuit_open", 0));
}

/// What an upstream does to a request, what the client gets, and that the next request is served.
#[test]
fn upstreams_that_err_end_by_rule() {
    let cases: [(&str, &str, u16); 10] = [
        ("dies", "", 502),
        ("two-lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 502),
        ("bad-length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab", 502),
        ("coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502),
        ("no-status", "HTTP/1.1 999 X\r\ncontent-length: 2\r\n\r\nok", 502),
        ("endless", "HTTP/1.1 200 OK\r\n", 502),
        ("hints", "", 502),
        ("hangs", "", 504),
        ("unasked", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 502),
        (
            "long",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
            200,
        ),
    ];
    let upstream = Upstream::start(move |incoming| {
        let path = incoming.lines[0].split(' ').nth(1).unwrap_or_default().trim_start_matches("/up/").to_owned();
        let Some((_, answer, _)) = cases.iter().find(|(name, ..)| *name == path) else {
            incoming.answer("200 OK", &[], b"well");
            return true;
        };
        incoming.send(answer.as_bytes());
        let endless: &[u8] = match path.as_str() {
            "endless" => b"x-more: 0123456789\r\n",
            "hints" => b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            _ => b"",
        };
        while !endless.is_empty() && incoming.stream.write_all(endless).is_ok() {}
        if path == "hangs" {
            // Until the gateway gives it up.
            let _ = std::io::Read::read(&mut incoming.stream, &mut [0]);
        }
        path == "long"
    });
    let (_folder, node) = node_before(&[upstream.address], "timeouts = { first_byte = \"2s\" }");
    for (name, _, status) in cases {
        let answer = node.get(&format!("/up/{name}")).send();
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        for _ in 0..2 {
            assert_eq!(node.get("/up/next").send().status(200).text(), "well", "after {name}");
        }
    }
}

#[test]
fn answers_that_break_off_break_off_for_the_client() {
    let upstream = Upstream::start(|incoming| {
        let chunked = incoming.lines[0].contains("chunked");
        let head = if chunked { "transfer-encoding: chunked" } else { "content-length: 100" };
        incoming.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n").as_bytes());
        false
    });
    let (_folder, node) = node_before(&[upstream.address], "");
    for path in ["/up/length", "/up/chunked"] {
        assert!(node.get(path).try_send().is_none_or(|answer| !answer.whole), "{path}: it came whole");
    }
    let labels = format!("upstream=\"up\",target=\"http://{0}\",address=\"{0}\"", upstream.address);
    wait_until("they are faults", || metric(&node, &format!("target_faults_total{{{labels}}}")) >= Some(2));
}

#[test]
fn the_whole_of_an_answer_has_its_time() {
    let upstream = Upstream::start(|incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while incoming.stream.write_all(b"1\r\nx\r\n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        false
    });
    let (_folder, node) = node_before(&[upstream.address], "timeouts = { whole = \"400ms\" }");
    assert!(node.get("/up/1").try_send().is_none_or(|answer| !answer.whole), "it came to an end");
}
