//! One line moves a store, while nodes serve: nothing that was revoked lives again, nothing that lives is lost.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::harness::folder::{Client, text};
use crate::harness::postgres::Postgres;
use crate::harness::{Folder, Node, wait_until};

/// A node's folder, with all records in this SQLite file, and a database beside it.
fn folder(file: &std::path::Path, database: &Postgres, name: &str) -> Folder {
    let folder = Folder::shipped();
    folder.write("url", &database.url());
    folder.write(
        "stores/stores.toml",
        &format!(
            "default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"{}\"\n\
             [source.oauth-db]\ntype = \"postgres\"\nurl = {{ file = \"url\" }}\n[store.access-token]\n",
            file.display()
        ),
    );
    folder.write("node.toml", &format!("name = \"{name}\"\n"));
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
    folder.shares_the_key();
    folder
}

const NEXT: &str = "[store.access-token]\nnext = \"oauth-db\"\n";
const PREVIOUS: &str = "[store.access-token]\nsource = \"oauth-db\"\nprevious = \"local\"\n";
const AFTER: &str = "[store.access-token]\nsource = \"oauth-db\"\n";

/// Puts what stands from `[store.access-token]` on in the place of what stood there.
fn step_file(folder: &Folder, stores: &str) {
    let before = folder.read("stores/stores.toml");
    let (head, _) = before.split_once("[store.access-token]").expect("the store is mapped");
    folder.write("stores/stores.toml", &format!("{head}{stores}"));
}

/// The same, and loads it.
fn step(folder: &Folder, node: &Node, stores: &str) -> String {
    step_file(folder, stores);
    let run = node.reload();
    format!("{}{}", run.stdout, run.stderr)
}

/// Clients that issue, check and revoke tokens on nodes by turns, and know what each must be.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    rounds: AtomicU64,
    live: Mutex<Vec<String>>,
    revoked: Mutex<Vec<String>>,
    wrong: Mutex<Vec<String>>,
}

impl Load {
    fn expect(&self, what: &str, found: u16, expected: u16) {
        if found != expected {
            self.wrong.lock().unwrap().push(format!("{what}: {found}, expected {expected}"));
        }
    }

    fn info(&self, what: &str, node: &Node, token: &str, expected: u16) {
        self.expect(what, node.tokeninfo(token).status, expected);
    }

