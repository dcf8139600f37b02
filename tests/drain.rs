//! SIGTERM: what was begun is ended, nothing new is begun.

use std::sync::mpsc;
use std::time::Duration;

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node, Request, wait_until};

/// Answers a request once that is sent.
fn answers_late() -> (mpsc::Sender<()>, Upstream) {
    let (send, release) = mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let upstream = Upstream::start(move |incoming| {
        let _ = release.lock().unwrap().recv_timeout(DEADLINE);
        incoming.answer("200 OK", &[], b"late");
        true
    });
    (send, upstream)
}

#[test]
fn requests_that_run_are_answered() {
    let (send, upstream) = answers_late();
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let mut node = Node::start(&folder);
    let request = node.get("/up");
    let address = node.address;
    let running = std::thread::spawn(move || request.send());
    wait_until("the request is at the upstream", || !upstream.heads().is_empty());
    let mut idle = Wire::open(address);
    assert_eq!(node.get("/nowhere").send_on(&mut idle).expect("an answer").status, 404);
    node.signal("TERM");
    wait_until("no new connections", || Request::new(address, "GET", "/nowhere").try_send().is_none());
    assert!(idle.is_closed(), "an idle connection is closed");
    assert!(node.runs(), "it waits for what runs");
    send.send(()).unwrap();
    let answer = running.join().expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert!(node.end().success(), "a drained node ends well");
}

/// Also those of a listener that a reload took away just before.
#[test]
fn requests_of_a_listener_that_goes_are_answered() {
    let (send, upstream) = answers_late();
    let folder = Folder::empty();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, two) = (free(), free());
    let listener = |name: &str, address| format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    let node_toml = format!("{}{}", listener("one", one), upstream.toml("up"));
    folder.write("node.toml", &format!("{node_toml}{}", listener("two", two)));
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let mut node = Node::on(&folder).own_listeners().start();
    let running = std::thread::spawn(move || Request::new(two, "GET", "/up").send());
    wait_until("the request is at the upstream", || !upstream.heads().is_empty());
    folder.write("node.toml", &node_toml);
    node.reload();
    wait_until("the listener is closed", || Request::new(two, "GET", "/nowhere").try_send().is_none());
    node.signal("TERM");
    wait_until("no new connections", || Request::new(one, "GET", "/nowhere").try_send().is_none());
    assert!(node.runs(), "it waits for what runs");
    send.send(()).unwrap();
    let answer = running.join().expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert!(node.end().success(), "a drained node ends well");
}

#[test]
fn an_idle_node_ends_at_once() {
    let folder = Folder::shipped();
    for signal in ["TERM", "INT"] {
        let mut node = Node::start(&folder);
        node.signal(signal);
        let start = std::time::Instant::now();
        assert!(node.end().success(), "{signal}");
        assert!(start.elapsed() < Duration::from_secs(5), "{signal}: {:?}", start.elapsed());
    }
}

/// While it drains it is not ready, so that a balancer sends nothing more.
#[test]
fn a_draining_node_is_not_ready() {
    let (send, upstream) = answers_late();
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let mut node = Node::start(&folder);
    let ready = Request::new(node.admin, "GET", "/health/ready");
    assert_eq!(ready.send().status, 200);
    let request = node.get("/up");
    let running = std::thread::spawn(move || request.send());
    wait_until("the request is at the upstream", || !upstream.heads().is_empty());
    node.signal("TERM");
    wait_until("not ready", || ready.try_send().is_none_or(|answer| answer.status == 503));
    send.send(()).unwrap();
    assert_eq!(running.join().expect("an answer").status, 200);
    assert!(node.end().success());
}
