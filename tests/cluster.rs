//! Two nodes, one token store: the main story, on PostgreSQL; and the trap that it ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::cassandra::Keyspace;
use crate::harness::folder::Client;
use crate::harness::mysql::Mysql;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::{Folder, Node, portcullis, wait_until};

/// A node's folder whose stores are on this database.
fn shared(database: &Postgres, name: &str) -> Folder {
    shared_on("postgres", &database.url(), name)
}

fn shared_on(kind: &str, url: &str, name: &str) -> Folder {
    let stores = format!("default = \"oauth-db\"\n[source.oauth-db]\ntype = \"{kind}\"\nurl = {{ file = \"url\" }}\n");
    let folder = Folder::of_two(name, &stores);
    folder.write("url", url);
    folder
}

#[test]
fn a_token_from_one_node_is_known_on_the_other() {
    let database = Postgres::create();
    is_known_on_the_other(shared(&database, "node-1"), shared(&database, "node-2"));
}

#[test]
fn on_mariadb_too() {
    let database = Mysql::create();
    let [first, second] = ["node-1", "node-2"].map(|name| shared_on("mysql", &database.url(), name));
    is_known_on_the_other(first, second);
}

#[test]
fn on_redis_too() {
    let server = Redis::create();
    let [first, second] = ["node-1", "node-2"].map(|name| server.folder(name, &server.url()));
    is_known_on_the_other(first, second);
}

#[test]
fn on_cassandra_too() {
    let keyspace = Keyspace::create();
    let [first, second] = ["node-1", "node-2"].map(|name| keyspace.folder(name));
    is_known_on_the_other(first, second);
}

#[cfg(feature = "odbc")]
#[test]
fn by_odbc_too() {
    let database = Postgres::create();
    let [first, second] = ["node-1", "node-2"].map(|name| crate::odbc::on(name, &database.url()));
    is_known_on_the_other(first, second);
}

fn is_known_on_the_other(first: Folder, second: Folder) {
    first.run(["check"]).code(0);
    let client = first.client("partner", "a", &[]);
    let (mut one, two) = (Node::start(&first), Node::start(&second));
    let token = one.token(&client);
    assert_eq!(two.tokeninfo(&token).status(200).json()["audience"], "partner");
    let form = [("token", token.as_str())];
    let introspected = two.post("/api/oauth/introspect").basic("partner", &client.secret).form(&form).send();
    assert_eq!(introspected.status(200).json()["active"], true);
    let hello = |node: &Node, token: &str| node.get("/hello").bearer(token).send();
    assert_eq!(hello(&two, &token).status(200).text(), "hello partner");

    two.post("/api/oauth/revoke").basic("partner", &client.secret).form(&form).send().status(200);
    hello(&one, &token).status(401);
    one.tokeninfo(&token).status(400);

    let token = one.token(&client);
    one.signal("KILL");
    one.end();
    hello(&two, &token).status(200);
    two.token(&client);
}

#[test]
fn what_is_done_on_one_node_is_honoured_by_the_other_within_a_second() {
    let database = Postgres::create();
    let (first, second) = (shared(&database, "node-1"), shared(&database, "node-2"));
    let (one, two) = (Node::start(&first), Node::start(&second));
    let added = one
        .command(&["client", "add", "--id", "app", "--grant", "client_credentials", "--scope", "a", "--json"])
        .code(0)
        .json();
    let client = Client { id: "app".into(), secret: crate::harness::folder::text(&added, "client_secret") };
    let token = two.token(&client);
    let within_a_second = |what: &str, holds: &mut dyn FnMut() -> bool| {
        let start = std::time::Instant::now();
        wait_until(what, holds);
        assert!(start.elapsed() < std::time::Duration::from_millis(1500), "{what}: {:?}", start.elapsed());
    };
    one.command(&["client", "disable", "app"]).code(0);
    within_a_second("disabled", &mut || {
        two.ask_token(&client, &[]).status == 401 && two.tokeninfo(&token).status == 400
    });
    one.command(&["client", "enable", "app"]).code(0);
    within_a_second("enabled", &mut || two.tokeninfo(&token).status == 200);
    one.command(&["token", "revoke", "--client", "app"]).code(0);
    within_a_second("all revoked", &mut || two.tokeninfo(&token).status == 400);
}

