//! Bad input: the standard's error, never a 500, never a panic, and the node serves on.

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node};

const FORM: &str = "application/x-www-form-urlencoded";

/// A request as bytes, with this body and these headers beside `Host` and `Content-Length`.
fn request(target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n", body.len())
            .into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn forms_and_credentials_that_are_none() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let form: (&str, &[u8]) = ("Content-Type", FORM.as_bytes());
    let good = b"grant_type=client_credentials";
    let bodies: &[&[u8]] = &[
        b"",
        b"&",
        b"=",
        b"&&&=&",
        b"%",
        b"%zz",
        b"%f",
        b"grant_type=%",
        b"grant_type=%ff",
        b"grant_type=%C3%28",
        b"\xff\xfe\x00",
        b"grant_type",
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"{\"grant_type\": \"client_credentials\"}",
        b"grant_type=client_credentials&scope=%00",
        b"grant_type=client_credentials%00",
        b"a=1&a=2",
        b"token=",
        b"token=%00",
        b"access_token=%ff",
        b"grant_type=client%5Fcredentials;scope=a",
    ];
    let authorizations: &[&[u8]] = &[
        b"",
        b"Basic",
        b"Basic ",
        b"Basic =",
        b"Basic !!!",
        b"Basic YQ==",
        b"Basic Og==",
        b"Basic /////w==",
        b"Basic AAAA",
        b"Basic \xff",
        b"Basic YXBwOiUGZg==",
        b"Basic YXBwOiVmZg==",
        b"Basic YXBwOiV6eg==",
        b"Bearer",
        b"Bearer \x80",
        b"Digest x",
        b"Basic YXBwOng= YXBwOng=",
        b"\xc3\xbc",
    ];
    let endpoints = ["/api/oauth/token", "/api/oauth/introspect", "/api/oauth/revoke", "/api/oauth/tokeninfo"];
    let mut asked = 0;
    let mut ask = |endpoint: &str, headers: &[(&str, &[u8])], body: &[u8]| {
        asked += 1;
        let what = format!(
            "{endpoint} {} {}",
            headers.iter().map(|(n, v)| format!("{n}: {}", v.escape_ascii())).collect::<Vec<_>>().join(", "),
            body.escape_ascii()
        );
        let mut wire = Wire::open(node.address);
        let answer =
            wire.send(request(endpoint, headers, body)).answer().unwrap_or_else(|| panic!("no answer to {what}"));
        assert!((400..500).contains(&answer.status), "{} {} to {what}", answer.status, answer.text());
        let error = answer.json()["error"].as_str().map(str::to_owned);
        assert!(error.is_some(), "an OAuth error, not {} to {what}", answer.text());
    };
    for endpoint in endpoints {
        for body in bodies {
            ask(endpoint, &[form], body);
        }
        for authorization in authorizations {
            if endpoint != "/api/oauth/tokeninfo" {
                ask(endpoint, &[form, ("Authorization", authorization)], good);
            }
        }
        for media in [
            "",
            "text/plain",
            "application/json",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencodedx",
        ] {
            ask(endpoint, &[("Content-Type", media.as_bytes())], good);
        }
        ask(endpoint, &[], good);
    }
    assert!(asked > 150, "{asked}");
    // A parameter is no part of the media type.
    let answer = node.post("/api/oauth/token").basic("app", &client.secret);
    let answer =
        answer.header("Content-Type", "Application/X-WWW-Form-urlencoded; charset=UTF-8").body(&good[..]).send();
    answer.status(200);
    node.ask_token(&client, &[]).status(200);
}

#[test]
fn bodies_that_are_too_large() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let large = format!("grant_type=client_credentials&x={}", "a".repeat(2 * 1024 * 1024));
    for endpoint in ["/api/oauth/token", "/api/oauth/introspect", "/api/oauth/revoke", "/api/oauth/tokeninfo"] {
        let answer =
            node.post(endpoint).basic("app", &client.secret).header("Content-Type", FORM).body(large.as_str()).send();
        assert_eq!(answer.status, 413, "{endpoint}: {}", answer.text());
    }
    let mut wire = Wire::open(node.address);
    wire.send(format!(
        "POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    for _ in 0..40 {
        wire.send(&chunk);
    }
    assert_eq!(wire.send("0\r\n\r\n").answer().map(|answer| answer.status), Some(413));
    node.ask_token(&client, &[]).status(200);
}

