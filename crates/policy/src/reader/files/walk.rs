//! The walk over the folder: which files there are, and what they say.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::names::is_clean;
use super::text::{self, of_file, plain};
use super::{Files, LARGEST};
use crate::diagnostic::{Code, Problem, SourceFile, codes};

/// So large may all files be together: ten thousand policies are a fifth of it.
const MOST_BYTES: u64 = 64 << 20;

/// So many files and folders are looked at: a link may lead to a whole disk.
const MOST_ENTRIES: usize = 100_000;

/// So deep may folders stand in one another: the walk recurses.
const DEEPEST: usize = 32;

/// What tells one state of a file or folder from another.
#[derive(PartialEq, Eq)]
pub(super) struct Seen {
    path: String,
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What one walk found.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) files: Files,
    pub(super) seen: Vec<Seen>,
    /// Whether files are read, or only looked at.
    contents: bool,
    entries: usize,
    bytes: u64,
    /// There was too much, which is told: nothing more is looked at.
    full: bool,
}

/// One walk; with `contents`, the files are read too.
pub(super) fn read_once(root: &Path, contents: bool) -> Reading {
    let mut reading = Reading { contents, ..Reading::default() };
    if let Err(error) = fs::metadata(root).and_then(|_| fs::read_dir(root)) {
        let message = format!("the configuration folder `{}` cannot be read: {}", root.display(), plain(&error));
        reading.files.diagnostics.push(Problem::error(codes::UNREADABLE, message).nowhere());
        return reading;
    }
    for folder in ["policies", "stores"] {
        reading.entry(&root.join(folder), folder, &mut Vec::new(), true);
    }
    reading.entry(&root.join("node.toml"), "node.toml", &mut Vec::new(), false);
    reading
}

impl Reading {
    fn problem(&mut self, path: &str, code: Code, message: impl Into<String>, help: &str) {
        self.files.diagnostics.push(of_file(path, Problem::error(code, message).with_help(help)));
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        self.files.diagnostics.push(of_file(path, text::unreadable(error)));
    }

    /// One file or folder. `above` are the folders it stands in, to refuse a loop of links.
    fn entry(&mut self, at: &Path, path: &str, above: &mut Vec<(u64, u64)>, folder: bool) {
        self.entries += 1;
        if self.full || !self.few_enough(path) {
            return;
        }
        let metadata = match fs::metadata(at) {
            Ok(metadata) => metadata,
            // Neither folder nor `node.toml` must be there.
            Err(error)
                if above.is_empty() && error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(at).is_err() =>
            {
                return;
            }
            Err(error) => return self.unreadable(path, &error),
        };
        if metadata.is_dir() && folder {
            let identity = (metadata.dev(), metadata.ino());
            if above.contains(&identity) {
                let message = "this link leads back to a folder that it stands in";
                return self.problem(path, codes::UNREADABLE, message, "take the link away");
            }
            if above.len() >= DEEPEST {
                let message = format!("more than {DEEPEST} folders stand in one another here");
                return self.problem(path, codes::UNREADABLE, message, "policies need no deep folders: move them up");
            }
            self.saw(path, &metadata);
            above.push(identity);
            self.folder(at, path, above);
            above.pop();
        } else if above.is_empty() && folder {
            let help = "configuration files stand in a folder of this name";
            self.problem(path, codes::UNREADABLE, "is no folder", help);
        } else if !folder || path.ends_with(".toml") {
            self.saw(path, &metadata);
            self.file(at, path, &metadata);
        }
    }

    fn few_enough(&mut self, path: &str) -> bool {
        if self.entries > MOST_ENTRIES {
            self.full = true;
            let message = format!("there are more than {MOST_ENTRIES} files and folders here");
            let help = "configuration files stand alone in their folders: does a link lead to another place?";
            self.problem(path, codes::UNREADABLE, message, help);
        }
        !self.full
    }

    fn small_enough(&mut self, path: &str, size: u64) -> bool {
        self.bytes += size;
        if self.bytes > MOST_BYTES {
            self.full = true;
            let message = format!("all configuration files up to this one are larger than {} MiB", MOST_BYTES >> 20);
            self.problem(path, codes::NOT_TEXT, message, "move what is no configuration to another place");
        }
        !self.full
    }

    fn saw(&mut self, path: &str, metadata: &Metadata) {
        self.seen.push(Seen {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        });
    }

    fn folder(&mut self, at: &Path, path: &str, above: &mut Vec<(u64, u64)>) {
        // One more than there may be, so that it is seen when there are too many.
        let left = MOST_ENTRIES.saturating_sub(self.entries) + 1;
        let mut names = match fs::read_dir(at)
            .and_then(|entries| entries.take(left).map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>())
        {
            Ok(names) => names,
            Err(error) => return self.unreadable(path, &error),
        };
        names.sort();
        for name in names {
            match name.to_str() {
                Some(name) if name.starts_with('.') => self.entries += 1,
                Some(name) if is_clean(name) => self.entry(&at.join(name), &format!("{path}/{name}"), above, true),
                found => {
                    let path = format!("{path}/{}", name.to_string_lossy().escape_debug());
                    let message = match found {
                        Some(_) => "the name of this file has a character in it that nobody can see",
                        None => "the name of this file is no UTF-8",
                    };
                    self.problem(&path, codes::NOT_TEXT, message, "give it another name");
                }
            }
        }
    }

    fn file(&mut self, at: &Path, path: &str, metadata: &Metadata) {
        let size = metadata.len().min(LARGEST + 1);
        if !self.small_enough(path, size) || !self.contents {
            return;
        }
        match text::read_known(at, metadata, path) {
            Ok(text) => {
                self.files.files.insert(path.to_owned(), Arc::new(SourceFile::new(path, text)));
            }
            Err(problems) => self.files.diagnostics.extend(problems),
        }
    }
}
