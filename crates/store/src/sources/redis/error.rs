//! What the driver's and the server's errors mean: try again later, or mend something, and what.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::source::StoreError;

/// An error in our words, with the remedy where there is one. `title` says which source.
pub(super) fn explain(title: &str, error: &RedisError) -> StoreError {
    let Some(code) = error.code() else {
        return match error.kind() {
            ErrorKind::InvalidClientConfig => StoreError::Broken(format!("{title}: {error}")),
            _ => StoreError::Unavailable(format!("{title}: {error}")),
        };
    };
    told(title, code, error.detail().unwrap_or(""))
}

/// As [`explain`], of an answer to the log-in: the server may say what was sent to it, and that was a password.
pub(super) fn explain_login(title: &str, error: &RedisError) -> StoreError {
    match error.code() {
        Some(code @ ("WRONGPASS" | "NOAUTH" | "NOPERM")) => told(title, code, "the log-in was refused"),
        Some("ERR") if error.detail().is_some_and(|detail| detail.contains(FULL)) => told(title, "ERR", FULL),
        Some("ERR") => told(title, "WRONGPASS", "the log-in was refused; does the server know users and passwords?"),
        _ => explain(title, error),
    }
}

/// What a server says that takes no more connections.
const FULL: &str = "max number of clients";

fn told(title: &str, code: &str, detail: &str) -> StoreError {
    // `unknown command 'X', with args beginning with: ...`: arguments are nobody's business.
    let detail = detail.split(", with args").next().unwrap_or("");
    let text = format!("{title}: {code} {detail}");
    let text = text.trim_end();
    match remedy(code, detail) {
        Verdict::Later("") => StoreError::Unavailable(text.to_owned()),
        Verdict::Later(remedy) => StoreError::Unavailable(format!("{text}: {remedy}")),
        Verdict::Mend("") => StoreError::Broken(text.to_owned()),
        Verdict::Mend(remedy) => StoreError::Broken(format!("{text}: {remedy}")),
    }
}

/// Whether it goes by itself or somebody must mend it, and how.
enum Verdict {
    Later(&'static str),
    Mend(&'static str),
}

fn remedy(code: &str, detail: &str) -> Verdict {
    match code {
        "OOM" => Verdict::Later("the server's memory is full: raise its maxmemory"),
        "MISCONF" => Verdict::Later("the server cannot write to its disk, and takes no writes until it can"),
        // The primary of before; a new connection may find the new one.
        "READONLY" => Verdict::Later("the server is a replica, which only reads; name the primary in the url"),
        "NOREPLICAS" => Verdict::Later("too few replicas are there (the server's min-replicas-to-write)"),
        "MOVED" | "ASK" | "CROSSSLOT" => Verdict::Later(CLUSTER),
        "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" | "UNKILLABLE" => Verdict::Later(""),
        // Passwords are changed under running nodes: the new one is taken up as soon as it is there.
        "WRONGPASS" | "NOAUTH" => Verdict::Later("mend the user or password in its url"),
        "NOPERM" => Verdict::Mend(RIGHTS),
        // What a script may not do.
        "ERR" if detail.contains("user executing the script can't") => Verdict::Mend(RIGHTS),
        "WRONGTYPE" => {
            Verdict::Mend("a key with our prefix is another program's: choose another prefix, or another database")
        }
        "ERR" if detail.contains(FULL) => Verdict::Later("raise the server's maxclients"),
        "ERR" if detail.contains("DB index") || detail.contains("SELECT is not allowed") => {
            Verdict::Mend("mend the database's number in the url; a cluster has only 0")
        }
        "ERR" if detail.contains("unknown command") => {
            Verdict::Mend("the server has renamed or disabled a command that is needed")
        }
        _ => Verdict::Mend(""),
    }
}

const RIGHTS: &str =
    "the user lacks a right: `portcullis store schema redis` prints the ACL SETUSER line that gives all of them";

/// Why a cluster of several shards does not serve.
pub(super) const CLUSTER: &str = "the key is on another shard of a Redis Cluster, which is not supported: all tables must be on the \
     server that the url names. Use one without cluster mode, a cluster of one shard, or a proxy that hides the shards";

/// Whether the connection went away, so that nobody knows what became of the command.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.code().is_none()
}

/// Whether the connection must not be used again though it stands: after a fail-over it leads to a server that only reads.
pub(super) fn is_stale(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "MOVED" | "MASTERDOWN" | "NOAUTH"))
}

/// Whether the server does not know the script, and so has not run it.
pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_by_itself_is_unavailable_and_the_rest_is_broken() {
        for code in [
            "OOM",
            "MISCONF",
            "READONLY",
            "LOADING",
            "BUSY",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "NOREPLICAS",
            "MOVED",
            "WRONGPASS",
            "NOAUTH",
        ] {
            assert!(matches!(told("s", code, "x"), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["NOPERM", "WRONGTYPE", "ERR", "NEW"] {
            assert!(matches!(told("s", code, "x"), StoreError::Broken(_)), "{code}");
        }
        assert!(matches!(told("s", "ERR", "max number of clients reached"), StoreError::Unavailable(_)));
    }

    #[test]
    fn arguments_are_not_repeated() {
        let shown = told("s", "ERR", "unknown command 'X', with args beginning with: 'hunter2'").to_string();
        assert!(!shown.contains("hunter2") && shown.contains("renamed or disabled"), "{shown}");
    }
}