#[test]
fn heads_that_are_too_large() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let megabyte = "a".repeat(1024 * 1024);
    let many = (0..5000).map(|at| format!("X-{at}: a\r\n")).collect::<String>();
    for head in [
        format!("GET /{megabyte} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /?{megabyte} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {megabyte}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{megabyte}: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!(
            "POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {megabyte}\r\nContent-Length: 0\r\n\r\n"
        ),
        megabyte.clone(),
    ] {
        let mut wire = Wire::open(node.address);
        wire.send(&head).finish();
        // Refused, or the connection is closed: both are right, a 5xx or a hang is not.
        if let Some(answer) = wire.answer() {
            assert!((400..500).contains(&answer.status), "{} to {}", answer.status, &head[..60]);
        }
    }
    node.ask_token(&client, &[]).status(200);
}

/// What is no HTTP, or could be read in two ways (RFC 9112), is refused and ends the connection.
#[test]
fn requests_that_are_none() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    folder.write("policies/any.toml", "route = \"/any/{*rest}\"\n[[filter]]\nuse = \"respond\"\ntext = \"reached\"\n");
    let node = Node::start(&folder);
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /any/1\r\n\r\n",
        "GET /any/1 HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: user@x\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        "GET /any/1 HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        "POST /any/1 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /any/1 HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
        "POST /any/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\na",
        "POST /any/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        "POST /any/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\na",
        "POST /any/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\na",
        "GET /any/../secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/%2e%2e/secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/%2E./secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/..;x=1/secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/%2e%2e;/secret HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /any/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET any/1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut wire = Wire::open(node.address);
        let answer = wire.send(bytes).finish().answer();
        let status = answer.as_ref().map(|answer| answer.status);
        assert!(status.is_none_or(|status| (400..500).contains(&status) || status == 505), "{status:?} to {bytes:?}");
        assert!(!answer.is_some_and(|answer| answer.text().contains("reached")), "{bytes:?}");
    }
    node.get("/any/1").send().status(200);
    node.get("/any/a..b").send().status(200);
    node.ask_token(&client, &[]).status(200);
}

/// `Content-Length` beside `Transfer-Encoding`: refused, or chunked counts and the connection is closed; never both.
#[test]
fn two_lengths_smuggle_nothing() {
    let folder = Folder::shipped();
    folder.write(
        "policies/any.toml",
        "route = \"/any/{*rest}\"\n[[filter]]\nuse = \"respond\"\ntext = \"${request.path}\"\n",
    );
    let node = Node::start(&folder);
    let smuggled = "GET /any/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (first, second) in [
        (format!("Content-Length: {}", 5 + smuggled.len()), "Transfer-Encoding: chunked"),
        (String::from("Transfer-Encoding: chunked"), "Content-Length: 4"),
        (String::from("Transfer-Encoding: xchunked"), "Content-Length: 4"),
        (String::from("Transfer-Encoding : chunked"), "Content-Length: 4"),
        (String::from("Transfer-Encoding: chunked"), "Transfer-Encoding: identity"),
    ] {
        let mut wire = Wire::open(node.address);
        wire.send(format!("POST /any/first HTTP/1.1\r\nHost: x\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\n{smuggled}"));
        let mut answers = Vec::new();
        while let Some(answer) = wire.answer() {
            answers.push((answer.status, answer.text()));
            if answers.len() > 2 {
                break;
            }
        }
        assert!(answers.len() <= 1, "the connection ends: {first} {second} {answers:?}");
        assert!(!answers.iter().any(|(_, text)| text.contains("smuggled")), "{first} {second} {answers:?}");
    }
}