    /// Works until it is told to stop.
    fn work(&self, nodes: &[&Node], client: &Client, worker: usize) {
        for round in worker.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let [one, other] = [nodes[round % nodes.len()], nodes[(round + 1) % nodes.len()]];
            let answer = one.ask_token(client, &[]);
            self.expect("a token", answer.status, 200);
            if answer.status != 200 {
                continue;
            }
            let token = text(&answer.json(), "access_token");
            self.info("a new token on the other node", other, &token, 200);
            if round % 3 == 0 {
                self.revoke(one, client, &token);
                self.info("a new token that was revoked", other, &token, 400);
                self.revoked.lock().unwrap().push(token);
            } else {
                self.live.lock().unwrap().push(token);
            }
            // One of before: revoked now, or as it was.
            let picked = {
                let mut live = self.live.lock().unwrap();
                let at = round * 7919 % live.len().max(1);
                (live.len() > 20).then(|| live.swap_remove(at))
            };
            if let Some(token) = picked {
                self.info("a token of before", other, &token, 200);
                if round % 2 == 0 {
                    self.revoke(other, client, &token);
                    self.info("a token of before that was revoked", one, &token, 400);
                    self.revoked.lock().unwrap().push(token);
                } else {
                    self.live.lock().unwrap().push(token);
                }
            }
            let dead = {
                let revoked = self.revoked.lock().unwrap();
                revoked.get(round * 104_729 % revoked.len().max(1)).cloned()
            };
            if let Some(token) = dead {
                self.info("a token revoked long ago", one, &token, 400);
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn revoke(&self, node: &Node, client: &Client, token: &str) {
        let asked = node.post("/api/oauth/revoke").basic(&client.id, &client.secret).form(&[("token", token)]);
        self.expect("a revocation", asked.send().status, 200);
    }

    /// Waits until so much more was done.
    fn more(&self, rounds: u64) {
        let from = self.rounds.load(Ordering::SeqCst);
        wait_until("the load goes on", || {
            self.rounds.load(Ordering::SeqCst) >= from + rounds || !self.wrong.lock().unwrap().is_empty()
        });
    }

    /// Everything is as it was told.
    fn settle(&self, nodes: &[&Node]) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong answers, the first: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
        drop(wrong);
        let (live, revoked) = (self.live.lock().unwrap(), self.revoked.lock().unwrap());
        assert!(live.len() > 20 && revoked.len() > 20, "{} live, {} revoked", live.len(), revoked.len());
        for node in nodes {
            for (tokens, status) in [(&live, 200), (&revoked, 400)] {
                for token in tokens.iter() {
                    node.tokeninfo(token).status(status);
                }
            }
        }
    }
}

/// Ends the load also where a test fails.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

#[test]
fn two_nodes_move_their_tokens_under_load() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folders = ["node-1", "node-2"].map(|name| folder(&shared.path().join("shared.db"), &database, name));
    let nodes = folders.each_ref().map(Node::start);
    let [one, two] = [&nodes[0], &nodes[1]];
    let client = folders[0].client("partner", "a", &[]);
    let load = Load::default();
    std::thread::scope(|scope| {
        let (load, client) = (&load, &client);
        for worker in 0..3 {
            scope.spawn(move || load.work(&[one, two], client, worker));
        }
        let ending = Stop(load);
        load.more(30);
        for stores in [NEXT, PREVIOUS] {
            for at in 0..2 {
                let said = step(&folders[at], &nodes[at], stores);
                assert!(!said.contains("P0403"), "{said}");
                load.more(30);
            }
        }
        let status = one.command(&["status", "--json"]).code(0).json();
        assert_eq!(status["moves"][0]["step"], "previous", "{status}");
        let copied = folders[0].run(["store", "copy", "--from", "local", "--to", "oauth-db", "access-token"]);
        assert_eq!(copied.code, 0, "{}{}", copied.stdout, copied.stderr);
        let last: Value = serde_json::from_str(copied.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last["done"]["ok"], true, "{last}");
        load.more(30);
        wait_until("the node says that the old source is empty", || one.log().contains("take `previous` out"));
        for at in 0..2 {
            let said = step(&folders[at], &nodes[at], AFTER);
            assert!(!said.contains("P0403"), "{said}");
            load.more(30);
        }
        drop(ending);
    });
    load.settle(&[one, two]);
    for node in [one, two] {
        assert!(!node.log().contains("ERROR"), "{}", node.log());
    }
}

#[test]
fn one_node_moves_its_tokens_and_its_clients() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    let [live, dead, later] = [(); 3].map(|()| node.token(&client));
    let revoke = |token: &str| {
        node.post("/api/oauth/revoke").basic("partner", &client.secret).form(&[("token", token)]).send().status(200)
    };
    revoke(&dead);
    let moved = format!("{PREVIOUS}[store.clients]\nsource = \"oauth-db\"\nprevious = \"local\"\n");
    let said = step(&folder, &node, &moved);
    assert!(said.contains("moves from local to oauth-db") && !said.contains("P0403"), "{said}");
    node.tokeninfo(&live).status(200);
    node.tokeninfo(&dead).status(400);
    revoke(&later);
    node.tokeninfo(&later).status(400);
    let new = node.token(&client);

    // Deleted, and registered again under the same id.
    assert_eq!(
        folder.run(["client", "add", "--id", "partner", "--grant", "client_credentials"]).code,
        1,
        "it is there"
    );
    folder.run(["client", "delete", "partner"]).code(0);
    wait_until("it is gone", || node.tokeninfo(&live).status == 400);
    let again = folder.client("partner", "a", &[]);
    wait_until("it is back", || node.ask_token(&again, &[]).status == 200);
    node.ask_token(&client, &[]).error(401, "invalid_client");
    for token in [&live, &dead, &later, &new] {
        node.tokeninfo(token).status(400);
    }
    let token = node.token(&again);

    // Taken out too early: it is said, and put right.
    let said = step(&folder, &node, &format!("{AFTER}[store.clients]\nsource = \"oauth-db\"\n"));
    assert!(said.contains("P0403") && said.contains("store copy --from local --to oauth-db access-token"), "{said}");
    step(&folder, &node, &moved);
    folder.run(["store", "copy", "--from", "local", "--to", "oauth-db"]).code(0);
    let said = step(&folder, &node, &format!("{AFTER}[store.clients]\nsource = \"oauth-db\"\n"));
    assert!(!said.contains("P0403"), "{said}");
    for token in [&live, &dead, &later, &new] {
        node.tokeninfo(token).status(400);
    }
    node.tokeninfo(&token).status(200);
    node.token(&again);
}

