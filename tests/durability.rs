//! What was answered is kept: a node that is killed loses no token that a client has in its hands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::folder::{Client, text};
use crate::harness::postgres::Postgres;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node};

const KILLS: usize = 20;
const CONNECTIONS: usize = 8;

/// Kills the node under token load, many times; every token that was answered is known afterwards.
fn killed_under_load(folder: &Folder) {
    let client = folder.client("app", "a", &[]);
    let mut issued = 0;
    for round in 0..KILLS {
        let mut node = Node::start(folder);
        let stop = AtomicBool::new(false);
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let (client, stop, node_ref) = (&client, &stop, &node);
            let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(move || take(node_ref, client, stop))).collect();
            // At another moment of the work each time.
            std::thread::sleep(Duration::from_millis(60 + 13 * round as u64));
            node_ref.signal("KILL");
            stop.store(true, Ordering::SeqCst);
            workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
        });
        node.end();
        let node = Node::start(folder);
        let mut wire = Wire::open(node.address);
        for token in &tokens {
            let ask = node.post("/api/oauth/tokeninfo").form(&[("access_token", token)]);
            let answer = ask.send_on(&mut wire).expect("an answer");
            assert_eq!(answer.status, 200, "round {round}: a token that was answered is lost: {}", answer.text());
        }
        issued += tokens.len();
    }
    assert!(issued > KILLS * CONNECTIONS, "only {issued} tokens in {KILLS} rounds");
}

/// Takes tokens until the node is gone.
fn take(node: &Node, client: &Client, stop: &AtomicBool) -> Vec<String> {
    let request =
        node.post("/api/oauth/token").basic(&client.id, &client.secret).form(&[("grant_type", "client_credentials")]);
    let mut tokens = Vec::new();
    let Ok(mut wire) = Wire::try_open(node.address) else { return tokens };
    loop {
        match request.send_on(&mut wire) {
            Some(answer) if answer.whole && answer.status == 200 => tokens.push(text(&answer.json(), "access_token")),
            Some(answer) if answer.whole => panic!("{} {}", answer.status, answer.text()),
            _ => break,
        }
        if stop.load(Ordering::SeqCst) && Wire::try_open(node.address).is_err() {
            break;
        }
    }
    tokens
}

#[test]
fn on_sqlite() {
    killed_under_load(&Folder::shipped());
}

#[test]
fn on_postgres() {
    let database = Postgres::create();
    let folder = Folder::shipped();
    folder.write("url", &database.url());
    folder.write(
        "stores/stores.toml",
        "default = \"oauth-db\"\n[source.oauth-db]\ntype = \"postgres\"\nurl = { file = \"url\" }\n",
    );
    killed_under_load(&folder);
}

/// The log is on the disk before the client has its token: seen in the system calls. With `synchronous = "normal"` it is not,
/// so that this test would see it.
#[test]
fn the_sync_comes_before_the_answer() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    assert_eq!(synced_answers(&folder, &client), (10, 10), "answers, and those after a sync of the log");
    folder.edit(
        "stores/stores.toml",
        "path = \"var/portcullis.db\"",
        "path = \"var/portcullis.db\"\nsynchronous = \"normal\"",
    );
    assert_eq!(synced_answers(&folder, &client).1, 0);
}

/// How many tokens were answered one after another, and how many of the answers came after a sync of SQLite's log.
fn synced_answers(folder: &Folder, client: &Client) -> (usize, usize) {
    let trace = folder.at("trace");
    // -D: the program is our child, and strace its own.
    let strace = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-y",
        "-s",
        "16",
        "-e",
        "trace=fsync,fdatasync,write,writev,sendto",
        "-e",
        "signal=none",
        "-o",
    ];
    let node = Node::on(folder).under(&[&strace[..], &[trace.to_str().expect("a path")]].concat()).start();
    let before = std::fs::read_to_string(&trace).expect("strace is installed and may trace").lines().count();
    for _ in 0..10 {
        node.token(client);
    }
    let answered = |line: &&str| line.contains("\"HTTP/1.1 200");
    let text = || std::fs::read_to_string(&trace).unwrap_or_default();
    crate::harness::wait_until("the trace has all answers", || {
        text().lines().skip(before).filter(answered).count() >= 10
    });
    let (mut answers, mut after_sync, mut synced) = (0, 0, false);
    let mut pending = std::collections::BTreeSet::new();
    for line in text().lines().skip(before) {
        let process = line.split(' ').next().unwrap_or_default().to_owned();
        let sync = line.contains("fdatasync(") || line.contains("fsync(");
        if sync && line.contains("-wal>") {
            if line.contains("unfinished") {
                pending.insert(process);
            } else {
                synced = true;
            }
        } else if line.contains("sync resumed") {
            synced |= pending.remove(&process);
        } else if answered(&line) {
            answers += 1;
            after_sync += usize::from(std::mem::take(&mut synced));
        }
    }
    let _ = std::fs::remove_file(&trace);
    (answers, after_sync)
}
