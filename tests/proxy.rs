//! `proxy`: both bodies stream, connections are pooled, and nothing goes through raw.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::harness::upstream::{Upstream, values};
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node, wait_until};

fn node_before(upstream: &Upstream, timeouts: &str) -> (Folder, Node) {
    let folder = Folder::shipped();
    folder.append("node.toml", &format!("{}{timeouts}\n", upstream.toml("up")));
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    (folder, node)
}

#[test]
fn path_and_query_go_as_they_came() {
    let upstream = Upstream::echo();
    let (_folder, node) = node_before(&upstream, "");
    for target in [
        "/up/a",
        "/up/a/",
        "/up/a%2Fb",
        "/up/a%20b?q=%2f&q=2&&=",
        "/up/%C3%BC?",
        "/up/a;p=1",
        "/up/a+b?x=a+b",
        "/up/~a:b@c",
    ] {
        let text = node.get(target).send().status(200).text();
        let line = text.lines().next().unwrap_or_default().to_owned();
        let expected = target.strip_suffix('?').unwrap_or(target);
        assert!(
            line == format!("GET {target} HTTP/1.1") || line == format!("GET {expected} HTTP/1.1"),
            "{target}: {line}"
        );
    }
    // The normal form: what may stand unencoded does, and `.` segments are gone.
    let text = node.get("/up/%61/./b").send().status(200).text();
    assert!(text.starts_with("GET /up/a/b HTTP/1.1"), "{text}");
}

#[test]
fn headers_of_one_connection_stay_there() {
    let upstream = Upstream::start(|incoming| {
        let headers = [
            ("Connection", "X-Private"),
            ("X-Private", "1"),
            ("Keep-Alive", "timeout=1"),
            ("X-Public", "2"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ];
        incoming.answer("200 OK", &headers, b"ok");
        true
    });
    let (_folder, node) = node_before(&upstream, "");
    let request = node
        .get("/up/1")
        .header("Connection", "close, X-Secret")
        .header("X-Secret", "1")
        .header("Keep-Alive", "timeout=5");
    let request =
        request.header("Proxy-Authorization", "Basic x").header("TE", "trailers, gzip").header("Upgrade", "h2c");
    let answer = request
        .header("Proxy-Connection", "keep-alive")
        .header("X-Plain", "kept")
        .header("Trailer", "X-T")
        .send()
        .status(200);
    let head = &upstream.heads()[0];
    for gone in [
        "x-secret",
        "keep-alive",
        "proxy-authorization",
        "te",
        "upgrade",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
    ] {
        assert!(values(head, gone).is_empty(), "{gone}: {head:?}");
    }
    assert_eq!(values(head, "x-plain"), ["kept"]);
    assert!(!values(head, "connection").iter().any(|v| v.to_ascii_lowercase().contains("x-secret")));
    assert_eq!(values(head, "host"), [upstream.address.to_string()]);
    assert_eq!(answer.header("x-private"), None);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("x-public"), Some("2"));
    assert_eq!(answer.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[test]
fn large_bodies_go_both_ways() {
    let upstream = Upstream::start(|incoming| {
        let body = incoming.body();
        incoming.answer("200 OK", &[], &body);
        true
    });
    let (_folder, node) = node_before(&upstream, "");
    // Larger than the limit on bodies that filters read: nobody reads this one.
    let body: Vec<u8> = (0..20_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let answer = node.post("/up/1").body(body.clone()).send().status(200);
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    assert_eq!(
        values(&upstream.heads()[0], "content-length"),
        [body.len().to_string()],
        "a known length goes upstream"
    );
}

/// The upstream gets the first part before the client has sent the last, and the other way round.
#[test]
fn bodies_stream_both_ways() {
    let (send, arrived) = mpsc::channel();
    let upstream = Upstream::start(move |incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = incoming.chunk() {
            send.send(chunk.clone()).unwrap();
            incoming.send(
                format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(&chunk).to_uppercase()).as_bytes(),
            );
        }
        incoming.send(b"0\r\n\r\n");
        true
    });
    let (_folder, node) = node_before(&upstream, "");
    let mut wire = Wire::open(node.address);
    wire.send("POST /up/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut head = None;
    for word in ["one", "two", "three"] {
        wire.send(format!("{:x}\r\n{word}\r\n", word.len()));
        let chunk = arrived.recv_timeout(DEADLINE).expect("it arrives before the body ends");
        assert_eq!(chunk, word.as_bytes());
        let head = head.get_or_insert_with(|| wire.head().expect("an answer's head"));
        assert_eq!(head.status, 200);
        let mut came = String::new();
        while !came.contains(&word.to_uppercase()) {
            came.push_str(&String::from_utf8_lossy(&wire.read_some()));
        }
    }
    wire.send("0\r\n\r\n");
}

#[test]
fn connections_to_the_upstream_are_kept() {
    let upstream = Arc::new(AtomicUsize::new(0));
    let count = upstream.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let (mut stream, mut buffer, mut head) = (stream, [0; 1024], Vec::new());
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    head.extend_from_slice(&buffer[..read]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                    }
                }
            });
        }
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &format!("[upstream.up]\ntargets = [\"http://{address}\"]\n"));
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    let mut wire = Wire::open(node.address);
    for _ in 0..50 {
        assert_eq!(node.get("/up/1").send_on(&mut wire).expect("an answer").status, 200);
    }
    assert!(upstream.load(Ordering::SeqCst) <= 2, "{} connections for 50 requests", upstream.load(Ordering::SeqCst));
    // A reload that does not touch the upstream keeps its connections.
    folder.write("policies/other.toml", "route = \"/other\"\n[[filter]]\nuse = \"respond\"\ntext = \"x\"\n");
    node.reload();
    assert_eq!(node.get("/up/1").send_on(&mut wire).expect("the client's connection is not cut either").status, 200);
    assert!(upstream.load(Ordering::SeqCst) <= 2);
}