/// Oracle's default, on purpose: stores local to a node.
#[test]
fn the_trap_and_the_line_that_ends_it() {
    let database = Postgres::create();
    let folders = ["node-1", "node-2"].map(|name| {
        let folder = shared(&database, name);
        let stores = "default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"var/portcullis.db\"\n\
                      [source.oauth-db]\ntype = \"postgres\"\nurl = { file = \"url\" }\n";
        folder.write("stores/stores.toml", stores);
        folder.edit("node.toml", "nodes = 2", "nodes = 1");
        folder
    });
    let [one, two] = folders.each_ref().map(Node::start);
    let client = folders[0].client("partner", "a", &[]);
    one.token(&client);
    two.ask_token(&client, &[]).error(401, "invalid_client");

    for folder in &folders {
        folder.edit("node.toml", "nodes = 1", "nodes = 2");
    }
    let check = folders[0].run(["check"]).code(1).says("P0402").says("stores/stores.toml:1:");
    assert!(check.stdout.contains("access-token") || check.stdout.contains("local"), "{}", check.stdout);
    for (folder, node) in folders.iter().zip([&one, &two]) {
        folder.edit("stores/stores.toml", "default = \"local\"", "default = \"oauth-db\"");
        node.reload();
        folder.run(["check"]).code(0);
    }
    let client = folders[0].client("partner", "a", &[]);
    let token = one.token(&client);
    two.tokeninfo(&token).status(200);
}

/// Nodes that start at once on an empty database, migrations included.
#[test]
fn many_nodes_start_at_once() {
    let database = Postgres::create();
    let folders: Vec<_> = (0..6).map(|at| shared(&database, &format!("node-{at}"))).collect();
    let ready = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for folder in &folders {
            scope.spawn(|| {
                let node = Node::start(folder);
                let ask = crate::harness::Request::new(node.admin, "GET", "/health/ready");
                wait_until("ready", || ask.send().status == 200);
                ready.fetch_add(1, Ordering::SeqCst);
                assert!(!node.log().contains("ERROR"), "{}", node.log());
            });
        }
    });
    assert_eq!(ready.load(Ordering::SeqCst), folders.len());
}

/// The commands of `store`, on PostgreSQL.
#[test]
fn the_schema_for_a_dba_is_the_one_that_is_used() {
    let database = Postgres::create();
    let folder = shared(&database, "node-1");
    let sql = folder.run(["store", "schema", "postgres"]).code(0).stdout;
    assert!(sql.contains("access_token"), "{sql}");
    database.execute(&sql);
    folder.run(["store", "check"]).code(0).says("oauth-db");
    folder.run(["store", "migrate"]).code(0);
    folder.run(["store", "migrate"]).code(0);
    let client = folder.client("app", "a", &[]);
    Node::start(&folder).token(&client);

    let empty = Postgres::create();
    folder.write("url", &empty.url());
    folder.run(["store", "migrate"]).code(0).says("schema");
    assert_eq!(empty.number("SELECT count(*) FROM access_token"), 0);
    folder.run(["store", "check"]).code(0);
    folder.write("url", "postgres://postgres@127.0.0.1:1/none");
    folder.run(["store", "check"]).code(1).says("oauth-db");
    let json = portcullis(folder.path(), ["store", "check", "--json"]).code(1).json();
    assert_eq!(json[0]["source"], "oauth-db");
    assert_eq!(json[0]["ok"], false);
}

/// The nodes that live, as `cluster status` shows them; the names of those on the only shared source.
fn living(folder: &Folder) -> Vec<String> {
    let status = portcullis(folder.path(), ["cluster", "status", "--json"]).code(0).json();
    let nodes = status["sources"][0]["nodes"].as_array().expect("nodes").iter();
    nodes.filter(|node| node["lives"] == true).map(|node| crate::harness::folder::text(node, "node")).collect()
}

