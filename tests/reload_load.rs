//! Reloads under load: every answer is right for the generation it names, none fails, and nothing grows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::harness::wire::Wire;
use crate::harness::{Folder, Node};

/// How many connections ask at once.
const CONNECTIONS: usize = 32;
/// How many changes are made, a third of them broken.
const RELOADS: u64 = 200;
/// For how long.
const LASTS: Duration = Duration::from_secs(20);

/// The policy that wants this scope; `marker` makes each text another one.
fn wants(scope: &str, marker: u64) -> String {
    format!(
        "description = \"{scope} {marker}\"\nroute = \"/hello\"\n[[filter]]\nuse = \"oauth.validate-token\"\n\
         [[filter]]\nuse = \"oauth.check-scope\"\nasked = [\"{scope}\"]\nallowed = \"${{token.scopes}}\"\n\
         [[filter]]\nuse = \"respond\"\ntext = \"{scope}\"\n"
    )
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
    let node = Node::on(&folder).arg("--no-tests").start();
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
        let start = Instant::now();
        for round in 1..=RELOADS {
            let due = start + LASTS * u32::try_from(round).unwrap() / u32::try_from(RELOADS).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (text, status) = match round % 3 {
                0 => (wants("a", round), Some(200)),
                1 => (wants("b", round), Some(403)),
                _ => (wants("b", round).replace("check-scope", "chekc-scope"), None),
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
        stop.store(true, Ordering::SeqCst);
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

/// Memory and descriptors after many reloads are those after few.
#[test]
fn two_thousand_reloads_leave_nothing_behind() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &wants("a", 0));
    let node = Node::on(&folder).arg("--no-tests").start();
    let mut wire = Wire::open(node.admin);
    let mut reload = |round: u64| {
        std::fs::write(folder.at("policies/hello.toml"), wants("a", round)).unwrap();
        let answer = node.admin("POST", "/reload").send_on(&mut wire).expect("an answer").status(200).json();
        assert_ne!(answer["outcome"], "refused", "{answer}");
    };
    (1..=500).for_each(&mut reload);
    let (memory, descriptors) = (resident(&node), open_files(&node));
    (501..=2000).for_each(&mut reload);
    let (memory_after, descriptors_after) = (resident(&node), open_files(&node));
    assert!(
        memory_after < memory + memory / 8 + 4096,
        "resident: {memory} KiB after 500, {memory_after} KiB after 2000"
    );
    assert!(
        descriptors_after <= descriptors + 4,
        "descriptors: {descriptors} after 500, {descriptors_after} after 2000"
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
