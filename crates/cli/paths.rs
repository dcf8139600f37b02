//! Paths as text: nothing is asked of the file system.

use std::path::{Component, Path, PathBuf};

/// Without `.` and `..`: two ways to write one path are one file.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            name => plain.push(name),
        }
        plain
    })
}
