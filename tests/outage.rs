//! A source that is down: 503 with `Retry-After`, never an allow, and back again without a restart.

use std::time::{Duration, Instant};

use crate::harness::folder::Client;
use crate::harness::mysql::Mysql;
use crate::harness::postgres::{Line, Postgres};
use crate::harness::{Folder, Node, Request, Response, wait_until};

struct Cut<D> {
    folder: Folder,
    line: Line,
    database: D,
}

fn on_a_line() -> Cut<Postgres> {
    let database = Postgres::create();
    let line = database.line();
    Cut { folder: with_stores("postgres", &database.url_over(&line)), line, database }
}

fn on_a_line_to_mariadb() -> Cut<Mysql> {
    let database = Mysql::create();
    let line = database.line();
    Cut { folder: with_stores("mysql", &database.url_over(&line)), line, database }
}

fn with_stores(kind: &str, url: &str) -> Folder {
    let folder = Folder::shipped();
    folder.write("url", url);
    folder.write(
        "stores/stores.toml",
        &format!("default = \"oauth-db\"\n[source.oauth-db]\ntype = \"{kind}\"\nurl = {{ file = \"url\" }}\n"),
    );
    folder.write(
        "policies/hello.toml",
        "route = \"/hello\"\n[[filter]]\nuse = \"oauth.validate-token\"\n[[filter]]\nuse = \"respond\"\ntext = \"hello\"\n",
    );
    folder.write("policies/plain.toml", "route = \"/plain\"\n[[filter]]\nuse = \"respond\"\ntext = \"plain\"\n");
    folder
}

#[track_caller]
fn unavailable(answer: &Response) {
    assert_eq!(answer.status, 503, "{answer:?} {}", answer.text());
    let retry = answer.header("retry-after").and_then(|value| value.parse::<u32>().ok());
    assert!(retry.is_some_and(|seconds| (1..=60).contains(&seconds)), "{answer:?}");
}

fn everything(node: &Node, client: &Client, token: &str) -> Vec<Response> {
    let form = [("token", token)];
    vec![
        node.ask_token(client, &[]),
        node.tokeninfo(token),
        node.post("/api/oauth/introspect").basic(&client.id, &client.secret).form(&form).send(),
        node.post("/api/oauth/revoke").basic(&client.id, &client.secret).form(&form).send(),
        node.get("/hello").bearer(token).send(),
    ]
}

/// D24, and the rest of them.
#[test]
fn what_needs_the_source_is_503_until_it_is_back() {
    is_503_until_it_is_back(on_a_line());
}

#[test]
fn what_needs_mariadb_is_503_until_it_is_back() {
    is_503_until_it_is_back(on_a_line_to_mariadb());
}

fn is_503_until_it_is_back<D>(Cut { folder, line, database: _database }: Cut<D>) {
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    node.get("/hello").bearer(&token).send().status(200);
    let ready = Request::new(node.admin, "GET", "/health/ready");

    for round in 0..3 {
        line.cut();
        // What was read within the last second may still be good; then nothing is.
        wait_until("nothing is let in", || {
            everything(&node, &client, &token).iter().all(|answer| answer.status == 503)
        });
        for answer in everything(&node, &client, &token) {
            unavailable(&answer);
        }
        let start = Instant::now();
        unavailable(&node.get("/hello").bearer(&token).send());
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        node.get("/hello").send().status(401);
        node.get("/hello").bearer("nonsense").send().status(401);
        node.get("/plain").send().status(200);
        wait_until("not ready", || ready.send().status == 503);

        line.mend();
        let start = Instant::now();
        wait_until("back", || node.get("/hello").bearer(&token).send().status == 200);
        assert!(start.elapsed() < Duration::from_secs(6), "round {round}: back after {:?}", start.elapsed());
        wait_until("ready", || ready.send().status == 200);
        node.tokeninfo(&token).status(200);
        node.token(&client);
    }
}

/// No answered token is lost while the line comes and goes.
#[test]
fn tokens_answered_while_the_line_breaks_are_kept() {
    let Cut { folder, line, database: _database } = on_a_line();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let mut tokens = Vec::new();
    for round in 0..5 {
        for at in 0..20 {
            let answer = node.ask_token(&client, &[]);
            match answer.status {
                200 => tokens.push(crate::harness::folder::text(&answer.json(), "access_token")),
                _ => unavailable(&answer),
            }
            if at == 10 + round {
                line.cut();
            }
        }
        line.mend();
        wait_until("back", || node.ask_token(&client, &[]).status == 200);
    }
    assert!(tokens.len() > 40, "{}", tokens.len());
    for token in &tokens {
        node.tokeninfo(token).status(200);
    }
}

