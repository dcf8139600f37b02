//! The configuration folders that open files belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::compile::{PolicySurvey, policy_name};
use server::Look;

use super::diagnostics::Published;

/// What kind of file it is, by its path in the configuration folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A policy.
    Policy,
    /// The tests of a policy, in a file of their own.
    Tests,
    /// `policies/oauth/server.toml`.
    Server,
    /// `stores/stores.toml`.
    Stores,
    /// `node.toml`.
    Node,
}

impl FileKind {
    /// None where the file is no part of a configuration.
    pub(super) fn of(path: &str) -> Option<FileKind> {
        match path {
            "node.toml" => Some(FileKind::Node),
            "stores/stores.toml" => Some(FileKind::Stores),
            _ if policy_name(path).is_some() => Some(FileKind::Policy),
            _ if path.starts_with("policies/") && path.ends_with(".test.toml") => Some(FileKind::Tests),
            _ if path.starts_with("policies/") && path.ends_with(".toml") => Some(FileKind::Server),
            _ => None,
        }
    }
}

/// One configuration folder.
#[derive(Default)]
pub(super) struct Folder {
    /// Counts up with every change.
    pub(super) round: u64,
    /// What the last check found. It may be of texts that have changed since.
    pub(super) look: Option<Arc<Look>>,
    /// What the last check that could read the policy knew of it.
    policies: BTreeMap<String, PolicySurvey>,
    /// Policies that were saved since the last change of a text: their tests are run with every check.
    pub(super) saved: BTreeSet<String>,
    /// A file of it was open.
    pub(super) was_open: bool,
    /// What it was told that has no place in a file.
    pub(super) elsewhere: Vec<String>,
    /// What the client was told.
    pub(super) published: BTreeMap<String, Published>,
}

impl Folder {
    /// Takes the outcome of a check.
    pub(super) fn take(&mut self, look: Look) -> Arc<Look> {
        let there = |name: &String| look.survey.policy(name).is_some();
        self.policies.retain(|name, _| there(name));
        for policy in look.survey.policies.iter().filter(|policy| !policy.broken) {
            self.policies.insert(policy.name.clone(), policy.clone());
        }
        let look = Arc::new(look);
        self.look = Some(look.clone());
        look
    }

    /// What is known of the policy in this file, as it was when it could last be read.
    pub(super) fn policy(&self, path: &str) -> Option<&PolicySurvey> {
        self.policies.get(policy_name(path)?)
    }
}

/// Finds the folder that a file belongs to, and its path in it: the nearest one upwards that has the file among its
/// configuration's. With `only`, no other folder is looked at, by whatever links the client comes to it.
pub(super) fn find(file: &Path, only: Option<&Path>) -> Option<(PathBuf, String)> {
    let within = |root: &Path| {
        let path = file.strip_prefix(root).ok()?.to_str()?.to_owned();
        FileKind::of(&path).map(|_| (root.to_owned(), path))
    };
    match only {
        Some(only) => {
            let is_it = |root: &&Path| *root == only || root.canonicalize().is_ok_and(|real| real == only);
            file.ancestors().skip(1).find(is_it).and_then(within)
        }
        None => {
            // `policies/stores/stores.toml` is a policy: a folder of this name is no root.
            let named = |root: &&Path| !root.ends_with("policies") && !root.ends_with("stores");
            let found: Vec<_> = file.ancestors().skip(1).filter(named).filter_map(within).collect();
            // `policies/team/node.toml` is one too: what has policies of its own is a root before what has none.
            let nearest = found.iter().find(|(root, _)| root.join("policies").is_dir()).or(found.first());
            nearest.cloned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_file() {
        for (file, expected) in [
            ("/r/policies/a.toml", Some(("/r", "policies/a.toml", FileKind::Policy))),
            ("/r/policies/oauth/server.toml", Some(("/r", "policies/oauth/server.toml", FileKind::Server))),
            ("/r/policies/oauth/a.test.toml", Some(("/r", "policies/oauth/a.test.toml", FileKind::Tests))),
            ("/r/policies/stores/stores.toml", Some(("/r", "policies/stores/stores.toml", FileKind::Policy))),
            ("/r/stores/stores.toml", Some(("/r", "stores/stores.toml", FileKind::Stores))),
            ("/r/examples/x/node.toml", Some(("/r/examples/x", "node.toml", FileKind::Node))),
            ("/r/Cargo.toml", None),
            ("/r/policies/a.md", None),
        ] {
            let found = find(Path::new(file), None);
            let found = found.as_ref().map(|(root, path)| (root.to_str().unwrap(), path.as_str(), FileKind::of(path)));
            assert_eq!(found, expected.map(|(root, path, kind)| (root, path, Some(kind))), "{file}");
        }
        assert_eq!(find(Path::new("/r/policies/a.toml"), Some(Path::new("/other"))), None);
    }
}