/// What a client says ends up in a header, a host and a path of what goes upstream, and in none of them does it end a line.
#[test]
fn what_a_client_says_makes_no_header() {
    let upstream = Upstream::echo();
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    for (name, filters) in [
        (
            "header",
            "use = \"set-header\"\nset = { x-tenant = \"${request.query.v}\" }\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n",
        ),
        ("host", "use = \"proxy\"\nupstream = \"up\"\nhost = \"${request.query.v}\"\n"),
        ("path", "use = \"proxy\"\nupstream = \"up\"\nrewrite = \"/${request.query.v}\"\n"),
    ] {
        folder.write(&format!("policies/{name}.toml"), &format!("route = \"/{name}\"\n[[filter]]\n{filters}"));
    }
    let node = Node::start(&folder);
    for value in [
        "a%0d%0ax-admin:%201",
        "a%0ax-admin:%201",
        "a%0dx-admin:%201",
        "a%00",
        "a%20HTTP/1.1%0d%0ax-admin:%201%0d%0a%0d%0a",
    ] {
        for name in ["header", "host", "path"] {
            let answer = node.get(&format!("/{name}?v={value}")).send();
            assert!((400..500).contains(&answer.status), "{name} {value}: {}", answer.status);
        }
    }
    assert!(upstream.heads().is_empty());
    node.get("/header?v=a").send().status(200);
}