/// A node starts while its source is down, and takes it when it comes.
#[test]
fn a_node_starts_without_its_source() {
    let Cut { folder, line, database: _database } = on_a_line();
    let client = folder.client("app", "a", &[]);
    line.cut();
    let node = Node::start(&folder);
    let ready = Request::new(node.admin, "GET", "/health/ready");
    assert_eq!(ready.send().status, 503);
    assert_eq!(Request::new(node.admin, "GET", "/health/live").send().status, 200);
    unavailable(&node.ask_token(&client, &[]));
    node.get("/plain").send().status(200);
    line.mend();
    wait_until("ready", || ready.send().status == 200);
    node.token(&client);
}

/// A schema that is applied again, over tables that are there, is nothing to tell of.
#[test]
fn a_schema_that_is_there_already_makes_no_noise() {
    let Cut { folder, database, .. } = on_a_line();
    drop(Node::start(&folder));
    database.execute("DELETE FROM portcullis_schema");
    let node = Node::start(&folder);
    assert_eq!(database.number("SELECT count(*) FROM portcullis_schema"), 4);
    let log = node.log();
    assert!(log.contains("schema migrated to version 4") && !log.contains("already exists"), "{log}");
}

/// A source that says nothing at all is as good as one that is down: nobody waits for more than 5 s.
#[test]
fn a_source_that_is_silent() {
    let Cut { folder, line, database: _database } = on_a_line();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    line.silence();
    std::thread::sleep(Duration::from_millis(1100));
    let start = Instant::now();
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| everything(&node, &client, &token))).collect();
        asking.into_iter().flat_map(|one| one.join().expect("answers")).collect()
    });
    answers.iter().for_each(unavailable);
    let most = Duration::from_secs(5 * 5 + 5);
    assert!(start.elapsed() < most, "five requests one after another took {:?}", start.elapsed());
    node.get("/plain").send().status(200);
    line.mend();
    wait_until("back", || node.get("/hello").bearer(&token).send().status == 200);
}

/// No room on the disk: a clear error, nothing that was answered is lost, and it goes on when there is room.
#[test]
fn a_full_disk() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    // A limit on the size of files stands in for the disk's; the signal that goes with it is none of a full disk's.
    let node = Node::on(&folder).under(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).start();
    let limit = |bytes: &str| {
        let set = std::process::Command::new("prlimit")
            .args(["--pid", &node.pid().to_string(), &format!("--fsize={bytes}")])
            .status();
        assert!(set.expect("prlimit").success());
    };
    let size = std::fs::metadata(folder.at("var/portcullis.db-wal")).map_or(0, |file| file.len());
    limit(&format!("{}:unlimited", size + 100_000));
    let mut tokens = Vec::new();
    wait_until("the disk is full", || {
        let answer = node.ask_token(&client, &[]);
        if answer.status == 200 {
            tokens.push(crate::harness::folder::text(&answer.json(), "access_token"));
            return false;
        }
        unavailable(&answer);
        true
    });
    assert!(!tokens.is_empty());
    tokens.iter().for_each(|token| drop(node.tokeninfo(token).status(200)));
    (0..50).for_each(|_| unavailable(&node.ask_token(&client, &[])));
    let log = node.log();
    assert!((1..=2).contains(&log.matches("commits failed: ").count()), "{log}");
    limit("unlimited:unlimited");
    wait_until("there is room", || node.ask_token(&client, &[]).status == 200);
    drop(node);
    let node = Node::start(&folder);
    tokens.iter().for_each(|token| drop(node.tokeninfo(token).status(200)));
}

/// Another process holds the SQLite file's lock: a clear error, and nothing is lost.
#[test]
fn a_locked_sqlite_file() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let lock = rusqlite::Connection::open(folder.at("var/portcullis.db")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let start = Instant::now();
    unavailable(&node.ask_token(&client, &[]));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // From then on nobody waits as long, though reading, which goes on, is answered all the time.
    for _ in 0..4 {
        let start = Instant::now();
        unavailable(&node.ask_token(&client, &[]));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        node.tokeninfo(&token).status(200);
    }
    // They fail so soon that the log comes later.
    let told = || node.log().matches("the data source gave writes no answer within").count();
    wait_until("told", || told() > 0);
    let log = node.log();
    assert_eq!(told(), 1, "{log}");
    assert!(!log.contains("answers writes again"), "{log}");
    lock.execute_batch("ROLLBACK").unwrap();
    wait_until("written again", || node.ask_token(&client, &[]).status == 200);
    node.tokeninfo(&token).status(200);
}

