//! The proxied exchange: who the client is, what goes on with a request and with its answer.

use crate::harness::upstream::{Upstream, values};
use crate::harness::{Folder, Node};

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