/// A connection that is to switch carries nothing that a policy did not see, as long as nobody switched it.
#[test]
fn an_upgrade_smuggles_nothing() {
    let upstream = Upstream::echo();
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    let policy = "route = \"/up/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\nupgrade = [\"websocket\"]\n";
    folder.write("policies/up.toml", policy);
    let node = Node::start(&folder);
    let smuggled = "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n";
    let websocket = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (first, status) in [
        // An upstream that does not switch: what comes behind is the gateway's next request, which has no route.
        (format!("GET /up/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{websocket}\r\n\r\n"), 200),
        (
            format!(
                "GET /up/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{websocket}\r\nContent-Length: {}\r\n\r\n",
                smuggled.len()
            ),
            400,
        ),
        (
            format!(
                "POST /up/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{websocket}\r\nContent-Length: 0\r\n\r\n"
            ),
            400,
        ),
        (
            format!(
                "GET /up/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{}\r\n\r\n",
                websocket.replace("13", "99")
            ),
            426,
        ),
        (
            String::from(
                "GET /up/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
            ),
            200,
        ),
    ] {
        let mut wire = Wire::open(node.address);
        wire.send(format!("{first}{smuggled}GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let answer = wire.answer().unwrap_or_else(|| panic!("no answer to {first}")).status(status);
        assert!(!answer.text().to_lowercase().contains("http2-settings"), "{}", answer.text());
        while let Some(next) = wire.answer() {
            next.status(404);
        }
    }
    assert!(upstream.heads().iter().all(|head| head[0].contains("/up/1")), "{:?}", upstream.heads());
}

/// A client that goes away in the middle costs nothing.
#[test]
fn requests_that_break_off() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    for _ in 0..50 {
        let mut wire = Wire::open(node.address);
        wire.send(format!("POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\ngrant_type="));
        drop(wire);
        drop(Wire::open(node.address));
    }
    let mut wire = Wire::open(node.address);
    wire.send(format!(
        "POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    ))
    .finish();
    if let Some(answer) = wire.answer() {
        assert_eq!(answer.status, 400);
    }
    node.ask_token(&client, &[]).status(200);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

/// `limits.body_timeout`: a client that begins a body and sends nothing more of it.
#[test]
fn a_body_that_stops() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[limits]\nbody_timeout = \"1s\"\n");
    let node = Node::start(&folder);
    let started = std::time::Instant::now();
    let mut wire = Wire::open(node.address);
    wire.send(format!(
        "POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 99\r\n\r\n"
    ));
    assert_eq!(wire.send("grant_type=").answer().map(|answer| answer.status), Some(400));
    let took = started.elapsed();
    assert!((1_000..10_000).contains(&took.as_millis()), "{took:?}");
    // Shorter pauses are none, however many: all of this one is read.
    let mut wire = Wire::open(node.address);
    wire.send(format!(
        "POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 6\r\n\r\n"
    ));
    for letter in ["a", "=", "b", "&", "c", "="] {
        std::thread::sleep(std::time::Duration::from_millis(250));
        wire.send(letter);
    }
    assert_eq!(wire.answer().expect("an answer").json()["error"], "invalid_client");
}

/// It would send a caller's credentials back to whoever made it ask.
#[test]
fn trace_is_not_served() {
    let folder = Folder::shipped();
    folder.write("policies/any.toml", "route = \"/any/{*rest}\"\n[[filter]]\nuse = \"respond\"\ntext = \"reached\"\n");
    let node = Node::start(&folder);
    let answer = node.request("TRACE", "/any/1").bearer("secret").send().status(501);
    assert!(!answer.text().contains("secret") && !answer.text().contains("reached"), "{}", answer.text());
}

/// Heads of which no policy hears are counted, whoever refuses them; a connection on which nothing came is none.
#[test]
fn malformed_heads_are_counted() {
    let folder = Folder::shipped();
    folder.append(
        "node.toml",
        "[limits]\nheader_timeout = \"400ms\"\nfirst_byte_timeout = \"2s\"\nidle_timeout = \"2s\"\n",
    );
    folder.write("policies/any.toml", "route = \"/any\"\n[[filter]]\nuse = \"respond\"\ntext = \"here\"\n");
    let node = Node::start(&folder);
    let counted = || {
        let text = crate::harness::Request::new(node.admin, "GET", "/metrics").send().status(200).text();
        let line = text.lines().find(|line| line.starts_with("portcullis_malformed_requests_total "));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).expect("the counter")
    };
    // Neither a connection without a request nor one that rests after its requests.
    let mut silent = Wire::open(node.address);
    let mut rests = Wire::open(node.address);
    let get = node.get("/any");
    assert_eq!(get.send_on(&mut rests).expect("an answer").text(), "here");
    rests.send(format!(
        "POST /api/oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 3\r\n\r\n"
    ));
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(rests.send("a=b").answer().map(|answer| answer.status), Some(401));
    // Nor is a body that was answered before it came.
    let mut late = Wire::open(node.address);
    late.send("POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(late.answer().map(|answer| answer.status), Some(200));
    late.send("a=b");
    assert!(silent.is_closed() && rests.is_closed() && late.is_closed());
    assert_eq!(counted(), 0);
    let large = format!("GET /any HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET /any HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(100));
    for (before, (bytes, status)) in [
        ("GET /any/../any HTTP/1.1\r\nHost: x\r\n\r\n", Some(400)),
        ("GET /any HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", Some(400)),
        (large.as_str(), Some(431)),
        (many.as_str(), Some(431)),
        ("GET /any HTTP/1.1\r\nHos", None),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(counted() as usize, before);
        let mut wire = Wire::open(node.address);
        let answer = wire.send(bytes).answer();
        assert_eq!(answer.map(|answer| answer.status), status, "{before}");
        crate::harness::wait_until("it is counted", || counted() as usize == before + 1);
    }
    // On a connection that was in use too.
    let mut wire = Wire::open(node.address);
    assert_eq!(get.send_on(&mut wire).expect("an answer").text(), "here");
    assert!(wire.send("GET /any HTTP/1.1\r\n").is_closed());
    crate::harness::wait_until("it is counted", || counted() == 6);
}

/// What a client sends stands in headers, hosts and paths that the gateway writes: it cannot end a line there and begin another.
#[test]
fn selectors_inject_no_headers() {
    let upstream = crate::harness::upstream::Upstream::echo();
    let folder = Folder::empty();
    folder.append("node.toml", &upstream.toml("up"));
    let proxy = "[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n";
    for (name, filters) in [
        ("request", format!("[[filter]]\nuse = \"set-header\"\nset = {{ x-a = \"${{request.query.a}}\" }}\n{proxy}")),
        ("added", format!("[[filter]]\nuse = \"set-header\"\nadd = {{ x-a = \"${{request.query.a}}\" }}\n{proxy}")),
        ("host", format!("{proxy}host = \"${{request.query.a}}\"\n")),
        ("rewrite", format!("{proxy}rewrite = \"/x/${{request.query.a}}\"\n")),
        (
            "response",
            format!(
                "{proxy}[[response]]\nuse = \"set-header\"\nof = \"response\"\nset = {{ x-a = \"${{request.query.a}}\" }}\n"
            ),
        ),
        ("cookie", "[[filter]]\nuse = \"respond\"\nheaders = { set-cookie = \"a=${request.query.a}\" }\n".into()),
        (
            "redirect",
            "[[filter]]\nuse = \"respond\"\nstatus = 302\nheaders = { location = \"/a?${request.query.a}\" }\n".into(),
        ),
        ("body", "[[filter]]\nuse = \"respond\"\nheaders = { x-a = \"${request.body}\" }\n".into()),
        ("json", "[[filter]]\nuse = \"respond\"\nheaders = { x-a = \"${request.json:$.a}\" }\n".into()),
    ] {
        folder.write(&format!("policies/{name}.toml"), &format!("route = \"/{name}\"\n{filters}"));
    }
    let node = Node::start(&folder);
    let attacks = [
        "b%0d%0aX-Injected:%20yes",
        "b%0aX-Injected:%20yes",
        "b%0dX-Injected:%20yes",
        "b%00",
        "b%0d%0a%0d%0a%3Cb%3E",
        "b%7f",
    ];
    for attack in attacks {
        for name in ["request", "added", "host", "rewrite", "response", "cookie", "redirect"] {
            let answer = node.get(&format!("/{name}?a={attack}")).send();
            assert_eq!(answer.status, 400, "{name} {attack}: {}", answer.text());
            assert_eq!(answer.header("x-injected"), None, "{name} {attack}");
        }
    }
    for line in upstream.heads().concat() {
        assert!(!line.to_ascii_lowercase().starts_with("x-injected"), "{line}");
    }
    node.post("/body").body("a\r\nX-Injected: yes").send().status(400);
    node.post("/json").body("{\"a\":\"b\\r\\nX-Injected: yes\"}").send().status(400);
    node.post("/json").body("{\"a\":\"\\u0000\"}").send().status(400);
    // A value that nobody would take is no header either.
    node.post("/body").body("a".repeat(100_000)).send().status(400);
    node.get("/host?a=evil.example/path").send().status(400);
    node.get("/host?a=user@evil.example").send().status(400);
    let seen = node.get("/host?a=a.example:8080").send().status(200).text();
    assert!(seen.to_ascii_lowercase().contains("host: a.example:8080"), "{seen}");
}

/// What stands in the log is one line a request, whatever a client puts into it.
#[test]
fn selectors_begin_no_lines_in_the_log() {
    let folder = Folder::empty();
    let fail = "[[filter]]\nuse = \"fail\"\nmessage = \"no ${request.query.a} here\"\n";
    folder.write("policies/fail.toml", &format!("route = \"/fail\"\n{fail}"));
    let node = Node::start(&folder);
    let forged = "x%0a2026-01-01T00:00:00Z%20%20INFO%20forged:%20all%20is%20well%0d%0aforged%1b[2J";
    node.get(&format!("/fail?a={forged}")).header("User-Agent", "forged\tagent").send().status(403);
    node.get(&format!("/{forged}")).send().status(400);
    crate::harness::wait_until("it is in the log", || node.log().matches("/fail").count() > 0);
    for line in node.log().lines() {
        assert!(!line.starts_with("2026-01-01T00:00:00Z") && !line.starts_with("forged"), "{line}");
        assert!(!line.contains("\u{1b}[2J"), "{line:?}");
    }
}

/// JSON that is nested a hundred thousand deep, wherever JSON is read: refused, and no stack ends.
#[test]
fn json_that_is_nested_deep() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    for (name, filters) in [
        ("path", "[[filter]]\nuse = \"json-path\"\ninto = { a = \"$..a\" }\nrequired = false\n"),
        ("selector", "[[filter]]\nuse = \"set\"\nvars = { a = \"${request.json:$.a ??}\" }\n"),
        ("cel", "[[filter]]\nuse = \"require\"\nthat = \"size(request.json) > 0\"\n"),
    ] {
        let answer = "[[filter]]\nuse = \"respond\"\ntext = \"reached\"\n";
        folder.write(&format!("policies/{name}.toml"), &format!("route = \"/{name}\"\n{filters}{answer}"));
    }
    let node = Node::start(&folder);
    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "[".repeat(129) + &"]".repeat(129)] {
        for name in ["path", "selector", "cel"] {
            let answer =
                node.post(&format!("/{name}")).header("Content-Type", "application/json").body(deep.as_str()).send();
            assert_eq!(answer.status, 400, "{name} {:.10}: {}", deep, answer.text());
        }
        let part = URL_SAFE_NO_PAD.encode(&deep);
        let assertion = format!("{part}.{part}.{part}");
        let answer = node
            .post("/api/oauth/token")
            .form(&[
                ("grant_type", "client_credentials"),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", &assertion),
            ])
            .send();
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        let answer =
            node.post("/api/oauth/introspect").basic("app", &client.secret).form(&[("token", &assertion)]).send();
        assert!((200..500).contains(&answer.status), "{}", answer.status);
    }
    assert!(!node.log().contains("panicked"), "{}", node.log());
    node.ask_token(&client, &[]).status(200);
}

/// Ten kilobytes that stand for ten megabytes: nothing here unpacks them, and what is read as something else is refused.
#[test]
fn compressed_bodies_are_not_read() {
    let upstream = crate::harness::upstream::Upstream::echo();
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    folder.append("node.toml", &upstream.toml("up"));
    let reads = "[[filter]]\nuse = \"json-path\"\ninto = { a = \"$.a\" }\n[[filter]]\nuse = \"respond\"\n";
    folder.write("policies/reads.toml", &format!("route = \"/reads\"\n{reads}"));
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x", "identity, gzip"] {
        let send = |path: &str, of: &str| {
            let request = node.post(path).header("Content-Type", of).header("Content-Encoding", coding);
            request.basic("app", &client.secret).body("{\"a\":1}").send().status
        };
        assert_eq!(send("/reads", "application/json"), 415, "{coding}");
        assert_eq!(send("/api/oauth/token", FORM), 415, "{coding}");
        // What nobody here reads is the upstream's.
        assert_eq!(send("/up", "application/json"), 200, "{coding}");
    }
    node.post("/reads").header("Content-Encoding", "identity").body("{\"a\":1}").send().status(200);
    node.ask_token(&client, &[]).status(200);
}

/// A megabyte of parameters of two bytes each would be fifty megabytes of them in memory.
#[test]
fn forms_and_queries_of_very_many_parameters() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    folder.write(
        "policies/query.toml",
        "route = \"/query\"\n[[filter]]\nuse = \"respond\"\ntext = \"${request.query.grant_type ?? none}\"\n",
    );
    let node = Node::start(&folder);
    let send = |count: usize| {
        let form = "a&".repeat(count) + "grant_type=client_credentials";
        node.post("/api/oauth/token").basic("app", &client.secret).header("Content-Type", FORM).body(form).send()
    };
    send(500_000).error(400, "invalid_request");
    send(1_000).error(400, "invalid_request");
    let query = |count: usize| node.get(&format!("/query?{}grant_type=x", "a&".repeat(count))).send().status;
    assert_eq!((query(999), query(1_000)), (200, 400));
    node.ask_token(&client, &[]).status(200);
}
