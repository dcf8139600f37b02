//! Reloads under load: every answer is right for the generation it names, none fails, and nothing grows, whatever is replaced.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, Request, wait_until};

/// How many connections ask at once.
const CONNECTIONS: usize = 32;
/// How many changes are made, a third of them broken.
const RELOADS: u64 = 200;
/// For how long.
const LASTS: Duration = Duration::from_secs(20);

/// The policy that wants this scope, with a test of its own; `marker` makes each text another one.
fn wants(scope: &str, marker: u64) -> String {
    format!(
        "description = \"{scope} {marker}\"\nroute = \"/hello\"\n[[filter]]\nuse = \"oauth.validate-token\"\n\
         [[filter]]\nuse = \"oauth.check-scope\"\nasked = [\"{scope}\"]\nallowed = \"${{token.scopes}}\"\n\
         [[filter]]\nuse = \"respond\"\ntext = \"{scope}\"\n\
         [[test]]\nname = \"its scope is let in\"\nexpect = {{ status = 200 }}\n\
         request = {{ bearer = \"good\" }}\n\
         given = {{ clients = [{{ id = \"app\" }}], tokens = [{{ token = \"good\", client = \"app\", scope = \"{scope}\" }}] }}\n"
    )
}

/// Ends those that ask, also where the test fails: else it would wait for them for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What an answer said: the generation it named, and its status.
#[derive(Clone, Copy)]
struct Answer {
    asked: Instant,
    generation: u64,
    status: u16,
}

#[test]
fn decisions_change_two_hundred_times_under_load() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[debug]\ngeneration_header = true\n");
    folder.write("policies/hello.toml", &wants("a", 0));
    let client = folder.client("app", "a b", &[]);
    // The policies' own tests run at every reload: requests do not notice.
    let node = Node::start(&folder);
    // The client has a token for scope a only: it is let in by every second generation.
    let json = node.ask_token(&client, &[("scope", "a")]).status(200).json();
    let token = crate::harness::folder::text(&json, "access_token");

    let stop = AtomicBool::new(false);
    let failed = AtomicU64::new(0);
    // Generation, what it must answer, and when it was in force for sure.
    let mut generations: Vec<(u64, u16, Instant)> = vec![(generation(&node), 200, Instant::now())];
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let (node, token, stop, failed) = (&node, &token, &stop, &failed);
        let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(move || ask(node, token, stop, failed))).collect();
        let (start, asking) = (Instant::now(), Stop(stop));
        for round in 1..=RELOADS {
            let due = start + LASTS * u32::try_from(round).unwrap() / u32::try_from(RELOADS).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (text, status) = match round % 3 {
                0 => (wants("a", round), Some(200)),
                1 => (wants("b", round), Some(403)),
                // Refused as it is read, or by its own test.
                _ if round % 2 == 0 => (wants("b", round).replace("check-scope", "chekc-scope"), None),
                _ => (wants("b", round).replace("status = 200", "status = 201"), None),
            };
            folder.write("policies/hello.toml", &text);
            let reloaded = node.admin("POST", "/reload").send().status(200).json();
            match status {
                Some(status) => {
                    assert_ne!(reloaded["outcome"], "refused", "{reloaded}");
                    generations.push((reloaded["generation"].as_u64().unwrap(), status, Instant::now()));
                }
                None => assert_eq!(reloaded["outcome"], "refused", "{reloaded}"),
            }
        }
        drop(asking);
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });

    assert_eq!(failed.load(Ordering::SeqCst), 0, "requests that failed, of {}", answers.len());
    assert!(answers.len() > 1000, "only {} answers", answers.len());
    for answer in &answers {
        let known = generations.iter().find(|(number, ..)| *number == answer.generation);
        let (_, status, _) = known.unwrap_or_else(|| panic!("generation {} was never in force", answer.generation));
        assert_eq!(answer.status, *status, "an answer of generation {}", answer.generation);
        // None is older than the newest that was in force when it was asked for.
        let oldest =
            generations.iter().rev().find(|(.., since)| *since <= answer.asked).map_or(0, |(number, ..)| *number);
        assert!(answer.generation >= oldest, "generation {} answered, {oldest} was in force", answer.generation);
    }
    let seen: std::collections::BTreeSet<_> = answers.iter().map(|answer| answer.generation).collect();
    assert!(seen.len() > 50, "only {} generations were seen", seen.len());
}

