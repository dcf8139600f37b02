//! What was answered is kept: a node that is killed loses no token that a client has in its hands.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::folder::{Client, text};
use crate::harness::mysql::Mysql;
use crate::harness::postgres::Postgres;
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node};

const KILLS: usize = 20;
const CONNECTIONS: usize = 8;

/// Kills the node under token load, many times; every token that was answered is known afterwards.
fn killed_under_load(folder: &Folder) {
    let client = folder.client("app", "a", &[]);
    for round in 0..KILLS {
        let mut node = Node::start(folder);
        let (stop, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        let tokens: Vec<String> = std::thread::scope(|scope| {
            let (client, stop, taken, node_ref) = (&client, &stop, &taken, &node);
            let worker = |_| scope.spawn(move || take(node_ref, client, stop, taken));
            let workers: Vec<_> = (0..CONNECTIONS).map(worker).collect();
            // Under load, however slow the machine, and at another moment of the work each time.
            let begun = Instant::now();
            while taken.load(Ordering::SeqCst) <= CONNECTIONS && begun.elapsed() < DEADLINE {
                std::thread::sleep(Duration::from_millis(5));
            }
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
        assert!(tokens.len() > CONNECTIONS, "round {round}: only {} tokens", tokens.len());
    }
}

/// Takes tokens until the node is gone.
fn take(node: &Node, client: &Client, stop: &AtomicBool, taken: &AtomicUsize) -> Vec<String> {
    let request =
        node.post("/api/oauth/token").basic(&client.id, &client.secret).form(&[("grant_type", "client_credentials")]);
    let mut tokens = Vec::new();
    let Ok(mut wire) = Wire::try_open(node.address) else { return tokens };
    loop {
        match request.send_on(&mut wire) {
            Some(answer) if answer.whole && answer.status == 200 => {
                tokens.push(text(&answer.json(), "access_token"));
                taken.fetch_add(1, Ordering::SeqCst);
            }
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
    killed_under_load(&on("postgres", &database.url()));
}

#[test]
fn on_mariadb() {
    let database = Mysql::create();
    killed_under_load(&on("mysql", &database.url()));
}

fn on(kind: &str, url: &str) -> Folder {
    let folder = Folder::shipped();
    folder.write("url", url);
    folder.write(
        "stores/stores.toml",
        &format!("default = \"oauth-db\"\n[source.oauth-db]\ntype = \"{kind}\"\nurl = {{ file = \"url\" }}\n"),
    );
    folder
}
