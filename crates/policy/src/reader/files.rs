//! All files of a configuration, read at one instant.

mod names;
mod text;
mod walk;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use self::text::{of_file, too_large};
pub use self::text::{read_text, text_of};
use self::walk::read_once;
use super::{Document, parse};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceFile};

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
    files.report_collisions();
    files
}

/// A plain file of a size that a file of settings may have, for what is read outside of the folder's walk: a secret, a body to answer
/// with. A pipe is refused, since opening it would wait for ever.
pub fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    match fs::metadata(path)?.is_file() {
        true => read_bounded(File::open(path)?),
        false => Err(io::Error::other("it is no plain file")),
    }
}

/// All that comes, as long as it is not too much.
pub fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        false => Ok(bytes),
        true => Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20))),
    }
}

impl Files {
    /// From texts in memory: tests, and the files that are embedded in the binary.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Files {
        let files = texts.into_iter().map(|(path, text)| (path.to_owned(), Arc::new(SourceFile::new(path, text))));
        let mut files = Files { files: files.collect(), diagnostics: Diagnostics::new() };
        files.report_collisions();
        files
    }

    /// All files that can be parsed. Whoever holds them for as long as the files are looked at saves the others from parsing again.
    pub fn documents(&self) -> Vec<Document> {
        self.files.values().filter_map(|file| parse(file).ok()).collect()
    }

    /// Lays texts over the files that were read, by path: what an editor has not saved yet. Each counts as the file's text,
    /// also where there is no such file.
    pub fn lay_over(&mut self, texts: &BTreeMap<String, Arc<SourceFile>>) {
        // What is wrong with a file on disk says nothing of the text that lies over it.
        let covered = |d: &Diagnostic| d.place.as_ref().is_some_and(|place| texts.contains_key(&place.file.path));
        (_, self.diagnostics) = std::mem::take(&mut self.diagnostics).partition(covered);
        for (path, file) in texts {
            if file.text.len() as u64 > LARGEST {
                self.diagnostics.push(of_file(path, too_large()));
                self.files.remove(path);
            } else {
                self.files.insert(path.clone(), file.clone());
            }
        }
        self.report_collisions();
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

#[cfg(test)]
mod tests;
