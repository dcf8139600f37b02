//! What browsers and other people's clients get of the filters `cors`, `compress`, `decompress`, `static-files`, `redirect`, `rewrite`,
//! `set-method` and `set-body`. curl is who asks, where it knows better than we do.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};

use crate::harness::upstream::{Upstream, values};
use crate::harness::{DEADLINE, Folder, Node};

const APP: &str = "https://app.example.com";

fn url(node: &Node, path: &str) -> String {
    format!("http://{}{path}", node.address)
}

/// What curl prints.
#[track_caller]
fn curl(args: &[&str]) -> Vec<u8> {
    let ran = Command::new("curl").args(["-sS", "--max-time", "60"]).args(args).output().expect("curl is there");
    assert!(ran.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// The bytes, compressed by gzip(1).
fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip is there");
    let mut stdin = gzip.stdin.take().unwrap();
    let bytes = bytes.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let mut out = Vec::new();
    gzip.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    writer.join().unwrap();
    assert!(gzip.wait().unwrap().success());
    out
}

#[test]
fn pages_of_named_origins_read_the_answers_and_no_others() {
    let folder = Folder::shipped();
    let upstream = Upstream::start(|incoming| {
        incoming.answer("200 OK", &[("Access-Control-Allow-Origin", "*"), ("Vary", "Accept")], b"read");
        true
    });
    folder.append("node.toml", &upstream.toml("up"));
    folder.write(
        "policies/app.toml",
        &format!(
            "route = {{ path = \"/app/**\", methods = [\"GET\", \"PUT\"] }}\n[[filter]]\nuse = \"cors\"\norigins = [\"{APP}\"]\n\
             [[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n"
        ),
    );
    let node = Node::start(&folder);
    let asks = |origin: &str| {
        let asked = node.request("OPTIONS", "/app/x").header("Origin", origin);
        asked.header("Access-Control-Request-Method", "PUT").send()
    };
    let told = asks(APP).status(204);
    assert_eq!(told.header("access-control-allow-origin"), Some(APP));
    assert_eq!(told.header("access-control-allow-methods"), Some("GET, PUT, HEAD"));
    assert_eq!(told.header("content-length"), None, "RFC 9110, section 8.6: a 204 has no length");
    assert_eq!(asks("https://evil.example").status(403).header("access-control-allow-origin"), None);
    assert_eq!(upstream.heads().len(), 0, "nothing of this reached the upstream");
    for (origin, allowed) in [(APP, Some(APP)), ("https://evil.example", None), ("null", None)] {
        let read = node.get("/app/x").header("Origin", origin).send().status(200);
        assert_eq!((read.header("access-control-allow-origin"), read.text().as_str()), (allowed, "read"), "{origin}");
        assert!(read.all("vary").any(|value| value == "origin"), "{origin}");
    }
    let plain = node.request("OPTIONS", "/app/x").send().status(204);
    assert_eq!(plain.header("allow"), Some("GET, PUT, HEAD, OPTIONS"));
}

/// D47, at a node as it ships.
#[test]
fn rfc9700_4_11_applications_in_browsers_use_the_oauth_endpoints_and_not_the_pages() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    for (path, method) in [
        ("/api/oauth/token", "POST"),
        ("/api/oauth/revoke", "POST"),
        ("/api/oauth/userinfo", "GET"),
        ("/api/oauth/jwks", "GET"),
        ("/.well-known/oauth-authorization-server", "GET"),
        ("/.well-known/openid-configuration", "GET"),
    ] {
        let asked = node.request("OPTIONS", path).header("Origin", APP).header("Access-Control-Request-Method", method);
        let told = asked.header("Access-Control-Request-Headers", "authorization").send().status(204);
        assert_eq!(told.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(told.header("access-control-allow-credentials"), None, "{path}");
        let answer = node.request(method, path).header("Origin", APP).send();
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}: {answer:?}");
    }
    for path in
        ["/api/oauth/authorize", "/api/oauth/introspect", "/api/oauth/device", "/api/oauth/verify", "/api/oauth/logout"]
    {
        for method in ["GET", "POST", "OPTIONS"] {
            let asked =
                node.request(method, path).header("Origin", APP).header("Access-Control-Request-Method", "POST");
            assert_eq!(asked.send().header("access-control-allow-origin"), None, "{method} {path}");
        }
    }
}

const COMPRESSED: &str =
    "route = \"/up/**\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n[[response]]\nuse = \"compress\"\n";