#[test]
fn an_upstream_that_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = Folder::shipped();
    folder.append("node.toml", &format!("[upstream.up]\ntargets = [\"http://{address}\"]\n"));
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    let answer = node.get("/up/1").send().status(502);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(!answer.text().contains(&address.port().to_string()), "never an internal name: {}", answer.text());
}

#[test]
fn an_upstream_that_is_silent() {
    let upstream = Upstream::start(|_| {
        std::thread::sleep(Duration::from_secs(60));
        false
    });
    let (_folder, node) = node_before(&upstream, "timeouts = { first_byte = \"300ms\" }");
    let start = Instant::now();
    node.get("/up/1").send().status(504);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn an_upstream_that_stops_in_the_middle() {
    let upstream = Upstream::start(|incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        match incoming.lines[0].as_str() {
            line if line.contains("silent") => std::thread::sleep(Duration::from_secs(60)),
            _ => {}
        }
        false
    });
    let (_folder, node) = node_before(&upstream, "timeouts = { idle = \"300ms\" }");
    for target in ["/up/broken", "/up/silent"] {
        let start = Instant::now();
        let answer = node.get(target).send();
        assert_eq!((answer.status, answer.whole), (200, false), "the client sees that it broke off: {target}");
        assert_eq!(answer.body, b"half");
        assert!(start.elapsed() < Duration::from_secs(10), "{target}: {:?}", start.elapsed());
    }
}

#[test]
fn an_upstream_that_speaks_no_http() {
    let upstream = Upstream::start(|incoming| {
        incoming.send(match incoming.lines[0].as_str() {
            line if line.contains("closed") => b"",
            line if line.contains("lengths") => b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            line if line.contains("header") => b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n",
            _ => b"220 mail.example.com ESMTP\r\n\r\n",
        });
        false
    });
    let (_folder, node) = node_before(&upstream, "");
    for target in ["/up/mail", "/up/closed", "/up/lengths", "/up/header"] {
        node.get(target).send().status(502);
    }
}

/// It has seen enough and closes; the client, which sends all before it reads, has its answer.
#[test]
fn an_upstream_that_answers_before_the_end_of_the_request() {
    let upstream = Upstream::start(|incoming| {
        incoming.answer("413 Content Too Large", &[("Connection", "close")], b"too large");
        false
    });
    let (_folder, node) = node_before(&upstream, "");
    for _ in 0..20 {
        let mut wire = Wire::open(node.address);
        wire.send("POST /up/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 12000000\r\n\r\n");
        wire.try_send(vec![b'x'; 12_000_000]).expect("all of it is taken");
        let answer = wire.answer().expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (413, "too large"));
    }
}