/// A move that is turned round in the middle would let copies count as they were made: it is refused until it has ended.
#[test]
fn a_move_is_ended_before_it_is_turned_round() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    let dead = node.token(&client);
    let copy = || folder.run(["store", "copy", "--from", "local", "--to", "oauth-db", "access-token"]).code(0);
    const BACK: &str = "[store.access-token]\nsource = \"oauth-db\"\nnext = \"local\"\n";
    step(&folder, &node, NEXT);
    copy();
    node.post("/api/oauth/revoke").basic("partner", &client.secret).form(&[("token", &dead)]).send().status(200);
    step(&folder, &node, PREVIOUS);
    step_file(&folder, BACK);
    node.command(&["reload", "--wait"]).code(1).says("error[P0403]").says("is turned round before its move");
    node.tokeninfo(&dead).status(400);
    step_file(&folder, PREVIOUS);
    copy();
    let said = step(&folder, &node, BACK);
    assert!(!said.contains("P0403"), "{said}");
    node.tokeninfo(&dead).status(400);
}

/// That the old source was empty a moment ago says nothing of now: a node that went back a step has made records there since.
#[test]
fn an_old_source_that_was_empty_is_looked_at_again() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    step(&folder, &node, PREVIOUS);
    wait_until("the node says that the old source is empty", || node.log().contains("take `previous` out"));
    step(&folder, &node, NEXT);
    let token = node.token(&client);
    step(&folder, &node, PREVIOUS);
    let said = step(&folder, &node, AFTER);
    assert!(said.contains("P0403"), "{said}");
    step(&folder, &node, PREVIOUS);
    node.tokeninfo(&token).status(200);
}

/// A request whose body comes slowly began many steps before it ends: it asks the stores that serve by then.
#[test]
fn a_slow_request_ends_where_the_store_is_by_then() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    let [dead, live] = [(); 2].map(|()| node.token(&client));
    let ask = |path: &str, form: &[(&str, &str)]| {
        let request = node.post(path).basic(&client.id, &client.secret).form(form).begin();
        // The node has its head, and so the request its generation, before another one serves.
        wait_until("the node reads its body", || node.tokeninfo(&live).status == 200);
        request
    };
    let revocation = ask("/api/oauth/revoke", &[("token", &dead)]);
    let issue = ask("/api/oauth/token", &[("grant_type", "client_credentials")]);
    let look = ask("/api/oauth/tokeninfo", &[("access_token", &live)]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let both = |access_token: &str| {
        let clients = access_token.replace("access-token", "clients");
        step(&folder, &node, &format!("{access_token}{clients}"))
    };
    both(PREVIOUS);
    folder.run(["store", "copy", "--from", "local", "--to", "oauth-db"]).code(0);
    let said = both(AFTER);
    assert!(!said.contains("P0403"), "{said}");
    revocation.end().status(200);
    node.tokeninfo(&dead).status(400);
    look.end().status(200);
    let issued = text(&issue.end().status(200).json(), "access_token");
    node.tokeninfo(&issued).status(200);
}