#[test]
fn answers_are_compressed_by_what_a_client_accepts() {
    let text: &'static str = Box::leak("a line that comes again\n".repeat(50_000).into_boxed_str());
    let upstream = Upstream::start(move |incoming| {
        incoming.answer("200 OK", &[("Content-Type", "text/plain"), ("ETag", "\"1\"")], text.as_bytes());
        true
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write("policies/up.toml", COMPRESSED);
    let node = Node::start(&folder);
    assert_eq!(curl(&["--compressed", &url(&node, "/up/a")]), text.as_bytes());
    for (accept, coding, tag) in
        [("gzip", Some("gzip"), "W/\"1\""), ("br;q=1, gzip;q=0.1", Some("br"), "W/\"1\""), ("identity", None, "\"1\"")]
    {
        let answer = node.get("/up/a").header("Accept-Encoding", accept).send().status(200);
        assert_eq!((answer.header("content-encoding"), answer.header("etag")), (coding, Some(tag)), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{accept}");
        assert_eq!(answer.body.len() == text.len(), coding.is_none(), "{accept}: {}", answer.body.len());
    }
}

#[test]
fn compressed_events_arrive_when_they_are_sent() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        incoming.send(b"b\r\ndata: one\n\n\r\n");
        // The second one is sent only once the first has arrived.
        let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
        incoming.send(b"b\r\ndata: two\n\n\r\n0\r\n\r\n");
        false
    });
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write("policies/up.toml", COMPRESSED);
    let node = Node::start(&folder);
    let mut asks = Command::new("curl")
        .args(["-sSN", "--max-time", "60", "--compressed", "-H", "Accept-Encoding: gzip", &url(&node, "/up/events")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is there");
    let mut lines = BufReader::new(asks.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "data: one");
    go_on.send(()).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(rest, ["", "data: two", ""]);
    assert!(asks.wait().unwrap().success());
}

#[test]
fn compressed_requests_are_read_and_bombs_are_not() {
    let upstream = Upstream::echo();
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write(
        "policies/up.toml",
        "route = \"/up/**\"\n[[filter]]\nuse = \"decompress\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n",
    );
    let node = Node::start(&folder);
    let send = |coding: &str, body: &[u8]| node.post("/up/a").header("Content-Encoding", coding).body(body).send();
    let echoed = send("gzip", &gzipped(b"an order")).status(200).text();
    assert!(echoed.ends_with("\n\nan order") && !echoed.to_lowercase().contains("content-encoding"), "{echoed}");
    let bomb = gzipped(&vec![b'0'; 200_000_000]);
    assert!(bomb.len() < 1_000_000, "{} bytes are within the limit of what is read", bomb.len());
    send("gzip", &bomb).status(413);
    send("gzip", b"no gzip").status(400);
    assert_eq!(send("lzma", b"x").status(415).header("accept-encoding"), Some("zstd, br, gzip"));
    assert_eq!(upstream.heads().len(), 1, "the others went nowhere");
    send("gzip", &gzipped(b"still there")).status(200);
}

fn site(more: &str) -> (Folder, Node) {
    let folder = Folder::shipped();
    folder.write("site/index.html", "<h1>Home</h1>");
    folder.write("site/docs/index.html", "<h1>Docs</h1>");
    folder.write("site/app.js", "first");
    folder.write(
        "policies/site.toml",
        &format!("route = \"/**\"\n[[filter]]\nuse = \"static-files\"\nfolder = \"site\"\n{more}"),
    );
    let node = Node::start(&folder);
    (folder, node)
}

#[test]
fn files_of_a_folder_and_those_that_changed() {
    let (folder, node) = site("");
    let first = node.get("/app.js").send().status(200);
    assert_eq!(
        (first.text().as_str(), first.header("content-type")),
        ("first", Some("text/javascript; charset=utf-8"))
    );
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(node.get("/app.js").header("If-None-Match", &tag).send().status(304).body.len(), 0);
    folder.write("site/app.js", "other");
    let other = node.get("/app.js").header("If-None-Match", &tag).send().status(200);
    assert_eq!(other.text(), "other", "without a reload");
    assert_eq!(curl(&["-L", &url(&node, "/docs")]), b"<h1>Docs</h1>");
    assert_eq!(curl(&["-r", "1-3", &url(&node, "/app.js")]), b"the");
    let head = node.request("HEAD", "/app.js").send().status(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("5"), 0));
    node.post("/app.js").send().status(405);
    fs::remove_file(folder.at("site/app.js")).unwrap();
    node.get("/app.js").send().status(404);
}

#[test]
fn nothing_outside_of_the_folder_is_given_out() {
    let (folder, node) = site("");
    folder.write("secret.txt", "secret");
    folder.write("site/.env", "secret");
    symlink(folder.at("secret.txt"), folder.at("site/link.txt")).unwrap();
    symlink("..", folder.at("site/up")).unwrap();
    for path in ["/link.txt", "/up/secret.txt", "/.env", "/secret.txt", "/up/node.toml"] {
        let refused = node.get(path).send().status(404);
        assert!(!refused.text().contains("secret"), "{path}");
    }
    for path in ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/x/..;/secret.txt", "/a%00.txt"] {
        let refused = node.get(path).send().status(400);
        assert!(!refused.text().contains("secret\n"), "{path}");
    }
    for named in [".", "policies", "var", "stores"] {
        folder.write(
            "policies/site.toml",
            &format!("route = \"/**\"\n[[filter]]\nuse = \"static-files\"\nfolder = \"{named}\"\n"),
        );
        folder.run(["check", "--no-tests"]).code(1).says("holds the configuration itself");
    }
}

