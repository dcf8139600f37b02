//! The walk over the folder: which files there are, and what they say.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::names::is_clean;
use super::{Files, LARGEST, too_large};
use crate::diagnostic::{Code, Place, Problem, SourceFile, Span, codes};

/// So large may all files be together: ten thousand policies are a fifth of it.
const MOST_BYTES: u64 = 64 << 20;

/// So many files and folders are looked at: a link may lead to a whole disk.
const MOST_ENTRIES: usize = 100_000;

/// So deep may folders stand in one another: the walk recurses.
const DEEPEST: usize = 32;

/// So much of a file that is no text is kept beside what comes before, to show it.
const SHOWN: usize = 64;

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
        let place = Place { file: Arc::new(SourceFile::new(path, "")), span: Span::default() };
        self.files.diagnostics.push(Problem::error(code, message).with_help(help).at(place));
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        let message = format!("cannot be read: {}", plain(error));
        self.problem(path, codes::UNREADABLE, message, "make it readable for the gateway's user, or take it away");
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
                        Some(_) => "the name of this file has a control character in it",
                        None => "the name of this file is no UTF-8",
                    };
                    self.problem(&path, codes::NOT_TEXT, message, "give it another name");
                }
            }
        }
    }

    fn file(&mut self, at: &Path, path: &str, metadata: &Metadata) {
        // Opening a pipe would wait for ever.
        if !metadata.is_file() {
            let help = "a configuration file is a plain file, or a link to one";
            return self.problem(path, codes::UNREADABLE, "is neither a file nor a folder", help);
        }
        let size = metadata.len().min(LARGEST + 1);
        if self.small_enough(path, size) && self.contents {
            self.read(at, path, size as usize);
        }
    }

    fn read(&mut self, at: &Path, path: &str, size: usize) {
        // One more than there should be, so that its end is seen without another allocation.
        let mut bytes = Vec::with_capacity(size + 1);
        if let Err(error) = File::open(at).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
            return self.unreadable(path, &error);
        }
        if bytes.len() as u64 > LARGEST {
            let place = Place { file: Arc::new(SourceFile::new(path, "")), span: Span::default() };
            return self.files.diagnostics.push(too_large().at(place));
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                self.files.files.insert(path.to_owned(), Arc::new(SourceFile::new(path, text)));
            }
            Err(error) => {
                let bad = error.utf8_error().valid_up_to();
                let bytes = error.as_bytes();
                // Enough to show the place: all up to it, for its line and column, and a little more.
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(bad + SHOWN)]).into_owned();
                let place = Place { file: Arc::new(SourceFile::new(path, text)), span: Span { start: bad, end: bad } };
                let problem = Problem::error(codes::NOT_TEXT, "is no UTF-8 text").with_help("save it as UTF-8");
                self.files.diagnostics.push(problem.at(place));
            }
        }
    }
}

/// Without Rust's `(os error 13)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
