//! All files of a configuration, read at one instant.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::{Document, parse};
use crate::diagnostic::{Code, Diagnostics, Place, Problem, SourceFile, Span, codes};

/// A larger file is no configuration: it would only be a way to fill the memory.
const LARGEST: u64 = 4 << 20;

/// How often a folder that changes while it is read is read anew. The watcher comes again after the last change anyway.
const ATTEMPTS: usize = 5;

/// The files of a configuration folder, by their path relative to it, with `/`: `policies/**/*.toml`, `stores/**/*.toml`,
/// `node.toml`.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Path and text.
    pub files: BTreeMap<String, Arc<SourceFile>>,
    /// Folders and files that could not be read, as diagnostics.
    pub diagnostics: Diagnostics,
}

/// Reads the folder. What cannot be read is among the diagnostics.
///
/// Symbolic links are followed; names that begin with a dot are not looked at, so that of a Kubernetes ConfigMap
/// (`token.toml -> ..data/token.toml`, `..data -> ..2026_01_01`) each file counts once. A folder that changes while it
/// is read is read again: what comes back belongs together.
pub fn read_folder(root: &Path) -> Files {
    let mut read = read_once(root, true);
    for _ in 1..ATTEMPTS {
        // The same identities, sizes and times before and after: nothing was swapped in between.
        if read_once(root, false).seen == read.seen {
            break;
        }
        read = read_once(root, true);
    }
    let mut files = read.files;
    files.report_case_collisions();
    files
}

impl Files {
    /// From texts in memory: tests, and the files that are embedded in the binary.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Files {
        let files = texts.into_iter().map(|(path, text)| (path.to_owned(), Arc::new(SourceFile::new(path, text))));
        let mut files = Files { files: files.collect(), diagnostics: Diagnostics::new() };
        files.report_case_collisions();
        files
    }

    /// All files that can be parsed. Whoever holds them for as long as the files are looked at saves the others from parsing again.
    pub fn documents(&self) -> Vec<Document> {
        self.files.values().filter_map(|file| parse(file).ok()).collect()
    }

    /// Lays texts over the files that were read, by path: what an editor has not saved yet. Each counts as the file's text,
    /// also where there is no such file.
    pub fn lay_over(&mut self, texts: &BTreeMap<String, Arc<SourceFile>>) {
        let own = std::mem::take(&mut self.diagnostics).into_iter();
        // What is wrong with a file on disk says nothing of the text that lies over it.
        let covered = |path: &str| texts.contains_key(path);
        self.diagnostics = own.filter(|d| !d.place.as_ref().is_some_and(|place| covered(&place.file.path))).collect();
        for (path, file) in texts {
            if file.text.len() as u64 > LARGEST {
                let place = Place { file: Arc::new(SourceFile::new(path, "")), span: Span::default() };
                self.diagnostics.push(too_large().at(place));
                self.files.remove(path);
            } else {
                self.files.insert(path.clone(), file.clone());
            }
        }
        self.report_case_collisions();
    }

    /// A hash of all paths and contents: two loads of equal files give the same, on every node and in every version.
    pub fn hash(&self) -> u64 {
        // FNV-1a: what it guards against is chance, and it must not change with the compiler's library.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut feed = |bytes: &[u8]| {
            for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (path, file) in &self.files {
            feed(path.as_bytes());
            feed(file.text.as_bytes());
        }
        hash
    }
}

/// What tells one state of a file or folder from another.
#[derive(PartialEq, Eq)]
struct Seen {
    path: String,
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

#[derive(Default)]
struct Reading {
    files: Files,
    seen: Vec<Seen>,
    /// Whether files are read, or only looked at.
    contents: bool,
}

fn read_once(root: &Path, contents: bool) -> Reading {
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
    fn problem(&mut self, path: &str, text: String, at: usize, code: Code, message: String, help: &str) {
        let file = Arc::new(SourceFile::new(path, text));
        let place = Place { file, span: Span { start: at, end: at } };
        self.files.diagnostics.push(Problem::error(code, message).with_help(help).at(place));
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        let message = format!("cannot be read: {}", plain(error));
        self.problem(
            path,
            String::new(),
            0,
            codes::UNREADABLE,
            message,
            "make it readable for the gateway's user, or take it away",
        );
    }

    /// One file or folder. `above` are the folders it stands in, to refuse a loop of links.
    fn entry(&mut self, at: &Path, path: &str, above: &mut Vec<(u64, u64)>, folder: bool) {
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
                let message = String::from("this link leads back to a folder that it stands in");
                return self.problem(path, String::new(), 0, codes::UNREADABLE, message, "take the link away");
            }
            self.saw(path, &metadata);
            above.push(identity);
            self.folder(at, path, above);
            above.pop();
        } else if above.is_empty() && folder {
            let message = String::from("is no folder");
            self.problem(
                path,
                String::new(),
                0,
                codes::UNREADABLE,
                message,
                "configuration files stand in a folder of this name",
            );
        } else if !folder || path.ends_with(".toml") {
            self.saw(path, &metadata);
            if self.contents {
                self.file(at, path, &metadata);
            }
        }
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
        let mut names = match fs::read_dir(at)
            .and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>())
        {
            Ok(names) => names,
            Err(error) => return self.unreadable(path, &error),
        };
        names.sort();
        for name in names {
            match name.to_str() {
                Some(name) if name.starts_with('.') => {}
                Some(name) => self.entry(&at.join(name), &format!("{path}/{name}"), above, true),
                None => {
                    let path = format!("{path}/{}", name.to_string_lossy());
                    let message = String::from("the name of this file is no UTF-8");
                    self.problem(&path, String::new(), 0, codes::NOT_TEXT, message, "give it another name");
                }
            }
        }
    }

    fn file(&mut self, at: &Path, path: &str, metadata: &Metadata) {
        // Opening a pipe would wait for ever.
        if !metadata.is_file() {
            let message = String::from("is neither a file nor a folder");
            return self.problem(
                path,
                String::new(),
                0,
                codes::UNREADABLE,
                message,
                "a configuration file is a plain file, or a link to one",
            );
        }
        // One more than there should be, so that its end is seen without another allocation.
        let mut bytes = Vec::with_capacity(metadata.len().min(LARGEST) as usize + 1);
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
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let message = String::from("is no UTF-8 text");
                self.problem(path, text, at, codes::NOT_TEXT, message, "save it as UTF-8");
            }
        }
    }
}

/// Without Rust's `(os error 13)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn too_large() -> Problem {
    Problem::error(codes::NOT_TEXT, format!("is larger than {} MiB", LARGEST >> 20))
        .with_help("this can hardly be a configuration file")
}

impl Files {
    /// Two names that differ only in case are one name on some file systems: a configuration must mean the same everywhere.
    fn report_case_collisions(&mut self) {
        let mut folded: BTreeMap<String, &Arc<SourceFile>> = BTreeMap::new();
        for (path, file) in &self.files {
            match folded.get(&path.to_lowercase()) {
                None => {
                    folded.insert(path.to_lowercase(), file);
                }
                Some(first) => {
                    let start = |file: &Arc<SourceFile>| Place { file: file.clone(), span: Span::default() };
                    let message = format!("`{path}` and `{}` differ only in case", first.path);
                    let problem =
                        Problem::error(codes::NAME_COLLISION, message).with_help("give one of them another name");
                    self.diagnostics.push(problem.at(start(file)).with_related(start(first), "the other file"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