#[test]
fn large_files_stream_and_resume() {
    let (folder, node) = site("");
    let large: Vec<u8> = (0..4_000_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.at("site/large.bin"), &large).unwrap();
    assert!(curl(&[&url(&node, "/large.bin")]) == large, "all of it");
    let partly = folder.at("partly.bin");
    fs::write(&partly, &large[..5_000_001]).unwrap();
    curl(&["-C", "-", "-o", partly.to_str().unwrap(), &url(&node, "/large.bin")]);
    assert!(fs::read(&partly).unwrap() == large, "the rest of it");
}

#[test]
fn an_application_of_one_page() {
    let (_folder, node) = site("fallback = \"index.html\"\n");
    let page = |path: &str, accept: &str| node.get(path).header("Accept", accept).send();
    assert_eq!(page("/orders/7", "text/html,*/*;q=0.8").status(200).text(), "<h1>Home</h1>");
    page("/gone.js", "*/*").status(404);
    node.get("/.well-known/openid-configuration").send().status(200);
}

#[test]
fn redirects_lead_where_the_policy_says() {
    let folder = Folder::shipped();
    folder.write(
        "policies/old.toml",
        "route = \"/old/{*rest}\"\n[[filter]]\nuse = \"redirect\"\nto = \"/new/${path.rest}\"\n",
    );
    folder
        .write("policies/new.toml", "route = \"/new/**\"\n[[filter]]\nuse = \"respond\"\ntext = \"${request.uri}\"\n");
    folder.write("policies/https.toml", "route = \"/https/**\"\n[[filter]]\nuse = \"redirect\"\nscheme = \"https\"\nport = 8443\n[[filter]]\nuse = \"respond\"\n");
    let node = Node::start(&folder);
    assert_eq!(curl(&["-L", &url(&node, "/old/a%20b?c=d")]), b"/new/a%20b?c=d");
    let to = node.get("/https/a?b=c").send().status(308);
    assert_eq!(to.header("location"), Some("https://127.0.0.1:8443/https/a?b=c"));
    node.get("/old/%2Fevil.example/").send().status(307);
    let away = node.get("/old/%5Cevil.example").send();
    assert!(
        [307, 400].contains(&away.status) && !away.header("location").unwrap_or_default().contains('\\'),
        "{away:?}"
    );
}

#[test]
fn the_upstream_sees_another_request() {
    let upstream = Upstream::echo();
    let folder = Folder::shipped();
    folder.append("node.toml", &upstream.toml("up"));
    folder.write(
        "policies/up.toml",
        "route = \"/up/{id}\"\n[[filter]]\nuse = \"set-method\"\nmethod = \"POST\"\n\
         [[filter]]\nuse = \"rewrite\"\nmatch = \"^/up/(.*)$\"\nreplace = \"/rpc/$1\"\nkeep_query = [\"page\"]\nset_query = { by = \"a&b\" }\n\
         [[filter]]\nuse = \"set-body\"\njson = { id = \"${path.id}\" }\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n",
    );
    let node = Node::start(&folder);
    let seen = node.request("DELETE", "/up/a%20b?page=2&debug=1").body("old").send().status(200).text();
    assert!(seen.starts_with("POST /rpc/a%20b?page=2&by=a%26b HTTP/1.1\n"), "{seen}");
    assert!(seen.ends_with("\n\n{\"id\":\"a b\"}"), "{seen}");
    let head = &upstream.heads()[0];
    assert_eq!(
        (values(head, "content-length"), values(head, "content-type")),
        (vec!["12".to_owned()], vec!["application/json".to_owned()])
    );
    let head = node.request("HEAD", "/up/x").send().status(200);
    assert_eq!(head.body.len(), 0);
}
