//! `portcullis init --template`: each one is right as it is made, and does what it promises.

use std::net::SocketAddr;

use crate::harness::upstream::{Upstream, values};
use crate::harness::{Folder, Node, Request, portcullis};

/// The template, in a folder of its own: nothing to warn of, in the one style, and tests that pass, reach everything and would
/// notice the loss of anything.
#[track_caller]
fn made(template: &str) -> Folder {
    let folder = Folder::empty();
    portcullis(folder.path(), ["init", ".", "--template", template]).code(0);
    folder.run(["check", "--deny", "warnings"]).code(0).says("all is well");
    folder.run(["fmt", "--check"]).code(0);
    folder.run(["test", "--coverage", "--min", "100"]).code(0).says(", 0 failed");
    folder.run(["test", "--mutants"]).code(0).says(" 0 survive");
    folder
}

/// The values of a header of the request that came to the upstream last.
fn seen(upstream: &Upstream, name: &str) -> Vec<String> {
    values(upstream.heads().last().expect("a request"), name)
}

fn token(node: &Node, folder: &Folder, id: &str, scope: &str) -> String {
    node.token(&folder.client(id, scope, &[]))
}

#[test]
fn token_server_is_what_init_makes_by_itself() {
    let (plain, named) = (Folder::shipped(), made("token-server"));
    for path in ["node.toml", "policies/oauth/token.toml", "stores/stores.toml"] {
        assert_eq!(plain.read(path), named.read(path));
    }
    let node = Node::start(&named);
    let token = token(&node, &named, "app", "a");
    node.tokeninfo(&token).status(200);
    node.get("/orders/1").bearer(&token).send().status(404);
}

#[test]
fn protect_an_api_reads_with_one_scope_and_writes_with_another() {
    let folder = made("protect-an-api");
    let upstream = Upstream::echo();
    folder.edit("node.toml", "http://127.0.0.1:9001", &format!("http://{}", upstream.address));
    let node = Node::start(&folder);
    node.get("/orders/1").send().status(401);
    let reader = token(&node, &folder, "reader", "orders:read");
    let answer = node.get("/orders/1").bearer(&reader).header("X-Client", "another").send().status(200);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(seen(&upstream, "x-client"), ["reader"]);
    node.post("/orders/1").bearer(&reader).body("{}").send().status(403);
}

#[test]
fn partner_gateway_knows_partners_and_keeps_them_from_the_internal_listener() {
    let folder = made("partner-gateway");
    let (orders, catalogue) = (Upstream::echo(), Upstream::echo());
    for address in ["127.0.0.1:8080", "127.0.0.1:8081"] {
        folder.edit("node.toml", &format!("\"{address}\""), "\"127.0.0.1:0\"");
    }
    let node = Node::on(&folder)
        .own_listeners()
        .env("ORDERS_URL", &format!("http://{}", orders.address))
        .env("CATALOGUE_URL", &format!("http://{}", catalogue.address))
        .start();
    let internal: SocketAddr = node.started["listeners"][1]["address"].as_str().unwrap().parse().unwrap();

    let shop = token(&node, &folder, "shop", "orders:read catalogue:read");
    let answer = node.get("/orders/1").bearer(&shop).header("X-Partner", "another").send().status(200);
    assert_eq!(seen(&orders, "x-partner"), ["shop"]);
    assert_eq!(seen(&orders, "x-partner-api"), ["orders"]);
    assert_eq!(seen(&orders, "x-correlation-id"), [answer.header("x-correlation-id").unwrap()]);
    node.get("/catalogue/shoes").bearer(&shop).send().status(200);
    assert!(catalogue.heads()[0][0].starts_with("GET /v3/shoes "), "{:?}", catalogue.heads());
    node.post("/orders").bearer(&shop).body("{}").send().status(403);

    let desk = token(&node, &folder, "desk", "orders:admin");
    node.request("DELETE", "/orders/1").bearer(&desk).send().status(403);
    let delete = |token: &str| Request::new(internal, "DELETE", "/orders/1").bearer(token).send();
    delete(&desk).status(200);
    delete(&shop).status(403);
}

/// Two nodes need one line: the checker names it, and is content with it.
#[test]
fn partner_gateway_shares_its_records_by_one_line() {
    let folder = made("partner-gateway");
    folder.edit("node.toml", "nodes = 1", "nodes = 2");
    folder.run(["check"]).code(1).says("P0402").says("default = \"shared\"");
    folder.edit("stores/stores.toml", "default = \"local\"", "default = \"shared\"");
    // Now a store uses the source, so what it needs is asked for; `check` goes on without.
    folder.run(["check"]).code(0).says("`DATABASE_URL` is not set");
}

#[test]
fn a_template_that_does_not_exist_is_wrong_usage() {
    let folder = Folder::empty();
    folder.run(["init", ".", "--template", "portal"]).code(2).says("partner-gateway");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}
