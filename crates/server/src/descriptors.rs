//! How many files and sockets the process may have open at a time.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Makes it as many as the process may give itself: shells and service managers begin with 1,024, which some hundred clients use up. Says how
/// many those are; `None` where there is no limit.
pub(crate) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if raised.is_ok() { limit.maximum } else { limit.current }
}

/// Tells where that is fewer than there may be connections: clients would take the last ones, and upstreams, stores and the admin address
/// have none.
pub(crate) fn tell(most: Option<u64>, connections: usize) {
    if let Some(most) = most
        && most < connections as u64
    {
        tracing::warn!(
            "the process may open {most} files, and `limits.connections` are {connections}: allow it more (`LimitNOFILE` of systemd, \
             `ulimit -Hn`), or fewer connections"
        );
    }
}