#[test]
fn the_nodes_of_a_cluster_are_seen_and_prove_that_they_share_their_stores() {
    let database = Postgres::create();
    let (first, second) = (shared(&database, "node-1"), shared(&database, "node-2"));
    let verify = || portcullis(first.path(), ["cluster", "verify", "--json"]);
    first.run(["cluster", "status"]).code(0).says("oauth-db").says("no node has ever");
    let _one = Node::start(&first);
    wait_until("one is seen", || living(&first) == ["node-1"]);
    let verdict = verify().code(1).json();
    assert_eq!(verdict["proved"], serde_json::json!(["node-1"]), "{verdict}");
    assert!(verdict["problems"][0].as_str().is_some_and(|why| why.contains("`[cluster] nodes` is 2")), "{verdict}");

    let mut two = Node::start(&second);
    wait_until("both are seen", || living(&first) == ["node-1", "node-2"]);
    let verdict = verify().code(0).json();
    assert_eq!(verdict["proved"], serde_json::json!(["node-1", "node-2"]), "{verdict}");
    let status = || portcullis(first.path(), ["cluster", "status", "--json"]).code(0).json();
    assert_eq!(status()["drift"], serde_json::json!([]), "{}", status());
    first.run(["cluster", "status"]).code(0).says("node-2").says("up ");

    // Other policies, and then a store that is elsewhere.
    second.append("policies/hello.toml", "# changed\n");
    two.reload();
    wait_until("the drift is seen", || status()["drift"].as_array().is_some_and(|drift| drift.len() == 1));
    second.edit("node.toml", "nodes = 2", "nodes = 1");
    second.append(
        "stores/stores.toml",
        "[source.local]\ntype = \"sqlite\"\npath = \"x.db\"\n[store.access-token]\nsource = \"local\"\n",
    );
    two.reload();
    wait_until("it is told", || {
        verify().code(1).json()["problems"].to_string().contains("keeps store `access-token` elsewhere")
    });

    // It ends, and takes its heartbeat.
    two.signal("TERM");
    two.end();
    wait_until("it is gone", || living(&first) == ["node-1"]);
    verify().code(1);
    first.write("url", "postgres://postgres@127.0.0.1:1/none");
    first.run(["cluster", "status"]).code(1).says("FAILS");
    first.run(["cluster", "verify"]).code(1).says("FAILS");
}

#[test]
fn two_nodes_of_one_name_and_two_keys_are_warned_of() {
    let database = Postgres::create();
    let folders = [("node-1", 'a'), ("node-1", 'a'), ("node-2", 'b')].map(|(name, digit)| {
        let folder = shared(&database, name);
        folder.append("node.toml", "[encryption]\nkeys = [{ id = \"k\", file = \"secret.key\" }]\n");
        folder.write_private("secret.key", &digit.to_string().repeat(64));
        folder
    });
    let nodes = folders.each_ref().map(Node::start);
    wait_until("the name is told", || nodes[..2].iter().all(|node| node.log().contains("another node has the name")));
    wait_until("the key is told", || nodes[2].log().contains("seals with another key"));
    assert!(!nodes[2].log().contains("another node has the name"), "{}", nodes[2].log());
    wait_until("it is shown", || {
        let drift = portcullis(folders[0].path(), ["cluster", "status", "--json"]).code(0).json()["drift"].to_string();
        drift.contains("two nodes are called `node-1`") && drift.contains("keys of what is sealed")
    });
}

/// The first run of a single node makes its key; several nodes need a shared one, and none makes its own.
#[test]
fn a_single_node_makes_its_key() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::shipped();
    drop(Node::start(&folder));
    let key = std::fs::metadata(folder.at("var/secret.key")).expect("the key");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let database = Postgres::create();
    let folder = shared(&database, "node-1");
    drop(Node::start(&folder));
    assert!(!folder.at("var/secret.key").exists());
}