/// What only the old source can say is 503 while that is down, and never "not found"; also for a node that starts then.
#[test]
fn an_old_source_that_is_down() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let line = database.line();
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    folder.write("url", &database.url_over(&line));
    step_file(&folder, AFTER);
    let mut node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    let [live, dead] = [(); 2].map(|()| node.token(&client));
    let revoke = |node: &Node, token: &str| {
        node.post("/api/oauth/revoke").basic("partner", &client.secret).form(&[("token", token)]).send().status
    };
    assert_eq!(revoke(&node, &dead), 200);
    step(&folder, &node, "[store.access-token]\nsource = \"local\"\nprevious = \"oauth-db\"\n");
    for restarted in [false, true] {
        line.cut();
        if restarted {
            node.signal("TERM");
            node.end();
            node = Node::start(&folder);
        }
        wait_until("it is down", || node.tokeninfo(&live).status == 503);
        assert_eq!([node.tokeninfo(&dead).status, revoke(&node, &live), revoke(&node, &dead)], [503; 3]);
        line.mend();
        wait_until("it is back", || node.tokeninfo(&live).status == 200);
        wait_until("and says what was revoked", || node.tokeninfo(&dead).status == 400);
    }
    assert_eq!(revoke(&node, &live), 200);
    node.tokeninfo(&live).status(400);
    node.token(&client);
}

/// Without `previous` it is allowed, and the warning names the remedy.
#[test]
fn a_store_that_leaves_its_records_is_told_how_to_take_them_along() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let said = step(&folder, &node, AFTER);
    assert!(said.contains("P0403") && said.contains("write `previous = \"local\"`"), "{said}");
}

/// What an earlier mapping left in the source that a store moves to would count again.
#[test]
fn records_that_are_there_already_are_told() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    step(&folder, &node, AFTER);
    node.token(&client);
    step(&folder, &node, "[store.access-token]\n");
    let said = step(&folder, &node, NEXT);
    assert!(said.contains("P0403") && said.contains("has records of store `access-token` already"), "{said}");
    assert!(!step(&folder, &node, PREVIOUS).contains("P0403"), "it was told");
}

/// Killed over and over while it copies and a node writes: it goes on where it ended.
#[test]
fn a_copy_that_is_killed_goes_on() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    let node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    let rows = 6_000;
    fill(&shared.path().join("own.db"), rows);
    step(&folder, &node, PREVIOUS);
    let load = Load::default();
    std::thread::scope(|scope| {
        let (load, client, node) = (&load, &client, &node);
        for worker in 0..2 {
            scope.spawn(move || load.work(&[node], client, worker));
        }
        let ending = Stop(load);
        load.more(20);
        let arguments = ["store", "copy", "--from", "local", "--to", "oauth-db", "access-token", "--json"];
        let mut killed = 0;
        let steps = ["copy", "copy", "copy", "verify", "hand-over"];
        for step in steps {
            let mut copy = Command::new(env!("CARGO_BIN_EXE_portcullis"))
                .arg("-c")
                .arg(folder.path())
                .args(arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let lines = BufReader::new(copy.stdout.take().unwrap()).lines().map_while(Result::ok);
            let told = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
            // Once it is at this step, with whatever is in flight.
            let mut told =
                told.skip_while(|line| line["progress"]["step"] != step || line["progress"]["table"] != "access_token");
            if told.next().is_some() {
                copy.kill().unwrap();
                killed += 1;
            }
            copy.wait().unwrap();
        }
        assert!(killed >= 3, "it was killed {killed} times");
        let done =
            folder.run(["store", "copy", "--from", "local", "--to", "oauth-db", "access-token", "--json"]).code(0);
        let last: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last["done"]["ok"], true, "{last}");
        load.more(20);
        drop(ending);
    });
    load.settle(&[&node]);
    let filled = database.number("SELECT count(*) FROM access_token WHERE record ->> 'grant_id' LIKE 'filled-%'");
    assert_eq!(filled, rows);
    let marks = database.number("SELECT count(*) FROM access_token WHERE record ? '~portcullis'");
    assert_eq!(marks, 0, "every row is the new source's own");
    step(&folder, &node, AFTER);
    load.settle(&[&node]);
}