fn generation(node: &Node) -> u64 {
    node.admin("GET", "/status").send().json()["generation"]["number"].as_u64().expect("a number")
}

fn ask(node: &Node, token: &str, stop: &AtomicBool, failed: &AtomicU64) -> Vec<Answer> {
    let request = node.get("/hello").bearer(token);
    let (mut wire, mut answers) = (Wire::open(node.address), Vec::new());
    while !stop.load(Ordering::SeqCst) {
        let asked = Instant::now();
        match request.send_on(&mut wire) {
            Some(answer) => {
                let generation = answer.header("portcullis-generation").and_then(|v| v.parse().ok());
                let generation = generation.unwrap_or_else(|| panic!("an answer names its generation: {answer:?}"));
                answers.push(Answer { asked, generation, status: answer.status });
            }
            None => {
                failed.fetch_add(1, Ordering::SeqCst);
                wire = Wire::open(node.address);
            }
        }
    }
    answers
}

/// Every so many reloads, a source, a listener's address and an upstream change too.
const OFTEN: u64 = 10;

/// A configuration of which everything can be replaced, in one of two states.
struct Replaced {
    folder: Folder,
    /// A listener that stays, and the two addresses of one that does not.
    stays: SocketAddr,
    moves: [SocketAddr; 2],
    upstreams: [Upstream; 2],
}

impl Replaced {
    fn new() -> Replaced {
        let free = |host: &str| std::net::TcpListener::bind((host, 0)).and_then(|l| l.local_addr()).expect("a port");
        let folder = Folder::shipped();
        folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
        folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
        let replaced = Replaced {
            folder,
            stays: free("127.0.0.1"),
            moves: [free("127.0.0.2"), free("127.0.0.3")],
            upstreams: [Upstream::echo(), Upstream::echo()],
        };
        replaced.replace(0);
        replaced
    }

    /// Another source, another address, another upstream.
    fn replace(&self, state: usize) {
        let listener = |name: &str, at: SocketAddr| format!("[[listener]]\nname = \"{name}\"\naddress = \"{at}\"\n");
        let node = [
            listener("stays", self.stays),
            listener("moves", self.moves[state]),
            self.upstreams[state].toml("up"),
            String::from("[limits]\ndrain = \"1s\"\n"),
        ];
        self.folder.write("node.toml", &node.concat());
        let source = format!("default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"var/{state}.db\"\n");
        self.folder.write("stores/stores.toml", &source);
    }

    /// Uses all that was replaced: the source, the address, the upstream.
    fn use_it(&self, state: usize, kept: &mut Wire) {
        let before = self.upstreams[state].heads().len();
        for at in [self.stays, self.moves[state]] {
            Request::new(at, "GET", "/up").send().status(200);
        }
        // One that stays open: the listener that goes lets it go.
        let mut open = Wire::open(self.moves[state]);
        Request::new(self.moves[state], "GET", "/up").send_on(&mut open).expect("an answer").status(200);
        assert_eq!(self.upstreams[state].heads().len(), before + 3, "they went to this upstream");
        let token = Request::new(self.stays, "POST", "/api/oauth/token").basic("nobody", "x");
        let token = token.form(&[("grant_type", "client_credentials")]).send_on(kept);
        token.expect("the listener that stays cuts no connection").error(401, "invalid_client");
    }
}

/// How often the port is replaced, and by how many clients of each kind it is asked meanwhile.
const REPLACED: usize = 20;
const CLIENTS: usize = 8;