/// `rm portcullis.db-wal` under a running node: noticed, and a crash afterwards loses nothing.
#[test]
fn a_log_of_sqlite_that_was_removed() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let mut node = Node::start(&folder);
    let token = node.token(&client);
    let ready = Request::new(node.admin, "GET", "/health/ready");
    wait_until("ready", || ready.send().status == 200);
    std::fs::remove_file(folder.at("var/portcullis.db-wal")).unwrap();
    wait_until("not ready", || ready.send().status == 503);
    unavailable(&node.ask_token(&client, &[]));
    unavailable(&node.tokeninfo(&token));
    // Where a reader is in the way at the first look, a later one does it.
    wait_until("saved", || node.log().contains("what the log held was saved into the file"));
    node.signal("KILL");
    node.end();
    let node = Node::start(&folder);
    node.tokeninfo(&token).status(200);
    node.token(&client);
}

/// A table that is dropped or altered under a running node: not ready, with the remedy in the log, until it is back.
#[test]
fn a_table_that_is_gone_is_told_and_found_again() {
    let Cut { folder, database, .. } = on_a_line();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let ready = Request::new(node.admin, "GET", "/health/ready");
    wait_until("ready", || ready.send().status == 200);
    for (away, back, lacks) in [
        ("ALTER TABLE access_token RENAME TO x", "ALTER TABLE x RENAME TO access_token", "access_token"),
        ("ALTER TABLE client RENAME TO x", "ALTER TABLE x RENAME TO client", "client"),
        ("ALTER TABLE epoch RENAME record TO x", "ALTER TABLE epoch RENAME x TO record", "column"),
    ] {
        database.execute(away);
        wait_until("not ready", || ready.send().status == 503);
        // A client, or an epoch, that was read within the last second may still be good.
        wait_until("nothing is let in", || node.get("/hello").bearer(&token).send().status >= 500);
        let told = |line: &str| {
            line.contains("the data source is down")
                && line.contains(lacks)
                && line.contains("`portcullis store check`")
        };
        wait_until("told", || node.log().lines().any(told));
        folder.run(["store", "check"]).code(1).says(lacks);
        database.execute(back);
        wait_until("ready again", || ready.send().status == 200);
        node.tokeninfo(&token).status(200);
        folder.run(["store", "check"]).code(0).says("tables");
    }
}

/// A newer release migrates the schema under a running node to what that cannot work with.
#[test]
fn a_schema_that_becomes_too_new_is_noticed() {
    let Cut { folder, database, .. } = on_a_line();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let ready = Request::new(node.admin, "GET", "/health/ready");
    wait_until("ready", || ready.send().status == 200);
    database.execute("INSERT INTO portcullis_schema (version, readable_by) VALUES (900, 900)");
    wait_until("not ready", || ready.send().status == 503);
    wait_until("nothing is let in", || everything(&node, &client, &token).iter().all(|answer| answer.status == 503));
    everything(&node, &client, &token).iter().for_each(unavailable);
    wait_until("told", || node.log().contains("Run the newer portcullis here"));
    database.execute("UPDATE portcullis_schema SET readable_by = 1 WHERE version = 900");
    wait_until("ready again", || ready.send().status == 200);
    node.tokeninfo(&token).status(200);
}

/// A database that is emptied under a running node is told, and what is missing is made, as at a start.
#[test]
fn a_schema_that_goes_is_told_and_made() {
    let Cut { folder, database, .. } = on_a_line();
    let node = Node::start(&folder);
    let ready = Request::new(node.admin, "GET", "/health/ready");
    wait_until("ready", || ready.send().status == 200);
    database.execute("DELETE FROM portcullis_schema");
    wait_until("made", || database.number("SELECT count(*) FROM portcullis_schema") == 4);
    let told = || node.log().matches("its schema went from version 4 to 0").count();
    wait_until("told", || told() > 0);
    wait_until("ready again", || ready.send().status == 200);
    assert_eq!(told(), 1, "{}", node.log());
}
