//! What the tests share: a configuration folder, the program, nodes, HTTP by hand, upstreams, PostgreSQL, MariaDB, Redis, Cassandra.

pub mod authority;
pub mod browser;
pub mod cassandra;
pub mod curl;
pub mod dice;
pub mod editor;
pub mod folder;
pub mod http;
pub mod mysql;
pub mod node;
pub mod postgres;
pub mod program;
pub mod redis;
pub mod upstream;
pub mod wire;

pub use editor::Editor;
pub use folder::Folder;
pub use http::{Request, Response};
pub use node::Node;
pub use program::portcullis;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far more than it takes, since machines differ.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until the condition holds, at most [`DEADLINE`].
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "this did not come true within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A text that no other test has: for names in a shared database.
pub fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
