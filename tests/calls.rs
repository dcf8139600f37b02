//! `fetch`, `webhook` and `cache`: calls beside the exchange, and those that need not be made.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::harness::upstream::{Upstream, values};
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node, wait_until};

/// A node with these upstreams, whose policy `called` has these filters at `/called/**`.
fn node(upstreams: &[(&str, &Upstream)], filters: &str) -> (Folder, Node) {
    let folder = Folder::shipped();
    for (name, upstream) in upstreams {
        folder.append("node.toml", &upstream.toml(name));
    }
    folder.write("policies/called.toml", &format!("route = \"/called/{{*rest}}\"\n{filters}"));
    let node = Node::start(&folder);
    (folder, node)
}

const CACHED: &str = "[[filter]]\nuse = \"cache\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n";

fn fetching(settings: &str) -> String {
    format!(
        "[[filter]]\nuse = \"fetch\"\nupstream = \"up\"\npath = \"/fetched\"\ninto = \"x\"\n{settings}\n[[filter]]\nuse = \"respond\"\n\
         json = \"${{vars.x}}\"\n"
    )
}

#[test]
fn a_fetched_answer_is_whole_and_taken_apart() {
    let upstream = Upstream::start(|incoming| {
        let answer = format!(r#"{{"asked":"{}","n":[1,2]}}"#, incoming.lines[0]);
        incoming.answer("200 OK", &[("Content-Type", "application/json"), ("X-A", "1")], answer.as_bytes());
        true
    });
    let (_folder, node) = node(&[("up", &upstream)], &fetching("query = { q = \"${request.query.q}\" }"));
    let json = node.get("/called/1?q=a%26b").header("Authorization", "Bearer x").send().status(200).json();
    assert_eq!(json["body"]["asked"], "GET /fetched?q=a%26b HTTP/1.1");
    assert_eq!(
        (&json["status"], &json["headers"]["x-a"], &json["body"]["n"][1]),
        (&200.into(), &"1".into(), &2.into())
    );
    assert!(values(&upstream.heads()[0], "authorization").is_empty());
}

#[test]
fn a_fetch_ends_whatever_the_upstream_does() {
    let upstream = Upstream::start(|incoming| {
        match incoming.lines[0].split(' ').nth(1) {
            // Silent, after the head or before.
            Some("/silent") => std::thread::park(),
            Some("/slow") => {
                incoming.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                std::thread::park();
            }
            // Endless.
            Some("/endless") => {
                incoming.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
                use std::io::Write;
                while incoming.stream.write_all(chunk.as_bytes()).is_ok() {}
            }
            // Less than it said.
            _ => incoming.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        }
        false
    });
    let fetch = "[[filter]]\nuse = \"fetch\"\nupstream = \"up\"\npath = \"/${path.rest}\"\ninto = \"x\"\ntimeout = \"2s\"\n\
                 [[filter]]\nuse = \"respond\"\n";
    let (_folder, node) = node(&[("up", &upstream)], fetch);
    for (path, status) in [("silent", 504), ("slow", 504), ("endless", 502), ("short", 502)] {
        node.get(&format!("/called/{path}")).send().status(status);
    }
}

/// A service that counts, and answers once the gate is open.
fn gated(
    status: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> (Upstream, Arc<AtomicU32>, Arc<Mutex<()>>) {
    let (asked, gate) = (Arc::<AtomicU32>::default(), Arc::<Mutex<()>>::default());
    let (count, wait) = (asked.clone(), gate.clone());
    let upstream = Upstream::start(move |incoming| {
        incoming.body();
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        drop(wait.lock());
        incoming.answer(status, headers, number.to_string().as_bytes());
        true
    });
    (upstream, asked, gate)
}

/// Twenty requests at once, each with this header.
fn twenty(node: &Node, header: &str) -> Vec<Wire> {
    let open = |_| {
        let mut wire = Wire::open(node.address);
        wire.send(format!("GET /called/1 HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n"));
        wire
    };
    (0..20).map(open).collect()
}

const ASKED: &str = "[[filter]]\nuse = \"webhook\"\nupstream = \"service\"\npath = \"/decide\"\n\
                     input = { who = \"${request.header.x-who ?? nobody}\" }\n";
const GREETS: &str = "[[filter]]\nuse = \"respond\"\ntext = \"hello\"\n";

#[test]
fn many_requests_ask_a_decision_service_once() {
    let (service, asked, gate) = gated("403 Forbidden", &[]);
    let (_folder, node) = node(&[("service", &service)], &format!("{ASKED}cache = {{ max_age = \"1h\" }}\n{GREETS}"));
    let closed = gate.lock().unwrap();
    let waiting = twenty(&node, "x-who: ann");
    wait_until("it is asked", || asked.load(Ordering::Relaxed) > 0);
    drop(closed);
    for mut wire in waiting {
        assert_eq!(wire.answer().expect("an answer").status, 403);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // A decision is for whom it was made.
    node.get("/called/1").header("x-who", "bob").send().status(403);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_decision_service_that_is_down_lets_nobody_pass_unless_the_policy_says_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (fallback, status) in [("", 502), ("fallback = \"deny\"\n", 502), ("fallback = \"allow\"\n", 200)] {
        let folder = Folder::shipped();
        folder.append("node.toml", &format!("[upstream.service]\ntargets = [\"http://{nobody}\"]\n"));
        folder.write("policies/called.toml", &format!("route = \"/called/{{*rest}}\"\n{ASKED}{fallback}{GREETS}"));
        Node::start(&folder).get("/called/1").send().status(status);
    }
}

#[test]
fn many_requests_for_one_response_make_one() {
    let (upstream, asked, gate) = gated("200 OK", &[("Cache-Control", "max-age=600")]);
    let (folder, node) = node(&[("up", &upstream)], CACHED);
    let closed = gate.lock().unwrap();
    let waiting = twenty(&node, "Accept: */*");
    wait_until("it is asked", || asked.load(Ordering::Relaxed) > 0);
    drop(closed);
    for mut wire in waiting {
        let answer = wire.answer().expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // What is kept outlives a reload.
    folder.append(
        "policies/called.toml",
        "\n[[response]]\nuse = \"set-header\"\nof = \"response\"\nset = { x-new = \"1\" }\n",
    );
    node.reload().code(0);
    let answer = node.get("/called/1").header("Host", "x").send().status(200);
    assert_eq!((answer.header("x-new"), answer.text().as_str()), (Some("1"), "1"));
    assert!(answer.header("cache-status").is_some_and(|status| status.starts_with("portcullis; hit; ttl=")));
}

/// The client has the first part before the upstream has sent the last: the cache looks on.
#[test]
fn a_response_that_is_kept_streams() {
    let (send, go_on) = mpsc::channel::<()>();
    let go_on = Mutex::new(go_on);
    let upstream = Upstream::start(move |incoming| {
        incoming
            .send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        let _ = go_on.lock().unwrap().recv_timeout(DEADLINE);
        incoming.send(b"3\r\ntwo\r\n0\r\n\r\n");
        true
    });
    let (_folder, node) = node(&[("up", &upstream)], CACHED);
    let mut wire = Wire::open(node.address);
    wire.send("GET /called/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    wire.head().expect("the head before the body's end");
    let mut came = String::new();
    while !came.contains("one") {
        came.push_str(&String::from_utf8_lossy(&wire.read_some()));
    }
    send.send(()).unwrap();
    while !came.contains("two") {
        came.push_str(&String::from_utf8_lossy(&wire.read_some()));
    }
    let again = node.get("/called/1").header("Host", "x").send().status(200);
    assert_eq!((again.text().as_str(), upstream.heads().len()), ("onetwo", 1));
}

/// What it reads is to be kept, and others want it; they would wait for longer than any test.
#[test]
fn a_client_that_reads_slowly_keeps_nobody_waiting() {
    const LENGTH: usize = 12 << 20;
    let upstream = Upstream::start(|incoming| {
        incoming.answer("200 OK", &[("Cache-Control", "max-age=600")], &vec![b'x'; LENGTH]);
        true
    });
    let cached = CACHED.replace("\"cache\"\n", "\"cache\"\nlargest = \"16MiB\"\nwait = \"60s\"\n");
    let (_folder, node) = node(&[("up", &upstream)], &cached);
    let mut slow = Wire::open(node.address);
    slow.send("GET /called/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.head().expect("a head");
    for status in ["portcullis; fwd=uri-miss; fwd-status=200; stored", "portcullis; hit"] {
        let answer = node.get("/called/1").header("Host", "x").send().status(200);
        assert!(
            answer.header("cache-status").is_some_and(|told| told.starts_with(status)),
            "{:?}",
            answer.header("cache-status")
        );
        assert_eq!(answer.text().len(), LENGTH);
    }
    assert_eq!(upstream.heads().len(), 2);
}

#[test]
fn a_body_that_is_cut_short_is_not_kept() {
    let upstream = Upstream::start(|incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 10\r\n\r\nhalf");
        false
    });
    let (_folder, node) = node(&[("up", &upstream)], CACHED);
    for asked in 1..=2 {
        let answer = node.get("/called/1").try_send();
        assert!(answer.is_none_or(|answer| !answer.whole), "the client sees that it is cut short");
        assert_eq!(upstream.heads().len(), asked);
    }
}

#[test]
fn a_stale_response_is_used_while_a_newer_one_is_fetched_beside() {
    // It was old already when it came.
    let stale = [("Cache-Control", "max-age=1, stale-while-revalidate=600"), ("Age", "5"), ("ETag", "\"1\"")];
    let asked = AtomicU32::new(0);
    let upstream = Upstream::start(move |incoming| {
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => incoming.answer("200 OK", &stale, b"old"),
            _ => incoming.answer("200 OK", &[("Cache-Control", "max-age=600")], b"new"),
        }
        true
    });
    let (_folder, node) = node(&[("up", &upstream)], CACHED);
    assert_eq!(node.get("/called/1").send().status(200).text(), "old");
    assert_eq!(node.get("/called/1").send().status(200).text(), "old");
    wait_until("the newer one is there", || node.get("/called/1").send().status(200).text() == "new");
    let heads = upstream.heads();
    assert_eq!((heads.len(), values(&heads[1], "if-none-match")), (2, vec![String::from("\"1\"")]));
}

#[test]
fn a_token_decides_anew_for_each_request_and_its_response_is_for_no_other_client() {
    let upstream = Upstream::start(|incoming| {
        let who = incoming.all("x-client").join("");
        incoming.answer("200 OK", &[("Cache-Control", "public, max-age=600")], who.as_bytes());
        true
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    let filters = |key: &str| {
        format!(
            "route = \"/called/{{*rest}}\"\n[[filter]]\nuse = \"oauth.validate-token\"\n[[filter]]\nuse = \"cache\"\n{key}\n\
             [[filter]]\nuse = \"set-header\"\nset = {{ x-client = \"${{client.id}}\" }}\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n"
        )
    };
    folder.write("policies/called.toml", &filters(""));
    let (ann, bob) = (folder.client("ann", "a", &[]), folder.client("bob", "a", &[]));
    let node = Node::start(&folder);
    let tokens = [("ann", node.token(&ann)), ("bob", node.token(&bob))];
    let ask = |token: &str| node.get("/called/1").bearer(token).send();
    for (name, token) in tokens.iter().chain(&tokens) {
        assert_eq!(ask(token).status(200).text(), *name);
    }
    assert_eq!(upstream.heads().len(), 4, "nothing is kept");
    folder.write("policies/called.toml", &filters("key = \"${client.id}\""));
    node.reload().code(0);
    for (name, token) in tokens.iter().chain(&tokens) {
        assert_eq!(ask(token).status(200).text(), *name);
    }
    assert_eq!(upstream.heads().len(), 6, "each has its own");
    node.get("/called/1").send().status(401);
    node.get("/called/1").bearer("nobody").send().status(401);
}
