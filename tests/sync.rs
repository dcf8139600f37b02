//! The sync comes before the answer: what strace sees of a node that issues tokens on SQLite.
//!
//! Killing a process loses nothing that reached the kernel, so [`durability`](crate::durability) cannot tell a sync from none;
//! the order of system calls can. The second test is the first with `synchronous = "normal"`: it shows that the check sees the
//! difference.

use std::process::{Child, Command, Stdio};

use crate::harness::{Folder, Node, wait_until};

const TOKENS: usize = 20;

#[test]
fn a_token_is_on_disk_before_it_is_answered() {
    let folder = Folder::shipped();
    let seen = observe(&folder);
    assert_eq!(seen, Seen { answered: TOKENS, unsynced: 0 });
}

#[test]
fn without_full_synchronisation_the_same_check_finds_answers_that_no_sync_came_before() {
    let folder = Folder::shipped();
    folder.edit("stores/stores.toml", "type = \"sqlite\"", "type = \"sqlite\"\nsynchronous = \"normal\"");
    let seen = observe(&folder);
    assert_eq!(seen.answered, TOKENS);
    assert!(seen.unsynced > TOKENS / 2, "{seen:?}");
}

/// What the system calls say.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Answers with a token in them.
    answered: usize,
    /// Those since whose predecessor nothing was synced: the requests come one after another.
    unsynced: usize,
}

fn observe(folder: &Folder) -> Seen {
    let client = folder.client("app", "a", &[]);
    let node = Node::start(folder);
    node.token(&client); // whatever is done once is done
    let trace = folder.at("trace");
    let mut strace = attach(&node, folder);
    for _ in 0..TOKENS {
        node.token(&client);
    }
    drop(node); // the end of the node is the end of the trace
    strace.wait().expect("strace ends");
    read(&std::fs::read_to_string(trace).expect("the trace"))
}

fn attach(node: &Node, folder: &Folder) -> Child {
    let errors = folder.at("strace.err");
    let spawned = Command::new("strace")
        .args(["-f", "-s", "4096", "-e", "trace=fdatasync,fsync,write,writev,sendto,sendmsg", "-o"])
        .arg(folder.at("trace"))
        .args(["-p", &node.pid().to_string()])
        .stderr(std::fs::File::create(&errors).expect("a file for its errors"))
        .stdout(Stdio::null())
        .spawn();
    let mut strace = spawned.expect("strace is installed: `tests/run` does it");
    wait_until("strace is attached", || {
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        if let Ok(Some(status)) = strace.try_wait() {
            panic!("strace ended with {status}; it must be allowed to trace (ptrace_scope 0, or root): {said}");
        }
        said.contains("attached")
    });
    strace
}

fn read(trace: &str) -> Seen {
    let mut seen = Seen { answered: 0, unsynced: 0 };
    let mut synced = false;
    for line in trace.lines() {
        // A call that another thread interrupts is two lines: it is done at the second.
        if (line.contains("fdatasync") || line.contains("fsync")) && line.ends_with("= 0") {
            synced = true;
        } else if line.contains("HTTP/1.1 200") && line.contains("pca_") {
            seen.answered += 1;
            seen.unsynced += usize::from(!synced);
            synced = false;
        }
    }
    seen
}
