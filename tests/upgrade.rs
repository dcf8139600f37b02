//! Upgrades: what a released program left in a database is taken over, whole. `tests/upgrades/record` writes the fixtures.

use serde_json::Value;

use crate::harness::folder::Client;
use crate::harness::mysql::Mysql;
use crate::harness::postgres::Postgres;
use crate::harness::{Folder, Node};

/// The schemas that were released.
const RELEASED: [u32; 3] = [1, 2, 3];

/// What `tests/upgrades/record` left: the statements, and what is to be found.
fn fixture(version: u32, kind: &str) -> (String, Value) {
    let read = |end: &str| {
        let path = format!("{}/tests/upgrades/{version}/{kind}.{end}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
    };
    (read("sql"), serde_json::from_str(&read("json")).expect("JSON"))
}

fn on(kind: &str, place: &str) -> Folder {
    let folder = Folder::shipped();
    folder.write("stores/stores.toml", &format!("default = \"store\"\n[source.store]\ntype = \"{kind}\"\n{place}\n"));
    folder
}

#[test]
fn sqlite() {
    for version in RELEASED {
        let (statements, left) = fixture(version, "sqlite");
        let folder = on("sqlite", "path = \"store.db\"");
        let file = rusqlite::Connection::open(folder.at("store.db")).unwrap();
        file.execute_batch(&statements).unwrap();
        drop(file);
        is_taken_over(&folder, &left);
    }
}

#[test]
fn postgres() {
    for version in RELEASED {
        let (statements, left) = fixture(version, "postgres");
        let (database, folder) = (Postgres::create(), on("postgres", "url = { file = \"url\" }"));
        database.execute(&statements);
        folder.write("url", &database.url());
        is_taken_over(&folder, &left);
    }
}

#[test]
fn mysql() {
    for version in RELEASED {
        let (statements, left) = fixture(version, "mysql");
        let (database, folder) = (Mysql::create(), on("mysql", "url = { file = \"url\" }"));
        database.execute(&statements);
        folder.write("url", &database.url());
        is_taken_over(&folder, &left);
    }
}

fn is_taken_over(folder: &Folder, left: &Value) {
    let text = |name: &str| left[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let node = Node::start(folder);
    let check = folder.run(["store", "check", "--json"]).code(0).stdout;
    assert!(check.contains("version 4"), "{check}");
    let client = |id: &str, secret: &str| Client { id: id.into(), secret: text(secret) };
    for (id, secret) in [("plain", "plain"), ("rotated", "old"), ("rotated", "new"), ("gone", "gone")] {
        let token = node.token(&client(id, secret));
        node.tokeninfo(&token).status(200);
    }
    node.ask_token(&client("disabled", "disabled"), &[]).status(401);
    assert_eq!(node.tokeninfo(&text("alive")).status(200).json()["audience"], "plain");
    node.tokeninfo(&text("revoked")).status(400);
    node.tokeninfo(&text("swept")).status(400);
    // What was taken over can be changed.
    folder.run(["token", "revoke", &text("alive")]).code(0);
    node.tokeninfo(&text("alive")).status(400);
    folder.run(["client", "enable", "disabled"]).code(0);
    folder.run(["client", "delete", "plain"]).code(0);
}
