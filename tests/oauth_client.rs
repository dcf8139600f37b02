//! The gateway as a client: tokens that it holds for its own calls.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, wait_until};

const STOCK: &str = r#"
route = "/stock/{*rest}"

[[filter]]
use      = "oauth-client.get-token"
provider = "partner"

[[filter]]
use      = "proxy"
upstream = "stock"
token    = "partner"
"#;

/// A token endpoint that counts, and answers once the gate is open; and an API that tells what credential it got.
struct Partner {
    at: Upstream,
    asked: Arc<AtomicU32>,
    gate: Arc<Mutex<()>>,
}

fn partner() -> Partner {
    let (asked, gate) = (Arc::<AtomicU32>::default(), Arc::<Mutex<()>>::default());
    let (count, wait) = (asked.clone(), gate.clone());
    let at = Upstream::start(move |incoming| {
        let body = String::from_utf8(incoming.body()).expect("text");
        if incoming.lines[0].starts_with("POST /token") {
            assert_eq!(body, "grant_type=client_credentials&scope=stock%3Aread");
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            drop(wait.lock());
            let json = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":600}}"#);
            incoming.answer("200 OK", &[("Content-Type", "application/json")], json.as_bytes());
        } else {
            let credential = incoming.all("authorization").join(" and ");
            incoming.answer("200 OK", &[], format!("{credential} {body}").trim_end().as_bytes());
        }
        true
    });
    Partner { at, asked, gate }
}

impl Partner {
    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    fn folder(&self) -> Folder {
        let folder = Folder::shipped();
        folder.write("secrets/partner", "geheim\n");
        let provider = format!(
            "\n[provider.partner]\ntoken_endpoint = \"http://{}/token\"\nclient_id = \"gateway\"\n\
             client_secret = {{ file = \"secrets/partner\" }}\nscopes = [\"stock:read\"]\n",
            self.at.address
        );
        folder.append("node.toml", &format!("{}{provider}", self.at.toml("stock")));
        folder.write("policies/stock.toml", STOCK);
        folder
    }
}

#[test]
fn one_request_to_the_provider_however_many_wait() {
    let partner = partner();
    let folder = partner.folder();
    let node = Node::start(&folder);
    let closed = partner.gate.lock().expect("no panic");
    let mut waiting: Vec<Wire> = Vec::new();
    for n in 0..30 {
        let mut wire = Wire::open(node.address);
        wire.send(format!("GET /stock/{n} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer of-the-client\r\n\r\n"));
        waiting.push(wire);
    }
    wait_until("the provider is asked", || partner.asked() > 0);
    drop(closed);
    for mut wire in waiting {
        let answer = wire.answer_to("GET").expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, "Bearer token-1".into()));
    }
    assert_eq!(partner.asked(), 1);
}

#[test]
fn what_was_got_is_kept_though_whoever_asked_is_gone() {
    let partner = partner();
    let folder = partner.folder();
    let node = Node::start(&folder);
    let closed = partner.gate.lock().expect("no panic");
    let mut wire = Wire::open(node.address);
    wire.send("GET /stock/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until("the provider is asked", || partner.asked() > 0);
    drop(wire);
    // The node has seen that the client is gone: a request behind it on another connection is served.
    node.get("/api/oauth/token").send().status(405);
    drop(closed);
    assert_eq!(node.get("/stock/2").send().status(200).text(), "Bearer token-1");
    assert_eq!(partner.asked(), 1);
}

#[test]
fn a_token_outlives_a_restart_and_a_reload_and_is_sealed() {
    let partner = partner();
    let folder = partner.folder();
    let mut node = Node::start(&folder);
    assert_eq!(node.get("/stock/1").send().status(200).text(), "Bearer token-1");
    node.signal("TERM");
    node.end();
    let node = Node::start(&folder);
    assert_eq!(node.get("/stock/1").send().status(200).text(), "Bearer token-1");
    folder.append("policies/stock.toml", "\n[[response]]\nuse = \"security-headers\"\n");
    node.reload();
    let posted = node.post("/stock/1").body("how many?").send().status(200).text();
    assert_eq!(posted, "Bearer token-1 how many?");
    assert_eq!(partner.asked(), 1);
    for file in ["var/portcullis.db", "var/portcullis.db-wal"] {
        let bytes = std::fs::read(folder.at(file)).unwrap_or_default();
        assert!(!bytes.windows(7).any(|window| window == b"token-1"), "{file} shows the token");
    }
    assert!(!node.log().contains("token-1") && !node.log().contains("geheim"), "{}", node.log());
}

/// A provider that nobody here stands in for: another node, found by its metadata.
#[test]
fn the_provider_may_be_another_portcullis() {
    let other = Folder::shipped();
    other.write(
        "policies/stock.toml",
        "route = \"/stock/{*rest}\"\n[[filter]]\nuse = \"oauth.validate-token\"\n[[filter]]\nuse = \"oauth.check-scope\"\n\
         asked = [\"stock:read\"]\nallowed = \"${token.scopes}\"\n[[filter]]\nuse = \"respond\"\ntext = \"for ${client.id}\"\n",
    );
    let gateway = other.client("gateway", "stock:read", &[]);
    let server = Node::start(&other);
    let folder = Folder::shipped();
    let address = server.address;
    folder.append(
        "node.toml",
        &format!(
            "\n[upstream.stock]\ntargets = [\"http://{address}\"]\n\n[provider.partner]\nissuer = \"http://{address}\"\n\
             client_id = \"gateway\"\nclient_secret = {{ env = \"PARTNER_SECRET\" }}\nscopes = [\"stock:read\"]\n"
        ),
    );
    folder.write("policies/stock.toml", STOCK);
    let node = Node::on(&folder).env("PARTNER_SECRET", &gateway.secret).start();
    assert_eq!(node.get("/stock/1").send().status(200).text(), "for gateway");
    other.run(["client", "disable", "gateway"]).code(0);
    // Its tokens are refused from now on, and it gets no other: the API's own answer is what the client sees.
    wait_until("the API refuses", || node.get("/stock/1").send().status == 401);
}

#[test]
fn a_provider_that_is_down_or_refuses_is_no_way_in() {
    let partner = partner();
    let folder = partner.folder();
    folder.edit("node.toml", "token_endpoint", "timeout = \"1s\"\ntoken_endpoint");
    let node = Node::start(&folder);
    let closed = partner.gate.lock().expect("no panic");
    let answer = node.get("/stock/1").send().status(503);
    assert!(answer.header("retry-after").is_some() && !answer.text().contains("partner"), "{}", answer.text());
    drop(closed);
    assert_eq!(node.get("/stock/1").send().status(200).text(), "Bearer token-2");
}