/// A request that may be sent twice is sent again where a kept connection turned out to be closed; nothing is answered 502 for it.
#[test]
fn a_kept_connection_that_was_closed() {
    let upstream = Upstream::start(|incoming| {
        incoming.answer("200 OK", &[], b"ok");
        false
    });
    let (_folder, node) = node_before(&upstream, "");
    for _ in 0..30 {
        node.get("/up/1").send().status(200);
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_client_that_goes_away_ends_the_upstreams_request() {
    let (send, ended) = mpsc::channel();
    let upstream = Upstream::start(move |incoming| {
        use std::io::Write;
        incoming.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        while incoming.stream.write_all(&chunk).is_ok() {}
        send.send(()).unwrap();
        false
    });
    let (_folder, node) = node_before(&upstream, "");
    let mut wire = Wire::open(node.address);
    wire.send("GET /up/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.head().expect("a head").status, 200);
    drop(wire);
    ended.recv_timeout(DEADLINE).expect("the upstream is told");
}

#[test]
fn answers_without_a_body_and_head() {
    let upstream = Upstream::start(|incoming| {
        let line = incoming.lines[0].clone();
        match line.split(' ').nth(1).unwrap_or_default() {
            "/up/204" => incoming.send(b"HTTP/1.1 204 No Content\r\n\r\n"),
            "/up/304" => incoming.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
            _ if line.starts_with("HEAD") => incoming.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"),
            _ => incoming.answer("200 OK", &[], b"x"),
        }
        true
    });
    let (_folder, node) = node_before(&upstream, "");
    let mut wire = Wire::open(node.address);
    assert_eq!(node.get("/up/204").send_on(&mut wire).expect("an answer").status, 204);
    assert_eq!(node.get("/up/304").send_on(&mut wire).expect("an answer").header("etag"), Some("\"x\""));
    let head = node.request("HEAD", "/up/1").send_on(&mut wire).expect("an answer");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("12345"), 0));
    assert_eq!(node.get("/up/1").send_on(&mut wire).expect("the connection is still in step").body, b"x");
}

#[test]
fn a_policy_may_answer_for_an_upstream_that_fails() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[upstream.up]\ntargets = [\"http://127.0.0.1:1\"]\n");
    folder.write(
        "policies/up.toml",
        "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\non_abort = \"sorry\"\n\
         [[chain.sorry]]\nuse = \"respond\"\nstatus = 503\ntext = \"back soon\"\n",
    );
    let node = Node::start(&folder);
    wait_until("the policy's own answer", || node.get("/up/1").send().text() == "back soon");
    node.get("/up/1").send().status(503);
}

/// An upstream may not be the node's own admin address.
#[test]
fn the_admin_address_is_no_upstream() {
    let folder = Folder::shipped();
    folder.append(
        "node.toml",
        "[admin]\naddress = \"127.0.0.1:8099\"\n[upstream.up]\ntargets = [\"http://127.0.0.1:8099\"]\n",
    );
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    folder.run(["check"]).code(1).says("node.toml:");
}

/// Bytes in a coding that nobody here undoes are not passed on under a name that is not theirs.
#[test]
fn an_upstreams_transfer_coding_is_chunked_or_none() {
    let upstream = Upstream::start(|incoming| {
        let codings = match incoming.lines[0].as_str() {
            line if line.contains("chunked") => "Transfer-Encoding: Chunked\r\n",
            line if line.contains("gzip-both") => "Transfer-Encoding: gzip, chunked\r\n",
            line if line.contains("gzip-alone") => "Transfer-Encoding: gzip\r\n",
            line if line.contains("identity") => "Transfer-Encoding: identity\r\n",
            line if line.contains("twice") => "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            _ => "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        };
        incoming.send(format!("HTTP/1.1 200 OK\r\n{codings}\r\n2\r\nok\r\n0\r\n\r\n").as_bytes());
        false
    });
    let (_folder, node) = node_before(&upstream, "");
    assert_eq!(node.get("/up/chunked").send().status(200).text(), "ok");
    for target in ["/up/gzip-both", "/up/gzip-alone", "/up/identity", "/up/twice", "/up/two-lines"] {
        let answer = node.get(target).send();
        assert_eq!(answer.status, 502, "{target}");
    }
}

/// RFC 9110, section 8.6.
#[test]
fn a_204_has_no_length() {
    let upstream = Upstream::start(|incoming| {
        incoming.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
        false
    });
    let (_folder, node) = node_before(&upstream, "");
    for method in ["GET", "HEAD", "DELETE"] {
        let answer = node.request(method, "/up/1").send().status(204);
        assert_eq!(answer.header("content-length"), None, "{method}");
    }
}