/// Writes tokens that nobody knows, and that live for ever.
fn fill(file: &std::path::Path, rows: i64) {
    let mut connection = rusqlite::Connection::open(file).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..rows {
        let record = serde_json::json!({
            "client_id": "partner", "scope": "a", "grant_id": format!("filled-{number}"), "grant_type": "client_credentials",
            "issued_at": 1, "expires_at": 4_000_000_000_u64,
        });
        let key = [&4_000_000_000_u64.to_be_bytes()[..], &number.to_be_bytes()[..]].concat();
        let sql = "INSERT INTO access_token (key, version, expires_at, record, client_id) VALUES (?, 1, 4000000000, ?, 'partner')";
        transaction.execute(sql, rusqlite::params![key, record.to_string()]).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_copy_says_what_is_wrong() {
    let (shared, database) = (tempfile::tempdir().unwrap(), Postgres::create());
    let folder = folder(&shared.path().join("own.db"), &database, "node");
    folder.client("partner", "a", &[]);
    let copy =
        |from: &str, to: &str, store: &str| folder.run(["store", "copy", "--from", from, "--to", to, store, "--json"]);
    copy("local", "nowhere", "clients").code(2).says("no data source `nowhere`");
    copy("local", "local", "clients").code(2).says("one place");
    copy("local", "oauth-db", "cleints").code(2).says("no store `cleints`");
    copy("local", "oauth-db", "clients").code(0);
    assert!(
        folder
            .read("var/audit.log")
            .contains("\"change\":\"store copy\",\"of\":\"local to oauth-db\",\"outcome\":\"done\"")
    );
    assert_eq!(database.number("SELECT count(*) FROM client"), 1);
    // A client of the other side that is another one: it is left alone, and told.
    database.execute("UPDATE client SET record = '{\"client_id\": \"partner\", \"enabled\": false}'");
    let differs = copy("local", "oauth-db", "clients").code(1);
    let last: Value = serde_json::from_str(differs.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["done"]["tables"][0]["named"][0], "partner", "{last}");
    // While it moves, in its direction alone.
    folder.append("stores/stores.toml", "[store.clients]\nnext = \"oauth-db\"");
    copy("oauth-db", "local", "clients").code(2).says("moves from `local` to `oauth-db`");
}

#[test]
fn a_backup_is_made_while_a_node_writes_and_put_back() {
    let folder = Folder::shipped();
    let mut node = Node::start(&folder);
    let client = folder.client("partner", "a", &[]);
    let token = node.token(&client);
    let backup = folder.at("backup.db").display().to_string();
    let load = Load::default();
    std::thread::scope(|scope| {
        let (load, client, node) = (&load, &client, &node);
        scope.spawn(move || load.work(&[node], client, 0));
        let ending = Stop(load);
        load.more(5);
        let made = folder.run(["store", "backup", &backup, "--json"]).code(0).json();
        assert_eq!(made["source"], "local", "{made}");
        load.more(5);
        drop(ending);
    });
    folder.run(["store", "backup", &backup]).code(1).says("is there already");
    let unmounted = folder.at("backups/copy.db").display().to_string();
    folder.run(["store", "backup", &unmounted]).code(1).says("make it, or mount its disk");
    folder.run(["store", "restore", &backup]).code(1).says("is there already");
    let later = node.token(&client);
    node.signal("TERM");
    node.end();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.at(&format!("var/portcullis.db{end}")));
    }
    let broken = folder.at("broken.db");
    std::fs::write(&broken, "no database").unwrap();
    folder.run(["store", "restore", &broken.display().to_string()]).code(1).says("no SQLite file");
    assert!(!folder.at("var/portcullis.db").exists());
    folder.run(["store", "restore", &backup]).code(0).says("restart nodes");
    assert!(
        folder.read("var/audit.log").contains("\"change\":\"store restore\",\"of\":\"local\",\"outcome\":\"done\"")
    );
    let node = Node::start(&folder);
    node.tokeninfo(&token).status(200);
    node.tokeninfo(&later).status(400);
    node.token(&client);
    let folders: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!folders.iter().any(|name| name.to_string_lossy().contains("unfinished")), "{folders:?}");

    folder.write("stores/stores.toml", "default = \"db\"\n[source.db]\ntype = \"redis\"\nurl = { file = \"url\" }\n");
    folder.write("url", "redis://127.0.0.1:1/0");
    folder.run(["store", "backup", "x.db"]).code(1).says("redis-cli --rdb");
}
