//! Files that the generation that serves was made of, and that are gone: on a running node that is a folder moved or a mount lost,
//! far more often than it is meant, and what is without them is a valid configuration of something else.

use std::sync::Arc;

use policy::Diagnostics;
use policy::compile::policy_name;
use policy::diagnostic::{Place, Problem, SourceFile, Span, codes};
use policy::reader::Files;

/// P0503, one problem a file.
pub(super) fn gone(serving: &Files, now: &Files) -> Diagnostics {
    let mut found = Diagnostics::new();
    // What cannot be read is told as that.
    if !now.diagnostics.is_empty() {
        return found;
    }
    for (path, message, help) in [
        (
            "stores/stores.toml",
            "this file is gone, and the stores that serve are the ones it named",
            "put it back; to have the built-in store (SQLite in `var/`) from here on, restart the node without the file",
        ),
        (
            "node.toml",
            "this file is gone, and the node serves by the settings in it",
            "put it back; to be without them, leave an empty file, or restart the node without it",
        ),
    ] {
        if serving.files.contains_key(path) && !now.files.contains_key(path) {
            found.push(Problem::error(codes::GONE, message).with_help(help).at(start_of(path)));
        }
    }
    if has_policies(serving) && !has_policies(now) {
        let message = "every policy is gone: nothing but 404 would be answered";
        let help = "put it back; to serve no policy at all, restart the node without any";
        found.push(Problem::error(codes::GONE, message).with_help(help).at(start_of("policies/")));
    }
    found
}

fn has_policies(files: &Files) -> bool {
    files.files.keys().any(|path| policy_name(path).is_some())
}

/// The place of what has no text any more.
fn start_of(path: &str) -> Place {
    Place { file: Arc::new(SourceFile::new(path, "")), span: Span { start: 0, end: 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(serving: &[&str], now: &[&str]) -> Vec<String> {
        let files = |paths: &[&str]| Files::from_texts(paths.iter().map(|path| (*path, "")));
        let found = gone(&files(serving), &files(now));
        found.iter().filter_map(|d| d.place.as_ref().map(|place| place.file.path.clone())).collect()
    }

    #[test]
    fn only_what_was_there_is_missed() {
        let none: [&str; 0] = [];
        let all = ["node.toml", "policies/a.toml", "policies/b.toml", "stores/stores.toml"];
        assert_eq!(found(&all, &all), none);
        assert_eq!(found(&all, &[]), ["stores/stores.toml", "node.toml", "policies/"]);
        assert_eq!(found(&all, &all[1..]), ["node.toml"]);
        assert_eq!(found(&all, &[all[0], all[2], all[3]]), none, "one policy of several");
        assert_eq!(found(&[], &[]), none);
        assert_eq!(found(&["node.toml"], &["node.toml", "policies/a.toml"]), none);
        // Settings and tests are no policies.
        let rest = ["policies/a.test.toml", "policies/oauth/server.toml"];
        assert_eq!(found(&["policies/a.toml", rest[0], rest[1]], &rest), ["policies/"]);
        assert_eq!(found(&rest, &[]), none);
    }
}
