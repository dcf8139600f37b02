//! Nodes whose stores remember rows: what one of them revokes the other refuses, by being told, by looking, or by age. How long that
//! took is printed (`--nocapture`); nothing hangs on it.

use std::time::{Duration, Instant};

use crate::harness::folder::Client;
use crate::harness::mysql::Mysql;
use crate::harness::postgres::{Line, Postgres};
use crate::harness::redis::Redis;
use crate::harness::{DEADLINE, Folder, Node, Request, wait_until};

/// Tokens that are revoked.
const ROUNDS: usize = 50;

fn cache(max_age: &str) -> String {
    format!("[store.access-token]\ncache = {{ max_age = \"{max_age}\" }}\n")
}

/// A node's folder with these stores, and a cache for tokens.
fn cached(stores: &str, max_age: &str) -> Folder {
    let folder = Folder::shipped();
    folder.write("stores/stores.toml", &format!("{stores}{}", cache(max_age)));
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
    folder
}

/// A counter of the node's only cache.
fn count(node: &Node, name: &str) -> u64 {
    let metrics = Request::new(node.admin, "GET", "/metrics").send().status(200).text();
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {metrics}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

const HITS: &str = "portcullis_cache_reads_total{store=\"access-token\",outcome=\"hit\"}";
const IN_USE: &str = "portcullis_cache_in_use{store=\"access-token\"}";

fn revoke(node: &Node, client: &Client, token: &str) {
    node.post("/api/oauth/revoke").basic(&client.id, &client.secret).form(&[("token", token)]).send().status(200);
}

/// A token that the node has in its cache.
fn remembered(one: &Node, two: &Node, client: &Client) -> String {
    let token = one.token(client);
    wait_until("a hit", || {
        let hits = count(two, HITS);
        two.tokeninfo(&token).status(200);
        count(two, HITS) > hits
    });
    token
}

/// With an age that no test reaches: what is refused was told.
fn is_refused_by_the_other(what: &str, folders: [Folder; 2]) {
    let client = folders[0].client("partner", "a", &[]);
    let [one, two] = folders.each_ref().map(Node::start);
    one.tokeninfo(&remembered(&two, &one, &client)).status(200);
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let token = remembered(&one, &two, &client);
            revoke(&one, &client, &token);
            let since = Instant::now();
            one.tokeninfo(&token).status(400);
            while two.tokeninfo(&token).status == 200 {
                assert!(since.elapsed() < DEADLINE, "{what}: it is believed for ever");
            }
            since.elapsed()
        })
        .collect();
    took.sort();
    println!("{what}: refused after {:?} (median), {:?} (p99)", took[ROUNDS / 2], took[ROUNDS * 99 / 100]);
}

#[test]
fn what_one_node_revokes_the_other_refuses_on_postgres() {
    let database = Postgres::create();
    let stores = "default = \"db\"\n[source.db]\ntype = \"postgres\"\nurl = { file = \"url\" }\n";
    is_refused_by_the_other(
        "postgres",
        ["one", "two"].map(|_| {
            let folder = cached(stores, "60s");
            folder.write("url", &database.url());
            folder
        }),
    );
}

#[test]
fn what_one_node_revokes_the_other_refuses_on_redis() {
    let redis = Redis::create();
    is_refused_by_the_other(
        "redis",
        ["one", "two"].map(|name| {
            let folder = redis.folder(name, &redis.url());
            folder.append("stores/stores.toml", &cache("60s"));
            folder
        }),
    );
}

/// Two nodes on one machine, and one file.
#[test]
fn what_one_node_revokes_the_other_refuses_on_one_sqlite_file() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("shared.db");
    let stores = format!("default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"{}\"\n", path.display());
    is_refused_by_the_other("sqlite", ["one", "two"].map(|_| cached(&stores, "60s")));
}

/// The channel alone is lost; requests reach the database.
#[test]
fn while_the_channel_is_lost_the_cache_is_left_aside() {
    let database = Postgres::create();
    let line = database.line();
    let stores = "default = \"db\"\n[source.db]\ntype = \"postgres\"\nurl = { file = \"url\" }\nlisten_url = { file = \"listen\" }\n";
    let folders = [database.url(), database.url_over(&line)].map(|listen| {
        let folder = cached(stores, "60s");
        folder.write("url", &database.url()).write("listen", &listen);
        folder
    });
    let client = folders[0].client("partner", "a", &[]);
    let [one, two] = folders.each_ref().map(Node::start);
    for lose in [Line::cut as fn(&Line), Line::silence] {
        let token = remembered(&one, &two, &client);
        lose(&line);
        revoke(&one, &client, &token);
        wait_until("the other node refuses it", || two.tokeninfo(&token).status == 400);
        assert_eq!(count(&two, IN_USE), 0, "{}", two.log());
        let token = one.token(&client);
        two.tokeninfo(&token).status(200);
        revoke(&one, &client, &token);
        two.tokeninfo(&token).status(400);
        line.mend();
        wait_until("the cache is in use again", || count(&two, IN_USE) == 1);
    }
    assert!(two.log().contains("caches are left aside"), "{}", two.log());
}

/// Nobody tells of changes: the age decides.
#[test]
fn where_nobody_tells_a_row_is_believed_for_its_age() {
    let database = Mysql::create();
    let stores = "default = \"db\"\n[source.db]\ntype = \"mysql\"\nurl = { file = \"url\" }\n";
    let folders = ["one", "two"].map(|_| {
        let folder = cached(stores, "2s");
        folder.write("url", &database.url());
        folder
    });
    let client = folders[0].client("partner", "a", &[]);
    let [one, two] = folders.each_ref().map(Node::start);
    let token = remembered(&one, &two, &client);
    revoke(&one, &client, &token);
    one.tokeninfo(&token).status(400);
    wait_until("the other node refuses it", || two.tokeninfo(&token).status == 400);
}