/// A request that was sent before the reload was answered is answered, on a connection in use, on an idle one and on a new one.
#[test]
fn a_port_that_is_replaced_loses_no_request() {
    let replaced = Replaced::new();
    replaced.folder.write("policies/ok.toml", "route = \"/ok\"\n[[filter]]\nuse = \"respond\"\ntext = \"ok\"\n");
    let node = Node::on(&replaced.folder).own_listeners().arg("--no-tests").start();
    let (answered, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    for round in 1..=REPLACED {
        let at = replaced.moves[(round - 1) % 2];
        let (reloaded, ready) = (AtomicBool::new(false), std::sync::Barrier::new(2 * CLIENTS + 1));
        let request = Request::new(at, "GET", "/ok");
        // Whether the connection goes on. What is sent later than the reload was answered may find its port closed.
        let ask = |wire: &mut Wire| {
            let counts = !reloaded.load(Ordering::SeqCst);
            match request.send_on(wire) {
                Some(answer) => {
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                    answer.header("connection") != Some("close")
                }
                None => {
                    lost.fetch_add(u64::from(counts), Ordering::SeqCst);
                    false
                }
            }
        };
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (ask, ready) = (&ask, &ready);
                scope.spawn(move || {
                    let mut wire = Wire::open(at);
                    ready.wait();
                    while ask(&mut wire) {}
                });
                // Connected before, and asked for the first or the second time while the port goes.
                scope.spawn(move || {
                    let mut wires: Vec<_> = (0..8).map(|_| Wire::open(at)).collect();
                    for wire in wires.iter_mut().skip(client % 2 * 4) {
                        assert!(ask(wire));
                    }
                    ready.wait();
                    for wire in &mut wires {
                        ask(wire);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            ready.wait();
            let _told = Stop(&reloaded);
            // Only now: the node sees by itself that files have changed.
            replaced.replace(round % 2);
            assert_ne!(node.admin("POST", "/reload").send().status(200).json()["outcome"], "refused");
        });
        wait_until("the port is closed", || Wire::try_open(at).is_err());
    }
    assert_eq!(lost.into_inner(), 0, "of {} requests", answered.into_inner());
}

/// Memory and descriptors after many reloads are those after few.
#[test]
fn two_thousand_reloads_leave_nothing_behind() {
    let replaced = Replaced::new();
    replaced.folder.write("policies/hello.toml", &wants("a", 0));
    let node = Node::on(&replaced.folder).own_listeners().arg("--no-tests").start();
    let (mut admin, mut kept) = (Wire::open(node.admin), Wire::open(replaced.stays));
    let mut reload = |round: u64| {
        std::fs::write(replaced.folder.at("policies/hello.toml"), wants("a", round)).unwrap();
        let state = usize::from(round / OFTEN % 2 == 1);
        let another = round.is_multiple_of(OFTEN);
        if another {
            replaced.replace(state);
        }
        let answer = node.admin("POST", "/reload").send_on(&mut admin).expect("an answer").status(200).json();
        assert_ne!(answer["outcome"], "refused", "{answer}");
        if another {
            replaced.use_it(state, &mut kept);
        }
    };
    (1..=500).for_each(&mut reload);
    let (memory, descriptors) = (resident(&node), open_files(&node));
    (501..=2000).for_each(&mut reload);
    // What was replaced last may still have a moment to go.
    wait_until(&format!("descriptors as after 500 reloads: {descriptors}"), || open_files(&node) <= descriptors + 4);
    assert!(
        [0, 1].iter().all(|state| replaced.folder.at(&format!("var/{state}.db")).exists()),
        "both sources were in use"
    );
    let memory_after = resident(&node);
    assert!(
        memory_after < memory + memory / 8 + 4096,
        "resident: {memory} KiB after 500, {memory_after} KiB after 2000"
    );
}

/// KiB.
fn resident(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("the node's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn open_files(node: &Node) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("its descriptors").count()
}
