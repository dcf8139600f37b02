//! What is to be watched: which folders, and which names in them matter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Folders that hold the configuration, at this instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// Every folder, with its identity: one that was taken away and made anew must be watched anew.
    pub(super) folders: BTreeMap<PathBuf, (u64, u64)>,
    /// Folders in which everything matters.
    open: BTreeSet<PathBuf>,
    /// Files that matter in the others.
    names: BTreeSet<PathBuf>,
}

impl Watched {
    /// For the configuration folder `root`, and these files outside of `policies/` and `stores/`.
    pub(super) fn find(root: &Path, outside: &[PathBuf]) -> Watched {
        let mut watched = Watched::default();
        watched.folder(root, false);
        for name in ["policies", "stores"] {
            watched.names.insert(root.join(name));
            watched.tree(&root.join(name), 0);
        }
        for file in outside.iter().chain([&root.join("node.toml")]) {
            watched.file(file);
        }
        watched
    }

    /// Whether a change at this path may change the configuration.
    pub(super) fn matters(&self, path: &Path) -> bool {
        let within_open = path.parent().is_some_and(|parent| self.open.contains(parent)) || self.open.contains(path);
        // `..data` is what Kubernetes swaps when a ConfigMap or Secret changes.
        within_open || self.names.contains(path) || path.file_name().is_some_and(|name| name == "..data")
    }

    fn folder(&mut self, path: &Path, everything: bool) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if metadata.is_dir() {
            self.folders.insert(path.to_owned(), (metadata.dev(), metadata.ino()));
            if everything {
                self.open.insert(path.to_owned());
            }
        }
    }

    /// A folder and all below it, by the names that they really have: links are followed.
    fn tree(&mut self, path: &Path, depth: usize) {
        let Ok(real) = path.canonicalize() else { return };
        self.link(path);
        if depth > 32 || self.open.contains(&real) {
            return;
        }
        self.folder(&real, true);
        for entry in fs::read_dir(&real).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => self.tree(&entry.path(), depth + 1),
                _ => self.link(&entry.path()),
            }
        }
    }

    /// Where a link leads: the folder that it ends in holds the file, and the link itself stands in a folder that is watched.
    fn link(&mut self, path: &Path) {
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
            && let Ok(real) = path.canonicalize()
            && let Some(parent) = real.parent()
        {
            self.names.insert(real.clone());
            self.folder(parent, false);
        }
    }

    /// One file: its folder, or the nearest one above that is there, in which its part of the path may appear.
    fn file(&mut self, path: &Path) {
        let mut part = path;
        while let Some(parent) = part.parent() {
            if parent.is_dir() {
                let real = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
                self.folder(&real, false);
                if let Some(name) = part.file_name() {
                    self.names.insert(real.join(name));
                    self.link(&real.join(name));
                }
                return;
            }
            part = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_links_and_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let make = |path: &str| fs::create_dir_all(root.join(path)).unwrap();
        for path in
            ["conf/policies/oauth", "conf/policies/.git", "conf/stores", "conf/var", "elsewhere/deep", "secrets"]
        {
            make(path);
        }
        symlink(root.join("elsewhere"), root.join("conf/policies/linked")).unwrap();
        fs::write(root.join("one.toml"), "").unwrap();
        symlink("../../one.toml", root.join("conf/policies/one.toml")).unwrap();
        let watched = Watched::find(&root.join("conf"), &[root.join("secrets/db"), root.join("conf/missing/deep/x")]);
        let folders: Vec<_> =
            watched.folders.keys().map(|f| f.strip_prefix(&root).unwrap().to_str().unwrap()).collect();
        assert_eq!(
            folders,
            [
                "",
                "conf",
                "conf/policies",
                "conf/policies/oauth",
                "conf/stores",
                "elsewhere",
                "elsewhere/deep",
                "secrets"
            ]
        );
        for (path, matters) in [
            ("conf/node.toml", true),
            ("conf/policies", true),
            ("conf/policies/new.toml", true),
            ("conf/policies/oauth/a.toml", true),
            ("conf/stores/stores.toml", true),
            ("elsewhere/deep/b.toml", true),
            ("one.toml", true),
            ("secrets/db", true),
            ("secrets/..data", true),
            ("conf/missing", true),
            ("secrets/other", false),
            ("conf/var", false),
            ("conf/portcullis.db-wal", false),
            ("two.toml", false),
        ] {
            assert_eq!(watched.matters(&root.join(path)), matters, "{path}");
        }
    }
}
