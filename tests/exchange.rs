//! The proxied exchange: who the client is, what goes on with a request and with its answer.

use std::io::{Read, Write};
use std::sync::{Mutex, mpsc};

use crate::harness::upstream::{Incoming, Upstream, values};
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node, wait_until};

const ECHO: &str = "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n";

fn node_before(upstream: &Upstream, node_toml: &str, policy: &str) -> (Folder, Node) {
    let folder = Folder::shipped();
    let own = folder.read("node.toml");
    folder.write("node.toml", &format!("{node_toml}{own}\n{}", upstream.toml("up")));
    folder.write("policies/up.toml", policy);
    let node = Node::start(&folder);
    (folder, node)
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[test]
fn trusted_proxies_say_who_the_client_is() {
    let upstream = Upstream::echo();
    let seen = "[[filter]]\nuse = \"set-header\"\nset = { x-seen = \"${request.client_ip} ${request.scheme} ${request.host}\" }\n";
    let policy = ECHO.replacen("[[filter]]", &format!("{seen}[[filter]]"), 1);
    let (_folder, node) = node_before(&upstream, "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n", &policy);
    let request = node
        .get("/up/1")
        .header("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.0.0.2")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "api.example.com")
        .header("X-Request-Id", "edge-7");
    let answer = request.send().status(200);
    let head = &upstream.heads()[0];
    assert_eq!(values(head, "x-seen"), ["203.0.113.9 https api.example.com"]);
    assert_eq!(values(head, "x-forwarded-for"), ["203.0.113.9, 10.0.0.2, 127.0.0.1"]);
    assert_eq!(values(head, "x-real-ip"), ["203.0.113.9"]);
    assert_eq!(values(head, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(head, "x-request-id"), ["edge-7"]);
    let first = "for=203.0.113.9;host=\"api.example.com\";proto=https";
    assert_eq!(values(head, "forwarded"), [format!("{first}, for=10.0.0.2, for=127.0.0.1")]);
    assert_eq!(values(head, "via"), ["1.1 portcullis"]);
    assert_eq!(answer.header("via"), Some("1.1 portcullis"));

    let standard = node.get("/up/2").header("Forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https");
    standard.send().status(200);
    let head = &upstream.heads()[1];
    assert!(values(head, "x-seen")[0].starts_with("2001:db8::1 https "), "{head:?}");
    for (one, other) in [("for=6.6.6.6", "203.0.113.9"), ("for=203.0.113.9;x=\"", "203.0.113.9")] {
        node.get("/up/3").header("Forwarded", one).header("X-Forwarded-For", other).send().status(400);
    }
}

/// `Via` tells a loop, and the node ends it; what passes one node after another is none.
#[test]
fn a_request_that_comes_round_is_refused_and_one_that_passes_two_nodes_is_not() {
    let upstream = Upstream::echo();
    let (_inner_folder, inner) = node_before(&upstream, "", ECHO);
    let folder = Folder::shipped();
    folder.write("policies/up.toml", ECHO);
    folder.write("node.toml", &format!("[upstream.up]\ntargets = [\"http://{}\"]\n", inner.address));
    Node::start(&folder).get("/up/1").send().status(200);
    assert_eq!(values(&upstream.heads()[0], "via"), ["1.1 portcullis", "1.1 portcullis"]);

    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = format!("[[listener]]\nname = \"public\"\naddress = \"{own}\"\n");
    folder.write("node.toml", &format!("{listener}[upstream.up]\ntargets = [\"http://{own}\"]\n"));
    folder.run(["check"]).code(0).says("P0718").says("the upstream `up` leads to the listener `public` of this node");
    let round = Node::on(&folder).own_listeners().start();
    round.get("/up/1").send().status(508);
    // Passed on eight times, and then refused.
    wait_until("each has its line", || round.log().matches("status=508").count() >= 9);
    assert_eq!(round.log().matches("status=508").count(), 9, "{}", round.log());
}

/// Whatever the method, and though nobody knows its length before its end: some search by `GET` with a body.
#[test]
fn a_body_goes_along_with_any_method() {
    let upstream = Upstream::start(|incoming| {
        let body = incoming.body();
        incoming.answer("200 OK", &[], &body);
        true
    });
    let (_folder, node) = node_before(&upstream, "", ECHO);
    for method in ["GET", "DELETE", "QUERY"] {
        let mut wire = Wire::open(node.address);
        let head = format!("{method} /up/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        wire.send(format!("{head}5\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(wire.answer().expect("an answer").text(), "hello", "{method}");
    }
    let mut wire = Wire::open(node.address);
    wire.send("GET /up/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.answer().expect("an answer").text(), "");
    let head = upstream.heads().pop().unwrap_or_default();
    assert!(values(&head, "transfer-encoding").is_empty(), "{head:?}");
}

#[test]
fn nobody_else_is_believed() {
    let upstream = Upstream::echo();
    let (_folder, node) = node_before(&upstream, "trusted_proxies = [\"10.0.0.0/8\"]\n", ECHO);
    let mut request = node.get("/up/1");
    for (name, value) in [
        ("Forwarded", "for=6.6.6.6;host=evil.example;proto=https"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Request-Id", "forged"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "evil=6.6.6.6"),
    ] {
        request = request.header(name, value);
    }
    request.send().status(200);
    let head = upstream.heads()[0].join("\n");
    for forged in ["6.6.6.6", "evil", "forged", TRACE] {
        assert!(!head.contains(forged), "{forged}: {head}");
    }
    assert!(head.to_lowercase().contains("x-forwarded-for: 127.0.0.1"), "{head}");
}

#[test]
fn a_trace_goes_on_or_begins_here() {
    let upstream = Upstream::echo();
    let (_folder, node) = node_before(&upstream, "trusted_proxies = [\"127.0.0.1\"]\n", ECHO);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let on = node.get("/up/1").header("traceparent", &parent);
    on.header("tracestate", "congo=t61rcWkgMzE").header("tracestate", "rojo=1").send().status(200);
    let head = &upstream.heads()[0];
    let [sent] = &values(head, "traceparent")[..] else { panic!("{head:?}") };
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-01") && !sent.contains(PARENT), "{sent}");
    assert_eq!(values(head, "tracestate"), ["congo=t61rcWkgMzE", "rojo=1"]);

    for broken in ["00-short", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
        node.get("/up/2").header("traceparent", broken).header("tracestate", "a=1").send().status(200);
        let head = upstream.heads().pop().expect("a request");
        let id = &values(&head, "x-request-id")[0];
        assert!(values(&head, "traceparent")[0].starts_with(&format!("00-{id}-")), "{head:?}");
        assert_eq!(values(&head, "tracestate"), [] as [&str; 0]);
    }
}

/// All that comes up to this text.
fn read_until(incoming: &mut Incoming, end: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(end.as_bytes()) && incoming.stream.read_exact(&mut byte).is_ok() {
        read.push(byte[0]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[test]
fn trailers_of_a_request_go_where_they_were_announced() {
    let upstream = Upstream::start(|incoming| {
        let body = read_until(incoming, "\r\n\r\n");
        incoming.answer("200 OK", &[], body.as_bytes());
        false
    });
    let policy =
        ECHO.replacen("[[filter]]", "[[filter]]\nuse = \"set-header\"\nset = { x-user = \"ann\" }\n[[filter]]", 1);
    let (_folder, node) = node_before(&upstream, "", &policy);
    let mut wire = Wire::open(node.address);
    wire.send("POST /up/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Host, X_User\r\n\r\n");
    wire.send(
        "2\r\nhi\r\n0\r\nX-Sum: 7\r\nHost: evil\r\nX_User: eve\r\nX-Other: 1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    );
    let answer = wire.answer_to("POST").expect("an answer").status(200);
    assert_eq!(answer.text().to_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
    let head = &upstream.heads()[0];
    assert_eq!(values(head, "trailer"), ["x-sum"]);
    assert_eq!((values(head, "x-user"), values(head, "host").len()), (vec![String::from("ann")], 1));
}

#[test]
fn trailers_of_an_answer_go_to_who_takes_them() {
    let upstream = Upstream::start(|incoming| {
        incoming
            .send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n2\r\nhi\r\n");
        incoming.send(b"0\r\nX-Sum: 7\r\nSet-Cookie: a=1\r\nX-Other: 1\r\n\r\n");
        true
    });
    let (_folder, node) = node_before(&upstream, "", ECHO);
    let takes = node.get("/up/1").header("TE", "trailers").header("Connection", "TE, close").send().status(200);
    assert_eq!((takes.text().as_str(), takes.whole), ("hi", true));
    assert_eq!((takes.header("trailer"), takes.header("x-sum")), (Some("x-sum"), Some("7")));
    assert_eq!((takes.header("set-cookie"), takes.header("x-other")), (None, None));
    let does_not = node.get("/up/2").send().status(200);
    assert_eq!((does_not.text().as_str(), does_not.whole), ("hi", true));
    assert_eq!((does_not.header("trailer"), does_not.header("x-sum")), (None, None));
    // The upstream's connection is as good as before.
    node.get("/up/3").send().status(200);
}

#[test]
fn trailers_have_a_limit() {
    let upstream = Upstream::start(|incoming| {
        read_until(incoming, "\r\n\r\n");
        false
    });
    let (_folder, node) = node_before(&upstream, "", ECHO);
    let mut wire = Wire::open(node.address);
    wire.send("POST /up/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\n");
    let line = format!("X-Sum: {}\r\n", "a".repeat(1000));
    for _ in 0..200 {
        wire.send(&line);
    }
    wire.send("\r\n");
    let answer = wire.answer_to("POST");
    assert!(answer.is_none_or(|answer| answer.status == 400));
    node.get("/api/nothing").send().status(404);
}

#[test]
fn the_body_is_asked_for_when_somebody_wants_it() {
    let upstream = Upstream::echo();
    let (_folder, node) = node_before(&upstream, "", ECHO);
    let expecting = |target: &str| {
        let mut wire = Wire::open(node.address);
        wire.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
        wire
    };
    let mut wanted = expecting("/up/1");
    assert_eq!(wanted.head().map(|head| head.status), Some(100));
    let answer = wanted.send("hi").answer_to("POST").expect("an answer").status(200);
    assert!(
        answer.text().ends_with("\n\nhi") && !answer.text().to_lowercase().contains("expect:"),
        "{}",
        answer.text()
    );
    // Nobody reads the body of what is refused, and there was nothing on the connection that would have to be read.
    assert_eq!(expecting("/nothing").head().map(|head| head.status), Some(404));
}

#[test]
fn an_upstream_that_is_not_there_asks_for_no_body() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[upstream.up]\ntargets = [\"http://127.0.0.1:1\"]\n");
    folder.write("policies/up.toml", ECHO);
    let node = Node::start(&folder);
    let mut wire = Wire::open(node.address);
    wire.send("POST /up/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.head().map(|head| head.status), Some(502));
}

#[test]
fn events_are_not_held_back() {
    let (seen, go_on) = mpsc::channel::<()>();
    let go_on = Mutex::new(go_on);
    let upstream = Upstream::start(move |incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for event in 0..3 {
            incoming.send(format!("data: {event}\n\n").as_bytes());
            go_on.lock().expect("a lock").recv_timeout(DEADLINE).expect("the client has it");
        }
        false
    });
    let (_folder, node) = node_before(&upstream, "", ECHO);
    let mut wire = Wire::open(node.address);
    wire.send("GET /up/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        wire.head().and_then(|head| head.header("content-type").map(str::to_owned)).as_deref(),
        Some("text/event-stream")
    );
    let mut text = String::new();
    for event in 0..3 {
        let expected = format!("data: {event}\n\n");
        while !text.contains(&expected) {
            text.push_str(&String::from_utf8_lossy(&wire.read_some()));
        }
        seen.send(()).expect("the upstream waits");
    }
}

#[test]
fn a_client_that_closes_its_half_has_gone() {
    let (tell, told) = mpsc::channel();
    let upstream = Upstream::start(move |incoming| {
        tell.send("begun").expect("the test waits");
        let mut byte = [0];
        let ended = matches!(incoming.stream.read(&mut byte), Ok(0) | Err(_));
        tell.send(if ended { "ended" } else { "more came" }).expect("the test waits");
        false
    });
    let (_folder, node) = node_before(&upstream, "", ECHO);
    let mut wire = Wire::open(node.address);
    wire.send("GET /up/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(told.recv_timeout(DEADLINE), Ok("begun"));
    wire.finish();
    assert_eq!(told.recv_timeout(DEADLINE), Ok("ended"));
    assert!(wire.is_closed());
}

const HANDSHAKE: &str = "GET /up/chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Switches, says `hello`, and sends back what comes.
fn chat() -> Upstream {
    Upstream::start(|incoming| {
        incoming.send(&[SWITCHED, b"hello "].concat());
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = incoming.stream.read(&mut bytes) {
            incoming.send(&bytes[..count]);
        }
        false
    })
}

fn upgrading(more: &str) -> String {
    format!("{ECHO}upgrade = [\"websocket\"]\n{more}\n")
}

/// Reads until so much has come.
fn read_exactly(wire: &mut Wire, length: usize) -> String {
    let mut read = Vec::new();
    while read.len() < length {
        let more = wire.read_some();
        assert!(!more.is_empty(), "it was closed after {:?}", String::from_utf8_lossy(&read));
        read.extend(more);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[test]
fn a_websocket_goes_through() {
    let upstream = chat();
    let (_folder, node) = node_before(&upstream, "", &upgrading(""));
    let mut wire = Wire::open(node.address);
    let head = wire.send(HANDSHAKE).head().expect("an answer").status(101);
    assert_eq!((head.header("upgrade"), head.header("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((head.header("content-length"), head.header("transfer-encoding")), (None, None));
    assert_eq!(read_exactly(&mut wire, 6), "hello ");
    for text in ["one", "two"] {
        wire.send(text);
        assert_eq!(read_exactly(&mut wire, 3), text);
    }
    let seen = &upstream.heads()[0];
    assert_eq!(
        (values(seen, "upgrade"), values(seen, "connection")),
        (vec!["websocket".into()], vec!["upgrade".into()])
    );
    assert_eq!(values(seen, "sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);

    // It ends on both sides where one ends, and is told of then.
    wire.finish();
    assert!(wire.is_closed());
    wait_until("the line in the log", || {
        let log = node.log();
        log.lines().any(|line| {
            ["/up/chat", "status=101", "outcome=\"closed\"", "received=6", "sent=12"]
                .iter()
                .all(|word| line.contains(word))
        })
    });
    let metrics = node.admin("GET", "/metrics").send().text();
    assert!(metrics.contains("upgrades_total 1"), "{metrics}");
}

#[test]
fn a_connection_that_switched_keeps_its_way_over_reloads() {
    let upstream = chat();
    let (folder, node) = node_before(&upstream, "", &upgrading(""));
    let mut wire = Wire::open(node.address);
    wire.send(HANDSHAKE).head().expect("an answer").status(101);
    assert_eq!(read_exactly(&mut wire, 6), "hello ");
    folder.write("policies/up.toml", "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"respond\"\ntext = \"other\"\n");
    node.reload();
    assert_eq!(node.get("/up/1").send().text(), "other");
    wire.send("still");
    assert_eq!(read_exactly(&mut wire, 5), "still");
}

#[test]
fn a_stream_ends_when_its_time_is_over() {
    let upstream = chat();
    let (_folder, node) = node_before(&upstream, "", &upgrading("max_stream = \"1s\""));
    let mut wire = Wire::open(node.address);
    wire.send(HANDSHAKE).head().expect("an answer").status(101);
    assert_eq!(read_exactly(&mut wire, 6), "hello ");
    assert!(wire.is_closed());
    wait_until("the line in the log", || node.log().contains("outcome=\"max_stream\""));
}

#[test]
fn a_stream_ends_with_the_token_that_let_it_in() {
    let events = Upstream::start(|incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        let mut byte = [0];
        // Until the gateway goes away.
        let _ = incoming.stream.read(&mut byte);
        false
    });
    let checked = "[[filter]]\nuse = \"oauth.validate-token\"\n[[filter]]\nuse = \"proxy\"";
    let policy = format!("{}max_stream = \"token\"\n", ECHO.replace("[[filter]]\nuse = \"proxy\"", checked));
    let folder = Folder::shipped();
    folder.append("node.toml", &events.toml("up"));
    folder.write("policies/up.toml", &policy);
    folder.edit("policies/oauth/token.toml", "lifetime = \"1h\"", "lifetime = \"2s\"");
    let node = Node::start(&folder);
    let client = folder.client("app", "read", &[]);
    let token = node.token(&client);
    let answer = node.get("/up/events").bearer(&token).send().status(200);
    assert_eq!(answer.text(), "data: 1\n\n");
    assert!(!answer.whole, "it was broken off");
}

#[test]
fn a_connection_switches_only_where_both_sides_agree() {
    // Not in the policy: nobody asks the upstream.
    let upstream = Upstream::echo();
    let (_folder, node) = node_before(&upstream, "", ECHO);
    let answer = Wire::open(node.address).send(HANDSHAKE).answer().expect("an answer").status(200);
    assert!(!answer.text().to_lowercase().contains("upgrade"), "{}", answer.text());

    for (said, status) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", 502),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", 502),
    ] {
        let upstream = Upstream::start(move |incoming| {
            incoming.send(said.as_bytes());
            false
        });
        let (_folder, node) = node_before(&upstream, "", &upgrading(""));
        Wire::open(node.address).send(HANDSHAKE).answer().expect("an answer").status(status);
    }
    // And never unasked.
    let upstream = chat();
    let (_folder, node) = node_before(&upstream, "", &upgrading(""));
    node.get("/up/chat").send().status(502);
}

#[test]
fn a_connection_that_switched_is_drained_and_then_cut() {
    let upstream = chat();
    let (_folder, mut node) = node_before(&upstream, "", &upgrading(""));
    let mut wire = Wire::open(node.address);
    wire.send(HANDSHAKE).head().expect("an answer").status(101);
    assert_eq!(read_exactly(&mut wire, 6), "hello ");
    node.signal("TERM");
    // As long as the drain lasts, it goes on.
    wire.send("still");
    assert_eq!(read_exactly(&mut wire, 5), "still");
    wire.finish();
    assert!(wire.is_closed());
    assert!(node.end().success());
}

#[test]
fn places_that_an_upstream_names_are_the_gateways() {
    let upstream = Upstream::start(|incoming| {
        let own = values(&incoming.lines, "host")[0].clone();
        let location = format!("http://{own}/v2/up/login?next=/v2");
        incoming.answer("302 Found", &[("Location", &location), ("Content-Location", "http://other.example/x")], b"");
        true
    });
    let policy = format!("{ECHO}rewrite = \"/v2${{request.path}}\"\n");
    let (_folder, node) = node_before(&upstream, "", &policy);
    let answer = node.get("/up/1").send().status(302);
    assert_eq!(answer.header("location"), Some("/up/login?next=/v2"));
    assert_eq!(answer.header("content-location"), Some("http://other.example/x"));
}

/// Connections that switched, and answers that stream, while the configuration changes a hundred times, their own policy included.
#[test]
fn a_hundred_reloads_cut_no_stream() {
    let upstream = Upstream::start(|incoming| {
        if incoming.lines[0].contains("/events") {
            incoming.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
            let event = |number: u32| format!("data: {number}\n\n").into_bytes();
            return (0..).any(|number| incoming.stream.write_all(&event(number)).is_err() || pause());
        }
        incoming.send(SWITCHED);
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = incoming.stream.read(&mut bytes) {
            incoming.send(&bytes[..count]);
        }
        false
    });
    let (folder, node) = node_before(&upstream, "", &upgrading(""));
    let mut switched: Vec<Wire> = (0..20).map(|_| Wire::open(node.address)).collect();
    for wire in &mut switched {
        wire.send(HANDSHAKE).head().expect("an answer").status(101);
    }
    let mut streams: Vec<Wire> = (0..5).map(|_| Wire::open(node.address)).collect();
    for wire in &mut streams {
        wire.send("GET /up/events HTTP/1.1\r\nHost: a\r\n\r\n").head().expect("an answer").status(200);
    }
    for round in 0..100 {
        folder.write("policies/up.toml", &format!("# {round}\n{}", upgrading("stream_idle = \"10m\"")));
        node.reload();
        let wire = &mut switched[round % 20];
        wire.send("still here");
        assert_eq!(read_exactly(wire, 10), "still here", "after {round} reloads");
        assert!(!streams[round % 5].read_some().is_empty(), "after {round} reloads");
    }
}

/// Between two events; never the end.
fn pause() -> bool {
    std::thread::sleep(std::time::Duration::from_millis(5));
    false
}
